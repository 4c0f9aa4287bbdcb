//! Stores sessions and their history in files, so that a later process can load them.
//!
//! Each session is a file: a line with its id and directory, then every update as it was sent, and a line at the end of each
//! turn with the model's answer for an export. Lines are only appended, so a crash loses at most the line that is being
//! written.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::arguments::STATE;

/// The directory of sessions.
#[derive(Debug, Clone)]
pub(super) struct Store {
    directory: PathBuf,
}

#[derive(Debug)]
pub(super) struct StoredSession {
    pub(super) cwd: String,
    /// All updates, the oldest first.
    pub(super) updates: Vec<Value>,
    /// The answers of the model, as in opencode's exports.
    pub(super) answers: Vec<Value>,
}

impl StoredSession {
    /// The texts of all prompts.
    pub(super) fn prompts(&self) -> Vec<String> {
        let prompts = self.updates.iter().filter(|update| update["sessionUpdate"] == "user_message_chunk");
        prompts.map(|update| update["content"]["text"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The cost in US dollars.
    pub(super) fn cost(&self) -> f64 {
        self.updates.iter().rev().find_map(|update| update["cost"]["amount"].as_f64()).unwrap_or(0.0)
    }

    /// The history as opencode replays it on `session/load`: whole messages, and the start and end of each tool call.
    pub(super) fn replay(&self) -> Vec<Value> {
        let mut replay: Vec<Value> = Vec::new();
        for update in &self.updates {
            match update["sessionUpdate"].as_str().unwrap_or_default() {
                "usage_update" => {}
                "tool_call_update" if update["status"] == "in_progress" => {}
                _ => match replay.last_mut().filter(|last| is_same_message(last, update)) {
                    Some(last) => {
                        let pieces = [&last["content"]["text"], &update["content"]["text"]];
                        let text = pieces.map(|piece| piece.as_str().unwrap_or_default()).concat();
                        last["content"]["text"] = text.into();
                    }
                    None => replay.push(update.clone()),
                },
            }
        }
        replay
    }
}

fn is_same_message(one: &Value, other: &Value) -> bool {
    one["messageId"].is_string() && ["messageId", "sessionUpdate"].iter().all(|key| one[key] == other[key])
}

impl Store {
    /// The store in the directory of [`STATE`].
    pub(super) fn from_environment() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let directory = variable(STATE).unwrap_or_else(|| {
            let data = variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")));
            data.unwrap_or_else(std::env::temp_dir).join("kugetsu-scripted-agent")
        });
        Self { directory }
    }

    /// The file of the gate `name`; an absolute path is returned unchanged.
    pub(super) fn gate(&self, name: &str) -> PathBuf {
        self.directory.join("gates").join(name)
    }

    pub(super) fn create(&self, id: &str, cwd: &str) -> std::io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let mut file = File::create_new(self.file(id))?;
        file.write_all(format!("{}\n", json!({"id": id, "cwd": cwd})).as_bytes())
    }

    pub(super) fn append(&self, id: &str, update: &Value) -> std::io::Result<()> {
        let mut file = OpenOptions::new().append(true).open(self.file(id))?;
        file.write_all(format!("{update}\n").as_bytes())
    }

    pub(super) fn read(&self, id: &str) -> Option<StoredSession> {
        let text = fs::read_to_string(self.file(id)).ok()?;
        // A line that was cut off by a crash is not JSON and is ignored.
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let cwd = lines.next()?["cwd"].as_str()?.to_owned();
        let (answers, updates) = lines.partition(|line| line["role"] == "assistant");
        Some(StoredSession { cwd, updates, answers })
    }

    /// Returns the ids of all sessions, the oldest first.
    pub(super) fn list(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
        let mut ids: Vec<String> = paths.filter_map(|path| path.file_stem()?.to_str().map(str::to_owned)).collect();
        ids.sort_unstable();
        ids
    }

    /// Deletes a session. Returns whether it existed.
    pub(super) fn delete(&self, id: &str) -> bool {
        fs::remove_file(self.file(id)).is_ok()
    }

    fn file(&self, id: &str) -> PathBuf {
        // The id comes from the client and must not lead out of the directory.
        let name = Path::new(id).file_name().unwrap_or_default();
        let mut name = name.to_owned();
        name.push(".jsonl");
        self.directory.join(name)
    }
}
