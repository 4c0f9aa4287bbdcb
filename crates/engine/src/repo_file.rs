//! `.kugetsu.toml` of watched repositories, from the default branch only: what a branch of an issue says has no effect.

use jiff::{SignedDuration, Timestamp};
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Forge;
use kugetsu_store::error::StoreError;
use serde_json::Value;
use thiserror::Error;
use toml_edit::{DocumentMut, Item, TomlError};

use crate::engine::Engine;
use crate::schema::{RepoFile, json};
use crate::watches::{KnownFile, Watch};

/// The name of the file, at the root of the repository.
const NAME: &str = ".kugetsu.toml";
/// Time after which it is read again.
const AGAIN: SignedDuration = SignedDuration::from_mins(10);
/// The same if a webhook reports pushes.
const AGAIN_WITH_HOOK: SignedDuration = SignedDuration::from_hours(24);

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

/// The watch with the settings of its repository's file.
///
/// # Errors
/// The file cannot be read, or is not valid: it may be meant to narrow what is allowed, so nothing begins without it.
pub(crate) async fn with_file(engine: &Engine, watch: &Watch, forge: &dyn Forge) -> Result<Watch, RepoFileError> {
    let now = engine.now();
    let known = match engine.repo_files().get(&watch.repo) {
        Some(known) if is_current(engine, watch, known.read_at, now).await? => known,
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

async fn is_current(engine: &Engine, watch: &Watch, read_at: Timestamp, now: Timestamp) -> Result<bool, RepoFileError> {
    let age = now.duration_since(read_at);
    if age < AGAIN {
        return Ok(true);
    }
    Ok(age < AGAIN_WITH_HOOK && engine.store().watch(watch.repo.clone()).await?.has_hook())
}

fn parse(text: &str) -> Result<RepoFile, String> {
    let document: DocumentMut = text.parse().map_err(|error: TomlError| error.message().to_owned())?;
    let table = Item::Table(document.as_table().clone()).into_value();
    let object = table.as_ref().map_or(Value::Null, json);
    serde_json::from_value(object).map_err(|error| error.to_string())
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
        for invalid in ["sandbox = \"off\"", "model = 3", "model = ", "[[rules]]\ncolor = 1"] {
            assert!(parse(invalid).is_err(), "{invalid}");
        }
    }
}
