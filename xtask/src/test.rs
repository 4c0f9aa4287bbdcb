//! `cargo xtask test`: everything to check before a push.
//!
//! Every step builds the whole workspace with the same flags, so that each crate is compiled once for clippy and once for
//! the tests. The house rules are tests too (`xtask/tests/tidy/`).

use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::process::Command;

use crate::agents::{self, Agent};
use crate::programs::SystemPackages;
use crate::steps::{Outcome, Steps};
use crate::workspace::{cargo, is_ci, root, target};
use crate::{install, lint, parity, peers};

/// A program that some tests need and that not every machine has.
struct Requirement {
    name: &'static str,
    /// Prefix of the names of those tests.
    prefix: &'static str,
}

const PRISM: Requirement = Requirement { name: "prism", prefix: "needs_prism_" };
const MYWORLD: Requirement = Requirement { name: "myworld", prefix: "needs_myworld_" };
const EMULATE: Requirement = Requirement { name: "emulate", prefix: "needs_emulate_" };
const CLIENTS: Requirement = Requirement { name: "clients", prefix: "needs_clients_" };
const GH: Requirement = Requirement { name: "gh", prefix: "needs_gh_" };
const GIT_LFS: Requirement = Requirement { name: "git-lfs", prefix: "needs_git_lfs_" };
const BUBBLEWRAP: Requirement = Requirement { name: "bubblewrap", prefix: "needs_bubblewrap_" };

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Default,
    /// The tests of all agents, and more of the tests with random choices.
    Full,
}

impl Extent {
    /// Whether the tests of this agent run.
    pub(crate) fn includes(self, agent: &Agent) -> bool {
        agent.is_default || self == Self::Full
    }
}

/// Kills in each of the four tests of `crates/cli/tests/it/kills/` with [`Extent::Full`].
const KILLS: &str = "125";
/// Calls of git of each scenario in `git_calls.rs` there that are killed with [`Extent::Full`]: more than there are.
const KILLED_CALLS: &str = "10000";

/// Tests of opencode in `crates/cli/tests/it/agents/` that run with [`Extent::Full`] only: each of its starts takes ten seconds of
/// processor time. By default, `crates/cli/tests/it/opencode.rs` shows the same of it, and the other agents show the rest.
const LONG: [&str; 11] = [
    "needs_opencode_pushes_its_commit",
    "needs_opencode_continues_its_session",
    "needs_opencode_changes_nothing_when_refused",
    "needs_opencode_writes_outside_when_allowed",
    "needs_opencode_ends_when_canceled",
    "needs_opencode_silent_model_ends_the_run",
    "needs_opencode_is_tried_again_when_killed",
    "needs_opencode_works_after_failures_that_pass",
    "needs_opencode_fails_with_the_reason",
    "needs_opencode_passes_its_test",
    "needs_opencode_uses_the_chosen_model",
];

pub(crate) fn run(extent: Extent) -> Outcome {
    let mut steps = Steps::new();
    if steps.check("git", "git --version", install::git).is_none() {
        return steps.finish();
    }
    lint::add(&mut steps);
    let build = ["build", "--workspace", "--all-targets", "--quiet"];
    if steps.run("build", &mut cargo(build)) {
        tests(&mut steps, extent);
    }
    steps.finish()
}

fn tests(steps: &mut Steps, extent: Extent) {
    let runner = if install::nextest().is_some() { Runner::Nextest } else { Runner::Cargo };
    let Some(names) = steps.check("list of tests", "cargo xtask test", || runner.names()) else { return };
    let system = SystemPackages::by_environment();
    let git_lfs = provide(steps, &GIT_LFS, &names, || install::git_lfs(system));
    let bubblewrap = provide(steps, &BUBBLEWRAP, &names, || install::bubblewrap(system));
    let prism = provide(steps, &PRISM, &names, || peers::prism(system));
    let myworld = provide(steps, &MYWORLD, &names, || peers::myworld(system));
    let emulate = provide(steps, &EMULATE, &names, || peers::emulate(system));
    let clients = provide(steps, &CLIENTS, &names, || peers::clients(system));
    let gh = provide(steps, &GH, &names, || peers::gh(system));
    let mut skipped = Vec::new();
    skipped.extend(git_lfs.is_none().then_some(GIT_LFS.prefix));
    skipped.extend(bubblewrap.is_none().then_some(BUBBLEWRAP.prefix));
    skipped.extend(prism.is_none().then_some(PRISM.prefix));
    skipped.extend(myworld.is_none().then_some(MYWORLD.prefix));
    skipped.extend(emulate.is_none().then_some(EMULATE.prefix));
    skipped.extend(clients.is_none().then_some(CLIENTS.prefix));
    skipped.extend(gh.is_none().then_some(GH.prefix));
    let mut opencode = None;
    for agent in &agents::ALL {
        let Agent { name, prefix, .. } = *agent;
        let program = if extent.includes(agent) {
            provide(steps, &Requirement { name, prefix }, &names, || agent.provide(system))
        } else {
            println!("==> {name}: its tests run with --full");
            None
        };
        skipped.extend(program.is_none().then_some(prefix));
        opencode = opencode.or(program.filter(|_| name == agents::OPENCODE.name));
    }
    if extent == Extent::Default {
        println!("==> {} tests of opencode run with --full: {}", LONG.len(), LONG.join(", "));
        skipped.extend(LONG);
    }
    let mut command = runner.run_all(&skipped);
    command.env("KUGETSU_AGENTS", agents::programs());
    let scripted_agent = target().join("debug/kugetsu-scripted-agent");
    if scripted_agent.is_file() {
        command.env("KUGETSU_SCRIPTED_AGENT", scripted_agent);
    }
    for (variable, program) in [
        ("KUGETSU_OPENCODE", opencode),
        ("KUGETSU_PRISM", prism),
        ("KUGETSU_MYWORLD", myworld),
        ("KUGETSU_EMULATE", emulate),
        ("KUGETSU_CLIENTS", clients),
        ("KUGETSU_GH", gh),
    ] {
        command.envs(program.map(|program| (variable, program)));
    }
    if extent == Extent::Full {
        command.env("KUGETSU_KILLS", KILLS);
        command.env("KUGETSU_KILL_CALLS", KILLED_CALLS);
        command.env("KUGETSU_EVERY_DEATH", "1");
    }
    // All servers of the tests listen on this machine; a proxy would not reach them.
    command.env("NO_PROXY", "127.0.0.1,localhost");
    let passed = steps.run("tests", &mut command);
    // Only nextest writes a report (.config/nextest.toml).
    if passed && runner == Runner::Nextest {
        let report = target().join("nextest/default/junit.xml");
        steps.check("parity: every named test ran", "cargo xtask test", || {
            parity::PAGES.iter().try_for_each(|page| parity::check_that_all_ran(root(), page, &report))
        });
    }
    // `cargo test` runs doc tests with the others, nextest does not run them.
    if runner == Runner::Nextest && has_doctests(&root().join("crates")) {
        steps.run("doc tests", &mut cargo(["test", "--workspace", "--doc", "--quiet"]));
    }
}

/// Returns the program if any test needs it and it is available. Otherwise the tests are listed as skipped, which on a
/// build server is a failure.
fn provide<T>(
    steps: &mut Steps,
    requirement: &Requirement,
    names: &[String],
    get: impl FnOnce() -> Result<T, String>,
) -> Option<T> {
    let tests: Vec<&String> = names.iter().filter(|name| name.contains(requirement.prefix)).collect();
    if tests.is_empty() {
        return None;
    }
    println!("==> {}: for {} tests", requirement.name, tests.len());
    let error = match get() {
        Ok(program) => return Some(program),
        Err(error) => error,
    };
    println!("    {error}");
    for test in tests {
        steps.skip(format!("{test}: {} is not available: {error}", requirement.name));
    }
    if is_ci() {
        steps.check(requirement.name, "cargo xtask install", || Err::<(), _>(error));
    }
    None
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Runner {
    Nextest,
    /// `cargo test`, if nextest is not installed.
    Cargo,
}

impl Runner {
    /// Runs all tests except those whose names contain one of `skipped`.
    fn run_all(self, skipped: &[&str]) -> Command {
        let mut command = match self {
            Self::Nextest => cargo(["nextest", "run", "--workspace", "--no-fail-fast", "--cargo-quiet"]),
            Self::Cargo => cargo(["test", "--workspace", "--no-fail-fast", "--quiet"]),
        };
        if self == Self::Nextest {
            // Many tests wait for processes and limits, so there is work for more threads than processors.
            let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
            command.arg(format!("--test-threads={}", processors * 2));
        }
        if !skipped.is_empty() {
            match self {
                Self::Nextest => {
                    let filters: Vec<_> = skipped.iter().map(|prefix| format!("not test({prefix})")).collect();
                    command.args(["-E", &filters.join(" and ")])
                }
                Self::Cargo => command.arg("--").args(skipped.iter().flat_map(|prefix| ["--skip", *prefix])),
            };
        }
        command
    }

    fn names(self) -> Result<Vec<String>, String> {
        let mut list = match self {
            Self::Nextest => cargo(["nextest", "list", "--workspace", "--cargo-quiet", "--message-format", "oneline"]),
            Self::Cargo => cargo(["test", "--workspace", "--quiet", "--", "--list", "--format", "terse"]),
        };
        let output = list.output().map_err(|error| format!("could not list the tests: {error}"))?;
        if !output.status.success() {
            return Err(format!("could not list the tests: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(lines.lines().map(|line| line.trim().trim_end_matches(": test").to_owned()).collect())
    }
}

/// Whether a doc comment below the directory contains an example that compiles.
fn has_doctests(directory: &Path) -> bool {
    let Ok(entries) = fs::read_dir(directory) else { return false };
    entries.flatten().map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            return has_doctests(&path);
        }
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        let text = if is_rust { fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
        has_example(&text)
    })
}

/// A code block is Rust if its label says so or if it has none.
fn has_example(text: &str) -> bool {
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
    use super::{Runner, has_example};

    #[test]
    fn only_rust_blocks_are_examples() {
        assert!(!has_example("/// ```text\n/// a\n/// ```\nfn a() {}"));
        assert!(has_example("/// ```json\n/// ```\n//! ```\n//! a();\n//! ```"));
        assert!(!has_example("let a = \"```\";"));
    }

    #[test]
    fn tests_of_missing_programs_are_skipped_by_name() {
        let args = |runner: Runner, skipped: &[&str]| {
            let command = runner.run_all(skipped);
            command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert!(args(Runner::Nextest, &["a_", "b_"]).ends_with("-E not test(a_) and not test(b_)"));
        assert!(args(Runner::Cargo, &["a_", "b_"]).ends_with("-- --skip a_ --skip b_"));
        assert!(!args(Runner::Nextest, &[]).contains("-E"));
    }
}
