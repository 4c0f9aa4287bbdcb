//! `cargo xtask states`: writes `docs/states.md` from the state tables of the crate `domain`, and the tables of `docs/loop.md`. Tests
//! check that the pages are up to date.

use crate::steps::{Outcome, Steps};
use crate::workspace::cargo;

pub(crate) fn run() -> Outcome {
    let mut steps = Steps::new();
    let mut write = cargo(["test", "--quiet", "--package", "kugetsu-domain", "--test", "it", "page::"]);
    steps.run("docs/states.md", write.env("KUGETSU_WRITE_STATES", "1"));
    let mut write = cargo(["test", "--quiet", "--package", "kugetsu-engine", "--test", "it", "loop_page::"]);
    steps.run("docs/loop.md", write.env("KUGETSU_WRITE_STATES", "1"));
    steps.finish()
}
