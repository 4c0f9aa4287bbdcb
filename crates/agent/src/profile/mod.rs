//! The agents: their commands, environments and quirks, and their programs on this machine.

mod definition;
mod first_start;
mod install;
mod known_models;
mod lookup;
mod opencode;
mod permission_rules;

pub use definition::{CustomProfile, Launch, Profile};
pub(crate) use definition::{LostSession, Quirks};
pub use first_start::FirstStart;
pub use install::{NotInstalled, VersionError, find_program, program_version};
pub use known_models::{Offer, models_in, near_models, offer, record_models, recorded_models};
pub use lookup::{UnknownAgent, profile};
pub use permission_rules::InvalidPermissionRules;
