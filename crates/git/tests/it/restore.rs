//! Bringing a rescue back.

use kugetsu_git::rescue::{self, RescueError};

use crate::rescue::save;
use crate::support::{Fixture, odd_names, read, write};

#[tokio::test]
async fn a_restored_worktree_is_as_it_was_and_stands_alone() {
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
    for name in odd_names() {
        write(&dir, &name, name.as_os_str().as_encoded_bytes());
    }
    let look = |dir: &std::path::Path| {
        let say = |args: &[&str]| fixture.run(dir, args);
        let refs = say(&["for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/remotes/origin"]);
        [say(&["status", "--porcelain", "--branch", "-uall"]), refs, say(&["diff", "--cached"]), say(&["diff"])]
    };
    let before = look(&dir);
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    worktree.remove().await.unwrap();

    let back = fixture.path("deep/back");
    let restored = rescue::restore(&mirror, "7/1", &back).await.unwrap();
    assert_eq!((&restored.dir, &restored.name, restored.notices.len()), (&back, &saved.name, 0));
    std::fs::rename(mirror.dir(), fixture.path("mirror-is-gone")).unwrap();
    let after = look(&back);
    assert_eq!(after[0].lines().skip(1).collect::<Vec<_>>(), before[0].lines().skip(1).collect::<Vec<_>>());
    assert!(after[0].starts_with("## kugetsu/7-fix"), "{}", after[0]);
    let heads =
        |text: &str| text.lines().filter(|line| !line.ends_with("/HEAD")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(heads(&after[1]), heads(&before[1]));
    assert_eq!(after[2..], before[2..]);
    for name in odd_names() {
        assert_eq!(read(&back, &name), name.as_os_str().as_encoded_bytes());
    }
    fixture.run(&back, ["fsck"]);
    assert_eq!(fixture.run(&back, ["remote", "get-url", "origin"]), format!("file://{}", server.display()));
    fixture.run(&back, ["fetch", "--quiet", "origin"]);
    fixture.commit(&back, "Goes on");
}

#[tokio::test]
async fn a_detached_head_comes_back_detached() {
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
async fn files_that_are_there_are_not_overwritten() {
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
