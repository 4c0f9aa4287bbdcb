//! The agents: their commands, environments and quirks, and their programs on this machine.

mod agent_profile;
mod builtin;
mod first_start;
mod install;
mod known_models;
mod lookup;
mod package;
mod permission_rules;
mod runtime;
mod support;

pub(crate) use agent_profile::chosen;
pub use agent_profile::{AgentSettings, Launch, Profile, SessionDeletion};
pub use builtin::definition::{Base, Installation, Login, Runtime, Switch, Trailers, UserFile};
pub(crate) use builtin::definition::{
    FailureSign, LostSession, PermissionControl, Quirks, SessionFile, SessionFormat, UsageReport,
};
pub use builtin::exception::Exception;
pub use first_start::FirstStart;
pub use install::{NotInstalled, VersionError, find_attach_program, find_program, printed_version, program_version};
pub use known_models::{Offer, models_in, near_models, offer, record_models, recorded_models};
pub use lookup::{UnknownAgent, agent_names, first_built_in, is_built_in, profile, refs_of_agents};
pub use permission_rules::InvalidPermissionRules;
pub use runtime::RuntimeState;
pub use support::Supported;
