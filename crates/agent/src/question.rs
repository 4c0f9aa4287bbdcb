//! Permission questions: who asks, what may be answered, and that each is answered exactly once.
//!
//! An agent that is left without an answer waits for ever, and opencode then never asks again in that session (measured
//! with 1.18.33). So the answers are kept here, not with whoever looks at the question: a cancel answers all of them, and
//! a question that is thrown away unanswered counts as refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent_client_protocol::Responder;
use serde_json::{Value, json};
use thiserror::Error;

use crate::tool::ToolKind;
use crate::truncate::{INPUT_MAX, LINE_MAX, readable, truncate};
use crate::turn::Refusal;

/// The agent asks whether it may do something, and waits.
#[derive(Debug)]
pub struct Question {
    /// Unique within the connection.
    pub id: u64,
    /// The use of a tool that it is about, where the agent says so.
    pub tool: Option<String>,
    /// One line for people: what the agent wants to do.
    pub title: String,
    /// What sort of thing it wants to do.
    pub kind: ToolKind,
    /// What the tool would be given; long input is cut.
    pub input: String,
    open: Questions,
}

/// An answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes, this once.
    AllowOnce,
    /// Yes, and do not ask about such things again; "this once" where the agent does not offer it.
    AllowAlways,
    /// No. The reason is for people: the protocol has no place for it, and opencode ends its turn on a "no".
    Refuse {
        /// Why not.
        reason: String,
    },
    /// The turn is being cancelled.
    Cancelled,
}

/// The question was answered before, or its turn is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the question is no longer open")]
pub struct QuestionClosed;

impl Question {
    /// Answers.
    ///
    /// # Errors
    /// [`QuestionClosed`] if the question is no longer open.
    pub fn answer(self, answer: Answer) -> Result<(), QuestionClosed> {
        self.open.answer(self.id, answer)
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        // An answered question is no longer open, and this finds nothing.
        let _ = self.open.answer(self.id, Answer::Refuse { reason: "nobody took up the question".to_owned() });
    }
}

/// The questions of one connection that wait for an answer, and what was refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Questions(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    last: u64,
    open: HashMap<u64, Open>,
    cancelling: bool,
    refused: Vec<Refusal>,
}

#[derive(Debug)]
struct Open {
    title: String,
    options: Vec<Choice>,
    responder: Responder<Value>,
}

#[derive(Debug)]
struct Choice {
    id: String,
    kind: String,
}

impl Questions {
    /// Takes a `session/request_permission` request. `None` if it was answered at once, because the turn is being
    /// cancelled.
    pub(crate) fn ask(&self, params: &Value, responder: Responder<Value>) -> Option<Question> {
        let call = &params["toolCall"];
        let title = call["title"].as_str().unwrap_or("use a tool").to_owned();
        let options = params["options"].as_array().map_or(&[][..], Vec::as_slice);
        let options = options
            .iter()
            .filter_map(|option| {
                Some(Choice { id: option["optionId"].as_str()?.to_owned(), kind: option["kind"].as_str()?.to_owned() })
            })
            .collect();
        let mut book = self.lock();
        if book.cancelling {
            reply(responder, cancelled());
            return None;
        }
        book.last += 1;
        let id = book.last;
        let title = truncate(title, LINE_MAX);
        book.open.insert(id, Open { title: title.clone(), options, responder });
        Some(Question {
            id,
            tool: call["toolCallId"].as_str().map(str::to_owned),
            title,
            kind: ToolKind::from_wire(call["kind"].as_str().unwrap_or_default()),
            input: readable(&call["rawInput"], INPUT_MAX),
            open: self.clone(),
        })
    }

    /// A new turn begins: nothing was refused in it yet.
    pub(crate) fn begin_turn(&self) {
        let mut book = self.lock();
        book.cancelling = false;
        book.refused.clear();
    }

    /// Answers every open question, and those that still come in this turn, with "cancelled".
    pub(crate) fn cancel_all(&self) {
        let open: Vec<Open> = {
            let mut book = self.lock();
            book.cancelling = true;
            book.open.drain().map(|(_, open)| open).collect()
        };
        for question in open {
            reply(question.responder, cancelled());
        }
    }

    /// What was refused in this turn; the turn is over, so no question of it stays open.
    pub(crate) fn end_turn(&self) -> Vec<Refusal> {
        self.cancel_all();
        let mut book = self.lock();
        book.cancelling = false;
        std::mem::take(&mut book.refused)
    }

    fn answer(&self, id: u64, answer: Answer) -> Result<(), QuestionClosed> {
        let mut book = self.lock();
        let Open { title, options, responder } = book.open.remove(&id).ok_or(QuestionClosed)?;
        let outcome = outcome(&options, &answer);
        if outcome.refused {
            let reason = match answer {
                Answer::Refuse { reason } => reason,
                Answer::Cancelled => "the question was cancelled".to_owned(),
                Answer::AllowOnce | Answer::AllowAlways => "the agent offered no way to allow it".to_owned(),
            };
            book.refused.push(Refusal { title, reason });
        }
        drop(book);
        reply(responder, outcome.wire);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Outcome {
    wire: Value,
    refused: bool,
}

fn outcome(options: &[Choice], answer: &Answer) -> Outcome {
    let (wanted, refused): (&[&str], bool) = match answer {
        Answer::AllowOnce => (&["allow_once", "allow_always"], false),
        Answer::AllowAlways => (&["allow_always", "allow_once"], false),
        Answer::Refuse { .. } => (&["reject_once", "reject_always"], true),
        Answer::Cancelled => (&[], true),
    };
    let chosen = wanted.iter().find_map(|kind| options.iter().find(|option| option.kind == *kind));
    match chosen {
        Some(option) => Outcome { wire: json!({"outcome": {"outcome": "selected", "optionId": option.id}}), refused },
        None => Outcome { wire: cancelled(), refused: true },
    }
}

fn cancelled() -> Value {
    json!({"outcome": {"outcome": "cancelled"}})
}

fn reply(responder: Responder<Value>, outcome: Value) {
    if let Err(error) = responder.respond(outcome) {
        // The connection is gone, and with it whoever asked; the prompt in progress reports that.
        tracing::debug!(%error, "an answer to a permission question could not be sent");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(kinds: &[&str]) -> Vec<Choice> {
        kinds.iter().map(|kind| Choice { id: format!("id-{kind}"), kind: (*kind).to_owned() }).collect()
    }

    fn chosen(kinds: &[&str], answer: &Answer) -> (Option<String>, bool) {
        let outcome = outcome(&choices(kinds), answer);
        (outcome.wire["outcome"]["optionId"].as_str().map(str::to_owned), outcome.refused)
    }

    #[test]
    fn an_answer_picks_the_option_the_agent_offers() {
        let all = ["allow_once", "allow_always", "reject_once"];
        assert_eq!(chosen(&all, &Answer::AllowOnce), (Some("id-allow_once".into()), false));
        assert_eq!(chosen(&all, &Answer::AllowAlways), (Some("id-allow_always".into()), false));
        assert_eq!(chosen(&["allow_once"], &Answer::AllowAlways), (Some("id-allow_once".into()), false));
        let no = Answer::Refuse { reason: String::new() };
        assert_eq!(chosen(&all, &no), (Some("id-reject_once".into()), true));
    }

    #[test]
    fn what_cannot_be_allowed_counts_as_refused() {
        assert_eq!(chosen(&["reject_once"], &Answer::AllowOnce), (None, true));
        assert_eq!(chosen(&["allow_once"], &Answer::Refuse { reason: String::new() }), (None, true));
        assert_eq!(chosen(&["allow_once"], &Answer::Cancelled), (None, true));
    }
}
