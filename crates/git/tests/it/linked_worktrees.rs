//! Files in worktrees that an agent added with `git worktree add`.

use kugetsu_git::rescue::{self, SaveSpec};

use crate::rescue::save;
use crate::support::{Fixture, read, write};

#[tokio::test]
async fn uncommitted_files_of_linked_worktrees_are_rescued() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let second = fixture.path("elsewhere/second");
    fixture.run(worktree.dir(), ["worktree", "add", "--quiet", second.to_str().unwrap()]);
    assert!(save(&mirror, &worktree, "0").await.is_none(), "nothing would be lost");
    // Inside, and ignored.
    write(worktree.dir(), ".gitignore", "/inner/\n");
    fixture.commit(worktree.dir(), "Ignore");
    fixture.run(worktree.dir(), ["worktree", "add", "--quiet", "inner"]);

    write(&second, "README.md", "changed\n");
    write(&second, "staged.txt", "staged\n");
    fixture.run(&second, ["add", "staged.txt"]);
    write(&second, "staged.txt", "later\n");
    write(&second, "deep/new.txt", "new\n");
    write(&worktree.dir().join("inner"), "in.txt", "in\n");
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    assert_eq!(saved.unsaved, Vec::<String>::new());
    let notices = saved.notices.join("\n");
    assert!(notices.contains("elsewhere/second are in refs/kugetsu/inner/"), "{notices}");
    assert!(save(&mirror, &worktree, "2").await.is_none(), "an equal rescue exists");
    assert_eq!(read(&second, "staged.txt"), b"later\n");

    worktree.remove().await.unwrap();
    let back = fixture.path("back");
    rescue::restore(&mirror, "7/1", &back).await.unwrap();
    let refs = fixture.run(&back, ["for-each-ref", "--format=%(refname)", "refs/kugetsu/inner"]);
    let find = |name: &str| refs.lines().find(|line| line.contains(name)).unwrap().to_owned();
    let show = |spec: String| fixture.run(&back, ["show", &spec]);
    let files = find("/second/");
    assert_eq!(show(format!("{files}:README.md")), "changed");
    assert_eq!(show(format!("{files}:staged.txt")), "later");
    assert_eq!(show(format!("{files}:deep/new.txt")), "new");
    assert_eq!(show(format!("{files}^2:staged.txt")), "staged");
    assert_eq!(show(format!("{}:in.txt", find("/inner/files"))), "in");
}

#[tokio::test]
async fn too_large_a_linked_worktree_is_named() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let second = fixture.path("second");
    fixture.run(worktree.dir(), ["worktree", "add", "--quiet", second.to_str().unwrap()]);
    std::fs::File::create(second.join("sparse")).unwrap().set_len(3 << 30).unwrap();
    let spec = SaveSpec { issue_number: 7, reason: String::new(), at: "1".to_owned(), max_file: u64::MAX };
    let saved = rescue::save(&mirror, &worktree, spec).await.unwrap().unwrap();
    assert!(saved.unsaved.iter().any(|why| why.contains("second") && why.contains("3072 MiB")), "{saved:?}");
}
