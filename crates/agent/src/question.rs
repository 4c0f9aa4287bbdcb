//! Permission questions of an agent, each of which is answered exactly once.
//!
//! An agent without an answer waits for ever, and opencode then asks no further question in that session (measured with
//! 1.18.33). So the open questions are kept here, not by the code that handles them: a cancel answers them all, and
//! dropping a [`Question`] refuses it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use thiserror::Error;

use crate::tool::ToolKind;
use crate::truncate::{INPUT_MAX, LINE_MAX, readable, truncate};
use crate::turn::Refusal;
use crate::wire::Responder;

/// Options of a question that are read.
const OPTIONS_MAX: usize = 32;

/// The agent asks for permission, and waits.
#[derive(Debug)]
pub struct Question {
    /// Unique within the connection.
    pub id: u64,
    /// The tool call that it is about, if the agent names one.
    pub tool: Option<String>,
    /// The action that needs permission, in one line.
    pub title: String,
    pub kind: ToolKind,
    /// The tool's input, truncated.
    pub input: String,
    open: Questions,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    AllowOnce,
    /// Also for similar questions later. The same as [`AllowOnce`](Self::AllowOnce) if the agent does not offer it.
    AllowAlways,
    /// The reason is shown to people only: the protocol cannot transport it, and opencode ends its turn on a refusal.
    Refuse {
        reason: String,
    },
    /// The turn is being cancelled.
    Cancelled,
}

/// The standing answer to permission questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The default: the user does not watch the agent, and a sandbox restricts it better than questions do.
    #[default]
    Allow,
    /// A person decides. Without a decision in time, the answer is no.
    Ask,
    Refuse,
}

impl Policy {
    /// Returns the policy's name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Refuse => "refuse",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Allow, Self::Ask, Self::Refuse].into_iter().find(|policy| policy.name() == name)
    }
}

/// The question was answered before, or its turn is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the question is no longer open")]
pub struct QuestionClosed;

impl Question {
    pub fn answer(self, answer: Answer) -> Result<(), QuestionClosed> {
        self.open.answer(self.id, answer)
    }

    /// Returns the answer that the policy prescribes, or `None` if a person has to decide.
    pub fn decide(&self, policy: Policy) -> Option<Answer> {
        match policy {
            // Never "always": opencode would remember it beyond this run.
            Policy::Allow => Some(Answer::AllowOnce),
            Policy::Ask => None,
            Policy::Refuse => Some(Answer::Refuse { reason: "permissions are set to refuse".to_owned() }),
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        // After an answer the question is not open any more, and this does nothing.
        let _ = self.open.answer(self.id, Answer::Refuse { reason: "the question was not answered".to_owned() });
    }
}

/// The open questions of a connection, and the refusals of its turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Questions(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    open: HashMap<u64, Open>,
    cancelling: bool,
    refused: Vec<Refusal>,
}

#[derive(Debug)]
struct Open {
    title: String,
    options: Vec<PermissionOption>,
    responder: Responder,
}

#[derive(Debug)]
struct PermissionOption {
    id: String,
    kind: String,
}

impl Questions {
    /// Takes a `session/request_permission` request. Returns `None` if it was answered at once because the turn is being
    /// cancelled.
    pub(crate) fn open(&self, params: &Value, responder: Responder) -> Option<Question> {
        let call = &params["toolCall"];
        let title = truncate(call["title"].as_str().unwrap_or("use a tool").to_owned(), LINE_MAX);
        let options = params["options"].as_array().map_or(&[][..], Vec::as_slice);
        let options = options
            .iter()
            .take(OPTIONS_MAX)
            .filter_map(|option| {
                let (id, kind) = (option["optionId"].as_str()?, option["kind"].as_str()?);
                if id.len() > LINE_MAX || kind.len() > LINE_MAX {
                    return None;
                }
                Some(PermissionOption { id: id.to_owned(), kind: kind.to_owned() })
            })
            .collect();
        let mut state = self.lock();
        if state.cancelling {
            responder.respond(cancelled());
            return None;
        }
        state.last_id += 1;
        let id = state.last_id;
        state.open.insert(id, Open { title: title.clone(), options, responder });
        Some(Question {
            id,
            tool: call["toolCallId"].as_str().map(|id| truncate(id.to_owned(), LINE_MAX)),
            title,
            kind: ToolKind::from_wire(call["kind"].as_str().unwrap_or_default()),
            input: readable(&call["rawInput"], INPUT_MAX),
            open: self.clone(),
        })
    }

    pub(crate) fn begin_turn(&self) {
        let mut state = self.lock();
        state.cancelling = false;
        state.refused.clear();
    }

    /// Answers every open question as cancelled, and those that still arrive in this turn.
    pub(crate) fn cancel_all(&self) {
        let open: Vec<Open> = {
            let mut state = self.lock();
            state.cancelling = true;
            state.open.drain().map(|(_, open)| open).collect()
        };
        for question in open {
            question.responder.respond(cancelled());
        }
    }

    /// Closes the questions of the turn and returns its refusals.
    pub(crate) fn end_turn(&self) -> Vec<Refusal> {
        self.cancel_all();
        let mut state = self.lock();
        state.cancelling = false;
        std::mem::take(&mut state.refused)
    }

    fn answer(&self, id: u64, answer: Answer) -> Result<(), QuestionClosed> {
        let mut state = self.lock();
        let Open { title, options, responder } = state.open.remove(&id).ok_or(QuestionClosed)?;
        let outcome = outcome(&options, &answer);
        if outcome.refused {
            let reason = match answer {
                Answer::Refuse { reason } => reason,
                Answer::Cancelled => "the question was cancelled".to_owned(),
                Answer::AllowOnce | Answer::AllowAlways => "the agent offered no way to allow it".to_owned(),
            };
            state.refused.push(Refusal { title, reason });
        }
        drop(state);
        responder.respond(outcome.result);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Outcome {
    result: Value,
    refused: bool,
}

/// Picks the option that fits the answer best.
fn outcome(options: &[PermissionOption], answer: &Answer) -> Outcome {
    let (kinds, refused): (&[&str], bool) = match answer {
        Answer::AllowOnce => (&["allow_once", "allow_always"], false),
        Answer::AllowAlways => (&["allow_always", "allow_once"], false),
        Answer::Refuse { .. } => (&["reject_once", "reject_always"], true),
        Answer::Cancelled => (&[], true),
    };
    let chosen = kinds.iter().find_map(|kind| options.iter().find(|option| option.kind == *kind));
    match chosen {
        Some(option) => Outcome { result: json!({"outcome": {"outcome": "selected", "optionId": option.id}}), refused },
        None => Outcome { result: cancelled(), refused: true },
    }
}

fn cancelled() -> Value {
    json!({"outcome": {"outcome": "cancelled"}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(kinds: &[&str]) -> Vec<PermissionOption> {
        kinds.iter().map(|kind| PermissionOption { id: format!("id-{kind}"), kind: (*kind).to_owned() }).collect()
    }

    fn chosen(kinds: &[&str], answer: &Answer) -> (Option<String>, bool) {
        let outcome = outcome(&options(kinds), answer);
        (outcome.result["outcome"]["optionId"].as_str().map(str::to_owned), outcome.refused)
    }

    #[test]
    fn answers_pick_the_best_offered_option() {
        let all = ["allow_once", "allow_always", "reject_once"];
        assert_eq!(chosen(&all, &Answer::AllowOnce), (Some("id-allow_once".into()), false));
        assert_eq!(chosen(&all, &Answer::AllowAlways), (Some("id-allow_always".into()), false));
        assert_eq!(chosen(&["allow_once"], &Answer::AllowAlways), (Some("id-allow_once".into()), false));
        let refuse = Answer::Refuse { reason: String::new() };
        assert_eq!(chosen(&all, &refuse), (Some("id-reject_once".into()), true));
    }

    #[test]
    fn answers_without_a_fitting_option_count_as_refusals() {
        assert_eq!(chosen(&["reject_once"], &Answer::AllowOnce), (None, true));
        assert_eq!(chosen(&["allow_once"], &Answer::Refuse { reason: String::new() }), (None, true));
        assert_eq!(chosen(&["allow_once"], &Answer::Cancelled), (None, true));
    }
}
