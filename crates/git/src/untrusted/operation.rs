//! Operations of git that were started in an untrusted repository and neither ended nor aborted. Git keeps their state in files
//! of the git directory, which are read here like the rest of it: no git runs there.

use std::fmt;
use std::path::Path;

use crate::files::access::{FileError, is_dir_there, is_there, read_if_there};

/// Maximum size of a file that tells one operation from another, in bytes.
const STATE_MAX: u64 = 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Rebase,
    /// `git am`, which applies patches from mails.
    Am,
    Merge,
    CherryPick,
    Revert,
    Bisect,
    /// Files with conflicts, without one of the other operations: those of `git stash pop` or `git checkout --merge`.
    Conflict,
}

impl Operation {
    /// The commands that end it, for a person or an agent.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Rebase => "`git rebase --continue` or `git rebase --abort`",
            Self::Am => "`git am --continue` or `git am --abort`",
            Self::Merge => "`git commit` or `git merge --abort`",
            Self::CherryPick => "`git cherry-pick --continue` or `git cherry-pick --abort`",
            Self::Revert => "`git revert --continue` or `git revert --abort`",
            Self::Bisect => "`git bisect reset`",
            Self::Conflict => "resolve the conflicts, then `git add` and `git commit`",
        }
    }

    /// Reads the operations that the files of a git directory show. [`Operation::Conflict`] is in the index, so it is not among
    /// them.
    pub(crate) fn read_all(git_dir: &Path) -> Result<Vec<Self>, FileError> {
        if !is_dir_there(git_dir)? {
            return Ok(Vec::new());
        }
        let exists = |name: &str| is_there(&git_dir.join(name));
        let mut operations = Vec::new();
        if exists("rebase-merge")? {
            operations.push(Self::Rebase);
        }
        if exists("rebase-apply")? {
            operations.push(if exists("rebase-apply/applying")? { Self::Am } else { Self::Rebase });
        }
        if exists("MERGE_HEAD")? {
            operations.push(Self::Merge);
        }
        // Between two commits of a sequence only its list of commands exists.
        let sequence = read_if_there(&git_dir.join("sequencer/todo"), STATE_MAX)?;
        let next = sequence.as_deref().and_then(first_command);
        let picks = matches!(next, Some(b"pick" | b"p"));
        let reverts = matches!(next, Some(b"revert"));
        let is_unknown = sequence.is_some() && !picks && !reverts;
        if exists("CHERRY_PICK_HEAD")? && !operations.contains(&Self::Rebase) || picks || is_unknown {
            operations.push(Self::CherryPick);
        }
        if exists("REVERT_HEAD")? || reverts {
            operations.push(Self::Revert);
        }
        if exists("BISECT_LOG")? || exists("BISECT_START")? {
            operations.push(Self::Bisect);
        }
        operations.dedup();
        Ok(operations)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rebase => "a rebase",
            Self::Am => "a `git am`",
            Self::Merge => "a merge",
            Self::CherryPick => "a cherry-pick",
            Self::Revert => "a revert",
            Self::Bisect => "a bisect",
            Self::Conflict => "a conflict",
        })
    }
}

fn first_command(todo: &[u8]) -> Option<&[u8]> {
    let lines = todo.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let line = lines.into_iter().find(|line| !line.is_empty() && !line.starts_with(b"#"))?;
    line.split(u8::is_ascii_whitespace).next()
}
