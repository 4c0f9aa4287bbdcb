//! Finds an agent's program and asks for its version.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kugetsu_process::{OneShot, RunError, find_on_path, is_executable};
use thiserror::Error;

use crate::profile::Profile;
use crate::truncate::{LINE_MAX, truncate};

/// The longest `--version` may take. opencode needs 1.5 s on an idle machine and far more on one that is busy.
const VERSION_LIMIT: Duration = Duration::from_secs(60);

/// An agent's program is not there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the agent {name} is not installed: there is no program `{}`{}; {hint}", program.display(), place(program))]
pub struct NotInstalled {
    /// The agent.
    pub name: String,
    /// What was looked for.
    pub program: PathBuf,
    /// What to do.
    pub hint: String,
}

/// An agent's program does not say its version.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VersionError {
    /// It could not be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// It failed.
    #[error("`{} --version` failed ({status}){}", program.display(), said(stderr))]
    Failed {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it printed on stderr.
        stderr: String,
    },
    /// It printed no version.
    #[error("`{} --version` printed no version", program.display())]
    Silent {
        /// The program.
        program: PathBuf,
    },
}

fn place(program: &Path) -> &'static str {
    if program.components().count() > 1 { "" } else { " on the PATH" }
}

fn said(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!(": {stderr}") }
}

/// Where the agent's program is: its absolute path as it stands, or the first file of its name on `search_path` that may
/// be executed. Relative entries of `search_path` are left out, for they would mean a file in the agent's worktree.
///
/// # Errors
/// [`NotInstalled`] says how to install it.
pub fn find_program(profile: &Profile, search_path: &OsStr) -> Result<PathBuf, NotInstalled> {
    let name = Path::new(profile.program_name());
    let found = if name.is_absolute() {
        is_executable(name).then(|| name.to_owned())
    } else if name.components().count() == 1 {
        find_on_path(name.as_os_str(), search_path)
    } else {
        None
    };
    found.ok_or_else(|| NotInstalled {
        name: profile.name.clone(),
        program: name.to_owned(),
        hint: profile.install_hint.clone(),
    })
}

/// What the program says to `--version`, in one line.
///
/// # Errors
/// [`VersionError`] if it cannot be run, does not end, fails or prints nothing.
pub async fn program_version(profile: &Profile, program: &Path) -> Result<String, VersionError> {
    let mut short = OneShot::new(program).arg("--version").stdout_max(LINE_MAX).time_limit(VERSION_LIMIT);
    for (name, value) in &profile.env {
        short = short.env(OsString::from(name), OsString::from(value));
    }
    let ended = kugetsu_process::run(short).await?;
    if !ended.status.success() {
        let stderr = truncate(String::from_utf8_lossy(&ended.stderr).trim().to_owned(), LINE_MAX);
        return Err(VersionError::Failed { program: program.to_owned(), status: ended.status, stderr });
    }
    let text = String::from_utf8_lossy(&ended.stdout);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    line.map(str::to_owned).ok_or_else(|| VersionError::Silent { program: program.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::lookup::profile;
    use crate::profile::CustomProfile;

    fn program(directory: &Path, text: &str, mode: u32) -> PathBuf {
        let path = directory.join("an agent");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn agent(program: &Path) -> Profile {
        let own = CustomProfile { name: "own".into(), program: program.to_owned(), ..CustomProfile::default() };
        profile("own", &[own]).unwrap()
    }

    #[test]
    fn a_program_is_found_on_the_path_and_by_its_path() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        program(one.path(), "", 0o644);
        let path = program(two.path(), "", 0o755);
        let search = std::env::join_paths([Path::new("relative"), one.path(), two.path()]).unwrap();
        assert_eq!(find_program(&agent(Path::new("an agent")), &search).unwrap(), path);
        assert_eq!(find_program(&agent(&path), OsStr::new("")).unwrap(), path);
    }

    #[test]
    fn a_program_that_is_not_there_is_told_with_the_way_to_install_it() {
        let opencode = profile("opencode", &[]).unwrap();
        let error = find_program(&opencode, OsStr::new("/nonexistent")).unwrap_err().to_string();
        assert!(error.contains("no program `opencode` on the PATH") && error.contains("npm install"), "{error}");
        assert!(find_program(&agent(Path::new("bin/agent")), OsStr::new("/")).is_err(), "relative paths mean nothing");
    }

    #[tokio::test]
    async fn a_version_is_one_line_or_an_error_in_words() {
        let directory = tempfile::tempdir().unwrap();
        let path = program(directory.path(), "#!/bin/sh\n[ \"$1\" = --version ] && echo && echo 1.2.3\n", 0o755);
        assert_eq!(program_version(&agent(&path), &path).await.unwrap(), "1.2.3");
        program(directory.path(), "#!/bin/sh\necho no >&2; exit 3\n", 0o755);
        let error = program_version(&agent(&path), &path).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.ends_with(": no"), "{error}");
    }
}
