//! The numbers of local issues that something in the home has, whether the database knows it or not.
//!
//! The database numbers local issues itself. After it was lost or replaced by an older copy, it would give a number a second
//! time, and the new issue would meet the files, the branch and the rescues of the old one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kugetsu_api::home::Home;
use kugetsu_api::regular_file;
use kugetsu_domain::naming;
use kugetsu_domain::reference::RepoRef;
use thiserror::Error;

use super::unknown::{OWNED, list};

/// Namespace of branches that kugetsu makes: `kugetsu/<number>` or `kugetsu/<number>-<title>`.
const BRANCHES: &str = "kugetsu/";
/// Namespace of rescues in a mirror: `<number>/<time>`.
const RESCUES: &str = "refs/kugetsu/rescue/";

#[derive(Debug, Error)]
#[error("could not look for used issue numbers in {}: {error}", path.display())]
pub(crate) struct UsedNumbersError {
    path: PathBuf,
    error: io::Error,
}

/// Returns the highest number of an issue of the repository that a worktree, a relay, a run, a rescue or a branch has, also in
/// quarantine; otherwise 0.
pub(crate) fn highest(home: &Home, repo: &RepoRef) -> Result<u64, UsedNumbersError> {
    let mirror = naming::mirror_directory(repo);
    let prefix = format!("{mirror}-");
    let number = |name: &str| name.strip_suffix(OWNED).unwrap_or(name).strip_prefix(&prefix)?.parse::<u64>().ok();
    let listed = |path: PathBuf| list(&path).map_err(|error| UsedNumbersError { path, error });
    let mut highest = 0;
    let mut homes = vec![home.clone()];
    homes.extend(listed(home.quarantine())?.into_iter().map(|time| Home::new(home.quarantine().join(time))));
    for home in &homes {
        for directory in [home.worktrees(), home.relays()] {
            highest = listed(directory)?.iter().filter_map(|name| number(name)).chain([highest]).max().unwrap_or(0);
        }
        for run in listed(home.runs())? {
            let directory = worktree_of(&home.runs().join(run).join("spec.json"));
            highest = highest.max(directory.and_then(|name| number(&name)).unwrap_or(0));
        }
    }
    let mirror = home.mirrors().join(mirror);
    let references = references(&mirror).map_err(|error| UsedNumbersError { path: mirror, error })?;
    Ok(references.iter().filter_map(|name| number_of(name)).chain([highest]).max().unwrap_or(0))
}

/// The worktree that a run's specification names. One that cannot be read says nothing: the worktree itself counts, too.
fn worktree_of(spec: &Path) -> Option<String> {
    let spec: serde_json::Value = serde_json::from_slice(&regular_file::read(spec).ok()?).ok()?;
    spec["work"]["issue"]["directory"].as_str().map(str::to_owned)
}

/// The number of the issue that a ref of a mirror is about.
fn number_of(reference: &str) -> Option<u64> {
    if let Some(rescue) = reference.strip_prefix(RESCUES) {
        return rescue.split('/').next()?.parse().ok();
    }
    let namespaces = ["refs/heads/", "refs/remotes/origin/", "refs/kugetsu/pushed/"];
    let branch = namespaces.iter().find_map(|namespace| reference.strip_prefix(namespace))?;
    branch.strip_prefix(BRANCHES)?.split('-').next()?.parse().ok()
}

/// Returns the names of the refs of a mirror, which may be missing. Read as files: git would fail on a damaged mirror.
pub(crate) fn references(mirror: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let packed = mirror.join("packed-refs");
    if packed.symlink_metadata().is_ok_and(|meta| !meta.is_file()) {
        return Err(io::Error::other(format!("{} is not a regular file", packed.display())));
    }
    match fs::read_to_string(packed) {
        Ok(packed) => names.extend(packed.lines().filter_map(|line| Some(line.split_once(' ')?.1.to_owned()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut left = vec!["refs".to_owned()];
    while let Some(name) = left.pop() {
        let entries = match fs::read_dir(mirror.join(&name)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let Ok(last) = entry.file_name().into_string() else { continue };
            let name = format!("{name}/{last}");
            match entry.file_type()?.is_dir() {
                true => left.push(name),
                false => names.push(name),
            }
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use kugetsu_domain::reference::{ProjectPath, ServerBase};

    use super::*;

    #[test]
    fn everything_in_the_home_counts() {
        let repo = RepoRef { base: ServerBase::local(), project: ProjectPath::new("demo").unwrap() };
        let found = |path: &str, text: Option<&str>| {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match text {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::create_dir(&path).unwrap(),
            }
            highest(&Home::new(directory.path().to_owned()), &repo).unwrap()
        };
        assert_eq!(found("worktrees/local-demo-7", None), 7);
        assert_eq!(found("gates/local-demo-7", None), 7);
        assert_eq!(found("gates/local-demo-7.owned", Some("")), 7);
        assert_eq!(found("quarantine/x/worktrees/local-demo-7", None), 7);
        let spec = r#"{"work":{"issue":{"directory":"local-demo-7"}}}"#;
        assert_eq!(found("runs/x/spec.json", Some(spec)), 7);
        assert_eq!(found("quarantine/x/runs/y/spec.json", Some(spec)), 7);
        assert_eq!(found("mirrors/local-demo/refs/kugetsu/rescue/7/20260101T000000Z", Some("")), 7);
        assert_eq!(found("mirrors/local-demo/refs/remotes/origin/kugetsu/7-fix-it", Some("")), 7);
        let packed = "# pack-refs with: peeled\n1234 refs/heads/kugetsu/7\n1234 refs/kugetsu/pushed/kugetsu/5-x\n^12\n";
        assert_eq!(found("mirrors/local-demo/packed-refs", Some(packed)), 7);
        assert_eq!(found("worktrees/local-demo-2-7", None), 0, "of the repository demo-2");
        assert_eq!(found("mirrors/local-demo/refs/heads/fix-7", Some("")), 0);
        assert_eq!(found("worktrees/x", None), 0);
    }

    #[test]
    fn special_file_as_packed_refs_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let packed = directory.path().join("packed-refs");
        nix::unistd::mkfifo(&packed, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let writer = packed.clone();
        // A reader of it does not wait.
        std::thread::spawn(move || fs::OpenOptions::new().write(true).open(writer));
        assert!(references(directory.path()).is_err());
    }
}
