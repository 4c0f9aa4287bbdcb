//! The real agent for the tests named `needs_opencode_...`, in one pinned version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::programs::{SystemPackages, from_variable, install_npm_package, wait};
use crate::workspace::target;

/// The version that kugetsu is tested with. npm never changes a published version.
pub(crate) const VERSION: &str = "1.18.33";

/// Limit for the first start, in which opencode unpacks itself.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Returns the program of [`VERSION`]: the one that `KUGETSU_OPENCODE` names, or the one installed below `target`, which
/// is installed now if it is missing.
pub(crate) fn program(system: SystemPackages) -> Result<PathBuf, String> {
    if let Some(program) = from_variable("KUGETSU_OPENCODE")? {
        return match is_pinned_version(&program) {
            true => Ok(program),
            false => Err(format!("KUGETSU_OPENCODE names {}, which is not opencode {VERSION}", program.display())),
        };
    }
    let directory = target().join("agents/opencode");
    if let Some(program) = installed(&directory) {
        return Ok(program);
    }
    install_npm_package("opencode-ai", VERSION, &directory, system)?;
    installed(&directory).ok_or_else(|| {
        format!("npm installed opencode-ai@{VERSION} in {}, but none of its programs starts", directory.display())
    })
}

/// The first program of the installation that starts here: one of the two for x86-64 needs a processor with AVX2.
fn installed(directory: &Path) -> Option<PathBuf> {
    let platform = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "linux-x64",
        ("linux", "aarch64") => "linux-arm64",
        ("macos", "x86_64") => "darwin-x64",
        ("macos", "aarch64") => "darwin-arm64",
        _ => return None,
    };
    ["", "-baseline", "-musl", "-baseline-musl"]
        .iter()
        .map(|variant| directory.join(format!("node_modules/opencode-{platform}{variant}/bin/opencode")))
        .find(|program| program.is_file() && is_pinned_version(program))
}

fn is_pinned_version(program: &Path) -> bool {
    // opencode writes to its home even for `--version`.
    let home = target().join("agents/home");
    if fs::create_dir_all(&home).is_err() {
        return false;
    }
    let mut command = Command::new(program);
    command.arg("--version").env_clear().env("HOME", &home).current_dir(&home).stdin(Stdio::null());
    let Ok(child) = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn() else { return false };
    let Ok(child) = wait(child, START_TIMEOUT) else { return false };
    child.wait_with_output().is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == VERSION)
}
