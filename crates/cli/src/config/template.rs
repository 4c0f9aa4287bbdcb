//! The commented `config.toml` that `kugetsu init` writes, and the table of settings in `docs/settings.md`.
//!
//! Everything in the file is a comment: what is not set follows the defaults of the installed version.

use serde_json::Value;

use crate::table::wrapped;

use super::schema::{self, Key};

const HEAD: &str = "\
# kugetsu's settings. Remove the `#` in front of a line to change the setting.
# Changes take effect at once, also in the running daemon. `kugetsu config list` shows all values and their origins.
# A variable such as KUGETSU_AGENTS_MAX takes precedence over this file. Durations are written as 90s, 10m, 1h30m or 7d.
";

/// Columns of a comment, without its `# `.
const WIDTH: usize = 116;

/// The text of a new `config.toml`.
pub(crate) fn config() -> String {
    let mut out = HEAD.to_owned();
    let mut header = String::new();
    for field in schema::fields() {
        let Key { section, entry, .. } = &field.key;
        let (description, line) = match entry {
            Some(entry) => (comment(&schema::entry_description(section)), format!("#[{section}.{entry}]\n")),
            None => (String::new(), format!("[{section}]\n")),
        };
        if line != header {
            out.push_str(&format!("\n{description}{line}"));
            header = line;
        }
        let (about, name) = (comment(&field.description()), &field.key.field);
        out.push_str(&format!("{about}#{name} = {}\n", toml(field.example())));
    }
    out
}

fn comment(text: &str) -> String {
    wrapped(text, 0, Some(WIDTH)).lines().map(|line| format!("# {line}\n")).collect()
}

fn toml(value: &Value) -> String {
    match value {
        Value::Object(table) => {
            let fields: Vec<String> = table.iter().map(|(name, value)| format!("{name} = {}", toml(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(toml).collect::<Vec<_>>().join(", ")),
        // Simple strings, numbers and booleans look the same in JSON.
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use kugetsu_engine::schema::{RepoFile, schema_of};

    use super::*;
    use crate::config::layer;

    /// Set by `cargo xtask settings`.
    const WRITE: &str = "KUGETSU_WRITE_SETTINGS";
    const BEGIN: &str = "<!-- generated from crates/engine/src/schema.rs by `cargo xtask settings` -->\n\n";
    const BEGIN_WATCH: &str = "<!-- the fields of a watch, generated like the settings -->\n\n";
    const BEGIN_RULE: &str = "<!-- the fields of a rule, generated like the settings -->\n\n";
    const BEGIN_FILE: &str = "<!-- the fields of the file, generated like the settings -->\n\n";
    const END: &str = "\n<!-- end -->\n";

    #[test]
    fn the_template_is_valid_with_and_without_its_comments() {
        let config = config();
        let read = layer::file(Path::new("config.toml"), &config);
        assert!(read.values.is_empty() && read.warnings.is_empty() && read.errors.is_empty(), "{read:?}");
        let uncommented: Vec<&str> =
            config.lines().map(|line| if line.starts_with("# ") { "" } else { line.trim_start_matches('#') }).collect();
        let read = layer::file(Path::new("config.toml"), &uncommented.join("\n"));
        assert!(read.warnings.is_empty() && read.errors.is_empty(), "{read:?}\n{config}");
        for field in schema::fields() {
            assert_eq!(read.values[&field.key].0, *field.example(), "{}", field.key);
        }
    }

    #[test]
    fn the_page_of_settings_is_generated_from_the_schema() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md");
        let present = std::fs::read_to_string(&path).unwrap();
        let tables = [
            (BEGIN, table()),
            (BEGIN_WATCH, watch_table()),
            (BEGIN_RULE, rule_table()),
            (BEGIN_FILE, repo_file_fields()),
        ];
        let page = tables.into_iter().fold(present.clone(), replaced);
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(&path, &page).unwrap();
            return;
        }
        assert!(present == page, "docs/settings.md is out of date; run: cargo xtask settings");
    }

    /// The page with a new table between the mark and the next end.
    fn replaced(page: String, (begin, table): (&str, String)) -> String {
        let (before, rest) = page.split_once(begin).expect("the beginning of the table");
        let (_, after) = rest.split_once(END).expect("the end of the table");
        format!("{before}{begin}{table}{END}{after}")
    }

    fn watch_table() -> String {
        let mut table = "| field | values | meaning |\n|---|---|---|\n".to_owned();
        for field in schema::fields().iter().filter(|field| field.key.section == "watch") {
            let meaning = field.description();
            let meaning = meaning.trim_end_matches('.');
            writeln!(table, "| `{}` | {} | {meaning} |", field.key.field, field.expected()).unwrap();
        }
        table
    }

    fn rule_table() -> String {
        let mut table = "| field | meaning |\n|---|---|\n".to_owned();
        for (name, field) in fields_of(&schema_of::<RepoFile>()["properties"]["rules"]["items"]) {
            let meaning = field["description"].as_str().unwrap_or_else(|| panic!("{name} has no description"));
            writeln!(table, "| `{name}` | {} |", meaning.trim_end_matches('.')).unwrap();
        }
        table
    }

    fn repo_file_fields() -> String {
        let schema = schema_of::<RepoFile>();
        let names: Vec<String> = fields_of(&schema).into_iter().map(|(name, _)| format!("`{name}`")).collect();
        format!("{}\n", names.join(", "))
    }

    /// In the order of their names: that of the schema depends on a feature of serde_json.
    fn fields_of(schema: &Value) -> Vec<(&String, &Value)> {
        let mut fields: Vec<_> = schema["properties"].as_object().into_iter().flatten().collect();
        fields.sort_unstable_by_key(|(name, _)| *name);
        fields
    }

    fn table() -> String {
        let mut table = "| setting | default | values | meaning |\n|---|---|---|---|\n".to_owned();
        for field in schema::settings() {
            let default = field.default().map_or_else(|| "none".to_owned(), |value| format!("`{}`", toml(value)));
            let meaning = field.description();
            let meaning = meaning.trim_end_matches('.');
            writeln!(table, "| `{}` | {default} | {} | {meaning} |", field.key, field.expected()).unwrap();
        }
        table
    }
}
