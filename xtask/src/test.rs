//! `cargo xtask test`: everything that must be right before a change is pushed.
//!
//! The whole workspace with the same flags in every step, so that each thing is compiled once for checking and once for
//! running. The house rules are among the tests (`xtask/tests/tidy/`).

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::agents::{self, System};
use crate::root::{cargo, is_ci, root, target};
use crate::step::{Answer, Steps};
use crate::{install, lint, parity, peers};

/// A program that some tests drive and that is not on every machine.
struct Need {
    name: &'static str,
    /// How the names of those tests begin.
    tests: &'static str,
}

const OPENCODE: Need = Need { name: "opencode", tests: "needs_opencode_" };
const PRISM: Need = Need { name: "prism", tests: "needs_prism_" };
const MYWORLD: Need = Need { name: "myworld", tests: "needs_myworld_" };
const GIT_LFS: Need = Need { name: "git-lfs", tests: "needs_git_lfs_" };
const BUBBLEWRAP: Need = Need { name: "bubblewrap", tests: "needs_bubblewrap_" };

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
    let Some(names) = steps.check("list of tests", "cargo xtask test", || runner.names()) else { return };
    let system = if is_ci() { System::Change } else { System::Keep };
    let opencode = have(steps, &OPENCODE, &names, || agents::opencode(system));
    let git_lfs = have(steps, &GIT_LFS, &names, || install::git_lfs(system));
    let bubblewrap = have(steps, &BUBBLEWRAP, &names, || install::bubblewrap(system));
    let prism = have(steps, &PRISM, &names, || peers::prism(system));
    let myworld = have(steps, &MYWORLD, &names, || peers::myworld(system));
    let mut left_out = Vec::new();
    left_out.extend(opencode.is_none().then_some(OPENCODE.tests));
    left_out.extend(git_lfs.is_none().then_some(GIT_LFS.tests));
    left_out.extend(bubblewrap.is_none().then_some(BUBBLEWRAP.tests));
    left_out.extend(prism.is_none().then_some(PRISM.tests));
    left_out.extend(myworld.is_none().then_some(MYWORLD.tests));
    let mut command = runner.all(&left_out);
    let scripted = target().join("debug/kugetsu-scripted-agent");
    if scripted.is_file() {
        command.env("KUGETSU_SCRIPTED_AGENT", scripted);
    }
    for (variable, program) in [("KUGETSU_OPENCODE", opencode), ("KUGETSU_PRISM", prism), ("KUGETSU_MYWORLD", myworld)]
    {
        command.envs(program.map(|program| (variable, program)));
    }
    // All servers of the tests are on this machine, and no proxy reaches those.
    command.env("NO_PROXY", "127.0.0.1,localhost");
    let passed = steps.run("tests", &mut command);
    // What each run of nextest leaves (.config/nextest.toml); without nextest there is no such list.
    if passed && runner == Runner::Nextest {
        let report = target().join("nextest/default/junit.xml");
        steps.check("parity: every row's tests ran", "cargo xtask test", || {
            parity::all_ran(&root().join("docs/parity.md"), &report)
        });
    }
    // `cargo test` has run them already.
    if runner == Runner::Nextest && has_doctests(&root().join("crates")) {
        steps.run("examples in documentation", &mut cargo(["test", "--workspace", "--doc", "--quiet"]));
    }
}

/// A program, if any test wants it and it can be had. A build server must have it.
fn have<T>(steps: &mut Steps, need: &Need, names: &[String], get: impl FnOnce() -> Result<T, String>) -> Option<T> {
    let wanted: Vec<&String> = names.iter().filter(|name| name.contains(need.tests)).collect();
    if wanted.is_empty() {
        return None;
    }
    println!("==> {}: for {} tests", need.name, wanted.len());
    let why = match get() {
        Ok(got) => return Some(got),
        Err(why) => why,
    };
    println!("    {why}");
    for name in wanted {
        steps.skipped(format!("{name}: {} could not be had: {why}", need.name));
    }
    if is_ci() {
        steps.check(need.name, "cargo xtask install", || Err::<(), _>(why));
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
    /// All tests but those whose names hold one of these words.
    fn all(self, left_out: &[&str]) -> Command {
        let mut command = match self {
            Self::Nextest => cargo(["nextest", "run", "--workspace", "--no-fail-fast", "--cargo-quiet"]),
            Self::Cargo => cargo(["test", "--workspace", "--no-fail-fast", "--quiet"]),
        };
        if !left_out.is_empty() {
            match self {
                Self::Nextest => {
                    let filters: Vec<_> = left_out.iter().map(|word| format!("not test({word})")).collect();
                    command.args(["-E", &filters.join(" and ")])
                }
                Self::Cargo => command.arg("--").args(left_out.iter().flat_map(|word| ["--skip", *word])),
            };
        }
        command
    }

    /// The names of all tests.
    fn names(self) -> Result<Vec<String>, String> {
        let mut list = match self {
            Self::Nextest => cargo(["nextest", "list", "--workspace", "--cargo-quiet", "--message-format", "oneline"]),
            Self::Cargo => cargo(["test", "--workspace", "--quiet", "--", "--list", "--format", "terse"]),
        };
        let output = list.output().map_err(|error| format!("the tests could not be listed: {error}"))?;
        if !output.status.success() {
            return Err(format!("the tests could not be listed: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(lines.lines().map(|line| line.trim().trim_end_matches(": test").to_owned()).collect())
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
    use super::{Runner, holds_example};

    #[test]
    fn an_example_is_told_from_other_blocks() {
        assert!(!holds_example("/// ```text\n/// a\n/// ```\nfn a() {}"));
        assert!(holds_example("/// ```json\n/// ```\n//! ```\n//! a();\n//! ```"));
        assert!(!holds_example("let a = \"```\";"));
    }

    #[test]
    fn tests_without_their_program_are_left_out_by_name() {
        let words = |runner: Runner, left_out: &[&str]| {
            let command = runner.all(left_out);
            command.get_args().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert!(words(Runner::Nextest, &["a_", "b_"]).ends_with("-E not test(a_) and not test(b_)"));
        assert!(words(Runner::Cargo, &["a_", "b_"]).ends_with("-- --skip a_ --skip b_"));
        assert!(!words(Runner::Nextest, &[]).contains("-E"));
    }
}
