//! Repositories in the temporary directory of a run.

use std::fs;
use std::path::PathBuf;

use kugetsu_git::mirror::Mirror;
use kugetsu_git::rescue::{self, Saved, holds_repositories};
use kugetsu_git::worktree::Worktree;

use crate::rescue::spec;
use crate::support::{Fixture, write};

struct Temporary {
    fixture: Fixture,
    mirror: Mirror,
    worktree: Worktree,
    dir: PathBuf,
}

impl Temporary {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let (mirror, worktree, _) = fixture.ready().await;
        let dir = fixture.path("run/tmp");
        fs::create_dir_all(&dir).unwrap();
        Self { fixture, mirror, worktree, dir }
    }

    async fn save(&self, at: &str) -> Option<Saved> {
        rescue::save_temporary(&self.mirror, &self.worktree, &self.dir, spec(at)).await.unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn add_linked(&self) -> PathBuf {
        let linked = self.path("wt");
        let add = ["worktree", "add", "--quiet", linked.to_str().unwrap(), "-b", "wtb"];
        self.fixture.run(self.worktree.dir(), add);
        linked
    }
}

#[tokio::test]
async fn plain_files_and_clean_repositories_are_no_work() {
    let temporary = Temporary::new().await;
    write(&temporary.dir, "deep/notes.txt", "x");
    write(&temporary.dir, "pruned/.git", "gitdir: /nowhere/at/all\n");
    // The worktree's own work does not count.
    write(temporary.worktree.dir(), "new.txt", "new\n");
    assert!(!holds_repositories(&temporary.dir).await.unwrap());
    assert!(!holds_repositories(&temporary.path("missing")).await.unwrap());
    temporary.add_linked();
    let server = temporary.fixture.repository("other");
    temporary.fixture.run(&temporary.dir, ["clone", "--quiet", server.to_str().unwrap(), "clone"]);
    assert!(holds_repositories(&temporary.dir).await.unwrap());
    assert_eq!(temporary.save("1").await, None);
}

#[tokio::test]
async fn files_of_a_linked_worktree_are_saved() {
    let temporary = Temporary::new().await;
    let linked = temporary.add_linked();
    write(&linked, "w", "W\n");
    let saved = temporary.save("1").await.unwrap();
    assert_eq!(saved.unsaved, Vec::<String>::new());
    assert!(saved.notices.iter().any(|notice| notice.contains("tmp/wt are in refs/kugetsu/inner/")), "{saved:?}");
    fs::remove_dir_all(&temporary.dir).unwrap();
    let back = temporary.fixture.path("back");
    rescue::restore(&temporary.mirror, "7/1", &back).await.unwrap();
    let refs = temporary.fixture.run(&back, ["for-each-ref", "--format=%(refname)", "refs/kugetsu/inner"]);
    assert_eq!(temporary.fixture.run(&back, ["show", &format!("{refs}:w")]), "W");
}

#[tokio::test]
async fn work_in_repositories_is_saved_once() {
    let temporary = Temporary::new().await;
    let fixture = &temporary.fixture;
    let server = fixture.repository("other");
    fixture.run(&temporary.dir, ["clone", "--quiet", server.to_str().unwrap(), "deep/clone"]);
    let clone = temporary.path("deep/clone");
    write(&clone, "committed.txt", "committed\n");
    fixture.commit(&clone, "Not pushed");
    write(&clone, "staged.txt", "staged\n");
    fixture.run(&clone, ["add", "staged.txt"]);
    write(&clone, "staged.txt", "later\n");
    fixture.run(&clone, ["worktree", "add", "--quiet", "../second"]);
    write(&temporary.path("deep/second"), "second.txt", "second\n");
    fixture.run(&temporary.dir, ["init", "--quiet", "new"]);
    write(&temporary.path("new"), "only.txt", "only\n");
    fixture.run(&temporary.dir, ["init", "--quiet", "--bare", "bare.git"]);
    fixture.run(&clone, ["push", "--quiet", "../../bare.git", "HEAD:refs/heads/kept"]);

    let saved = temporary.save("1").await.unwrap();
    assert_eq!(saved.unsaved, Vec::<String>::new());
    assert!(temporary.save("2").await.unwrap().is_earlier, "an equal rescue exists");
    fs::remove_dir_all(&temporary.dir).unwrap();
    let back = fixture.path("back");
    rescue::restore(&temporary.mirror, "7/1", &back).await.unwrap();
    let show = |spec: &str| fixture.run(&back, ["show", &format!("refs/kugetsu/inner/TMPDIR/{spec}")]);
    assert_eq!(show("deep/clone/heads/main:committed.txt"), "committed");
    assert_eq!(show("deep/clone/files:staged.txt"), "later");
    assert_eq!(show("deep/clone/files^:staged.txt"), "staged");
    assert_eq!(show("deep/second/files:second.txt"), "second");
    assert_eq!(show("new/files:only.txt"), "only");
    assert_eq!(show("bare.git/heads/kept:committed.txt"), "committed");
}

#[tokio::test]
async fn files_of_a_repository_elsewhere_are_named() {
    let temporary = Temporary::new().await;
    let other = temporary.fixture.repository("other");
    let linked = temporary.path("linked");
    temporary.fixture.run(&other, ["worktree", "add", "--quiet", linked.to_str().unwrap()]);
    let saved = temporary.save("1").await.unwrap();
    assert_eq!(saved.unsaved, ["the files of TMPDIR/linked, whose repository is elsewhere"]);
}

impl Temporary {
    /// Clones into the directory, and adds a commit that no server has.
    fn clone_with_commit(&self, name: &str) -> PathBuf {
        let server = self.fixture.path("repository");
        let clone = self.path(name);
        self.fixture.run(&self.dir, ["clone", "--quiet", server.to_str().unwrap(), clone.to_str().unwrap()]);
        write(&clone, "committed.txt", "committed\n");
        self.fixture.commit(&clone, "Not pushed");
        clone
    }

    /// Saves everything, removes the directory, and restores.
    async fn saved_and_restored(&self) -> PathBuf {
        let saved = self.save("1").await.unwrap();
        assert_eq!(saved.unsaved, Vec::<String>::new());
        fs::remove_dir_all(&self.dir).unwrap();
        let back = self.fixture.path("back");
        rescue::restore(&self.mirror, "7/1", &back).await.unwrap();
        back
    }

    fn show(&self, back: &std::path::Path, spec: &str) -> String {
        self.fixture.run(back, ["show", &format!("refs/kugetsu/inner/{spec}")])
    }
}

#[tokio::test]
async fn repositories_inside_git_directories_are_saved() {
    let temporary = Temporary::new().await;
    temporary.fixture.run(&temporary.dir, ["init", "--quiet", "--bare", "."]);
    temporary.fixture.run(&temporary.dir, ["init", "--quiet", "--bare", "b.git"]);
    temporary.fixture.run(&temporary.dir, ["init", "--quiet", "outer"]);
    for name in ["top", "b.git/inner", "outer/.git/hidden"] {
        let clone = temporary.clone_with_commit(name);
        write(&clone, "new.txt", name);
    }
    let back = temporary.saved_and_restored().await;
    assert_eq!(temporary.show(&back, "TMPDIR/top/heads/main:committed.txt"), "committed");
    assert_eq!(temporary.show(&back, "TMPDIR/b.git/inner/files:new.txt"), "b.git/inner");
    assert_eq!(temporary.show(&back, "TMPDIR/outer/%2egit/hidden/files:new.txt"), "outer/.git/hidden");
}

#[tokio::test]
async fn files_of_a_repository_with_a_linked_git_directory_are_saved() {
    let temporary = Temporary::new().await;
    let inside = temporary.clone_with_commit("inside");
    write(&inside, "new.txt", "new");
    fs::rename(inside.join(".git"), temporary.path("moved")).unwrap();
    std::os::unix::fs::symlink("../moved", inside.join(".git")).unwrap();
    let outside = temporary.clone_with_commit("outside");
    let elsewhere = temporary.fixture.path("elsewhere");
    fs::rename(outside.join(".git"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, outside.join(".git")).unwrap();
    let saved = temporary.save("1").await.unwrap();
    assert_eq!(saved.unsaved, ["the files of TMPDIR/outside, whose repository is elsewhere"]);
    fs::remove_dir_all(&outside).unwrap();
    let back = temporary.fixture.path("back");
    rescue::restore(&temporary.mirror, "7/1", &back).await.unwrap();
    assert_eq!(temporary.show(&back, "TMPDIR/inside/files:new.txt"), "new");
    assert_eq!(temporary.show(&back, "TMPDIR/inside/heads/main:committed.txt"), "committed");
}

#[tokio::test]
async fn files_of_moved_linked_worktrees_are_saved() {
    let temporary = Temporary::new().await;
    for (clone, linked) in [("a", "first"), ("b", "second")] {
        let clone = temporary.clone_with_commit(clone);
        let linked = temporary.path(linked);
        temporary.fixture.run(&clone, ["worktree", "add", "--quiet", linked.to_str().unwrap()]);
        write(&linked, "new.txt", "new");
    }
    fs::rename(temporary.path("first"), temporary.path("first-moved")).unwrap();
    fs::rename(temporary.path("b"), temporary.path("b-moved")).unwrap();
    let back = temporary.saved_and_restored().await;
    assert_eq!(temporary.show(&back, "TMPDIR/first-moved/files:new.txt"), "new");
    assert_eq!(temporary.show(&back, "TMPDIR/second/files:new.txt"), "new");
}

#[tokio::test]
async fn files_of_a_linked_worktree_whose_repository_is_gone_are_named() {
    let temporary = Temporary::new().await;
    let linked = temporary.add_linked();
    write(&linked, "w", "W\n");
    fs::remove_dir_all(temporary.worktree.dir().join(".git/worktrees")).unwrap();
    let saved = temporary.save("1").await.unwrap();
    assert_eq!(saved.unsaved, ["the files of TMPDIR/wt, whose repository is gone"]);
}

#[tokio::test]
async fn files_of_an_ignored_repository_are_saved() {
    let temporary = Temporary::new().await;
    let outer = temporary.clone_with_commit("outer");
    write(&outer, ".gitignore", "inner\n");
    let inner = temporary.clone_with_commit("outer/inner");
    write(&inner, "new.txt", "new");
    let back = temporary.saved_and_restored().await;
    assert_eq!(temporary.show(&back, "TMPDIR/outer/inner/files:new.txt"), "new");
    assert_eq!(temporary.show(&back, "TMPDIR/outer/inner/heads/main:committed.txt"), "committed");
}

#[tokio::test]
async fn bare_repositories_with_linked_worktrees_are_saved() {
    let temporary = Temporary::new().await;
    let (server, project) = (temporary.fixture.path("repository"), temporary.path("p"));
    temporary.fixture.run(&temporary.dir, ["clone", "--quiet", "--bare", server.to_str().unwrap(), "p/.bare"]);
    write(&project, ".git", "gitdir: ./.bare\n");
    temporary.fixture.run(&project, ["worktree", "add", "--quiet", "feat"]);
    write(&project.join("feat"), "new.txt", "new");
    let back = temporary.saved_and_restored().await;
    assert_eq!(temporary.show(&back, "TMPDIR/p/feat/files:new.txt"), "new");
}

#[tokio::test]
async fn what_is_staged_in_a_bare_repository_is_named() {
    let temporary = Temporary::new().await;
    temporary.fixture.run(&temporary.dir, ["init", "--quiet", "--bare", "b.git"]);
    let bare = temporary.path("b.git");
    write(&temporary.dir, "files/new.txt", "new");
    temporary.fixture.run(&bare, ["--git-dir=.", "--work-tree=../files", "add", "."]);
    let saved = temporary.save("1").await.unwrap();
    assert_eq!(saved.unsaved, ["what is staged in the bare repository TMPDIR/b.git, and its files, wherever they are"]);
}
