//! Edits `config.toml`: comments and everything else in it stay as they are.

use std::io;

use kugetsu_api::home::Home;
use kugetsu_api::regular_file;
use toml_edit::{Document, DocumentMut, InlineTable, Item, Table, TableLike, TomlError, Value};

use crate::atomic;
use crate::failure::Failure;

use super::layer::ConfigError;
use super::load::errors_in;
use super::schema::{self, Key};

/// Sets a setting to a value as the user typed it. Returns its present key.
pub(crate) fn set(home: &Home, name: &str, typed: &str) -> Result<Key, Failure> {
    let found = Key::parse(name).and_then(|key| Some((schema::find(&key)?, key)));
    let ((key, field), typed_key) = found.ok_or_else(|| unknown(name))?;
    let value = field.parse(&key, typed).map_err(|message| match field.typed_example() {
        Some(example) => Failure::usage(message).hint(format!("for example, `kugetsu config set {key} {example}`")),
        None => rejected(message),
    })?;
    edit(home, |text| {
        let mut document: DocumentMut = text.parse()?;
        let earlier = field.renamed_from().map(|name| Key { field: name.to_owned(), ..key.clone() });
        for earlier in earlier.iter().chain([&typed_key]).filter(|earlier| **earlier != key) {
            document
                .get_mut(&earlier.section)
                .and_then(Item::as_table_like_mut)
                .map(|table| table.remove(&earlier.field));
        }
        put(&mut document, &key, value);
        Ok(Some(document.to_string()))
    })?;
    Ok(key)
}

/// Removes a setting from the file, so that it has its default again. Returns its present key, and whether it was there.
pub(crate) fn unset(home: &Home, name: &str) -> Result<(Key, bool), Failure> {
    let found = Key::parse(name).and_then(|key| Some((schema::find(&key)?, key)));
    let ((key, field), typed_key) = found.ok_or_else(|| unknown(name))?;
    let earlier = field.renamed_from().map(|name| Key { field: name.to_owned(), ..key.clone() });
    let removed = edit(home, |text| {
        let mut document: DocumentMut = text.parse()?;
        let mut removed = false;
        for key in earlier.iter().chain([&typed_key, &key]) {
            let section = document.get_mut(&key.section);
            let table = match &key.entry {
                Some(entry) => section.and_then(|section| section.get_mut(entry)),
                None => section,
            };
            removed |= table.and_then(Item::as_table_like_mut).is_some_and(|table| table.remove(&key.field).is_some());
        }
        Ok(removed.then(|| document.to_string()))
    })?;
    Ok((key, removed))
}

/// Replaces the whole file by what the user made of it. Returns the first mistake if it has one; then nothing is changed.
pub(crate) fn replace(home: &Home, before: &str, after: &str) -> Result<Option<ConfigError>, Failure> {
    let path = home.config();
    let failed = |error: io::Error| not_changed(home, &error);
    let _lock = atomic::lock_directory(home.path()).map_err(failed)?;
    if let Some(error) = errors_in(home, after)?.into_iter().next() {
        return Ok(Some(error));
    }
    if read(home).map_err(failed)? != before {
        return Err(Failure::new(format!("{} was changed meanwhile", path.display())));
    }
    atomic::write(&path, after).map_err(failed)?;
    Ok(None)
}

/// Returns the text of the file; empty if it does not exist.
pub(crate) fn read(home: &Home) -> io::Result<String> {
    let bytes = regular_file::read_if_there(&home.config())?.unwrap_or_default();
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not valid UTF-8"))
}

/// Sets fields of a named entry. A new entry is appended to the file.
pub(crate) fn set_entry(home: &Home, section: &str, entry: &str, fields: &[(&str, Value)]) -> Result<(), Failure> {
    let set_in = |document: &mut DocumentMut| {
        for (field, value) in fields {
            put(document, &Key::new(section, Some(entry), field), value.clone());
        }
    };
    let change = |text: &str| {
        let mut document: DocumentMut = text.parse()?;
        if document.get(section).and_then(|entries| entries.get(entry)).is_some() {
            set_in(&mut document);
            return Ok(Some(document.to_string()));
        }
        let mut new = DocumentMut::new();
        set_in(&mut new);
        let separator = if text.is_empty() {
            ""
        } else if text.ends_with('\n') {
            "\n"
        } else {
            "\n\n"
        };
        Ok(Some(format!("{text}{separator}{new}")))
    };
    edit(home, change).map(drop)
}

/// Removes a named entry, but not the comments above it. Returns whether the file contained it.
pub(crate) fn remove_entry(home: &Home, section: &str, entry: &str) -> Result<bool, Failure> {
    edit(home, |text| without_entry(text, section, entry))
}

pub(crate) fn unknown(name: &str) -> Failure {
    Failure::usage(schema::unknown(name)).hint("list all settings with `kugetsu config list`")
}

fn rejected(message: String) -> Failure {
    Failure::usage(message).hint("list the current values with `kugetsu config list`")
}

fn not_changed(home: &Home, error: &io::Error) -> Failure {
    let path = home.config();
    match atomic::is_full(error) {
        // The error names a temporary file.
        true => Failure::new(format!("could not change {}: its disk is full", path.display()))
            .hint(format!("free space on the disk of {}, for example with `kugetsu gc`", home.path().display())),
        false => Failure::new(format!("could not change {}: {error}", path.display())),
    }
}

/// Changes the text of the file while it is locked. A change that makes another setting invalid is rejected; what was
/// invalid before does not matter.
fn edit(home: &Home, change: impl FnOnce(&str) -> Result<Option<String>, TomlError>) -> Result<bool, Failure> {
    let path = home.config();
    let failed = |error: io::Error| not_changed(home, &error);
    let _lock = atomic::lock_directory(home.path()).map_err(failed)?;
    let before = read(home).map_err(failed)?;
    let known = errors_in(home, &before)?;
    if let Some(not_toml) = known.iter().find(|error| error.key.is_none()) {
        return Err(not_toml.clone().into());
    }
    let after = change(&before).map_err(|error| Failure::new(format!("{}: {}", path.display(), error.message())))?;
    let Some(after) = after else { return Ok(false) };
    let new_error = errors_in(home, &after)?.into_iter().find(|error| !known.iter().any(|one| one.key == error.key));
    if let Some(error) = new_error {
        return Err(rejected(error.message));
    }
    atomic::write(&path, &after).map_err(failed)?;
    Ok(true)
}

/// Sets a value and keeps the whitespace and the comment around the previous one.
fn put(document: &mut DocumentMut, key: &Key, value: Value) {
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for (step, is_implicit) in [(Some(&key.section), key.entry.is_some()), (key.entry.as_ref(), false)] {
        let Some(step) = step else { continue };
        let missing = || {
            let mut table = Table::new();
            // [servers.work] needs no [servers] above it.
            table.set_implicit(is_implicit);
            Item::Table(table)
        };
        let item = table.entry(step).or_insert_with(missing);
        if !item.is_table_like() {
            *item = Item::Value(InlineTable::new().into());
        }
        match item.as_table_like_mut() {
            Some(inner) => table = inner,
            None => return,
        }
    }
    match table.get_mut(&key.field) {
        Some(Item::Value(old)) => {
            let decor = old.decor().clone();
            *old = value;
            *old.decor_mut() = decor;
        }
        _ => drop(table.insert(&key.field, Item::Value(value))),
    }
}

/// The text without the entry.
fn without_entry(text: &str, section: &str, entry: &str) -> Result<Option<String>, TomlError> {
    let document = Document::parse(text)?;
    let Some(item) = document.get(section).and_then(|entries| entries.get(entry)) else { return Ok(None) };
    let header = item.as_table().filter(|table| !table.is_dotted() && !table.is_implicit()).and_then(Table::span);
    let Some(header) = header else {
        let mut document: DocumentMut = text.parse()?;
        document.get_mut(section).and_then(Item::as_table_like_mut).map(|entries| entries.remove(entry));
        return Ok(Some(document.to_string()));
    };
    // toml_edit counts the comments above a table as part of it, so it is cut out of the text instead.
    let values = item.as_table().into_iter().flat_map(Table::iter);
    let end = values.filter_map(|(_, value)| Some(value.span()?.end)).fold(header.start, usize::max);
    let start = text[..header.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
    Ok(Some(format!("{}{}", &text[..start], text[end..].trim_start_matches('\n'))))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::{layer, template};

    fn home(text: &str) -> (tempfile::TempDir, Home) {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("kugetsu"));
        home.create().unwrap();
        fs::write(home.config(), text).unwrap();
        (directory, home)
    }

    fn after(text: &str, name: &str, typed: &str) -> Result<String, String> {
        let (_directory, home) = home(text);
        let result = set(&home, name, typed).map_err(|failure| failure.message);
        let after = fs::read_to_string(home.config()).unwrap();
        if result.is_err() {
            assert_eq!(after, text);
        }
        result.map(|_| after)
    }

    #[test]
    fn a_change_keeps_comments_and_the_rest() {
        let text = "# mine\n[agents]\nmax = 3 # three\n\n[run]\ntimeout = \"1h\"\n";
        assert_eq!(after(text, "agents.max", "5").unwrap(), text.replace("max = 3", "max = 5"));
        assert_eq!(after(text, "run.silence", "90s").unwrap(), format!("{text}silence = \"90s\"\n"));
        let new = after(&template::config(), "agents.max", "7").unwrap();
        assert!(new.contains("max = 7\n") && new.starts_with("# kugetsu's settings."), "{new}");
    }

    #[test]
    fn a_removed_setting_has_its_default_again() {
        let text = "# mine\n[agents]\nmax = 3 # three\n\n[destroy]\ncheck_change = true\n";
        let (_directory, home) = home(text);
        assert!(unset(&home, "agents.max").unwrap().1);
        assert!(unset(&home, "destroy.check_pr").unwrap().1, "under its earlier name");
        assert!(!unset(&home, "run.timeout").unwrap().1);
        let after = fs::read_to_string(home.config()).unwrap();
        assert!(!after.contains("max") && !after.contains("check_") && after.starts_with("# mine\n"), "{after}");
        assert!(unset(&home, "run.timout").is_err());
    }

    #[test]
    fn a_renamed_setting_is_changed_under_its_present_name() {
        let text = "[destroy]\ncheck_change = true\n";
        for name in ["destroy.check_pr", "destroy.check_change"] {
            assert_eq!(after(text, name, "false").unwrap(), "[destroy]\ncheck_pr = false\n");
        }
    }

    #[test]
    fn entries_are_added_and_removed_and_every_comment_stays() {
        let fields = [("url", "https://a.example".into()), ("kind", "gitea".into())];
        for before in [&template::config(), "", "# mine\n[agents]\nmax = 3 # three\n# the end\n"] {
            let (_directory, home) = home(before);
            set_entry(&home, "servers", "work.2", &fields).unwrap();
            let added = fs::read_to_string(home.config()).unwrap();
            let own = "[servers.\"work.2\"]\nurl = \"https://a.example\"\nkind = \"gitea\"\n";
            assert!(added.ends_with(own) && added.starts_with(before), "{added}");
            assert_eq!(layer::file(&home.config(), &added).values.keys().filter(|key| key.entry.is_some()).count(), 2);
            assert!(remove_entry(&home, "servers", "work.2").unwrap());
            assert_eq!(fs::read_to_string(home.config()).unwrap().trim_end(), before.trim_end());
            assert!(!remove_entry(&home, "servers", "work.2").unwrap());
        }
        let text = "# of a\n[servers.a]\nurl = \"https://a.example\" # here\nkind = \"gitea\"\n\n# of b\n[servers.b]\n\
                    url = \"https://b.example\"\n# of run\n[run]\ntimeout = \"2h\"\n";
        let removed = without_entry(text, "servers", "b").unwrap().unwrap();
        assert!(removed.contains("# of b\n# of run\n[run]\n"), "{removed}");
        let inline = "[servers]\na = { url = \"https://a.example\" }\nb = { url = \"https://b.example\" }\n";
        let removed = without_entry(inline, "servers", "a").unwrap().unwrap();
        assert_eq!(removed, "[servers]\nb = { url = \"https://b.example\" }\n");
    }

    #[test]
    fn fields_of_entries_can_be_set() {
        let text = after("[servers.a]\nurl = \"https://a.example\"\n", "servers.a.kind", "gitlab").unwrap();
        assert_eq!(text, "[servers.a]\nurl = \"https://a.example\"\nkind = \"gitlab\"\n");
        assert_eq!(
            after("", "servers.b.url", "https://b.example").unwrap(),
            "[servers.b]\nurl = \"https://b.example\"\n"
        );
        let text = after("[agents.x]\nprogram = \"x\"\n", "agents.x.args", "[\"acp\"]").unwrap();
        assert!(text.ends_with("args = [\"acp\"]\n"), "{text}");
        assert!(after("", "servers.b.kind", "gitea").is_err(), "a server without an address");
    }

    #[test]
    fn rejected_list_has_an_example_that_is_accepted() {
        let (_directory, home) =
            home("[watch.api]\nrepo = \"https://github.com/acme/api\"\nlabel = \"agent\"\n[agents.claude]\n");
        for name in ["watch.api.verify", "watch.api.rules", "agents.claude.env"] {
            let hint = set(&home, name, "x").unwrap_err().hints.remove(0);
            let typed = hint.split('\'').nth(1).unwrap();
            set(&home, name, typed).unwrap_or_else(|failure| panic!("{typed}: {}", failure.message));
        }
    }

    #[test]
    fn full_disk_is_named_without_the_temporary_file() {
        let (_directory, home) = home("");
        let full = |kind| not_changed(&home, &io::Error::new(kind, "no space at path /h/.tmpQ"));
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let failure = full(kind);
            assert!(failure.message.ends_with("config.toml: its disk is full"), "{}", failure.message);
            assert!(failure.hints[0].contains("kugetsu gc"), "{:?}", failure.hints);
        }
        assert!(full(io::ErrorKind::PermissionDenied).message.contains("tmpQ"));
    }

    #[test]
    fn invalid_values_are_rejected() {
        for (text, name, typed, word) in [
            ("", "agents.maxx", "3", "agents.max"),
            ("", "agents.max", "x", "integer from 0 to 1000"),
            ("", "run.timeout", "60", "90s"),
            ("", "run.timeout", "0s", "1s"),
            ("[run]\nbad = \n", "agents.max", "3", "TOML"),
            ("", "destroy.check_pr", "perhaps", "true"),
            ("", "run.temp_dir", "tmp", "absolute path"),
            ("", "server.default", "gone", "gone"),
        ] {
            let message = after(text, name, typed).unwrap_err();
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn a_change_repairs_its_own_error_and_ignores_others() {
        let text = "[run]\nsilence = \"soon\"\ntimout = \"1h\"\n[agents]\nmax = 9000\n";
        assert_eq!(after(text, "run.silence", "1m").unwrap(), text.replace("soon", "1m"));
        let added = format!("{text}\n[destroy]\ncheck_pr = false\n");
        assert_eq!(after(text, "destroy.check_pr", "false").unwrap(), added);
    }
}
