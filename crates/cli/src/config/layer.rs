//! Layers of settings: values with their origins.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use serde_json::Value;
use thiserror::Error;
use toml_edit::{Document, Item, TableLike};

use super::entries;
use super::schema::{self, Key};

/// Looks up an environment variable.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

pub(crate) type Layer = BTreeMap<Key, (Value, Origin)>;

/// Where a value comes from, from weakest to strongest. A command's own options win over all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    /// Nothing sets it; it follows from the agents that are installed.
    Installed,
    /// File and line in the `config` of the shell script that preceded kugetsu.
    Script(String),
    /// File and line in `config.toml`.
    File(String),
    /// The last valid `config.toml`, while the present one has an error.
    LastValid,
    /// The name of a variable.
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Installed => f.write_str("first installed"),
            Self::Script(location) | Self::File(location) => f.write_str(location),
            Self::LastValid => f.write_str("last valid config.toml"),
            Self::Environment(name) => write!(f, "${name}"),
        }
    }
}

/// An invalid or unknown setting.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{location}: {message}")]
pub(crate) struct ConfigError {
    /// File and line, or the variable.
    pub(crate) location: String,
    /// The setting, if it is a single one.
    pub(crate) key: Option<Key>,
    pub(crate) message: String,
}

impl ConfigError {
    pub(crate) fn new(location: impl fmt::Display, message: impl Into<String>) -> Self {
        Self { location: location.to_string(), key: None, message: message.into() }
    }
}

/// The content of `config.toml`.
#[derive(Debug, Default)]
pub(crate) struct FileLayer {
    pub(crate) values: Layer,
    /// Unknown settings and earlier names, which are no reason to reject the file.
    pub(crate) warnings: Vec<ConfigError>,
    /// Invalid values, which are not in `values`.
    pub(crate) errors: Vec<ConfigError>,
}

/// Reads the text of the file at `path`. A text that is not TOML has one error and no values.
pub(crate) fn file(path: &Path, text: &str) -> FileLayer {
    let mut reader = Reader { path, text, layer: FileLayer::default() };
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let line = error.span().map_or(0, |span| span.start);
            let message = format!("invalid TOML: {}", error.message().trim().replace('\n', "; "));
            reader.layer.errors.push(ConfigError::new(reader.location(line), message));
            return reader.layer;
        }
    };
    for (section, item) in document.iter() {
        let Some(table) = item.as_table_like() else {
            reader.warn(item, format!("`{section}` is not a setting: settings belong into sections"));
            continue;
        };
        for (name, item) in table.iter() {
            match item.as_table_like().filter(|_| schema::has_entries(section)) {
                Some(fields) => reader.entry(section, name, item, fields),
                None => reader.value(Key::new(section, None, name), item),
            }
        }
    }
    reader.layer
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    layer: FileLayer,
}

impl Reader<'_> {
    /// Reads a named entry. An invalid one has no values at all.
    fn entry(&mut self, section: &str, name: &str, item: &Item, fields: &dyn TableLike) {
        let errors_before = self.layer.errors.len();
        for (field, item) in fields.iter() {
            self.value(Key::new(section, Some(name), field), item);
        }
        let is_own = |key: &Key| key.section == section && key.entry.as_deref() == Some(name);
        if self.layer.errors.len() == errors_before {
            let own = self.layer.values.iter().filter(|(key, _)| is_own(key));
            let own = own.map(|(key, (value, _))| (key.field.clone(), value.clone())).collect();
            if let Err(message) = entries::check(section, name, own) {
                self.fail(item, Key::new(section, Some(name), ""), format!("{section}.{name}: {message}"));
            }
        }
        if self.layer.errors.len() > errors_before {
            self.layer.values.retain(|key, _| !is_own(key));
        }
    }

    fn value(&mut self, name: Key, item: &Item) {
        let Some((key, field)) = schema::find(&name) else {
            return self.warn(item, schema::unknown(&name.to_string()));
        };
        if key != name {
            self.warn(item, format!("{}; change it in this file", renamed(&name, &key)));
            if self.layer.values.contains_key(&key) {
                return;
            }
        }
        let value = item.clone().into_value().map_or(Value::Null, |value| schema::json(&value));
        match field.check(&key, &value) {
            Ok(()) => drop(self.layer.values.insert(key, (value, Origin::File(self.location(start(item)))))),
            Err(message) => self.fail(item, key, message),
        }
    }

    fn warn(&mut self, item: &Item, message: String) {
        self.layer.warnings.push(ConfigError::new(self.location(start(item)), message));
    }

    fn fail(&mut self, item: &Item, key: Key, message: String) {
        self.layer.errors.push(ConfigError { key: Some(key), ..ConfigError::new(self.location(start(item)), message) });
    }

    /// File and line of a byte offset.
    fn location(&self, at: usize) -> String {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        format!("{}:{}", self.path.display(), before.iter().filter(|byte| **byte == b'\n').count() + 1)
    }
}

fn start(item: &Item) -> usize {
    // A table that exists only through its subtables ([servers.x] without [servers]) has no own span.
    let inner = || item.as_table_like()?.iter().find_map(|(_, inner)| inner.span());
    item.span().or_else(inner).map_or(0, |span| span.start)
}

/// The message for a setting or variable that is set under its earlier name.
pub(crate) fn renamed(earlier: impl fmt::Display, current: impl fmt::Display) -> String {
    format!("`{earlier}` has been renamed to `{current}`")
}

/// Reads the variables `KUGETSU_<SECTION>_<FIELD>`; empty ones count as unset. Returns the values and the warnings.
pub(crate) fn variables(environment: Environment<'_>) -> Result<(Layer, Vec<String>), ConfigError> {
    let (mut layer, mut warnings) = (Layer::new(), Vec::new());
    for field in schema::settings() {
        let key = &field.key;
        let earlier = field.renamed_from().map(|name| Key::new(&key.section, None, name).variable());
        let current = key.variable();
        for name in earlier.into_iter().chain([current.clone()]) {
            let Some(value) = environment(&name).filter(|value| !value.is_empty()) else { continue };
            if name != current {
                warnings.push(renamed(format!("${name}"), format!("${current}")));
            }
            let origin = Origin::Environment(name);
            let text = value.into_string().map_err(|_| ConfigError::new(&origin, "the value is not UTF-8"))?;
            let value = field.parse(key, &text).map_err(|message| ConfigError::new(&origin, message))?;
            layer.insert(key.clone(), (schema::json(&value), origin));
        }
    }
    Ok((layer, warnings))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> FileLayer {
        file(Path::new("c.toml"), text)
    }

    fn locations(errors: &[ConfigError]) -> Vec<&str> {
        errors.iter().map(|error| error.location.as_str()).collect()
    }

    #[test]
    fn values_have_their_lines() {
        let layer = read(
            "[agents]\nmax = 5\n[run]\ntimeout = \"2h\"\n[servers.work]\nurl = \"git.example.co/\"\nkind = \"gitea\"\n\
             [agents.mine]\nprogram = \"mine\"\nargs = [\"acp\"]\nenv = { A = \"b\" }\n",
        );
        assert!(layer.errors.is_empty() && layer.warnings.is_empty(), "{layer:?}");
        let values: Vec<_> = layer.values.iter().map(|(key, one)| (key.to_string(), one.1.to_string())).collect();
        let expected = [
            ("agents.max", "c.toml:2"),
            ("agents.mine.args", "c.toml:10"),
            ("agents.mine.env", "c.toml:11"),
            ("agents.mine.program", "c.toml:9"),
            ("run.timeout", "c.toml:4"),
            ("servers.work.kind", "c.toml:7"),
            ("servers.work.url", "c.toml:6"),
        ];
        assert_eq!(values, expected.map(|(key, location)| (key.to_owned(), location.to_owned())));
    }

    #[test]
    fn errors_and_warnings_name_their_line() {
        for (text, location, word) in [
            ("[run]\ntimout = \"1h\"\n", "c.toml:2", "run.timeout"),
            ("[run]\n\ntimeout = 60\n", "c.toml:3", "a duration"),
            ("[agents]\nmax = \"3\"\n", "c.toml:2", "an integer from 0 to 1000, not \"3\""),
            ("[agents]\nmax = -1\n", "c.toml:2", "not -1"),
            ("x = 1\n", "c.toml:1", "sections"),
            ("[run]\ntimeout = \n", "c.toml:2", "TOML"),
            ("[servers]\na = \"h\"\n", "c.toml:2", "unknown setting `servers.a`"),
            ("[servers.a]\nkind = \"gitea\"\n", "c.toml:1", "missing field `url`"),
            ("[servers.a]\nurl = \"h\"\nkind = \"svn\"\n", "c.toml:3", "forgejo"),
            ("[servers.a]\nurl = \"h\"\nurll = \"x\"\n", "c.toml:3", "`servers.a.url`"),
            ("[servers.a]\nurl = \"https://u:secret@h\"\n", "c.toml:1", "password"),
            ("[servers.a]\nurl = \"h\"\ntoken_env = \"glpat-secret\"\n", "c.toml:1", "WORK_TOKEN"),
            ("[destroy]\ncheck_pr = \"yes\"\n", "c.toml:2", "`true` or `false`"),
            ("[agents.\"../x\"]\nprogram = \"x\"\n", "c.toml:1", "valid name"),
            ("[agents.x]\nprogram = \"./x\"\n", "c.toml:1", "on the PATH"),
            ("[agents.x]\nargs = [1]\nprogram = \"x\"\n", "c.toml:2", "array of strings"),
            ("[agents.x]\nenv = \"TOKEN=secret\"\nprogram = \"x\"\n", "c.toml:2", "table of strings"),
        ] {
            let FileLayer { warnings, errors, .. } = read(text);
            let all = [errors, warnings].concat();
            assert_eq!(locations(&all), [location], "{text}");
            assert!(all[0].message.contains(word) && !all[0].message.contains("secret"), "{text}: {}", all[0]);
        }
    }

    #[test]
    fn an_earlier_name_is_read_with_a_warning_that_names_the_present_one() {
        let check_pr = Key::new("destroy", None, "check_pr");
        let layer = read("[destroy]\ncheck_change = false\n");
        assert_eq!(layer.values[&check_pr].0, false);
        assert_eq!(locations(&layer.warnings), ["c.toml:2"]);
        assert!(layer.warnings[0].message.contains("`destroy.check_pr`"), "{:?}", layer.warnings);
        let both = read("[destroy]\ncheck_pr = true\ncheck_change = false\n");
        assert_eq!((&both.values[&check_pr].0, both.warnings.len()), (&true.into(), 1), "the present name wins");
        let wrong = read("[destroy]\ncheck_change = \"maybe\"\n");
        assert!(wrong.errors[0].message.contains("check_pr must be `true` or `false`"), "{:?}", wrong.errors);
    }

    #[test]
    fn all_errors_are_found_and_the_valid_rest_is_read() {
        let layer = read(
            "[run]\ntimout = \"2h\"\nsilence = \"soon\"\ntimeout = \"3h\"\n[agents]\nmax = 4\n[agents.bad]\nargs = []\n\
             [agents.good]\nprogram = \"good\"\nprogramm = \"x\"\n[servers.bad]\nkind = \"svn\"\nurl = \"h\"\n",
        );
        assert_eq!(locations(&layer.warnings), ["c.toml:2", "c.toml:11"]);
        assert_eq!(locations(&layer.errors), ["c.toml:3", "c.toml:7", "c.toml:13"]);
        let keys: Vec<String> = layer.values.keys().map(ToString::to_string).collect();
        assert_eq!(keys, ["agents.max", "agents.good.program", "run.timeout"]);
    }
}
