//! The vocabulary of kugetsu, its state machine and its scheduling policy.
//!
//! There is no I/O and no clock here: callers pass `now`, and code that stores or sends a value converts it at the edge
//! into a type of its own. Every crate may import this one; it imports none of kugetsu's.

pub mod allowed_hosts;
pub mod budget;
pub mod duration;
pub mod effect;
pub mod flow;
pub mod git_variables;
pub mod hash;
pub mod hold;
pub mod ids;
pub mod issue;
pub mod machine;
pub mod model_limit;
pub mod naming;
pub mod pull_request;
pub mod quiet_hours;
pub mod reason;
pub mod redact;
pub mod reference;
pub mod rescue_time;
pub mod run;
pub mod schedule;
pub mod secret_finder;
pub mod secret_forms;
pub mod session;
pub mod task;
pub mod text;
pub mod watch;
