//! What every handler is given.

use kugetsu_engine::Engine;

use crate::control::Control;

/// The engine, and the daemon around it.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) control: Control,
}
