//! The message of a rescue's commit: text for a person, then lines that can be parsed again.
//!
//! Rescues are kept for ever, so the keys of the lines never change.

use percent_encoding::percent_decode_str;

use crate::names::Oid;
use crate::printable::printable;

const FORMAT: &str = "Kugetsu-Rescue: 1";
/// The key of a relay's ref. Rescues have it since relays were called gates.
const RELAY_KEY: &str = "Gate";
/// The key of a commit of a nested repository.
const NESTED_KEY: &str = "Inner";
/// In characters.
const REASON_MAX: usize = 300;

/// A commit of a nested repository that its server does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NestedHead {
    /// The path of the repository below the worktree.
    pub(super) path: Vec<u8>,
    /// The name of the commit there: a ref, `HEAD`, or `kept/<commit>`.
    pub(super) name: Vec<u8>,
    pub(super) commit: Oid,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) issue: u64,
    pub(super) at: String,
    /// One line, see [`Note::clean_reason`].
    pub(super) reason: String,
    /// The issue's branch.
    pub(super) branch: String,
    /// The ref that HEAD was on; `None` if it was detached.
    pub(super) head_ref: Option<Vec<u8>>,
    /// The commit of HEAD.
    pub(super) head: Option<Oid>,
    /// A commit with the staged files, if any were staged.
    pub(super) index: Option<Oid>,
    /// Number of files that differ from HEAD.
    pub(super) files: usize,
    /// The worktree's refs.
    pub(super) refs: Vec<(Vec<u8>, Oid)>,
    /// Those refs of the relay that the server does not have.
    pub(super) relay_refs: Vec<(Vec<u8>, Oid)>,
    /// Objects that pseudo refs, state files and older stashes name.
    pub(super) others: Vec<(Vec<u8>, Oid)>,
    /// A commit with the state files, see `rescue::state`.
    pub(super) state: Option<Oid>,
    /// Commits of nested repositories that their servers do not have.
    pub(super) nested: Vec<NestedHead>,
    /// Files that could not be saved, escaped.
    pub(super) unsaved: Vec<String>,
    /// Files that were saved in another form, and work that was lost before; escaped.
    pub(super) notices: Vec<String>,
}

impl Note {
    /// Makes one line of bounded length of a reason.
    pub(super) fn clean_reason(why: &str) -> String {
        printable(why.trim().replace(['\n', '\r'], " ").as_bytes()).chars().take(REASON_MAX).collect()
    }

    pub(super) fn message(&self) -> String {
        let mut text = format!("Rescue of issue {}: {}\n\n", self.issue, self.reason);
        text.push_str(
            "All of a worktree, saved by kugetsu before some of it could be lost. The files are those of this\n",
        );
        text.push_str("commit; its parents are what was committed, staged or pushed. To restore it:\n\n");
        text.push_str(&format!(
            "    kugetsu rescue restore <owner/repo>#{} --rescue {}\n\n{FORMAT}\n",
            self.issue, self.at
        ));
        let mut line = |key: &str, value: &str| text.push_str(&format!("{key}: {value}\n"));
        line("Issue", &self.issue.to_string());
        line("Time", &self.at);
        line("Why", &self.reason);
        line("Branch", &self.branch);
        if let Some(head_ref) = &self.head_ref {
            line("On", &encode(head_ref));
        }
        if let Some(head) = &self.head {
            line("Head", head.as_str());
        }
        if let Some(index) = &self.index {
            line("Index", index.as_str());
        }
        if let Some(state) = &self.state {
            line("State", state.as_str());
        }
        line("Files", &self.files.to_string());
        for (key, refs) in [("Ref", &self.refs), (RELAY_KEY, &self.relay_refs), ("Other", &self.others)] {
            for (name, oid) in refs {
                line(key, &format!("{oid} {}", encode(name)));
            }
        }
        for head in &self.nested {
            line(NESTED_KEY, &format!("{} {} {}", head.commit, encode(&head.path), encode(&head.name)));
        }
        for (key, sentences) in [("Unsaved", &self.unsaved), ("Notice", &self.notices)] {
            for sentence in sentences {
                line(key, sentence);
            }
        }
        text
    }

    /// Parses a message; `None` if it is not that of a rescue.
    pub(super) fn parse(message: &str) -> Option<Self> {
        let mut lines = message.lines().skip_while(|line| *line != FORMAT);
        lines.next()?;
        let mut note = Self::default();
        for line in lines {
            let Some((key, value)) = line.split_once(": ") else { continue };
            let named = || {
                let (oid, name) = value.split_once(' ')?;
                Some((decode(name), oid.parse().ok()?))
            };
            let nested = || {
                let mut fields = value.splitn(3, ' ');
                let (oid, path, name) = (fields.next()?, fields.next()?, fields.next()?);
                Some(NestedHead { path: decode(path), name: decode(name), commit: oid.parse().ok()? })
            };
            match key {
                "Issue" => note.issue = value.parse().ok()?,
                "Time" => note.at = value.to_owned(),
                "Why" => note.reason = value.to_owned(),
                "Branch" => note.branch = value.to_owned(),
                "On" => note.head_ref = Some(decode(value)),
                "Head" => note.head = value.parse().ok(),
                "Index" => note.index = value.parse().ok(),
                "Files" => note.files = value.parse().ok()?,
                "Ref" => note.refs.extend(named()),
                NESTED_KEY => note.nested.extend(nested()),
                "State" => note.state = value.parse().ok(),
                "Other" => note.others.extend(named()),
                RELAY_KEY => note.relay_refs.extend(named()),
                "Unsaved" => note.unsaved.push(value.to_owned()),
                "Notice" => note.notices.push(value.to_owned()),
                _ => {}
            }
        }
        Some(note)
    }
}

/// Escapes everything but visible ASCII as `%41`, so that bytes become one word.
fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        if byte.is_ascii_graphic() && *byte != b'%' {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02x}"));
        }
    }
    text
}

fn decode(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parsed_note_equals_the_written_one() {
        let oid: Oid = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391".parse().unwrap();
        let note = Note {
            issue: 7,
            at: "20261122T201500Z-2".to_owned(),
            reason: Note::clean_reason("stopped\nHead: 0\x1b[2J: after an hour"),
            branch: "kugetsu/7-x".to_owned(),
            head_ref: Some(b"refs/heads/\xff %".to_vec()),
            head: Some(oid.clone()),
            index: None,
            files: 3,
            refs: vec![(b"refs/heads/a\xfc".to_vec(), oid.clone())],
            relay_refs: vec![(b"refs/heads/b".to_vec(), oid.clone())],
            others: vec![(b"stash@{1}".to_vec(), oid.clone())],
            state: Some(oid.clone()),
            nested: vec![NestedHead { path: b"a b/c".to_vec(), name: b"HEAD".to_vec(), commit: oid }],
            unsaved: vec!["a: b".to_owned()],
            notices: vec!["c".to_owned()],
        };
        assert_eq!(Note::parse(&note.message()), Some(note));
        assert_eq!(Note::parse("Rescue of issue 7: x\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_survive_encoding(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
            proptest::prop_assert_eq!(decode(&encode(&bytes)), bytes);
        }

        #[test]
        fn no_reason_is_parsed_as_a_line(why in ".{0,400}") {
            let note = Note { reason: Note::clean_reason(&why), ..Note::default() };
            proptest::prop_assert_eq!(Note::parse(&note.message()), Some(note));
        }
    }
}
