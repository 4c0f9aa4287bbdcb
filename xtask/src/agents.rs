//! Programs that some tests need: the real agent of those named `needs_opencode_...`, in one pinned version and in a
//! place of its own, and what the system's packages have.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::root::{root, target};

/// The version that kugetsu is tested with. Versions on npm never change.
pub(crate) const VERSION: &str = "1.18.33";

/// The download is 100 MB and more.
pub(crate) const INSTALL_TIME: Duration = Duration::from_secs(600);
const APT_TIME: Duration = Duration::from_secs(300);
/// Its first start unpacks itself.
const START_TIME: Duration = Duration::from_secs(60);

/// Whether packages of the system may be installed where something is missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    /// Leave it as it is.
    Keep,
    /// `apt-get install`, if we are root.
    Change,
}

/// The program of [`VERSION`]: from `KUGETSU_OPENCODE`, as installed before, or installed now below `target`.
///
/// # Errors
/// It cannot be had; why, in words.
pub(crate) fn opencode(system: System) -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("KUGETSU_OPENCODE").filter(|given| !given.is_empty()) {
        let given = root().join(given);
        return match starts(&given) {
            true => Ok(given),
            false => Err(format!("KUGETSU_OPENCODE names {}, which is not opencode {VERSION}", given.display())),
        };
    }
    let home = target().join("agents/opencode");
    if let Some(installed) = find(&home) {
        return Ok(installed);
    }
    from_npm("opencode-ai", VERSION, &home, system)?;
    find(&home).ok_or_else(|| {
        format!("npm installed opencode-ai@{VERSION} in {}, but no program there starts", home.display())
    })
}

/// Installs an npm package of one version into a directory of its own.
///
/// # Errors
/// npm is missing or fails; why, in words.
pub(crate) fn from_npm(package: &str, version: &str, home: &Path, system: System) -> Result<(), String> {
    have("npm", "npm", "https://nodejs.org", system)?;
    fs::create_dir_all(home).map_err(|error| format!("{} cannot be made: {error}", home.display()))?;
    let mut npm = Command::new("npm");
    npm.arg("install").arg("--prefix").arg(home);
    // No scripts: what is downloaded runs only when a test starts it.
    npm.args(["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error", "--save-exact"]);
    npm.arg(format!("{package}@{version}"));
    in_time(&mut npm, INSTALL_TIME)
}

/// Sees to it that a program is on `PATH`: as it is, or from the system's package. `page` says how to get it otherwise.
///
/// # Errors
/// It is missing and cannot be installed; why, in words.
pub(crate) fn have(program: &str, packaged_as: &str, page: &str, system: System) -> Result<(), String> {
    if on_path(program).is_some() {
        return Ok(());
    }
    let missing = format!("{program} is not on PATH");
    if system == System::Keep {
        return Err(format!(
            "{missing}; install it (`apt-get install {packaged_as}`, {page}), or let `cargo xtask install` try"
        ));
    }
    if on_path("apt-get").is_none() || !is_root() {
        return Err(format!(
            "{missing}, and only root on a Debian-like system can be helped; install it by hand ({page})"
        ));
    }
    package(packaged_as)
}

/// Installs a package of the system.
///
/// # Errors
/// `apt-get` fails.
pub(crate) fn package(name: &str) -> Result<(), String> {
    in_time(Command::new("apt-get").arg("update").arg("--quiet"), APT_TIME)?;
    let mut apt = Command::new("apt-get");
    apt.args(["install", "--yes", "--quiet", "--no-install-recommends", name]).env("DEBIAN_FRONTEND", "noninteractive");
    in_time(&mut apt, APT_TIME)
}

/// The first program in the installation that starts: of the two for x86-64, one needs a processor with AVX2.
fn find(home: &Path) -> Option<PathBuf> {
    let platform = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "linux-x64",
        ("linux", "aarch64") => "linux-arm64",
        ("macos", "x86_64") => "darwin-x64",
        ("macos", "aarch64") => "darwin-arm64",
        _ => return None,
    };
    ["", "-baseline", "-musl", "-baseline-musl"]
        .iter()
        .map(|variant| home.join(format!("node_modules/opencode-{platform}{variant}/bin/opencode")))
        .find(|program| program.is_file() && starts(program))
}

/// Whether it starts and is [`VERSION`]. It gets a home of its own: opencode writes there even now.
fn starts(program: &Path) -> bool {
    let home = target().join("agents/home");
    if fs::create_dir_all(&home).is_err() {
        return false;
    }
    let mut command = Command::new(program);
    command.arg("--version").env_clear().env("HOME", &home).current_dir(&home).stdin(Stdio::null());
    let Ok(child) = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn() else { return false };
    let child = match wait(child, START_TIME) {
        Ok(child) => child,
        Err(_) => return false,
    };
    child.wait_with_output().is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == VERSION)
}

/// Where a program is on `PATH`.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|found| found.is_file())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

/// Runs a command on this terminal, for `limit` at most.
pub(crate) fn in_time(command: &mut Command, limit: Duration) -> Result<(), String> {
    let typed = crate::step::typed(command);
    println!("    {typed}");
    let child = command.stdin(Stdio::null()).spawn().map_err(|error| format!("`{typed}` could not be run: {error}"))?;
    let status = wait(child, limit).and_then(|mut child| child.wait().map_err(|error| error.to_string()));
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{typed}` failed: {status}")),
        Err(why) => Err(format!("`{typed}`: {why}")),
    }
}

/// Until it has ended; kills it after `limit`.
fn wait(mut child: std::process::Child, limit: Duration) -> Result<std::process::Child, String> {
    let until = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(_)) => return Ok(child),
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("did not end within {} s and was stopped", limit.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}
