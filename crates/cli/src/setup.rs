//! Creates kugetsu's home, for `kugetsu init` and for the first command that needs one. Existing files are kept.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kugetsu_api::home::Home;
use kugetsu_api::regular_file;
use kugetsu_domain::text::counted;
use kugetsu_import::Row;
use kugetsu_runner::{BASE_CONTEXT, SKILL};
use serde::Serialize;

use crate::config::{script, template};
use crate::daemon::{lock, log_file};
use crate::failure::Failure;
use crate::ui;
use crate::{atomic, env_files};

/// Files and directories in the home that only the script creates.
pub(crate) const SCRIPT_FILES: [&str; 4] = ["index.json", "sessions", "queue", "queue.json"];

/// The result of `kugetsu init`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct InitReport {
    pub(crate) home: String,
    pub(crate) made: Vec<String>,
    /// One row for each thing that the script left.
    pub(crate) script: Vec<Row>,
    /// The directory that the script's files were moved to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backup: Option<String>,
    pub(crate) removed: Vec<String>,
    pub(crate) notes: Vec<String>,
}

/// Creates the home if it is incomplete, for a command that needs one, and prints a note if it did.
pub(crate) fn ensure_home(home: &Home) -> Result<(), Failure> {
    home.create()?;
    if home.config().exists() {
        let mut report = InitReport::default();
        make_private(home.path(), &mut report)?;
        report.notes.iter().for_each(ui::note);
        return Ok(());
    }
    let report = create_home(home, false)?;
    if !report.made.is_empty() {
        ui::note(format!("created kugetsu's home {} (like `kugetsu init`)", report.home));
    }
    if SCRIPT_FILES.iter().any(|name| home.path().join(name).exists()) {
        ui::note("the home contains the script's sessions and queue; to take them over: kugetsu init");
    }
    Ok(())
}

/// Refuses a home of another user: what is in it decides which programs run. Takes the right to write it from others.
pub(crate) fn protect_home(home: &Path) -> Result<(), Failure> {
    let Ok(metadata) = fs::metadata(home) else { return Ok(()) };
    let (owner, own) = (metadata.uid(), nix::unistd::geteuid().as_raw());
    if owner != own {
        return Err(Failure::new(format!(
            "kugetsu's home {} belongs to another user: its owner is user {owner}, this is user {own}",
            home.display()
        ))
        .hint("run the command as its owner, or set KUGETSU_HOME to a directory of your own"));
    }
    let mode = metadata.permissions().mode();
    if mode & 0o022 == 0 {
        return Ok(());
    }
    fs::set_permissions(home, fs::Permissions::from_mode(mode & 0o755)).map_err(|error| unwritable(home, &error))?;
    ui::warning(format!(
        "kugetsu's home {} could be changed by other users (mode {:o}); now only you can change it",
        home.display(),
        mode & 0o777
    ));
    Ok(())
}

/// Creates what is missing and reports which of the script's files stay in use. With `force`, it only
/// replaces `config.toml`.
pub(crate) fn create_home(home: &Home, force: bool) -> Result<InitReport, Failure> {
    let mut report = InitReport { home: home.path().display().to_string(), ..InitReport::default() };
    let has_script = SCRIPT_FILES.iter().any(|name| home.path().join(name).exists()) || home.old_config().is_file();
    let script_config = if home.old_config().is_dir() { None } else { read_if_exists(&home.old_config())? };
    home.create()?;
    make_private(home.path(), &mut report)?;

    if force && home.config().exists() {
        if read_if_exists(&home.config())?.is_none_or(|text| text != template::config().into_bytes()) {
            let copy = back_up_settings(home)?;
            write(&home.config(), &template::config())?;
            report.made.push(format!("{} anew", home.config().display()));
            report.notes.push(format!("the settings so far are kept in {}", copy.display()));
        }
        return Ok(report);
    }
    for agent in env_files::agents(home).map_err(|error| env_files::unreadable(&home.env(), &error))? {
        let Ok(path) = env_files::path(home, &agent) else { continue };
        make_private(&path, &mut report)?;
        let count = env_files::read(&path).map_err(|error| env_files::unreadable(&path, &error))?.variables.len();
        if has_script && count > 0 {
            let what = path.strip_prefix(home.path()).unwrap_or(&path).display().to_string();
            report.script.push(Row::taken(what, format!("{}, in use as it is", counted(count as u64, "variable"))));
        }
    }
    let template = template::config();
    for (path, text) in [
        (home.config(), template.as_str()),
        (env_files::path(home, env_files::DEFAULT)?, env_files::DEFAULT_TEMPLATE),
        (env_files::path(home, env_files::PM_AGENT)?, env_files::PM_AGENT_TEMPLATE),
        (home.base_context(), BASE_CONTEXT),
        (home.coordinator_skill(), SKILL),
    ] {
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(parent)
                .map_err(|error| unwritable(parent, &error))?;
        }
        if atomic::write_if_missing(&path, text).map_err(|error| unwritable(&path, &error))? {
            report.made.push(path.display().to_string());
        }
    }
    if let Some(text) = script_config {
        let (values, _) = script::read(&home.old_config(), &text);
        let settings = counted(values.len() as u64, "setting");
        report.script.push(
            Row::taken("config", format!("{settings}, in use as it is"))
                .because("never executed; config.toml wins over it"),
        );
    }
    if has_script && home.repositories().exists() {
        report.script.push(Row::taken("repos.json", "clone locations of repositories"));
    }
    remove_logs(home, has_script, &mut report)?;
    Ok(report)
}

/// Copies `config.toml` into the directory of backups. Returns the path of the copy.
fn back_up_settings(home: &Home) -> Result<PathBuf, Failure> {
    let folder = home.backup();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| unwritable(&folder, &error))?;
    let time = Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ");
    let copy = folder.join(format!("config-{time}.toml"));
    fs::copy(home.config(), &copy).map_err(|error| unwritable(&copy, &error))?;
    Ok(copy)
}

/// Removes old logs, but not the log of a running daemon.
fn remove_logs(home: &Home, has_script: bool, report: &mut InitReport) -> Result<(), Failure> {
    let own = home.log();
    let mut logs = log_file::all_rotated(&own);
    if has_script {
        logs.push(home.path().join("queue").join("daemon.log"));
        logs.extend(logs_in(own.parent().unwrap_or(home.path()))?);
    }
    let in_use = matches!(lock::take(home), Ok(None));
    for log in logs {
        if (log == own && in_use) || !log.is_file() {
            continue;
        }
        match fs::remove_file(&log) {
            Ok(()) => report.removed.push(log.display().to_string()),
            Err(error) => return Err(Failure::new(format!("could not remove {}: {error}", log.display()))),
        }
    }
    Ok(())
}

fn logs_in(directory: &Path) -> Result<Vec<std::path::PathBuf>, Failure> {
    match fs::read_dir(directory) {
        Ok(entries) => {
            let paths: io::Result<Vec<_>> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
            let paths = paths.map_err(|error| env_files::unreadable(directory, &error))?;
            Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "log")).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(env_files::unreadable(directory, &error)),
    }
}

/// Removes the permissions of group and others, because the file may contain secrets.
fn make_private(path: &Path, report: &mut InitReport) -> Result<(), Failure> {
    let metadata = fs::metadata(path).map_err(|error| env_files::unreadable(path, &error))?;
    let mode = metadata.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700)).map_err(|error| unwritable(path, &error))?;
    report.notes.push(format!("{} was readable by others; now only you can read it", path.display()));
    Ok(())
}

fn read_if_exists(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    regular_file::read_if_there(path).map_err(|error| env_files::unreadable(path, &error))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    atomic::write(path, text).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(format!("could not write {}: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => failure.hint("free some space on that disk"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::load;

    fn home() -> (tempfile::TempDir, Home) {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("kugetsu"));
        (directory, home)
    }

    #[test]
    fn init_creates_files_once_and_force_rewrites_only_the_settings() {
        let (_directory, home) = home();
        assert_eq!(create_home(&home, false).unwrap().made.len(), 5);
        assert!(create_home(&home, false).unwrap().made.is_empty(), "everything exists");
        for path in [home.config(), home.env().join("default.env"), home.env().join("pm-agent.env")] {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
        fs::write(home.config(), "[agents]\nmax = 9\n").unwrap();
        fs::write(home.env().join("default.env"), "A=1\n").unwrap();
        fs::remove_file(home.base_context()).unwrap();
        let report = create_home(&home, true).unwrap();
        let copy = fs::read_dir(home.backup()).unwrap().next().unwrap().unwrap().path();
        assert_eq!(fs::read_to_string(&copy).unwrap(), "[agents]\nmax = 9\n");
        assert!(report.notes.iter().any(|note| note.contains(copy.to_str().unwrap())), "{:?}", report.notes);
        assert_eq!(fs::read_to_string(home.config()).unwrap(), template::config());
        assert_eq!(fs::read_to_string(home.env().join("default.env")).unwrap(), "A=1\n");
        assert!(!home.base_context().exists(), "--force rewrites only the settings");
    }

    #[test]
    fn a_home_of_the_script_is_taken_over() {
        let (_directory, home) = home();
        for folder in ["env", "logs", "queue", "sessions"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let files = [
            ("config", "MAX_CONCURRENT_AGENTS=5\n"),
            ("repos.json", "{}"),
            ("env/default.env", "export GITEA_TOKEN=abc123\n"),
            ("logs/session.log", "old"),
            ("queue/daemon.log", "old"),
            ("index.json", "{}"),
        ];
        for (path, text) in files {
            fs::write(home.path().join(path), text).unwrap();
        }
        let report = create_home(&home, false).unwrap();
        assert_eq!(report.script.len(), 3, "{report:?}");
        assert_eq!(report.removed.len(), 2, "{report:?}");
        for kept in ["config", "repos.json", "env/default.env", "index.json", "sessions"] {
            assert!(home.path().join(kept).exists(), "{kept}");
        }
        assert_eq!(fs::metadata(home.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(load(&home, &|_| None).unwrap().settings.agents.max, 5);
    }
}
