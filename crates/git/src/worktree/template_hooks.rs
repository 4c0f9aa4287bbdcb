//! The hooks of the user's git template (`init.templateDir`). A worktree gets them as a clone would. The agent's git runs
//! them; kugetsu's never does.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::command::runner::GitError;
use crate::files::access::{FileError, IoContext, blocking, create_dir_all};
use crate::mirror::repo::Mirror;
use crate::mirror::scratch::Scratch;
use crate::worktree::lifecycle::WorktreeError;

/// The name of the temporary repository.
const NEW: &str = "new";

/// The hooks of the user's template, in a temporary repository.
pub(crate) struct TemplateHooks {
    scratch: Scratch,
    /// Why git could not copy them.
    failure: Option<GitError>,
}

impl TemplateHooks {
    pub(crate) async fn of_user(mirror: &Mirror) -> Result<Self, WorktreeError> {
        let scratch = mirror.scratch_dir()?;
        let new = scratch.path().join(NEW);
        // Let git find its template: in the environment, in the settings, or where it was installed.
        let command = mirror
            .git()
            .command("init", "copy the hooks of your git template (init.templateDir)")
            .current_dir(scratch.path());
        match command.creates(&new).args(["--quiet", "--bare"]).arg(&new).run().await {
            Ok(_) => Ok(Self { scratch, failure: None }),
            Err(error @ GitError::Failed { .. }) => Ok(Self { scratch, failure: Some(error) }),
            Err(error) => Err(error.into()),
        }
    }

    /// Where they are. It may not exist.
    pub(crate) fn dir(&self) -> PathBuf {
        self.scratch.path().join(NEW).join("hooks")
    }

    /// Copies them into a new git directory. Returns a notice if that fails.
    pub(crate) async fn copy_to(self, git_dir: &Path) -> Option<String> {
        if let Some(error) = self.failure {
            return Some(notice(&error));
        }
        let (from, to) = (self.dir(), git_dir.join("hooks"));
        blocking(&git_dir.join("hooks"), move || copy(&from, &to)).await.err().map(|error| notice(&error))
    }
}

fn notice(error: &dyn std::fmt::Display) -> String {
    format!("{error}; the agent works without them")
}

/// Copies a directory without git's samples. Links are copied as links.
fn copy(from: &Path, to: &Path) -> Result<(), FileError> {
    let Ok(entries) = std::fs::read_dir(from) else { return Ok(()) };
    for entry in entries {
        let entry = entry.context("read", from)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().context("read", &source)?;
        if kind.is_dir() {
            copy(&source, &target)?;
        } else if source.extension().is_none_or(|ending| ending != "sample") {
            create_dir_all(to)?;
            if kind.is_symlink() {
                let link_target = std::fs::read_link(&source).context("read", &source)?;
                symlink(link_target, &target).context("create the link", &target)?;
            } else {
                std::fs::copy(&source, &target).context("copy", &source)?;
            }
        }
    }
    Ok(())
}
