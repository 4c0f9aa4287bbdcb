//! Everything that adds work: new tasks, and work from before kugetsu.

pub mod adopt;
pub(crate) mod issue_prompt;
pub(crate) mod lineage;
pub(crate) mod models;
pub mod tasks;
