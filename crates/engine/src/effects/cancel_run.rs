//! Asks a run's runner to stop.
//!
//! A runner that is not connected is not waited for: the request is part of the state, and a runner reads it when
//! it connects. So the effect is done once every runner that is connected now has been asked. One that does not end its run
//! is killed (`runners/watchdog.rs`).

use kugetsu_domain::ids::RunId;

use super::outcome::Outcome;
use crate::engine::Engine;

pub(crate) fn execute(engine: &Engine, run: RunId) -> Outcome {
    engine.runners().cancel(run);
    Outcome::done()
}
