//! Keeps the home from growing: `kugetsu gc`, now and every day.
//!
//! `inventory` lists what is in the home and what may be removed, `plan` decides, and `removal` removes one item after
//! the other, after it has looked again whether it is in use. Nothing that is the only copy of work is removed unless a setting
//! or an option says so.

mod collect;
pub mod history;
mod inventory;
mod plan;
mod removal;
mod unused_mirror;

pub(crate) use collect::daily;
pub use collect::{collect, storage};
