//! Repositories whose issues are handed over to kugetsu: which begin, what their pull requests lead to, and how they end.

pub(crate) mod candidates;
pub(crate) mod commands;
pub(crate) mod comments;
pub(crate) mod followed;
pub(crate) mod handover;
pub(crate) mod look;
pub(crate) mod message;
pub(crate) mod notices;
pub(crate) mod own_comment;
pub(crate) mod poll;
pub(crate) mod reviewers;
pub(crate) mod task;
pub(crate) mod trusted;
