//! Reads the script's `config`: plain assignments, never executed.
//!
//! What cannot be understood is a fault to show and no error, so that a file full of shell does not keep anybody from
//! moving over.

use std::path::Path;

use crate::assignments::{self, Element, Value};

use super::duration;
use super::key::Key;
use super::layer::{Entry, Layer, holds_credentials, server};
use super::source::Source;

/// Settings of the script that nothing here needs, and why.
const NOT_NEEDED: [(&str, &str); 2] = [
    ("QUEUE_DAEMON_INTERVAL_MINUTES", "a task begins as soon as there is a place"),
    ("QUEUE_DAEMON_BATCH_SIZE", "as many tasks begin as there are places"),
];

/// What was read, and what could not be.
#[derive(Debug, Default)]
pub(crate) struct OldFile {
    pub(crate) layer: Layer,
    pub(crate) diagnostics: Vec<String>,
}

/// Reads the bytes of the file at `path`.
pub(crate) fn read(path: &Path, bytes: &[u8]) -> OldFile {
    let (text, unreadable) = assignments::decode(bytes);
    let (read, faults) = assignments::parse(&text);
    let mut old = OldFile::default();
    old.diagnostics.extend(
        unreadable.iter().chain(&faults).map(|fault| format!("{}:{}: {}", path.display(), fault.line, fault.message)),
    );
    for one in read {
        let source = Source::OldFile { path: path.to_owned(), line: one.line };
        let taken = match (one.name.as_str(), &one.value) {
            ("GIT_SERVERS", Value::List(elements)) => {
                for element in elements {
                    let server = named(element).and_then(|(name, url)| {
                        if holds_credentials(&url) {
                            let why = "its user, password or query is left out; a token goes into the env file";
                            old.diagnostics.push(format!("{source}: GIT_SERVERS: {name}: {why}"));
                        }
                        server(&name, &url, None, None)
                    });
                    match server {
                        Ok(server) => {
                            // As in the shell, the last one of a name counts.
                            old.layer.servers.retain(|(other, _)| other.name != server.name);
                            old.layer.servers.push((server, source.clone()));
                        }
                        Err(why) => old.diagnostics.push(format!("{source}: GIT_SERVERS: {why}")),
                    }
                }
                continue;
            }
            (name, Value::Text(value)) => setting(name, value),
            (name, Value::List(_)) => Err(format!("{name} cannot be an array")),
        };
        match taken {
            Ok((key, value)) => {
                old.layer.values.retain(|entry| entry.key != key);
                old.layer.values.push(Entry { key, value, source });
            }
            Err(why) => old.diagnostics.push(format!("{source}: {why}")),
        }
    }
    old
}

/// The setting and its value in today's words.
fn setting(name: &str, value: &str) -> Result<(Key, String), String> {
    let (key, value) = match name {
        "MAX_CONCURRENT_AGENTS" => (Key::AgentsMax, value.trim().to_owned()),
        "TASK_TIMEOUT_HOURS" => (Key::RunTimeout, length(name, value, "hours", 3600.0)?),
        "QUEUE_CLEANUP_AGE_DAYS" => (Key::QueueKeep, length(name, value, "days", 86_400.0)?),
        "WORKTREE_CHECK_PR_STATUS" => (Key::DestroyCheckChange, value.trim().to_ascii_lowercase()),
        "KUGETSU_TEMP_DIR" => (Key::RunTempDir, value.to_owned()),
        "DEFAULT_GIT_SERVER" => (Key::ServerDefault, value.to_owned()),
        name => {
            let why = NOT_NEEDED.iter().find(|(old, _)| *old == name).map(|(_, why)| *why);
            return Err(why.map_or_else(
                || format!("{name} is not a setting; it is left out"),
                |why| format!("{name} is not needed any more, as {why}; it is left out"),
            ));
        }
    };
    key.check(&value).map_err(|why| format!("{name}: {why}"))?;
    Ok((key, value))
}

fn length(name: &str, value: &str, unit: &str, seconds: f64) -> Result<String, String> {
    let refused = || format!("{name}: {value:?} is not a number of {unit}");
    let number: f64 = value.trim().parse().map_err(|_| refused())?;
    let length = std::time::Duration::try_from_secs_f64((number * seconds).round()).map_err(|_| refused())?;
    Ok(duration::written(length))
}

/// `[name]=address`, `name=address`, `name:address` or a bare address, which is its own name.
fn named(element: &Element) -> Result<(String, String), String> {
    if let Some(key) = &element.key {
        return Ok((key.clone(), element.text.clone()));
    }
    let text = element.text.trim();
    if let Some((name, url)) = text.split_once('=') {
        return Ok((name.trim().to_owned(), url.trim().to_owned()));
    }
    if let Some((name, url)) = text.split_once(':')
        && url.contains("://")
    {
        return Ok((name.trim().to_owned(), url.trim().to_owned()));
    }
    let host = text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/');
    Ok((host.to_owned(), text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_settings_are_taken_over() {
        let text = "# kugetsu\nMAX_CONCURRENT_AGENTS=5\nexport TASK_TIMEOUT_HOURS=\"1.5\" # hours\nQUEUE_DAEMON_BATCH_SIZE=2\n\
            declare -A GIT_SERVERS=(\n  [\"github.com\"]=\"https://github.com\"\n  [work]=http://10.0.0.1:3000/\n)\n\
            DEFAULT_GIT_SERVER='work'\nQUEUE_CLEANUP_AGE_DAYS=14\nWORKTREE_CHECK_PR_STATUS=false\nKUGETSU_TEMP_DIR=/big/tmp\n\
            QUEUE_DAEMON_INTERVAL_MINUTES=5\n";
        let old = read(Path::new("/h/config"), text.as_bytes());
        assert_eq!(old.diagnostics.len(), 2, "{:?}", old.diagnostics);
        assert!(old.diagnostics.iter().all(|fault| fault.contains("not needed any more")), "{:?}", old.diagnostics);
        let values: Vec<_> = old.layer.values.iter().map(|entry| (entry.key, entry.value.as_str())).collect();
        assert_eq!(
            values,
            [
                (Key::AgentsMax, "5"),
                (Key::RunTimeout, "1h30m"),
                (Key::ServerDefault, "work"),
                (Key::QueueKeep, "14d"),
                (Key::DestroyCheckChange, "false"),
                (Key::RunTempDir, "/big/tmp"),
            ]
        );
        let servers: Vec<_> =
            old.layer.servers.iter().map(|(server, _)| (server.name.as_str(), server.base.as_str())).collect();
        assert_eq!(servers, [("github.com", "https://github.com"), ("work", "http://10.0.0.1:3000")]);
        assert_eq!(old.layer.values[2].source, Source::OldFile { path: "/h/config".into(), line: 9 });
    }

    #[test]
    fn what_is_not_understood_is_named_and_the_rest_is_taken() {
        let text = "MAX_CONCURRENT_AGENTS=\"${N:-3}\"\nif x; then\nTASK_TIMEOUT_HOURS=two\nGIT_SERVERS=(a=ftp://x b=https://b)\n\
            OTHER=1\nMAX_CONCURRENT_AGENTS=4\n";
        let old = read(Path::new("config"), text.as_bytes());
        for line in ["config:1", "config:2", "config:3", "config:4", "config:5"] {
            assert!(old.diagnostics.iter().any(|fault| fault.starts_with(line)), "{line}: {:?}", old.diagnostics);
        }
        assert_eq!(old.layer.values.len(), 1);
        assert_eq!(old.layer.servers.len(), 1);
    }

    #[test]
    fn server_lists_are_read_in_every_shape() {
        let old =
            read(Path::new("config"), b"GIT_SERVERS=(one=https://a.example two:https://b.example https://c.example)");
        let names: Vec<_> = old.layer.servers.iter().map(|(server, _)| server.name.as_str()).collect();
        assert_eq!(names, ["one", "two", "c.example"]);
    }
}
