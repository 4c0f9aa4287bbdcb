//! Restoring rescues.

use kugetsu_git::rescue::{self, RescueError};

use crate::rescue::save;
use crate::support::{Fixture, read, unusual_names, write};

#[tokio::test]
async fn restored_worktree_is_identical_and_independent() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, server) = fixture.ready().await;
    let dir = worktree.dir().to_owned();
    write(&dir, "committed", "1");
    fixture.commit(&dir, "Mine");
    fixture.run(&dir, ["branch", "other"]);
    write(&dir, "README.md", "staged\n");
    write(&dir, "new-staged", "1");
    fixture.run(&dir, ["add", "--all"]);
    write(&dir, "README.md", "unstaged\n");
    std::fs::remove_file(dir.join("src/a.txt")).unwrap();
    write(&dir, "src/a.txt/now-a-directory", "1");
    for name in unusual_names() {
        write(&dir, &name, name.as_os_str().as_encoded_bytes());
    }
    let state = |dir: &std::path::Path| {
        let git = |args: &[&str]| fixture.run(dir, args);
        let refs = git(&["for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/remotes/origin"]);
        [git(&["status", "--porcelain", "--branch", "-uall"]), refs, git(&["diff", "--cached"]), git(&["diff"])]
    };
    let before = state(&dir);
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    worktree.remove().await.unwrap();

    let back = fixture.path("deep/back");
    let restored = rescue::restore(&mirror, "7/1", &back).await.unwrap();
    assert_eq!((&restored.dir, &restored.name, restored.notices.len()), (&back, &saved.name, 0));
    std::fs::rename(mirror.dir(), fixture.path("moved-mirror")).unwrap();
    let after = state(&back);
    assert_eq!(after[0].lines().skip(1).collect::<Vec<_>>(), before[0].lines().skip(1).collect::<Vec<_>>());
    assert!(after[0].starts_with("## kugetsu/7-fix"), "{}", after[0]);
    let heads =
        |text: &str| text.lines().filter(|line| !line.ends_with("/HEAD")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(heads(&after[1]), heads(&before[1]));
    assert_eq!(after[2..], before[2..]);
    for name in unusual_names() {
        assert_eq!(read(&back, &name), name.as_os_str().as_encoded_bytes());
    }
    fixture.run(&back, ["fsck"]);
    assert_eq!(fixture.run(&back, ["remote", "get-url", "origin"]), format!("file://{}", server.display()));
    fixture.run(&back, ["fetch", "--quiet", "origin"]);
    fixture.commit(&back, "More");
}

#[tokio::test]
async fn detached_head_is_restored() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let dir = worktree.dir();
    fixture.run(dir, ["switch", "--quiet", "--detach"]);
    write(dir, "x", "1");
    let head = fixture.commit(dir, "Detached");
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    let back = fixture.path("back");
    rescue::restore(&mirror, &saved.name, &back).await.unwrap();
    assert_eq!(fixture.oid(&back, "HEAD"), head);
    assert_eq!(fixture.run(&back, ["branch", "--show-current"]), "");
    assert_eq!(fixture.run(&back, ["status", "--porcelain"]), "");
}

#[tokio::test]
async fn restore_never_overwrites_files() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    write(worktree.dir(), "x", "1");
    save(&mirror, &worktree, "1").await.unwrap();
    let back = fixture.path("back");
    write(&back, "mine", "1");
    let error = rescue::restore(&mirror, "7/1", &back).await.unwrap_err();
    assert!(matches!(error, RescueError::NotEmpty(_)), "{error}");
    std::fs::remove_file(back.join("mine")).unwrap();
    rescue::restore(&mirror, "7/1", &back).await.unwrap();
    assert_eq!(read(&back, "x"), b"1");
}
