//! Adopting clones that kugetsu did not make.

use std::path::{Path, PathBuf};

use kugetsu_git::adopt::ExternalClone;
use kugetsu_git::adopt::{AdoptError, AdoptSpec, Adopted};
use kugetsu_git::mirror::Mirror;
use kugetsu_git::mirror::Source;
use kugetsu_git::names::BranchName;
use kugetsu_git::worktree::Worktree;

use crate::support::{Fixture, change_within_a_second, quiet, write};

/// A clone on a branch, at the path of the worktree.
struct Clone {
    fixture: Fixture,
    server: PathBuf,
    dir: PathBuf,
}

impl Clone {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let server = fixture.server(&fixture.repository("origin"));
        let dir = fixture.path("trees/one");
        std::fs::create_dir_all(dir.parent().unwrap()).unwrap();
        fixture.run(&fixture.path("home"), ["clone", "-q", server.to_str().unwrap(), dir.to_str().unwrap()]);
        fixture.run(&dir, ["switch", "-q", "-c", "fix/it"]);
        Self { fixture, server, dir }
    }

    fn spec(&self, backup: &str) -> AdoptSpec {
        AdoptSpec {
            dir: self.fixture.path("trees/one"),
            relay: self.fixture.path("relays/one"),
            branch: BranchName::new("kugetsu/1").unwrap(),
            recorded_branch: None,
            git_dir_backup: self.fixture.path(backup).join("one"),
        }
    }

    async fn adopt(&self, from: &Path, backup: &str) -> Result<Adopted, AdoptError> {
        let mirror = self.fixture.mirror(&Source::Path(self.server.clone())).await;
        Worktree::adopt(&mirror, &ExternalClone::at(from)?, self.spec(backup), &mut quiet).await
    }

    fn status(&self) -> String {
        self.fixture.run(&self.dir, ["status", "--porcelain=v2", "--branch", "--untracked-files=all"])
    }
}

#[tokio::test]
async fn change_of_the_same_size_and_second_is_seen_after_adoption() {
    let clone = Clone::new().await;
    change_within_a_second(&clone.fixture, &clone.dir, "README.md").await;
    clone.adopt(&clone.dir, "backup/1").await.unwrap();
    assert!(clone.status().contains("README.md"), "{}", clone.status());
}

#[tokio::test]
async fn interrupted_adoption_can_be_repeated() {
    let clone = Clone::new().await;
    write(&clone.dir, "new.txt", "new\n");
    let head = clone.fixture.commit(&clone.dir, "work");
    write(&clone.dir, "src/a.txt", "changed\n");
    let first = clone.adopt(&clone.dir, "backup/1").await.unwrap();
    assert!(first.in_place && clone.fixture.path("backup/1/one/HEAD").is_file());
    // Killed before the record was written, and leftovers of another adoption.
    std::fs::remove_file(clone.fixture.path("relays/one.owned")).unwrap();
    std::fs::create_dir_all(clone.fixture.path("relays/one.new-1/refs")).unwrap();
    let status = clone.status();
    // The path of the backup is taken, so the old git directory stays beside it.
    write(&clone.fixture.path("backup/2"), "one/in-the-way", "");
    let again = clone.adopt(&clone.dir, "backup/2").await.unwrap();
    assert!(again.notices.iter().any(|notice| notice.contains("its old git directory is")), "{:?}", again.notices);
    let beside: Vec<_> = std::fs::read_dir(clone.fixture.path("backup/2")).unwrap().flatten().collect();
    assert!(beside.iter().any(|entry| entry.path().join("HEAD").is_file()), "{beside:?}");
    assert_eq!(again.worktree.branch().as_str(), "fix/it");
    assert_eq!((clone.status(), clone.fixture.oid(&clone.dir, "HEAD")), (status, head));
    let status = again.worktree.status(again.base.commit.as_ref()).await.unwrap();
    assert_eq!((status.commits, status.uncommitted), (1, vec!["src/a.txt".to_owned()]));
}

#[tokio::test]
async fn unfinished_rebase_continues_after_adoption() {
    let clone = Clone::new().await;
    write(&clone.dir, "src/a.txt", "ours\n");
    clone.fixture.commit(&clone.dir, "ours");
    clone.fixture.run(&clone.dir, ["switch", "-q", "main"]);
    write(&clone.dir, "src/a.txt", "theirs\n");
    clone.fixture.commit(&clone.dir, "theirs");
    clone.fixture.run(&clone.dir, ["switch", "-q", "fix/it"]);
    assert!(!clone.fixture.command(&clone.dir).args(["rebase", "-q", "main"]).output().unwrap().status.success());
    let before = clone.fixture.run(&clone.dir, ["status", "--porcelain=v1"]);
    assert!(before.starts_with("UU"), "{before}");
    let adopted = clone.adopt(&clone.dir, "backup").await.unwrap();
    assert_eq!(adopted.worktree.branch().as_str(), "fix/it");
    assert_eq!(clone.fixture.run(&clone.dir, ["status", "--porcelain=v1"]), before);
    write(&clone.dir, "src/a.txt", "both\n");
    clone.fixture.run(&clone.dir, ["add", "src/a.txt"]);
    clone.fixture.run(&clone.dir, ["commit", "-q", "--no-edit"]);
    clone.fixture.run(&clone.dir, ["rebase", "--continue"]);
    assert_eq!(clone.fixture.run(&clone.dir, ["log", "--format=%s", "-2"]), "ours\ntheirs");
    assert_eq!(clone.fixture.run(&clone.dir, ["branch", "--show-current"]), "fix/it");
}

#[tokio::test]
async fn submodule_and_nested_repository_survive_adoption() {
    let clone = Clone::new().await;
    let nested = clone.fixture.repository("nested");
    clone.fixture.run(
        &clone.dir,
        ["-c", "protocol.file.allow=always", "submodule", "add", "-q", nested.to_str().unwrap(), "sub"],
    );
    clone.fixture.commit(&clone.dir, "with a submodule");
    let sub = clone.dir.join("sub");
    write(&sub, "b.txt", "b\n");
    let commit = clone.fixture.commit(&sub, "inside");
    clone.adopt(&clone.dir, "backup").await.unwrap();
    assert_eq!(clone.fixture.oid(&sub, "HEAD"), commit);
    assert_eq!(clone.fixture.run(&clone.dir, ["status", "--porcelain=v1"]), " M sub");

    // A clone at another path is copied, with both repositories.
    let elsewhere = clone.fixture.path("other/.trees/one");
    std::fs::create_dir_all(elsewhere.parent().unwrap()).unwrap();
    std::fs::rename(&clone.dir, &elsewhere).unwrap();
    std::fs::remove_dir_all(clone.fixture.path("relays")).unwrap();
    clone.fixture.run(&clone.fixture.path("home"), ["init", "-q", elsewhere.join("nested").to_str().unwrap()]);
    write(&elsewhere, "nested/n.txt", "n\n");
    let adopted = clone.adopt(&elsewhere, "backup").await.unwrap();
    assert!(!adopted.in_place);
    assert_eq!(clone.fixture.oid(&sub, "HEAD"), commit);
    assert_eq!(std::fs::read_to_string(clone.dir.join("nested/n.txt")).unwrap(), "n\n");
}

#[tokio::test]
async fn incomplete_clone_is_rejected_and_unchanged() {
    let clone = Clone::new().await;
    write(&clone.dir, "new.txt", "new\n");
    clone.fixture.commit(&clone.dir, "work");
    let shallow = clone.fixture.path("shallow");
    let url = format!("file://{}", clone.dir.display());
    clone.fixture.run(&clone.fixture.path("home"), ["clone", "-q", "--depth=1", &url, shallow.to_str().unwrap()]);
    let missing = Source::Path(clone.fixture.path("missing"));
    let external = ExternalClone::at(&shallow).unwrap();
    let mirror = clone.fixture.path("mirrors/none");
    let result = Mirror::open_or_bootstrap(&clone.fixture.git, &mirror, &missing, &external, &mut quiet).await;
    assert!(result.unwrap_err().to_string().contains("missing"));
    assert!(!mirror.exists());

    let objects = clone.dir.join(".git/objects");
    std::fs::rename(&objects, clone.fixture.path("objects")).unwrap();
    std::fs::create_dir(&objects).unwrap();
    assert!(matches!(clone.adopt(&clone.dir, "backup").await, Err(AdoptError::Damaged { .. })));

    // A failure at the end leaves nothing behind.
    std::fs::remove_dir(&objects).unwrap();
    std::fs::rename(clone.fixture.path("objects"), &objects).unwrap();
    let elsewhere = clone.fixture.path("elsewhere");
    std::fs::rename(&clone.dir, &elsewhere).unwrap();
    std::fs::create_dir(clone.fixture.path("relays/one.owned")).unwrap();
    assert!(clone.adopt(&elsewhere, "backup").await.is_err());
    std::fs::rename(&elsewhere, &clone.dir).unwrap();
    let status = clone.status();
    assert!(clone.adopt(&clone.dir, "backup").await.is_err());
    assert_eq!(clone.status(), status);
    assert_eq!(clone.fixture.run(&clone.dir, ["remote", "get-url", "origin"]), clone.server.display().to_string());
    assert!(!clone.fixture.path("backup").exists() && !clone.fixture.path("relays/one").exists());
}

#[tokio::test]
async fn obstacles_to_a_push_are_named_at_adoption() {
    // Others build on it, although it is not the default branch.
    let clone = Clone::new().await;
    clone.fixture.run(&clone.dir, ["switch", "-q", "-c", "develop"]);
    clone.fixture.run(&clone.dir, ["push", "-q", "origin", "develop"]);
    let adopted = clone.adopt(&clone.dir, "backup/1").await.unwrap();
    assert_eq!(adopted.worktree.branch().as_str(), "kugetsu/1");
    assert_eq!(adopted.notices, ["kugetsu/1 is a new branch at the HEAD of the clone"]);

    // The server has the branch.
    let clone = Clone::new().await;
    clone.fixture.run(&clone.dir, ["push", "-q", "origin", "fix/it"]);
    let adopted = clone.adopt(&clone.dir, "backup/1").await.unwrap();
    assert_eq!(adopted.worktree.branch().as_str(), "fix/it");
    assert_eq!(adopted.notices, ["its commits are pushed to fix/it, which the clone is on and the server has already"]);

    // The source is a local repository in which the user is on the branch.
    let clone = Clone::new().await;
    let source = clone.fixture.path("source");
    let home = clone.fixture.path("home");
    clone.fixture.run(&home, ["clone", "-q", clone.server.to_str().unwrap(), source.to_str().unwrap()]);
    clone.fixture.run(&source, ["worktree", "add", "-q", "-b", "fix/it", "../linked"]);
    let mirror = clone.fixture.mirror(&Source::Path(source.clone())).await;
    let external = ExternalClone::at(&clone.dir).unwrap();
    let adopted = Worktree::adopt(&mirror, &external, clone.spec("backup/1"), &mut quiet).await.unwrap();
    let notices = adopted.notices.join("\n");
    assert!(notices.contains("fix/it is checked out at") && notices.contains("switch "), "{notices}");
}

#[tokio::test]
async fn clone_on_another_file_system_than_the_backup_is_adopted() {
    use std::os::unix::fs::MetadataExt;
    for is_there in [true, false] {
        let clone = Clone::new().await;
        let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
        if elsewhere.path().metadata().unwrap().dev() == clone.dir.metadata().unwrap().dev() {
            return;
        }
        write(&clone.dir, "staged.txt", "1\n");
        clone.fixture.run(&clone.dir, ["add", "staged.txt"]);
        write(&clone.dir, ".git/lfs/objects/kept", "1\n");
        let before = clone.status();
        let dir = elsewhere.path().canonicalize().unwrap().join("trees/one");
        let from = if is_there { dir.clone() } else { clone.dir.clone() };
        if is_there {
            std::fs::create_dir_all(dir.parent().unwrap()).unwrap();
            let copied = std::process::Command::new("cp").arg("-a").arg(&clone.dir).arg(&dir).status().unwrap();
            assert!(copied.success());
        }
        let spec = AdoptSpec { dir: dir.clone(), ..clone.spec("backup/1") };
        let mirror = clone.fixture.mirror(&Source::Path(clone.server.clone())).await;
        let adopted = Worktree::adopt(&mirror, &ExternalClone::at(&from).unwrap(), spec, &mut quiet).await.unwrap();
        assert_eq!(adopted.notices, Vec::<String>::new());
        let args = ["status", "--porcelain=v2", "--branch", "--untracked-files=all"];
        let after = clone.fixture.run(&dir, args);
        let changes =
            |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(changes(&after), changes(&before));
        assert!(dir.join(".git/lfs/objects/kept").exists());
        assert_eq!(clone.fixture.path("backup/1/one/HEAD").exists(), is_there);
        let beside = std::fs::read_dir(dir.parent().unwrap()).unwrap().count();
        assert_eq!(beside, 1, "no leftovers");
    }
}
