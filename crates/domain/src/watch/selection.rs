//! Who handed an issue over: the user whose setting of its label or its assignee still holds.

use std::fmt;

use jiff::Timestamp;

/// The mark that hands an issue over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A label of this name.
    Label(String),
    /// This login as an assignee.
    Assignee(String),
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => write!(f, "label {label:?}"),
            Self::Assignee(login) => write!(f, "assignee {login}"),
        }
    }
}

/// A recorded change of a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkChange {
    /// The server's ID, which grows.
    pub id: u64,
    pub at: Option<Timestamp>,
    /// The login of the user who made it; `None` if the server does not name one, as for a deleted account.
    pub actor: Option<String>,
    /// Whether it was set, and not removed.
    pub is_set: bool,
}

/// The last setting of a mark that an issue has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub by: SetBy,
    /// The server's time of it; `None` if it is not recorded.
    pub at: Option<Timestamp>,
}

/// Who set a mark that an issue has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetBy {
    User(String),
    /// A user whom the server does not name.
    Unnamed,
    /// No change is recorded: the issue was created with it.
    Author,
    /// The recorded changes do not explain the mark.
    Unclear,
    /// The server records no such changes.
    Unrecorded,
}

impl Setting {
    /// The server records no changes of marks.
    pub const UNRECORDED: Self = Self { by: SetBy::Unrecorded, at: None };

    /// The last setting that still holds. `is_complete` is whether these are all changes of the mark: a later one may be among those
    /// that were not read.
    pub fn of(mut changes: Vec<MarkChange>, is_complete: bool) -> Self {
        let by = |by| Self { by, at: None };
        if !is_complete {
            return by(SetBy::Unclear);
        }
        // Servers name the order only in part. IDs decide within a second.
        changes.sort_by_key(|change| (change.at, change.id));
        match changes.pop() {
            None => by(SetBy::Author),
            // The mark was set again after the list was read, or in a way that is not recorded.
            Some(MarkChange { is_set: false, .. }) => by(SetBy::Unclear),
            Some(MarkChange { actor, at, .. }) => Self { by: actor.map_or(SetBy::Unnamed, SetBy::User), at },
        }
    }
}

/// Who set the mark, and whether the policy trusts that user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedBy {
    pub set_by: SetBy,
    /// Whether the policy trusts a [`SetBy::User`]; `None` if it is not known.
    pub is_trusted: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(id: u64, second: i64, actor: &str, is_set: bool) -> MarkChange {
        let actor = Some(actor.to_owned()).filter(|actor| !actor.is_empty());
        MarkChange { id, at: Timestamp::from_second(second).ok(), actor, is_set }
    }

    #[test]
    fn the_last_setting_counts() {
        let user = |login: &str| SetBy::User(login.to_owned());
        for (changes, expected) in [
            (vec![], SetBy::Author),
            (vec![change(1, 1, "kim", true)], user("kim")),
            (vec![change(1, 1, "kim", true), change(2, 2, "lee", false), change(3, 3, "eve", true)], user("eve")),
            // The order of the list does not matter, not even within a second.
            (vec![change(3, 1, "eve", true), change(2, 1, "lee", false), change(1, 1, "kim", true)], user("eve")),
            (vec![change(9, 1, "kim", true), change(2, 5, "eve", true)], user("eve")),
            (vec![change(1, 1, "kim", true), change(2, 2, "", true)], SetBy::Unnamed),
            (vec![change(1, 1, "kim", true), change(2, 2, "kim", false)], SetBy::Unclear),
        ] {
            assert_eq!(Setting::of(changes.clone(), true).by, expected, "{changes:?}");
            assert_eq!(Setting::of(changes, false), Setting { by: SetBy::Unclear, at: None });
        }
        let at = Setting::of(vec![change(1, 1, "kim", true), change(2, 7, "eve", true)], true).at;
        assert_eq!(at, Timestamp::from_second(7).ok());
    }
}
