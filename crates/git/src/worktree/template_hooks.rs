//! The hooks that git gives every new repository of the user's: those of `init.templateDir`. A worktree gets them as a
//! clone would; they are run by the agent's git, and never by kugetsu's.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::files::access::{FileError, IoContext, make_dir, off_thread};
use crate::mirror::repo::Mirror;
use crate::untrusted::changes::StatusError;

/// Puts the template's hooks into a git directory that is being made. What to tell where that could not be done.
///
/// # Errors
/// [`StatusError`] with git's or the system's words.
pub(crate) async fn copy_hooks(mirror: &Mirror, git_dir: &Path) -> Result<Option<String>, StatusError> {
    let scratch = mirror.scratch()?;
    let new = scratch.path().join("new");
    // Git itself knows best where its template is: in the environment, in the settings, or where it was installed.
    let command = mirror
        .git()
        .command("init", "copy the hooks of your git template (init.templateDir)")
        .current_dir(scratch.path());
    match command.args(["--quiet", "--bare"]).arg(&new).output().await? {
        output if output.code == 0 => {}
        output => return Ok(Some(told(output.failed))),
    }
    let (from, to) = (new.join("hooks"), git_dir.join("hooks"));
    Ok(off_thread(&git_dir.join("hooks"), move || copy(&from, &to)).await.err().map(told))
}

fn told(error: impl Into<StatusError>) -> String {
    let error = error.into();
    format!("{error}; the agent works without them")
}

/// Copies a directory. Git's examples do nothing and stay behind; links stay links.
fn copy(from: &Path, to: &Path) -> Result<(), FileError> {
    let Ok(entries) = std::fs::read_dir(from) else { return Ok(()) };
    for entry in entries {
        let entry = entry.context("read", from)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().context("read", &source)?;
        if kind.is_dir() {
            copy(&source, &target)?;
        } else if source.extension().is_none_or(|ending| ending != "sample") {
            make_dir(to)?;
            if kind.is_symlink() {
                let leads = std::fs::read_link(&source).context("read", &source)?;
                symlink(leads, &target).context("make the link", &target)?;
            } else {
                std::fs::copy(&source, &target).context("copy", &source)?;
            }
        }
    }
    Ok(())
}
