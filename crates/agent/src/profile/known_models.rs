//! The models of an agent: those that it offered in its latest session, kept in a file, and names that are close to a mistyped
//! one.
//!
//! The file is no proof that the agent lacks a model: its settings may have changed since.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use strsim::osa_distance;

/// Most models that are kept or read.
const MODELS_MAX: usize = 5000;
/// Longest name, in bytes.
const NAME_MAX: usize = 200;
/// Most bytes of a list that are read.
const LIST_MAX: usize = MODELS_MAX * (NAME_MAX + 1);
/// Most names that are close to another one.
const NEAR_MAX: usize = 3;

/// Keeps the models that the agent called `agent` offers. Names that no agent would have are left out. `write` replaces a file
/// as a whole: several runs may write at once.
///
/// # Errors
/// The file cannot be written.
pub fn record_models(
    directory: &Path,
    agent: &str,
    models: &[String],
    write: impl FnOnce(&Path, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let names: Vec<&String> = models.iter().filter(|name| is_name(name)).take(MODELS_MAX).collect();
    if recorded_models(directory, agent).iter().eq(names.iter().copied()) {
        return Ok(());
    }
    let text: String = names.iter().map(|name| format!("{name}\n")).collect();
    // Not recursively: a home that was moved must not appear again at its old path.
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    write(&file(directory, agent), text.as_bytes())
}

/// Returns the models that the agent offered in its latest session; none if that is not known.
pub fn recorded_models(directory: &Path, agent: &str) -> Vec<String> {
    let path = file(directory, agent);
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_file() && metadata.len() <= LIST_MAX as u64 => {
            models_in(&fs::read_to_string(path).unwrap_or_default())
        }
        _ => Vec::new(),
    }
}

/// Reads a list of models, one per line. Lines that are no names are left out.
pub fn models_in(list: &str) -> Vec<String> {
    let names = list.lines().map(str::trim).filter(|name| is_name(name));
    names.take(MODELS_MAX).map(str::to_owned).collect()
}

/// Whether a list of models has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is in the list.
    Listed,
    /// Only its model is, such as `provider/model` of `provider/model/high`. Commands that list models leave variants out; a
    /// session lists those that it has.
    Variant,
    Unlisted,
}

/// Looks up a name in a list of models. A session accepts only what it lists.
pub fn offer(models: &[String], model: &str) -> Offer {
    let is_variant = |name: &str| {
        model.strip_prefix(name).and_then(|rest| rest.strip_prefix('/')).is_some_and(|variant| !variant.is_empty())
    };
    if models.iter().any(|name| name == model) {
        Offer::Listed
    } else if models.iter().any(|name| is_variant(name)) {
        Offer::Variant
    } else {
        Offer::Unlisted
    }
}

/// Returns the models whose names are closest to `model`, the closest first; also those that only lack its provider.
pub fn near_models<'a>(model: &str, models: &'a [String]) -> Vec<&'a str> {
    let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_lowercase();
    let distance = |name: &str| {
        let whole = osa_distance(&model.to_lowercase(), &name.to_lowercase());
        whole.min(osa_distance(&last(model), &last(name)) + 1)
    };
    let most = (model.chars().count() / 2).max(2);
    let mut near: Vec<(usize, &str)> = models.iter().map(|name| (distance(name), name.as_str())).collect();
    near.retain(|(distance, _)| *distance <= most);
    near.sort_unstable();
    near.into_iter().take(NEAR_MAX).map(|(_, name)| name).collect()
}

fn file(directory: &Path, agent: &str) -> PathBuf {
    directory.join(format!("{agent}.models"))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_MAX && !name.chars().any(|c| c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn models_are_kept_without_what_is_no_name() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().join("agents");
        let write = |path: &Path, text: &[u8]| fs::write(path, text);
        assert!(recorded_models(&at, "mine").is_empty());
        let long = "x".repeat(NAME_MAX + 1);
        record_models(&at, "mine", &names(&["a/1", "", "b\u{1b}[2J", "with blank", &long, "b/2"]), write).unwrap();
        assert_eq!(recorded_models(&at, "mine"), ["a/1", "b/2"]);
        record_models(&at, "mine", &names(&["c/3"]), write).unwrap();
        assert_eq!(recorded_models(&at, "mine"), ["c/3"]);
        assert!(recorded_models(&at, "other").is_empty());
    }

    #[test]
    fn close_names_are_found() {
        let models = names(&["anthropic/claude-sonnet-5", "anthropic/claude-opus-5", "openai/gpt-6", "mock/mock-1"]);
        assert_eq!(near_models("anthropic/claude-sonet-5", &models)[0], "anthropic/claude-sonnet-5");
        assert_eq!(near_models("gpt-6", &models), ["openai/gpt-6"], "without the provider");
        assert!(near_models("zzzzzz", &models).is_empty());
    }

    #[test]
    fn variant_of_a_listed_model_is_listed_only_itself() {
        let models = names(&["a/b", "a/b/low"]);
        assert_eq!([offer(&models, "a/b"), offer(&models, "a/b/low")], [Offer::Listed; 2]);
        assert_eq!(offer(&models, "a/b/high"), Offer::Variant);
        assert_eq!(["a/bc", "a", "a/b/"].map(|model| offer(&models, model)), [Offer::Unlisted; 3]);
    }
}
