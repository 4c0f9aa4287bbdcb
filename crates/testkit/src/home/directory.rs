//! A hermetic home: directories and an environment that replace those of the user.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::processes;
pub use super::processes::Remaining;

/// Environment variable that keeps the directories of all homes, not only those of failed tests.
pub const KEEP: &str = "KUGETSU_TEST_KEEP";

/// A temporary home. Programs started with [`Home::command`] inherit only `PATH` from the user's environment.
///
/// Dropping it, also during a panic, kills all processes that belong to it (daemons and agents that a test started) and
/// removes its directory. If the test panics, the directory is kept and its path is printed to stderr.
#[derive(Debug)]
pub struct Home {
    directory: PathBuf,
    environment: BTreeMap<OsString, OsString>,
}

const GIT_CONFIG: &str = "\
[user]
\tname = Test Person
\temail = test@example.invalid
[init]
\tdefaultBranch = main
[protocol \"file\"]
\tallow = always
[commit]
\tgpgSign = false
[gc]
\tauto = 0
[maintenance]
\tauto = false
[advice]
\tdetachedHead = false
";

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Home {
    /// Creates a home in the system's temporary directory. Its path is short, because paths of sockets are limited.
    pub fn new() -> Self {
        let temporary = tempfile::Builder::new().prefix("kgt").tempdir().expect("a temporary directory");
        // The resolved path, as /proc shows the working directory of a process.
        let directory = temporary.keep().canonicalize().expect("the path of the new directory");
        let mut home = Self { directory, environment: BTreeMap::new() };
        home.set("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
        home.set("LANG", "C.UTF-8");
        home.set("GIT_CONFIG_NOSYSTEM", "1");
        home.set("GIT_TERMINAL_PROMPT", "0");
        for (name, folder) in [
            ("HOME", "home"),
            ("KUGETSU_HOME", "kugetsu"),
            ("TMPDIR", "tmp"),
            ("XDG_CACHE_HOME", "home/.cache"),
            ("XDG_CONFIG_HOME", "home/.config"),
            ("XDG_DATA_HOME", "home/.local/share"),
            ("XDG_STATE_HOME", "home/.local/state"),
            ("XDG_RUNTIME_DIR", "run"),
        ] {
            let path = home.directory.join(folder);
            fs::create_dir_all(&path).expect("a directory of the home");
            home.set(name, path);
        }
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(home.directory.join("run"), private).expect("the mode of the runtime directory");
        let git_config = home.user().join(".gitconfig");
        fs::write(&git_config, GIT_CONFIG).expect("git's configuration");
        home.set("GIT_CONFIG_GLOBAL", git_config);
        home
    }

    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Value of `HOME`.
    pub fn user(&self) -> PathBuf {
        self.directory.join("home")
    }

    /// Value of `KUGETSU_HOME`.
    pub fn kugetsu(&self) -> PathBuf {
        self.directory.join("kugetsu")
    }

    /// The directory in which [`Home::run`] stores the output of programs.
    pub fn logs(&self) -> PathBuf {
        self.directory.join("logs")
    }

    /// Prepends `folder` to `PATH`.
    pub fn prepend_path(&mut self, folder: impl AsRef<Path>) {
        let old = self.environment.get(OsStr::new("PATH")).cloned().unwrap_or_default();
        let all = std::iter::once(folder.as_ref().to_owned()).chain(std::env::split_paths(&old));
        let joined = std::env::join_paths(all).expect("a path without a colon");
        self.set("PATH", joined);
    }

    /// Creates the directory `name` for files of the test.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.directory.join(name);
        fs::create_dir_all(&path).expect("a folder in the home");
        path
    }

    /// Sets a variable for future commands.
    pub fn set(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        self.environment.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
    }

    /// Unsets a variable for future commands.
    pub fn unset(&mut self, name: impl AsRef<OsStr>) {
        self.environment.remove(name.as_ref());
    }

    /// The environment of commands.
    pub fn environment(&self) -> &BTreeMap<OsString, OsString> {
        &self.environment
    }

    /// A command with this environment that starts in `HOME`.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.environment).current_dir(self.user());
        command
    }

    /// [`Home::command`] for asynchronous tests.
    pub fn tokio_command(&self, program: impl AsRef<OsStr>) -> tokio::process::Command {
        self.command(program).into()
    }

    /// The processes that belong to this home: their environment names it or, on Linux, their working directory is in it.
    pub fn processes(&self) -> Vec<Remaining> {
        processes::remaining(&self.directory)
    }

    /// Kills all processes that belong to this home, as dropping it does.
    ///
    /// # Panics
    /// Panics if one of them is still running after [`crate::wait::DEADLINE`].
    pub fn kill_processes(&self) {
        processes::kill_all(&self.directory).expect("the processes of the home end when killed");
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Must not panic: the home may be dropped by a panic.
        if let Err(left) = processes::kill_all(&self.directory) {
            eprintln!("could not kill processes of the test's home: {left:?}");
        }
        if std::thread::panicking() || std::env::var_os(KEEP).is_some() {
            let (directory, logs, kugetsu) = (self.directory.display(), self.logs(), self.kugetsu());
            eprintln!(
                "kept the test's home {directory}: output of programs in {}, KUGETSU_HOME in {}",
                logs.display(),
                kugetsu.display()
            );
            return;
        }
        if let Err(error) = remove(&self.directory) {
            eprintln!("could not remove the test's home {}: {error}", self.directory.display());
        }
    }
}

/// Removes `directory`, even if a program removed its own write permission.
fn remove(directory: &Path) -> std::io::Result<()> {
    if fs::remove_dir_all(directory).is_err() {
        make_writable(directory)?;
        fs::remove_dir_all(directory)?;
    }
    Ok(())
}

fn make_writable(directory: &Path) -> std::io::Result<()> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::eventually;

    #[test]
    fn commands_inherit_nothing_from_the_user() {
        let mut home = Home::new();
        home.set("EXTRA", "1");
        let output = home.command("env").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut names: Vec<&str> = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "EXTRA",
                "GIT_CONFIG_GLOBAL",
                "GIT_CONFIG_NOSYSTEM",
                "GIT_TERMINAL_PROMPT",
                "HOME",
                "KUGETSU_HOME",
                "LANG",
                "PATH",
                "TMPDIR",
                "XDG_CACHE_HOME",
                "XDG_CONFIG_HOME",
                "XDG_DATA_HOME",
                "XDG_RUNTIME_DIR",
                "XDG_STATE_HOME",
            ]
        );
        assert!(text.contains(&format!("HOME={}", home.user().display())));
    }

    #[test]
    fn git_uses_the_identity_of_the_home() {
        let home = Home::new();
        let git = |args: &[&str]| {
            let output = home.command("git").args(args).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        git(&["init", "-q"]);
        git(&["commit", "-q", "--allow-empty", "-m", "x"]);
        assert_eq!(git(&["log", "--format=%an <%ae> %D"]).trim(), "Test Person <test@example.invalid> HEAD -> main");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn dropping_the_home_kills_leftover_processes_even_in_a_panic() {
        let home = Home::new();
        let directory = home.path().to_owned();
        // Three leftovers: one plain, one in its own session, and one without an environment that works in the home.
        let script = "sleep 600 & setsid sleep 601 & env -i sleep 602 & wait";
        let mut shell = home.command("sh").args(["-c", script]).spawn().unwrap();
        eventually("four processes", || {
            let processes = home.processes();
            let sleeping = processes.iter().filter(|process| process.command.starts_with("sleep 60")).count();
            if sleeping == 3 { Ok(()) } else { Err(processes) }
        });
        let pids: Vec<i32> = home.processes().iter().map(|process| process.pid).collect();
        assert_eq!(pids.len(), 4);
        std::thread::spawn(move || {
            let _home = home;
            panic!("this panic is part of the test");
        })
        .join()
        .unwrap_err();
        shell.wait().unwrap();
        assert!(directory.exists(), "the logs of a failed test are kept");
        fs::remove_dir_all(directory).unwrap();
        for pid in pids {
            assert!(!is_alive(pid), "process {pid} is still running");
        }
    }

    /// Zombies count as ended.
    #[cfg(target_os = "linux")]
    fn is_alive(pid: i32) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with(['Z', 'X']))
    }

    #[test]
    fn directories_without_permissions_are_removed() {
        let home = Home::new();
        let directory = home.path().to_owned();
        let locked = home.folder("locked");
        fs::write(locked.join("file"), "x").unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
        drop(home);
        assert!(!directory.exists());
    }
}
