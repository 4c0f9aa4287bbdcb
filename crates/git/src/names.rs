//! Object ids, ref names and branch names, valid by their type.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The id of an object: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits, not all zero.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(String);

impl Oid {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first ten digits.
    pub fn short(&self) -> &str {
        self.0.get(..10).unwrap_or(&self.0)
    }

    /// Parses an id, with white space around it. The all-zero id, git's "no object", is `None` too.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes.trim_ascii()).ok()?;
        text.parse().ok()
    }

    /// Number of hex digits: 40 or 64, by the repository's object format.
    pub(crate) fn hex_len(&self) -> usize {
        self.0.len()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a git object id")]
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

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid branch name {name:?}: {reason}")]
pub struct InvalidBranchName {
    name: String,
    reason: &'static str,
}

impl BranchName {
    /// Takes a name such as `kugetsu/7-fix-it`.
    ///
    /// # Errors
    /// Rejects what `git check-ref-format --branch` rejects.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidBranchName> {
        let name = name.into();
        match invalid_reason(&name) {
            Some(reason) => Err(InvalidBranchName { name, reason }),
            None => Ok(Self(name)),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `refs/heads/<name>`.
    pub fn full_ref(&self) -> String {
        format!("refs/heads/{}", self.0)
    }

    /// `refs/remotes/origin/<name>`.
    pub(crate) fn tracking_ref(&self) -> String {
        format!("refs/remotes/origin/{}", self.0)
    }

    /// The branch that a full ref name (`refs/heads/...`) stands for.
    pub(crate) fn from_ref(full: &[u8]) -> Option<Self> {
        let name = std::str::from_utf8(full.strip_prefix(b"refs/heads/")?).ok()?;
        Self::new(name).ok()
    }
}

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn invalid_reason(name: &str) -> Option<&'static str> {
    if name.is_empty() || name == "@" || name == "HEAD" {
        return Some("the name is reserved");
    }
    if name.starts_with('-') {
        return Some("it begins with `-`");
    }
    if name.contains(|c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c)) {
        return Some("it contains a space, a control character or one of ~^:?*[\\");
    }
    if name.contains("..") || name.contains("@{") || name.ends_with('.') {
        return Some("it contains `..` or `@{`, or ends with a dot");
    }
    let part_is_bad = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    name.split('/').any(part_is_bad).then_some("a part of it is empty, begins with a dot or ends with `.lock`")
}

/// Whether kugetsu named the branch, for an issue.
pub(crate) fn is_of_issue(branch: &str) -> bool {
    branch.strip_prefix("kugetsu").is_some_and(|rest| rest.starts_with(['/', '-']))
}

/// Whether bytes are a full ref name that is safe to pass to git.
pub(crate) fn is_ref_name(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(b"refs/") else { return false };
    // Git allows every byte above ASCII, so the lossy conversion changes nothing that the rules look at.
    invalid_reason(&String::from_utf8_lossy(rest)).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_names_follow_the_rules_of_git() {
        for valid in ["main", "kugetsu/7-fix-it", "a.b", "über/ñ", "x@y", "rel-1.0"] {
            assert!(BranchName::new(valid).is_ok(), "{valid}");
        }
        for invalid in
            ["", "@", "HEAD", "-x", "a b", "a..b", "a/", "/a", "a//b", ".a", "a/.b", "a.lock", "a.", "a@{b", "a\nb"]
        {
            assert!(BranchName::new(invalid).is_err(), "{invalid:?}");
        }
    }

    #[test]
    fn abbreviated_and_zero_ids_are_invalid() {
        assert!("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391".parse::<Oid>().is_ok());
        for invalid in ["", "e69de29", &"0".repeat(40), &"E".repeat(40), &"g".repeat(40), &"a".repeat(41)] {
            assert!(invalid.parse::<Oid>().is_err(), "{invalid}");
        }
    }
}
