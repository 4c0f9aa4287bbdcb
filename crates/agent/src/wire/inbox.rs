//! What the agent sends on its own: updates and questions, in the order in which they come.

use agent_client_protocol::{Agent, ConnectionTo, Dispatch, Error, HandleDispatchFrom, Handled, UntypedMessage};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::event::AgentEvent;
use crate::question::Questions;
use crate::session_state::{CUTS_MAX, Piece, SharedState};
use crate::wire::reading;

/// Turns messages into events. The connection deals with one message at a time, so an event that nobody takes holds up
/// everything behind it: that is what keeps a flood out of memory.
pub(crate) struct Inbox {
    pub(crate) state: SharedState,
    pub(crate) questions: Questions,
    pub(crate) events: mpsc::Sender<AgentEvent>,
}

impl HandleDispatchFrom<Agent> for Inbox {
    async fn handle_dispatch_from(
        &mut self,
        message: Dispatch,
        connection: ConnectionTo<Agent>,
    ) -> Result<Handled<Dispatch>, Error> {
        match message {
            Dispatch::Notification(notification) => {
                let (method, params) = notification.into_parts();
                if method == "session/update" {
                    for event in self.update(&params, &connection) {
                        self.tell(event).await;
                    }
                } else {
                    tracing::trace!(method, "a notification that means nothing to kugetsu");
                }
            }
            Dispatch::Request(request, responder) if request.method() == "session/request_permission" => {
                if let Some(question) = self.questions.ask(request.params(), responder) {
                    self.tell(AgentEvent::Question(question)).await;
                }
            }
            Dispatch::Request(request, responder) => {
                tracing::debug!(method = request.method(), "the agent asks for an ability that kugetsu does not offer");
                responder.respond_with_error(Error::method_not_found())?;
            }
            response @ Dispatch::Response(..) => return Ok(Handled::No { message: response, retry: false }),
        }
        Ok(Handled::Yes)
    }

    fn describe_chain(&self) -> impl std::fmt::Debug {
        "kugetsu's inbox"
    }
}

impl Inbox {
    fn update(&self, params: &Value, connection: &ConnectionTo<Agent>) -> Vec<AgentEvent> {
        let mut state = self.state.lock();
        let other = state.session.is_some() && state.session.as_deref() != params["sessionId"].as_str();
        if state.replaying || other {
            return Vec::new();
        }
        let update = &params["update"];
        let mut events = reading::events(update, &mut state);
        if !state.prompting {
            return events;
        }
        match piece(update).map_or(Piece::GoOn, |answer| state.said(answer)) {
            Piece::GoOn => {}
            Piece::AfterCut(times) => {
                let text =
                    format!("The model's answer broke off ({times} of {CUTS_MAX} in a row); the agent asks again.");
                events.insert(0, AgentEvent::Notice { text });
            }
            Piece::GiveUp => {
                self.questions.cancel_all();
                cancel(connection, params["sessionId"].as_str().unwrap_or_default());
            }
        }
        events
    }

    async fn tell(&self, event: AgentEvent) {
        // Nobody listens any more: a question in the event answers itself when it is dropped.
        let _ = self.events.send(event).await;
    }
}

/// The answer that an update is a piece of, if it is one and as far as the agent says.
fn piece(update: &Value) -> Option<Option<&str>> {
    matches!(update["sessionUpdate"].as_str()?, "agent_message_chunk" | "agent_thought_chunk")
        .then(|| update["messageId"].as_str())
}

/// Tells the agent to end its turn.
pub(crate) fn cancel(connection: &ConnectionTo<Agent>, session: &str) {
    let sent = UntypedMessage::new("session/cancel", json!({"sessionId": session}))
        .and_then(|message| connection.send_notification(message));
    if let Err(error) = sent {
        tracing::debug!(%error, "the cancel could not be sent; the connection is gone");
    }
}
