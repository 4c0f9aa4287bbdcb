//! The built-in agents, one file each.

mod claude;
mod codex;
mod copilot;
pub(super) mod definition;
mod gemini;
mod goose;
mod kimi;
mod opencode;
mod qwen;
mod vibe;

use definition::Definition;

/// In the order in which they are listed, and in which the default agent is chosen.
pub(super) static BUILT_IN: [&Definition; 9] = [
    &opencode::OPENCODE,
    &claude::CLAUDE,
    &codex::CODEX,
    &gemini::GEMINI,
    &copilot::COPILOT,
    &goose::GOOSE,
    &qwen::QWEN,
    &kimi::KIMI,
    &vibe::VIBE,
];
