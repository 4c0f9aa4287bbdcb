//! Changes `config.toml` while nobody else does.

use std::io;
use std::path::Path;

use kugetsu_api::home::Home;

use crate::atomic;
use crate::failure::Failure;

use super::error::ConfigError;
use super::file::{Part, Read};
use super::load::merge;
use super::write::NOT_SET;

/// Reads the file, lets `change` make another text of it and writes that. The file stays as it is when `change` has
/// nothing to write, and when the text would make one of `parts` unusable, a default server that is not configured, say.
/// Says whether something was written.
///
/// # Errors
/// The file cannot be read or written, what `change` answers, or what would be wrong.
pub(crate) fn edit(
    home: &Home,
    parts: &[Part],
    change: impl FnOnce(&Path, &str) -> Result<Option<(String, Read)>, Failure>,
) -> Result<bool, Failure> {
    let path = home.config();
    let unusable = |error: io::Error| Failure::new(format!("{}: {error}", path.display()));
    let held = atomic::lock_directory(home.path()).map_err(unusable)?;
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(unusable)?,
    };
    let Some((text, read)) = change(&path, &text)? else { return Ok(false) };
    // Nothing is written that could not be read again.
    let merged = merge(home, read.into(), &|_| None)?;
    if let Some(mistake) = merged.invalid.iter().find(|one| parts.contains(&one.part)) {
        return Err(ConfigError::new(NOT_SET, mistake.error.message.clone()).into());
    }
    atomic::write(&path, &text).map_err(unusable)?;
    drop(held);
    Ok(true)
}
