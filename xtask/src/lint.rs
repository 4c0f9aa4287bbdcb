//! `cargo xtask lint`: the checks that need no tests.

use crate::steps::{Outcome, Steps};
use crate::workspace::cargo;

pub(crate) fn run() -> Outcome {
    let mut steps = Steps::new();
    add(&mut steps);
    steps.finish()
}

/// Adds the checks to the steps of another verb.
pub(crate) fn add(steps: &mut Steps) {
    steps.run("format", &mut cargo(["fmt", "--all", "--check"]));
    steps.run("clippy", &mut cargo(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]));
}
