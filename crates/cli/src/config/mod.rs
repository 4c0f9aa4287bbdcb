//! The settings: their layers, and how users change them.

pub(crate) mod edit;
pub(crate) mod entries;
pub(crate) mod layer;
pub(crate) mod load;
pub(crate) mod schema;
pub(crate) mod script;
pub(crate) mod template;
