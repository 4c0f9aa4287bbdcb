//! Builds and starts git processes.
//!
//! Every command has a fixed environment and fixed settings, no terminal, no hooks, a time limit, bounded output, and a
//! typed error with the tail of git's stderr. What the commands are for is the business of the modules above.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kugetsu_process::{OneShot, RunError, find_on_path, run, run_watched};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use crate::command::answer::{Answer, Failed, Output, STDOUT_MAX, Whole, ended, is_passing};
use crate::command::environment::{SETTINGS, SSH, changes};
use crate::command::failure::{Cause, StderrTail, mask_credentials};
use crate::command::login::Login;
use crate::command::progress::{ProgressParser, ProgressSink};
use crate::command::stale_locks;
use crate::names::Oid;

/// The oldest supported git; it is the first with `merge-tree --write-tree`.
pub const MIN_VERSION: Version = Version(2, 38, 0);

/// Time limit of a command that works on this machine only.
pub(crate) const LOCAL_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// Time limit of a command that looks something up in a repository of the user's, whose settings may name a FIFO, and which
/// may be on a file system that no longer responds. Long enough for a disk that has to start.
pub(crate) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(30);
/// Pauses before a git that was killed is started again. Together short enough for a user who waits, and long enough for a
/// machine to recover that was out of memory or processes.
const RETRY_DELAYS: [Duration; 3] = [Duration::from_millis(20), Duration::from_millis(100), Duration::from_millis(400)];
/// Time limit of a command that transfers a repository. A server that stops sending ends the command within minutes.
pub(crate) const TRANSFER_TIMEOUT: Duration = Duration::from_secs(2 * 60 * 60);

/// Why a lookup in the user's repository may take for ever.
pub(crate) const WAITS_FOR: &str = "look for a FIFO that its git settings include (`git config --list --show-origin` then hangs there, too), and for a file \
     system that no longer responds";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// Parses a line such as `git version 2.39.5 (Apple Git-154)`.
    fn parse(line: &str) -> Option<Self> {
        let number = line.trim().strip_prefix("git version ")?.split_whitespace().next()?;
        let mut parts = number.split('.').map(|part| part.parse().ok());
        Some(Self(parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0)))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// `action` is a verb with its object ("fetch from https://..."), with credentials masked.
#[derive(Debug, Error)]
pub enum GitError {
    #[error("git was not found on PATH")]
    Missing,
    #[error("{} is git {found}; kugetsu needs git {MIN_VERSION} or newer", program.display())]
    TooOld {
        /// The first git on `PATH`.
        program: PathBuf,
        found: Version,
    },
    /// The program called git prints no version.
    #[error("{} is not git: `--version` printed {output:?}", program.display())]
    NotGit { program: PathBuf, output: String },
    #[error("could not {action}: {stderr}")]
    Failed {
        action: String,
        cause: Cause,
        stderr: StderrTail,
        /// Git's exit code.
        code: i32,
    },
    /// A signal ended git, every time that it was started.
    #[error("could not {action}: git was killed by signal {signal}{}", after_output(.stderr))]
    Killed { action: String, signal: i32, stderr: StderrTail },
    #[error("could not {action}: git was stopped after {} s; its last output: {stderr}", after.as_secs())]
    TimedOut { action: String, after: Duration, stderr: StderrTail },
    /// Git printed something unexpected, or more than the limit.
    #[error("could not {action}: unexpected output of git: {output}")]
    UnexpectedOutput {
        action: String,
        /// The beginning of the output, or what is wrong with it.
        output: String,
    },
    /// Git could not be started.
    #[error("could not {action}: {source}")]
    NotRun { action: String, source: RunError },
}

fn after_output(stderr: &StderrTail) -> String {
    if stderr.as_str().is_empty() { String::new() } else { format!("; its last output: {stderr}") }
}

impl GitError {
    /// [`Cause::Other`] where no cause was recognized.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Failed { cause, .. } => *cause,
            _ => Cause::Other,
        }
    }

    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing | Self::TooOld { .. } => Some(format!("install git {MIN_VERSION} or newer")),
            Self::NotGit { program, .. } => {
                Some(format!("remove {} from PATH, or put git's directory before it", program.display()))
            }
            Self::Failed { cause, .. } => cause.hint().map(str::to_owned),
            Self::NotRun { source, .. } => source.hint(),
            Self::Killed { .. } => {
                Some("check the machine's memory (git is often killed when it runs out), then try again".to_owned())
            }
            Self::TimedOut { after, .. } if *after == LOOKUP_TIMEOUT => Some(WAITS_FOR.to_owned()),
            Self::TimedOut { .. } | Self::UnexpectedOutput { .. } => None,
        }
    }
}

/// The git of this machine. Cheap to clone.
#[derive(Clone)]
pub struct Git {
    installation: Arc<Installation>,
    tokens: Arc<Vec<Login>>,
    /// Refs that are no work.
    bookkeeping: Arc<Vec<String>>,
}

struct Installation {
    program: PathBuf,
    version: Version,
    env: Vec<(OsString, Option<OsString>)>,
}

impl fmt::Debug for Git {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Git({} {})", self.installation.program.display(), self.installation.version)
    }
}

impl Git {
    /// Finds git on `PATH` and checks its version.
    ///
    /// # Errors
    /// [`GitError::Missing`], [`GitError::TooOld`], [`GitError::NotGit`].
    pub async fn find() -> Result<Self, GitError> {
        Self::find_with([]).await
    }

    /// Like [`find`](Self::find), with `variables` set on top of this process's environment.
    pub async fn find_with(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, GitError> {
        let overrides: Vec<(OsString, OsString)> = variables.into_iter().collect();
        let value = |name: &str| {
            let changed = overrides.iter().find(|(changed, _)| changed == name).map(|(_, value)| value.clone());
            changed.or_else(|| std::env::var_os(name))
        };
        let program = value("PATH").and_then(|path| find_on_path("git".as_ref(), &path)).ok_or(GitError::Missing)?;
        let names = std::env::vars_os().map(|(name, _)| name).chain(overrides.iter().map(|(name, _)| name.clone()));
        let mut env: Vec<_> = overrides.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
        env.extend(changes(names.collect::<Vec<_>>().into_iter()));
        let has_ssh_command = value("GIT_SSH_COMMAND").is_some() || value("GIT_SSH").is_some();

        let version = version(&program, &env).await?;
        let installation = Installation { program, version, env };
        let mut git =
            Self { installation: Arc::new(installation), tokens: Arc::default(), bookkeeping: Arc::default() };
        if !has_ssh_command && git.config_value("core.sshCommand", ConfigScope::User).await?.is_none() {
            let mut env = git.installation.env.clone();
            env.push(("GIT_SSH_COMMAND".into(), Some(SSH.into())));
            let installation = Installation { program: git.installation.program.clone(), version, env };
            git.installation = Arc::new(installation);
        }
        Ok(git)
    }

    /// Logs in to servers whose URLs begin with `base` (such as `https://host`) with `user` and `secret`; the user's
    /// credential helpers are not called for them. The secret appears in no argument and no file.
    #[must_use]
    pub fn with_token(&self, base: &str, user: &str, secret: SecretString) -> Self {
        let mut tokens = self.tokens.as_ref().clone();
        tokens.push(Login { base: base.to_owned(), user: user.to_owned(), secret });
        Self { tokens: Arc::new(tokens), ..self.clone() }
    }

    /// Takes refs with exactly these names for no work: programs make them for themselves.
    #[must_use]
    pub fn with_bookkeeping(&self, refs: &[&str]) -> Self {
        Self { bookkeeping: Arc::new(refs.iter().map(|&name| name.to_owned()).collect()), ..self.clone() }
    }

    pub(crate) fn is_bookkeeping(&self, name: &[u8]) -> bool {
        self.bookkeeping.iter().any(|known| known.as_bytes() == name)
    }

    pub fn version(&self) -> Version {
        self.installation.version
    }

    pub fn program(&self) -> &Path {
        &self.installation.program
    }

    /// The value of an environment variable of git.
    pub(crate) fn variable(&self, name: &str) -> Option<OsString> {
        let changed = self.installation.env.iter().rev().find(|(changed, _)| changed == name);
        changed.map_or_else(|| std::env::var_os(name), |(_, value)| value.clone())
    }

    /// `user.name` and `user.email` of the user's own settings, each `None` where it is not set or empty.
    pub async fn user(&self) -> Result<(Option<String>, Option<String>), GitError> {
        let text = |value: Option<Vec<u8>>| value.map(|value| String::from_utf8_lossy(&value).trim().to_owned());
        let name = text(self.config_value("user.name", ConfigScope::User).await?);
        let email = text(self.config_value("user.email", ConfigScope::User).await?);
        Ok((name.filter(|name| !name.is_empty()), email.filter(|email| !email.is_empty())))
    }

    /// The effective value of a setting, as bytes.
    pub(crate) async fn config_value(&self, key: &str, scope: ConfigScope<'_>) -> Result<Option<Vec<u8>>, GitError> {
        let command = self.command("config", format!("read the setting {key}")).args(["--null", "--get", key]);
        let command = match scope {
            ConfigScope::WorkingDir(dir) => command.current_dir(dir),
            ConfigScope::GitDir(dir) => command.git_dir(dir),
            ConfigScope::User => command.outside_repository(),
        };
        // 1: the key is not set.
        let found = command.answer(&[1]).await?.yes();
        Ok(found.map(|output| output.stdout.strip_suffix(b"\0").unwrap_or(&output.stdout).to_vec()))
    }

    /// Begins a `git <subcommand>`. `action` says for error messages what it does ("fetch from https://..."). A git that is
    /// killed or cannot be started is started again, so a command that must not be repeated needs
    /// [`once`](GitCommand::once).
    pub(crate) fn command(&self, subcommand: &str, action: impl Into<String>) -> GitCommand {
        GitCommand {
            git: self.clone(),
            action: action.into(),
            args: vec![subcommand.into()],
            cwd: None,
            env: Vec::new(),
            settings: SETTINGS.iter().map(|(key, value)| (OsString::from(*key), OsString::from(*value))).collect(),
            stdin: None,
            timeout: LOCAL_TIMEOUT,
            logins: 0,
            repeatable: true,
            owned: None,
            creates: None,
        }
    }
}

/// Whose settings count for [`Git::config_value`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum ConfigScope<'p> {
    /// Those of the repository that contains this directory; it must be the user's own.
    WorkingDir(&'p Path),
    /// Those of this git directory.
    GitDir(&'p Path),
    /// Those of the user, outside of any repository.
    User,
}

async fn version(program: &Path, env: &[(OsString, Option<OsString>)]) -> Result<Version, GitError> {
    let mut process = OneShot::new(program).arg("--version").time_limit(Duration::from_secs(60));
    process.env = env.to_vec();
    let mut delays = RETRY_DELAYS.iter();
    let output = loop {
        match ended("read the version of git", run(process.clone()).await) {
            Ok((_, Ok(output))) => break output.line(),
            Ok((_, Err(failed))) if failed.error.cause() == Cause::Settings => return Err(failed.error),
            Ok((_, Err(failed))) if !failed.is_worth_repeating(true) => {
                break String::from_utf8_lossy(&failed.stdout).trim().to_owned();
            }
            Err(error) if !is_passing(&error) => return Err(error),
            Ok((_, Err(Failed { error, .. }))) | Err(error) => match delays.next() {
                Some(delay) => tokio::time::sleep(*delay).await,
                None => return Err(error),
            },
        }
    };
    let output = output.trim().to_owned();
    let not_git = || GitError::NotGit { program: program.to_owned(), output: output.clone() };
    let found = Version::parse(&output).ok_or_else(not_git)?;
    if found < MIN_VERSION {
        return Err(GitError::TooOld { program: program.to_owned(), found });
    }
    Ok(found)
}

/// Whether a repository has a commit, or a tag of one. `command` begins a `git cat-file`.
///
/// # Errors
/// The object is there, but damaged.
pub(crate) async fn has_commit(command: GitCommand, commit: &Oid) -> Result<bool, GitError> {
    // `cat-file -e` exits with 128 for a missing commit and for a failure; this prints which of them it is.
    let output = command.arg("--batch-check").stdin(format!("{commit}^{{commit}}\n")).run().await?;
    let line = output.line();
    if line.ends_with(" missing") {
        return if output.stderr.is_empty() { Ok(false) } else { Err(output.incomplete()) };
    }
    match line.split(' ').nth(1) {
        Some("commit") => Ok(true),
        _ => Err(output.unexpected()),
    }
}

/// A git command under construction.
pub(crate) struct GitCommand {
    git: Git,
    action: String,
    args: Vec<OsString>,
    cwd: Option<PathBuf>,
    env: Vec<(OsString, Option<OsString>)>,
    settings: Vec<(OsString, OsString)>,
    stdin: Option<Vec<u8>>,
    timeout: Duration,
    /// Number of credentials added so far.
    logins: usize,
    /// Whether the command has the same effect if it is started again after it was killed at any point, or succeeded.
    repeatable: bool,
    /// The git directory, if no process but kugetsu's git works in it. A lock that a killed git left there is removed.
    owned: Option<PathBuf>,
    /// The directory that the command makes.
    creates: Option<PathBuf>,
}

impl GitCommand {
    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Runs in the repository that contains `dir`. Only for the user's own repositories: git obeys the settings there. The
    /// time limit becomes [`LOOKUP_TIMEOUT`].
    pub(crate) fn current_dir(mut self, dir: &Path) -> Self {
        self.cwd = Some(dir.to_owned());
        self.timeout(LOOKUP_TIMEOUT)
    }

    /// Runs outside of any repository, even where the current directory is in one.
    pub(crate) fn outside_repository(mut self) -> Self {
        self.cwd = Some(PathBuf::from("/"));
        self.env("GIT_DIR", "/dev/null/none")
    }

    /// Runs in exactly this git directory.
    pub(crate) fn git_dir(mut self, dir: &Path) -> Self {
        self.cwd.get_or_insert_with(|| dir.to_owned());
        self.env("GIT_DIR", dir)
    }

    /// Runs in a git directory in which no process but kugetsu's git works, so that locks of killed ones can be removed.
    pub(crate) fn owned_git_dir(mut self, dir: &Path) -> Self {
        self.owned = Some(dir.to_owned());
        self.git_dir(dir)
    }

    /// Removes what a killed command left of the directory that it makes, before it is started again.
    pub(crate) fn creates(mut self, dir: &Path) -> Self {
        self.creates = Some(dir.to_owned());
        self
    }

    /// Undoes [`outside_repository`](Self::outside_repository) for a subcommand that creates a repository.
    pub(crate) fn without_git_dir(mut self) -> Self {
        self.env.retain(|(name, _)| name != "GIT_DIR");
        self
    }

    /// Runs with `dir` as the directory of files.
    pub(crate) fn work_tree(mut self, dir: &Path) -> Self {
        self.cwd = Some(dir.to_owned());
        self.env("GIT_WORK_TREE", dir)
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), Some(value.into())));
        self
    }

    /// Sets a setting for this command alone.
    pub(crate) fn config(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.settings.push((key.into(), value.into()));
        self
    }

    /// Keeps a reading command from refreshing the index, which would lock and write it.
    pub(crate) fn no_optional_locks(self) -> Self {
        self.env("GIT_OPTIONAL_LOCKS", "0")
    }

    /// Keeps git from fetching objects that a partial clone lacks: the repository's settings say how to reach the server,
    /// and they may name a program. Git before 2.45 ignores this.
    pub(crate) fn no_lazy_fetch(self) -> Self {
        self.env("GIT_NO_LAZY_FETCH", "1")
    }

    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Adds the tokens of all servers.
    pub(crate) fn with_credentials(mut self) -> Self {
        let tokens = self.git.tokens.clone();
        for token in tokens.iter() {
            self = self.with_login(token);
        }
        self
    }

    /// Adds credentials for one server, in place of the credential helpers for it.
    pub(crate) fn with_login(mut self, login: &Login) -> Self {
        let n = self.logins;
        self.logins += 1;
        let key = format!("credential.{}.helper", login.base);
        // The empty value clears the helpers configured before: they must neither answer nor store this secret.
        self = self.config(key.clone(), "").config(key, helper(n));
        self = self.env(&format!("KUGETSU_GIT_USER_{n}"), login.user.clone());
        self.env(&format!("KUGETSU_GIT_SECRET_{n}"), login.secret.expose_secret())
    }

    /// Never starts the command again. For commands that fail if they are repeated after they have succeeded, and for those
    /// whose success must be found out by other means.
    pub(crate) fn once(mut self) -> Self {
        self.repeatable = false;
        self
    }

    /// Runs the command; every exit code but 0 is an error.
    pub(crate) async fn run(self) -> Result<Output, GitError> {
        self.run_with_progress(&mut |_| ()).await
    }

    /// Like [`run`](Self::run), and reports git's progress.
    pub(crate) async fn run_with_progress(self, progress: ProgressSink<'_>) -> Result<Output, GitError> {
        match self.attempts(&[], progress).await? {
            (_, Ok(output)) => Ok(output),
            (_, Err(failed)) => Err(failed.error),
        }
    }

    /// Runs a command that answers a question by its exit code: 0 is yes, and `no` are the codes that git documents as no.
    /// Everything else is an error.
    pub(crate) async fn answer(self, no: &[i32]) -> Result<Answer, GitError> {
        match self.attempts(no, &mut |_| ()).await? {
            (_, Ok(output)) => Ok(Answer::Yes(output)),
            (code, Err(failed)) if no.contains(&code) => Ok(Answer::No(failed)),
            (_, Err(failed)) => Err(failed.error),
        }
    }

    /// Runs a command that reads objects or an index. Failing on those that are missing or damaged is an answer, if git
    /// names them; every other failure is an error.
    pub(crate) async fn whole(self) -> Result<Whole, GitError> {
        match self.attempts(&[], &mut |_| ()).await? {
            (_, Ok(output)) => Ok(Whole::Yes(output)),
            (_, Err(failed)) if failed.names_damage() => Ok(Whole::Damaged),
            (_, Err(failed)) => Err(failed.error),
        }
    }

    /// Starts the command, and starts it again while it fails in a way that says nothing about the repository: it was killed,
    /// could not be started, or met a lock whose holder is gone. Returns the exit code too.
    async fn attempts(
        self,
        documented: &[i32],
        progress: ProgressSink<'_>,
    ) -> Result<(i32, Result<Output, Failed>), GitError> {
        let (action, repeatable) = (mask_credentials(&self.action), self.repeatable);
        let (owned, creates) = (self.owned.clone(), self.creates.clone());
        let is_local = [LOCAL_TIMEOUT, LOOKUP_TIMEOUT].contains(&self.timeout);
        let process = self.into_process();
        let mut delays = RETRY_DELAYS.iter();
        loop {
            let mut parser = ProgressParser::default();
            let completed = run_watched(process.clone(), |line| {
                if let Some(new) = parser.parse(line) {
                    progress(new);
                }
            })
            .await;
            let ended = ended(&action, completed);
            let again = match &ended {
                Ok((_, Ok(_))) => false,
                Ok((code, Err(failed))) => !documented.contains(code) && failed.is_worth_repeating(is_local),
                Err(error) => is_passing(error),
            };
            let Some(delay) = delays.next().filter(|_| again && repeatable) else { return ended };
            tracing::warn!(%action, outcome = ?ended.as_ref().err(), "git says nothing about the repository; it is started again");
            tokio::time::sleep(*delay).await;
            if let Some(dir) = &creates {
                // If it cannot be removed, git says so.
                let _ = std::fs::remove_dir_all(dir);
            }
            if let Some(dir) = &owned {
                stale_locks::clear(dir, dir).await;
            }
        }
    }

    fn into_process(self) -> OneShot {
        let installation = &self.git.installation;
        let mut process =
            OneShot::new(&installation.program).args(self.args).stdout_max(STDOUT_MAX).time_limit(self.timeout);
        tracing::debug!(git = ?process.args, cwd = ?self.cwd, "run");
        process.cwd = self.cwd;
        process.stdin = self.stdin;
        process.env = installation.env.clone();
        process.env.extend(self.env);
        // Settings go through the environment, not as `-c`: every user of the machine can see arguments.
        for (n, (key, value)) in self.settings.into_iter().enumerate() {
            process.env.push((format!("GIT_CONFIG_KEY_{n}").into(), Some(key)));
            process.env.push((format!("GIT_CONFIG_VALUE_{n}").into(), Some(value)));
            process.env.push(("GIT_CONFIG_COUNT".into(), Some((n + 1).to_string().into())));
        }
        process
    }
}

/// A credential helper: a fixed shell function that prints user and secret from the environment.
fn helper(n: usize) -> String {
    format!(
        "!f() {{ test \"$1\" = get || exit 0; printf 'username=%s\\npassword=%s\\n' \"$KUGETSU_GIT_USER_{n}\" \"$KUGETSU_GIT_SECRET_{n}\"; }}; f"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_parsed_and_ordered() {
        assert_eq!(Version::parse("git version 2.39.5 (Apple Git-154)"), Some(Version(2, 39, 5)));
        assert_eq!(Version::parse("git version 2.47.rc1"), Some(Version(2, 47, 0)));
        assert_eq!(Version::parse("jj 0.30"), None);
        assert!(Version(2, 38, 0) >= MIN_VERSION && Version(2, 37, 9) < MIN_VERSION && Version(3, 0, 0) > MIN_VERSION);
    }

    #[tokio::test]
    async fn mistake_in_the_users_settings_is_shown_as_git_reports_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("gitconfig");
        std::fs::write(&file, "[user]\n\tname = x\n[broken\n").unwrap();
        let error = Git::find_with([("GIT_CONFIG_GLOBAL".into(), file.clone().into())]).await.unwrap_err();
        let message = error.to_string();
        assert!(message.contains(&format!("bad config line 3 in file {}", file.display())), "{message}");
        assert_eq!(error.hint().as_deref(), Some("correct the settings file that git names, then try again"));
    }

    #[tokio::test]
    async fn missing_or_old_git_is_an_error_with_the_minimum_version() {
        let dir = tempfile::tempdir().unwrap();
        let path = |dir: &Path| [("PATH".into(), dir.into())];
        let missing = Git::find_with(path(dir.path())).await.unwrap_err();
        assert_eq!(missing.to_string(), "git was not found on PATH");
        assert_eq!(missing.hint().as_deref(), Some("install git 2.38.0 or newer"));
        let old = dir.path().join("git");
        std::fs::write(&old, "#!/bin/sh\necho git version 2.30.2\n").unwrap();
        std::fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let old = Git::find_with(path(dir.path())).await.unwrap_err();
        assert!(old.to_string().ends_with("is git 2.30.2; kugetsu needs git 2.38.0 or newer"), "{old}");
    }
}
