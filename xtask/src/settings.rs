//! `cargo xtask settings`: writes the table of `docs/settings.md` from the commented `config.toml`. A test checks that
//! the page is up to date.

use crate::steps::{Outcome, Steps};
use crate::workspace::cargo;

pub(crate) fn run() -> Outcome {
    let mut steps = Steps::new();
    let mut write = cargo(["test", "--quiet", "--package", "kugetsu", "--lib", "page_of_settings"]);
    steps.run("docs/settings.md", write.env("KUGETSU_WRITE_SETTINGS", "1"));
    steps.finish()
}
