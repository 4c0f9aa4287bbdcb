//! Reads mirrors: which repository one is of, for which issues it has rescues, and what was pushed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use kugetsu_api::home::Home;
use kugetsu_api::regular_file;
use kugetsu_domain::naming;
use kugetsu_domain::reference::{ProjectPath, RepoRef, ServerBase};
use kugetsu_store::view::Repo;

use crate::home::{unknown, used_numbers};

const RESCUES: &str = "refs/kugetsu/rescue/";
/// The latest push of each branch.
const PUSHED: &str = "refs/kugetsu/pushed/";

/// A mirror in the home.
#[derive(Debug)]
pub(super) struct FoundMirror {
    pub(super) name: String,
    path: PathBuf,
    /// None if that is not known: a mirror does not record its source.
    pub(super) repo: Option<Repo>,
    /// The newest rescue of each issue, by its ref.
    pub(super) rescues: BTreeMap<u64, String>,
    /// The branches that kugetsu has pushed.
    pub(super) pushed: BTreeSet<String>,
}

impl FoundMirror {
    pub(super) fn last_push(&self, branch: &str) -> io::Result<Option<String>> {
        last_push(&self.path, branch)
    }
}

/// Returns the commit that kugetsu last pushed to a branch, from the files of the mirror at `path`: git would fail on a damaged one.
pub(crate) fn last_push(path: &Path, branch: &str) -> io::Result<Option<String>> {
    let name = format!("{PUSHED}{branch}");
    let read = |path: PathBuf| match regular_file::read_to_string(&path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => Ok(None),
        read => read.map(Some),
    };
    let found = match read(path.join(&name))? {
        Some(loose) => Some(loose.trim().to_owned()),
        None => read(path.join("packed-refs"))?.and_then(|packed| {
            let mut refs = packed.lines().filter_map(|line| line.split_once(' '));
            refs.find(|(_, packed)| *packed == name).map(|(commit, _)| commit.to_owned())
        }),
    };
    Ok(found.filter(|commit| commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit())))
}

/// Returns the mirrors of a home. `known` are repositories that something else names.
pub(super) fn read_all(home: &Home, known: &[Repo]) -> std::io::Result<Vec<FoundMirror>> {
    let mut mirrors = Vec::new();
    for name in unknown::list(&home.mirrors())? {
        let path = home.mirrors().join(&name);
        if !path.is_dir() {
            continue;
        }
        let of = known.iter().find(|repo| naming::mirror_directory(&repo.name) == name).cloned();
        let mut rescues = BTreeMap::<u64, String>::new();
        let mut pushed = BTreeSet::new();
        for reference in used_numbers::references(&path)? {
            pushed.extend(reference.strip_prefix(PUSHED).map(str::to_owned));
            let number = reference.strip_prefix(RESCUES).and_then(|rest| rest.split('/').next()?.parse().ok());
            if let Some(number) = number {
                let newest = rescues.entry(number).or_default();
                // Names sort by time.
                if reference > *newest {
                    *newest = reference;
                }
            }
        }
        mirrors.push(FoundMirror { repo: of.or_else(|| repo_of(&name)), name, path, rescues, pushed });
    }
    Ok(mirrors)
}

/// Returns the repository of a mirror whose name alone shows it: `<host>-<owner>-<repo>` without a hash.
fn repo_of(mirror: &str) -> Option<Repo> {
    let (host, project) = mirror.split_once('-')?;
    let base = format!("https://{host}");
    let name = RepoRef {
        base: ServerBase::new(base.clone()).ok()?,
        project: ProjectPath::new(project.replace('-', "/")).ok()?,
    };
    let source = format!("{base}/{}", name.project);
    (naming::mirror_directory(&name) == mirror).then_some(Repo { name, kind: None, source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn last_push_is_read_from_loose_and_packed_refs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let last_push = |branch| last_push(path, branch).unwrap();
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        assert_eq!(last_push("kugetsu/1-x"), None);
        let packed = format!("# pack-refs with: peeled\n{two} {PUSHED}kugetsu/1-x-y\n{one} {PUSHED}kugetsu/1-x\n");
        fs::write(path.join("packed-refs"), packed).unwrap();
        assert_eq!(last_push("kugetsu/1-x"), Some(one));
        fs::create_dir_all(path.join(PUSHED).join("kugetsu")).unwrap();
        fs::write(path.join(PUSHED).join("kugetsu/1-x"), format!("{two}\n")).unwrap();
        assert_eq!(last_push("kugetsu/1-x"), Some(two));
        fs::write(path.join(PUSHED).join("kugetsu/1-x"), "").unwrap();
        assert_eq!(last_push("kugetsu/1-x"), None, "a power loss emptied it");
    }

    #[test]
    fn a_plain_name_shows_the_repository() {
        assert_eq!(repo_of("github.com-acme-api").unwrap().source, "https://github.com/acme/api");
        for unknown in ["local-demo", "github.com-acme-api_12345678", "github.com-my-org-api", "nonsense"] {
            assert!(repo_of(unknown).is_none(), "{unknown}");
        }
    }
}
