//! The `GIT_*` variables that processes inherit from the one that started the daemon.
//!
//! A git hook, an editor or a script sets variables for one repository and one command. A daemon that was started there would
//! pass them on to every agent and every git command in every repository: a foreign author, a date of years ago, settings, a
//! program for diffs. So the variables that are inherited are listed, and all others are not.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Variables that say how the user reaches servers, and where the user's settings and git are.
const INHERITED: &[&str] = &[
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_PROXY_COMMAND",
    "GIT_HTTP_USER_AGENT",
    "GIT_HTTP_PROXY_AUTHMETHOD",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_EXEC_PATH",
    "GIT_TEMPLATE_DIR",
];
const INHERITED_PREFIXES: &[&str] = &[
    // Certificates of servers and proxies.
    "GIT_SSL_",
    "GIT_PROXY_SSL_",
    // When a slow transfer ends.
    "GIT_HTTP_LOW_",
    // Git LFS, such as `GIT_LFS_SKIP_SMUDGE`.
    "GIT_LFS_",
];

/// Whether a process may inherit the variable. Variables of other programs always are inherited.
pub fn is_inherited(name: &[u8]) -> bool {
    !name.starts_with(b"GIT_")
        || INHERITED.iter().any(|inherited| inherited.as_bytes() == name)
        || INHERITED_PREFIXES.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
}

/// The names of the variables that a process must not inherit, of those that this one has.
pub fn not_inherited(own: impl IntoIterator<Item = (OsString, OsString)>) -> impl Iterator<Item = OsString> {
    own.into_iter().map(|(name, _)| name).filter(|name| !is_inherited(name.as_encoded_bytes()))
}

/// The value of `GIT_CEILING_DIRECTORIES` that keeps git from looking for a repository in these directories and in the
/// user's `home`, which may be one (dotfiles): an agent that starts git below them, where no repository is, must not commit
/// there. A path with a colon cannot be named.
pub fn ceilings(directories: impl IntoIterator<Item = PathBuf>, home: Option<OsString>) -> OsString {
    let mut all: Vec<PathBuf> = Vec::new();
    for directory in directories.into_iter().chain(home.map(PathBuf::from)) {
        if directory.is_absolute()
            && !directory.as_os_str().as_encoded_bytes().contains(&b':')
            && !all.contains(&directory)
        {
            all.push(directory);
        }
    }
    let all: Vec<OsString> = all.into_iter().map(PathBuf::into_os_string).collect();
    all.join(OsStr::new(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_one_command_are_not_inherited() {
        for name in [
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_INDEX_FILE",
            "GIT_AUTHOR_NAME",
            "GIT_AUTHOR_DATE",
            "GIT_COMMITTER_EMAIL",
            "GIT_CONFIG_COUNT",
            "GIT_CONFIG_KEY_0",
            "GIT_CONFIG_VALUE_0",
            "GIT_CONFIG_PARAMETERS",
            "GIT_EXTERNAL_DIFF",
            "GIT_TRACE",
            "GIT_QUARANTINE_PATH",
            "GIT_PREFIX",
            "GIT_CEILING_DIRECTORIES",
            "GIT_NEW_IN_A_LATER_VERSION",
        ] {
            assert!(!is_inherited(name.as_bytes()), "{name}");
        }
        for name in
            ["HOME", "GITHUB_TOKEN", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "GIT_CONFIG_GLOBAL", "GIT_LFS_SKIP_SMUDGE"]
        {
            assert!(is_inherited(name.as_bytes()), "{name}");
        }
    }
}
