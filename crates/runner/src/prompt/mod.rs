//! What an agent is asked: the rules, where the session does not know them yet, and the task.

pub(crate) mod coordinator;
pub(crate) mod issue;
pub(crate) mod source;
