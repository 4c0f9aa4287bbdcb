//! The commits of nested repositories. They are imported one repository at a time, so that a damaged one does not keep the
//! others from being saved.

use std::path::{Path, PathBuf};

use crate::command::runner::GitError;
use crate::files::access::is_real_dir;
use crate::lfs::objects::copy_objects;
use crate::mirror::repo::Mirror;
use crate::mirror::scratch::TemporaryRefs;
use crate::names::{Oid, is_ref_name};
use crate::printable::printable;
use crate::rescue::error::RescueError;
use crate::rescue::note::{NestedHead, Note};
use crate::untrusted::nested_repos::{NestedHeads, NestedRepo, find_all_nested_repos};

/// Maximum number of heads saved. No worktree has this many.
const HEADS_MAX: usize = 1000;
/// The refs in a restored repository: `refs/kugetsu/inner/<path>/<ref>`.
const RESTORED_PREFIX: &[u8] = b"refs/kugetsu/inner/";

/// The paths of linked worktrees, whose files are saved like commits of nested repositories.
pub(super) const LINKED: &[u8] = b".git/worktrees/";

/// Commits that were imported into the mirror.
pub(super) struct Imported {
    pub(super) commits: Vec<Oid>,
    /// They keep the commits until a rescue names them.
    pub(super) refs: TemporaryRefs,
    /// Linked worktrees with uncommitted files, saved or not.
    pub(super) linked: Vec<PathBuf>,
}

/// Imports the commits that nested repositories have and their servers do not. Adds them to the note, and what cannot be
/// imported to its list of unsaved work.
pub(super) async fn import_nested(mirror: &Mirror, files: &Path, note: &mut Note) -> Result<Imported, RescueError> {
    let mut imported = Imported { commits: Vec::new(), refs: TemporaryRefs::new(mirror)?, linked: Vec::new() };
    if !is_real_dir(files) {
        return Ok(imported);
    }
    let found = find_all_nested_repos(files).await?;
    note.unsaved.extend(found.unreadable);
    for nested in &found.repositories {
        import_from(mirror, nested, note, &mut imported).await?;
    }
    Ok(imported)
}

pub(super) async fn import_from(
    mirror: &Mirror,
    nested: &NestedRepo,
    note: &mut Note,
    imported: &mut Imported,
) -> Result<(), RescueError> {
    let (heads, quarantine) = NestedHeads::open(mirror, &nested.git_dir).await?;
    let path = printable(&nested.path);
    note.unsaved.extend(heads.unreadable.iter().map(|why| format!("commits of the repository {path} ({why})")));
    for (name, oid) in heads.unpushed_heads(&quarantine, &[]).await? {
        let Some(commit) = quarantine.peel_to_commit(oid).await? else {
            note.notices.push(format!("{} in {path} names a commit that is damaged or not there", printable(name)));
            continue;
        };
        let failure = match imported.refs.len() < HEADS_MAX {
            true => match mirror.import(&quarantine, &commit, &imported.refs.add()).await {
                Ok(()) => None,
                Err(GitError::Failed { stderr, .. }) => Some(stderr.as_str().replace('\n', "; ")),
                Err(GitError::UnexpectedOutput { output, .. }) => Some(output),
                Err(error) => return Err(error.into()),
            },
            false => Some("there are too many".to_owned()),
        };
        if let Some(reason) = failure {
            note.unsaved.push(format!(
                "commits of {} in the repository {path} (push them to its server, or move that repository out of \
                 the worktree: {reason})",
                printable(name)
            ));
            continue;
        }
        copy_objects(&nested.git_dir, mirror.dir(), None).await?;
        note.nested.push(NestedHead { path: nested.path.clone(), name: name.clone(), commit: commit.clone() });
        imported.commits.push(commit);
    }
    Ok(())
}

/// The ref that a restored repository has for a head of a nested repository.
pub(super) fn restored_ref(head: &NestedHead) -> Vec<u8> {
    let name = head.name.strip_prefix(b"refs/").unwrap_or(&head.name);
    [&restored_prefix(&head.path), b"/".as_slice(), name].concat()
}

fn restored_prefix(path: &[u8]) -> Vec<u8> {
    let plain = [RESTORED_PREFIX, path].concat();
    if is_ref_name(&plain) {
        return plain;
    }
    let escaped = path.iter().flat_map(|byte| match byte {
        b'/' | b'-' | b'_' => vec![*byte],
        byte if byte.is_ascii_alphanumeric() => vec![*byte],
        byte => format!("%{byte:02x}").into_bytes(),
    });
    RESTORED_PREFIX.iter().copied().chain(escaped).collect()
}

/// Notices about the restored commits, one for each nested repository.
pub(super) fn notices(heads: &[NestedHead]) -> Vec<String> {
    let nested = heads.iter().map(|head| head.path.as_slice()).filter(|path| !path.starts_with(LINKED));
    let mut paths: Vec<&[u8]> = nested.collect();
    paths.dedup();
    let notice = |path: &[u8]| {
        format!(
            "the repository {} had commits that its server does not have; they are below {} here",
            printable(path),
            printable(&restored_prefix(path))
        )
    };
    paths.into_iter().map(notice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_makes_a_valid_ref() {
        let head = |path: &[u8], name: &[u8]| NestedHead {
            path: path.to_vec(),
            name: name.to_vec(),
            commit: "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391".parse().unwrap(),
        };
        assert_eq!(restored_ref(&head(b"parts/a.b", b"refs/heads/x")), b"refs/kugetsu/inner/parts/a.b/heads/x");
        assert_eq!(restored_ref(&head(b"parts/a", b"HEAD")), b"refs/kugetsu/inner/parts/a/HEAD");
        for path in [b".git/modules/a b".as_slice(), b"x..y/\xff\n.lock", b"a.lock", b"~^:?*[\\"] {
            let name = restored_ref(&head(path, b"refs/stash"));
            assert!(is_ref_name(&name), "{}", String::from_utf8_lossy(&name));
        }
    }
}
