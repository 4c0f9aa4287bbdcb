//! Programs of others that the client of the forges is tested against, each in one pinned version and in a place of its
//! own: Prism, which checks both sides against published descriptions of APIs, and `myworld`, an emulator of GitHub.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::agents::{self, System, from_npm, have, in_time};
use crate::root::{root, target};

/// The npm package `@stoplight/prism-cli`.
pub(crate) const PRISM: &str = "5.16.0";

/// The Python package `myworld`, which needs Python 3.11.
pub(crate) const MYWORLD: &str = "0.2.1";

/// Prism: from `KUGETSU_PRISM`, as installed before, or installed now below `target`.
///
/// # Errors
/// It cannot be had; why, in words.
pub(crate) fn prism(system: System) -> Result<PathBuf, String> {
    if let Some(given) = given("KUGETSU_PRISM")? {
        return Ok(given);
    }
    let home = target().join("peers").join(format!("prism-{PRISM}"));
    let program = home.join("node_modules/.bin/prism");
    if !program.is_file() {
        from_npm("@stoplight/prism-cli", PRISM, &home, system)?;
    }
    installed(program)
}

/// The emulator: from `KUGETSU_MYWORLD`, as installed before, or installed now below `target`.
///
/// # Errors
/// It cannot be had; why, in words.
pub(crate) fn myworld(system: System) -> Result<PathBuf, String> {
    if let Some(given) = given("KUGETSU_MYWORLD")? {
        return Ok(given);
    }
    let home = target().join("peers").join(format!("myworld-{MYWORLD}"));
    let program = home.join("bin/myworld");
    if !program.is_file() {
        have("python3", "python3", "https://www.python.org", system)?;
        environment(&home, system)?;
        let mut pip = Command::new(home.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", &format!("myworld=={MYWORLD}")]);
        in_time(&mut pip, agents::INSTALL_TIME)?;
    }
    installed(program)
}

/// A Python environment. Debian has what makes one in a package of its own.
fn environment(home: &Path, system: System) -> Result<(), String> {
    let make = || in_time(Command::new("python3").args(["-m", "venv"]).arg(home), agents::INSTALL_TIME);
    match make() {
        Err(_) if system == System::Change && agents::on_path("apt-get").is_some() => {
            agents::package("python3-venv")?;
            make()
        }
        Err(why) => Err(format!("{why}; install it (`apt-get install python3-venv`)")),
        Ok(()) => Ok(()),
    }
}

/// The program that a variable names, if it does.
fn given(variable: &str) -> Result<Option<PathBuf>, String> {
    let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) else { return Ok(None) };
    let path = root().join(path);
    match path.is_file() {
        true => Ok(Some(path)),
        false => Err(format!("{variable} names {}, which is no file", path.display())),
    }
}

fn installed(program: PathBuf) -> Result<PathBuf, String> {
    match program.is_file() {
        true => Ok(program),
        false => Err(format!("the installation has no {}", program.display())),
    }
}
