//! A mirror made without the server: from what a clone of it has.

use crate::adopt::adoption::AdoptError;
use crate::adopt::external_clone::ExternalClone;
use crate::command::progress::{Progress, ProgressSink};
use crate::command::runner::{Git, GitError, TRANSFER_TIMEOUT};
use crate::files::access::{IoContext, make_dir, replace};
use crate::files::lock;
use crate::files::removal::being_made;
use crate::git_dir::layout::{bare_config, make_git_dir};
use crate::mirror::repo::{DEFAULT_REF, HEAD_REF, MARK, Mirror, MirrorError};
use crate::mirror::source::Source;
use crate::untrusted::quarantine::{Quarantine, SHALLOW};
use crate::untrusted::reader::UntrustedRepo;

/// Where the server's refs are named in the quarantine that they come through.
const BOOTSTRAP_REFS: &str = "refs/kugetsu/seed/";

impl Mirror {
    /// As [`Mirror::open_or_create`]; where the source does not answer, the mirror is made of what `clone`, a clone of it,
    /// knew of it: git checks each object on the way. With a sentence that says so.
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
        progress(Progress::new(format!("{source} does not answer; taking what {} has", clone.dir().display())));
        let mut mirror = Self::at(git, dir, source);
        if let Some(parent) = mirror.dir().parent() {
            make_dir(parent)?;
        }
        let _lock = lock::take(mirror.dir(), "", progress).await?;
        if mirror.is_there().await? {
            return Ok((mirror, None));
        }
        let new = being_made(mirror.dir());
        let repo = UntrustedRepo::read(clone.git_dir());
        match mirror.placed_at(&new, format(&repo)).bootstrap(clone, &repo).await {
            Ok(()) => {
                std::fs::rename(&new, mirror.dir()).context("put in place", mirror.dir())?;
                mirror.is_there().await?;
                let said = format!("the server was not asked ({error}): its branches are as the clone knew them");
                Ok((mirror, Some(said)))
            }
            Err(why) => {
                tracing::debug!(%why, "a mirror could not be made of a clone");
                // The reason that is reported says more than a failure to tidy up after it would.
                let _ = std::fs::remove_dir_all(&new);
                Err(error)
            }
        }
    }

    async fn bootstrap(&self, clone: &ExternalClone, repo: &UntrustedRepo) -> Result<(), AdoptError> {
        let damaged = |why: &str| AdoptError::Damaged { path: clone.dir().to_owned(), why: why.to_owned() };
        if clone.git_dir().join(SHALLOW).exists() {
            return Err(damaged("its history is cut off"));
        }
        make_git_dir(self.dir(), "ref: refs/heads/none", &bare_config(self.format(), false))?;
        let quarantine = Quarantine::open(self, &[clone.git_dir()], None).await?;
        let mut lines = Vec::new();
        let mut any = false;
        for (prefix, place) in [("refs/remotes/origin/", "heads/"), ("refs/tags/", "tags/")] {
            for (name, oid) in repo.refs_below(prefix) {
                let rest = name.strip_prefix(prefix.as_bytes()).unwrap_or(name);
                any |= place == "heads/";
                for part in [
                    b"create ",
                    BOOTSTRAP_REFS.as_bytes(),
                    place.as_bytes(),
                    rest,
                    b"\0",
                    oid.as_str().as_bytes(),
                    b"\0",
                ] {
                    lines.extend_from_slice(part);
                }
            }
        }
        if !any {
            return Err(damaged("it does not say what the server had"));
        }
        let command = quarantine.command("update-ref", "name the server's branches");
        command.args(["--no-deref", "--stdin", "-z"]).stdin(lines).run().await?;
        self.fetch_bootstrap_refs(&quarantine).await?;
        let default = clone.default_branch();
        if let Some(branch) = &default {
            self.command("symbolic-ref", "note the default branch")
                .args([DEFAULT_REF, &branch.tracking()])
                .run()
                .await?;
            if let Some(head) = self.branch_tip(branch).await? {
                self.command("update-ref", "note the source's HEAD").args([HEAD_REF, head.as_str()]).run().await?;
            }
        }
        Ok(replace(&self.dir().join(MARK), format!("{}\n", self.format()).as_bytes())?)
    }

    async fn fetch_bootstrap_refs(&self, quarantine: &Quarantine) -> Result<(), GitError> {
        let command = self.command("fetch", "take the clone's commits into the mirror").timeout(TRANSFER_TIMEOUT);
        let command = command.config("fetch.fsckObjects", "true");
        let command =
            command.args(["--quiet", "--no-tags", "--no-write-fetch-head", "--end-of-options"]).arg(quarantine.dir());
        let specs = [
            format!("+{BOOTSTRAP_REFS}heads/*:refs/remotes/origin/*"),
            format!("+{BOOTSTRAP_REFS}tags/*:refs/tags/*"),
            // Whoever wrote the clone may have named work of its own as the server's, which takes it back at the next
            // update: it stays named.
            format!("+{BOOTSTRAP_REFS}*:{BOOTSTRAP_REFS}*"),
        ];
        command.args(specs).run().await.map(drop)
    }
}

fn format(repo: &UntrustedRepo) -> &'static str {
    match repo.refs.values().next() {
        Some(oid) if oid.as_str().len() == 64 => "sha256",
        _ => "sha1",
    }
}
