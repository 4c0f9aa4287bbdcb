//! What an agent does while it works, in words that are the same for every agent.

use crate::question::Question;
use crate::tool::ToolKind;

/// One thing that happened in the session.
#[derive(Debug)]
#[non_exhaustive]
pub enum AgentEvent {
    /// The agent says something. Pieces follow each other; together they are the answer.
    Text {
        /// A piece of the answer, as Markdown.
        text: String,
    },
    /// The agent thinks aloud.
    Thought {
        /// A piece of the thought.
        text: String,
    },
    /// The agent begins to use a tool.
    ToolStarted {
        /// What later events about this use carry.
        id: String,
        /// One line for people, such as the command.
        title: String,
        /// What sort of tool it is.
        kind: ToolKind,
        /// What the tool is given; long input is cut.
        input: String,
    },
    /// A tool in use shows something new.
    ToolChanged {
        /// Which use.
        id: String,
        /// The new title, where it changed.
        title: Option<String>,
        /// The new input, where it changed; long input is cut.
        input: Option<String>,
        /// What the tool has printed so far, where it changed; long output is cut.
        output: Option<String>,
    },
    /// A tool was used.
    ToolEnded {
        /// Which use.
        id: String,
        /// Whether the tool worked.
        ok: bool,
        /// What came out of it; long output is cut.
        output: String,
    },
    /// The agent's plan, which replaces any earlier one.
    Plan {
        /// Its steps, in order.
        steps: Vec<PlanStep>,
    },
    /// The agent waits until this is answered.
    Question(Question),
    /// What the session has taken up so far.
    Usage {
        /// What this run has cost so far, in US dollars, where the agent tells.
        cost_usd: Option<f64>,
        /// Tokens in the model's context now.
        context_used: u64,
        /// Tokens that fit in the model's context.
        context_size: u64,
    },
    /// Something a person who looks at the run should know.
    Notice {
        /// A full sentence.
        text: String,
    },
}

/// One step of an agent's plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanStep {
    /// What is to be done.
    pub text: String,
    /// How far it is.
    pub state: PlanState,
}

/// How far a step of the plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanState {
    /// Not begun.
    Pending,
    /// Being done.
    InProgress,
    /// Done.
    Completed,
}
