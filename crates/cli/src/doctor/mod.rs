//! What the work needs, checked: one file for each subject. Nothing here changes anything but `repair`.

pub(crate) mod agents;
pub(crate) mod check;
pub(crate) mod daemon;
pub(crate) mod database;
pub(crate) mod git;
pub(crate) mod home;
pub(crate) mod kernel;
pub(crate) mod login;
pub(crate) mod orphans;
pub(crate) mod repair;
pub(crate) mod script;
pub(crate) mod servers;
pub(crate) mod settings;
pub(crate) mod unit;
