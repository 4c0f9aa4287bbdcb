//! The checks of `kugetsu doctor`, one file per subject. Only `repair` changes anything.

pub(crate) mod agents;
pub(crate) mod check;
pub(crate) mod daemon;
pub(crate) mod database;
pub(crate) mod home;
pub(crate) mod host;
pub(crate) mod orphans;
pub(crate) mod repair;
pub(crate) mod servers;
pub(crate) mod settings;
pub(crate) mod watches;
