//! `.kugetsu.toml` of watched repositories, from the default branch only: what a branch of an issue says has no effect.

use std::ops::Range;

use jiff::Timestamp;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Forge;
use kugetsu_store::error::StoreError;
use serde_json::{Map, Value};
use thiserror::Error;
use toml_edit::{Document, Item, Table};

use crate::engine::Engine;
use crate::schema::{RepoFile, WatchRule, json};
use crate::watches::{FILE_AGAIN, FILE_AGAIN_IF_NONE, FILE_AGAIN_WITH_HOOK, KnownFile, Watch};

/// The name of the file, at the root of the repository.
const NAME: &str = ".kugetsu.toml";

/// The file of a repository counts, and is not known.
#[derive(Debug, Error)]
pub(crate) enum RepoFileError {
    #[error(transparent)]
    Forge(#[from] ForgeError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{NAME} on its default branch is not valid: {0}")]
    Invalid(String),
}

impl RepoFileError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Forge(error) => error.hint(),
            Self::Store(error) => error.hint().map(str::to_owned),
            Self::Invalid(_) => None,
        }
    }
}

/// The watch with the settings of its repository's file.
///
/// # Errors
/// The file cannot be read, or is not valid: it may be meant to narrow what is allowed, so nothing begins without it.
pub(crate) async fn with_file(engine: &Engine, watch: &Watch, forge: &dyn Forge) -> Result<Watch, RepoFileError> {
    let now = engine.now();
    let known = match engine.repo_files().get(&watch.repo) {
        Some(known) if is_current(engine, watch, &known, now).await? => known,
        _ => {
            let text = forge.file(&watch.repo.project, NAME).await?;
            let file = text.map_or_else(|| Ok(RepoFile::default()), |text| parse(&text));
            let known = KnownFile { read_at: now, file };
            engine.repo_files().set(&watch.repo, known.clone());
            known
        }
    };
    known.file.and_then(|file| watch.with_file(&file)).map_err(RepoFileError::Invalid)
}

/// The same with the current file, for what begins with it and for users who look after they changed it. `watch` is the one of
/// the settings.
///
/// # Errors
/// As [`with_file`].
pub(crate) async fn with_current_file(
    engine: &Engine,
    watch: &Watch,
    forge: &dyn Forge,
) -> Result<Watch, RepoFileError> {
    engine.repo_files().forget(&watch.repo);
    with_file(engine, watch, forge).await
}

/// Returns why the file is not valid, as it was read last.
pub(crate) fn known_to_be_invalid(engine: &Engine, watch: &Watch) -> Option<String> {
    let known = engine.repo_files().get(&watch.repo)?;
    let invalid = known.file.and_then(|file| watch.with_file(&file)).err()?;
    Some(RepoFileError::Invalid(invalid).to_string())
}

/// The watch with the settings of its repository's file as it was read last, or without them.
pub fn with_known_file(engine: &Engine, watch: &Watch) -> Watch {
    let known = engine.repo_files().get(&watch.repo).and_then(|known| known.file.ok());
    known.and_then(|file| watch.with_file(&file).ok()).unwrap_or_else(|| watch.clone())
}

async fn is_current(engine: &Engine, watch: &Watch, known: &KnownFile, now: Timestamp) -> Result<bool, RepoFileError> {
    // Everything waits for its correction.
    let Ok(file) = &known.file else { return Ok(false) };
    if watch.with_file(file).is_err() {
        return Ok(false);
    }
    let age = now.duration_since(known.read_at);
    if age < (if *file == RepoFile::default() { FILE_AGAIN_IF_NONE } else { FILE_AGAIN }) {
        return Ok(true);
    }
    Ok(age < FILE_AGAIN_WITH_HOOK && engine.store().watch(watch.repo.clone()).await?.has_hook())
}

/// The error names the line and the setting.
fn parse(text: &str) -> Result<RepoFile, String> {
    let at = |span: Option<Range<usize>>, what: &str| {
        let start = span.map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line}: {what}")
    };
    let document =
        Document::parse(text).map_err(|error| at(error.span(), &error.message().trim().replace('\n', "; ")))?;
    let mut all = Map::new();
    // serde does not say where it found a mistake, so each setting is read alone first.
    for (name, item) in document.iter() {
        let value = value(item.clone());
        let own = Value::Object([(name.to_owned(), value.clone())].into_iter().collect());
        if let Err(error) = serde_json::from_value::<RepoFile>(own) {
            let rules = item.as_array_of_tables().filter(|_| name == "rules");
            let is_invalid =
                |rule: &&Table| serde_json::from_value::<WatchRule>(self::value(Item::Table((*rule).clone()))).is_err();
            let rule = rules.and_then(|rules| rules.iter().find(is_invalid)).and_then(Table::span);
            return Err(at(rule.or_else(|| item.span()), &mistake(name, &error.to_string())));
        }
        all.insert(name.to_owned(), value);
    }
    serde_json::from_value(Value::Object(all)).map_err(|error| error.to_string())
}

fn value(item: Item) -> Value {
    item.into_value().as_ref().map_or(Value::Null, json)
}

/// An error of serde, in the terms of TOML.
fn mistake(name: &str, error: &str) -> String {
    let error = error.replace("expected a sequence", "expected an array").replace("expected a map", "expected a table");
    if error.starts_with(&format!("unknown field `{name}`")) { error } else { format!("{name}: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_read_as_written_and_unknown_settings_are_errors() {
        let file =
            parse("model = \"m\"\nverify = [\"cargo test\"]\n[[rules]]\nlabel = \"bug\"\npriority = 3\n").unwrap();
        assert_eq!((file.model.as_deref(), file.rules.unwrap()[0].priority), (Some("m"), Some(3)));
        assert_eq!(parse("").unwrap(), RepoFile::default());
    }

    #[test]
    fn mistake_is_named_with_its_line_and_its_setting() {
        for (invalid, message) in [
            ("model = \"m\"\nsandbox = \"off\"\n", "line 2: unknown field `sandbox`"),
            ("model = 3", "line 1: model: invalid type: integer `3`, expected a string"),
            ("\nverify = \"cargo test\"", "line 2: verify: invalid type: string \"cargo test\", expected an array"),
            ("draft = true\nmodel = ", "line 2: "),
            ("merge = \"sometimes\"", "line 1: merge: unknown variant `sometimes`"),
            ("[[rules]]\nlabel = \"a\"\n\n[[rules]]\ncolor = 1\n", "line 4: rules: unknown field `color`"),
            ("rules = [\"bug\"]", "line 1: rules: "),
        ] {
            let error = parse(invalid).unwrap_err();
            assert!(error.starts_with(message) && !error.contains('\n'), "{invalid}: {error}");
        }
    }
}
