//! Where the coordinator works.

pub(crate) mod agent_home;
pub(crate) mod skill;
pub(crate) mod workspace;
