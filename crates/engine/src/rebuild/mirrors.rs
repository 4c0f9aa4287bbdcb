//! Reads mirrors: which repository one is of, for which issues it has rescues, and what was pushed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use kugetsu_api::home::Home;
use kugetsu_domain::naming;
use kugetsu_domain::reference::{ProjectPath, RepoRef, ServerBase};
use kugetsu_store::view::Repo;

use crate::home::last_push::{PUSHED, last_push};
use crate::home::{unknown, used_numbers};

const RESCUES: &str = "refs/kugetsu/rescue/";

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
    use super::*;

    #[test]
    fn a_plain_name_shows_the_repository() {
        assert_eq!(repo_of("github.com-acme-api").unwrap().source, "https://github.com/acme/api");
        for unknown in ["local-demo", "github.com-acme-api_12345678", "github.com-my-org-api", "nonsense"] {
            assert!(repo_of(unknown).is_none(), "{unknown}");
        }
    }
}
