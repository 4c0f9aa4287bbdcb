//! Partial clones: where missing objects come from, carried from a source to the repositories that borrow from it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::command::login::{Login, public};
use crate::command::runner::{Git, GitCommand, GitError};
use crate::files::{FileError, IoContext, is_real_dir, make_dir, off_thread};
use crate::layout::ConfigText;

/// The name of the remote that missing objects are fetched from, in every repository made here.
const REMOTE: &str = "kugetsu-promisor";

/// The server that has the objects a partial clone left out.
#[derive(Clone, Debug)]
pub(crate) struct Promisor {
    /// Its address, without the credentials that may stand in it: agents read it.
    url: Vec<u8>,
    filter: Vec<u8>,
    /// Those credentials.
    pub(crate) login: Option<Login>,
}

impl Promisor {
    /// The promisor of the repository at `place`, if it is a partial clone.
    pub(crate) async fn of(git: &Git, place: &Path) -> Result<Option<Self>, GitError> {
        Self::read(git.command("config", format!("read the settings of {}", place.display())).current_dir(place)).await
    }

    /// The promisor that a mirror of ours has.
    pub(crate) async fn of_mirror(git: &Git, dir: &Path) -> Result<Option<Self>, GitError> {
        Self::read(git.command("config", format!("read the settings of {}", dir.display())).git_dir(dir)).await
    }

    async fn read(command: GitCommand) -> Result<Option<Self>, GitError> {
        let output = command
            .args(["--null", "--get-regexp", r"^remote\..*\.(promisor|partialclonefilter|url)$"])
            .output()
            .await?;
        if output.code > 1 {
            return Err(output.failed);
        }
        let entries: Vec<(&[u8], &[u8])> = output
            .records()
            .filter_map(|record| {
                let end = record.iter().position(|byte| *byte == b'\n')?;
                Some((record.get(..end)?, record.get(end + 1..)?))
            })
            .collect();
        let Some(remote) =
            entries.iter().filter(|(_, value)| *value == b"true").find_map(|(key, _)| key.strip_suffix(b".promisor"))
        else {
            return Ok(None);
        };
        let value = |what: &[u8]| {
            let is_it = |key: &[u8]| key.strip_prefix(remote).is_some_and(|rest| rest == what);
            entries.iter().find(|(key, _)| is_it(key)).map(|(_, value)| value.to_vec())
        };
        let filter = value(b".partialclonefilter").unwrap_or_else(|| b"blob:none".to_vec());
        Ok(value(b".url").map(|url| {
            let text = String::from_utf8_lossy(&url);
            let login = Login::of(&text);
            let url = if login.is_some() { public(&text).into_bytes() } else { url };
            Self { url, filter, login }
        }))
    }

    /// The settings that make a repository fetch what is missing.
    pub(crate) fn write(&self, config: &mut ConfigText) {
        config.section("extensions", None).set("partialClone", REMOTE.as_bytes());
        config.section("remote", Some(REMOTE.as_bytes()));
        config.set("url", &self.url).set("promisor", b"true").set("partialCloneFilter", &self.filter);
    }
}

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
