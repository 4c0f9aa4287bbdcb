//! Where things are, as the environment says it: the home, and the directory that the person stands in.

use std::env;
use std::path::{Path, PathBuf};

use kugetsu_api::home::Home;

use crate::failure::Failure;

/// kugetsu's home: `$KUGETSU_HOME`, or `~/.kugetsu`.
pub(crate) fn home() -> Result<Home, Failure> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let directory = match (set("KUGETSU_HOME"), set("HOME")) {
        (Some(own), _) => own,
        (None, Some(user)) => user.join(".kugetsu"),
        (None, None) => {
            return Err(Failure::usage("neither KUGETSU_HOME nor HOME is set, so kugetsu has no home")
                .hint("set KUGETSU_HOME to a directory that you may write"));
        }
    };
    Ok(Home::new(real(&absolute(&directory)?)))
}

/// The path without symbolic links, as far as it exists: what lies in the home is known by its whole path, and must be
/// known again when the home is named by another one.
fn real(path: &Path) -> PathBuf {
    for existing in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (existing.canonicalize(), path.strip_prefix(existing)) {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path.to_owned()
}

/// The directory that the person stands in, as the daemon is told it.
pub(crate) fn cwd() -> Result<String, Failure> {
    let cwd = env::current_dir().map_err(|error| {
        Failure::usage(format!("the current directory is gone: {error}")).hint("go to one that is there: cd ~")
    })?;
    cwd.into_os_string()
        .into_string()
        .map_err(|cwd| Failure::usage(format!("the path of the current directory is not UTF-8: {}", cwd.display())))
}

/// A path as the person meant it, relative to where they are.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// Where the daemon listens.
pub(crate) fn socket(home: &Home) -> Result<PathBuf, Failure> {
    home.socket().map_err(|error| Failure::new(format!("the daemon's socket cannot be used: {error}")))
}
