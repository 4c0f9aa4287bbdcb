//! Worktrees in a home that was moved, renamed or copied.

use std::path::Path;
use std::process::Command;

use kugetsu_git::mirror::Mirror;
use kugetsu_git::worktree::{Worktree, WorktreeError, WorktreeSpec};

use crate::support::{Fixture, branch, quiet, read, url, write};

async fn mirror(fixture: &Fixture, home: &str, server: &Path) -> Mirror {
    let dir = fixture.path(home).join("mirrors/m");
    Mirror::open_or_create(&fixture.git, &dir, &url(server), &mut quiet).await.unwrap()
}

async fn open(fixture: &Fixture, home: &str, server: &Path) -> Result<Worktree, WorktreeError> {
    let (mirror, home) = (mirror(fixture, home, server).await, fixture.path(home));
    Worktree::open(&mirror, &home.join("worktrees/w-7"), &home.join("gates/w-7"), &branch()).await
}

/// A server, and a home with a worktree that has an unpushed commit and a changed file.
async fn ready(fixture: &Fixture, home: &str) -> std::path::PathBuf {
    let server = fixture.server(&fixture.repository("repository"));
    let mirror = mirror(fixture, home, &server).await;
    let home = fixture.path(home);
    let base = mirror.resolve_base(None).await.unwrap();
    let (dir, relay) = (home.join("worktrees/w-7"), home.join("gates/w-7"));
    let spec = WorktreeSpec { dir: dir.clone(), relay, branch: branch(), base };
    Worktree::create(&mirror, spec, &mut quiet).await.unwrap();
    write(&dir, "new.txt", "new\n");
    fixture.commit(&dir, "Work");
    write(&dir, "README.md", "changed\n");
    server
}

#[tokio::test]
async fn worktree_of_a_moved_home_works() {
    let fixture = Fixture::new().await;
    let server = ready(&fixture, "old").await;
    // Git would read an unquoted `#` in its config as the beginning of a comment.
    std::fs::create_dir(fixture.path("else where")).unwrap();
    std::fs::rename(fixture.path("old"), fixture.path("else where/new #1")).unwrap();
    // The agent has added an address, and another remote.
    let dir = fixture.path("else where/new #1/worktrees/w-7");
    let relay = fixture.path("old/gates/w-7");
    fixture.run(&dir, ["config", "--add", "remote.origin.url", "https://example.invalid/x"]);
    fixture.run(&dir, ["config", "remote.mine.url", relay.to_str().unwrap()]);

    let worktree = open(&fixture, "else where/new #1", &server).await.unwrap();
    assert_eq!(worktree.damage().await.unwrap(), None);
    let relay = fixture.path("else where/new #1/gates/w-7");
    let urls = fixture.run(&dir, ["config", "--get-all", "remote.origin.url"]);
    assert_eq!(urls.lines().collect::<Vec<_>>(), [relay.to_str().unwrap(), "https://example.invalid/x"]);
    assert_eq!(fixture.run(&dir, ["config", "remote.mine.url"]), relay.to_str().unwrap());
    assert!(fixture.run(&dir, ["config", "remote.origin.lfspushurl"]).ends_with("/else%20where/new%20%231/gates/w-7"));
    fixture.run(&dir, ["config", "--unset", "remote.origin.url", "example"]);
    assert_eq!(fixture.run(&dir, ["status", "--porcelain"]), " M README.md");
    fixture.run(&dir, ["push", "--quiet", "origin", "HEAD"]);
    fixture.run(&relay, ["fsck", "--connectivity-only"]);
    assert_eq!(read(&fixture.path("else where/new #1/gates"), "w-7.owned"), dir.to_str().unwrap().as_bytes());
}

#[tokio::test]
async fn copy_of_a_home_does_not_use_the_original() {
    let fixture = Fixture::new().await;
    let server = ready(&fixture, "old").await;
    let copied = Command::new("cp").arg("-a").arg(fixture.path("old")).arg(fixture.path("new")).status().unwrap();
    assert!(copied.success());
    let worktree = open(&fixture, "new", &server).await.unwrap();
    for text in [
        read(worktree.dir(), ".git/config"),
        read(worktree.dir(), ".git/objects/info/alternates"),
        read(worktree.relay(), "objects/info/alternates"),
    ] {
        let old = fixture.path("old").display().to_string();
        assert!(!String::from_utf8_lossy(&text).contains(&format!("{old}/")), "{}", String::from_utf8_lossy(&text));
    }
    worktree.remove().await.unwrap();
    let original = fixture.path("old/worktrees/w-7");
    assert_eq!(fixture.run(&original, ["status", "--porcelain"]), " M README.md");
    open(&fixture, "old", &server).await.unwrap();
}

#[tokio::test]
async fn repair_follows_no_link_of_an_agent() {
    let fixture = Fixture::new().await;
    let server = ready(&fixture, "old").await;
    let dir = fixture.path("old/worktrees/w-7");
    let outside = fixture.path("outside");
    std::fs::rename(dir.join(".git"), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, dir.join(".git")).unwrap();
    let before = [read(&outside, "config"), read(&outside, "objects/info/alternates")];
    std::fs::rename(fixture.path("old"), fixture.path("new")).unwrap();
    open(&fixture, "new", &server).await.unwrap();
    assert_eq!(before, [read(&outside, "config"), read(&outside, "objects/info/alternates")]);
}

#[tokio::test]
async fn worktree_of_another_name_is_not_taken_for_it() {
    let fixture = Fixture::new().await;
    let server = ready(&fixture, "old").await;
    let home = fixture.path("old");
    std::fs::rename(home.join("worktrees/w-7"), home.join("worktrees/w-8")).unwrap();
    let mirror = mirror(&fixture, "old", &server).await;
    let error = Worktree::open(&mirror, &home.join("worktrees/w-8"), &home.join("gates/w-7"), &branch()).await;
    assert!(matches!(error.unwrap_err(), WorktreeError::NotOurs(_)));
}
