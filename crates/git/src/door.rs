//! The one door to git: every git that kugetsu runs is built and started in this file.
//!
//! A call has a fixed environment and fixed settings, no terminal, no hooks, a time limit, bounded output, and a typed
//! error with git's own last words. It knows nothing of what the modules above want from git.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kugetsu_process::{Completed, OneShot, RunError, find_on_path, run, run_watched};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use crate::environment::{SETTINGS, SSH, changes};
use crate::failure::{Cause, Words, masked};
use crate::login::Login;
use crate::progress::{Meter, ProgressSink};

/// The oldest git that can do the work (`merge-tree --write-tree`).
pub const OLDEST: Version = Version(2, 38, 0);

/// For a call that only reads or writes on this machine.
const LOCAL_LIMIT: Duration = Duration::from_secs(10 * 60);
/// For a call that moves a repository; a server that stops answering is noticed much earlier.
pub(crate) const TRANSFER_LIMIT: Duration = Duration::from_secs(2 * 60 * 60);
/// Listings of refs and of files in large repositories.
const STDOUT_MAX: usize = 256 * 1024 * 1024;

/// A git version; ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// Reads `git version 2.39.5 (Apple Git-154)`.
    fn read(line: &str) -> Option<Self> {
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

/// Why git could not do what was asked.
#[derive(Debug, Error)]
pub enum GitError {
    /// There is no git.
    #[error("git was not found on PATH; install git {OLDEST} or newer")]
    Missing,
    /// Git is there, but too old.
    #[error("{} is git {found}; kugetsu needs git {OLDEST} or newer", program.display())]
    TooOld {
        /// The git that was found first.
        program: PathBuf,
        /// What it says it is.
        found: Version,
    },
    /// The program called git does not say a version.
    #[error("{} does not answer `--version` as git does: {answer}", program.display())]
    NotGit {
        /// The program.
        program: PathBuf,
        /// What it wrote.
        answer: String,
    },
    /// Git ended with an error.
    #[error("could not {doing}: {words}{}", hint(*cause))]
    Failed {
        /// What was tried: a verb with its object.
        doing: String,
        /// The usual cause, where it was recognised.
        cause: Cause,
        /// Git's last lines.
        words: Words,
        /// Git's exit code; -1 when a signal ended it.
        code: i32,
    },
    /// Git did not end in time.
    #[error("could not {doing}: git did not end within {} s and was stopped; it last said: {words}", after.as_secs())]
    TimedOut {
        /// What was tried.
        doing: String,
        /// The limit.
        after: Duration,
        /// Git's last lines.
        words: Words,
    },
    /// Git answered something that it should not, or more than can be kept.
    #[error("could not {doing}: git's answer was not understood: {answer}")]
    Answer {
        /// What was tried.
        doing: String,
        /// The beginning of the answer.
        answer: String,
    },
    /// Git could not be started.
    #[error("could not {doing}: {source}")]
    NotRun {
        /// What was tried.
        doing: String,
        /// Why.
        source: RunError,
    },
}

impl GitError {
    /// The usual cause, where it was recognised.
    pub fn cause(&self) -> Cause {
        match self {
            Self::Failed { cause, .. } => *cause,
            _ => Cause::Other,
        }
    }
}

fn hint(cause: Cause) -> String {
    match cause.hint() {
        "" => String::new(),
        hint => format!("\n{hint}"),
    }
}

/// The git of this machine. Cheap to clone.
#[derive(Clone)]
pub struct Git {
    found: Arc<Found>,
    tokens: Arc<Vec<Login>>,
}

struct Found {
    program: PathBuf,
    version: Version,
    env: Vec<(OsString, Option<OsString>)>,
    /// `GIT_CONFIG_*` entries of the user that ours follow.
    settings_before: usize,
}

impl fmt::Debug for Git {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Git({} {})", self.found.program.display(), self.found.version)
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

    /// As [`find`](Self::find), in this process's environment with `variables` changed.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub async fn find_with(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, GitError> {
        let own: Vec<(OsString, OsString)> = variables.into_iter().collect();
        let value = |name: &str| {
            let changed = own.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
            changed.or_else(|| std::env::var_os(name))
        };
        let program = value("PATH").and_then(|path| find_on_path("git".as_ref(), &path)).ok_or(GitError::Missing)?;
        let names = std::env::vars_os().map(|(name, _)| name).chain(own.iter().map(|(name, _)| name.clone()));
        let mut env: Vec<_> = own.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
        env.extend(changes(names.collect::<Vec<_>>().into_iter()));
        let settings_before = value("GIT_CONFIG_COUNT")
            .and_then(|count| count.to_str().and_then(|count| count.parse().ok()))
            .unwrap_or(0);
        let asked_ssh = value("GIT_SSH_COMMAND").is_some() || value("GIT_SSH").is_some();

        let version = version(&program, &env).await?;
        let found = Found { program, version, env, settings_before };
        let mut git = Self { found: Arc::new(found), tokens: Arc::default() };
        if !asked_ssh && git.setting("core.sshCommand", Place::Anywhere).await?.is_none() {
            let mut env = git.found.env.clone();
            env.push(("GIT_SSH_COMMAND".into(), Some(SSH.into())));
            let found = Found { program: git.found.program.clone(), version, env, settings_before };
            git.found = Arc::new(found);
        }
        Ok(git)
    }

    /// Answers for servers whose address begins with `base` (such as `https://host`) with `user` and `secret`, in place
    /// of the user's credential helpers. The secret is in no argument and no file.
    #[must_use]
    pub fn with_token(&self, base: &str, user: &str, secret: SecretString) -> Self {
        let mut tokens = self.tokens.as_ref().clone();
        tokens.push(Login { base: base.to_owned(), user: user.to_owned(), secret });
        Self { found: self.found.clone(), tokens: Arc::new(tokens) }
    }

    /// The version that was found.
    pub fn version(&self) -> Version {
        self.found.version
    }

    /// The program that was found.
    pub fn program(&self) -> &Path {
        &self.found.program
    }

    /// What the user's own settings say of whose commits these are: name and address, each as far as it is set.
    ///
    /// # Errors
    /// [`GitError`] with git's words.
    pub async fn user(&self) -> Result<(Option<String>, Option<String>), GitError> {
        let text = |value: Option<Vec<u8>>| value.map(|value| String::from_utf8_lossy(&value).trim().to_owned());
        let name = text(self.setting("user.name", Place::Anywhere).await?);
        let email = text(self.setting("user.email", Place::Anywhere).await?);
        Ok((name.filter(|name| !name.is_empty()), email.filter(|email| !email.is_empty())))
    }

    /// An effective setting. Bytes, as it was written.
    pub(crate) async fn setting(&self, key: &str, place: Place<'_>) -> Result<Option<Vec<u8>>, GitError> {
        let call = self.call("config", format!("read the setting {key}")).args(["--null", "--get", key]);
        let call = match place {
            Place::Folder(place) => call.at(place),
            Place::GitDir(dir) => call.git_dir(dir),
            Place::Anywhere => call.nowhere(),
        };
        let answer = call.any_code().await?;
        match answer.code {
            0 => Ok(Some(answer.stdout.strip_suffix(b"\0").unwrap_or(&answer.stdout).to_vec())),
            1 => Ok(None),
            _ => Err(answer.failed),
        }
    }

    /// A call of `git <subcommand>`; `doing` is what a person would say it does ("fetch from https://...").
    pub(crate) fn call(&self, subcommand: &str, doing: impl Into<String>) -> Call {
        Call {
            git: self.clone(),
            doing: doing.into(),
            args: vec![subcommand.into()],
            cwd: None,
            env: Vec::new(),
            settings: SETTINGS.iter().map(|(key, value)| (OsString::from(*key), OsString::from(*value))).collect(),
            stdin: None,
            limit: LOCAL_LIMIT,
            logins: 0,
        }
    }
}

/// Whose settings count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'p> {
    /// Those of the repository of the user's own that this folder is in.
    Folder(&'p Path),
    /// Those of this git directory.
    GitDir(&'p Path),
    /// The user's alone.
    Anywhere,
}

async fn version(program: &Path, env: &[(OsString, Option<OsString>)]) -> Result<Version, GitError> {
    let mut short = OneShot::new(program).arg("--version").time_limit(Duration::from_secs(60));
    short.env = env.to_vec();
    let doing = || "ask git for its version".to_owned();
    let ended = run(short).await.map_err(|source| GitError::NotRun { doing: doing(), source })?;
    let answer = String::from_utf8_lossy(&ended.stdout).trim().to_owned();
    let not_git = || GitError::NotGit { program: program.to_owned(), answer: answer.clone() };
    let found = Version::read(&answer).ok_or_else(not_git)?;
    if found < OLDEST {
        return Err(GitError::TooOld { program: program.to_owned(), found });
    }
    Ok(found)
}

/// One call of git, being put together.
pub(crate) struct Call {
    git: Git,
    doing: String,
    args: Vec<OsString>,
    cwd: Option<PathBuf>,
    env: Vec<(OsString, Option<OsString>)>,
    settings: Vec<(OsString, OsString)>,
    stdin: Option<Vec<u8>>,
    limit: Duration,
    /// How many credentials it has.
    logins: usize,
}

/// What a call left, whatever its exit code.
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// The error that this is, if the code means one.
    pub(crate) failed: GitError,
}

impl Call {
    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// In the repository that is found from `place` upwards; only for repositories of the user's own.
    pub(crate) fn at(mut self, place: &Path) -> Self {
        self.cwd = Some(place.to_owned());
        self
    }

    /// In no repository at all.
    pub(crate) fn nowhere(self) -> Self {
        self.at(Path::new("/")).env("GIT_DIR", "/dev/null/none")
    }

    /// In exactly this git directory.
    pub(crate) fn git_dir(mut self, dir: &Path) -> Self {
        self.cwd.get_or_insert_with(|| dir.to_owned());
        self.env("GIT_DIR", dir)
    }

    /// In no repository, for a subcommand that makes one.
    pub(crate) fn without_git_dir(mut self) -> Self {
        self.env.retain(|(name, _)| name != "GIT_DIR");
        self
    }

    /// With these files.
    pub(crate) fn work_tree(mut self, dir: &Path) -> Self {
        self.cwd = Some(dir.to_owned());
        self.env("GIT_WORK_TREE", dir)
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), Some(value.into())));
        self
    }

    /// A setting for this call alone.
    pub(crate) fn setting(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.settings.push((key.into(), value.into()));
        self
    }

    /// Takes no lock and writes no index on the way.
    pub(crate) fn only_reads(self) -> Self {
        self.env("GIT_OPTIONAL_LOCKS", "0")
    }

    /// Fetches no object that a partial clone lacks: how its server is reached is said by the repository's own settings,
    /// and those may name a program. Git has this since 2.45, and older ones pass it over.
    pub(crate) fn without_fetching(self) -> Self {
        self.env("GIT_NO_LAZY_FETCH", "1")
    }

    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Speaks to a server: gets the tokens.
    pub(crate) fn with_credentials(mut self) -> Self {
        let tokens = self.git.tokens.clone();
        for token in tokens.iter() {
            self = self.with_login(token);
        }
        self
    }

    /// Gets these credentials, in place of what would answer for their server otherwise.
    pub(crate) fn with_login(mut self, login: &Login) -> Self {
        let n = self.logins;
        self.logins += 1;
        let key = format!("credential.{}.helper", login.base);
        // An empty value forgets the helpers before it: they must neither answer nor store this secret.
        self = self.setting(key.clone(), "").setting(key, helper(n));
        self = self.env(&format!("KUGETSU_GIT_USER_{n}"), login.user.clone());
        self.env(&format!("KUGETSU_GIT_SECRET_{n}"), login.secret.expose_secret())
    }

    /// Runs it; any exit code but 0 is an error.
    pub(crate) async fn run(self) -> Result<Answer, GitError> {
        let answer = self.any_code().await?;
        if answer.code == 0 { Ok(answer) } else { Err(answer.failed) }
    }

    /// Runs it; the caller judges the exit code.
    pub(crate) async fn any_code(self) -> Result<Answer, GitError> {
        let doing = self.doing.clone();
        let ended = run(self.short()).await;
        answer(doing, ended)
    }

    /// As [`run`](Self::run), telling git's progress.
    pub(crate) async fn run_telling(self, progress: ProgressSink<'_>) -> Result<Answer, GitError> {
        let doing = self.doing.clone();
        let mut meter = Meter::default();
        let ended = run_watched(self.short(), |line| {
            if let Some(told) = meter.read(line) {
                progress(told);
            }
        })
        .await;
        let answer = answer(doing, ended)?;
        if answer.code == 0 { Ok(answer) } else { Err(answer.failed) }
    }

    fn short(self) -> OneShot {
        let found = &self.git.found;
        let mut short = OneShot::new(&found.program).args(self.args).stdout_max(STDOUT_MAX).time_limit(self.limit);
        tracing::debug!(git = ?short.args, cwd = ?self.cwd, "run");
        short.cwd = self.cwd;
        short.stdin = self.stdin;
        short.env = found.env.clone();
        short.env.extend(self.env);
        // In the environment, not as `-c`: arguments are visible to every user of the machine.
        for (n, (key, value)) in self.settings.into_iter().enumerate() {
            let n = n + found.settings_before;
            short.env.push((format!("GIT_CONFIG_KEY_{n}").into(), Some(key)));
            short.env.push((format!("GIT_CONFIG_VALUE_{n}").into(), Some(value)));
            short.env.push(("GIT_CONFIG_COUNT".into(), Some((n + 1).to_string().into())));
        }
        short
    }
}

fn answer(doing: String, ended: Result<Completed, RunError>) -> Result<Answer, GitError> {
    match ended {
        Ok(ended) if ended.stdout_truncated => {
            let answer = format!("it is longer than {STDOUT_MAX} bytes");
            Err(GitError::Answer { doing, answer })
        }
        Ok(ended) => {
            let code = ended.status.code().unwrap_or(-1);
            let cause = Cause::of(&String::from_utf8_lossy(&ended.stderr));
            let failed = GitError::Failed { doing: masked(&doing), cause, words: Words::of(&ended.stderr), code };
            Ok(Answer { code, stdout: ended.stdout, stderr: ended.stderr, failed })
        }
        Err(RunError::TimedOut { after, stderr, .. }) => {
            Err(GitError::TimedOut { doing: masked(&doing), after, words: Words::of(&stderr) })
        }
        Err(source) => Err(GitError::NotRun { doing: masked(&doing), source }),
    }
}

/// A credential helper in git's own way: a fixed text that finds its answer in the environment.
fn helper(n: usize) -> String {
    format!(
        "!f() {{ test \"$1\" = get || exit 0; printf 'username=%s\\npassword=%s\\n' \"$KUGETSU_GIT_USER_{n}\" \"$KUGETSU_GIT_SECRET_{n}\"; }}; f"
    )
}

impl Answer {
    /// Stdout as one line of text.
    pub(crate) fn line(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end_matches('\n').to_owned()
    }

    /// The object id that stdout is.
    pub(crate) fn oid(&self) -> Result<crate::names::Oid, GitError> {
        crate::names::Oid::read(&self.stdout).ok_or_else(|| self.not_understood())
    }

    /// The records of stdout that end with NUL.
    pub(crate) fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.stdout.split(|byte| *byte == 0).filter(|record| !record.is_empty())
    }

    /// The lines of stdout.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
    }

    /// The error for an answer that makes no sense.
    pub(crate) fn not_understood(&self) -> GitError {
        let doing = match &self.failed {
            GitError::Failed { doing, .. } => doing.clone(),
            _ => String::new(),
        };
        let answer = String::from_utf8_lossy(&self.stdout).chars().take(200).collect();
        GitError::Answer { doing, answer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        assert_eq!(Version::read("git version 2.39.5 (Apple Git-154)"), Some(Version(2, 39, 5)));
        assert_eq!(Version::read("git version 2.47.rc1"), Some(Version(2, 47, 0)));
        assert_eq!(Version::read("jj 0.30"), None);
        assert!(Version(2, 38, 0) >= OLDEST && Version(2, 37, 9) < OLDEST && Version(3, 0, 0) > OLDEST);
    }

    #[tokio::test]
    async fn a_missing_or_old_git_is_named_with_the_floor() {
        let dir = tempfile::tempdir().unwrap();
        let path = |dir: &Path| [("PATH".into(), dir.into())];
        let missing = Git::find_with(path(dir.path())).await.unwrap_err();
        assert_eq!(missing.to_string(), "git was not found on PATH; install git 2.38.0 or newer");
        let old = dir.path().join("git");
        std::fs::write(&old, "#!/bin/sh\necho git version 2.30.2\n").unwrap();
        std::fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let old = Git::find_with(path(dir.path())).await.unwrap_err();
        assert!(old.to_string().ends_with("is git 2.30.2; kugetsu needs git 2.38.0 or newer"), "{old}");
    }
}
