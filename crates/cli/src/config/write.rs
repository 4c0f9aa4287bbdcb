//! Changes one setting in the text of `config.toml`; comments and everything else stay as they are.

use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, TableLike, Value, value};

use super::error::ConfigError;
use super::file::{self, Invalid, Part, Read};
use super::key::{self, Key, Kind};

/// The place of a mistake that stands in no file, as it was not written.
pub(crate) const NOT_SET: &str = "nothing was changed";
/// The section of the servers.
const SERVERS: &str = "servers";

/// The text with the setting changed, and what the whole text then says. Other mistakes in it stay as they are.
///
/// # Errors
/// There is no such setting, it cannot take the value, or the text is not TOML.
pub(crate) fn set(path: &Path, text: &str, name: &str, typed: &str) -> Result<(String, Read), ConfigError> {
    let refused = |why: String| ConfigError::new(NOT_SET, why);
    let (mut document, before) = parsed(path, text)?;
    let steps: Vec<&str> = name.split('.').collect();
    let (part, new) = match (Key::from_name(name), steps.as_slice()) {
        (Some(key), _) => {
            key.check(typed).map_err(refused)?;
            (Part::Value(key), typed_value(key, typed))
        }
        (None, ["servers", server, "url" | "kind" | "api_url" | "token_env"]) => {
            (Part::Server((*server).to_owned()), Value::from(typed))
        }
        (None, ["agents", agent, "program"]) => (Part::Agent((*agent).to_owned()), Value::from(typed)),
        (None, ["agents", agent, "args" | "delete" | "attach" | "env"]) => {
            let value = typed
                .parse()
                .map_err(|_| refused(format!("{name}: write it as TOML: [\"a\", \"b\"] or {{ NAME = \"value\" }}")))?;
            (Part::Agent((*agent).to_owned()), value)
        }
        _ => return Err(refused(key::unknown(name))),
    };
    put(document.as_table_mut(), &steps, new).ok_or_else(|| refused(format!("{name} cannot be put into the file")))?;
    let text = document.to_string();
    let read = file::read(path, &text)?;
    let was_wrong = |part: &Part| before.invalid.iter().any(|one| one.part == *part);
    match read.invalid.iter().find(|one| one.part == part || !was_wrong(&one.part)) {
        Some(mistake) => Err(refused(mistake.error.message.clone())),
        None => Ok((text, read)),
    }
}

/// The text with the server named in it: what is given is set, what is none is taken away. A new one comes at the end.
///
/// # Errors
/// The text is not TOML, or what it then says of the server cannot be used.
pub(crate) fn set_server(
    path: &Path,
    text: &str,
    name: &str,
    parts: &[(&str, Option<&str>)],
) -> Result<(String, Read), ConfigError> {
    let (mut document, _) = parsed(path, text)?;
    let is_first = document.get(SERVERS).is_none();
    let comments = document.trailing().as_str().unwrap_or_default().to_owned();
    for (part, new) in parts {
        match (new, server_table(&mut document, name)) {
            (Some(new), _) => {
                let steps = [SERVERS, name, part];
                let refused =
                    || ConfigError::new(path.display(), format!("servers.{name}.{part} cannot be put into it"));
                put(document.as_table_mut(), &steps, Value::from(*new)).ok_or_else(refused)?;
            }
            (None, Some(table)) => drop(table.remove(part)),
            (None, None) => {}
        }
    }
    if is_first && let Some(new) = document.get_mut(SERVERS).and_then(|servers| servers.get_mut(name)) {
        // The comments at the end belong to the section before it.
        if let (Some(table), false) = (new.as_table_mut(), comments.is_empty()) {
            table.decor_mut().set_prefix(format!("{}\n\n", comments.trim_end()));
            document.set_trailing("");
        }
    }
    let text = document.to_string();
    let read = file::read(path, &text)?;
    match read.invalid.iter().find(|one| one.part == Part::Server(name.to_owned())) {
        Some(mistake) => Err(mistake.error.clone()),
        None => Ok((text, read)),
    }
}

/// The text without the server; the comments above it stay. None if it does not name one.
///
/// # Errors
/// The text is not TOML.
pub(crate) fn remove_server(path: &Path, text: &str, name: &str) -> Result<Option<(String, Read)>, ConfigError> {
    let (mut document, _) = parsed(path, text)?;
    let Some(servers) = document.get_mut(SERVERS).and_then(Item::as_table_like_mut) else { return Ok(None) };
    let Some(removed) = servers.remove(name) else { return Ok(None) };
    if servers.is_empty() && removed.is_table() && text_before(document.get(SERVERS)).is_empty() {
        document.remove(SERVERS);
    }
    if let Item::Table(table) = removed {
        let comments = table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default().to_owned();
        if !comments.trim().is_empty() {
            leave(&mut document, table.position(), comments.trim_end());
        }
    }
    let text = document.to_string();
    file::read(path, &text).map(|read| Some((text, read)))
}

/// Puts comments before the first table behind a place, or at the end.
fn leave(document: &mut DocumentMut, place: Option<isize>, comments: &str) {
    let mut after = None;
    visit(document.as_table_mut(), &mut |table| {
        let at = table.position().filter(|at| Some(*at) > place && !table.is_implicit());
        if at.is_some() && (after.is_none() || at < after) {
            after = at;
        }
    });
    let Some(after) = after else {
        let end = document.trailing().as_str().unwrap_or_default().to_owned();
        document.set_trailing(format!("{comments}\n{end}"));
        return;
    };
    visit(document.as_table_mut(), &mut |table| {
        if table.position() == Some(after) {
            let before = table.decor().prefix().and_then(|prefix| prefix.as_str()).unwrap_or_default();
            let both = format!("{comments}\n{before}");
            table.decor_mut().set_prefix(both);
        }
    });
}

fn visit(table: &mut Table, see: &mut impl FnMut(&mut Table)) {
    for (_, item) in table.iter_mut() {
        if let Item::Table(inner) = item {
            see(inner);
            visit(inner, see);
        }
    }
}

fn text_before(item: Option<&Item>) -> String {
    let table = item.and_then(Item::as_table).filter(|table| !table.is_implicit());
    table.and_then(|table| table.decor().prefix()?.as_str()).unwrap_or_default().trim().to_owned()
}

fn server_table<'d>(document: &'d mut DocumentMut, name: &str) -> Option<&'d mut dyn TableLike> {
    document.get_mut(SERVERS)?.as_table_like_mut()?.get_mut(name)?.as_table_like_mut()
}

/// The document, and what it says. What is wrong with it is told with its line, before anything is changed.
fn parsed(path: &Path, text: &str) -> Result<(DocumentMut, Read), ConfigError> {
    let read = file::read(path, text)?;
    let document = text.parse();
    document
        .map(|document| (document, read))
        .map_err(|error: toml_edit::TomlError| ConfigError::new(path.display(), error.message()))
}

fn typed_value(key: Key, typed: &str) -> Value {
    match key.kind() {
        Kind::Number => typed.trim().parse::<i64>().map_or_else(|_| Value::from(typed), Value::from),
        Kind::Switch => typed.trim().parse::<bool>().map_or_else(|_| Value::from(typed), Value::from),
        Kind::Text => Value::from(typed),
    }
}

/// The text with what a good one says in the places of mistakes; none if one of the two is not TOML.
pub(crate) fn mended(text: &str, good: &str, mistakes: &[Invalid]) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let good: DocumentMut = good.parse().ok()?;
    for mistake in mistakes {
        let (section, name) = match &mistake.part {
            Part::Everything => return None,
            Part::Value(key) => key.name().split_once('.')?,
            Part::Server(name) => (SERVERS, name.as_str()),
            Part::Agent(name) => ("agents", name.as_str()),
        };
        let table = document.get_mut(section)?.as_table_like_mut()?;
        table.remove(name);
        if let Some(item) = good.get(section).and_then(|table| table.as_table_like()?.get(name)) {
            table.insert(name, item.clone());
        }
    }
    Some(document.to_string())
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
    fn a_server_comes_and_goes_and_every_comment_stays() {
        let path = Path::new("c.toml");
        let parts = [("url", Some("https://a.example")), ("kind", Some("gitea")), ("api_url", None)];
        for before in [template::CONFIG, "", "# mine\n[agents]\nmax = 3 # three\n# the end\n"] {
            let (added, read) = set_server(path, before, "work.2", &parts).unwrap();
            let own = "[servers.\"work.2\"]\nurl = \"https://a.example\"\nkind = \"gitea\"\n";
            assert!(added.ends_with(own), "{added}");
            assert!(added.starts_with(before.trim_end()), "{added}");
            assert_eq!(read.layer.servers.len(), 1);
            let (removed, _) = remove_server(path, &added, "work.2").unwrap().unwrap();
            assert_eq!(removed.trim_end(), before.trim_end());
        }
        let text = "# of a\n[servers.a]\nurl = \"https://a.example\" # here\nkind = \"gitea\"\n\n# of b\n[servers.b]\n\
                    url = \"https://b.example\"\n# of run\n[run]\ntimeout = \"2h\"\n";
        let (text, _) =
            set_server(path, text, "a", &[("kind", None), ("api_url", Some("https://a.example/x"))]).unwrap();
        assert!(text.contains("\"https://a.example\" # here\napi_url = \"https://a.example/x\"\n\n# of b\n"), "{text}");
        let (text, read) = remove_server(path, &text, "b").unwrap().unwrap();
        assert!(text.contains("# of b\n# of run\n[run]\n") && read.layer.servers.len() == 1, "{text}");
        assert!(remove_server(path, &text, "b").unwrap().is_none());
        let inline = "[servers]\na = { url = \"https://a.example\" }\nb = { url = \"https://b.example\" }\n";
        let (text, _) = remove_server(path, inline, "a").unwrap().unwrap();
        assert_eq!(text, "[servers]\nb = { url = \"https://b.example\" }\n");
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
            ("[run]\nbad = \n", "agents.max", "3", ""),
            ("", "destroy.check_change", "perhaps", "true"),
            ("", "run.temp_dir", "tmp", "whole path"),
        ] {
            let error = changed(text, name, typed).unwrap_err();
            assert!(error.message.contains(word), "{error}");
        }
    }

    #[test]
    fn a_change_repairs_its_own_mistake_and_leaves_others_alone() {
        let text = "[run]\nsilence = \"soon\"\ntimout = \"1h\"\n[agents]\nmax = 9000\n";
        let new = changed(text, "run.silence", "1m").unwrap();
        assert_eq!(new, text.replace("soon", "1m"));
        assert_eq!(
            changed(text, "destroy.check_change", "false").unwrap(),
            format!("{text}\n[destroy]\ncheck_change = false\n")
        );
    }

    #[test]
    fn mistakes_are_mended_with_what_was_there_before() {
        let text = "[run]\nsilence = \"soon\"\ntimeout = \"2h\"\n[servers.a]\nkind = \"svn\"\n[agents.b]\nargs = []\n";
        let good = "[run]\nsilence = \"1m\"\n[servers.a]\nurl = \"https://a.example\"\n";
        let mistakes = file::read(Path::new("c.toml"), text).unwrap().invalid;
        let read = file::read(Path::new("c.toml"), &mended(text, good, &mistakes).unwrap()).unwrap();
        assert!(read.invalid.is_empty(), "{read:?}");
        assert_eq!((read.layer.values.len(), read.layer.servers.len(), read.layer.agents.len()), (2, 1, 0));
    }
}
