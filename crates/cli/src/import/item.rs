//! An item of the script's queue. It was the queue of its coordinator: `delegate` put messages in, and the daemon handed
//! them over.
//!
//! Known of an item: `issue_ref`, `message`, `opencode_session_id`, `pid`, and its states, among them `notified` (handed
//! over), `completed` and `error`. Inferred: the other names.

use jiff::Timestamp;
use kugetsu_domain::hash::{fnv1a, fnv1a_from};
use serde_json::Value;

use super::json::{number, text, word};

/// Where an item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody has been told.
    Waiting,
    /// The coordinator was told; what it made of it is not known.
    HandedOver,
    /// It came to its end.
    Over,
}

/// An item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// What it is called in the table.
    pub(super) what: String,
    pub(super) reference: Option<String>,
    pub(super) message: String,
    pub(super) standing: Standing,
    pub(super) pid: Option<i64>,
    /// When it was made, in milliseconds since 1970; 0 where that is not known.
    pub(super) at: u64,
    own: String,
}

impl Item {
    /// Reads an item; the reason if it is none.
    pub(super) fn read(what: &str, value: &Value) -> Result<Self, String> {
        if !value.is_object() {
            return Err("it is no item of a queue".to_owned());
        }
        let state = word(value, &["state", "status"]).ok_or("it has no state")?;
        let standing = match state.to_ascii_lowercase().as_str() {
            "pending" | "queued" | "new" => Standing::Waiting,
            "notified" | "processing" | "running" | "in_progress" => Standing::HandedOver,
            "completed" | "complete" | "done" | "error" | "failed" | "canceled" | "cancelled" => Standing::Over,
            _ => return Err(format!("its state {state:?} is none of a queue item's")),
        };
        let message = text(value, &["message", "task", "prompt"]);
        let message = match (message, standing) {
            (Some(message), _) => message,
            (None, Standing::Over) => String::new(),
            (None, _) => return Err("it has no message".to_owned()),
        };
        let at = word(value, &["created_at", "queued_at", "timestamp"]).and_then(|at| at.parse::<Timestamp>().ok());
        Ok(Self {
            what: what.to_owned(),
            reference: word(value, &["issue_ref", "issue", "ref"]),
            message,
            standing,
            pid: number(value, &["pid", "opencode_pid"]),
            at: at.and_then(|at| u64::try_from(at.as_millisecond()).ok()).unwrap_or_default(),
            own: word(value, &["id", "item_id", "queue_id"]).unwrap_or_else(|| what.to_owned()),
        })
    }

    /// The identifier of the task that it becomes: the same each time, so that it is queued once.
    pub(super) fn task(&self) -> String {
        let text = [self.own.as_str(), self.reference.as_deref().unwrap_or_default(), &self.message].join("\0");
        let (one, other) = (fnv1a(text.as_bytes()), fnv1a_from(0x8422_2325_cbf2_9ce4, text.as_bytes()));
        let mut bytes = [0; 10];
        for (to, from) in bytes.iter_mut().zip(one.to_be_bytes().into_iter().chain(other.to_be_bytes())) {
            *to = from;
        }
        uuid::Builder::from_unix_timestamp_millis(self.at, &bytes).into_uuid().to_string()
    }

    /// What the coordinator is told.
    pub(super) fn told(&self) -> String {
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
    fn an_item_is_read_or_says_what_is_wrong_with_it() {
        let read = |value: Value| Item::read("queue/items/1.json", &value);
        let item =
            read(serde_json::json!({"issue_ref": "acme/api#1", "message": "fix it", "state": "pending"})).unwrap();
        assert_eq!((item.standing, item.told().as_str()), (Standing::Waiting, "fix it\n\n(about acme/api#1)"));
        assert_eq!(item.task(), item.clone().task());
        assert_ne!(item.task(), Item { message: "other".to_owned(), ..item.clone() }.task());
        for (bad, why) in [
            (serde_json::json!([]), "no item"),
            (serde_json::json!({"message": "x"}), "no state"),
            (serde_json::json!({"message": "x", "state": "odd"}), "odd"),
            (serde_json::json!({"state": "pending", "message": " "}), "no message"),
        ] {
            assert!(read(bad).unwrap_err().contains(why), "{why}");
        }
    }
}
