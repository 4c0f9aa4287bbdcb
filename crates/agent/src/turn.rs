//! How a turn ended.

use std::time::SystemTime;

use kugetsu_domain::reason::Reason;

use crate::session_export::SessionExport;
use crate::usage::Usage;

/// The end of a turn: the agent has answered a prompt and waits for the next.
///
/// A turn is beyond doubt only if the agent reported its end, the last step of its model was complete, and none of its
/// questions was refused: see [`is_clean`](Self::is_clean). Even then the task need not be done.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Turn {
    pub stop: StopReason,
    /// Whether the agent wrote text or called a tool. Reasoning alone is no answer.
    pub answered: bool,
    /// Why the end is not to be trusted, as a full sentence.
    pub doubt: Option<Reason>,
    /// Questions of this turn that were refused. The agent may have given up because of one without reporting it.
    pub refused: Vec<Refusal>,
    pub usage: Usage,
    /// When the prompt was sent.
    pub started_at: SystemTime,
}

impl Turn {
    /// Whether the agent ended the turn, without doubt and without refusals.
    pub fn is_clean(&self) -> bool {
        self.stop == StopReason::EndTurn && self.doubt.is_none() && self.refused.is_empty()
    }

    /// Notes that the end of the turn could not be checked by the agent's record of the session: an end that is not checked
    /// is not to be trusted.
    pub fn could_not_be_checked(&mut self, why: &str) {
        if self.stop == StopReason::EndTurn {
            self.doubt.get_or_insert_with(|| {
                let text =
                    "how the turn ended could not be checked, because the agent's record of the session cannot be read";
                format!("{text}: {why}").into()
            });
        }
    }

    /// Corrects the agent's report by its record of the session: how the last model step ended, and what all steps of the
    /// turn used. The record has precedence. Sub-agents have records of their own and are not counted.
    pub fn check(&mut self, export: &SessionExport) {
        let mut usage = Usage::default();
        let mut last = None;
        for step in export.since(self.started_at) {
            usage += step.usage;
            last = Some(step);
        }
        let Some(last) = last else {
            self.doubt
                .get_or_insert_with(|| "the agent's record of the session has no model answer of this turn".into());
            return;
        };
        self.usage = usage;
        if self.stop != StopReason::EndTurn {
            return;
        }
        self.doubt = None;
        match (last.finish.as_deref(), &last.error) {
            (_, Some(error)) => {
                self.doubt = Some(format!("the model's last answer ended with an error: {error}").into());
            }
            // The record does not dispel this doubt: it calls a step without any content complete.
            (Some("stop"), None) if !self.answered && self.refused.is_empty() => {
                self.doubt = Some(no_answer());
            }
            (Some("stop"), None) => {}
            (Some("length"), None) => self.stop = StopReason::MaxTokens,
            (Some("content-filter"), None) => self.stop = StopReason::Refused,
            // opencode ends its turn on a refusal, which explains the end well enough.
            (Some("tool-calls"), None) if !self.refused.is_empty() => {}
            (Some("tool-calls"), None) => self.doubt = Some(NO_ANSWER_TO_TOOL.into()),
            (Some("unknown") | None, None) => self.doubt = Some("the model's last answer broke off".into()),
            (Some(other), None) => {
                self.doubt = Some(format!("the model's last answer ended for an unknown reason: {other:?}").into());
            }
        }
    }
}

/// A doubt about turns without any answer.
pub(crate) fn no_answer() -> Reason {
    Reason::from("the model answered nothing, neither text nor a tool call")
}

/// A doubt about turns that end between a tool call and the model's next answer.
pub(crate) const NO_ANSWER_TO_TOOL: &str = "the turn ended after a tool call, without the model's answer to it";

/// Why an agent stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The agent considers itself finished.
    EndTurn,
    /// Its model reached the maximum length of an answer.
    MaxTokens,
    /// It reached the maximum number of model requests in a turn.
    MaxRequests,
    /// Its model refused to continue.
    Refused,
    Cancelled,
}

/// A permission that the agent did not get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The action that was refused, in one line.
    pub title: String,
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use kugetsu_domain::reason::Reason;

    use crate::session_export::tests::export;

    fn checked(reasons: &[&str], doubt: Option<&str>, refused: bool) -> Turn {
        let started_at = SystemTime::now();
        let refused = refused.then(|| Refusal { title: "t".into(), reason: "r".into() });
        let mut turn = Turn {
            stop: StopReason::EndTurn,
            answered: true,
            doubt: doubt.map(Reason::from),
            refused: Vec::from_iter(refused),
            usage: Usage::default(),
            started_at,
        };
        turn.check(&export(started_at, reasons));
        turn
    }

    #[test]
    fn only_a_complete_step_is_beyond_doubt() {
        assert!(checked(&["tool-calls", "stop"], None, false).is_clean());
        assert!(checked(&["unknown", "stop"], Some("a doubt that the export dispels"), false).is_clean());
        assert_eq!(checked(&["stop", "length"], None, false).stop, StopReason::MaxTokens);
        assert_eq!(checked(&["content-filter"], None, false).stop, StopReason::Refused);
        let refused = checked(&["tool-calls"], None, true);
        assert!(refused.doubt.is_none() && !refused.is_clean());
        for reasons in [&["tool-calls"][..], &["stop", "unknown"], &["other"], &[]] {
            let turn = checked(reasons, None, false);
            assert!(turn.stop == StopReason::EndTurn && turn.doubt.is_some(), "{reasons:?}");
        }
    }

    #[test]
    fn turn_that_could_not_be_checked_is_doubted() {
        let mut turn = checked(&["stop"], None, false);
        turn.could_not_be_checked("it is cut off");
        assert!(!turn.is_clean() && turn.doubt.as_ref().is_some_and(|doubt| doubt.text.contains("it is cut off")));
        let mut cancelled = Turn { stop: StopReason::Cancelled, doubt: None, ..turn };
        cancelled.could_not_be_checked("it is cut off");
        assert_eq!(cancelled.doubt, None, "its end is bad enough");
    }

    #[test]
    fn record_does_not_make_an_empty_answer_one() {
        let started_at = SystemTime::now();
        let mut turn = checked(&["stop"], None, false);
        turn.answered = false;
        turn.check(&export(started_at, &["stop"]));
        assert!(turn.doubt.as_ref().is_some_and(|doubt| doubt.text.contains("answered nothing")), "{turn:?}");
    }

    #[test]
    fn usage_covers_every_step() {
        let turn = checked(&["tool-calls", "stop"], None, false);
        assert_eq!(
            (turn.usage.steps, turn.usage.tokens.map(|tokens| (tokens.input, tokens.output))),
            (2, Some((200, 40)))
        );
        assert_eq!(turn.usage.cost_usd, Some(1.0));
    }
}
