//! The status of worktrees.

use kugetsu_git::push::Lease;
use kugetsu_git::worktree::WorktreeStatus;

use crate::support::{Fixture, unusual_names, write};

fn left(status: &WorktreeStatus) -> Vec<String> {
    status.left_behind.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn best_head_is_the_branch_then_head_then_the_pushed_commit() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let base = mirror.resolve_base(None).await.unwrap().commit;
    let dir = worktree.dir();
    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!((status.commits, status.uncommitted_total), (0, 0));
    assert_eq!(
        (&status.best_head, &status.head, &status.branch_head, &status.relay_head),
        (&base, &base, &base, &None)
    );
    assert_eq!(status.current_branch.as_deref(), Some("kugetsu/7-fix"));

    // The agent works on a branch of its own.
    fixture.run(dir, ["switch", "--quiet", "-c", "mine"]);
    write(dir, "x", "1");
    let elsewhere = fixture.commit(dir, "Elsewhere");
    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!((status.best_head.as_ref(), status.commits), (Some(&elsewhere), 1));
    assert_eq!(status.current_branch.as_deref(), Some("mine"));
    fixture.run(dir, ["switch", "--quiet", "--detach"]);
    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!((status.best_head.as_ref(), status.current_branch), (Some(&elsewhere), None));

    // On both: the branch comes first.
    fixture.run(dir, ["switch", "--quiet", "kugetsu/7-fix"]);
    write(dir, "y", "1");
    let own = fixture.commit(dir, "Own");
    fixture.run(dir, ["switch", "--quiet", "mine"]);
    assert_eq!(worktree.best_head(base.as_ref()).await.unwrap(), Some(own.clone()));

    // The agent pushed the branch and then reset it.
    fixture.run(dir, ["switch", "--quiet", "kugetsu/7-fix"]);
    fixture.run(dir, ["push", "--quiet"]);
    fixture.run(dir, ["reset", "--quiet", "--hard", base.as_ref().unwrap().as_str()]);
    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!((status.best_head.as_ref(), status.relay_head.as_ref(), status.commits), (Some(&own), Some(&own), 1));
    assert_eq!(status.branch_head, base);
}

#[tokio::test]
async fn best_head_is_head_if_it_continues_the_branch() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let base = mirror.resolve_base(None).await.unwrap().commit;
    let dir = worktree.dir();
    write(dir, "one", "1");
    let first = fixture.commit(dir, "One");
    mirror.push(&worktree, &first, Lease::Expect(None)).await.unwrap();
    mirror.update(&mut |_| ()).await.unwrap();

    // HEAD contains the branch.
    fixture.run(dir, ["switch", "--quiet", "-c", "fix2"]);
    write(dir, "two", "1");
    let second = fixture.commit(dir, "Two");
    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!(
        (status.best_head.as_ref(), status.commits, status.left_behind.len()),
        (Some(&second), 2, 0),
        "{status:?}"
    );

    // HEAD does not contain what was pushed, so it is only listed.
    fixture.run(dir, ["switch", "--quiet", "-c", "created", base.as_ref().unwrap().as_str()]);
    write(dir, "three", "1");
    fixture.commit(dir, "Three");
    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!((status.best_head.as_ref(), status.commits), (Some(&first), 1));
    assert_eq!(left(&status), ["branch created", "branch fix2"]);

    // An older commit of the branch checked out, or an unfinished rebase, changes nothing.
    fixture.run(dir, ["switch", "--quiet", "kugetsu/7-fix"]);
    write(dir, "three", "other");
    let fifth = fixture.commit(dir, "Three, too");
    mirror.push(&worktree, &fifth, Lease::Expect(Some(first.clone()))).await.unwrap();
    mirror.update(&mut |_| ()).await.unwrap();
    fixture.run(dir, ["branch", "part", first.as_str()]);
    fixture.run(dir, ["switch", "--quiet", "part"]);
    assert_eq!(worktree.best_head(base.as_ref()).await.unwrap(), Some(fifth.clone()));
    fixture.run(dir, ["switch", "--quiet", "kugetsu/7-fix"]);
    assert!(!fixture.command(dir).args(["rebase", "--quiet", "created"]).output().unwrap().status.success());
    assert_eq!(worktree.best_head(base.as_ref()).await.unwrap(), Some(fifth));
    fixture.run(dir, ["rebase", "--abort"]);

    // The branch has new commits, and HEAD has others: the branch is the best head, and the others are listed.
    fixture.run(dir, ["switch", "--quiet", "kugetsu/7-fix"]);
    write(dir, "four", "1");
    let fourth = fixture.commit(dir, "Four");
    fixture.run(dir, ["switch", "--quiet", "--detach", "created"]);
    write(dir, "five", "1");
    fixture.commit(dir, "Five");
    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!((status.best_head.as_ref(), status.commits), (Some(&fourth), 3));
    let detached = format!("HEAD, detached at {}", status.head.as_ref().unwrap().short());
    assert_eq!(left(&status), ["branch created", "branch fix2", &detached]);
}

#[tokio::test]
async fn merged_server_commits_are_not_own_commits() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, server) = fixture.ready().await;
    let base = mirror.resolve_base(None).await.unwrap().commit;
    let repository = fixture.path("repository");
    write(&repository, "theirs.txt", "theirs\n");
    let theirs = fixture.commit(&repository, "Theirs");
    fixture.run(&repository, ["push", "--quiet", server.to_str().unwrap(), "main"]);
    mirror.update(&mut |_| ()).await.unwrap();
    worktree.refresh().await.unwrap();
    fixture.run(worktree.dir(), ["pull", "--quiet", "--no-rebase", "origin", "main"]);
    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!((status.commits, status.own_commits, &status.head), (1, 0, &Some(theirs)));
    assert_eq!(status.best_head, status.head, "it differs from the base");
    write(worktree.dir(), "x", "1");
    fixture.commit(worktree.dir(), "Mine");
    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!((status.commits, status.own_commits), (2, 1));

    // A branch that the agent only looks at is no work on the issue.
    fixture.run(worktree.dir(), ["reset", "--quiet", "--hard", base.as_ref().unwrap().as_str()]);
    fixture.run(worktree.dir(), ["switch", "--quiet", "--detach", "origin/main"]);
    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!((status.commits, status.own_commits), (1, 0), "{status:?}");
}

#[tokio::test]
async fn hidden_and_unusually_named_files_are_listed() {
    let fixture = Fixture::new().await;
    let (_, worktree, _) = fixture.ready().await;
    let dir = worktree.dir();
    for name in unusual_names() {
        write(dir, &name, "x");
    }
    fixture.run(dir, ["update-index", "--assume-unchanged", "README.md"]);
    fixture.run(dir, ["update-index", "--skip-worktree", "src/a.txt"]);
    write(dir, "README.md", "changed\n");
    write(dir, "src/a.txt", "changed\n");
    write(dir, ".gitignore", "ignored\n");
    write(dir, "ignored", "x");
    write(dir, "escape\u{1b}[2J\u{202e}", "x");
    nix::unistd::mkfifo(&dir.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let status = worktree.status(None).await.unwrap();
    for name in [
        "README.md",
        "src/a.txt",
        ".gitignore",
        "a b",
        "new\\nline",
        "-dash",
        "back\\\\slash",
        "escape\\u{1b}[2J\\u{202e}",
    ] {
        assert!(status.uncommitted.iter().any(|listed| listed == name), "{name} in {:?}", status.uncommitted);
    }
    assert_eq!(status.uncommitted_total, unusual_names().len() + 4);
    assert!(status.uncommitted.iter().all(|name| !name.contains(char::is_control)));
    assert!(fixture.run(dir, ["ls-files", "-v", "README.md"]).starts_with('h'), "the agent's index is not changed");

    for n in 0..300 {
        write(dir, format!("many/{n}"), "x");
    }
    let status = worktree.status(None).await.unwrap();
    assert_eq!((status.uncommitted.len(), status.uncommitted_total), (100, unusual_names().len() + 304));
}

#[tokio::test]
async fn damaged_or_missing_git_directory_is_no_error() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let base = mirror.resolve_base(None).await.unwrap().commit;
    let dir = worktree.dir();
    write(dir, "x", "1");
    fixture.commit(dir, "Mine");
    for entry in std::fs::read_dir(dir.join(".git/objects")).unwrap().flatten() {
        if entry.file_name() != "info" {
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!((status.commits, status.head), (0, None));
    std::fs::write(dir.join(".git/index"), "rubbish").unwrap();
    assert_eq!(worktree.status(base.as_ref()).await.unwrap().uncommitted_total, 3);
    std::fs::remove_dir_all(dir.join(".git")).unwrap();
    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!((status.branch_head, status.uncommitted_total), (None, 3));
    std::fs::remove_dir_all(dir).unwrap();
    std::fs::remove_dir_all(worktree.relay()).unwrap();
    assert_eq!(worktree.status(base.as_ref()).await.unwrap().uncommitted_total, 0);
}

#[tokio::test]
async fn diff_has_commits_changes_and_new_files_but_runs_nothing_of_the_agent() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let base = mirror.resolve_base(None).await.unwrap().commit;
    let dir = worktree.dir();
    assert_eq!(worktree.diff(base.as_ref(), false).await.unwrap(), b"");
    write(dir, "committed", "one\n");
    fixture.commit(dir, "One");
    write(dir, "committed", "one\ntwo\n");
    write(dir, "new file", "three\n");
    write(dir, ".gitignore", "ignored\n");
    write(dir, "ignored", "no\n");
    let planted = dir.join("planted");
    fixture.run(dir, ["config", "diff.external", &format!("touch '{}';", planted.display())]);
    fixture.run(dir, ["config", "filter.evil.clean", &format!("touch '{}'; cat", planted.display())]);
    write(dir, ".gitattributes", "* filter=evil\n");
    let diff = String::from_utf8(worktree.diff(base.as_ref(), false).await.unwrap()).unwrap();
    for part in ["+++ b/committed", "+one\n+two\n", "+++ b/new file", "+three\n", "+++ b/.gitignore"] {
        assert!(diff.contains(part), "{part}: {diff}");
    }
    assert!(!diff.contains("b/ignored"), "{diff}");
    let stat = String::from_utf8(worktree.diff(base.as_ref(), true).await.unwrap()).unwrap();
    assert!(stat.contains("4 files changed"), "{stat}");
    assert!(!planted.exists());
    assert!(fixture.run(dir, ["ls-files"]).lines().all(|name| name != "new file"), "the agent's index is not changed");
}
