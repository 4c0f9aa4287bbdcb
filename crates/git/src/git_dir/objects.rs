//! Object stores, taken over file by file.
//!
//! The source may be a store that an agent can write. A git process (`git fetch <path>`) would read that repository's
//! settings, hooks and alternates; plain file operations read nothing but object files. A partial clone is another
//! reason: a git process would have to send objects that the clone does not have.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::files::access::{FileError, IoContext, blocking, create_dir_all, is_real_dir};

/// Takes over the loose objects and packs that `to` lacks: by hard link, or by copy across file systems.
///
/// Nothing is verified here. Callers either hand the objects to git inside the quarantine or fetch them with
/// `fetch.fsckObjects`, and git compares the content of every object with its id on the way.
pub(crate) async fn link_objects(from: PathBuf, to: PathBuf) -> Result<(), FileError> {
    blocking(&to.clone(), move || {
        for entry in std::fs::read_dir(&from).context("read", &from)? {
            let entry = entry.context("read", &from)?;
            let name = entry.file_name();
            // `pack` and the two-digit directories of loose objects. `info` stays behind: its `alternates` would let an
            // agent open any other repository of the machine.
            let is_store = name == "pack" || (name.len() == 2 && name != "..");
            if is_store && is_real_dir(&entry.path()) {
                link_files(&entry.path(), &to.join(&name))?;
            }
        }
        Ok(())
    })
    .await
}

fn link_files(from: &Path, to: &Path) -> Result<(), FileError> {
    create_dir_all(to)?;
    let mut files = Vec::new();
    for entry in std::fs::read_dir(from).context("read", from)? {
        files.push(entry.context("read", from)?.path());
    }
    // An index makes its pack visible to git, so it comes after the pack.
    files.sort_by_key(|path| path.extension().is_some_and(|ending| ending == "idx"));
    for file in files {
        let Some(name) = file.file_name() else { continue };
        let (target, meta) = (to.join(name), file.symlink_metadata().context("read", &file)?);
        // Links lead to files that are not the agent's to give; `tmp_*` are files that a git is still writing.
        if !meta.is_file() || name.as_encoded_bytes().starts_with(b"tmp_") || meta.nlink() == 0 || target.exists() {
            continue;
        }
        if std::fs::hard_link(&file, &target).is_err() {
            let temporary = target.with_extension("kugetsu-tmp");
            std::fs::copy(&file, &temporary).context("copy", &file)?;
            std::fs::rename(&temporary, &target).context("replace", &target)?;
        }
    }
    Ok(())
}
