//! Commits that only a damaged HEAD, a damaged ref or a file that is no valid ref names, and tags on pushed commits.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use kugetsu_git::mirror::Mirror;
use kugetsu_git::names::Oid;
use kugetsu_git::push::Lease;
use kugetsu_git::rescue;
use kugetsu_git::worktree::Worktree;

use crate::rescue::save;
use crate::support::{Fixture, write};

const AT: &str = "20261122T201500Z";

/// A commit that is checked out nowhere, made with HEAD detached.
#[track_caller]
fn detached_commit(fixture: &Fixture, worktree: &Worktree) -> Oid {
    let dir = worktree.dir();
    fixture.run(dir, ["switch", "--quiet", "--detach"]);
    write(dir, "only.txt", "only here\n");
    fixture.commit(dir, "Detached")
}

/// Expects that the commit is at risk, and that a restore gives it back below `refs/kugetsu/other`.
async fn expect_rescued(fixture: &Fixture, mirror: &Mirror, worktree: &Worktree, commit: &Oid, name: &str) {
    let at_risk = rescue::work_at_risk(mirror, worktree).await.unwrap();
    assert!(at_risk.other_branches.contains(&format!("{name}: {}", commit.short())), "{at_risk:?}");
    let saved = save(mirror, worktree, AT).await.unwrap();
    assert_eq!(saved.unsaved, Vec::<String>::new());
    let back = fixture.path("back");
    let restored = rescue::restore(mirror, &saved.name, &back).await.unwrap();
    let restored_ref = format!("refs/kugetsu/other/{commit}");
    assert_eq!(&fixture.oid(&back, &restored_ref), commit);
    assert!(
        restored.notices.contains(&format!("{name} is not restored; its commit is {restored_ref}")),
        "{:?}",
        restored.notices
    );
    fixture.run(&back, ["fsck"]);
}

#[tokio::test]
async fn commits_of_a_damaged_head_are_rescued() {
    for content in [Some(""), Some("f00"), None] {
        let fixture = Fixture::new().await;
        let (mirror, worktree, _) = fixture.ready().await;
        let commit = detached_commit(&fixture, &worktree);
        let head = worktree.git_dir().join("HEAD");
        match content {
            Some(content) => std::fs::write(&head, content).unwrap(),
            None => std::fs::remove_file(&head).unwrap(),
        }
        expect_rescued(&fixture, &mirror, &worktree, &commit, "logs/HEAD").await;
    }
}

#[tokio::test]
async fn commits_of_a_linked_worktrees_damaged_head_are_rescued() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let linked = fixture.path("linked");
    fixture.run(worktree.dir(), ["worktree", "add", "--quiet", "--detach", linked.to_str().unwrap()]);
    write(&linked, "only.txt", "only here\n");
    let commit = fixture.commit(&linked, "Detached");
    std::fs::remove_dir_all(&linked).unwrap();
    std::fs::write(worktree.git_dir().join("worktrees/linked/HEAD"), "").unwrap();
    expect_rescued(&fixture, &mirror, &worktree, &commit, "worktrees/linked/logs/HEAD").await;
}

#[tokio::test]
async fn commits_of_an_emptied_branch_are_rescued() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let dir = worktree.dir();
    fixture.run(dir, ["switch", "--quiet", "-c", "aside"]);
    write(dir, "only.txt", "only here\n");
    let commit = fixture.commit(dir, "Aside");
    fixture.run(dir, ["switch", "--quiet", "kugetsu/7-fix"]);
    std::fs::remove_file(worktree.git_dir().join("logs/HEAD")).unwrap();
    // A crash of the machine empties files that were just written.
    std::fs::write(worktree.git_dir().join("refs/heads/aside"), "").unwrap();
    expect_rescued(&fixture, &mirror, &worktree, &commit, "logs/refs/heads/aside").await;
}

#[tokio::test]
async fn commits_of_invalid_refs_are_found_and_rescued() {
    for (name, shown) in
        [("heads/a\x01b", "refs/heads/a\\u{1}b"), ("heads/a\nb", "refs/heads/a\\nb"), ("a b", "refs/a b")]
    {
        for in_relay in [false, true] {
            let fixture = Fixture::new().await;
            let (mirror, worktree, _) = fixture.ready().await;
            let base = mirror.resolve_base(None).await.unwrap().commit;
            let dir = worktree.dir();
            let commit = detached_commit(&fixture, &worktree);
            fixture.run(dir, ["switch", "--quiet", "kugetsu/7-fix"]);
            std::fs::remove_dir_all(worktree.git_dir().join("logs")).unwrap();
            let git_dir = if in_relay { worktree.relay().to_owned() } else { worktree.git_dir() };
            let file = git_dir.join("refs").join(OsStr::from_bytes(name.as_bytes()));
            std::fs::write(file, format!("{commit}\n")).unwrap();
            let shown = if in_relay { format!("relay/{shown}") } else { shown.to_owned() };
            let status = worktree.status(base.as_ref()).await.unwrap();
            let left: Vec<String> = status.left_behind.iter().map(ToString::to_string).collect();
            assert_eq!(left, [shown.as_str()]);
            expect_rescued(&fixture, &mirror, &worktree, &commit, &shown).await;
        }
    }
}

#[tokio::test]
async fn notes_are_named_at_the_end_of_a_run_and_at_its_removal() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let base = mirror.resolve_base(None).await.unwrap().commit;
    let dir = worktree.dir();
    fixture.run(dir, ["notes", "add", "-m", "a note", "HEAD"]);
    let left = || async {
        let status = worktree.status(base.as_ref()).await.unwrap();
        status.left_behind.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(left().await, ["refs/notes/commits"]);
    let at_risk = rescue::work_at_risk(&mirror, &worktree).await.unwrap();
    assert_eq!(at_risk.other_branches, ["notes/commits"]);
    fixture.run(dir, ["push", "--quiet", "origin", "refs/notes/commits"]);
    fixture.run(dir, ["update-ref", "-d", "refs/notes/commits"]);
    assert_eq!(left().await, ["refs/notes/commits in the relay repository only"]);
}

#[tokio::test]
async fn refs_that_an_agent_makes_for_itself_are_no_work() {
    let mut fixture = Fixture::new().await;
    fixture.git = fixture.git.with_bookkeeping(&["refs/notes/ai"]);
    let (mirror, worktree, _) = fixture.ready().await;
    let base = mirror.resolve_base(None).await.unwrap().commit;
    for (name, expected) in [("ai", None), ("ai/more", Some("notes/ai/more"))] {
        // Git has no ref below another one.
        fixture.run(worktree.dir(), ["update-ref", "-d", "refs/notes/ai"]);
        fixture.run(worktree.dir(), ["notes", "--ref", name, "add", "-m", "a note", "HEAD"]);
        let status = worktree.status(base.as_ref()).await.unwrap();
        let left: Vec<String> = status.left_behind.iter().map(|left| left.to_string().replace("refs/", "")).collect();
        assert_eq!(left.first().map(String::as_str), expected);
        let at_risk = rescue::work_at_risk(&mirror, &worktree).await.unwrap();
        assert_eq!(at_risk.other_branches.first().map(String::as_str), expected);
    }
}

#[tokio::test]
async fn restore_gives_back_tags_on_pushed_commits() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, server) = fixture.ready().await;
    fixture.run(&server, ["tag", "of-server"]);
    mirror.update(&mut crate::support::quiet).await.unwrap();
    let dir = worktree.dir();
    write(dir, "x", "1");
    let pushed = fixture.commit(dir, "Pushed");
    mirror.push(&worktree, &pushed, Lease::Expect(None)).await.unwrap();
    fixture.run(dir, ["tag", "light"]);
    fixture.run(dir, ["tag", "-a", "-m", "annotated", "heavy"]);
    write(dir, "x", "2");
    let saved = save(&mirror, &worktree, AT).await.unwrap();
    worktree.remove().await.unwrap();
    let back = fixture.path("back");
    rescue::restore(&mirror, &saved.name, &back).await.unwrap();
    assert_eq!(fixture.oid(&back, "refs/tags/light"), pushed);
    assert_eq!(fixture.run(&back, ["tag", "--list"]), "heavy\nlight\nof-server");
}
