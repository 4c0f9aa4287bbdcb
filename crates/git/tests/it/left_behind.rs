//! Work that reaches no branch, and operations that were not ended.

use std::path::Path;

use kugetsu_git::mirror::Mirror;
use kugetsu_git::names::Oid;
use kugetsu_git::worktree::{CommitError, Operation, Worktree, WorktreeStatus};

use crate::support::{Fixture, read, write};

async fn started(fixture: &Fixture) -> (Mirror, Worktree, Option<Oid>) {
    let (mirror, worktree, _) = fixture.ready().await;
    let base = mirror.resolve_base(None).await.unwrap().commit;
    (mirror, worktree, base)
}

async fn status(worktree: &Worktree, base: Option<&Oid>) -> WorktreeStatus {
    worktree.status(base).await.unwrap()
}

fn left(status: &WorktreeStatus) -> Vec<String> {
    status.left_behind.iter().map(ToString::to_string).collect()
}

/// Runs a git command that stops with a conflict.
fn conflict(fixture: &Fixture, dir: &Path, args: &[&str]) {
    assert!(!fixture.command(dir).args(args).output().unwrap().status.success(), "{args:?}");
}

/// Two branches from the base, `issue` and `other`, that conflict in `README.md`; `issue` is checked out.
fn conflicting(fixture: &Fixture, dir: &Path) {
    fixture.run(dir, ["switch", "--quiet", "-c", "other"]);
    write(dir, "README.md", "other\n");
    fixture.commit(dir, "Other");
    write(dir, "README.md", "other again\n");
    fixture.commit(dir, "Other again");
    fixture.run(dir, ["switch", "--quiet", "kugetsu/7-fix"]);
    write(dir, "README.md", "mine\n");
    fixture.commit(dir, "Mine");
}

#[tokio::test]
async fn unfinished_operations_are_found_until_they_end() {
    let fixture = Fixture::new().await;
    let (_, worktree, base) = started(&fixture).await;
    let dir = worktree.dir();
    conflicting(&fixture, dir);
    let patch = fixture.run(dir, ["format-patch", "--stdout", "-1", "other"]);
    let cases: [(Operation, &[&str], &[&str]); 7] = [
        (Operation::Rebase, &["rebase", "--quiet", "other"], &["rebase", "--abort"]),
        (Operation::Rebase, &["rebase", "--apply", "--quiet", "other"], &["rebase", "--abort"]),
        (Operation::Merge, &["merge", "--quiet", "other"], &["merge", "--abort"]),
        (Operation::CherryPick, &["cherry-pick", "other"], &["cherry-pick", "--abort"]),
        (Operation::CherryPick, &["cherry-pick", "other~1", "other"], &["cherry-pick", "--abort"]),
        (Operation::Revert, &["revert", "--no-edit", "other"], &["revert", "--abort"]),
        (Operation::Am, &["am", "--quiet", "../patch"], &["am", "--abort"]),
    ];
    write(dir, "../patch", patch + "\n");
    for (operation, begin, end) in cases {
        conflict(&fixture, dir, begin);
        assert_eq!(status(&worktree, base.as_ref()).await.operations, [operation], "{begin:?}");
        assert_eq!(worktree.operations().await.unwrap(), [operation]);
        fixture.run(dir, end);
        assert_eq!(status(&worktree, base.as_ref()).await.operations, [], "{end:?}");
        assert_eq!(worktree.operations().await.unwrap(), []);
    }

    // Between two commits of a sequence, after the conflict was committed with `git commit`.
    conflict(&fixture, dir, &["cherry-pick", "other~1", "other"]);
    fixture.run(dir, ["commit", "--quiet", "-am", "resolved"]);
    assert_eq!(worktree.operations().await.unwrap(), [Operation::CherryPick]);
    fixture.run(dir, ["cherry-pick", "--quit"]);

    fixture.run(dir, ["bisect", "start", "HEAD", base.as_ref().unwrap().as_str()]);
    assert_eq!(status(&worktree, base.as_ref()).await.operations, [Operation::Bisect]);
    fixture.run(dir, ["bisect", "reset"]);

    // A conflict that no operation explains.
    write(dir, "README.md", "stashed\n");
    fixture.run(dir, ["stash", "--quiet"]);
    write(dir, "README.md", "committed\n");
    fixture.commit(dir, "Committed");
    conflict(&fixture, dir, &["stash", "pop"]);
    assert_eq!(status(&worktree, base.as_ref()).await.operations, [Operation::Conflict]);
    assert_eq!(worktree.operations().await.unwrap(), [Operation::Conflict]);
}

#[tokio::test]
async fn work_on_no_branch_is_listed() {
    let fixture = Fixture::new().await;
    let (_, worktree, base) = started(&fixture).await;
    let dir = worktree.dir();
    assert_eq!(left(&status(&worktree, base.as_ref()).await), Vec::<String>::new());

    write(dir, "README.md", "older\n");
    fixture.run(dir, ["stash", "--quiet"]);
    write(dir, "new", "newer\n");
    fixture.run(dir, ["stash", "--quiet", "--include-untracked"]);
    let stashes = [fixture.oid(dir, "stash@{0}"), fixture.oid(dir, "stash@{1}")];
    let now = status(&worktree, base.as_ref()).await;
    assert_eq!((now.uncommitted_total, now.commits), (0, 0));
    assert_eq!(left(&now), stashes.each_ref().map(|stash| format!("stash {}", stash.short())));
    fixture.run(dir, ["stash", "clear"]);

    // Pushed to the relay, and deleted here.
    fixture.run(dir, ["switch", "--quiet", "-c", "aside"]);
    write(dir, "x", "1");
    fixture.commit(dir, "Aside");
    fixture.run(dir, ["push", "--quiet", "origin", "aside"]);
    fixture.run(dir, ["tag", "kept"]);
    fixture.run(dir, ["reset", "--quiet", "--hard", "HEAD~1"]);
    fixture.run(dir, ["switch", "--quiet", "kugetsu/7-fix"]);
    let now = status(&worktree, base.as_ref()).await;
    assert_eq!(left(&now), ["tag kept"]);
    fixture.run(dir, ["tag", "--delete", "kept"]);
    fixture.run(dir, ["update-ref", "-d", "refs/remotes/origin/aside"]);
    let now = status(&worktree, base.as_ref()).await;
    assert_eq!(left(&now), ["aside in the relay repository only"]);

    // What a run that was done left behind is known to later ones.
    worktree.accept_left_behind(&now.left_behind).unwrap();
    assert!(worktree.new_left_behind(&now.left_behind).is_empty());
    write(dir, "README.md", "another\n");
    fixture.run(dir, ["stash", "--quiet"]);
    let now = status(&worktree, base.as_ref()).await;
    let new: Vec<String> = worktree.new_left_behind(&now.left_behind).iter().map(ToString::to_string).collect();
    assert_eq!(new, [format!("stash {}", fixture.oid(dir, "stash").short())]);
    worktree.remove().await.unwrap();
    assert_eq!(std::fs::read_dir(fixture.path("relays")).unwrap().count(), 0);
}

#[tokio::test]
async fn linked_worktrees_count_by_their_commits_and_files() {
    let fixture = Fixture::new().await;
    let (_, worktree, base) = started(&fixture).await;
    let dir = worktree.dir();
    let outside = fixture.path("second");
    fixture.run(dir, ["worktree", "add", "--quiet", "--detach", outside.to_str().unwrap()]);
    fixture.run(dir, ["worktree", "add", "--quiet", "--detach", "inside"]);
    let now = status(&worktree, base.as_ref()).await;
    assert_eq!((left(&now).len(), now.uncommitted_total), (0, 0), "{now:?}");

    write(&outside, "x", "1");
    let now = status(&worktree, base.as_ref()).await;
    assert_eq!(left(&now), [format!("linked worktree {}", outside.display())]);
    fixture.commit(&outside, "In the second worktree");
    let now = status(&worktree, base.as_ref()).await;
    assert_eq!(left(&now), [format!("linked worktree {}", outside.display())]);
    fixture.run(dir, ["merge", "--quiet", "--ff-only", fixture.oid(&outside, "HEAD").as_str()]);
    assert_eq!(left(&status(&worktree, base.as_ref()).await), Vec::<String>::new());

    write(dir, "inside/y", "1");
    let now = status(&worktree, base.as_ref()).await;
    assert_eq!(left(&now), [format!("linked worktree {}", dir.join("inside").display())]);

    // A git directory that names the directory of the user.
    let victim = fixture.repository("victim");
    write(&victim, "secret-plans", "x");
    write(dir, ".git/worktrees/second/gitdir", format!("{}/.git\n", victim.display()));
    let now = status(&worktree, base.as_ref()).await;
    assert_eq!(left(&now).len(), 1, "{now:?}");
}

#[tokio::test]
async fn submodule_commits_that_no_server_has_are_listed() {
    let fixture = Fixture::new().await;
    let library = fixture.repository("library");
    let repository = fixture.repository("repository");
    let allow = ["-c", "protocol.file.allow=always"];
    let add = ["submodule", "--quiet", "add", library.to_str().unwrap(), "lib"];
    fixture.run(&repository, allow.iter().chain(&add));
    fixture.commit(&repository, "With a submodule");
    let mirror = fixture.mirror(&crate::support::url(&fixture.server(&repository))).await;
    let worktree = fixture.create(&mirror).await.worktree;
    let base = mirror.resolve_base(None).await.unwrap().commit;
    let dir = worktree.dir();
    fixture.run(dir, allow.iter().chain(&["submodule", "--quiet", "update", "--init"]));
    assert_eq!(left(&status(&worktree, base.as_ref()).await), Vec::<String>::new());

    let lib = dir.join("lib");
    write(&lib, "x", "1");
    fixture.commit(&lib, "In the submodule");
    assert_eq!(status(&worktree, base.as_ref()).await.uncommitted, ["lib/"]);
    fixture.commit(dir, "Use it");
    let now = status(&worktree, base.as_ref()).await;
    assert_eq!(left(&now), ["submodule lib, with commits that no server has"]);
    assert!(now.left_behind[0].is_part_of_branch() && now.uncommitted_total == 0, "{now:?}");
    fixture.run(&lib, ["push", "--quiet", "origin", "HEAD:refs/heads/new"]);
    assert_eq!(left(&status(&worktree, base.as_ref()).await), Vec::<String>::new());
}

#[tokio::test]
async fn rest_is_committed_by_the_host_without_the_agents_programs() {
    let fixture = Fixture::new().await;
    let (_, worktree, base) = started(&fixture).await;
    let dir = worktree.dir();
    let mark = fixture.path("ran");
    for hook in ["pre-commit", "commit-msg", "post-commit", "reference-transaction", "post-index-change"] {
        crate::support::trap(&dir.join(".git/hooks").join(hook), &mark);
    }
    fixture.run(dir, ["config", "user.name", "Another Name"]);
    fixture.run(dir, ["config", "core.fsmonitor", fixture.path("trap").to_str().unwrap()]);
    write(dir, "README.md", "changed\n");
    write(dir, "new dir/new file", "new\n");
    write(dir, ".gitignore", "ignored\n");
    write(dir, "ignored", "x");
    std::fs::remove_file(dir.join("src/a.txt")).unwrap();
    let head = worktree.best_head(base.as_ref()).await.unwrap();
    let commit = worktree.commit_rest(head.as_ref(), "Subject\n\nText\n").await.unwrap().unwrap();
    let now = status(&worktree, base.as_ref()).await;
    assert_eq!((now.uncommitted_total, now.commits, now.best_head.as_ref()), (0, 1, Some(&commit)), "{now:?}");
    assert!(!mark.exists());
    fixture.run(dir, ["config", "--unset", "core.fsmonitor"]);
    assert_eq!(fixture.run(dir, ["status", "--porcelain"]), "");
    let shown = fixture.run(dir, ["log", "-1", "--format=%an <%ae> %cn%n%B", "--name-status"]);
    assert!(shown.starts_with("Test Person <test@example.invalid> Test Person\nSubject\n\nText\n"), "{shown}");
    for file in ["A\t.gitignore", "M\tREADME.md", "A\tnew dir/new file", "D\tsrc/a.txt"] {
        assert!(shown.contains(file), "{shown}");
    }
    assert!(!shown.contains("\tignored"), "{shown}");
    assert_eq!(fixture.run(dir, ["fsck", "--no-progress"]), "");
    assert_eq!(worktree.commit_rest(Some(&commit), "again\n").await.unwrap(), None);
}

#[tokio::test]
async fn files_that_need_a_filter_or_are_elsewhere_are_not_committed() {
    let fixture = Fixture::new().await;
    let (_, worktree, base) = started(&fixture).await;
    let dir = worktree.dir();
    write(dir, ".gitattributes", "*.bin filter=lfs\n");
    fixture.commit(dir, "Attributes");
    write(dir, "big.bin", "content");
    let head = worktree.best_head(base.as_ref()).await.unwrap();
    let error = worktree.commit_rest(head.as_ref(), "x\n").await.unwrap_err();
    assert!(
        matches!(&error, CommitError::Filtered { path, filter } if path == "big.bin" && filter == "lfs"),
        "{error}"
    );
    std::fs::remove_file(dir.join("big.bin")).unwrap();

    write(dir, "x", "1");
    assert!(matches!(worktree.commit_rest(base.as_ref(), "x\n").await, Err(CommitError::Elsewhere)));
    conflicting(&fixture, dir);
    conflict(&fixture, dir, &["merge", "--quiet", "other"]);
    let head = worktree.best_head(base.as_ref()).await.unwrap();
    let error = worktree.commit_rest(head.as_ref(), "x\n").await.unwrap_err();
    assert!(matches!(error, CommitError::Unfinished(Operation::Merge)), "{error}");

    // A detached HEAD moves along.
    fixture.run(dir, ["merge", "--abort"]);
    fixture.run(dir, ["switch", "--quiet", "--detach"]);
    write(dir, "y", "1");
    let commit = worktree.commit_rest(head.as_ref(), "y\n").await.unwrap().unwrap();
    assert_eq!(read(dir, ".git/HEAD"), format!("{commit}\n").into_bytes());
}
