//! The script's queue: `queue.json` in early versions, later a file per item in `queue/items`. It was the queue of the
//! coordinator: `delegate` added messages, and the script's daemon handed them over.
//!
//! Known of an item: `issue_ref`, `message`, `opencode_session_id`, `pid`, and its states, among them `notified` (handed
//! over), `completed` and `error`. Inferred: the other names, and that `queue.json` is an array of items, or an object that
//! contains one or maps names to items.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kugetsu_domain::hash::{fnv1a, fnv1a_from};
use serde_json::Value;

use crate::json::{self, number, text, word};
use crate::names::relative;

/// A file with items.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) items: Vec<Item>,
    /// Malformed items, each with the reason.
    pub(crate) malformed: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Waiting,
    /// The coordinator has received it. Whether it has acted on it is not known.
    HandedOver,
    Finished,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its name in the table.
    pub(crate) what: String,
    pub(crate) reference: Option<String>,
    pub(crate) message: String,
    pub(crate) state: State,
    pub(crate) pid: Option<i64>,
    /// Time of creation in milliseconds since 1970, or 0 if it is not known.
    pub(crate) created_ms: u64,
    id: String,
}

/// Reads all files of the queue. The error of a file is a message.
pub(crate) fn read(home: &Path) -> Vec<(PathBuf, Result<File, String>)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(home.join("queue/items"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    for single in ["queue/queue.json", "queue.json"] {
        let single = home.join(single);
        if single.symlink_metadata().is_ok() {
            paths.insert(0, single);
        }
    }
    paths.into_iter().map(|path| (path.clone(), file(home, &path))).collect()
}

fn file(home: &Path, path: &Path) -> Result<File, String> {
    let name = relative(home, path);
    let value = json::read(path)?;
    let mut file = File { items: Vec::new(), malformed: Vec::new() };
    for (what, value) in items(&name, &value) {
        match Item::parse(&what, value) {
            Ok(item) => file.items.push(item),
            Err(why) => file.malformed.push((what, why)),
        }
    }
    Ok(file)
}

/// Finds the items in any of the known structures, each with its name.
fn items<'v>(name: &str, value: &'v Value) -> Vec<(String, &'v Value)> {
    let numbered = |list: &'v [Value]| {
        list.iter().zip(1..).map(|(item, number)| (format!("{name} item {number}"), item)).collect::<Vec<_>>()
    };
    match value {
        Value::Array(list) => numbered(list),
        Value::Object(fields)
            if ["message", "state", "status"].iter().any(|name| fields.get(*name).is_some_and(Value::is_string)) =>
        {
            vec![(name.to_owned(), value)]
        }
        Value::Object(fields) => {
            let list = ["items", "queue", "tasks"].iter().find_map(|field| fields.get(*field));
            match list {
                Some(Value::Array(list)) => numbered(list),
                Some(inner @ Value::Object(_)) => items(name, inner),
                _ if fields.values().any(Value::is_object) => {
                    fields.iter().map(|(id, item)| (format!("{name} item {id}"), item)).collect()
                }
                _ if fields.is_empty() => Vec::new(),
                _ => vec![(name.to_owned(), value)],
            }
        }
        _ => vec![(name.to_owned(), value)],
    }
}

impl Item {
    /// The error is a message.
    fn parse(what: &str, value: &Value) -> Result<Self, String> {
        if !value.is_object() {
            return Err("not an item of a queue".to_owned());
        }
        let state = word(value, &["state", "status"]).ok_or("it has no state")?;
        let state = match state.to_ascii_lowercase().as_str() {
            "pending" | "queued" | "new" => State::Waiting,
            "notified" | "processing" | "running" | "in_progress" => State::HandedOver,
            "completed" | "complete" | "done" | "error" | "failed" | "canceled" | "cancelled" => State::Finished,
            _ => return Err(format!("unknown state {state:?}")),
        };
        let message = match (text(value, &["message", "task", "prompt"]), state) {
            (Some(message), _) => message,
            (None, State::Finished) => String::new(),
            (None, _) => return Err("it has no message".to_owned()),
        };
        let created = word(value, &["created_at", "queued_at", "timestamp"]);
        let created = created.and_then(|created| created.parse::<Timestamp>().ok());
        Ok(Self {
            what: what.to_owned(),
            reference: word(value, &["issue_ref", "issue", "ref"]),
            message,
            state,
            pid: number(value, &["pid", "opencode_pid"]),
            created_ms: created.and_then(|at| u64::try_from(at.as_millisecond()).ok()).unwrap_or_default(),
            id: word(value, &["id", "item_id", "queue_id"]).unwrap_or_else(|| what.to_owned()),
        })
    }

    /// The id of the task that it becomes. It depends on the item only, so that the item is queued once.
    pub(crate) fn task_id(&self) -> String {
        let text = [self.id.as_str(), self.reference.as_deref().unwrap_or_default(), &self.message].join("\0");
        let (one, other) = (fnv1a(text.as_bytes()), fnv1a_from(0x8422_2325_cbf2_9ce4, text.as_bytes()));
        let mut bytes = [0; 10];
        for (to, from) in bytes.iter_mut().zip(one.to_be_bytes().into_iter().chain(other.to_be_bytes())) {
            *to = from;
        }
        uuid::Builder::from_unix_timestamp_millis(self.created_ms, &bytes).into_uuid().to_string()
    }

    /// The message with the issue that it is about.
    pub(crate) fn full_message(&self) -> String {
        match &self.reference {
            Some(reference) if !self.message.contains(reference.as_str()) => {
                format!("{}\n\n(about {reference})", self.message)
            }
            _ => self.message.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_read_and_a_malformed_item_does_not_affect_others() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("queue/items")).unwrap();
        let item = r#"{"message":"m","state":"pending"}"#;
        fs::write(home.path().join("queue.json"), format!(r#"{{"items":[{item},7,{item}]}}"#)).unwrap();
        fs::write(home.path().join("queue/items/a.json"), item).unwrap();
        fs::write(home.path().join("queue/items/b.json"), "{").unwrap();
        let files = read(home.path());
        assert_eq!(files.len(), 3);
        let first = files[0].1.as_ref().unwrap();
        assert_eq!((first.items.len(), first.malformed.len()), (2, 1));
        assert_eq!(first.malformed[0].0, "queue.json item 2");
        assert_eq!(files[1].1.as_ref().unwrap().items.len(), 1);
        assert!(files[2].1.is_err());
    }

    #[test]
    fn items_have_stable_task_ids_and_malformed_ones_a_reason() {
        let parse = |value: Value| Item::parse("queue/items/1.json", &value);
        let item =
            parse(serde_json::json!({"issue_ref": "acme/api#1", "message": "fix it", "state": "pending"})).unwrap();
        assert_eq!((item.state, item.full_message().as_str()), (State::Waiting, "fix it\n\n(about acme/api#1)"));
        assert_eq!(item.task_id(), item.clone().task_id());
        assert_ne!(item.task_id(), Item { message: "other".to_owned(), ..item.clone() }.task_id());
        for (malformed, why) in [
            (serde_json::json!([]), "not an item"),
            (serde_json::json!({"message": "x"}), "no state"),
            (serde_json::json!({"message": "x", "state": "odd"}), "odd"),
            (serde_json::json!({"state": "pending", "message": " "}), "no message"),
        ] {
            assert!(parse(malformed).unwrap_err().contains(why), "{why}");
        }
    }
}
