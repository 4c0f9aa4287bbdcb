//! `cargo xtask ceilings`: lowers the ceilings in `xtask/tests/tidy/ceilings.txt` to the current counts.

use crate::steps::{Outcome, Steps};
use crate::workspace::cargo;

pub(crate) fn run() -> Outcome {
    let mut steps = Steps::new();
    let mut lower = cargo(["test", "--quiet", "--package", "xtask", "--test", "tidy", "ceilings_are_the_counts"]);
    lower.args(["--", "--include-ignored"]);
    steps.run("ceilings", lower.env("KUGETSU_LOWER_CEILINGS", "1"));
    steps.finish()
}
