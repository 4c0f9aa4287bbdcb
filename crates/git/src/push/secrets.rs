//! Looks for secrets in what a push would send: the content and the names of new files, the messages and authors of new
//! commits, the LFS objects of new files, and the name of the branch. Nothing else is sent: no tag, no note, no submodule.

use std::io::Read;
use std::path::{Path, PathBuf};

use kugetsu_domain::secret_finder::SecretFinder;

use crate::command::runner::GitError;
use crate::files::access::{FileError, IoContext, blocking, is_there, join_bytes, open_regular};
use crate::lfs::objects::{Pointer, object_path};
use crate::names::Oid;
use crate::printable::printable;
use crate::push::outgoing::{BATCH_MAX, Object, ObjectKind, Outgoing, contents, is_pointer_sized};
use crate::untrusted::changes::StatusError;
use crate::untrusted::quarantine::Quarantine;
use crate::worktree::lifecycle::Worktree;

/// Bytes of a large file that are searched at once.
const CHUNK: usize = 1024 * 1024;

/// A secret in what is about to be pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSecret {
    /// The variable that has the value.
    pub variable: String,
    /// A noun phrase, escaped: the file with its commit, the commit, or the branch.
    pub location: String,
    /// Whether only earlier commits have the file or its name: the head has it no more.
    pub is_in_history: bool,
}

impl FoundSecret {
    fn new(variable: &str, location: impl Into<String>) -> Self {
        Self { variable: variable.to_owned(), location: location.into(), is_in_history: false }
    }
}

impl Worktree {
    /// The first secret in what a push of `head` would send, as of the last update of the server's refs.
    ///
    /// # Errors
    /// Content that could not be read. Then it is not known whether it holds a secret.
    pub async fn secret_in_push(&self, head: &Oid, finder: &SecretFinder) -> Result<Option<FoundSecret>, StatusError> {
        if finder.is_empty() {
            return Ok(None);
        }
        if let Some(variable) = finder.find(self.branch().as_str().as_bytes()) {
            return Ok(Some(FoundSecret::new(variable, "the name of the branch")));
        }
        let quarantine = Quarantine::open(self.mirror(), &[&self.git_dir(), self.relay()], None).await?;
        let on_server = self.mirror().server_commits().await?;
        let outgoing = Outgoing {
            git: quarantine.git(),
            git_dir: quarantine.dir(),
            is_partial: self.mirror().promisor().is_some(),
            head,
            known: &on_server,
        };
        let objects = outgoing.objects().await?;
        match secret_in_names(&outgoing, &objects, finder).await? {
            None => self.secret_in_contents(&outgoing, &objects, finder).await,
            found => Ok(found),
        }
    }

    async fn secret_in_contents(
        &self,
        outgoing: &Outgoing<'_>,
        objects: &[Object],
        finder: &SecretFinder,
    ) -> Result<Option<FoundSecret>, StatusError> {
        // A push sends the mirror's copies, which are verified. What has none is not sent.
        self.mirror().copy_lfs_content(self, None, &outgoing.lfs_files_among(objects).await?).await?;
        let mut batch = Vec::new();
        let mut rest = objects.iter().filter(|object| object.kind != ObjectKind::Tree).peekable();
        while let Some(object) = rest.next() {
            if object.size > BATCH_MAX {
                let content = unpack(outgoing, object).await?;
                let found = find_in_file(&content, finder).await;
                std::fs::remove_file(&content).context("remove", &content)?;
                if let Some(variable) = found? {
                    return Ok(Some(in_object(outgoing, object, &variable, "the file").await?));
                }
            } else {
                batch.push(object);
            }
            let size: u64 = batch.iter().map(|object| object.size).sum();
            if size < BATCH_MAX && rest.peek().is_some() || batch.is_empty() {
                continue;
            }
            let output = outgoing.read(&batch).await?;
            for (object, content) in contents(&output, &batch)? {
                if let Some(variable) = finder.find(content) {
                    return Ok(Some(in_object(outgoing, object, variable, "the file").await?));
                }
                let pointer = if is_pointer_sized(object) { Pointer::parse(content) } else { None };
                let copy = pointer.and_then(|pointer| object_path(self.mirror().dir(), pointer.name()));
                if let Some(copy) = copy
                    && is_there(&copy)?
                    && let Some(variable) = find_in_file(&copy, finder).await?
                {
                    let found = in_object(outgoing, object, &variable, "the Git LFS content of the file").await?;
                    return Ok(Some(found));
                }
            }
            batch.clear();
        }
        Ok(None)
    }
}

/// A secret in the names of files and directories that the commits add. Names that the server has already are no news.
async fn secret_in_names(
    outgoing: &Outgoing<'_>,
    objects: &[Object],
    finder: &SecretFinder,
) -> Result<Option<FoundSecret>, GitError> {
    let Some(added) = outgoing.added_path(objects, |path| finder.find(path).is_some()).await? else { return Ok(None) };
    let variable = finder.find(&added.path).unwrap_or_default();
    let is_in_history = !outgoing.has_path(|path| finder.find(path) == Some(variable)).await?;
    let location = format!("the name of a file in commit {}", added.commit.short());
    Ok(Some(FoundSecret { is_in_history, ..FoundSecret::new(variable, location) }))
}

/// Describes a secret in a commit, or in a `what`, such as the file, with the commit that adds it.
async fn in_object(
    outgoing: &Outgoing<'_>,
    object: &Object,
    variable: &str,
    what: &str,
) -> Result<FoundSecret, GitError> {
    if object.kind == ObjectKind::Commit {
        return Ok(FoundSecret::new(variable, format!("the message or author of commit {}", object.oid.short())));
    }
    let commit = outgoing.commit_with(object).await?;
    let commit = commit.map(|commit| format!(" in commit {}", commit.short())).unwrap_or_default();
    let is_in_history = !outgoing.has_file(object).await?;
    let location = format!("{what} {}{commit}", printable(&object.path));
    Ok(FoundSecret { is_in_history, ..FoundSecret::new(variable, location) })
}

/// Writes an object that is too large for the output of a command into a file.
async fn unpack(outgoing: &Outgoing<'_>, object: &Object) -> Result<PathBuf, GitError> {
    let command = outgoing.command("unpack-file", "read what is pushed").arg(object.oid.as_str());
    let output = command.run().await?;
    let name = output.stdout.trim_ascii_end();
    if name.is_empty() || name.contains(&b'/') {
        Err(output.unexpected())
    } else {
        Ok(join_bytes(outgoing.git_dir, name))
    }
}

/// The variable whose value is in a file. Reads it in chunks.
async fn find_in_file(path: &Path, finder: &SecretFinder) -> Result<Option<String>, FileError> {
    let (path, finder) = (path.to_owned(), finder.clone());
    blocking(&path.clone(), move || {
        let unreadable = || std::io::Error::other("it is not readable as a file");
        let file = open_regular(&path).ok_or_else(unreadable).context("read", &path)?;
        find_in_chunks(file, CHUNK, &finder).context("read", &path)
    })
    .await
}

fn find_in_chunks(mut file: impl Read, chunk: usize, finder: &SecretFinder) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    loop {
        let read = (&mut file).take(chunk as u64).read_to_end(&mut bytes)?;
        if let Some(variable) = finder.find(&bytes) {
            return Ok(Some(variable.to_owned()));
        }
        if read == 0 {
            return Ok(None);
        }
        // A value may continue in the next chunk.
        bytes.drain(..bytes.len().saturating_sub(finder.longest()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_across_chunks_is_found() {
        let finder = SecretFinder::new([("A_TOKEN".to_owned(), "tok-123456789".to_owned())], &[]);
        for before in 0..40 {
            let content = format!("{}tok-123456789{}", "x".repeat(before), "y".repeat(30));
            let found = find_in_chunks(content.as_bytes(), 7, &finder).unwrap();
            assert_eq!(found.as_deref(), Some("A_TOKEN"), "{before}");
        }
        assert_eq!(find_in_chunks("tok-12345678".as_bytes(), 7, &finder).unwrap(), None);
    }
}
