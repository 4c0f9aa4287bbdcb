//! Bootstraps a mirror from a clone, when the server does not answer.

use crate::adopt::adoption::AdoptError;
use crate::adopt::external_clone::ExternalClone;
use crate::command::progress::{Progress, ProgressSink};
use crate::command::runner::{Git, GitError, TRANSFER_TIMEOUT};
use crate::files::access::{IoContext, create_dir_all, write_atomic};
use crate::files::lock;
use crate::files::removal::staging_path;
use crate::git_dir::layout::{SHALLOW, UNBORN_HEAD, bare_config, create_git_dir};
use crate::mirror::repo::{DEFAULT_REF, HEAD_REF, MARK, Mirror, MirrorError};
use crate::mirror::source::Source;
use crate::untrusted::quarantine::Quarantine;
use crate::untrusted::reader::UntrustedRepo;

/// The refs that are fetched from the clone. They stay in the mirror, so the name never changes.
const BOOTSTRAP_REFS: &str = "refs/kugetsu/seed/";

impl Mirror {
    /// Like [`Mirror::open_or_create`], but if the source does not answer, the mirror is made of what `clone`, a clone of it,
    /// knows of it. Git verifies each object on the way. Also returns a notice if that was done.
    ///
    /// # Errors
    /// [`MirrorError`] with the source's reason, if the clone does not have everything either.
    pub async fn open_or_bootstrap(
        git: &Git,
        dir: &std::path::Path,
        source: &Source,
        clone: &ExternalClone,
        progress: ProgressSink<'_>,
    ) -> Result<(Self, Option<String>), MirrorError> {
        if let Some(mirror) = Self::open(git, dir, source).await? {
            return Ok((mirror, None));
        }
        let error = match source.probe(git).await {
            Ok(_) => match Self::open_or_create(git, dir, source, progress).await {
                Ok(mirror) => return Ok((mirror, None)),
                Err(error) => error,
            },
            Err(error) => MirrorError::Source(error),
        };
        progress(Progress::new(format!("{source} does not answer; using the commits in {}", clone.dir().display())));
        let mut mirror = Self::at(git, dir, source);
        if let Some(parent) = mirror.dir().parent() {
            create_dir_all(parent)?;
        }
        let _lock = lock::acquire(mirror.dir(), "", progress).await?;
        if mirror.load().await? {
            return Ok((mirror, None));
        }
        let new = staging_path(mirror.dir());
        let repo = UntrustedRepo::read(clone.git_dir());
        match mirror.at_dir(&new, object_format(&repo)).bootstrap(clone, &repo).await {
            Ok(()) => {
                std::fs::rename(&new, mirror.dir()).context("create", mirror.dir())?;
                mirror.load().await?;
                let notice =
                    format!("the server could not be reached ({error}): its branches are those that the clone knew");
                Ok((mirror, Some(notice)))
            }
            Err(reason) => {
                tracing::debug!(%reason, "could not bootstrap a mirror from a clone");
                // The error says more than a failure to clean up after it.
                let _ = std::fs::remove_dir_all(&new);
                Err(error)
            }
        }
    }

    async fn bootstrap(&self, clone: &ExternalClone, repo: &UntrustedRepo) -> Result<(), AdoptError> {
        let damaged = |reason: &str| AdoptError::Damaged { path: clone.dir().to_owned(), reason: reason.to_owned() };
        if clone.git_dir().join(SHALLOW).exists() {
            return Err(damaged("its history is cut off"));
        }
        create_git_dir(self.dir(), UNBORN_HEAD, &bare_config(self.format(), false))?;
        let quarantine = Quarantine::open(self, &[clone.git_dir()], None).await?;
        let mut lines = Vec::new();
        let mut any = false;
        for (prefix, target) in [("refs/remotes/origin/", "heads/"), ("refs/tags/", "tags/")] {
            for (name, oid) in repo.refs_below(prefix) {
                let rest = name.strip_prefix(prefix.as_bytes()).unwrap_or(name);
                any |= target == "heads/";
                for part in [
                    b"update ",
                    BOOTSTRAP_REFS.as_bytes(),
                    target.as_bytes(),
                    rest,
                    b"\0",
                    oid.as_str().as_bytes(),
                    // Without an old value, so that it can be repeated.
                    b"\0\0",
                ] {
                    lines.extend_from_slice(part);
                }
            }
        }
        if !any {
            return Err(damaged("it has no branches of the server"));
        }
        let command = quarantine.command("update-ref", "name the server's branches");
        command.args(["--no-deref", "--stdin", "-z"]).stdin(lines).run().await?;
        self.fetch_bootstrap_refs(&quarantine).await?;
        let default = clone.default_branch();
        if let Some(branch) = &default {
            self.command("symbolic-ref", "record the default branch")
                .args([DEFAULT_REF, &branch.tracking_ref()])
                .run()
                .await?;
            if let Some(head) = self.branch_tip(branch).await? {
                self.command("update-ref", "record the source's HEAD").args([HEAD_REF, head.as_str()]).run().await?;
            }
        }
        Ok(write_atomic(&self.dir().join(MARK), format!("{}\n", self.format()).as_bytes())?)
    }

    async fn fetch_bootstrap_refs(&self, quarantine: &Quarantine) -> Result<(), GitError> {
        let command =
            self.command("fetch", "import the commits of the clone into the mirror").timeout(TRANSFER_TIMEOUT);
        let command = command.config("fetch.fsckObjects", "true");
        let command =
            command.args(["--quiet", "--no-tags", "--no-write-fetch-head", "--end-of-options"]).arg(quarantine.dir());
        let specs = [
            format!("+{BOOTSTRAP_REFS}heads/*:refs/remotes/origin/*"),
            format!("+{BOOTSTRAP_REFS}tags/*:refs/tags/*"),
            // The agent may have named work of its own as the server's branch. The next update takes that name away, so the
            // work keeps this one.
            format!("+{BOOTSTRAP_REFS}*:{BOOTSTRAP_REFS}*"),
        ];
        command.args(specs).run().await.map(drop)
    }
}

fn object_format(repo: &UntrustedRepo) -> &'static str {
    match repo.refs.values().next() {
        Some(oid) if oid.as_str().len() == 64 => "sha256",
        _ => "sha1",
    }
}
