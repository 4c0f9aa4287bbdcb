//! Finds and installs programs that tests and linters need: on `PATH`, with `apt-get`, npm or pip.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::steps::shell_line;
use crate::workspace::{is_ci, root};

/// Limit for one package manager. Some packages are over 100 MB.
pub(crate) const INSTALL_TIMEOUT: Duration = Duration::from_secs(600);
const APT_TIMEOUT: Duration = Duration::from_secs(300);

/// Whether missing system packages are installed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SystemPackages {
    Leave,
    /// With `apt-get install`, if this process runs as root.
    Install,
}

impl SystemPackages {
    /// Installs on a build server only.
    pub(crate) fn by_environment() -> Self {
        if is_ci() { Self::Install } else { Self::Leave }
    }
}

pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// The program that the environment variable names, if it is set.
///
/// # Errors
/// The variable does not name a file.
pub(crate) fn from_variable(variable: &str) -> Result<Option<PathBuf>, String> {
    let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) else { return Ok(None) };
    let path = root().join(path);
    match path.is_file() {
        true => Ok(Some(path)),
        false => Err(format!("{variable} names {}, which is not a file", path.display())),
    }
}

/// Makes sure that a program is on `PATH`. `package` is its Debian package, `page` the address of its instructions.
///
/// # Errors
/// The program is missing and was not installed.
pub(crate) fn require(program: &str, package: &str, page: &str, system: SystemPackages) -> Result<(), String> {
    if on_path(program).is_some() {
        return Ok(());
    }
    if system == SystemPackages::Leave {
        return Err(format!(
            "{program} is not on PATH; install it (`apt-get install {package}`, {page}) or run `cargo xtask install`"
        ));
    }
    if on_path("apt-get").is_none() || !is_root() {
        return Err(format!(
            "{program} is not on PATH and can be installed automatically only by root with apt-get; install it ({page})"
        ));
    }
    install_system_package(package)
}

pub(crate) fn install_system_package(name: &str) -> Result<(), String> {
    run_with_timeout(Command::new("apt-get").arg("update").arg("--quiet"), APT_TIMEOUT)?;
    let mut apt = Command::new("apt-get");
    apt.args(["install", "--yes", "--quiet", "--no-install-recommends", name]).env("DEBIAN_FRONTEND", "noninteractive");
    run_with_timeout(&mut apt, APT_TIMEOUT)
}

/// Installs one version of an npm package into `directory`.
pub(crate) fn install_npm_package(
    package: &str,
    version: &str,
    directory: &Path,
    system: SystemPackages,
) -> Result<(), String> {
    let mut npm = npm_install(directory, system)?;
    run_with_timeout(npm.args(["--save-exact", &format!("{package}@{version}")]), INSTALL_TIMEOUT)
}

/// `npm install` into `directory`, which is created.
fn npm_install(directory: &Path, system: SystemPackages) -> Result<Command, String> {
    require("npm", "npm", "https://nodejs.org", system)?;
    fs::create_dir_all(directory).map_err(|error| format!("could not create {}: {error}", directory.display()))?;
    let mut npm = Command::new("npm");
    npm.arg("install").arg("--prefix").arg(directory);
    // No install scripts: downloaded code runs only when a test starts it.
    npm.args(["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]);
    Ok(npm)
}

/// Installs the packages of a `package-lock.json` into `directory`. Its `package.json` is beside it.
pub(crate) fn install_locked_npm_packages(
    lock_file: &Path,
    directory: &Path,
    system: SystemPackages,
) -> Result<(), String> {
    // Not `npm ci`, which refuses a lock file without the optional packages of other systems.
    let mut npm = npm_install(directory, system)?;
    for file in [lock_file.to_owned(), lock_file.with_file_name("package.json")] {
        let copy = directory.join(file.file_name().unwrap_or_default());
        fs::copy(&file, &copy).map_err(|error| format!("could not write {}: {error}", copy.display()))?;
    }
    run_with_timeout(&mut npm, INSTALL_TIMEOUT)
}

/// Installs the packages of a list with one pinned version each into a virtual environment.
pub(crate) fn install_locked_python_packages(
    list: &Path,
    directory: &Path,
    minimum: (u32, u32),
    system: SystemPackages,
) -> Result<(), String> {
    let python = python(minimum)?;
    create_environment(&python, directory, system)?;
    let mut pip = Command::new(directory.join("bin/pip"));
    // Only ready-made packages: nothing is compiled, and no build script runs. The list is complete.
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--no-deps"]);
    run_with_timeout(pip.arg("--requirement").arg(list), INSTALL_TIMEOUT)
}

/// A Python of this version or newer: on `PATH`, or one that pyenv has installed.
fn python(minimum: (u32, u32)) -> Result<PathBuf, String> {
    let names = ["python3", "python3.14", "python3.13", "python3.12"];
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.or_else(|| std::env::home_dir().map(|home| home.join(".pyenv"))).unwrap_or_default();
    let installed = fs::read_dir(pyenv.join("versions")).into_iter().flatten().flatten();
    let mut programs: Vec<PathBuf> = names.into_iter().filter_map(on_path).collect();
    programs.extend(installed.map(|entry| entry.path().join("bin/python3")));
    let found = programs.into_iter().find(|program| version_of(program).is_some_and(|version| version >= minimum));
    found
        .ok_or_else(|| format!("Python {}.{} or newer is not installed (https://www.python.org)", minimum.0, minimum.1))
}

/// Major and minor version that a program prints for `--version`, or `None` if it does not start.
pub(crate) fn version_of(program: impl AsRef<OsStr>) -> Option<(u32, u32)> {
    let line = first_line(Command::new(program).arg("--version").stderr(Stdio::null())).ok()?;
    let mut numbers = line.trim_start_matches(|c: char| !c.is_ascii_digit()).split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Installs one version of a Python package into a virtual environment of its own.
pub(crate) fn install_python_package(
    package: &str,
    version: &str,
    directory: &Path,
    system: SystemPackages,
) -> Result<(), String> {
    require("python3", "python3", "https://www.python.org", system)?;
    create_environment(Path::new("python3"), directory, system)?;
    let mut pip = Command::new(directory.join("bin/pip"));
    // Only ready-made packages: nothing is compiled, and no build script runs.
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]);
    pip.arg(format!("{package}=={version}"));
    run_with_timeout(&mut pip, INSTALL_TIMEOUT)
}

/// Creates a Python virtual environment. On Debian the module for it is a package of its own.
fn create_environment(python: &Path, directory: &Path, system: SystemPackages) -> Result<(), String> {
    let create = || run_with_timeout(Command::new(python).args(["-m", "venv"]).arg(directory), INSTALL_TIMEOUT);
    match create() {
        Err(_) if system == SystemPackages::Install && on_path("apt-get").is_some() => {
            install_system_package("python3-venv")?;
            create()
        }
        Err(error) => Err(format!("{error}; install it (`apt-get install python3-venv`)")),
        Ok(()) => Ok(()),
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

/// The first line that a command prints on stdout.
pub(crate) fn first_line(command: &mut Command) -> Result<String, String> {
    let shown = shell_line(command);
    let output = command.output().map_err(|error| format!("could not run `{shown}`: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{shown}` failed ({})", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

/// Runs a command that shares this terminal and kills it after `limit`.
pub(crate) fn run_with_timeout(command: &mut Command, limit: Duration) -> Result<(), String> {
    let shown = shell_line(command);
    println!("    {shown}");
    let child = command.stdin(Stdio::null()).spawn().map_err(|error| format!("could not run `{shown}`: {error}"))?;
    let status = wait(child, limit).and_then(|mut child| child.wait().map_err(|error| error.to_string()));
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` failed: {status}")),
        Err(error) => Err(format!("`{shown}`: {error}")),
    }
}

/// Waits for a child to exit and kills it after `limit`.
pub(crate) fn wait(mut child: Child, limit: Duration) -> Result<Child, String> {
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(_)) => return Ok(child),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("killed after {} s", limit.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}
