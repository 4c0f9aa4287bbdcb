//! `cargo xtask settings`: makes the table of `docs/settings.md` of the commented `config.toml`. A test of the program
//! keeps it true.

use crate::root::cargo;
use crate::step::{Answer, Steps};

pub(crate) fn run() -> Answer {
    let mut steps = Steps::new();
    let mut write = cargo(["test", "--quiet", "--package", "kugetsu", "--bin", "kugetsu", "page_of_settings"]);
    steps.run("docs/settings.md", write.env("KUGETSU_WRITE_SETTINGS", "1"));
    steps.finish()
}
