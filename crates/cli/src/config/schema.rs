//! Reads the schema of the settings, which is derived from [`kugetsu_engine::schema`].

use std::fmt;
use std::sync::OnceLock;

use kugetsu_domain::duration;
pub(crate) use kugetsu_engine::schema::json;
use kugetsu_engine::schema::{Config, Entry, defaults, schema_of};
use serde_json::Value;

use crate::names::did_you_mean;

/// Path of a value in `config.toml`: `agents.max`, or `servers.work.url` for a field of a named entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) section: String,
    pub(crate) entry: Option<String>,
    pub(crate) field: String,
}

impl Key {
    pub(crate) fn new(section: &str, entry: Option<&str>, field: &str) -> Self {
        Self { section: section.to_owned(), entry: entry.map(str::to_owned), field: field.to_owned() }
    }

    /// Splits the dotted name of a setting. The name of an entry may contain dots.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (section, rest) = name.split_once('.')?;
        let (entry, field) = rest.rsplit_once('.').map_or((None, rest), |(entry, field)| (Some(entry), field));
        Some(Self::new(section, entry, field))
    }

    /// The environment variable that overrides the setting.
    pub(crate) fn variable(&self) -> String {
        format!("KUGETSU_{}_{}", self.section, self.field).to_ascii_uppercase()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = self.entry.iter().map(|entry| format!("{entry}.")).collect::<String>();
        write!(f, "{}.{entry}{}", self.section, self.field)
    }
}

/// A setting, or a field of the named entries of a section.
#[derive(Debug)]
pub(crate) struct Field {
    /// The entry of a key is an example name.
    pub(crate) key: Key,
    schema: Value,
}

impl Field {
    /// The value if none is set.
    pub(crate) fn default(&self) -> Option<&Value> {
        self.schema.get("default").filter(|_| self.key.entry.is_none()).filter(|value| !value.is_null())
    }

    /// The default, or else an example.
    pub(crate) fn example(&self) -> &Value {
        self.default().unwrap_or_else(|| &self.schema["examples"][0])
    }

    pub(crate) fn description(&self) -> String {
        description(&self.schema)
    }

    pub(crate) fn renamed_from(&self) -> Option<&str> {
        self.schema.get("renamedFrom")?.as_str()
    }

    /// The valid values, as a part of a sentence: "an integer from 0 to 1000".
    pub(crate) fn expected(&self) -> String {
        if let Some(names) = self.schema.get("enum").and_then(Value::as_array) {
            // TOML has no null.
            let names = names.iter().filter(|name| !name.is_null()).map(|name| format!("`{}`", text(name)));
            return format!("one of {}", names.collect::<Vec<_>>().join(", "));
        }
        let kind = &self.schema["type"];
        match (kind.as_str().or_else(|| kind[0].as_str()), self.schema["format"].as_str()) {
            (_, Some("duration")) => "a duration from 1s to 365d, such as `90s`, `10m` or `1h30m`".to_owned(),
            (_, Some("duration or zero")) => {
                "`0`, or a duration up to 365d, such as `90s`, `10m` or `1h30m`".to_owned()
            }
            (_, Some("dollars")) => "an amount in US dollars from 0.01 to 1000000, such as `5` or `2.50`".to_owned(),
            (_, Some("path")) => "an absolute path".to_owned(),
            (_, Some("number or table")) => {
                let [min, max] = self.range();
                format!("an integer from {min} to {max}, or a table of them such as `{{ ci = 5, review = 2 }}`")
            }
            (_, Some("socket address")) => format!("an IP address and a port, such as `{}`", text(self.example())),
            (_, Some("quiet hours")) => "local times, such as `22:00-07:00` or `12:00-13:00,22:00-07:00`".to_owned(),
            (_, Some("http address")) => format!("an http or https address, such as `{}`", text(self.example())),
            (Some("integer"), _) => {
                let [min, max] = self.range();
                format!("an integer from {min} to {max}")
            }
            (Some("boolean"), _) => "`true` or `false`".to_owned(),
            (Some("array"), _) if self.schema["items"]["type"] == "object" => "an array of tables".to_owned(),
            (_, Some("hosts")) => format!(
                "an array of `models`, `packages`, hosts (`example.com`, `*.example.com`, `example.com:8443`), addresses and \
                 `localhost:<port>`, such as `{}`",
                toml(self.example())
            ),
            (Some("array"), _) => format!("an array of strings, such as `{}`", toml(self.example())),
            (Some("object"), _) => "a table of strings".to_owned(),
            _ if self.schema.get("minLength").is_some() => "a string that is not empty".to_owned(),
            _ => "a string".to_owned(),
        }
    }

    /// The example as an argument of `kugetsu config set`, if that is neither a text nor a number.
    pub(crate) fn typed_example(&self) -> Option<String> {
        let example = self.example();
        (example.is_array() || example.is_object()).then(|| format!("'{}'", toml(example)))
    }

    /// A value for programs: a duration as its number of seconds, and null for an empty text, which unsets a setting.
    pub(crate) fn parsed(&self, value: &Value) -> Value {
        let seconds = |text: &str| duration::parse(text).ok().map(|length| length.as_secs().into());
        match value.as_str() {
            Some("") => Value::Null,
            Some("0") if self.schema["format"] == "duration or zero" => 0.into(),
            Some(text) if self.schema["format"].as_str().is_some_and(|format| format.starts_with("duration")) => {
                seconds(text).unwrap_or_else(|| value.clone())
            }
            _ => value.clone(),
        }
    }

    /// The smallest and the largest valid integer.
    fn range(&self) -> [u64; 2] {
        let limit = |name: &str| self.schema[name].as_u64();
        [limit("minimum").unwrap_or(0), limit("maximum").unwrap_or(u64::MAX)]
    }

    /// Validates a value. The error is the message.
    pub(crate) fn check(&self, key: &Key, value: &Value) -> Result<(), String> {
        let is_entry = key.entry.is_some();
        let mut config = base(is_entry);
        config[&self.key.section][&self.key.field] = value.clone();
        let is_valid = match is_entry {
            true => serde_json::from_value::<Entry>(config).is_ok(),
            false => serde_json::from_value::<Config>(config).is_ok(),
        };
        let [min, max] = self.range();
        let is_in_range = value.as_u64().is_none_or(|number| (min..=max).contains(&number));
        match (is_valid && is_in_range, is_entry) {
            (true, _) => Ok(()),
            (false, false) => Err(format!("{key} must be {}, not {value}", self.expected())),
            // The value may be a secret.
            (false, true) => Err(format!("{key} must be {}", self.expected())),
        }
    }

    /// Parses a value of the command line or of a variable: as TOML if the setting accepts that,
    /// and as a string otherwise.
    pub(crate) fn parse(&self, key: &Key, typed: &str) -> Result<toml_edit::Value, String> {
        let parsed = typed.trim().parse::<toml_edit::Value>().ok();
        let parsed = parsed.filter(|value| self.check(key, &json(value)).is_ok());
        match parsed {
            Some(value) => Ok(value),
            None => self.check(key, &typed.into()).map(|()| typed.into()),
        }
    }
}

/// All settings, and the fields of all named entries, in the order of their names.
pub(crate) fn fields() -> &'static [Field] {
    static FIELDS: OnceLock<Vec<Field>> = OnceLock::new();
    FIELDS.get_or_init(|| {
        let mut fields = Vec::new();
        for (root, is_entry) in [(schema_of::<Config>(), false), (schema_of::<Entry>(), true)] {
            for (section, schema) in properties(&root) {
                let entry = schema["examples"][0].as_str().filter(|_| is_entry);
                fields.extend(properties(schema).map(|(name, schema)| {
                    let key = Key::new(section, entry, name);
                    Field { key, schema: schema.clone() }
                }));
            }
        }
        // The order of the schema depends on a feature of serde_json that other crates may enable.
        fields.sort_by(|one, other| one.key.cmp(&other.key));
        fields
    })
}

/// All settings, without the fields of entries.
pub(crate) fn settings() -> impl Iterator<Item = &'static Field> {
    fields().iter().filter(|field| field.key.entry.is_none())
}

/// Finds a setting by its present name or its earlier one. Returns its present key.
pub(crate) fn find(key: &Key) -> Option<(Key, &'static Field)> {
    let field = fields().iter().find(|field| {
        let own = &field.key;
        own.section == key.section
            && own.entry.is_some() == key.entry.is_some()
            && (own.field == key.field || field.renamed_from() == Some(&key.field))
    })?;
    Some((Key { field: field.key.field.clone(), ..key.clone() }, field))
}

/// Whether the section has named entries.
pub(crate) fn has_entries(section: &str) -> bool {
    fields().iter().any(|field| field.key.section == section && field.key.entry.is_some())
}

/// The message for a name that is not a setting.
pub(crate) fn unknown(name: &str) -> String {
    let entry = Key::parse(name).and_then(|key| key.entry);
    let names: Vec<String> = fields()
        .iter()
        .filter(|field| field.key.entry.is_some() == entry.is_some())
        .map(|field| Key { entry: entry.clone(), ..field.key.clone() }.to_string())
        .collect();
    format!("unknown setting `{name}`{}", did_you_mean(name, names.iter().map(String::as_str)))
}

/// Valid values to check another one with: the defaults of all settings, or an example of each named entry.
fn base(is_entry: bool) -> Value {
    if !is_entry {
        return defaults();
    }
    fields().iter().filter(|field| field.key.entry.is_some()).fold(Value::Null, |mut base, field| {
        base[&field.key.section][&field.key.field] = field.example().clone();
        base
    })
}

/// The description of the named entries of a section.
pub(crate) fn entry_description(section: &str) -> String {
    description(&schema_of::<Entry>()["properties"][section])
}

/// A value as `kugetsu config` shows it.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A value as `config.toml` has it.
fn toml(value: &Value) -> String {
    match value {
        Value::String(text) => toml_edit::Value::from(text).to_string(),
        Value::Array(values) => format!("[{}]", values.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(table) => {
            let fields = table.iter().map(|(name, value)| format!("{name} = {}", toml(value)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    schema["properties"].as_object().into_iter().flatten().map(|(name, schema)| (name.as_str(), schema))
}

fn description(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use kugetsu_domain::reference::ForgeKind;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_setting_has_a_description_and_a_valid_default_or_example() {
        for field in fields() {
            assert!(!field.description().is_empty(), "{}", field.key);
            assert_eq!(field.check(&field.key, field.example()), Ok(()), "{field:?}");
        }
        assert_eq!(Key::new("agents", None, "max").variable(), "KUGETSU_AGENTS_MAX");
    }

    #[test]
    fn types_and_ranges_come_from_the_schema() {
        let kinds = ForgeKind::ALL.into_iter().filter(|kind| *kind != ForgeKind::Local);
        let one_kind =
            format!("one of {}", kinds.map(|kind| format!("`{}`", kind.name())).collect::<Vec<_>>().join(", "));
        for (name, good, bad, expected) in [
            ("agents.max", "1000", "1001", "an integer from 0 to 1000, not \"1001\""),
            ("agents.max", "0", "-1", "an integer from 0 to 1000, not \"-1\""),
            ("agents.max", "3", "many", "an integer from 0 to 1000, not \"many\""),
            ("gc.max_size", "1", "0", "an integer from 1 to 1073741824, not \"0\""),
            ("agent.permissions", "ask", "yes", "one of `allow`, `ask`, `refuse`, not \"yes\""),
            ("agent.default", "mine", " ", "a string that is not empty, not \" \""),
            ("destroy.check_pr", "false", "perhaps", "`true` or `false`, not \"perhaps\""),
            ("pm.cage", "off", "on", "one of `required`, `off`, not \"on\""),
            ("pm.model", "7", "", ""),
            ("run.timeout", "1h30m", "60", "a duration from 1s to 365d, such as `90s`, `10m` or `1h30m`, not \"60\""),
            (
                "queue.quiet_hours",
                "12:00-13:00, 22:00-07:00",
                "22-7",
                "local times, such as `22:00-07:00` or `12:00-13:00,22:00-07:00`, not \"22-7\"",
            ),
            ("run.temp_dir", "/tmp", "tmp", "an absolute path, not \"tmp\""),
            ("servers.a.kind", "gitea", "svn", one_kind.as_str()),
            (
                "hooks.listen",
                "127.0.0.1:8790",
                "127.0.0.1:80999",
                "an IP address and a port, such as `127.0.0.1:8790`, not \"127.0.0.1:80999\"",
            ),
            (
                "hooks.url",
                "http://10.0.0.1:80/k",
                "ftp://x",
                "an http or https address, such as `https://kugetsu.example.com`, not \"ftp://x\"",
            ),
            (
                "hooks.url",
                "",
                "https://",
                "an http or https address, such as `https://kugetsu.example.com`, not \"https://\"",
            ),
            ("agents.mine.args", "[\"a\"]", "[1]", "an array of strings, such as `[\"acp\"]`"),
            ("watch.api.verify", "[\"make\"]", "make", "an array of strings, such as `[\"cargo test\"]`"),
            ("watch.api.trust", "kim", "", "a string that is not empty"),
            ("agents.mine.env", "{ A = \"b\" }", "A=secret", "a table of strings"),
            ("watch.api.merge", "when-green", "null", "one of `never`, `when-green`, `when-approved`"),
            ("watch.api.rules", "[{ label = \"bug\" }]", "[\"bug\"]", "an array of tables"),
        ] {
            let (key, field) = find(&Key::parse(name).unwrap()).unwrap();
            assert!(field.parse(&key, good).is_ok(), "{name} {good}");
            match expected {
                "" => assert!(field.parse(&key, bad).is_ok()),
                expected => assert_eq!(field.parse(&key, bad).unwrap_err(), format!("{name} must be {expected}")),
            }
        }
    }

    #[test]
    fn programs_get_values_with_their_types() {
        for (name, value, parsed) in [
            ("agents.max", json!(3), json!(3)),
            ("destroy.check_pr", json!(true), json!(true)),
            ("run.timeout", json!("1h30m"), json!(5400)),
            ("gc.rescues", json!("180d"), json!(15_552_000)),
            ("agent.default", json!("90s"), json!("90s")),
            ("pm.agent", json!(""), Value::Null),
            ("agents.mine.args", json!(["acp"]), json!(["acp"])),
        ] {
            let (_, field) = find(&Key::parse(name).unwrap()).unwrap();
            assert_eq!(field.parsed(&value), parsed, "{name}");
        }
    }

    #[test]
    fn unknown_names_get_suggestions_and_earlier_names_are_found() {
        assert_eq!(unknown("run.timout"), "unknown setting `run.timout`; did you mean `run.timeout`?");
        assert!(unknown("servers.a.urll").ends_with("did you mean `servers.a.url`?"), "{}", unknown("servers.a.urll"));
        let (key, _) = find(&Key::parse("destroy.check_change").unwrap()).unwrap();
        assert_eq!(key.to_string(), "destroy.check_pr");
        let dotted = Key::parse("servers.git.example.com.url").unwrap();
        assert_eq!((dotted.entry.as_deref(), dotted.field.as_str()), (Some("git.example.com"), "url"));
    }
}
