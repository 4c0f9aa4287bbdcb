//! Changes one setting in the text of `config.toml`; comments and everything else stay as they are.

use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, Value, value};

use super::error::ConfigError;
use super::file;
use super::key::{self, Key};
use super::layer::Layer;

/// The text with the setting changed, and what the whole text then says.
///
/// # Errors
/// There is no such setting, it cannot take the value, or the text was wrong already.
pub(crate) fn set(path: &Path, text: &str, name: &str, typed: &str) -> Result<(String, Layer), ConfigError> {
    let refused = |why: String| ConfigError::new("config set", why);
    // What is wrong already is told with its line, before anything is changed.
    file::read(path, text)?;
    let mut document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| ConfigError::new(path.display(), error.message()))?;
    let steps: Vec<&str> = name.split('.').collect();
    let new = match (Key::from_name(name), steps.as_slice()) {
        (Some(key), _) => {
            key.check(typed).map_err(refused)?;
            match typed.trim().parse::<i64>() {
                Ok(number) if key.is_number() => Value::from(number),
                _ => Value::from(typed),
            }
        }
        (None, ["servers", _, "url" | "kind" | "api_url"] | ["agents", _, "program"]) => Value::from(typed),
        (None, ["agents", _, "args" | "delete" | "attach" | "env"]) => typed
            .parse()
            .map_err(|_| refused(format!("{name}: write it as TOML: [\"a\", \"b\"] or {{ NAME = \"value\" }}")))?,
        _ => return Err(refused(key::unknown(name))),
    };
    put(document.as_table_mut(), &steps, new).ok_or_else(|| refused(format!("{name} cannot be put into the file")))?;
    let text = document.to_string();
    let layer = file::read(path, &text)?;
    Ok((text, layer))
}

fn put(table: &mut Table, steps: &[&str], new: Value) -> Option<()> {
    let (last, sections) = steps.split_last()?;
    let mut inner: &mut dyn toml_edit::TableLike = table;
    for (depth, section) in sections.iter().enumerate() {
        let missing = || {
            let mut table = Table::new();
            // [servers.work] needs no [servers] above it.
            table.set_implicit(depth + 1 < sections.len());
            Item::Table(table)
        };
        inner = inner.entry(section).or_insert_with(missing).as_table_like_mut()?;
    }
    match inner.get_mut(last) {
        Some(Item::Value(old)) => {
            // The space and the comment around the value stay.
            let decor = old.decor().clone();
            *old = new;
            *old.decor_mut() = decor;
        }
        _ => {
            inner.insert(last, value(new));
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use crate::config::template;

    use super::*;

    fn changed(text: &str, name: &str, typed: &str) -> Result<String, ConfigError> {
        set(Path::new("c.toml"), text, name, typed).map(|(text, _)| text)
    }

    #[test]
    fn a_change_keeps_comments_and_the_rest() {
        let text = "# mine\n[agents]\nmax = 3 # three\n\n[run]\ntimeout = \"1h\"\n";
        assert_eq!(changed(text, "agents.max", "5").unwrap(), text.replace("max = 3", "max = 5"));
        assert_eq!(changed(text, "run.silence", "90s").unwrap(), format!("{text}silence = \"90s\"\n"));
        let new = changed(template::CONFIG, "agents.max", "7").unwrap();
        assert!(new.contains("max = 7\n") && new.starts_with("# kugetsu's settings."), "{new}");
    }

    #[test]
    fn servers_and_agents_can_be_set_as_well() {
        let text = changed("[servers.a]\nurl = \"https://a.example\"\n", "servers.a.kind", "gitlab").unwrap();
        assert_eq!(text, "[servers.a]\nurl = \"https://a.example\"\nkind = \"gitlab\"\n");
        assert_eq!(
            changed("", "servers.b.url", "https://b.example").unwrap(),
            "[servers.b]\nurl = \"https://b.example\"\n"
        );
        let text = changed("[agents.x]\nprogram = \"x\"\n", "agents.x.args", "[\"acp\"]").unwrap();
        assert!(text.ends_with("args = [\"acp\"]\n"), "{text}");
        assert!(changed("", "servers.b.kind", "gitea").is_err(), "a server without an address");
    }

    #[test]
    fn nothing_wrong_is_written() {
        for (text, name, typed, word) in [
            ("", "agents.maxx", "3", "agents.max"),
            ("", "agents.max", "x", "number"),
            ("", "run.timeout", "60", "90s"),
            ("[run]\nbad = 1\n", "agents.max", "3", "run.bad"),
        ] {
            let error = changed(text, name, typed).unwrap_err();
            assert!(error.message.contains(word), "{error}");
        }
    }
}
