//! `cargo xtask install`: what the tests need on a fresh machine.
//!
//! Needed: git, rustfmt, clippy. Better with: cargo-nextest (else plain `cargo test` runs the tests), and git-lfs,
//! bubblewrap, opencode, prism and myworld (else the tests named `needs_git_lfs_...`, `needs_opencode_...` and so on are
//! left out, and listed).

use std::process::Command;

use crate::agents::{self, System, VERSION};
use crate::peers::{self, MYWORLD, PRISM};
use crate::root::cargo;
use crate::step::{Answer, Steps};

pub(crate) fn run() -> Answer {
    let mut steps = Steps::new();
    steps.check("git", "git --version", git);
    for tool in ["fmt", "clippy"] {
        let name = if tool == "fmt" { "rustfmt" } else { "clippy" };
        steps.check(name, &format!("cargo {tool} --version"), || {
            said(&mut cargo([tool, "--version"]))
                .map_err(|why| format!("{why}; `rustup component add {name}` brings it"))
                .map(|version| println!("    {version}"))
        });
    }
    match nextest() {
        Some(version) => println!("    {version}"),
        None => steps.skipped(
            "cargo-nextest is not installed, so `cargo test` will run the tests, more slowly; \
             https://nexte.st/docs/installation has it ready made, `cargo install cargo-nextest --locked` builds it"
                .to_owned(),
        ),
    }
    if let Some(version) = steps.check("git-lfs", "apt-get install git-lfs", || git_lfs(System::Change)) {
        println!("    {version}");
    }
    if let Some(version) = steps.check("bubblewrap", "apt-get install bubblewrap", || bubblewrap(System::Change)) {
        println!("    {version}");
    }
    let programs = [
        steps.check("opencode", &format!("npm install opencode-ai@{VERSION}"), || agents::opencode(System::Change)),
        steps.check("prism", &format!("npm install @stoplight/prism-cli@{PRISM}"), || peers::prism(System::Change)),
        steps.check("myworld", &format!("pip install myworld=={MYWORLD}"), || peers::myworld(System::Change)),
    ];
    for program in programs.into_iter().flatten() {
        println!("    {}", program.display());
    }
    steps.finish()
}

/// Git is what kugetsu works with; nothing can be tested without.
pub(crate) fn git() -> Answer {
    let version = said(Command::new("git").arg("--version")).map_err(|why| {
        format!("{why}; git is needed: install it with the system's package manager (`apt-get install git`)")
    })?;
    println!("    {version}");
    Ok(())
}

/// Git LFS, which the tests named `needs_git_lfs_...` use. Its version.
///
/// # Errors
/// It cannot be had; why, in words.
pub(crate) fn git_lfs(system: System) -> Result<String, String> {
    agents::have("git-lfs", "git-lfs", "https://git-lfs.com", system)?;
    said(Command::new("git").args(["lfs", "version"]))
}

/// Bubblewrap, which the tests named `needs_bubblewrap_...` use. Its version.
///
/// # Errors
/// It cannot be had, or may not do its work here; why, in words.
pub(crate) fn bubblewrap(system: System) -> Result<String, String> {
    agents::have("bwrap", "bubblewrap", "https://github.com/containers/bubblewrap", system)?;
    let mut all = Command::new("bwrap");
    all.args(["--unshare-pid", "--unshare-ipc", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "true"]);
    said(&mut all).map_err(|why| {
        format!(
            "{why}; it needs user namespaces: see `sysctl kernel.apparmor_restrict_unprivileged_userns` (Ubuntu) and \
             `sysctl user.max_user_namespaces`"
        )
    })?;
    said(Command::new("bwrap").arg("--version"))
}

/// The version of nextest, if it is installed.
pub(crate) fn nextest() -> Option<String> {
    said(&mut cargo(["nextest", "--version"])).ok()
}

/// The first line that a command prints.
fn said(command: &mut Command) -> Result<String, String> {
    let typed = crate::step::typed(command);
    let output = command.output().map_err(|error| format!("`{typed}` could not be run ({error})"))?;
    if !output.status.success() {
        return Err(format!("`{typed}` failed ({})", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}
