//! Clones that kugetsu did not make become worktrees, with everything in them.

use std::path::{Path, PathBuf};

use kugetsu_git::adopt::ExternalClone;
use kugetsu_git::adopt::{AdoptError, AdoptSpec, Adopted};
use kugetsu_git::mirror::Mirror;
use kugetsu_git::mirror::Source;
use kugetsu_git::names::BranchName;
use kugetsu_git::worktree::Worktree;

use crate::support::{Place, quiet, write};

/// A clone at the worktree's own place, on a branch.
struct Clone {
    place: Place,
    server: PathBuf,
    dir: PathBuf,
}

impl Clone {
    async fn new() -> Self {
        let place = Place::new().await;
        let server = place.server(&place.repository("origin"));
        let dir = place.path("trees/one");
        std::fs::create_dir_all(dir.parent().unwrap()).unwrap();
        place.run(&place.path("home"), ["clone", "-q", server.to_str().unwrap(), dir.to_str().unwrap()]);
        place.run(&dir, ["switch", "-q", "-c", "fix/it"]);
        Self { place, server, dir }
    }

    fn spec(&self, kept: &str) -> AdoptSpec {
        AdoptSpec {
            dir: self.place.path("trees/one"),
            relay: self.place.path("relays/one"),
            branch: BranchName::new("kugetsu/1").unwrap(),
            noted: None,
            kept: self.place.path(kept).join("one"),
        }
    }

    async fn adopt(&self, from: &Path, kept: &str) -> Result<Adopted, AdoptError> {
        let mirror = self.place.mirror(&Source::Path(self.server.clone())).await;
        Worktree::adopt(&mirror, &ExternalClone::at(from)?, self.spec(kept), &mut quiet).await
    }

    fn status(&self) -> String {
        self.place.run(&self.dir, ["status", "--porcelain=v2", "--branch", "--untracked-files=all"])
    }
}

#[tokio::test]
async fn a_takeover_that_was_cut_off_is_done_again() {
    let clone = Clone::new().await;
    write(&clone.dir, "new.txt", "new\n");
    let head = clone.place.commit(&clone.dir, "work");
    write(&clone.dir, "src/a.txt", "changed\n");
    let first = clone.adopt(&clone.dir, "kept/1").await.unwrap();
    assert!(first.stayed && clone.place.path("kept/1/one/HEAD").is_file());
    // Whoever was to write it down was killed; half of another one lies about too.
    std::fs::remove_file(clone.place.path("relays/one.owned")).unwrap();
    std::fs::create_dir_all(clone.place.path("relays/one.new-1/refs")).unwrap();
    let status = clone.status();
    // Where it should be kept is something else: it stays beside.
    write(&clone.place.path("kept/2"), "one/in-the-way", "");
    let again = clone.adopt(&clone.dir, "kept/2").await.unwrap();
    assert!(again.notices.iter().any(|notice| notice.contains("its old git directory is")), "{:?}", again.notices);
    let beside: Vec<_> = std::fs::read_dir(clone.place.path("kept/2")).unwrap().flatten().collect();
    assert!(beside.iter().any(|entry| entry.path().join("HEAD").is_file()), "{beside:?}");
    assert_eq!(again.worktree.branch().as_str(), "fix/it");
    assert_eq!((clone.status(), clone.place.oid(&clone.dir, "HEAD")), (status, head));
    let status = again.worktree.status(again.base.commit.as_ref()).await.unwrap();
    assert_eq!((status.commits, status.uncommitted), (1, vec!["src/a.txt".to_owned()]));
}

#[tokio::test]
async fn a_rebase_that_stopped_at_a_conflict_goes_on_after_the_takeover() {
    let clone = Clone::new().await;
    write(&clone.dir, "src/a.txt", "ours\n");
    clone.place.commit(&clone.dir, "ours");
    clone.place.run(&clone.dir, ["switch", "-q", "main"]);
    write(&clone.dir, "src/a.txt", "theirs\n");
    clone.place.commit(&clone.dir, "theirs");
    clone.place.run(&clone.dir, ["switch", "-q", "fix/it"]);
    assert!(!clone.place.command(&clone.dir).args(["rebase", "-q", "main"]).output().unwrap().status.success());
    let before = clone.place.run(&clone.dir, ["status", "--porcelain=v1"]);
    assert!(before.starts_with("UU"), "{before}");
    let adopted = clone.adopt(&clone.dir, "kept").await.unwrap();
    assert_eq!(adopted.worktree.branch().as_str(), "fix/it");
    assert_eq!(clone.place.run(&clone.dir, ["status", "--porcelain=v1"]), before);
    write(&clone.dir, "src/a.txt", "both\n");
    clone.place.run(&clone.dir, ["add", "src/a.txt"]);
    clone.place.run(&clone.dir, ["commit", "-q", "--no-edit"]);
    clone.place.run(&clone.dir, ["rebase", "--continue"]);
    assert_eq!(clone.place.run(&clone.dir, ["log", "--format=%s", "-2"]), "ours\ntheirs");
    assert_eq!(clone.place.run(&clone.dir, ["branch", "--show-current"]), "fix/it");
}

#[tokio::test]
async fn a_submodule_and_a_repository_inside_stay_what_they_were() {
    let clone = Clone::new().await;
    let inner = clone.place.repository("inner");
    clone.place.run(
        &clone.dir,
        ["-c", "protocol.file.allow=always", "submodule", "add", "-q", inner.to_str().unwrap(), "sub"],
    );
    clone.place.commit(&clone.dir, "with a submodule");
    let sub = clone.dir.join("sub");
    write(&sub, "b.txt", "b\n");
    let commit = clone.place.commit(&sub, "inside");
    clone.adopt(&clone.dir, "kept").await.unwrap();
    assert_eq!(clone.place.oid(&sub, "HEAD"), commit);
    assert_eq!(clone.place.run(&clone.dir, ["status", "--porcelain=v1"]), " M sub");

    // Elsewhere a copy is made, with both.
    let elsewhere = clone.place.path("other/.trees/one");
    std::fs::create_dir_all(elsewhere.parent().unwrap()).unwrap();
    std::fs::rename(&clone.dir, &elsewhere).unwrap();
    std::fs::remove_dir_all(clone.place.path("relays")).unwrap();
    clone.place.run(&clone.place.path("home"), ["init", "-q", elsewhere.join("nested").to_str().unwrap()]);
    write(&elsewhere, "nested/n.txt", "n\n");
    let adopted = clone.adopt(&elsewhere, "kept").await.unwrap();
    assert!(!adopted.stayed);
    assert_eq!(clone.place.oid(&sub, "HEAD"), commit);
    assert_eq!(std::fs::read_to_string(clone.dir.join("nested/n.txt")).unwrap(), "n\n");
}

#[tokio::test]
async fn a_clone_that_is_not_whole_is_no_mirror_and_stays_as_it_is() {
    let clone = Clone::new().await;
    write(&clone.dir, "new.txt", "new\n");
    clone.place.commit(&clone.dir, "work");
    let shallow = clone.place.path("shallow");
    let url = format!("file://{}", clone.dir.display());
    clone.place.run(&clone.place.path("home"), ["clone", "-q", "--depth=1", &url, shallow.to_str().unwrap()]);
    let nowhere = Source::Path(clone.place.path("nowhere"));
    let found = ExternalClone::at(&shallow).unwrap();
    let place = clone.place.path("mirrors/none");
    let refused = Mirror::open_or_bootstrap(&clone.place.git, &place, &nowhere, &found, &mut quiet).await;
    assert!(refused.unwrap_err().to_string().contains("nowhere"));
    assert!(!place.exists());

    let objects = clone.dir.join(".git/objects");
    std::fs::rename(&objects, clone.place.path("objects")).unwrap();
    std::fs::create_dir(&objects).unwrap();
    assert!(matches!(clone.adopt(&clone.dir, "kept").await, Err(AdoptError::Damaged { .. })));

    // What cannot be put in place leaves nothing behind.
    std::fs::remove_dir(&objects).unwrap();
    std::fs::rename(clone.place.path("objects"), &objects).unwrap();
    let elsewhere = clone.place.path("elsewhere");
    std::fs::rename(&clone.dir, &elsewhere).unwrap();
    std::fs::create_dir(clone.place.path("relays/one.owned")).unwrap();
    assert!(clone.adopt(&elsewhere, "kept").await.is_err());
    std::fs::rename(&elsewhere, &clone.dir).unwrap();
    let status = clone.status();
    assert!(clone.adopt(&clone.dir, "kept").await.is_err());
    assert_eq!(clone.status(), status);
    assert_eq!(clone.place.run(&clone.dir, ["remote", "get-url", "origin"]), clone.server.display().to_string());
    assert!(!clone.place.path("kept").exists() && !clone.place.path("relays/one").exists());
}
