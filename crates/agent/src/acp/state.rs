//! The state of a connection's session: whether a turn is in progress, its usage, and signs that it did not end well.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kugetsu_domain::reason::Reason;

use serde_json::Value;

use super::reported_usage::{ReportedUsage, TurnTokens};
use crate::model_failure::{HiddenEnd, readable_error};
use crate::profile::{FailureSign, Profile, Quirks};
use crate::truncate::{LINE_MAX, truncate};
use crate::turn::{NO_ANSWER_TO_TOOL, StopReason, no_answer};
use crate::usage::{Tokens, Usage, dollars};

/// Successive broken answers after which the turn is cancelled. opencode 1.18.33 requests another answer at once, endlessly
/// and at the user's cost: 180 requests in 40 s were measured.
pub(crate) const BROKEN_ANSWERS_MAX: u32 = 10;

/// Shared by the reading and the requesting side.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedState(Arc<Mutex<SessionState>>);

impl SharedState {
    /// Not to be held across an `await`.
    pub(crate) fn lock(&self) -> MutexGuard<'_, SessionState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(crate) struct SessionState {
    quirks: Quirks,
    failure_sign: FailureSign,
    failure_texts: &'static [&'static str],
    reported: ReportedUsage,
    /// The id of the session of this connection. Updates of sub-agents have other ids.
    pub(crate) session: Option<String>,
    /// Whether the agent repeats the history of a session, which causes no events.
    pub(crate) replaying: bool,
    /// Whether a prompt waits for its response.
    pub(crate) prompting: bool,
    /// Tool calls that have not ended, by id.
    pub(crate) tools: HashMap<String, ToolCall>,
    turn: TurnProgress,
    /// The latest status of the session's thread, as codex reports it.
    thread_status: String,
    /// Cost of the session before this turn, if known.
    cost_before: Option<f64>,
    /// Latest total cost of the session, as the agent reports it.
    cost_total: Option<f64>,
    /// Cost of the session before this connection opened it, if known.
    cost_at_start: Option<f64>,
    /// The same, as earlier runs have counted it.
    known_before: Option<f64>,
    /// Whether a prompt was sent.
    prompted: bool,
    /// Sum over all turns of this connection.
    run: Usage,
}

/// The latest state of a tool call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ToolCall {
    pub(crate) title: String,
    pub(crate) input: String,
    pub(crate) output: String,
}

#[derive(Debug, Default)]
struct TurnProgress {
    /// The id of the current answer, if the agent reports one.
    answer: Option<String>,
    tool_since_answer: bool,
    broken_answers: u32,
    /// Whether there was text, a plan or a tool call. Reasoning alone is no answer.
    answered: bool,
    /// The end of the text since the last tool call.
    text: String,
    /// The beginning of the latest piece of text. A message of the agent itself is one piece.
    piece: String,
    /// The latest failure of the model that the agent reported apart from its answer.
    failure: Option<String>,
    /// Whether nothing came after it.
    failed_last: bool,
}

/// The meaning of a chunk of an answer for the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    Normal,
    /// It starts a new answer because the one before broke off. The number counts such answers in a row.
    AfterBreak(u32),
    /// Too many answers broke off; the turn is to be cancelled.
    GiveUp,
}

/// Bytes of the text that may be a message about a failure.
const FAILURE_TEXT_MAX: usize = 2000;

impl SessionState {
    pub(crate) fn set_profile(&mut self, profile: &Profile) {
        self.quirks = profile.quirks();
        self.failure_sign = profile.failure_sign();
        self.failure_texts = profile.failure_texts();
        self.reported = ReportedUsage::new(profile.usage_report());
    }

    /// `before` is what the session has used until now, if known.
    pub(crate) fn open_session(&mut self, id: &str, before: Usage) {
        self.session = Some(id.to_owned());
        // A failed attempt to load another session may have left this set.
        self.replaying = false;
        self.known_before = before.cost_usd;
        self.cost_before = self.cost_when_opened(self.cost_total);
        self.cost_at_start = self.cost_before;
        self.reported.open_session(before.tokens);
    }

    /// Takes an update that comes before the first turn: some agents report what a session that is resumed has used.
    pub(crate) fn take_total(&mut self, update: &Value) {
        if update["sessionUpdate"] != "usage_update" || self.run != Usage::default() {
            return;
        }
        if let Some(cost) = cost(&update["cost"]) {
            self.cost_total = Some(cost);
            self.cost_before = self.cost_when_opened(self.cost_total);
            self.cost_at_start = self.cost_before;
        }
        self.reported.take_total(update);
    }

    /// Returns what the session had cost when it was opened: what earlier runs have counted, or what the agent reports, if
    /// that is less. It is more after a run that was killed, whose cost no run has counted yet: the next difference includes it.
    fn cost_when_opened(&self, reported: Option<f64>) -> Option<f64> {
        match (reported, self.known_before) {
            (Some(reported), Some(known)) => Some(reported.min(known)),
            (reported, known) => reported.or(known),
        }
    }

    /// Takes what an update says besides its content.
    pub(crate) fn take_update(&mut self, update: &Value) {
        self.reported.update(update);
        let codex = &update["_meta"]["codex"];
        if let Some(status) = codex["threadStatus"]["type"].as_str() {
            truncate(status.to_owned(), LINE_MAX).clone_into(&mut self.thread_status);
        }
        if let Some(message) = codex_failure(codex) {
            self.turn.failure = Some(message);
            self.turn.failed_last = true;
        }
    }

    /// Notes a piece of the answer's text.
    pub(crate) fn text(&mut self, text: &str) {
        if !self.quirks.retries_broken_answers {
            self.turn.tool_since_answer = false;
        }
        self.turn.piece = truncate(text.to_owned(), FAILURE_TEXT_MAX);
        let kept = &mut self.turn.text;
        kept.push_str(text);
        if let Some(excess) = kept.len().checked_sub(FAILURE_TEXT_MAX) {
            let start = (excess..kept.len()).find(|index| kept.is_char_boundary(*index)).unwrap_or(kept.len());
            kept.drain(..start);
        }
    }

    pub(crate) fn begin_turn(&mut self) {
        self.prompting = true;
        self.prompted = true;
        self.turn = TurnProgress::default();
        self.reported.begin_turn();
        self.tools.clear();
    }

    /// Records a chunk of the model's answer or reasoning.
    ///
    /// Every model step is an answer with an id of its own, and a healthy step after the first follows a tool call. So a new
    /// id without a tool call in between shows that the answer before broke off.
    pub(crate) fn chunk(&mut self, answer: Option<&str>) -> Chunk {
        let Some(answer) = answer.filter(|_| self.quirks.retries_broken_answers) else { return Chunk::Normal };
        if self.turn.answer.as_deref() == Some(answer) {
            return Chunk::Normal;
        }
        let is_first = self.turn.answer.replace(answer.to_owned()).is_none();
        if std::mem::take(&mut self.turn.tool_since_answer) || is_first {
            self.turn.broken_answers = 0;
            return Chunk::Normal;
        }
        self.turn.broken_answers += 1;
        if self.turn.broken_answers >= BROKEN_ANSWERS_MAX {
            Chunk::GiveUp
        } else {
            Chunk::AfterBreak(self.turn.broken_answers)
        }
    }

    /// Notes text, a plan or a tool call.
    pub(crate) fn answered(&mut self) {
        self.turn.answered = true;
        self.turn.failed_last = false;
    }

    /// Whether the turn has an answer so far.
    pub(crate) fn has_answer(&self) -> bool {
        self.turn.answered
    }

    pub(crate) fn tool_ended(&mut self) {
        self.turn.text.clear();
        self.turn.piece.clear();
        self.reported.tool_ended();
        self.turn.answered = true;
        self.turn.failed_last = false;
        self.turn.tool_since_answer = true;
    }

    /// Whether a tool call has ended in the turn.
    pub(crate) fn has_used_tools(&self) -> bool {
        self.reported.used_tools()
    }

    /// The failure of the model after which the agent is silent.
    pub(crate) fn failure(&self) -> Option<String> {
        self.turn.failure.clone().filter(|_| self.turn.failed_last)
    }

    /// Whether the turn was cancelled because too many answers broke off.
    pub(crate) fn gave_up(&self) -> bool {
        self.turn.broken_answers >= BROKEN_ANSWERS_MAX
    }

    /// Records the total cost of the session, and returns the cost of this run so far.
    pub(crate) fn record_cost(&mut self, total: Option<f64>) -> Option<f64> {
        if total.is_some() {
            self.cost_total = total;
        }
        difference(self.cost_total, self.cost_at_start)
    }

    /// Returns what the turn used, and the tokens that the agent reported. `response` is the one to the prompt, or null
    /// without one; `recorded` are the tokens that the file of the session has.
    pub(crate) fn end_turn(&mut self, response: &Value, recorded: Option<Tokens>) -> (Usage, Option<Tokens>) {
        self.prompting = false;
        let TurnTokens { reported, used } = self.reported.of_turn(response);
        let tokens = used.or(recorded);
        let cost_usd = difference(self.cost_total, self.cost_before);
        self.cost_before = self.cost_total.or(self.cost_before);
        let used = Usage { steps: 0, tokens, cost_usd };
        self.run += used;
        (used, reported)
    }

    /// Sum over all turns of this connection.
    pub(crate) fn run(&self) -> Usage {
        if self.prompted { self.run } else { Usage::ZERO }
    }

    /// Returns how a turn really ended whose model failed, although the agent reports a normal end.
    pub(crate) fn hidden_end(&self, stop_reason: &str, tokens: Option<Tokens>) -> Option<HiddenEnd> {
        let failed = match self.failure_sign {
            FailureSign::None | FailureSign::Record => false,
            FailureSign::NoTokens => !is_used(tokens),
            FailureSign::ThreadStatus => self.thread_status == "systemError" || !is_used(tokens),
        };
        let piece = self.turn.piece.trim_start();
        let own_message = self.failure_texts.iter().any(|start| piece.starts_with(start)).then_some(piece);
        if stop_reason != "end_turn" || !(failed || own_message.is_some()) {
            return None;
        }
        let text = self.turn.text.trim();
        let (message, is_answer) = match (own_message, self.turn.failure.as_deref()) {
            // codex reports a limit only in its text.
            (None, Some(failure)) if self.thread_status == "systemError" && !text.contains("max_output_tokens") => {
                (failure, false)
            }
            (None, _) if self.thread_status == "systemError" => (text, true),
            (Some(message), _) => (message, true),
            (None, Some(failure)) => (failure, false),
            (None, None) if text.is_empty() => ("the agent does not say why", true),
            (None, None) => (&*format!("its answer broke off: {text}"), true),
        };
        let message = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        Some(match HiddenEnd::of(truncate(readable_error(&message), LINE_MAX)) {
            HiddenEnd::Failed(message) if is_answer => HiddenEnd::Answered(message),
            end => end,
        })
    }

    /// Interprets the stop reason of the protocol, and returns what speaks against a normal end of the turn.
    pub(crate) fn interpret_stop(
        &self,
        stop_reason: &str,
        tokens: Option<Tokens>,
        any_refused: bool,
    ) -> (StopReason, Option<Reason>) {
        let doubt = |reason| (StopReason::EndTurn, Some(reason));
        match stop_reason {
            // codex ends a turn like this when a person says no.
            "cancelled" if any_refused => return (StopReason::EndTurn, None),
            "cancelled" => return (StopReason::Cancelled, None),
            "max_tokens" => return (StopReason::MaxTokens, None),
            "max_turn_requests" => return (StopReason::MaxRequests, None),
            "refusal" => return (StopReason::Refused, None),
            "end_turn" => {}
            other => return doubt(format!("the agent stopped for an unknown reason: {other:?}").into()),
        }
        // A refused question explains a turn without a last answer.
        if any_refused {
            return (StopReason::EndTurn, None);
        }
        if self.failure_sign == FailureSign::Record && !is_used(tokens) {
            return doubt("the model's last answer broke off, or its provider does not count tokens".into());
        }
        if !self.turn.answered {
            return doubt(no_answer());
        }
        if self.turn.tool_since_answer && self.quirks.answers_last {
            return doubt(NO_ANSWER_TO_TOOL.into());
        }
        (StopReason::EndTurn, None)
    }
}

/// Reads a cost of the protocol.
pub(super) fn cost(cost: &Value) -> Option<f64> {
    (cost["currency"].as_str()? == "USD").then(|| cost["amount"].as_f64()).flatten().and_then(dollars)
}

/// Reads codex's report of a failure.
pub(super) fn codex_failure(codex: &Value) -> Option<String> {
    let error = &codex["error"];
    let details = [&error["additionalDetails"], &error["message"]].into_iter().find_map(Value::as_str)?;
    Some(truncate(details.to_owned(), LINE_MAX))
}

fn is_used(tokens: Option<Tokens>) -> bool {
    tokens.is_some_and(|tokens| tokens.total() > 0)
}

fn difference(total: Option<f64>, before: Option<f64>) -> Option<f64> {
    Some((total? - before?).max(0.0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn opencode() -> SessionState {
        let mut state = SessionState::default();
        state.set_profile(&crate::profile("opencode", &[]).unwrap());
        state.open_session("main", known(0.0));
        state.begin_turn();
        state
    }

    fn tokens() -> Option<Tokens> {
        Some(Tokens { input: 10, ..Tokens::default() })
    }

    fn known(cost: f64) -> Usage {
        Usage { cost_usd: Some(cost), ..Usage::default() }
    }

    #[test]
    fn end_without_a_complete_answer_is_doubted() {
        let mut state = opencode();
        let doubt = |state: &SessionState, stop_reason, usage, any_refused| {
            state.interpret_stop(stop_reason, usage, any_refused).1.is_some()
        };
        state.chunk(Some("a"));
        assert!(doubt(&state, "end_turn", tokens(), false), "reasoning alone is no answer");
        assert!(!doubt(&state, "end_turn", tokens(), true), "a refusal explains that");
        state.answered();
        assert_eq!(state.interpret_stop("end_turn", tokens(), false), (StopReason::EndTurn, None));
        assert!(doubt(&state, "end_turn", Some(Tokens::default()), false), "a broken answer has no tokens");
        assert!(doubt(&state, "a_new_reason", tokens(), false));
        state.tool_ended();
        assert!(doubt(&state, "end_turn", tokens(), false), "the model did not see the tool's result");
        assert!(!doubt(&state, "end_turn", tokens(), true), "a refusal explains that");
        assert!(doubt(&SessionState::default(), "end_turn", tokens(), false), "the agent did nothing");
    }

    #[test]
    fn endless_broken_answers_are_given_up() {
        let mut state = opencode();
        assert_eq!(state.chunk(Some("0")), Chunk::Normal);
        for n in 1..BROKEN_ANSWERS_MAX {
            assert_eq!(state.chunk(Some(&n.to_string())), Chunk::AfterBreak(n));
            assert_eq!(state.chunk(Some(&n.to_string())), Chunk::Normal);
        }
        assert_eq!(state.chunk(Some("last")), Chunk::GiveUp);
        assert!(state.gave_up());
        state.begin_turn();
        for n in 0..2 * BROKEN_ANSWERS_MAX {
            state.tool_ended();
            assert_eq!(state.chunk(Some(&n.to_string())), Chunk::Normal, "a tool call between two answers is normal");
        }
    }

    #[test]
    fn cost_of_a_continued_session_is_what_it_adds() {
        let mut state = SessionState::default();
        state.open_session("main", known(2.0));
        state.begin_turn();
        assert_eq!(state.record_cost(Some(2.5)), Some(0.5));
        assert_eq!(state.end_turn(&Value::Null, None).0.cost_usd, Some(0.5));
        state.begin_turn();
        assert_eq!(state.record_cost(Some(2.75)), Some(0.75));
        assert_eq!(state.end_turn(&Value::Null, None).0.cost_usd, Some(0.25));

        let mut killed = SessionState::default();
        killed.open_session("main", known(2.0));
        killed.take_total(&json!({"sessionUpdate": "usage_update", "cost": {"amount": 3.0, "currency": "USD"}}));
        assert_eq!(killed.run(), Usage::ZERO, "the model got no prompt");
        killed.begin_turn();
        killed.record_cost(Some(3.5));
        assert_eq!(killed.run().cost_usd, None, "not known before the turn ends");
        assert_eq!(killed.end_turn(&Value::Null, None).0.cost_usd, Some(1.5), "with what no run has counted");

        let mut unknown = SessionState::default();
        unknown.open_session("main", Usage::default());
        unknown.begin_turn();
        assert_eq!(unknown.record_cost(Some(2.5)), None);
        assert_eq!(unknown.end_turn(&Value::Null, None).0.cost_usd, None);
        unknown.begin_turn();
        unknown.record_cost(Some(2.75));
        assert_eq!(unknown.end_turn(&Value::Null, None).0.cost_usd, Some(0.25), "known from the second turn on");
    }

    #[test]
    fn failure_counts_until_the_agent_continues() {
        let mut state = SessionState::default();
        let failed = json!({"_meta": {"codex": {"error": {"additionalDetails": "429 Too Many Requests"}}}});
        state.begin_turn();
        state.take_update(&failed);
        assert_eq!(state.failure().as_deref(), Some("429 Too Many Requests"));
        state.answered();
        assert_eq!(state.failure(), None);
        state.take_update(&failed);
        state.tool_ended();
        assert_eq!(state.failure(), None);
        state.take_update(&failed);
        state.begin_turn();
        assert_eq!(state.failure(), None);
    }
}
