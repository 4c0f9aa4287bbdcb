//! Removing worktrees.

use std::os::unix::fs::{PermissionsExt, symlink};

use kugetsu_git::worktree::Worktree;

use crate::support::{Fixture, branch, read, write};

#[tokio::test]
async fn worktree_in_any_state_can_be_removed() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    write(&fixture.path("outside"), "precious", "x");
    symlink(fixture.path("outside"), worktree.dir().join("link")).unwrap();
    write(worktree.dir(), "locked/deep/file", "x");
    for dir in ["locked/deep", "locked"] {
        std::fs::set_permissions(worktree.dir().join(dir), std::fs::Permissions::from_mode(0o000)).unwrap();
    }
    worktree.remove().await.unwrap();
    assert_eq!(read(&fixture.path("outside"), "precious"), b"x");
    for empty in ["worktrees", "relays"] {
        assert_eq!(std::fs::read_dir(fixture.path(empty)).unwrap().count(), 0, "{empty}");
    }
    worktree.remove().await.unwrap();
    assert!(Worktree::remains(&mirror, &fixture.dir(), &fixture.relay(), &branch()).await.unwrap().is_none());

    // Without a git directory, without a relay, and with nothing but the relay.
    for gone in [
        vec![fixture.dir().join(".git")],
        vec![fixture.relay()],
        vec![fixture.dir()],
        vec![fixture.dir(), fixture.relay()],
    ] {
        let worktree = fixture.create(&mirror).await.worktree;
        for gone in &gone {
            std::fs::remove_dir_all(gone).unwrap();
        }
        worktree.remove().await.unwrap();
        assert!(!fixture.dir().exists() && !fixture.relay().exists(), "{gone:?}");
    }
}
