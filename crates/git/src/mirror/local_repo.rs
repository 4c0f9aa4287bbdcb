//! The user's own repositories on this machine. Git runs in them, but runs no program that their settings name.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use kugetsu_domain::text::counted;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::command::answer::Answer;
use crate::command::runner::{Git, GitError, LOCAL_TIMEOUT, LOOKUP_TIMEOUT};
use crate::files::special::{special_file_above, special_file_in_git_dir, special_files};
use crate::mirror::source::SourceError;
use crate::names::BranchName;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalRepo {
    /// The root of its files, or the git directory if it is bare.
    pub root: PathBuf,
    /// The git directory that holds the objects. A linked worktree shares it with its repository.
    pub common_dir: PathBuf,
    pub bare: bool,
}

/// The notice that uncommitted changes of a repository are left out.
pub fn uncommitted_notice(files: usize, repo: &str) -> String {
    let changed = counted(files as u64, "changed file");
    format!("{changed} in {repo} not committed: the agent starts from the last commit and does not see the changes")
}

/// Looks at the files at a path of the user's, on another thread: if the file system no longer responds, the thread never
/// ends, and neither the caller nor the end of the program waits for it.
///
/// # Errors
/// [`SourceError::NoAnswer`].
pub async fn look_at<T: Send + 'static>(
    path: &Path,
    look: impl FnOnce(&Path) -> T + Send + 'static,
) -> Result<T, SourceError> {
    let (send, receive) = oneshot::channel();
    let looked_at = path.to_owned();
    std::thread::spawn(move || send.send(look(&looked_at)));
    match timeout(LOOKUP_TIMEOUT, receive).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(_)) | Err(_) => Err(SourceError::NoAnswer(path.to_owned())),
    }
}

impl LocalRepo {
    /// Finds the repository that contains `path`.
    ///
    /// # Errors
    /// [`SourceError::NoDirectory`], [`SourceError::NoRepository`], [`SourceError::NoAnswer`], [`SourceError::Special`], or an
    /// error of git (such as dubious ownership).
    pub async fn find(git: &Git, path: &Path) -> Result<Self, SourceError> {
        let path = &std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        match look_at(path, |path| path.is_dir().then(|| special_file_above(path))).await? {
            None => return Err(SourceError::NoDirectory(path.clone())),
            Some(Some(special)) => return Err(SourceError::Special(special.error())),
            Some(None) => {}
        }
        let local = match Self::discover(git, path).await {
            Err(SourceError::Git(GitError::TimedOut { .. })) => return Err(SourceError::NoAnswer(path.clone())),
            result => result?,
        };
        match special_file_in_git_dir(&local.common_dir).await.map_err(SourceError::Special)? {
            Some(special) => Err(SourceError::Special(special.error())),
            None => Ok(local),
        }
    }

    async fn discover(git: &Git, path: &Path) -> Result<Self, SourceError> {
        let rev_parse = |args: &[&str]| {
            let command =
                git.command("rev-parse", format!("find the repository at {}", path.display())).current_dir(path);
            command.arg("--path-format=absolute").args(args).no_optional_locks()
        };
        let as_path =
            |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes.strip_suffix(b"\n").unwrap_or(bytes)).to_owned());
        // The user waits for this, so one git process does where it can: in a repository with files, and without a line
        // break in either path.
        let both = match rev_parse(&["--git-common-dir", "--show-toplevel"]).answer(&[128]).await? {
            Answer::Yes(both) => both.stdout,
            Answer::No(failed) if failed.says(&["not a git repository"]) => {
                return Err(SourceError::NoRepository(path.to_owned()));
            }
            // A bare repository; git prints the first answer all the same.
            Answer::No(failed) if failed.says(&["must be run in a work tree"]) => Vec::new(),
            Answer::No(failed) => return Err(failed.error.into()),
        };
        let lines: Vec<&[u8]> = both.split(|byte| *byte == b'\n').collect();
        if let [common, root, []] = lines.as_slice() {
            return Ok(Self { root: as_path(root), common_dir: as_path(common), bare: false });
        }
        let one = async |arg: &str| rev_parse(&[arg]).run().await.map(|output| as_path(&output.stdout));
        let common_dir = one("--git-common-dir").await?;
        Ok(match both.is_empty() {
            true => Self { root: one("--git-dir").await?, common_dir, bare: true },
            false => Self { root: one("--show-toplevel").await?, common_dir, bare: false },
        })
    }

    /// The branch that is checked out, even if it has no commit yet; `None` if HEAD is detached.
    pub async fn branch(&self, git: &Git) -> Result<Option<BranchName>, GitError> {
        let command =
            git.command("symbolic-ref", format!("read HEAD of {}", self.root.display())).current_dir(&self.root);
        // 1: HEAD is detached.
        let branch = command.args(["--quiet", "HEAD"]).answer(&[1]).await?.yes();
        Ok(branch.and_then(|output| BranchName::from_ref(output.line().as_bytes())))
    }

    /// Number of files with uncommitted changes, untracked ones included.
    ///
    /// No program that the repository's own settings name is run: the repository may have come from somewhere else.
    pub async fn uncommitted(&self, git: &Git) -> Result<usize, SourceError> {
        if self.bare {
            return Ok(0);
        }
        if let Some(special) = special_files(&self.root).await.map_err(SourceError::Special)?.into_iter().next() {
            return Err(SourceError::Special(special.error()));
        }
        let action = format!("read the state of {}", self.root.display());
        let command = git.command("status", action).current_dir(&self.root).no_optional_locks().no_lazy_fetch();
        // It reads every file of which git does not know that it is unchanged.
        let command = command.timeout(LOCAL_TIMEOUT);
        let mut command = command.args([
            "--porcelain=v1",
            "-z",
            "--no-renames",
            "--untracked-files=all",
            "--ignore-submodules=dirty",
        ]);
        for (key, value) in self.users_filters(git).await? {
            command = command.config(key, value);
        }
        Ok(command.run().await?.records().count())
    }

    /// Every filter setting that the repository's own config makes, with the value from the user's config instead; empty
    /// where the user has none, which turns the filter off. `lfs.extension` lets git-lfs run further programs, so a
    /// repository that sets one gets no git-lfs filter at all.
    async fn users_filters(&self, git: &Git) -> Result<BTreeMap<OsString, OsString>, GitError> {
        let command =
            git.command("config", format!("read the settings of {}", self.root.display())).current_dir(&self.root);
        let command =
            command.args(["--null", "--show-scope", "--includes", "--get-regexp", r"^(filter|lfs\.extension)\."]);
        // 1: there is no such setting.
        let stdout = command.answer(&[1]).await?.yes().map(|output| output.stdout).unwrap_or_default();
        let text = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        let (mut own, mut users) = (BTreeMap::new(), BTreeMap::new());
        let mut parts = stdout.split(|byte| *byte == 0);
        while let (Some(scope), Some(entry)) = (parts.next(), parts.next()) {
            // A setting without a value is on.
            let (key, value) = match entry.iter().position(|byte| *byte == b'\n') {
                Some(end) => (&entry[..end], &entry[end + 1..]),
                None => (entry, b"true".as_slice()),
            };
            match scope {
                b"system" | b"global" | b"command" => users.insert(text(key), text(value)),
                _ => own.insert(text(key), OsString::new()),
            };
        }
        if own.keys().any(|key| key.as_bytes().starts_with(b"lfs.extension.")) {
            let lfs = ["clean", "smudge", "process", "required"].map(|key| OsString::from(format!("filter.lfs.{key}")));
            users.retain(|key, _| !lfs.contains(key));
            own.extend(lfs.map(|key| (key, OsString::new())));
        }
        Ok(own.into_keys().map(|key| users.remove_entry(&key).unwrap_or((key, OsString::new()))).collect())
    }

    /// The URL of a remote, rewritten by the user's `insteadOf`; `None` if there is no such remote.
    pub async fn remote_url(&self, git: &Git, remote: &str) -> Result<Option<String>, GitError> {
        let command =
            git.command("remote", format!("read the remotes of {}", self.root.display())).current_dir(&self.root);
        // 2: there is no such remote.
        let url = command.args(["get-url", "--", remote]).no_optional_locks().answer(&[2]).await?.yes();
        Ok(url.map(|output| output.line()))
    }
}
