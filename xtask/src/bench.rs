//! `cargo xtask bench`: measures a release build and writes `docs/benchmarks.md`.

use std::process::Command;

use crate::root::{cargo, target};
use crate::step::{Answer, Steps};

pub(crate) fn run() -> Answer {
    let mut steps = Steps::new();
    let mut build = cargo(["build", "--release", "--package", "kugetsu", "--package", "kugetsu-testkit", "--bins"]);
    if steps.run("release build", &mut build) {
        let mut bench: Command = cargo(["bench", "--package", "kugetsu", "--bench", "rows"]);
        let scripted = target().join("release/kugetsu-scripted-agent");
        steps.run("measuring", bench.env("KUGETSU_SCRIPTED_AGENT", scripted));
    }
    steps.finish()
}
