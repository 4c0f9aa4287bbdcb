//! What the agent does, put into records; and the answers to what it asks.

use kugetsu_agent::{AgentEvent, Answer, PlanState, Policy};
use kugetsu_api::record::{Body, PlanStep};
use kugetsu_api::run::Usage;
use tokio::time::{Duration, Instant};

use super::coalesce::{Coalesce, Voice};
use super::spool::Spool;

/// Turns events into records.
#[derive(Debug)]
pub(crate) struct Listener {
    spool: Spool,
    pieces: Coalesce,
    policy: Policy,
    cost: Option<f64>,
    begun: Vec<Begun>,
    /// What was said since the last use of a tool, as far as it is kept.
    answer: String,
}

/// A tool in use that is not in the records yet: agents often say only later what it is given.
#[derive(Debug)]
struct Begun {
    id: String,
    title: String,
    input: String,
    due: Instant,
}

/// Most bytes that are kept of an answer.
const ANSWER_MAX: usize = 64 * 1024;
/// How long the record of a tool's use waits for its particulars.
const PARTICULARS: Duration = Duration::from_millis(500);

impl Listener {
    /// Nothing was heard yet.
    pub(crate) fn new(spool: Spool, policy: Policy) -> Self {
        Self {
            pieces: Coalesce::new(spool.clone()),
            spool,
            policy,
            cost: None,
            begun: Vec::new(),
            answer: String::new(),
        }
    }

    /// When something that waits is to be written.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.begun.iter().map(|begun| begun.due).chain(self.pieces.due()).min()
    }

    /// Writes what is due.
    pub(crate) fn write_due(&mut self) {
        let now = Instant::now();
        if self.pieces.due().is_some_and(|due| due <= now) {
            self.pieces.write_but_held_back();
        }
        while let Some(at) = self.begun.iter().position(|begun| begun.due <= now) {
            self.write_begun(at);
        }
    }

    /// Writes everything that waits.
    pub(crate) fn flush(&mut self) {
        self.pieces.flush();
        while !self.begun.is_empty() {
            self.write_begun(0);
        }
    }

    fn write_begun(&mut self, at: usize) {
        let Begun { id, title, input, .. } = self.begun.remove(at);
        self.spool.write(Body::ToolStarted { id, title, input });
    }

    /// The last words of the turn, masked.
    pub(crate) fn last_words(&self) -> String {
        self.spool.mask(self.answer.trim())
    }

    /// Takes one event.
    pub(crate) fn take(&mut self, event: AgentEvent) {
        match event {
            AgentEvent::Text { text } => {
                let room = text.floor_char_boundary(ANSWER_MAX.saturating_sub(self.answer.len()));
                self.answer.push_str(&text[..room]);
                return self.pieces.push(Voice::Text, &text);
            }
            AgentEvent::Thought { text } => return self.pieces.push(Voice::Thought, &text),
            AgentEvent::ToolChanged { id, title, input, .. } => return self.particulars(&id, title, input),
            _ => self.pieces.flush(),
        }
        match event {
            AgentEvent::ToolStarted { id, title, input, .. } => {
                self.answer.clear();
                self.begun.push(Begun { id, title, input, due: Instant::now() + PARTICULARS });
            }
            AgentEvent::ToolEnded { id, ok, output } => {
                if let Some(at) = self.begun.iter().position(|begun| begun.id == id) {
                    self.write_begun(at);
                }
                self.spool.write(Body::ToolEnded { id, ok, output });
            }
            AgentEvent::Plan { steps } => {
                let steps =
                    steps.into_iter().map(|step| PlanStep { text: step.text, state: state(step.state).to_owned() });
                self.spool.write(Body::Plan { steps: steps.collect() });
            }
            AgentEvent::Question(question) => self.answer(question),
            AgentEvent::Usage { cost_usd, .. } => self.cost(cost_usd),
            AgentEvent::Notice { text } => self.spool.notice(text),
            _ => {}
        }
    }

    /// The first change tells what the tool is given; what it prints meanwhile is a sign of life only.
    fn particulars(&mut self, id: &str, title: Option<String>, input: Option<String>) {
        let Some(at) = self.begun.iter().position(|begun| begun.id == id) else { return };
        let begun = &mut self.begun[at];
        let told = title.is_some() || input.is_some();
        if let Some(title) = title {
            begun.title = title;
        }
        if let Some(input) = input {
            begun.input = input;
        }
        if told {
            self.write_begun(at);
        }
    }

    fn answer(&self, question: kugetsu_agent::Question) {
        let title = question.title.clone();
        let answer = question.decide(self.policy).unwrap_or_else(|| Answer::Refuse {
            reason: "permissions are set to ask, and there is no way yet to ask a person during a run".to_owned(),
        });
        let said = match &answer {
            Answer::Refuse { reason } => format!("refused: {reason}"),
            _ => "allowed".to_owned(),
        };
        self.spool.write(Body::Permission { title, answer: said });
        if question.answer(answer).is_err() {
            self.spool.notice("the agent did not wait for the answer to its question");
        }
    }

    /// The cost is told when it has changed: most updates only say how full the model's context is.
    fn cost(&mut self, cost_usd: Option<f64>) {
        if cost_usd.is_some() && cost_usd != self.cost {
            self.cost = cost_usd;
            self.spool
                .write(Body::Usage { usage: Usage { cost_usd: cost_usd.unwrap_or_default(), ..Usage::default() } });
        }
    }
}

const fn state(state: PlanState) -> &'static str {
    match state {
        PlanState::Pending => "pending",
        PlanState::InProgress => "in_progress",
        PlanState::Completed => "completed",
    }
}
