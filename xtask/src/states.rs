//! `cargo xtask states`: draws `docs/states.md` from the tables of the domain. A test of the domain keeps it true.

use crate::root::cargo;
use crate::step::{Answer, Steps};

pub(crate) fn run() -> Answer {
    let mut steps = Steps::new();
    let mut write = cargo(["test", "--quiet", "--package", "kugetsu-domain", "--test", "it", "page::"]);
    steps.run("docs/states.md", write.env("KUGETSU_WRITE_STATES", "1"));
    steps.finish()
}
