//! Records what the agent does, and answers its permission requests.

use kugetsu_agent::{AgentEvent, Answer, PlanState, Policy, Question};
use kugetsu_api::record::{Body, PlanStep};
use kugetsu_api::run::Usage;
use tokio::time::{Duration, Instant};

use crate::records::coalesce::{Coalescer, TextKind};
use crate::records::spool::Spool;

/// Bytes of the agent's last text that are kept.
const LAST_TEXT_MAX: usize = 64 * 1024;
/// Shortest time between two reports of progress: the daemon stores each.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(60);
/// How long the record of a tool call waits for the tool's input.
const INPUT_DELAY: Duration = Duration::from_millis(500);

/// Turns the agent's events into records.
///
/// Some records wait: text, until there is more of it, and tool calls, until their input is known. The caller has to call
/// [`write_due`](Self::write_due) at the [`deadline`](Self::deadline), and [`flush`](Self::flush) after the last event.
#[derive(Debug)]
pub(crate) struct EventRecorder {
    spool: Spool,
    text: Coalescer,
    policy: Policy,
    cost: Option<f64>,
    /// The latest report that the model answers, with the cost at that time.
    progress: Option<(Instant, Option<f64>)>,
    /// In the order in which they started.
    pending_tools: Vec<PendingTool>,
    /// The agent's text since its last tool call, up to [`LAST_TEXT_MAX`].
    last_text: String,
    /// Bytes at its beginning that came before the tool call, kept because they may be the beginning of a secret.
    before_tool: usize,
}

/// A tool call that is not recorded yet: agents often report only later what the tool gets as input.
#[derive(Debug)]
struct PendingTool {
    id: String,
    title: String,
    input: String,
    deadline: Instant,
}

impl EventRecorder {
    pub(crate) fn new(spool: Spool, policy: Policy) -> Self {
        Self {
            text: Coalescer::new(spool.clone()),
            spool,
            policy,
            cost: None,
            progress: None,
            pending_tools: Vec::new(),
            last_text: String::new(),
            before_tool: 0,
        }
    }

    /// When the next record that waits is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.pending_tools.iter().map(|tool| tool.deadline).chain(self.text.deadline()).min()
    }

    pub(crate) fn write_due(&mut self) {
        let now = Instant::now();
        if self.text.deadline().is_some_and(|deadline| deadline <= now) {
            self.text.write_settled();
        }
        while let Some(index) = self.pending_tools.iter().position(|tool| tool.deadline <= now) {
            self.write_tool(index);
        }
    }

    /// Writes everything that waits.
    pub(crate) fn flush(&mut self) {
        self.text.flush();
        while !self.pending_tools.is_empty() {
            self.write_tool(0);
        }
    }

    fn write_tool(&mut self, index: usize) {
        let PendingTool { id, title, input, .. } = self.pending_tools.remove(index);
        self.spool.write(Body::ToolStarted { id, title, input });
    }

    /// The agent's text after its last tool call, masked.
    pub(crate) fn last_text(&self) -> String {
        let mut text = self.last_text.as_str();
        if text.len() + 4 > LAST_TEXT_MAX {
            // It may be cut in the middle of a secret.
            text = &text[..self.spool.settled(text)];
        }
        let masked = self.spool.mask(text);
        let before = &self.last_text[..self.before_tool];
        masked.strip_prefix(before).unwrap_or(&masked).trim().to_owned()
    }

    pub(crate) fn take(&mut self, event: AgentEvent) {
        match event {
            AgentEvent::Text { text } => {
                let room = text.floor_char_boundary(LAST_TEXT_MAX.saturating_sub(self.last_text.len()));
                self.last_text.push_str(&text[..room]);
                return self.text.push(TextKind::Text, &text);
            }
            AgentEvent::Thought { text } => return self.text.push(TextKind::Thought, &text),
            AgentEvent::ToolChanged { id, title, input, .. } => return self.update_tool(&id, title, input),
            // Comes at any time, also in the middle of a word.
            AgentEvent::Usage { cost_usd, .. } => return self.record_cost(cost_usd),
            // Any other event comes between two pieces of text.
            _ => self.text.pause(),
        }
        match event {
            AgentEvent::ToolStarted { id, title, input, .. } => {
                // Only the model calls tools: text may also be the agent's own message about a failure.
                self.report_progress(true);
                // A tool call does not end a secret.
                self.last_text = self.last_text.split_off(self.spool.settled(&self.last_text));
                self.before_tool = self.last_text.len();
                let deadline = Instant::now() + INPUT_DELAY;
                self.pending_tools.push(PendingTool { id, title, input, deadline });
            }
            AgentEvent::ToolEnded { id, ok, exit_code, output, .. } => {
                if let Some(index) = self.pending_tools.iter().position(|tool| tool.id == id) {
                    self.write_tool(index);
                }
                self.spool.write(Body::ToolEnded { id, ok, exit_code, output });
            }
            AgentEvent::Plan { steps } => {
                let steps =
                    steps.into_iter().map(|step| PlanStep { text: step.text, state: state(step.state).to_owned() });
                self.spool.write(Body::Plan { steps: steps.collect() });
            }
            AgentEvent::Question(question) => self.answer(question),
            AgentEvent::Notice { text } => self.spool.notice(text),
            _ => {}
        }
    }

    /// The first change with a title or an input completes the record. Later ones only show that the tool still runs.
    fn update_tool(&mut self, id: &str, title: Option<String>, input: Option<String>) {
        let Some(index) = self.pending_tools.iter().position(|tool| tool.id == id) else { return };
        let tool = &mut self.pending_tools[index];
        let is_complete = title.is_some() || input.is_some();
        if let Some(title) = title {
            tool.title = title;
        }
        if let Some(input) = input {
            tool.input = input;
        }
        if is_complete {
            self.write_tool(index);
        }
    }

    fn answer(&self, question: Question) {
        let title = question.title.clone();
        let answer = question.decide(self.policy).unwrap_or_else(|| Answer::Refuse {
            reason: "permissions are set to `ask`, but the user cannot be asked during a run".to_owned(),
        });
        let recorded = match &answer {
            Answer::Refuse { reason } => format!("refused: {reason}"),
            _ => "allowed".to_owned(),
        };
        self.spool.write(Body::Permission { title, answer: recorded });
        if question.answer(answer).is_err() {
            self.spool.notice("the agent did not wait for the answer to its permission request");
        }
    }

    /// Records a cost that has changed. Most updates only report how full the model's context is.
    fn record_cost(&mut self, cost_usd: Option<f64>) {
        if cost_usd.is_some() && cost_usd != self.cost {
            self.cost = cost_usd;
            self.spool.write(Body::Usage { usage: Usage { cost_usd, ..Usage::default() } });
            self.report_progress(false);
        }
    }

    /// Reports that the model answers, and later what the run has cost, if that has changed.
    fn report_progress(&mut self, has_answered: bool) {
        let is_due = match self.progress {
            None => has_answered,
            Some((at, reported)) => self.cost != reported && at.elapsed() >= PROGRESS_INTERVAL,
        };
        if is_due {
            self.progress = Some((Instant::now(), self.cost));
            let usage = Usage { cost_usd: self.cost, ..Usage::default() };
            self.spool.write(Body::Progress { usage });
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

#[cfg(test)]
mod tests {
    use kugetsu_domain::redact::Redactor;

    use super::*;

    fn tool() -> AgentEvent {
        AgentEvent::ToolStarted {
            id: "1".to_owned(),
            kind: kugetsu_agent::ToolKind::Other,
            title: "ls".to_owned(),
            input: String::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_is_split_by_a_tool_call_is_masked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let spool = Spool::for_test(&path, Redactor::new(["topsecretvalue"])).unwrap();
        let mut recorder = EventRecorder::new(spool, Policy::Allow);
        for piece in ["it is topse", "cretv", "alue, done"] {
            recorder.take(AgentEvent::Text { text: piece.to_owned() });
            recorder.take(tool());
        }
        recorder.take(AgentEvent::Text { text: "I wrote topse".to_owned() });
        recorder.take(tool());
        recorder.take(AgentEvent::Text { text: "cretvalue down".to_owned() });
        recorder.flush();
        assert_eq!(recorder.last_text(), "*** down");
        let text = std::fs::read_to_string(path).unwrap();
        for part in ["topse", "cretv", "alue"] {
            assert!(!text.contains(part), "{part}: {text}");
        }
        assert!(text.contains("it is ") && text.contains("***, done"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn progress_is_reported_with_the_first_tool_and_then_at_most_every_minute() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let spool = Spool::for_test(&path, Redactor::new([] as [&str; 0])).unwrap();
        let mut recorder = EventRecorder::new(spool, Policy::Allow);
        let cost = |cost_usd| AgentEvent::Usage { cost_usd: Some(cost_usd), context_used: 0, context_size: 0 };
        let reported = || {
            let text = std::fs::read_to_string(&path).unwrap();
            text.lines().filter(|line| line.contains(r#""type":"progress""#)).map(str::to_owned).collect::<Vec<_>>()
        };
        recorder.take(AgentEvent::Text { text: "Error: too many requests".to_owned() });
        recorder.take(cost(0.25));
        assert_eq!(reported().len(), 0, "the agent may say that itself");
        recorder.take(tool());
        recorder.take(tool());
        recorder.take(cost(0.5));
        assert_eq!(reported().len(), 1);
        tokio::time::advance(PROGRESS_INTERVAL).await;
        recorder.take(cost(0.75));
        recorder.take(cost(1.0));
        assert_eq!(reported().len(), 2);
        assert!(reported()[1].contains("0.75"), "{:?}", reported());
    }
}
