//! Paths that depend on the environment: the home, the current directory, the daemon's socket.

use std::env;
use std::path::{Path, PathBuf};

use kugetsu_api::home::Home;

use crate::failure::Failure;

/// `$KUGETSU_HOME`, or `~/.kugetsu`.
pub(crate) fn home() -> Result<Home, Failure> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(own) = set("KUGETSU_HOME").filter(|own| !own.is_absolute()) {
        // It would be another home in each directory.
        return Err(Failure::usage(format!("KUGETSU_HOME is not an absolute path: {}", own.display()))
            .hint(format!("set it to one, such as KUGETSU_HOME=$PWD/{}", own.display())));
    }
    let directory = match (set("KUGETSU_HOME"), set("HOME")) {
        (Some(own), _) => own,
        (None, Some(user)) => user.join(".kugetsu"),
        (None, None) => {
            return Err(Failure::usage("could not find the home directory: neither KUGETSU_HOME nor HOME is set")
                .hint("set KUGETSU_HOME to a writable directory"));
        }
    };
    Ok(Home::new(real(&absolute(&directory)?)))
}

/// Resolves symbolic links in the part of `path` that exists. Paths in the home are stored and compared, so they must
/// not depend on how the home was named.
fn real(path: &Path) -> PathBuf {
    for existing in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (existing.canonicalize(), path.strip_prefix(existing)) {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path.to_owned()
}

/// The current directory as it is sent to the daemon.
pub(crate) fn cwd() -> Result<String, Failure> {
    let cwd = env::current_dir().map_err(|error| {
        Failure::usage(format!("could not determine the current directory: {error}"))
            .hint("change to a directory that exists, for example with `cd ~`")
    })?;
    cwd.into_os_string()
        .into_string()
        .map_err(|cwd| Failure::usage(format!("the path of the current directory is not UTF-8: {}", cwd.display())))
}

/// Makes a path that the user typed absolute.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// The socket that the daemon listens on.
pub(crate) fn socket(home: &Home) -> Result<PathBuf, Failure> {
    home.socket().map_err(|error| Failure::new(format!("could not use the daemon's socket: {error}")))
}
