//! Git's own words that pass through every module: object ids and branch names, valid by their type.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// An object's id: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(String);

impl Oid {
    /// The id as hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first digits, as people read them.
    pub fn short(&self) -> &str {
        self.0.get(..10).unwrap_or(&self.0)
    }

    /// Reads an id from bytes; `None` for anything else, and for the id of nothing (all zeros).
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes.trim_ascii()).ok()?;
        text.parse().ok()
    }

    /// How many hex digits the ids of this repository have.
    pub(crate) fn digits(&self) -> usize {
        self.0.len()
    }
}

/// Why a text is not an [`Oid`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not the id of a git object")]
pub struct InvalidOid(String);

impl FromStr for Oid {
    type Err = InvalidOid;

    fn from_str(text: &str) -> Result<Self, InvalidOid> {
        let digits = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !digits || !matches!(text.len(), 40 | 64) || text.bytes().all(|b| b == b'0') {
            return Err(InvalidOid(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A branch's name without `refs/heads/`, valid by git's rules.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchName(String);

/// Why a text is not a [`BranchName`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name:?} is not a valid branch name: {why}")]
pub struct InvalidBranchName {
    name: String,
    why: &'static str,
}

impl BranchName {
    /// Takes a name such as `kugetsu/7-fix-it`.
    ///
    /// # Errors
    /// Refuses what `git check-ref-format --branch` refuses.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidBranchName> {
        let name = name.into();
        match fault(&name) {
            Some(why) => Err(InvalidBranchName { name, why }),
            None => Ok(Self(name)),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its ref on the repository that owns it: `refs/heads/<name>`.
    pub fn full(&self) -> String {
        format!("refs/heads/{}", self.0)
    }

    /// Its ref where it is somebody else's: `refs/remotes/origin/<name>`.
    pub(crate) fn tracking(&self) -> String {
        format!("refs/remotes/origin/{}", self.0)
    }

    /// The branch that a full ref name (`refs/heads/...`) stands for.
    pub(crate) fn of_ref(full: &[u8]) -> Option<Self> {
        let name = std::str::from_utf8(full.strip_prefix(b"refs/heads/")?).ok()?;
        Self::new(name).ok()
    }
}

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() || name == "@" || name == "HEAD" {
        return Some("this name is reserved");
    }
    if name.starts_with('-') {
        return Some("it begins with `-`");
    }
    if name.contains(|c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c)) {
        return Some("it holds a space, a control character or one of ~^:?*[\\");
    }
    if name.contains("..") || name.contains("@{") || name.ends_with('.') {
        return Some("it holds `..` or `@{`, or ends with a dot");
    }
    let part_is_bad = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    name.split('/').any(part_is_bad).then_some("a part of it is empty, begins with a dot or ends with .lock")
}

/// Whether bytes are a ref name that may be handed to git: a full name whose parts are valid.
pub(crate) fn is_ref_name(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(b"refs/") else { return false };
    // The rules for bytes above ASCII are "anything goes".
    fault(&String::from_utf8_lossy(rest)).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_names_are_what_git_takes() {
        for good in ["main", "kugetsu/7-fix-it", "a.b", "über/ñ", "x@y", "rel-1.0"] {
            assert!(BranchName::new(good).is_ok(), "{good}");
        }
        for bad in
            ["", "@", "HEAD", "-x", "a b", "a..b", "a/", "/a", "a//b", ".a", "a/.b", "a.lock", "a.", "a@{b", "a\nb"]
        {
            assert!(BranchName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_are_whole_and_never_nothing() {
        assert!("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391".parse::<Oid>().is_ok());
        for bad in ["", "e69de29", &"0".repeat(40), &"E".repeat(40), &"g".repeat(40), &"a".repeat(41)] {
            assert!(bad.parse::<Oid>().is_err(), "{bad}");
        }
    }
}
