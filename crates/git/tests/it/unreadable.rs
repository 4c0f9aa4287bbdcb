//! A file that is there and cannot be read is not taken for one that is missing. The files here are larger than any that git
//! writes; a user without rights and a failing disk lead to the same.

use std::fs::OpenOptions;
use std::path::Path;

use kugetsu_git::rescue::{self, SaveSpec};

use crate::support::{Fixture, write};

/// Gives a file more bytes than the host reads, without using space for them.
fn enlarge(path: &Path, bytes: u64) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    open.unwrap().set_len(bytes).unwrap();
}

fn spec() -> SaveSpec {
    SaveSpec { issue_number: 7, reason: "test".to_owned(), at: "20261129T030000Z".to_owned(), max_file: u64::MAX }
}

#[tokio::test]
async fn unreadable_parts_of_a_git_directory_are_no_damage() {
    for (name, bytes) in
        [("config", 5 << 20), ("objects/info/alternates", 5 << 20), ("HEAD", 10_000), ("index", 3 << 30)]
    {
        let fixture = Fixture::new().await;
        let (_, worktree, _) = fixture.ready().await;
        enlarge(&worktree.git_dir().join(name), bytes);
        let error = worktree.damage().await.expect_err(name).to_string();
        assert!(error.contains(name) && error.contains("more than"), "{error}");
    }
}

#[tokio::test]
async fn unreadable_operation_is_an_error() {
    let fixture = Fixture::new().await;
    let (_, worktree, _) = fixture.ready().await;
    enlarge(&worktree.git_dir().join("sequencer/todo"), 2 << 20);
    for error in [worktree.operations().await.map(drop), worktree.status(None).await.map(drop)] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains("sequencer/todo"), "{error}");
    }
}

#[tokio::test]
async fn unreadable_linked_worktree_is_an_error() {
    let fixture = Fixture::new().await;
    let (_, worktree, _) = fixture.ready().await;
    let second = fixture.path("second");
    fixture.run(worktree.dir(), ["worktree", "add", "--quiet", second.to_str().unwrap()]);
    write(&second, "work.txt", "work");
    enlarge(&second.join(".git"), 100_000);
    let error = worktree.status(None).await.unwrap_err().to_string();
    assert!(error.contains("second/.git"), "{error}");
}

#[tokio::test]
async fn what_an_unreadable_file_names_counts_as_not_rescued() {
    for (name, bytes) in [(".git/index", 3 << 30), ("nested/inner/.git", 100_000)] {
        let fixture = Fixture::new().await;
        let (mirror, worktree, _) = fixture.ready().await;
        write(worktree.dir(), "nested/work.txt", "work");
        if name.starts_with("nested") {
            fixture.run(&worktree.dir().join("nested"), ["init", "--quiet"]);
        }
        enlarge(&worktree.dir().join(name), bytes);
        let saved = rescue::save(&mirror, &worktree, spec()).await.unwrap().unwrap();
        let end = name.rsplit('/').nth(1).unwrap();
        assert!(saved.unsaved.iter().any(|unsaved| unsaved.contains(end)), "{name}: {saved:?}");
        let shown = fixture.run(mirror.dir(), ["ls-tree", "-r", "--name-only", saved.commit.as_str()]);
        assert!(shown.contains("nested/work.txt"), "{name}: {shown}");
    }
}
