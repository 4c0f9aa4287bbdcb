//! The logic of a transaction, without a database: a driver loads the rows that a [`Plan`] names, [`apply`] turns them
//! and the writes into answers and [`Changes`], and the driver saves those.
//!
//! The result does not depend on how writes are batched: any batch gives the answers and rows that its writes give one
//! by one.

mod apply;
mod changes;
mod event_log;
mod loaded;
mod plan;

pub(crate) use apply::apply;
pub(crate) use changes::{Changes, EffectChange, IssueChange, RepoChange, TaskChange};
pub(crate) use loaded::{LatestTask, Loaded, Numbers, StoredRepo, StoredTask};
pub(crate) use plan::Plan;
