//! Programs that the forge client is tested against, in pinned versions: Prism, which checks requests and answers
//! against published API descriptions, `myworld` and `emulate`, two emulators of GitHub, and clients of forges, which call the
//! testkit's servers.

use std::fs;
use std::path::PathBuf;

use crate::agents::{node, write_launcher};
use crate::programs::{
    SystemPackages, from_variable, install_locked_python_packages, install_npm_package, install_python_package,
    on_path, require,
};
use crate::workspace::{root, target};

/// Version of the npm package `@stoplight/prism-cli`.
pub(crate) const PRISM: &str = "5.16.0";

/// Version of the Python package `myworld`, which needs Python 3.11.
pub(crate) const MYWORLD: &str = "0.2.1";

/// Version of the npm package `emulate`. The tag `latest` names another program of the same name.
pub(crate) const EMULATE: &str = "0.12.2";

/// The oldest Python for the clients.
const CLIENTS_PYTHON: (u32, u32) = (3, 11);

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
    let directory = target().join("peers").join(format!("myworld-gateway-{MYWORLD}"));
    let program = directory.join("bin/myworld");
    if !program.is_file() {
        // Without the extra, its GitHub answers the first request with an error: the package for GraphQL is missing.
        install_python_package("myworld[gateway]", MYWORLD, &directory, system)?;
    }
    installed(program)
}

/// Returns the emulator as [`prism`] does; its variable is `KUGETSU_EMULATE`. It needs Node.js 22, which is installed if the
/// system's is older.
pub(crate) fn emulate(system: SystemPackages) -> Result<PathBuf, String> {
    if let Some(program) = from_variable("KUGETSU_EMULATE")? {
        return Ok(program);
    }
    let directory = target().join("peers").join(format!("emulate-{EMULATE}"));
    let program = directory.join("node_modules/.bin/emulate");
    if !program.is_file() {
        install_npm_package("emulate", EMULATE, &directory, system)?;
    }
    let launcher = directory.join("emulate");
    write_launcher(&launcher, &installed(program)?, node(system)?.as_deref())?;
    Ok(launcher)
}

/// Returns the Python that has the clients of forges in `xtask/clients/`, as [`prism`] does; its variable is `KUGETSU_CLIENTS`.
pub(crate) fn clients(system: SystemPackages) -> Result<PathBuf, String> {
    if let Some(program) = from_variable("KUGETSU_CLIENTS")? {
        return Ok(program);
    }
    let list = root().join("xtask/clients/requirements.txt");
    let directory = target().join("peers/clients");
    let (program, stamp) = (directory.join("bin/python"), directory.join("installed"));
    let wanted = fs::read_to_string(&list).map_err(|error| format!("could not read {}: {error}", list.display()))?;
    if !program.is_file() || fs::read_to_string(&stamp).ok().as_deref() != Some(wanted.as_str()) {
        install_locked_python_packages(&list, &directory, CLIENTS_PYTHON, system)?;
        fs::write(&stamp, wanted).map_err(|error| format!("could not write {}: {error}", stamp.display()))?;
    }
    installed(program)
}

/// Returns the gh on `PATH`.
pub(crate) fn gh(system: SystemPackages) -> Result<PathBuf, String> {
    require("gh", "gh", "https://cli.github.com", system)?;
    on_path("gh").ok_or_else(|| "gh was installed, but is not on PATH".to_owned())
}

fn installed(program: PathBuf) -> Result<PathBuf, String> {
    match program.is_file() {
        true => Ok(program),
        false => Err(format!("the installation has no {}", program.display())),
    }
}
