//! `cargo xtask bench`: measures a release build and writes `docs/benchmarks.md`.

use crate::steps::{Outcome, Steps};
use crate::workspace::{cargo, target};

pub(crate) fn run() -> Outcome {
    let mut steps = Steps::new();
    let mut build = cargo(["build", "--release", "--package", "kugetsu", "--package", "kugetsu-testkit", "--bins"]);
    if steps.run("release build", &mut build) {
        let mut bench = cargo(["bench", "--package", "kugetsu", "--bench", "rows"]);
        let scripted_agent = target().join("release/kugetsu-scripted-agent");
        steps.run("measurements", bench.env("KUGETSU_SCRIPTED_AGENT", scripted_agent));
    }
    steps.finish()
}
