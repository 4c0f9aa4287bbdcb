//! Object stores, taken over file by file.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::files::access::{FileError, IoContext, is_real_dir, make_dir, off_thread};

/// Takes the object files that `to` lacks from `from`: by hard link where the file system allows it, else by copy.
/// A server process would have to send what the partial clone itself does not have.
pub(crate) async fn take_objects(from: PathBuf, to: PathBuf) -> Result<(), FileError> {
    off_thread(&to.clone(), move || {
        for entry in std::fs::read_dir(&from).context("read", &from)? {
            let entry = entry.context("read", &from)?;
            let name = entry.file_name();
            let is_store = name == "pack" || (name.len() == 2 && name != "..");
            if is_store && is_real_dir(&entry.path()) {
                take_files(&entry.path(), &to.join(&name))?;
            }
        }
        Ok(())
    })
    .await
}

fn take_files(from: &Path, to: &Path) -> Result<(), FileError> {
    make_dir(to)?;
    let mut files = Vec::new();
    for entry in std::fs::read_dir(from).context("read", from)? {
        files.push(entry.context("read", from)?.path());
    }
    // An index makes its pack visible, so it comes last.
    files.sort_by_key(|path| path.extension().is_some_and(|ending| ending == "idx"));
    for file in files {
        let Some(name) = file.file_name() else { continue };
        let (target, meta) = (to.join(name), file.symlink_metadata().context("read", &file)?);
        if !meta.is_file() || name.as_encoded_bytes().starts_with(b"tmp_") || meta.nlink() == 0 || target.exists() {
            continue;
        }
        if std::fs::hard_link(&file, &target).is_err() {
            let beside = target.with_extension("kugetsu-tmp");
            std::fs::copy(&file, &beside).context("copy", &file)?;
            std::fs::rename(&beside, &target).context("put in place", &target)?;
        }
    }
    Ok(())
}
