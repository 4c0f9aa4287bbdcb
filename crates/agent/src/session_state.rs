//! What a connection remembers of its session: where the turn stands, what it used, and what speaks against its end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::profile::Quirks;
use crate::turn::StopReason;
use crate::usage::Usage;

/// How many answers in a row may break off before the turn is given up. opencode 1.18.33 asks again for ever, at once,
/// at the user's cost: 180 requests in 40 s were measured.
pub(crate) const CUTS_MAX: u32 = 10;

/// A state that the reading and the asking side share.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedState(Arc<Mutex<SessionState>>);

impl SharedState {
    /// The state. Never held over an `await`.
    pub(crate) fn lock(&self) -> MutexGuard<'_, SessionState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of one session.
#[derive(Debug, Default)]
pub(crate) struct SessionState {
    /// What is special about the agent.
    pub(crate) quirks: Quirks,
    /// The session this connection is about; sub-agents have others.
    pub(crate) session: Option<String>,
    /// The agent tells old news, which are no events.
    pub(crate) replaying: bool,
    /// A prompt is being answered.
    pub(crate) prompting: bool,
    /// The uses of tools that have not ended.
    pub(crate) tools: HashMap<String, ToolSeen>,
    turn: TurnSeen,
    /// What the session had cost before this turn, where known.
    cost_before: Option<f64>,
    /// What the session has cost altogether, as the agent says.
    cost_total: Option<f64>,
    /// What the session had cost when this connection opened it, where known.
    cost_at_start: Option<f64>,
    /// What all turns of this connection used.
    run: Usage,
}

/// What was last shown of a tool in use.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ToolSeen {
    pub(crate) title: String,
    pub(crate) input: String,
    pub(crate) output: String,
}

#[derive(Debug, Default)]
struct TurnSeen {
    /// The answer that is being written, where the agent says so.
    answer: Option<String>,
    tool_since_answer: bool,
    cuts: u32,
    acted: bool,
}

/// What a piece of an answer means for the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Nothing special.
    GoOn,
    /// It begins a new answer though the one before it broke off, this often in a row.
    AfterCut(u32),
    /// Answers broke off so often that the turn is to be cancelled.
    GiveUp,
}

impl SessionState {
    /// A session was opened that had cost this much before (`None`: unknown).
    pub(crate) fn open_session(&mut self, id: &str, cost_before: Option<f64>) {
        self.session = Some(id.to_owned());
        // An earlier opening may have been left in the middle of its replay.
        self.replaying = false;
        self.cost_before = cost_before;
        self.cost_at_start = cost_before;
    }

    /// A prompt is sent.
    pub(crate) fn begin_turn(&mut self) {
        self.prompting = true;
        self.turn = TurnSeen::default();
        self.tools.clear();
    }

    /// The agent said a piece of this answer, or thought it.
    pub(crate) fn said(&mut self, answer: Option<&str>) -> Piece {
        self.turn.acted = true;
        let Some(answer) = answer.filter(|_| self.quirks.asks_again_when_cut) else { return Piece::GoOn };
        if self.turn.answer.as_deref() == Some(answer) {
            return Piece::GoOn;
        }
        let first = self.turn.answer.replace(answer.to_owned()).is_none();
        if std::mem::take(&mut self.turn.tool_since_answer) || first {
            self.turn.cuts = 0;
            return Piece::GoOn;
        }
        self.turn.cuts += 1;
        if self.turn.cuts >= CUTS_MAX { Piece::GiveUp } else { Piece::AfterCut(self.turn.cuts) }
    }

    /// A tool was used.
    pub(crate) fn tool_ended(&mut self) {
        self.turn.acted = true;
        self.turn.tool_since_answer = true;
    }

    /// Whether the turn was given up because the model's answers broke off too often.
    pub(crate) fn gave_up(&self) -> bool {
        self.turn.cuts >= CUTS_MAX
    }

    /// The agent says what the session has cost altogether. Returns what this run has cost so far.
    pub(crate) fn cost(&mut self, total: Option<f64>) -> Option<f64> {
        if total.is_some() {
            self.cost_total = total;
        }
        difference(self.cost_total, self.cost_at_start)
    }

    /// The turn is over: what it used. `reported` is what the agent's answer to the prompt says.
    pub(crate) fn end_turn(&mut self, reported: Usage) -> Usage {
        self.prompting = false;
        let cost_usd = difference(self.cost_total, self.cost_before);
        self.cost_before = self.cost_total.or(self.cost_before);
        let used = Usage { cost_usd, ..reported };
        self.run += used;
        used
    }

    /// What all turns of this connection used.
    pub(crate) fn run(&self) -> Usage {
        self.run
    }

    /// What the agent's stop reason is worth, and what speaks against it.
    pub(crate) fn verdict(&self, wire: &str, reported: Usage, any_refused: bool) -> (StopReason, Option<String>) {
        let doubt = |text: &str| (StopReason::EndTurn, Some(text.to_owned()));
        match wire {
            "cancelled" => return (StopReason::Cancelled, None),
            "max_tokens" => return (StopReason::MaxTokens, None),
            "max_turn_requests" => return (StopReason::MaxRequests, None),
            "refusal" => return (StopReason::Refused, None),
            "end_turn" => {}
            other => return doubt(&format!("The agent stopped for a reason that kugetsu does not know: {other:?}.")),
        }
        if any_refused {
            return (StopReason::EndTurn, None);
        }
        if self.quirks.reports_last_step && reported.total_tokens() == 0 {
            return doubt("The model's last answer broke off, or its provider does not count tokens.");
        }
        if !self.turn.acted && !self.quirks.reports_last_step {
            return doubt("The agent ended its turn without saying or doing anything.");
        }
        if self.turn.tool_since_answer && self.quirks.asks_again_when_cut {
            return doubt("The turn ended after a tool was used, without the model's answer to it.");
        }
        (StopReason::EndTurn, None)
    }
}

fn difference(total: Option<f64>, before: Option<f64>) -> Option<f64> {
    Some((total? - before?).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opencode() -> SessionState {
        let quirks = Quirks { asks_again_when_cut: true, reports_last_step: true, ..Quirks::default() };
        let mut state = SessionState { quirks, ..SessionState::default() };
        state.open_session("main", Some(0.0));
        state.begin_turn();
        state
    }

    fn tokens() -> Usage {
        Usage { input_tokens: 10, ..Usage::default() }
    }

    #[test]
    fn an_end_that_shows_no_whole_answer_is_doubted() {
        let mut state = opencode();
        state.said(Some("a"));
        assert_eq!(state.verdict("end_turn", tokens(), false), (StopReason::EndTurn, None));
        assert!(state.verdict("end_turn", Usage::default(), false).1.is_some(), "a cut answer shows no tokens");
        assert!(state.verdict("a_new_reason", tokens(), false).1.is_some());
        state.tool_ended();
        assert!(state.verdict("end_turn", tokens(), false).1.is_some(), "nobody looked at what the tool said");
        assert!(state.verdict("end_turn", tokens(), true).1.is_none(), "the refusal says what there is to say");
        assert!(SessionState::default().verdict("end_turn", tokens(), false).1.is_some(), "nothing was said");
    }

    #[test]
    fn answers_that_break_off_for_ever_are_given_up() {
        let mut state = opencode();
        assert_eq!(state.said(Some("0")), Piece::GoOn);
        for n in 1..CUTS_MAX {
            assert_eq!(state.said(Some(&n.to_string())), Piece::AfterCut(n));
            assert_eq!(state.said(Some(&n.to_string())), Piece::GoOn);
        }
        assert_eq!(state.said(Some("last")), Piece::GiveUp);
        assert!(state.gave_up());
        state.begin_turn();
        for n in 0..2 * CUTS_MAX {
            state.tool_ended();
            assert_eq!(state.said(Some(&n.to_string())), Piece::GoOn, "a tool between two answers is how it should be");
        }
    }

    #[test]
    fn a_continued_session_costs_what_it_adds() {
        let mut state = SessionState::default();
        state.open_session("main", Some(2.0));
        state.begin_turn();
        assert_eq!(state.cost(Some(2.5)), Some(0.5));
        assert_eq!(state.end_turn(tokens()).cost_usd, Some(0.5));
        state.begin_turn();
        assert_eq!(state.cost(Some(2.75)), Some(0.75));
        assert_eq!(state.end_turn(tokens()).cost_usd, Some(0.25));

        let mut unknown = SessionState::default();
        unknown.open_session("main", None);
        unknown.begin_turn();
        assert_eq!(unknown.cost(Some(2.5)), None);
        assert_eq!(unknown.end_turn(tokens()).cost_usd, None);
        unknown.begin_turn();
        unknown.cost(Some(2.75));
        assert_eq!(unknown.end_turn(tokens()).cost_usd, Some(0.25), "from the second turn on it is known");
    }
}
