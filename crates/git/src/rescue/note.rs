//! What a rescue's commit says of itself: for a person first, and in lines that can be read again.

use percent_encoding::percent_decode_str;

use crate::names::Oid;
use crate::shown::shown;

const FORMAT: &str = "Kugetsu-Rescue: 1";
/// The key of a ref of the relay. Rescues of earlier versions have it too, so it keeps the name that relays had then.
const RELAY_KEY: &str = "Gate";
const WHY_MAX: usize = 300;

/// A commit of a repository inside the worktree that its server does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NestedHead {
    /// Where the repository is, below the worktree.
    pub(super) place: Vec<u8>,
    /// What names the commit there: a ref, `HEAD`, or `kept/<commit>`.
    pub(super) name: Vec<u8>,
    pub(super) commit: Oid,
}

/// A rescue's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) issue: u64,
    pub(super) at: String,
    /// One line.
    pub(super) reason: String,
    /// The issue's branch.
    pub(super) branch: String,
    /// The ref that HEAD stood on; `None`: it stood on a commit.
    pub(super) on: Option<Vec<u8>>,
    pub(super) head: Option<Oid>,
    /// A commit of what was staged, if that was something.
    pub(super) index: Option<Oid>,
    /// How many files differ from HEAD.
    pub(super) files: usize,
    /// The worktree's refs.
    pub(super) refs: Vec<(Vec<u8>, Oid)>,
    /// The relay's refs that the server does not have.
    pub(super) relay: Vec<(Vec<u8>, Oid)>,
    /// What repositories inside the worktree have and their servers do not.
    pub(super) nested: Vec<NestedHead>,
    /// Files that are there but could not be saved, fit to be shown.
    pub(super) unsaved: Vec<String>,
    /// What is saved otherwise than it was, or was lost before, fit to be shown.
    pub(super) notices: Vec<String>,
}

impl Note {
    /// The reason as it is kept.
    pub(super) fn reason(why: &str) -> String {
        shown(why.trim().replace(['\n', '\r'], " ").as_bytes()).chars().take(WHY_MAX).collect()
    }

    /// The commit's message.
    pub(super) fn message(&self) -> String {
        let mut text = format!("Rescue of issue {}: {}\n\n", self.issue, self.reason);
        text.push_str(
            "The whole state of a worktree, saved by kugetsu before something could be lost. The files are this\n",
        );
        text.push_str("commit's; what was committed, staged or pushed are its parents. To bring it back:\n\n");
        text.push_str(&format!(
            "    kugetsu rescue restore <owner/repo>#{} --rescue {}\n\n{FORMAT}\n",
            self.issue, self.at
        ));
        let mut line = |key: &str, value: &str| text.push_str(&format!("{key}: {value}\n"));
        line("Issue", &self.issue.to_string());
        line("Time", &self.at);
        line("Why", &self.reason);
        line("Branch", &self.branch);
        if let Some(on) = &self.on {
            line("On", &encoded(on));
        }
        if let Some(head) = &self.head {
            line("Head", head.as_str());
        }
        if let Some(index) = &self.index {
            line("Index", index.as_str());
        }
        line("Files", &self.files.to_string());
        for (key, refs) in [("Ref", &self.refs), (RELAY_KEY, &self.relay)] {
            for (name, oid) in refs {
                line(key, &format!("{oid} {}", encoded(name)));
            }
        }
        for head in &self.nested {
            line("Inner", &format!("{} {} {}", head.commit, encoded(&head.place), encoded(&head.name)));
        }
        for (key, sentences) in [("Unsaved", &self.unsaved), ("Notice", &self.notices)] {
            for sentence in sentences {
                line(key, sentence);
            }
        }
        text
    }

    /// Reads a message; `None` if it is none of ours.
    pub(super) fn read(message: &str) -> Option<Self> {
        let mut lines = message.lines().skip_while(|line| *line != FORMAT);
        lines.next()?;
        let mut note = Self::default();
        for line in lines {
            let Some((key, value)) = line.split_once(": ") else { continue };
            let named = || {
                let (oid, name) = value.split_once(' ')?;
                Some((decoded(name), oid.parse().ok()?))
            };
            let inner = || {
                let mut words = value.splitn(3, ' ');
                let (oid, place, name) = (words.next()?, words.next()?, words.next()?);
                Some(NestedHead { place: decoded(place), name: decoded(name), commit: oid.parse().ok()? })
            };
            match key {
                "Issue" => note.issue = value.parse().ok()?,
                "Time" => note.at = value.to_owned(),
                "Why" => note.reason = value.to_owned(),
                "Branch" => note.branch = value.to_owned(),
                "On" => note.on = Some(decoded(value)),
                "Head" => note.head = value.parse().ok(),
                "Index" => note.index = value.parse().ok(),
                "Files" => note.files = value.parse().ok()?,
                "Ref" => note.refs.extend(named()),
                "Inner" => note.nested.extend(inner()),
                RELAY_KEY => note.relay.extend(named()),
                "Unsaved" => note.unsaved.push(value.to_owned()),
                "Notice" => note.notices.push(value.to_owned()),
                _ => {}
            }
        }
        Some(note)
    }
}

/// Bytes as one word: what is not plain ASCII is written `%41`.
fn encoded(bytes: &[u8]) -> String {
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

fn decoded(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let oid: Oid = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391".parse().unwrap();
        let note = Note {
            issue: 7,
            at: "20261122T201500Z-2".to_owned(),
            reason: Note::reason("stopped\nHead: 0\x1b[2J: after an hour"),
            branch: "kugetsu/7-x".to_owned(),
            on: Some(b"refs/heads/\xff %".to_vec()),
            head: Some(oid.clone()),
            index: None,
            files: 3,
            refs: vec![(b"refs/heads/a\xfc".to_vec(), oid.clone())],
            relay: vec![(b"refs/heads/b".to_vec(), oid.clone())],
            nested: vec![NestedHead { place: b"a b/c".to_vec(), name: b"HEAD".to_vec(), commit: oid }],
            unsaved: vec!["a: b".to_owned()],
            notices: vec!["c".to_owned()],
        };
        assert_eq!(Note::read(&note.message()), Some(note));
        assert_eq!(Note::read("Rescue of issue 7: x\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_ref_name_comes_back(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
            proptest::prop_assert_eq!(decoded(&encoded(&bytes)), bytes);
        }

        #[test]
        fn no_reason_becomes_a_line_of_its_own(why in ".{0,400}") {
            let note = Note { reason: Note::reason(&why), ..Note::default() };
            proptest::prop_assert_eq!(Note::read(&note.message()), Some(note));
        }
    }
}
