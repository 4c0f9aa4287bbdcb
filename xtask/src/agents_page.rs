//! `cargo xtask agents`: writes the table and the sections of `docs/agents.md` from the built-in agents. A test checks that the
//! page is up to date.

use crate::steps::{Outcome, Steps};
use crate::workspace::cargo;

pub(crate) fn run() -> Outcome {
    let mut steps = Steps::new();
    let mut write = cargo(["test", "--quiet", "--package", "kugetsu-agent", "--lib", "page_of_agents"]);
    steps.run("docs/agents.md", write.env("KUGETSU_WRITE_AGENTS", "1"));
    steps.finish()
}
