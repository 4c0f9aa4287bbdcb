//! `cargo xtask lint`: the form of the code, without a warning.

use crate::root::cargo;
use crate::step::{Answer, Steps};

pub(crate) fn run() -> Answer {
    let mut steps = Steps::new();
    add(&mut steps);
    steps.finish()
}

/// The same as steps of a longer call.
pub(crate) fn add(steps: &mut Steps) {
    steps.run("format", &mut cargo(["fmt", "--all", "--check"]));
    steps.run("clippy", &mut cargo(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]));
}
