//! `cargo xtask lint`: the checks that need no tests.

use std::path::PathBuf;
use std::process::Command;

use crate::linters::{cargo_deny, typos};
use crate::programs::{SystemPackages, first_line};
use crate::steps::{Outcome, Steps};
use crate::workspace::{cargo, is_ci, root, rust_version};

pub(crate) fn run() -> Outcome {
    let mut steps = Steps::new();
    add(&mut steps);
    steps.finish()
}

/// Adds the checks to the steps of another verb.
pub(crate) fn add(steps: &mut Steps) {
    let system = SystemPackages::by_environment();
    steps.run("format", &mut cargo(["fmt", "--all", "--check"]));
    if let Some(typos) = available(steps, "spelling", || typos(system)) {
        steps.run("spelling", Command::new(typos).current_dir(root()));
    }
    if let Some(cargo_deny) = available(steps, "dependencies", || cargo_deny(system)) {
        // The database of advisories is not available everywhere; the workflow checks it.
        let args = ["--locked", "--log-level", "error", "check", "bans", "licenses", "sources"];
        steps.run("dependencies", Command::new(cargo_deny).args(args).current_dir(root()));
    }
    minimum_rust_version(steps);
    steps.run("clippy", &mut cargo(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]));
    let mut doc = cargo(["doc", "--workspace", "--no-deps", "--keep-going", "--quiet"]);
    steps.run("documentation", doc.env("RUSTDOCFLAGS", "-D warnings"));
}

/// Returns the program of a check. If it is not available, the check is skipped, which in CI is a failure.
fn available(steps: &mut Steps, check: &'static str, get: impl FnOnce() -> Result<PathBuf, String>) -> Option<PathBuf> {
    let error = match get() {
        Ok(program) => return Some(program),
        Err(error) => error,
    };
    if is_ci() {
        steps.check(check, "cargo xtask install", || Err::<(), _>(error));
    } else {
        steps.skip(format!("{check}: {error}"));
    }
    None
}

/// `rust-version` promises that this version compiles the program, which only a build with it shows.
fn minimum_rust_version(steps: &mut Steps) {
    const NAME: &str = "minimum Rust version";
    let promised = rust_version();
    let used = first_line(Command::new("rustc").arg("--version").current_dir(root()));
    let is_used = used.as_ref().is_ok_and(|used| {
        used.split(' ').nth(1).is_some_and(|used| used == promised || used.starts_with(&format!("{promised}.")))
    });
    if is_used || is_ci() {
        steps.check(NAME, "rustc --version", || match is_used {
            true => Ok(()),
            false => Err(format!(
                "rust-version in Cargo.toml is {promised}, but this build uses {}; CI must use that version",
                used.unwrap_or_else(|error| error)
            )),
        });
    } else {
        steps.skip(format!("{NAME}: this is not Rust {promised}; CI builds with it"));
    }
}
