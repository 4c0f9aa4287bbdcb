//! The dialects that the model server speaks, one file each.

pub(super) mod chat_completions;
pub(super) mod gemini;
pub(super) mod messages;
pub(super) mod responses;
