//! The commits of repositories inside a worktree: taken into the mirror one repository at a time, so that one which is
//! damaged stands in nobody else's way.

use std::path::Path;

use crate::command::runner::GitError;
use crate::files::access::unique;
use crate::lfs::objects::take_contents;
use crate::mirror::repo::Mirror;
use crate::names::{Oid, is_ref_name};
use crate::rescue::error::RescueError;
use crate::rescue::note::{NestedHead, Note};
use crate::shown::shown;
use crate::untrusted::changes::Changes;
use crate::untrusted::nested_repos::{NestedHeads, NestedRepo, find_nested_repos};
use crate::untrusted::quarantine::Quarantine;

/// More heads of repositories inside than this are not kept; no worktree has them.
const HEADS_MAX: usize = 1000;
/// Where restored repositories have them: `refs/kugetsu/inner/<place>/<ref>`.
const NESTED: &[u8] = b"refs/kugetsu/inner/";

/// What was taken into the mirror. Its names there go with [`forget`](Self::forget).
#[derive(Default)]
pub(super) struct Taken {
    pub(super) commits: Vec<Oid>,
    names: Vec<String>,
}

/// Takes the commits that repositories inside have and their servers do not. What was taken is noted, and what could not
/// be taken is noted as not saved.
pub(super) async fn take(
    mirror: &Mirror,
    files: &Path,
    changes: &Changes,
    note: &mut Note,
) -> Result<Taken, RescueError> {
    let found = find_nested_repos(files, &changes.nested).await?;
    note.unsaved.extend(found.unread);
    let mut taken = Taken::default();
    for nested in &found.repositories {
        take_from(mirror, nested, note, &mut taken).await?;
    }
    Ok(taken)
}

async fn take_from(
    mirror: &Mirror,
    nested: &NestedRepo,
    note: &mut Note,
    taken: &mut Taken,
) -> Result<(), RescueError> {
    let own = NestedHeads::read(&nested.git_dir);
    let quarantine = Quarantine::open_separate(mirror, &nested.git_dir, own.any_commit()).await?;
    let place = shown(&nested.place);
    if !quarantine.unreadable().is_empty() {
        note.unsaved.push(format!("commits of the repository {place} (its objects cannot all be read)"));
    }
    for (name, oid) in own.unpushed_heads(&quarantine, &[]).await? {
        let Some(commit) = quarantine.peel_to_commit(oid).await? else {
            note.notices.push(format!("{} in {place} names a commit that is damaged or not there", shown(name)));
            continue;
        };
        let outgoing = format!("refs/kugetsu/outgoing/{}", unique());
        let why = match taken.names.len() < HEADS_MAX {
            true => match mirror.import(&quarantine, &commit, &outgoing).await {
                Ok(()) => None,
                Err(GitError::Failed { stderr, .. }) => Some(stderr.as_str().replace('\n', "; ")),
                Err(GitError::UnexpectedOutput { output, .. }) => Some(output),
                Err(error) => return Err(error.into()),
            },
            false => Some("there are too many".to_owned()),
        };
        if let Some(why) = why {
            note.unsaved.push(format!(
                "commits of {} in the repository {place} (push them to its server, or copy that repository to another \
                 place and remove it here: {why})",
                shown(name)
            ));
            continue;
        }
        take_contents(&nested.git_dir, mirror.dir()).await?;
        note.nested.push(NestedHead { place: nested.place.clone(), name: name.clone(), commit: commit.clone() });
        taken.commits.push(commit);
        taken.names.push(outgoing);
    }
    Ok(())
}

impl Taken {
    /// Takes the names away that kept the commits in the mirror until a rescue names them.
    pub(super) async fn forget(self, mirror: &Mirror) -> Result<(), GitError> {
        if self.names.is_empty() {
            return Ok(());
        }
        let lines: String = self.names.iter().map(|name| format!("delete {name}\n")).collect();
        let command = mirror.command("update-ref", "forget the names of what was taken").arg("--stdin");
        command.stdin(lines).run().await.map(drop)
    }
}

/// The ref that a restored repository has for a head of a repository inside.
pub(super) fn restored_ref(head: &NestedHead) -> Vec<u8> {
    let name = head.name.strip_prefix(b"refs/").unwrap_or(&head.name);
    [&restored_prefix(&head.place), b"/".as_slice(), name].concat()
}

fn restored_prefix(place: &[u8]) -> Vec<u8> {
    let plain = [NESTED, place].concat();
    if is_ref_name(&plain) {
        return plain;
    }
    let escaped = place.iter().flat_map(|byte| match byte {
        b'/' | b'-' | b'_' => vec![*byte],
        byte if byte.is_ascii_alphanumeric() => vec![*byte],
        byte => format!("%{byte:02x}").into_bytes(),
    });
    NESTED.iter().copied().chain(escaped).collect()
}

/// What to tell of the commits of repositories inside, once they are restored.
pub(super) fn notices(heads: &[NestedHead]) -> Vec<String> {
    let mut places: Vec<&[u8]> = heads.iter().map(|head| head.place.as_slice()).collect();
    places.dedup();
    let one = |place: &[u8]| {
        format!(
            "the repository {} had commits that its server does not have; they are here below {}",
            shown(place),
            shown(&restored_prefix(place))
        )
    };
    places.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_makes_a_ref_that_git_takes() {
        let head = |place: &[u8], name: &[u8]| NestedHead {
            place: place.to_vec(),
            name: name.to_vec(),
            commit: "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391".parse().unwrap(),
        };
        assert_eq!(restored_ref(&head(b"parts/a.b", b"refs/heads/x")), b"refs/kugetsu/inner/parts/a.b/heads/x");
        assert_eq!(restored_ref(&head(b"parts/a", b"HEAD")), b"refs/kugetsu/inner/parts/a/HEAD");
        for place in [b".git/modules/a b".as_slice(), b"x..y/\xff\n.lock", b"a.lock", b"~^:?*[\\"] {
            let name = restored_ref(&head(place, b"refs/stash"));
            assert!(is_ref_name(&name), "{}", String::from_utf8_lossy(&name));
        }
    }
}
