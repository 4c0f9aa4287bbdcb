//! The built-in agents, one file each.

pub(super) mod claude;
pub(super) mod codex;
pub(super) mod copilot;
pub(super) mod definition;
pub(super) mod exception;
pub(super) mod gemini;
pub(super) mod goose;
pub(super) mod kimi;
pub(super) mod opencode;
pub(super) mod qwen;
pub(super) mod vibe;
