//! The record of who labeled and assigned an issue.

/// A change of a label or an assignee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkChange {
    pub id: u64,
    /// The login of the user who made it.
    pub actor: String,
    /// Unix seconds.
    pub at: i64,
    pub mark: Mark,
    pub is_set: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    Label(String),
    Assignee(String),
}

impl MarkChange {
    /// Changes from some labels or assignees to others.
    pub(super) fn between(
        (old, new): (&[String], &[String]),
        mark: fn(String) -> Mark,
        (actor, at, first_id): (&str, i64, u64),
    ) -> Vec<Self> {
        let removed = old.iter().filter(|name| !new.contains(name)).map(|name| (name, false));
        let added = new.iter().filter(|name| !old.contains(name)).map(|name| (name, true));
        let change = |(id, (name, is_set)): (u64, (&String, bool))| Self {
            id,
            actor: actor.to_owned(),
            at,
            mark: mark(name.clone()),
            is_set,
        };
        (first_id..).zip(removed.chain(added)).map(change).collect()
    }
}
