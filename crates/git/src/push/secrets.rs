//! Looks for secrets in what a push would send: new files, their names, and the messages and authors of new commits.

use std::collections::BTreeMap;

use kugetsu_domain::secret_finder::SecretFinder;

use crate::command::runner::GitError;
use crate::names::Oid;
use crate::printable::printable;
use crate::untrusted::changes::StatusError;
use crate::untrusted::quarantine::{Quarantine, rev_list_input};
use crate::worktree::lifecycle::Worktree;

/// Content that one git process prints, in bytes.
const BATCH_MAX: u64 = 64 * 1024 * 1024;

/// A secret in what is about to be pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSecret {
    /// The variable that has the value.
    pub variable: String,
    /// A noun phrase, escaped: the file with its commit, the commit, or the branch.
    pub location: String,
    /// Whether it is the content of a file that only earlier commits have: the head has it no more.
    pub is_in_history: bool,
}

struct Object {
    oid: Oid,
    /// The path of a file or directory; empty for commits.
    path: Vec<u8>,
    size: u64,
}

impl Worktree {
    /// The first secret in the commits of `head` that no ref of the server has, as of the last update, and in the name of the
    /// branch.
    ///
    /// # Errors
    /// Content that could not be read. Then it is not known whether it holds a secret.
    pub async fn secret_in_push(&self, head: &Oid, finder: &SecretFinder) -> Result<Option<FoundSecret>, StatusError> {
        let found = |variable: &str, location: String, is_in_history| {
            Ok(Some(FoundSecret { variable: variable.to_owned(), location, is_in_history }))
        };
        if finder.is_empty() {
            return Ok(None);
        }
        if let Some(variable) = finder.find(self.branch().as_str().as_bytes()) {
            return found(variable, "the name of the branch".to_owned(), false);
        }
        let quarantine = Quarantine::open(self.mirror(), &[&self.git_dir(), self.relay()], None).await?;
        let on_server = self.mirror().refs(&["refs/remotes/origin", "refs/tags"]).await?;
        let on_server: Vec<Oid> = on_server.into_iter().map(|(_, oid)| oid).collect();
        let objects = quarantine.new_objects(head, &on_server).await?;
        for object in &objects {
            if let Some(variable) = finder.find(&object.path) {
                let commit = quarantine.commit_with(object, head, &on_server).await?;
                let is_in_history = !quarantine.has_file(head, object).await?;
                return found(variable, format!("the name of a file{commit}"), is_in_history);
            }
        }
        let (mut batch, mut size) = (Vec::new(), 0);
        let mut rest = objects.iter().peekable();
        while let Some(object) = rest.next() {
            batch.push(object);
            size += object.size;
            if size < BATCH_MAX && rest.peek().is_some() {
                continue;
            }
            let contents = quarantine.contents(&batch).await?;
            for object in batch.drain(..) {
                let Some(variable) = contents.get(&object.oid).and_then(|content| finder.find(content)) else {
                    continue;
                };
                if object.path.is_empty() {
                    let location = format!("the message or author of commit {}", object.oid.short());
                    return found(variable, location, false);
                }
                let commit = quarantine.commit_with(object, head, &on_server).await?;
                let is_in_history = !quarantine.has_file(head, object).await?;
                return found(variable, format!("the file {}{commit}", printable(&object.path)), is_in_history);
            }
            size = 0;
        }
        Ok(None)
    }
}

impl Quarantine {
    /// ` in commit <id>`: the first new commit that adds the file. Empty if only a merge brings it.
    async fn commit_with(&self, object: &Object, head: &Oid, known: &[Oid]) -> Result<String, GitError> {
        let log = self.command("log", "find the commit of a file").args([
            "--format=%H",
            "--no-abbrev",
            "--no-show-signature",
        ]);
        let log = log.arg(format!("--find-object={}", object.oid)).args(["--reverse", "--stdin"]);
        let commits = log.stdin(rev_list_input(&[head], known)).run().await?;
        let first = commits.lines().find_map(Oid::from_bytes);
        Ok(first.map(|commit| format!(" in commit {}", commit.short())).unwrap_or_default())
    }

    /// Whether a file of the commit has this content.
    async fn has_file(&self, commit: &Oid, object: &Object) -> Result<bool, GitError> {
        let list = self.command("ls-tree", "list the files of the head").args(["-r", "-z", commit.as_str()]);
        let listed = list.run().await?;
        // `<mode> <type> <id>`, a tab, and the path.
        let is_object = |record: &[u8]| {
            let mut fields = record.split(|byte| matches!(byte, b' ' | b'\t'));
            fields.nth(2).is_some_and(|oid| oid == object.oid.as_str().as_bytes())
        };
        Ok(listed.records().any(is_object))
    }

    /// The commits and files that `head` has and `known` have not, with their sizes.
    async fn new_objects(&self, head: &Oid, known: &[Oid]) -> Result<Vec<Object>, GitError> {
        let listed = self.list_objects(head, known).await?;
        let mut paths: Vec<(Oid, Vec<u8>)> = Vec::new();
        for line in listed.lines() {
            let (oid, path) = line.split_at(line.iter().position(|byte| *byte == b' ').unwrap_or(line.len()));
            if let Some(oid) = Oid::from_bytes(oid) {
                paths.push((oid, path.get(1..).unwrap_or_default().to_vec()));
            }
        }
        let input: String = paths.iter().map(|(oid, _)| format!("{oid}\n")).collect();
        let check = self.command("cat-file", "look at what is pushed").arg("--batch-check=%(objecttype) %(objectsize)");
        let sizes = check.stdin(input).run().await?;
        let mut objects = Vec::new();
        for ((oid, path), line) in paths.into_iter().zip(sizes.lines()) {
            let line = String::from_utf8_lossy(line);
            match line.split_once(' ') {
                // The entries of directories are the paths.
                Some(("tree", _)) => {}
                Some((_, size)) => {
                    let size = size.trim().parse().map_err(|_| sizes.unexpected())?;
                    objects.push(Object { oid, path, size });
                }
                None => return Err(sizes.unexpected()),
            }
        }
        Ok(objects)
    }

    async fn contents(&self, objects: &[&Object]) -> Result<BTreeMap<Oid, Vec<u8>>, GitError> {
        let input: String = objects.iter().map(|object| format!("{}\n", object.oid)).collect();
        let output = self.command("cat-file", "read what is pushed").arg("--batch").stdin(input).run().await?;
        let mut contents = BTreeMap::new();
        let mut rest = output.stdout.as_slice();
        for object in objects {
            // `<id> <type> <size>`, the content, and a line break.
            let line = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| output.unexpected())?;
            let size = usize::try_from(object.size).map_err(|_| output.unexpected())?;
            let content = rest.get(line + 1..line + 1 + size).ok_or_else(|| output.unexpected())?;
            contents.insert(object.oid.clone(), content.to_vec());
            rest = rest.get(line + size + 2..).unwrap_or_default();
        }
        Ok(contents)
    }
}
