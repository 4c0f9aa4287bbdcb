//! Submodules of a new worktree. They are not fetched, as in a plain clone, but `git submodule update --init` works: URLs
//! that are relative to `origin`, which is the relay here, are resolved against the real server.

use std::collections::BTreeMap;

use crate::command::answer::Output;
use crate::command::runner::{GitCommand, GitError};
use crate::git_dir::layout::ConfigFile;
use crate::mirror::repo::Mirror;
use crate::names::Oid;
use crate::printable::printable;
use crate::untrusted::quarantine::Quarantine;

/// Maximum number of submodules named in a notice.
const LISTED: usize = 10;
const READ: &str = "read .gitmodules";

/// The submodules in the `.gitmodules` of a commit, by name.
#[derive(Debug, Default)]
pub(crate) struct Submodules(BTreeMap<Vec<u8>, Submodule>);

#[derive(Debug, Default)]
struct Submodule {
    path: Vec<u8>,
    url: Vec<u8>,
}

impl Submodules {
    /// Reads them from a commit of the mirror. A `.gitmodules` that is missing or that git cannot read has none.
    pub(crate) async fn of_mirror(mirror: &Mirror, commit: &Oid) -> Result<Self, GitError> {
        Self::parse(mirror.authenticate(mirror.command("config", READ)).await, commit).await
    }

    /// Reads them from a commit of a quarantine.
    pub(crate) async fn of_quarantine(quarantine: &Quarantine, commit: &Oid) -> Result<Self, GitError> {
        Self::parse(quarantine.command("config", READ), commit).await
    }

    async fn parse(command: GitCommand, commit: &Oid) -> Result<Self, GitError> {
        let command = command.arg(format!("--blob={commit}:.gitmodules"));
        // 1: there is no such file, it names no submodule, or git cannot parse it.
        let found = command.args(["--null", "--get-regexp", r"^submodule\..*\.(path|url)$"]).answer(&[1]).await?.yes();
        let mut submodules = Self::default();
        for record in found.iter().flat_map(Output::records) {
            let Some(end) = record.iter().position(|byte| *byte == b'\n') else { continue };
            let (key, value) = record.split_at(end);
            let value = value.get(1..).unwrap_or_default().to_vec();
            let Some(key) = key.strip_prefix(b"submodule.") else { continue };
            if let Some(name) = key.strip_suffix(b".path") {
                submodules.0.entry(name.to_vec()).or_default().path = value;
            } else if let Some(name) = key.strip_suffix(b".url") {
                submodules.0.entry(name.to_vec()).or_default().url = value;
            }
        }
        submodules.0.retain(|name, _| !name.iter().any(u8::is_ascii_control));
        Ok(submodules)
    }

    /// Adds the relative URLs to a config, resolved against the URL of the repository.
    pub(crate) fn write(&self, config: &mut ConfigFile, origin: &[u8]) {
        for (name, submodule) in &self.0 {
            if submodule.url.starts_with(b"./") || submodule.url.starts_with(b"../") {
                config.section("submodule", Some(name)).set("url", resolve_url(origin, &submodule.url));
            }
        }
    }

    /// A notice for the user that they are not checked out.
    pub(crate) fn notice(&self) -> Option<String> {
        let mut paths: Vec<_> = self.0.values().take(LISTED).map(|submodule| printable(&submodule.path)).collect();
        let (one, more) = (self.0.len() == 1, self.0.len() > LISTED);
        if more {
            paths.push("...".to_owned());
        }
        let (noun, verb) = if one { ("submodule", "is") } else { ("submodules", "are") };
        let names = paths.join(", ");
        (!paths.is_empty()).then(|| {
            format!(
                "the {noun} {names} {verb} not checked out; to get {}, run `git submodule update --init`",
                if one { "it" } else { "them" }
            )
        })
    }
}

/// Resolves a relative URL by the rules of git (`relative_url` in its `remote.c`).
fn resolve_url(origin: &[u8], relative: &[u8]) -> Vec<u8> {
    let (mut base, mut rest, mut separator) = (origin, relative, b'/');
    while let Some(shorter) = base.strip_suffix(b"/") {
        base = shorter;
    }
    loop {
        if let Some(next) = rest.strip_prefix(b"./") {
            rest = next;
        } else if let Some(next) = rest.strip_prefix(b"../") {
            rest = next;
            let end = match base.iter().rposition(|byte| *byte == b'/') {
                Some(slash) => slash,
                None => {
                    separator = b':';
                    base.iter().rposition(|byte| *byte == b':').unwrap_or(0)
                }
            };
            base = base.get(..end).unwrap_or_default();
        } else {
            break;
        }
    }
    let mut url = [base, &[separator], rest].concat();
    if url.ends_with(b"/") {
        url.pop();
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_urls_resolve_as_in_git() {
        let cases: [(&str, &str, &str); 5] = [
            ("https://h/a/b.git", "../c.git", "https://h/a/c.git"),
            ("https://h/a/b.git/", "../../x/c", "https://h/x/c"),
            ("git@h:b.git", "../c.git", "git@h:c.git"),
            ("git@h:a/b.git", "./sub", "git@h:a/b.git/sub"),
            ("/srv/a", "../b/", "/srv/b"),
        ];
        for (origin, relative, expected) in cases {
            let got = resolve_url(origin.as_bytes(), relative.as_bytes());
            assert_eq!(String::from_utf8_lossy(&got), expected);
        }
    }
}
