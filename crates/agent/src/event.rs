//! Events of a working agent, in a form that is the same for every agent.

use crate::question::Question;
use crate::tool::ToolKind;

#[derive(Debug)]
#[non_exhaustive]
pub enum AgentEvent {
    /// A piece of the agent's answer, as Markdown. Successive pieces form one text.
    Text { text: String },
    /// A piece of the agent's reasoning.
    Thought { text: String },
    ToolStarted {
        /// Identifies this tool call in later events.
        id: String,
        /// One line for people, such as the command.
        title: String,
        kind: ToolKind,
        /// The tool's input, truncated.
        input: String,
    },
    /// Fields of a running tool call changed; `None` stands for unchanged.
    ToolChanged { id: String, title: Option<String>, input: Option<String>, output: Option<String> },
    ToolEnded {
        id: String,
        /// The last title of the call.
        title: String,
        /// The last input of the call, truncated.
        input: String,
        /// Whether the tool succeeded.
        ok: bool,
        /// The exit code of a command, if the agent reports it.
        exit_code: Option<i32>,
        /// The tool's output, truncated.
        output: String,
    },
    /// The agent's plan, which replaces an earlier one.
    Plan { steps: Vec<PlanStep> },
    /// The agent waits for an answer.
    Question(Question),
    Usage {
        /// Cost of this run so far in US dollars, if the agent reports it.
        cost_usd: Option<f64>,
        /// Tokens in the model's context now.
        context_used: u64,
        /// Tokens that fit in the model's context.
        context_size: u64,
    },
    /// A full sentence for people who watch the run.
    Notice { text: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanStep {
    pub text: String,
    pub state: PlanState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanState {
    Pending,
    InProgress,
    Completed,
}
