//! How a turn ended.

use std::time::SystemTime;

use crate::session_export::SessionExport;
use crate::usage::Usage;

/// The end of one turn: the agent answered a prompt and waits for the next.
///
/// A turn is only free of doubt when the agent said that it was finished, its model's last step ended by itself, and
/// nothing it asked for was refused: see [`is_clean`](Self::is_clean). Even then the task need not be done.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Turn {
    /// Why the agent stopped.
    pub stop: StopReason,
    /// Why the end must not be trusted, as a full sentence: the model's answer broke off, say.
    pub doubt: Option<String>,
    /// What the agent asked to do in this turn and was not allowed. The agent may have given up because of it without
    /// saying so.
    pub refused: Vec<Refusal>,
    /// What the turn used, as far as the agent tells.
    pub usage: Usage,
    /// When the prompt was sent.
    pub started_at: SystemTime,
}

impl Turn {
    /// Whether the agent finished by itself, undoubtedly, and was refused nothing.
    pub fn is_clean(&self) -> bool {
        self.stop == StopReason::EndTurn && self.doubt.is_none() && self.refused.is_empty()
    }

    /// Corrects what the agent said by what it wrote down: how the last step of its model ended, and what all steps of
    /// the turn used. The record wins, for better and for worse; sub-agents are in records of their own and not counted.
    pub fn check(&mut self, record: &SessionExport) {
        let mut usage = Usage::default();
        let mut last = None;
        for step in record.since(self.started_at) {
            usage += step.usage;
            last = Some(step);
        }
        let Some(last) = last else {
            self.doubt.get_or_insert_with(|| "The agent wrote down no answer of its model in this turn.".to_owned());
            return;
        };
        self.usage = usage;
        if self.stop != StopReason::EndTurn {
            return;
        }
        self.doubt = None;
        match (last.finish.as_deref(), &last.error) {
            (_, Some(error)) => self.doubt = Some(format!("The model's last answer ended with an error: {error}.")),
            (Some("stop"), None) => {}
            (Some("length"), None) => self.stop = StopReason::MaxTokens,
            (Some("content-filter"), None) => self.stop = StopReason::Refused,
            // opencode ends its turn on a refusal: the refusal says what there is to say.
            (Some("tool-calls"), None) if !self.refused.is_empty() => {}
            (Some("tool-calls"), None) => {
                self.doubt = Some("The turn ended after a tool was used, without the model's answer to it.".to_owned());
            }
            (Some("unknown") | None, None) => self.doubt = Some("The model's last answer broke off.".to_owned()),
            (Some(other), None) => {
                self.doubt = Some(format!("The model's last answer ended in an unusual way: {other:?}."));
            }
        }
    }
}

/// Why an agent stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// It has nothing more to do or to say.
    EndTurn,
    /// Its model reached the longest answer it may give.
    MaxTokens,
    /// It asked its model as often as it may in one turn.
    MaxRequests,
    /// Its model refused to go on.
    Refused,
    /// It was told to stop.
    Cancelled,
}

/// A question that was not answered with "yes".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the agent wanted to do.
    pub title: String,
    /// Why it was not allowed.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session_export::tests::record;

    fn checked(reasons: &[&str], doubt: Option<&str>, refused: bool) -> Turn {
        let started_at = SystemTime::now();
        let refused = refused.then(|| Refusal { title: "t".into(), reason: "r".into() });
        let mut turn = Turn {
            stop: StopReason::EndTurn,
            doubt: doubt.map(str::to_owned),
            refused: Vec::from_iter(refused),
            usage: Usage::default(),
            started_at,
        };
        turn.check(&record(started_at, reasons));
        turn
    }

    #[test]
    fn only_a_last_step_that_stopped_by_itself_is_beyond_doubt() {
        assert!(checked(&["tool-calls", "stop"], None, false).is_clean());
        assert!(checked(&["unknown", "stop"], Some("a doubt that the record dispels"), false).is_clean());
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
    fn the_record_counts_every_step() {
        let turn = checked(&["tool-calls", "stop"], None, false);
        assert_eq!((turn.usage.steps, turn.usage.input_tokens, turn.usage.output_tokens), (2, 200, 40));
        assert_eq!(turn.usage.cost_usd, Some(1.0));
    }
}
