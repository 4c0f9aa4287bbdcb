//! Removes damaged objects from a git directory of the host's, so that git works with the others.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::command::answer::Answer;
use crate::command::runner::{Git, GitError, TRANSFER_TIMEOUT};
use crate::files::access::{FileError, IoContext, create_dir_all, read_dir_if_there, read_if_there};

/// Maximum size of a damaged pack in bytes whose whole objects are recovered.
const PACK_MAX: u64 = 1024 * 1024 * 1024;
/// The exit codes of `git fsck`: bits for what it found.
const FSCK_FOUND: [i32; 31] = {
    let mut codes = [0; 31];
    let mut n = 0;
    while n < codes.len() {
        codes[n] = n as i32 + 1;
        n += 1;
    }
    codes
};

#[derive(Debug, Error)]
pub(crate) enum MendError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// Verifies every object that a git directory has itself, and removes those whose content does not match their id. Objects that
/// it borrows are not looked at. Nothing else may work in it meanwhile.
pub(crate) async fn remove_damaged_objects(git: &Git, git_dir: &Path) -> Result<(), MendError> {
    let objects = git_dir.join("objects");
    for pack in packs(&objects)? {
        replace_pack_if_damaged(git, git_dir, &pack).await?;
    }
    let (alternates, aside) = (objects.join("info/alternates"), objects.join("info/alternates.aside"));
    let borrows = alternates.symlink_metadata().is_ok();
    if borrows {
        std::fs::rename(&alternates, &aside).context("rename", &alternates)?;
    }
    let command = git.command("fsck", "verify the objects").owned_git_dir(git_dir).timeout(TRANSFER_TIMEOUT);
    let found = command.args(["--full", "--no-dangling", "--no-progress"]).answer(&FSCK_FOUND).await;
    if borrows {
        std::fs::rename(&aside, &alternates).context("rename", &aside)?;
    }
    let Answer::No(failed) = found? else { return Ok(()) };
    for path in damaged_files(&failed.stderr, git_dir) {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).context("remove", &path)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Takes a damaged pack apart: git writes the objects that it can read as loose ones.
async fn replace_pack_if_damaged(git: &Git, git_dir: &Path, pack: &Path) -> Result<(), MendError> {
    let command = |subcommand: &str, action: &str| {
        git.command(subcommand, action).owned_git_dir(git_dir).timeout(TRANSFER_TIMEOUT)
    };
    let verify = command("verify-pack", "verify a pack").arg(pack.with_extension("idx"));
    // 1: the pack is damaged.
    if verify.answer(&[1]).await?.is_yes() {
        return Ok(());
    }
    let aside = git_dir.join("damaged-packs");
    create_dir_all(&aside)?;
    for ending in ["idx", "pack", "rev"] {
        let file = pack.with_extension(ending);
        if file.symlink_metadata().is_ok() {
            let target = aside.join(file.file_name().unwrap_or_default());
            std::fs::rename(&file, &target).context("rename", &file)?;
        }
    }
    let moved = aside.join(pack.file_name().unwrap_or_default());
    let Some(bytes) = read_if_there(&moved, PACK_MAX)? else { return Ok(()) };
    let unpack = command("unpack-objects", "recover the objects of a pack");
    // 1 and 128: not all of them can be recovered.
    unpack.args(["-r", "-q"]).stdin(bytes).answer(&[1, 128]).await?;
    Ok(())
}

fn packs(objects: &Path) -> Result<Vec<PathBuf>, FileError> {
    let files = read_dir_if_there(&objects.join("pack"))?.unwrap_or_default();
    Ok(files.into_iter().filter(|file| file.extension().is_some_and(|ending| ending == "pack")).collect())
}

/// The loose objects that an output of `git fsck` names as damaged. Their paths may be relative to the git directory.
fn damaged_files(stderr: &[u8], git_dir: &Path) -> Vec<PathBuf> {
    let text = String::from_utf8_lossy(stderr);
    let errors = text.lines().filter(|line| line.starts_with("error: "));
    let parts = errors.flat_map(|line| line.split_whitespace());
    parts
        .filter_map(|part| {
            let path = part.trim_end_matches([':', ',', ')', '\'']);
            let rest = &path[path.rfind("objects/")? + "objects/".len()..];
            let (start, end) = rest.split_once('/')?;
            let is_hex = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            (start.len() == 2 && is_hex(start) && is_hex(end)).then(|| git_dir.join("objects").join(rest))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_files_are_found_in_errors() {
        let stderr = b"error: object file ./objects/59/ee8d is empty\n\
                       error: 59ee: object corrupt or missing: /q/objects/59/ee8d\n\
                       error: hash mismatch for objects/0c/fbf0 (expected 0cfb)\nmissing blob objects/aa/bb\n\
                       error: x objects/pack/pack-1.pack\n";
        let paths = damaged_files(stderr, Path::new("/q"));
        let (one, two) = (Path::new("/q/objects/59/ee8d"), Path::new("/q/objects/0c/fbf0"));
        assert_eq!(paths, [one, one, two]);
    }
}
