//! Repositories on this machine: distinguishing paths from addresses, and naming repositories without a server.
//!
//! The name is the one in `local/<name>#1`. Nothing here looks at the disk.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use kugetsu_domain::naming::transliterated;
use kugetsu_domain::reference::{InvalidName, ProjectPath};

/// Longest name, in bytes, before a number that distinguishes it.
const NAME_MAX: usize = 60;

/// The name of a path that has none, such as `/`.
const NAMELESS: &str = "repository";

/// Whether an input is a path on this machine (`.`, `./x`, `../x`, `/x`, `~/x`, `file://...`) and not an address.
pub fn is_path_like(input: impl AsRef<OsStr>) -> bool {
    let input = input.as_ref().as_bytes();
    let has_prefix = |prefix: &[u8]| input.starts_with(prefix);
    matches!(input, b"." | b".." | b"~")
        || has_prefix(b"/")
        || has_prefix(b"./")
        || has_prefix(b"../")
        || has_prefix(b"~")
        || input.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"file://"))
}

/// Returns the name of the repository in `directory` (absolute, without symbolic links): the one it already has in
/// `taken`, or its last component in plain characters, with a number if another directory has that name.
///
/// # Errors
/// None is expected: the name consists of characters that a project path may have.
pub fn local_name(directory: &Path, taken: &[(ProjectPath, PathBuf)]) -> Result<ProjectPath, InvalidName> {
    if let Some((name, _)) = taken.iter().find(|(_, path)| path == directory) {
        return Ok(name.clone());
    }
    let name = plain_name(directory);
    let is_free = |name: &String| !taken.iter().any(|(other, _)| other.as_str().eq_ignore_ascii_case(name));
    // One more candidate than taken names, so one is free.
    let numbered = (2..=taken.len() + 1).map(|n| format!("{name}-{n}"));
    let free = std::iter::once(name.clone()).chain(numbered).find(is_free);
    ProjectPath::new(free.unwrap_or(name))
}

/// The last component of a path in ASCII letters, digits, `.`, `_` and `-`, without `.git` at its end.
fn plain_name(directory: &Path) -> String {
    let last = directory.file_name().filter(|name| *name != ".git");
    let name = last.or_else(|| directory.parent()?.file_name()).unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let mut name: String = transliterated(name.trim_end_matches(".git")).trim().chars().map(plain).collect();
    name.truncate(NAME_MAX);
    // Twice, because truncating may leave a `.git` at the end, which parsing the reference would drop.
    let name = name.trim_end_matches(".git").trim_matches(['-', '.']).trim_end_matches(".git");
    if name.is_empty() { NAMELESS.to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(directory: &str, taken: &[(ProjectPath, PathBuf)]) -> String {
        local_name(Path::new(directory), taken).unwrap().to_string()
    }

    #[test]
    fn the_name_is_the_last_component_in_plain_characters() {
        for (directory, expected) in [
            ("/home/me/demo", "demo"),
            ("/srv/git/api.git", "api"),
            ("/home/me/demo/.git", "demo"),
            ("/home/me/My Project!", "My-Project"),
            ("/home/me/.dotfiles", "dotfiles"),
            ("/home/me/日本", "Ri-Ben"),
            ("/home/me/Übersicht", "Ubersicht"),
            ("/", "repository"),
            ("/a/...", "repository"),
        ] {
            assert_eq!(name(directory, &[]), expected, "{directory}");
        }
        assert_eq!(name(&format!("/a/{}", "x".repeat(300)), &[]).len(), NAME_MAX);
        assert_eq!(local_name(Path::new(OsStr::from_bytes(b"/a/caf\xe9")), &[]).unwrap().as_str(), "caf");
    }

    #[test]
    fn directories_never_share_a_name_and_keep_theirs() {
        let mut taken = Vec::new();
        for (directory, expected) in [
            ("/a/demo", "demo"),
            ("/b/demo", "demo-2"),
            ("/c/Demo", "Demo-3"),
            ("/d/demo-2", "demo-2-2"),
            ("/b/demo", "demo-2"),
        ] {
            let name = local_name(Path::new(directory), &taken).unwrap();
            assert_eq!(name.as_str(), expected, "{directory}");
            taken.push((name, PathBuf::from(directory)));
        }
    }

    #[test]
    fn paths_are_distinguished_from_addresses() {
        for path in [".", "..", "./x", "../x", "/srv/git/acme/api.git", "~", "~/x", "~me/x", "file:///x", "FILE://x"] {
            assert!(is_path_like(path), "{path}");
        }
        assert!(is_path_like(OsStr::from_bytes(b"/caf\xe9")));
        for address in ["", "acme/api", "#12", "https://h/a/b", ".github/x#1", "git@h:a/b", "host:/a", "local/x#1"] {
            assert!(!is_path_like(address), "{address}");
        }
    }
}
