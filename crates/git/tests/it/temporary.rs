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
