//! The script's queue: `queue.json` at first, later a file for each item in `queue/items`.
//!
//! Inferred: that `queue.json` is a list of items, or an object that holds one or maps names to items.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::item::Item;
use super::json;
use super::names::below;

/// A file with items.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) items: Vec<Item>,
    /// Items that are none, each with the reason.
    pub(super) malformed: Vec<(String, String)>,
}

/// Every file of the queue; for those that cannot be read the reason.
pub(super) fn read(home: &Path) -> Vec<(PathBuf, Result<File, String>)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(home.join("queue/items"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
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
    let name = below(home, path);
    let value = json::read(path)?;
    let mut file = File { path: path.to_owned(), items: Vec::new(), malformed: Vec::new() };
    for (which, value) in items(&name, &value) {
        match Item::read(&which, value) {
            Ok(item) => file.items.push(item),
            Err(why) => file.malformed.push((which, why)),
        }
    }
    Ok(file)
}

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
                    fields.iter().map(|(own, item)| (format!("{name} item {own}"), item)).collect()
                }
                _ if fields.is_empty() => Vec::new(),
                _ => vec![(name.to_owned(), value)],
            }
        }
        _ => vec![(name.to_owned(), value)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_are_read_and_a_broken_item_does_not_hide_the_rest() {
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
}
