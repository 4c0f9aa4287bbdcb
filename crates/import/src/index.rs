//! The script's `index.json`, which maps session ids and issue references to session files. Its structure is not known:
//! every pair of texts in it is read, in either direction.

use std::collections::BTreeMap;

use serde_json::Value;

/// Maximum nesting of objects.
const DEPTH_MAX: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Session files and session ids with their issue.
    issues: BTreeMap<String, String>,
}

impl Index {
    pub(crate) fn parse(value: &Value) -> Self {
        let mut index = Self::default();
        index.collect(value, None, 0);
        index
    }

    /// `issue` is the issue whose object this is.
    fn collect(&mut self, value: &Value, issue: Option<&str>, depth: usize) {
        let Value::Object(fields) = value else { return };
        for (name, value) in fields {
            match value {
                Value::String(text) => {
                    if is_issue(name) {
                        self.issues.insert(file_name(text), name.clone());
                    } else if is_issue(text) {
                        self.issues.insert(file_name(name), text.clone());
                    } else if let Some(issue) = issue {
                        self.issues.insert(file_name(text), issue.to_owned());
                    }
                }
                value if depth < DEPTH_MAX => {
                    self.collect(value, Some(name.as_str()).filter(|name| is_issue(name)).or(issue), depth + 1);
                }
                _ => {}
            }
        }
    }

    /// The issue of a session file or session id.
    pub(crate) fn issue(&self, file_or_id: &str) -> Option<&str> {
        self.issues.get(&file_name(file_or_id)).map(String::as_str)
    }

    /// All session ids with their issues: `(issue, id)`.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_id = |name: &&String| name.starts_with("ses_");
        self.issues.iter().filter(move |(name, _)| is_id(name)).map(|(id, issue)| (issue.as_str(), id.as_str()))
    }
}

/// Only compared, never opened.
fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

fn is_issue(text: &str) -> bool {
    text.rsplit_once(['#', '/']).is_some_and(|(repo, number)| {
        repo.contains('/') && !number.is_empty() && number.chars().all(|c| c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_in_either_direction() {
        let value = serde_json::json!({
            "base": "ses_base",
            "issues": { "github.com/acme/api#1": "github.com-acme-api-1.json" },
            "sessions": { "ses_2": "github.com/acme/api#2", "../../x": 3 },
            "github.com/acme/api#3": { "session_id": "ses_3", "file": "sessions/three.json" },
        });
        let index = Index::parse(&value);
        assert_eq!(index.issue("github.com-acme-api-1.json"), Some("github.com/acme/api#1"));
        assert_eq!(index.issue("ses_2"), Some("github.com/acme/api#2"));
        assert_eq!(index.issue("three.json"), Some("github.com/acme/api#3"));
        assert_eq!(index.sessions().count(), 2);
        assert_eq!(Index::parse(&serde_json::json!([1])).sessions().count(), 0);
    }
}
