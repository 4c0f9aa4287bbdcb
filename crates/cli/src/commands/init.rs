//! `kugetsu init` (C1): makes the home, and takes over what the script left.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use clap::Args;
use kugetsu_engine::coordinator::skill::SKILL;
use kugetsu_engine::{BASE_CONTEXT, Home};
use serde::Serialize;

use crate::config::load::{load, own_environment};
use crate::config::old_file;
use crate::config::template::{CONFIG, DEFAULT_ENV, PM_AGENT_ENV};
use crate::daemon::lock;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui;
use crate::{atomic, env_files};

/// What only the script made.
const SCRIPTS_OWN: [&str; 3] = ["index.json", "sessions", "queue"];

/// Make kugetsu's home. What is there already stays as it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu init
  kugetsu init --force")]
pub(crate) struct Init {
    /// Write config.toml anew, and nothing else.
    #[arg(long)]
    force: bool,
    /// Show an object for programs.
    #[arg(long)]
    json: bool,
}

/// What was done, each in a sentence.
#[derive(Debug, Default, Serialize)]
struct Done {
    home: String,
    made: Vec<String>,
    taken_over: Vec<String>,
    removed: Vec<String>,
    notes: Vec<String>,
}

/// Makes the home and says what was made.
pub(crate) fn run(home: &Home, arguments: &Init) -> Result<Exit, Failure> {
    let mut done = make(home, arguments.force)?;
    done.notes.extend(remark_on_place(home));
    match load(home, &own_environment) {
        Ok(loaded) => done.notes.extend(loaded.faults),
        Err(error) => done.notes.push(error.to_string()),
    }
    if arguments.json {
        ui::json(&done)?;
        return Ok(Exit::Done);
    }
    ui::line(format!("kugetsu's home is {}", done.home));
    for (name, said) in [("made", &done.made), ("taken over", &done.taken_over), ("removed", &done.removed)] {
        for one in said {
            ui::line(format!("  {name}: {one}"));
        }
    }
    if done.made.is_empty() {
        ui::line("everything is there already");
    }
    for note in &done.notes {
        ui::warning(note);
    }
    ui::line("begin with: kugetsu start <issue> \"<message>\"; `kugetsu doctor` checks what agents need");
    Ok(Exit::Done)
}

/// Makes what is missing of the home, for a command that needs one, and says so in one line.
pub(crate) fn quietly(home: &Home) -> Result<(), Failure> {
    if home.config().exists() {
        home.create().map_err(|error| Failure::new(error.to_string()))?;
        return make_private(home.path(), &mut Done::default());
    }
    let done = make(home, false)?;
    if !done.made.is_empty() {
        ui::note(format!("made kugetsu's home {} (as `kugetsu init` does)", done.home));
    }
    Ok(())
}

fn make(home: &Home, force: bool) -> Result<Done, Failure> {
    let mut done = Done { home: home.path().display().to_string(), ..Done::default() };
    let old = SCRIPTS_OWN.iter().any(|name| home.path().join(name).exists()) || home.old_config().is_file();
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
            done.taken_over.push(format!("{} ({count} variables)", path.display()));
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
        let settings = read.layer.values.len() + read.layer.servers.len();
        done.taken_over.push(format!(
            "{} ({settings} settings; read as it is, never executed; config.toml wins over it)",
            home.old_config().display()
        ));
    }
    if old && home.repositories().exists() {
        done.taken_over.push(home.repositories().display().to_string());
    }
    if old {
        leave_behind(home, &mut done);
    }
    clear_logs(home, old, &mut done)?;
    Ok(done)
}

/// What the script knew of its sessions means nothing here; it stays where it is.
fn leave_behind(home: &Home, done: &mut Done) {
    let left: Vec<&str> = SCRIPTS_OWN.into_iter().filter(|name| home.path().join(name).exists()).collect();
    if !left.is_empty() {
        done.notes.push(format!(
            "the script's {} are not taken over and stay as they are, with its worktrees; finish or start that work anew",
            left.join(", ")
        ));
    }
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

/// The script had to be started in a directory of its own. Here it does not matter where, and people who know the script
/// may wonder.
fn remark_on_place(home: &Home) -> Option<String> {
    let here = std::env::current_dir().ok()?;
    (here.join(".git").exists() && !here.starts_with(home.path()))
        .then(|| "this is a git repository; `init` changes nothing in it, and can be called anywhere".to_owned())
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

    fn home() -> (tempfile::TempDir, Home) {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("kugetsu"));
        (directory, home)
    }

    #[test]
    fn c01_init_makes_everything_once_and_force_only_the_settings() {
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
    fn c01_the_scripts_home_is_taken_over() {
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
        assert_eq!(done.taken_over.len(), 3, "{done:?}");
        assert_eq!(done.removed.len(), 2, "{done:?}");
        for kept in ["config", "repos.json", "env/default.env", "index.json", "sessions"] {
            assert!(home.path().join(kept).exists(), "{kept}");
        }
        assert_eq!(fs::metadata(home.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(load(&home, &|_| None).unwrap().settings.agents_max, 5);
    }
}
