//! The tokens that an agent reports for a turn. Each agent has its own field for them.

use serde_json::Value;

use crate::profile::UsageReport;
use crate::usage::{Tokens, tokens};

/// The tokens that an agent has reported so far.
#[derive(Debug, Default)]
pub(super) struct ReportedUsage {
    report: Option<UsageReport>,
    /// Of the session before this turn; `None` if not known.
    before: Option<Tokens>,
    /// Of the session before it was opened, as earlier runs have counted it. The agent itself may report more: what a run that
    /// was killed used. No run has counted that yet, so the next difference includes it. It may also report less, if it
    /// starts again from 0.
    known_before: Option<Tokens>,
    /// Of the pieces of this turn's answer.
    pieces: Option<Tokens>,
    /// Whether there was a tool call in this turn.
    used_tools: bool,
}

/// The tokens of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TurnTokens {
    /// The figures of the agent, whatever they mean.
    pub(crate) reported: Option<Tokens>,
    /// The use of the turn. `None` if the agent does not report that, or only a sum from which it cannot be derived.
    pub(crate) used: Option<Tokens>,
}

impl ReportedUsage {
    pub(super) fn new(report: UsageReport) -> Self {
        Self { report: Some(report), ..Self::default() }
    }

    /// `before` is what the session has used until now; `None` if not known.
    pub(super) fn open_session(&mut self, before: Option<Tokens>) {
        self.before = match self.report {
            Some(UsageReport::Connection) => Some(Tokens::ZERO),
            _ => self.before.map_or(before, |reported| Some(before.map_or(reported, |before| reported.min(before)))),
        };
        self.known_before = before;
    }

    /// Takes vibe's report of what a session that is resumed has used.
    pub(super) fn take_total(&mut self, update: &Value) {
        let meta = &update["_meta"];
        if self.report == Some(UsageReport::Session) && meta["promptTokens"].is_number() {
            let (input, output) = (tokens(&meta["promptTokens"]), tokens(&meta["completionTokens"]));
            let reported = Tokens { input, output, ..Tokens::ZERO };
            self.before = Some(self.known_before.map_or(reported, |known| reported.min(known)));
        }
    }

    pub(super) fn begin_turn(&mut self) {
        self.pieces = None;
        self.used_tools = false;
    }

    pub(super) fn tool_ended(&mut self) {
        self.used_tools = true;
    }

    pub(super) fn used_tools(&self) -> bool {
        self.used_tools
    }

    /// Takes an update of the session.
    pub(super) fn update(&mut self, update: &Value) {
        if self.report == Some(UsageReport::Pieces)
            && let Some(used) = in_fields(&update["_meta"]["usage"])
        {
            *self.pieces.get_or_insert_default() += used;
        }
    }

    /// Returns the tokens of the turn. `response` is the one to the prompt.
    pub(super) fn of_turn(&mut self, response: &Value) -> TurnTokens {
        let in_response = in_fields(&response["usage"]);
        let both = |tokens| TurnTokens { reported: tokens, used: tokens };
        match self.report.unwrap_or(UsageReport::Turn) {
            UsageReport::Turn => both(in_response),
            UsageReport::LastStep => {
                TurnTokens { reported: in_response, used: in_response.filter(|_| !self.used_tools) }
            }
            UsageReport::Session | UsageReport::Connection => {
                let Some(total) = in_response else { return TurnTokens::default() };
                let used = self.before.replace(total).map(|before| total.since(before));
                TurnTokens { reported: in_response, used }
            }
            UsageReport::Quota => both(in_quota(&response["_meta"]["quota"]["token_count"])),
            UsageReport::Pieces => both(self.pieces.take()),
            UsageReport::SessionFile => TurnTokens::default(),
        }
    }
}

/// Reads the protocol's fields. Some agents leave fields out, and some the whole object.
fn in_fields(usage: &Value) -> Option<Tokens> {
    usage.as_object()?;
    let (input, output) = (tokens(&usage["inputTokens"]), tokens(&usage["outputTokens"]));
    let reasoning = tokens(&usage["thoughtTokens"]);
    // The output of qwen includes the reasoning, as its total shows.
    let is_included = usage["totalTokens"].as_u64() == input.checked_add(output);
    Some(Tokens {
        input,
        output: if is_included { output.saturating_sub(reasoning) } else { output },
        reasoning,
        cache_read: tokens(&usage["cachedReadTokens"]),
        cache_write: tokens(&usage["cachedWriteTokens"]),
    })
}

/// Reads the fields of gemini 0.61.0.
fn in_quota(count: &Value) -> Option<Tokens> {
    count.as_object()?;
    Some(Tokens { input: tokens(&count["input_tokens"]), output: tokens(&count["output_tokens"]), ..Tokens::default() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn used(input: u64, output: u64) -> Option<Tokens> {
        Some(Tokens { input, output, ..Tokens::default() })
    }

    fn response(input: u64, output: u64) -> Value {
        json!({"usage": {"inputTokens": input, "outputTokens": output}})
    }

    #[test]
    fn tokens_of_a_session_are_those_since_the_last_turn() {
        let mut usage = ReportedUsage::new(UsageReport::Session);
        usage.open_session(used(0, 0));
        assert_eq!(usage.of_turn(&response(100, 20)).used, used(100, 20));
        assert_eq!(usage.of_turn(&response(300, 60)).used, used(200, 40));
        assert_eq!(usage.of_turn(&json!({})).used, None);
        assert_eq!(usage.of_turn(&response(400, 80)).used, used(100, 20));

        let mut resumed = ReportedUsage::new(UsageReport::Session);
        resumed.open_session(None);
        assert_eq!(resumed.of_turn(&response(400, 80)).used, None, "those of earlier turns are not known");
        assert_eq!(resumed.of_turn(&response(500, 90)).used, used(100, 10));
    }

    #[test]
    fn tokens_that_no_run_has_counted_are_those_of_the_next() {
        let report = |input: u64, output: u64| json!({"_meta": {"promptTokens": input, "completionTokens": output}});
        for (reported, expected) in [(report(400, 80), used(400, 70)), (report(10, 2), used(590, 108))] {
            for is_reported_first in [true, false] {
                let mut usage = ReportedUsage::new(UsageReport::Session);
                if is_reported_first {
                    usage.take_total(&reported);
                    usage.open_session(used(200, 40));
                } else {
                    usage.open_session(used(200, 40));
                    usage.take_total(&reported);
                }
                assert_eq!(usage.of_turn(&response(600, 110)).used, expected, "{reported}");
            }
        }
        let mut usage = ReportedUsage::new(UsageReport::Session);
        usage.open_session(used(200, 40));
        let cached = json!({"usage": {"inputTokens": 100, "cachedReadTokens": 150, "outputTokens": 60}});
        assert_eq!(usage.of_turn(&cached).used, used(50, 20), "earlier runs do not keep cached tokens apart");
    }

    #[test]
    fn tokens_of_a_connection_are_those_since_the_last_turn() {
        let mut usage = ReportedUsage::new(UsageReport::Connection);
        usage.open_session(None);
        assert_eq!(usage.of_turn(&response(100, 20)).used, used(100, 20));
        assert_eq!(usage.of_turn(&response(300, 60)).used, used(200, 40));
    }

    #[test]
    fn tokens_of_the_last_step_are_those_of_a_turn_with_one() {
        let mut usage = ReportedUsage::new(UsageReport::LastStep);
        usage.begin_turn();
        assert_eq!(usage.of_turn(&response(100, 20)).used, used(100, 20));
        usage.tool_ended();
        let tokens = usage.of_turn(&response(100, 20));
        assert_eq!((tokens.reported, tokens.used), (used(100, 20), None));
    }

    #[test]
    fn tokens_of_pieces_are_added_up() {
        let mut usage = ReportedUsage::new(UsageReport::Pieces);
        let piece = |usage: Value| json!({"sessionUpdate": "agent_message_chunk", "_meta": {"usage": usage}});
        usage.begin_turn();
        usage.update(&json!({"sessionUpdate": "agent_message_chunk"}));
        assert_eq!(usage.of_turn(&json!({})).used, None);
        usage.update(&piece(json!({"inputTokens": 100, "outputTokens": 20})));
        usage.update(&piece(json!({"inputTokens": 1, "outputTokens": 2})));
        assert_eq!(usage.of_turn(&json!({})).used, used(101, 22));
        usage.begin_turn();
        assert_eq!(usage.of_turn(&json!({})).used, None);
    }

    #[test]
    fn reasoning_is_counted_once() {
        let included = json!({"inputTokens": 100, "outputTokens": 20, "thoughtTokens": 5, "totalTokens": 120});
        assert_eq!(in_fields(&included).unwrap().all_output(), 20);
        let apart = json!({"inputTokens": 100, "outputTokens": 20, "thoughtTokens": 5, "totalTokens": 125});
        assert_eq!(in_fields(&apart).unwrap().all_output(), 25);
    }

    #[test]
    fn tokens_that_are_not_reported_are_not_zero() {
        for report in [UsageReport::Turn, UsageReport::Quota, UsageReport::SessionFile] {
            assert_eq!(ReportedUsage::new(report).of_turn(&json!({"usage": null})).used, None, "{report:?}");
        }
        let quota = json!({"_meta": {"quota": {"token_count": {"input_tokens": 3, "output_tokens": 1}}}});
        assert_eq!(ReportedUsage::new(UsageReport::Quota).of_turn(&quota).used, used(3, 1));
    }
}
