//! How the turns of a session ended and what they used, as the agent's file has it: lines of JSON, which the agent writes meanwhile.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::model_failure::HiddenEnd;
use crate::usage::Tokens;

/// Largest file in bytes that is read.
const LENGTH_MAX: u64 = 1024 * 1024 * 1024;

/// The content of a session's file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionRecord {
    /// Number of prompts, each of which starts a turn.
    pub(crate) prompts: u64,
    /// The end of the last turn: `None` before it, `Some(None)` if nothing speaks against a good one.
    pub(crate) end: Option<Option<HiddenEnd>>,
    /// The model's latest failure in the last turn after which the agent sent its request again.
    pub(crate) retried: Option<String>,
    /// Of all turns, with those of sub-agents.
    pub(crate) used: RecordedTokens,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecordedTokens {
    pub(crate) tokens: Tokens,
    /// Number of model requests whose tokens are not known.
    pub(crate) uncounted: u64,
}

impl SessionRecord {
    /// Returns what was used after `before`; `None` if not known.
    pub(crate) fn used_since(&self, before: &Self) -> Option<Tokens> {
        (self.used.uncounted == before.used.uncounted).then(|| self.used.tokens.since(before.used.tokens))
    }
}

/// Passes each line to `take`. Lines with other content are left out, as is the end of a line that is still being written.
///
/// # Errors
/// The file is absent, not a regular file, too long, or cannot be read.
pub(super) fn for_each_line<T: DeserializeOwned>(path: &Path, mut take: impl FnMut(T)) -> io::Result<()> {
    let mut reader = BufReader::new(open(path)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if let Ok(content) = serde_json::from_slice(&line) {
            take(content);
        }
    }
}

/// Opens a regular file. A link is not followed, and the other end of a FIFO is not waited for.
fn open(path: &Path) -> io::Result<File> {
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if metadata.len() > LENGTH_MAX {
        return Err(io::Error::other("it is too large"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;

    use super::*;

    #[test]
    fn lines_that_are_not_json_are_left_out() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lines");
        fs::write(&path, "{\"a\":1}\nnonsense\n\n{\"a\":2}\n{\"a\":").unwrap();
        let mut found = Vec::new();
        for_each_line(&path, |line: Value| found.push(line["a"].clone())).unwrap();
        assert_eq!(found, [1, 2]);
    }

    #[test]
    fn special_files_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let (fifo, link) = (home.path().join("fifo"), home.path().join("link"));
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        for path in [&fifo, &link, home.path()] {
            assert!(for_each_line(path, |_: Value| {}).is_err(), "{}", path.display());
        }
    }
}
