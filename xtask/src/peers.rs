//! Programs that the forge client is tested against, in pinned versions: Prism, which checks requests and answers
//! against published API descriptions, and `myworld`, an emulator of GitHub.

use std::path::PathBuf;

use crate::programs::{SystemPackages, from_variable, install_npm_package, install_python_package};
use crate::workspace::target;

/// Version of the npm package `@stoplight/prism-cli`.
pub(crate) const PRISM: &str = "5.16.0";

/// Version of the Python package `myworld`, which needs Python 3.11.
pub(crate) const MYWORLD: &str = "0.2.1";

/// Returns Prism: the program that `KUGETSU_PRISM` names, or the one installed below `target`, which is installed now if
/// it is missing.
pub(crate) fn prism(system: SystemPackages) -> Result<PathBuf, String> {
    if let Some(program) = from_variable("KUGETSU_PRISM")? {
        return Ok(program);
    }
    let directory = target().join("peers").join(format!("prism-{PRISM}"));
    let program = directory.join("node_modules/.bin/prism");
    if !program.is_file() {
        install_npm_package("@stoplight/prism-cli", PRISM, &directory, system)?;
    }
    installed(program)
}

/// Returns the emulator as [`prism`] does; its variable is `KUGETSU_MYWORLD`.
pub(crate) fn myworld(system: SystemPackages) -> Result<PathBuf, String> {
    if let Some(program) = from_variable("KUGETSU_MYWORLD")? {
        return Ok(program);
    }
    let directory = target().join("peers").join(format!("myworld-{MYWORLD}"));
    let program = directory.join("bin/myworld");
    if !program.is_file() {
        install_python_package("myworld", MYWORLD, &directory, system)?;
    }
    installed(program)
}

fn installed(program: PathBuf) -> Result<PathBuf, String> {
    match program.is_file() {
        true => Ok(program),
        false => Err(format!("the installation has no {}", program.display())),
    }
}
