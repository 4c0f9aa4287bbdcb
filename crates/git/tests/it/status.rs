//! Looking at what an agent left.

use kugetsu_git::push::Lease;

use crate::support::{Fixture, odd_names, write};

#[tokio::test]
async fn the_work_is_the_branch_else_head_else_what_was_pushed() {
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

    // On a branch of the agent's own.
    fixture.run(dir, ["switch", "--quiet", "-c", "mine"]);
    write(dir, "x", "1");
    let elsewhere = fixture.commit(dir, "Elsewhere");
    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!((status.best_head.as_ref(), status.commits), (Some(&elsewhere), 1));
    assert_eq!(status.current_branch.as_deref(), Some("mine"));
    fixture.run(dir, ["switch", "--quiet", "--detach"]);
    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!((status.best_head.as_ref(), status.current_branch), (Some(&elsewhere), None));

    // Both: the branch wins.
    fixture.run(dir, ["switch", "--quiet", "kugetsu/7-fix"]);
    write(dir, "y", "1");
    let own = fixture.commit(dir, "Own");
    fixture.run(dir, ["switch", "--quiet", "mine"]);
    assert_eq!(worktree.best_head(base.as_ref()).await.unwrap(), Some(own.clone()));

    // Pushed and reset.
    fixture.run(dir, ["switch", "--quiet", "kugetsu/7-fix"]);
    fixture.run(dir, ["push", "--quiet"]);
    fixture.run(dir, ["reset", "--quiet", "--hard", base.as_ref().unwrap().as_str()]);
    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!((status.best_head.as_ref(), status.relay_head.as_ref(), status.commits), (Some(&own), Some(&own), 1));
    assert_eq!(status.branch_head, base);
}

#[tokio::test]
async fn head_is_the_work_where_it_goes_on_from_the_branch() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let base = mirror.resolve_base(None).await.unwrap().commit;
    let dir = worktree.dir();
    write(dir, "one", "1");
    let first = fixture.commit(dir, "One");
    mirror.push(&worktree, &first, Lease::Expect(None)).await.unwrap();
    mirror.update(&mut |_| ()).await.unwrap();

    // It contains the branch.
    fixture.run(dir, ["switch", "--quiet", "-c", "fix2"]);
    write(dir, "two", "1");
    let second = fixture.commit(dir, "Two");
    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!(
        (status.best_head.as_ref(), status.commits, status.unpushed_branches.len()),
        (Some(&second), 2, 0),
        "{status:?}"
    );

    // What was pushed would not be part of it any more: it is named, and nothing is taken back.
    fixture.run(dir, ["switch", "--quiet", "-c", "anew", base.as_ref().unwrap().as_str()]);
    write(dir, "three", "1");
    fixture.commit(dir, "Three");
    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!((status.best_head.as_ref(), status.commits), (Some(&first), 1));
    assert_eq!(status.unpushed_branches, ["anew", "fix2"]);

    // A look back at a part of the branch, or a rebase that was not ended, changes nothing.
    fixture.run(dir, ["switch", "--quiet", "kugetsu/7-fix"]);
    write(dir, "three", "other");
    let fifth = fixture.commit(dir, "Three, too");
    mirror.push(&worktree, &fifth, Lease::Expect(Some(first.clone()))).await.unwrap();
    mirror.update(&mut |_| ()).await.unwrap();
    fixture.run(dir, ["branch", "part", first.as_str()]);
    fixture.run(dir, ["switch", "--quiet", "part"]);
    assert_eq!(worktree.best_head(base.as_ref()).await.unwrap(), Some(fifth.clone()));
    fixture.run(dir, ["switch", "--quiet", "kugetsu/7-fix"]);
    assert!(!fixture.command(dir).args(["rebase", "--quiet", "anew"]).output().unwrap().status.success());
    assert_eq!(worktree.best_head(base.as_ref()).await.unwrap(), Some(fifth));
    fixture.run(dir, ["rebase", "--abort"]);

    // The branch has moved, and HEAD is something else: the branch is the work, and the rest is named.
    fixture.run(dir, ["switch", "--quiet", "kugetsu/7-fix"]);
    write(dir, "four", "1");
    let fourth = fixture.commit(dir, "Four");
    fixture.run(dir, ["switch", "--quiet", "--detach", "anew"]);
    write(dir, "five", "1");
    fixture.commit(dir, "Five");
    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!((status.best_head.as_ref(), status.commits), (Some(&fourth), 3));
    assert_eq!(status.unpushed_branches, ["anew", "fix2", "HEAD"]);
}

#[tokio::test]
async fn commits_of_the_servers_are_not_counted_as_work() {
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
    assert_eq!((status.commits, status.head), (0, Some(theirs)));
    write(worktree.dir(), "x", "1");
    fixture.commit(worktree.dir(), "Mine");
    assert_eq!(worktree.status(base.as_ref()).await.unwrap().commits, 1);
}

#[tokio::test]
async fn uncommitted_files_are_named_whatever_they_are_called_or_however_they_are_hidden() {
    let fixture = Fixture::new().await;
    let (_, worktree, _) = fixture.ready().await;
    let dir = worktree.dir();
    for name in odd_names() {
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
        assert!(status.uncommitted.iter().any(|shown| shown == name), "{name} in {:?}", status.uncommitted);
    }
    assert_eq!(status.uncommitted_total, odd_names().len() + 4);
    assert!(status.uncommitted.iter().all(|name| !name.contains(char::is_control)));
    assert!(fixture.run(dir, ["ls-files", "-v", "README.md"]).starts_with('h'), "the agent's own index is left alone");

    for n in 0..300 {
        write(dir, format!("many/{n}"), "x");
    }
    let status = worktree.status(None).await.unwrap();
    assert_eq!((status.uncommitted.len(), status.uncommitted_total), (100, odd_names().len() + 304));
}

#[tokio::test]
async fn a_damaged_or_missing_git_directory_tells_less_and_is_no_error() {
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
