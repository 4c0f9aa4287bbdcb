//! Makes kugetsu's home: for `kugetsu init`, and for the first command that needs one. What is there already stays.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use kugetsu_api::home::Home;
use kugetsu_domain::counted::counted;
use kugetsu_runner::{BASE_CONTEXT, SKILL};
use serde::Serialize;

use crate::config::old_file;
use crate::config::template::{CONFIG, DEFAULT_ENV, PM_AGENT_ENV};
use crate::daemon::lock;
use crate::failure::Failure;
use crate::import::row::Row;
use crate::ui;
use crate::{atomic, env_files};

/// What only the script made, of its work.
pub(crate) const SCRIPTS_WORK: [&str; 4] = ["index.json", "sessions", "queue", "queue.json"];

/// What was done, each in a sentence.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Done {
    pub(crate) home: String,
    pub(crate) made: Vec<String>,
    /// What the script left, and what became of it.
    pub(crate) script: Vec<Row>,
    /// Where copies of it are, where it was moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backup: Option<String>,
    pub(crate) removed: Vec<String>,
    pub(crate) notes: Vec<String>,
}

/// Makes what is missing of the home, for a command that needs one, and says so in one line.
pub(crate) fn quietly(home: &Home) -> Result<(), Failure> {
    home.create().map_err(|error| Failure::new(error.to_string()))?;
    if home.config().exists() {
        return make_private(home.path(), &mut Done::default());
    }
    let done = make(home, false)?;
    if !done.made.is_empty() {
        ui::note(format!("made kugetsu's home {} (as `kugetsu init` does)", done.home));
    }
    if SCRIPTS_WORK.iter().any(|name| home.path().join(name).exists()) {
        ui::note("the script's sessions and queue are there too; to take them over: kugetsu init");
    }
    Ok(())
}

/// Makes what is missing, and says what is read of the script's where it lies.
///
/// # Errors
/// Something cannot be read or written.
pub(crate) fn make(home: &Home, force: bool) -> Result<Done, Failure> {
    let mut done = Done { home: home.path().display().to_string(), ..Done::default() };
    let old = SCRIPTS_WORK.iter().any(|name| home.path().join(name).exists()) || home.old_config().is_file();
    let mut config = read_if_there(&home.old_config())?;
    home.create().map_err(|error| Failure::new(error.to_string()))?;
    make_private(home.path(), &mut done)?;

    if force && home.config().exists() {
        write(&home.config(), CONFIG)?;
        done.made.push(format!("{} anew", home.config().display()));
        return Ok(done);
    }
    for agent in env_files::agents(home).map_err(|error| env_files::unreadable(&home.env(), &error))? {
        let Ok(path) = env_files::path(home, &agent) else { continue };
        make_private(&path, &mut done)?;
        let count = env_files::read(&path).map_err(|error| env_files::unreadable(&path, &error))?.variables.len();
        if old && count > 0 {
            let what = path.strip_prefix(home.path()).unwrap_or(&path).display().to_string();
            done.script.push(Row::taken(what, format!("{}, in use as it is", counted(count as u64, "variable"))));
        }
    }
    for (path, text) in [
        (home.config(), CONFIG),
        (env_files::path(home, env_files::DEFAULT)?, DEFAULT_ENV),
        (env_files::path(home, env_files::PM_AGENT)?, PM_AGENT_ENV),
        (home.base_context(), BASE_CONTEXT),
        (home.coordinator_skill(), SKILL),
    ] {
        if let Some(place) = path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(place)
                .map_err(|error| unwritable(place, &error))?;
        }
        if atomic::write_if_missing(&path, text).map_err(|error| unwritable(&path, &error))? {
            done.made.push(path.display().to_string());
        }
    }
    if let Some(text) = config.take() {
        let read = old_file::read(&home.old_config(), &text);
        let settings = counted((read.layer.values.len() + read.layer.servers.len()) as u64, "setting");
        done.script.push(
            Row::taken("config", format!("{settings}, in use as it is"))
                .because("never executed; config.toml wins over it"),
        );
    }
    if old && home.repositories().exists() {
        done.script.push(Row::taken("repos.json", "where repositories are cloned from"));
    }
    clear_logs(home, old, &mut done)?;
    Ok(done)
}

/// Old logs go; the one that a running daemon writes stays.
fn clear_logs(home: &Home, old: bool, done: &mut Done) -> Result<(), Failure> {
    let own = home.log();
    let mut logs = vec![own.with_extension("log.old")];
    if old {
        logs.push(home.path().join("queue").join("daemon.log"));
        logs.extend(listed(own.parent().unwrap_or(home.path()))?);
    }
    // The lock is free when no daemon writes.
    let written = matches!(lock::take(home), Ok(None));
    for log in logs {
        if (log == own && written) || !log.is_file() {
            continue;
        }
        match fs::remove_file(&log) {
            Ok(()) => done.removed.push(log.display().to_string()),
            Err(error) => return Err(Failure::new(format!("{} could not be removed: {error}", log.display()))),
        }
    }
    Ok(())
}

fn listed(directory: &Path) -> Result<Vec<std::path::PathBuf>, Failure> {
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

/// Secrets may lie there: nobody else reads them.
fn make_private(path: &Path, done: &mut Done) -> Result<(), Failure> {
    let found = fs::metadata(path).map_err(|error| env_files::unreadable(path, &error))?;
    let mode = found.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700)).map_err(|error| unwritable(path, &error))?;
    done.notes.push(format!("{} could be read by others; now only you can", path.display()));
    Ok(())
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => Ok(None),
        Err(error) => Err(env_files::unreadable(path, &error)),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    atomic::write(path, text).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{} cannot be written: {error}", path.display()))
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
    fn init_makes_everything_once_and_force_only_the_settings() {
        let (_directory, home) = home();
        assert_eq!(make(&home, false).unwrap().made.len(), 5);
        assert!(make(&home, false).unwrap().made.is_empty(), "a second time there is nothing to make");
        for path in [home.config(), home.env().join("default.env"), home.env().join("pm-agent.env")] {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
        fs::write(home.config(), "[agents]\nmax = 9\n").unwrap();
        fs::write(home.env().join("default.env"), "A=1\n").unwrap();
        fs::remove_file(home.base_context()).unwrap();
        make(&home, true).unwrap();
        assert_eq!(fs::read_to_string(home.config()).unwrap(), CONFIG);
        assert_eq!(fs::read_to_string(home.env().join("default.env")).unwrap(), "A=1\n");
        assert!(!home.base_context().exists(), "--force regenerates the settings only");
    }

    #[test]
    fn the_scripts_home_is_taken_over() {
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
        let done = make(&home, false).unwrap();
        assert_eq!(done.script.len(), 3, "{done:?}");
        assert_eq!(done.removed.len(), 2, "{done:?}");
        for kept in ["config", "repos.json", "env/default.env", "index.json", "sessions"] {
            assert!(home.path().join(kept).exists(), "{kept}");
        }
        assert_eq!(fs::metadata(home.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(load(&home, &|_| None).unwrap().settings.agents_max, 5);
    }
}
