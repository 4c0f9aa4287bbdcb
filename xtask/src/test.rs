//! `cargo xtask test`: everything that must be right before a change is pushed.
//!
//! The whole workspace with the same flags in every step, so that each thing is compiled once for checking and once for
//! running. The house rules are among the tests (`xtask/tests/tidy.rs`).

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::agents::{self, System, VERSION};
use crate::root::{cargo, is_ci, root, target};
use crate::step::{Answer, Steps};
use crate::{install, lint};

/// The tests that drive the real agent begin so.
const NEEDS_OPENCODE: &str = "needs_opencode_";

pub(crate) fn run() -> Answer {
    let mut steps = Steps::new();
    if steps.check("git", "git --version", install::git).is_none() {
        return steps.finish();
    }
    lint::add(&mut steps);
    let build = ["build", "--workspace", "--all-targets", "--quiet"];
    if steps.run("build", &mut cargo(build)) {
        tests(&mut steps);
    }
    steps.finish()
}

fn tests(steps: &mut Steps) {
    let runner = if install::nextest().is_some() { Runner::Nextest } else { Runner::Cargo };
    let opencode = opencode(steps, runner);
    let mut command = runner.all(opencode.is_some());
    let scripted = target().join("debug/kugetsu-scripted-agent");
    if scripted.is_file() {
        command.env("KUGETSU_SCRIPTED_AGENT", scripted);
    }
    if let Some(opencode) = opencode {
        command.env("KUGETSU_OPENCODE", opencode);
    }
    steps.run("tests", &mut command);
    // `cargo test` has run them already.
    if runner == Runner::Nextest && has_doctests(&root().join("crates")) {
        steps.run("examples in documentation", &mut cargo(["test", "--workspace", "--doc", "--quiet"]));
    }
}

/// The real agent, if any test wants it and it can be had. A build server must have it.
fn opencode(steps: &mut Steps, runner: Runner) -> Option<std::path::PathBuf> {
    let wanted = match runner.needing_opencode() {
        Ok(wanted) => wanted,
        Err(why) => {
            steps.check("list of tests", "cargo xtask test", || Err::<(), _>(why));
            return None;
        }
    };
    if wanted.is_empty() {
        return None;
    }
    let system = if is_ci() { System::Change } else { System::Keep };
    println!("==> opencode: version {VERSION} for {} tests", wanted.len());
    let why = match agents::opencode(system) {
        Ok(opencode) => return Some(opencode),
        Err(why) => why,
    };
    println!("    {why}");
    for name in wanted {
        steps.skipped(format!("{name}: opencode could not be had: {why}"));
    }
    if is_ci() {
        steps.check("opencode", "cargo xtask install", || Err::<(), _>(why));
    }
    None
}

/// What runs the tests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Runner {
    Nextest,
    /// Where nextest is not installed.
    Cargo,
}

impl Runner {
    fn all(self, with_opencode: bool) -> Command {
        let mut command = match self {
            Self::Nextest => cargo(["nextest", "run", "--workspace", "--no-fail-fast", "--cargo-quiet"]),
            Self::Cargo => cargo(["test", "--workspace", "--no-fail-fast", "--quiet"]),
        };
        if !with_opencode {
            match self {
                Self::Nextest => command.args(["-E", &format!("not test({NEEDS_OPENCODE})")]),
                Self::Cargo => command.args(["--", "--skip", NEEDS_OPENCODE]),
            };
        }
        command
    }

    /// The names of the tests that want the real agent.
    fn needing_opencode(self) -> Result<Vec<String>, String> {
        let mut list = match self {
            Self::Nextest => cargo(["nextest", "list", "--workspace", "--cargo-quiet", "--message-format", "oneline"]),
            Self::Cargo => cargo(["test", "--workspace", "--quiet", "--", "--list", "--format", "terse"]),
        };
        let output = list.output().map_err(|error| format!("the tests could not be listed: {error}"))?;
        if !output.status.success() {
            return Err(format!("the tests could not be listed: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let named = lines.lines().filter(|line| line.contains(NEEDS_OPENCODE));
        Ok(named.map(|line| line.trim().trim_end_matches(": test").to_owned()).collect())
    }
}

/// Whether a comment in this directory holds an example to be compiled.
fn has_doctests(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return false };
    entries.flatten().map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            return has_doctests(&path);
        }
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        let text = if is_rust { fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
        holds_example(&text)
    })
}

/// Rust is what a block holds that says so, or says nothing.
fn holds_example(text: &str) -> bool {
    let mut inside = false;
    let comments = text.lines().filter_map(|line| {
        let line = line.trim_start();
        line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))
    });
    for label in comments.filter_map(|line| line.trim_start().strip_prefix("```")) {
        inside = !inside;
        let first = label.split(',').next().unwrap_or_default().trim();
        if inside && ["", "rust", "no_run", "should_panic", "compile_fail"].contains(&first) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::holds_example;

    #[test]
    fn an_example_is_told_from_other_blocks() {
        assert!(!holds_example("/// ```text\n/// a\n/// ```\nfn a() {}"));
        assert!(holds_example("/// ```json\n/// ```\n//! ```\n//! a();\n//! ```"));
        assert!(!holds_example("let a = \"```\";"));
    }
}
