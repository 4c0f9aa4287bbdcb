//! Finds an agent's program and its version.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kugetsu_process::{OneShot, RunError, find_on_path, is_executable};
use secrecy::ExposeSecret;
use thiserror::Error;

use super::agent_profile::Profile;
use super::builtin::definition::Installation;
use super::package;
use crate::environment::Variable;
use crate::truncate::{LINE_MAX, truncate};

/// Bytes of a version that are shown.
const VERSION_MAX: usize = 64;

/// opencode takes 1.5 s for `--version` on an idle machine, and much longer on a busy one.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the agent {name} is not installed: {}", missing(program))]
pub struct NotInstalled {
    pub name: String,
    pub program: PathBuf,
    hint: String,
}

impl NotInstalled {
    pub fn hint(&self) -> Option<String> {
        Some(self.hint.clone())
    }
}

#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VersionError {
    #[error(transparent)]
    Run(RunError),
    #[error("`{} --version` did not end within {} s", program.display(), VERSION_TIMEOUT.as_secs())]
    TimedOut { program: PathBuf },
    #[error("`{} --version` failed ({status}){}", program.display(), quoted(stderr))]
    Failed { program: PathBuf, status: std::process::ExitStatus, stderr: String },
    #[error("`{} --version` printed nothing", program.display())]
    Empty { program: PathBuf },
}

fn missing(program: &Path) -> String {
    if program.components().count() > 1 {
        format!("there is no program at {}", program.display())
    } else {
        format!("`{}` is not on PATH", program.display())
    }
}

fn quoted(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!(": {stderr}") }
}

/// Finds the agent's program: at its absolute path, or as the first executable with its name on `search_path`. Relative
/// entries of `search_path` are skipped, because they would depend on the agent's worktree.
///
/// # Errors
/// [`NotInstalled`].
pub fn find_program(profile: &Profile, search_path: &OsStr) -> Result<PathBuf, NotInstalled> {
    find(&profile.program, search_path).ok_or_else(|| NotInstalled {
        name: profile.name.clone(),
        program: profile.program.clone(),
        hint: hint(profile),
    })
}

/// Finds the program with the agent's own user interface, as [`find_program`] finds the agent's.
///
/// # Errors
/// [`NotInstalled`].
pub fn find_attach_program(profile: &Profile, search_path: &OsStr) -> Result<PathBuf, NotInstalled> {
    let program = profile.attach_program();
    if program == profile.program {
        return find_program(profile, search_path);
    }
    find(program, search_path).ok_or_else(|| NotInstalled {
        name: profile.name.clone(),
        program: program.to_owned(),
        hint: format!("install {}, the agent's user interface", program.display()),
    })
}

fn find(program: &Path, search_path: &OsStr) -> Option<PathBuf> {
    if program.is_absolute() {
        is_executable(program).then(|| program.to_owned())
    } else if program.components().count() == 1 {
        find_on_path(program.as_os_str(), search_path)
    } else {
        None
    }
}

fn hint(profile: &Profile) -> String {
    let Installation { command, page, runtime } = profile.installation();
    if command.is_empty() {
        return format!("install it, or correct the setting agents.{}.program", profile.name);
    }
    let needs = runtime.map(|needs| format!("; it needs {} {} or newer", needs.program, needs.at_least));
    let needs = needs.unwrap_or_default();
    format!(
        "install it with `{command}` ({page}{needs}), set the PATH of agents with `kugetsu env set PATH <value>`, or choose another agent: `kugetsu agents`"
    )
}

/// Returns the version of the program: that of its package, or the one that it prints.
pub async fn program_version(
    profile: &Profile,
    program: &Path,
    variables: &[Variable],
) -> Result<String, VersionError> {
    match package::version(program) {
        Some(version) => Ok(version),
        None => printed_version(profile, program, variables).await,
    }
}

/// Returns the version that the program prints for `--version`, with the variables of the agent's env files. This shows that the
/// program starts.
pub async fn printed_version(
    profile: &Profile,
    program: &Path,
    variables: &[Variable],
) -> Result<String, VersionError> {
    let line = version_line(profile, program, variables).await?;
    let version = version_in(&line).unwrap_or(&line);
    Ok(truncate(version.to_owned(), VERSION_MAX))
}

/// Returns the version in a line such as `GitHub Copilot CLI 1.0.102.` or `v22.19.0`: its first word that begins with digits
/// and a dot.
pub(super) fn version_in(line: &str) -> Option<&str> {
    let parts = line.split_whitespace().map(|part| part.strip_prefix('v').unwrap_or(part).trim_end_matches(['.', ',']));
    let is_version = |part: &&str| {
        part.split_once('.').is_some_and(|(major, rest)| {
            !major.is_empty()
                && major.bytes().all(|byte| byte.is_ascii_digit())
                && rest.starts_with(|c: char| c.is_ascii_digit())
        })
    };
    // Two could be the version and a date.
    let mut versions = parts.filter(is_version);
    versions.next().filter(|_| versions.next().is_none())
}

async fn version_line(profile: &Profile, program: &Path, variables: &[Variable]) -> Result<String, VersionError> {
    // Not where the caller is, which may be a worktree with files that an agent left for such a program.
    let mut command = OneShot::new(program).arg("--version").cwd("/").stdout_max(LINE_MAX).time_limit(VERSION_TIMEOUT);
    let withheld: Vec<&str> = profile.withheld(variables).collect();
    for name in &withheld {
        command = command.without_env(*name);
    }
    for variable in variables.iter().filter(|variable| !withheld.contains(&variable.name.as_str())) {
        command = command.env(OsString::from(&variable.name), OsString::from(variable.value.expose_secret()));
    }
    for (name, value) in profile.variables() {
        command = command.env(OsString::from(name), OsString::from(value));
    }
    let output = kugetsu_process::run(command).await.map_err(|error| match error {
        RunError::TimedOut { .. } => VersionError::TimedOut { program: program.to_owned() },
        error => VersionError::Run(error),
    })?;
    if !output.status.success() {
        let stderr = truncate(String::from_utf8_lossy(&output.stderr).trim().to_owned(), LINE_MAX);
        return Err(VersionError::Failed { program: program.to_owned(), status: output.status, stderr });
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    line.map(str::to_owned).ok_or_else(|| VersionError::Empty { program: program.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::profile::{AgentSettings, profile};

    fn program(directory: &Path, text: &str, mode: u32) -> PathBuf {
        let path = directory.join("an agent");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn agent(program: &Path) -> Profile {
        let custom =
            AgentSettings { name: "own".into(), program: Some(program.to_owned()), ..AgentSettings::default() };
        profile("own", &[custom]).unwrap()
    }

    #[test]
    fn programs_are_found_by_name_and_by_path() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        program(one.path(), "", 0o644);
        let path = program(two.path(), "", 0o755);
        let search = std::env::join_paths([Path::new("relative"), one.path(), two.path()]).unwrap();
        assert_eq!(find_program(&agent(Path::new("an agent")), &search).unwrap(), path);
        assert_eq!(find_program(&agent(&path), OsStr::new("")).unwrap(), path);
    }

    #[test]
    fn missing_program_error_tells_how_to_install_it() {
        let opencode = profile("opencode", &[]).unwrap();
        let error = find_program(&opencode, OsStr::new("/nonexistent")).unwrap_err();
        assert_eq!(error.to_string(), "the agent opencode is not installed: `opencode` is not on PATH");
        assert!(error.hint().unwrap().contains("npm install"));
        assert!(find_program(&agent(Path::new("bin/agent")), OsStr::new("/")).is_err(), "relative paths are refused");
    }

    #[test]
    fn version_is_found_in_a_line() {
        let printed = [
            ("1.18.33", Some("1.18.33")),
            ("@agentclientprotocol/codex-acp 2.6.0", Some("2.6.0")),
            ("GitHub Copilot CLI 1.0.102.", Some("1.0.102")),
            ("v22.23.3", Some("22.23.3")),
            ("Python 3.13.1", Some("3.13.1")),
            ("1.0 for 2.0", None),
            ("usage: agent [-h]", None),
        ];
        for (line, version) in printed {
            assert_eq!(version_in(line), version, "{line}");
        }
    }

    #[tokio::test]
    async fn version_is_one_line_or_an_error_with_the_stderr() {
        let directory = tempfile::tempdir().unwrap();
        let path = program(directory.path(), "#!/bin/sh\n[ \"$1\" = --version ] && echo && echo 1.2.3\n", 0o755);
        assert_eq!(program_version(&agent(&path), &path, &[]).await.unwrap(), "1.2.3");
        program(directory.path(), "#!/bin/sh\npwd\n", 0o755);
        assert_eq!(program_version(&agent(&path), &path, &[]).await.unwrap(), "/");
        program(directory.path(), "#!/bin/sh\necho no >&2; exit 3\n", 0o755);
        let error = program_version(&agent(&path), &path, &[]).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.ends_with(": no"), "{error}");
    }
}
