//! Taking worktrees away.

use std::os::unix::fs::{PermissionsExt, symlink};

use kugetsu_git::worktree::Worktree;

use crate::support::{Place, branch, read, write};

#[tokio::test]
async fn a_worktree_goes_whatever_state_it_is_in() {
    let place = Place::new().await;
    let (mirror, worktree, _) = place.ready().await;
    write(&place.path("outside"), "precious", "x");
    symlink(place.path("outside"), worktree.dir().join("link")).unwrap();
    write(worktree.dir(), "locked/deep/file", "x");
    for dir in ["locked/deep", "locked"] {
        std::fs::set_permissions(worktree.dir().join(dir), std::fs::Permissions::from_mode(0o000)).unwrap();
    }
    worktree.remove().await.unwrap();
    assert_eq!(read(&place.path("outside"), "precious"), b"x");
    for empty in ["worktrees", "relays"] {
        assert_eq!(std::fs::read_dir(place.path(empty)).unwrap().count(), 0, "{empty}");
    }
    worktree.remove().await.unwrap();
    assert!(Worktree::remains(&mirror, &place.dir(), &place.relay(), &branch()).await.unwrap().is_none());

    // Half gone: no git directory, or no relay, or only the relay.
    for gone in
        [vec![place.dir().join(".git")], vec![place.relay()], vec![place.dir()], vec![place.dir(), place.relay()]]
    {
        let worktree = place.create(&mirror).await.worktree;
        for gone in &gone {
            std::fs::remove_dir_all(gone).unwrap();
        }
        worktree.remove().await.unwrap();
        assert!(!place.dir().exists() && !place.relay().exists(), "{gone:?}");
    }
}
