//! Pieces of answers that more than one kind of server sends, read leniently: what is absent or null is none.

use jiff::Timestamp;
use serde::Deserialize;

/// A label: an object on GitHub and Gitea, a plain name on GitLab and in old answers of GitHub.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Label {
    Name(String),
    Object { name: Option<String> },
}

/// The names among `labels`.
pub(super) fn names(labels: Option<Vec<Label>>) -> Vec<String> {
    let name = |label| match label {
        Label::Name(name) | Label::Object { name: Some(name) } => Some(name),
        Label::Object { name: None } => None,
    };
    labels.into_iter().flatten().filter_map(name).collect()
}

/// The user whom the token belongs to, who has a login in any case.
#[derive(Debug, Deserialize)]
#[serde(try_from = "User")]
pub(super) struct Me {
    pub(super) login: String,
}

impl TryFrom<User> for Me {
    type Error = &'static str;

    fn try_from(user: User) -> Result<Self, Self::Error> {
        login(Some(user)).map(|login| Self { login }).ok_or("a user without a login")
    }
}

/// A user. GitHub writes `login`, GitLab `username`, and Gitea both.
#[derive(Debug, Deserialize)]
pub(super) struct User {
    login: Option<String>,
    username: Option<String>,
}

/// The login of a user that may be gone.
pub(super) fn login(user: Option<User>) -> Option<String> {
    let user = user?;
    user.login.or(user.username).filter(|login| !login.is_empty())
}

/// A time. Gitea writes the years 1 and 1970 where there is none, and anything unreadable is none as well.
pub(super) fn time(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok().filter(|time| *time > Timestamp::UNIX_EPOCH)
}

/// Whether a title marks its change as not ready, with one of these words before it.
pub(super) fn marks_draft(title: &str, words: &[&str]) -> bool {
    words.iter().any(|word| title.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unset_times_are_none() {
        for text in ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-01-01T01:00:00+01:00", "", "soon"] {
            assert_eq!(time(Some(text)), None, "{text}");
        }
        assert_eq!(time(None), None);
        assert_eq!(time(Some("2026-01-02T03:04:05+01:00")), "2026-01-02T02:04:05Z".parse().ok());
        assert_eq!(time(Some("2026-01-02T03:04:05.678Z")), "2026-01-02T03:04:05.678Z".parse().ok());
    }

    #[test]
    fn labels_are_read_in_every_form() {
        let labels = serde_json::from_str(r#"["a", {"name": "b", "id": 1}, {"name": null}, {}]"#).unwrap();
        assert_eq!(names(Some(labels)), ["a", "b"]);
        assert!(names(None).is_empty());
    }

    #[test]
    fn a_title_marks_a_draft_at_its_beginning_only() {
        let words = ["WIP:", "[WIP]"];
        assert!(marks_draft("wip: x", &words) && marks_draft("[WIP] x", &words));
        assert!(!marks_draft("no WIP: x", &words) && !marks_draft("é", &words) && !marks_draft("", &words));
    }
}
