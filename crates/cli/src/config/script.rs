//! Reads the `config` of the shell script that preceded kugetsu: plain assignments, never executed.
//!
//! A line that cannot be understood causes a warning, so that no such file prevents an upgrade.

use std::path::Path;
use std::time::Duration;

use kugetsu_domain::duration;
use kugetsu_forge::servers::ServerAddress;

use crate::assignments::{self, Element, Value};

use super::layer::{Layer, Origin};
use super::schema::{self, Key};

/// Settings of the script that have no counterpart, and why.
const OBSOLETE: [(&str, &str); 2] = [
    ("QUEUE_DAEMON_INTERVAL_MINUTES", "tasks start as soon as a slot is free"),
    ("QUEUE_DAEMON_BATCH_SIZE", "as many tasks start as slots are free"),
];

/// Returns the values and the warnings.
pub(crate) fn read(path: &Path, bytes: &[u8]) -> (Layer, Vec<String>) {
    let (text, undecodable) = assignments::decode(bytes);
    let (assignments, unparsable) = assignments::parse(&text);
    let location = |line: usize| format!("{}:{line}", path.display());
    let diagnostics = undecodable.iter().chain(&unparsable);
    let mut warnings: Vec<String> = diagnostics.map(|one| format!("{}: {}", location(one.line), one.message)).collect();
    let mut values = Layer::new();
    for one in assignments {
        let read: Vec<Result<(Key, serde_json::Value), String>> = match (one.name.as_str(), one.value) {
            ("GIT_SERVERS", Value::List(elements)) => elements.iter().flat_map(server).collect(),
            (name, Value::Text(value)) => vec![setting(name, &value)],
            (name, Value::List(_)) => vec![Err(format!("{name} must not be an array"))],
        };
        for one_read in read {
            match one_read {
                Ok((key, value)) => drop(values.insert(key, (value, Origin::Script(location(one.line))))),
                Err(why) => warnings.push(format!("{}: {why}", location(one.line))),
            }
        }
    }
    (values, warnings)
}

/// Translates a setting of the script.
fn setting(name: &str, value: &str) -> Result<(Key, serde_json::Value), String> {
    let (section, field, value) = match name {
        "MAX_CONCURRENT_AGENTS" => ("agents", "max", value.trim().to_owned()),
        "TASK_TIMEOUT_HOURS" => ("run", "timeout", length(name, value, "hours", 3600.0)?),
        "QUEUE_CLEANUP_AGE_DAYS" => ("queue", "keep", length(name, value, "days", 86_400.0)?),
        "WORKTREE_CHECK_PR_STATUS" => ("destroy", "check_pr", value.trim().to_ascii_lowercase()),
        "KUGETSU_TEMP_DIR" => ("run", "temp_dir", value.to_owned()),
        "DEFAULT_GIT_SERVER" => ("server", "default", value.to_owned()),
        name => {
            let obsolete = OBSOLETE.iter().find(|(old, _)| *old == name);
            return Err(obsolete.map_or_else(
                || format!("{name} ignored: unknown setting"),
                |(_, why)| format!("{name} ignored: not needed any more, since {why}"),
            ));
        }
    };
    let (key, field) = schema::find(&Key::new(section, None, field)).ok_or_else(|| schema::unknown(name))?;
    let value = field.parse(&key, &value).map_err(|why| format!("{name} ignored: {why}"))?;
    Ok((key, schema::json(&value)))
}

fn length(name: &str, value: &str, unit: &str, seconds: f64) -> Result<String, String> {
    let number = value.trim().parse::<f64>().ok();
    let length = number.and_then(|number| Duration::try_from_secs_f64((number * seconds).round()).ok());
    length.map(duration::format).ok_or_else(|| format!("{name} ignored: {value:?} is not a number of {unit}"))
}

/// An address with credentials is taken without them, with a warning.
fn server(element: &Element) -> Vec<Result<(Key, serde_json::Value), String>> {
    let (name, url) = named(element);
    match ServerAddress::parse(&url) {
        Err(error) => vec![Err(format!("GIT_SERVERS: {error}"))],
        Ok(ServerAddress { base, credentials_dropped }) => {
            let warning = format!(
                "GIT_SERVERS: {name}: the user, password or query of its address is ignored; set a token with \
                 `kugetsu env set GITEA_TOKEN -`"
            );
            let value = Ok((Key::new("servers", Some(&name), "url"), base.as_str().into()));
            [Some(value), credentials_dropped.then_some(Err(warning))].into_iter().flatten().collect()
        }
    }
}

/// `[name]=address`, `name=address`, `name:address`, or an address whose host becomes the name.
fn named(element: &Element) -> (String, String) {
    if let Some(key) = &element.key {
        return (key.clone(), element.text.clone());
    }
    let text = element.text.trim();
    let with_colon = || text.split_once(':').filter(|(_, url)| url.contains("://"));
    if let Some((name, url)) = text.split_once('=').or_else(with_colon) {
        return (name.trim().to_owned(), url.trim().to_owned());
    }
    let host = text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/');
    (host.to_owned(), text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &Layer) -> Vec<(String, String)> {
        values.iter().map(|(key, (value, _))| (key.to_string(), schema::text(value))).collect()
    }

    #[test]
    fn settings_of_the_script_are_translated() {
        let text = "# kugetsu\nMAX_CONCURRENT_AGENTS=5\nexport TASK_TIMEOUT_HOURS=\"1.5\" # hours\nQUEUE_DAEMON_BATCH_SIZE=2\n\
            declare -A GIT_SERVERS=(\n  [\"github.com\"]=\"https://github.com\"\n  [work]=http://10.0.0.1:3000/\n)\n\
            DEFAULT_GIT_SERVER='work'\nQUEUE_CLEANUP_AGE_DAYS=14\nWORKTREE_CHECK_PR_STATUS=false\nKUGETSU_TEMP_DIR=/big/tmp\n\
            QUEUE_DAEMON_INTERVAL_MINUTES=5\n";
        let (values, warnings) = read(Path::new("/h/config"), text.as_bytes());
        assert_eq!(warnings.len(), 2, "{:?}", warnings);
        assert!(warnings.iter().all(|one| one.contains("not needed any more")), "{:?}", warnings);
        let expected = [
            ("agents.max", "5"),
            ("destroy.check_pr", "false"),
            ("queue.keep", "14d"),
            ("run.temp_dir", "/big/tmp"),
            ("run.timeout", "1h30m"),
            ("server.default", "work"),
            ("servers.github.com.url", "https://github.com"),
            ("servers.work.url", "http://10.0.0.1:3000"),
        ];
        assert_eq!(texts(&values), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let (_, origin) = &values[&Key::new("server", None, "default")];
        assert_eq!(*origin, Origin::Script("/h/config:9".to_owned()));
    }

    #[test]
    fn invalid_lines_are_warnings() {
        let text = "MAX_CONCURRENT_AGENTS=\"${N:-3}\"\nif x; then\nTASK_TIMEOUT_HOURS=two\nGIT_SERVERS=(a=ftp://x b=https://b)\n\
            OTHER=1\nMAX_CONCURRENT_AGENTS=4\n";
        let (values, warnings) = read(Path::new("config"), text.as_bytes());
        for line in ["config:1", "config:2", "config:3", "config:4", "config:5"] {
            assert!(warnings.iter().any(|one| one.starts_with(line)), "{line}: {:?}", warnings);
        }
        assert_eq!(values.len(), 2);
    }

    #[test]
    fn servers_are_read_in_every_form_and_without_credentials() {
        let text = b"GIT_SERVERS=(one=https://a.example two:https://bot:secret@b.example https://c.example)";
        let (values, warnings) = read(Path::new("config"), text);
        let names: Vec<_> = values.keys().filter_map(|key| key.entry.as_deref()).collect();
        assert_eq!(names, ["c.example", "one", "two"]);
        assert!(!format!("{values:?}{warnings:?}").contains("secret"), "{values:?} {warnings:?}");
        assert_eq!(warnings.len(), 1);
    }
}
