//! Commits of nested repositories: submodules, checked out or not, and what an agent created or cloned.

use std::path::{Path, PathBuf};

use kugetsu_git::mirror::Mirror;
use kugetsu_git::names::Oid;
use kugetsu_git::rescue;
use kugetsu_git::worktree::Worktree;

use crate::rescue::save;
use crate::support::{Fixture, url, write};

/// Options that let git clone a submodule from a path.
const ALLOW_FILES: [&str; 2] = ["-c", "protocol.file.allow=always"];

/// A worktree whose submodule `parts/inner` is checked out.
async fn with_submodule(fixture: &Fixture, options: &[&str]) -> (Mirror, Worktree, PathBuf) {
    let inner = fixture.repository("inner");
    fixture.commit(&inner, "Second, of this repository alone");
    fixture.commit(&inner, "Third");
    let address = format!("file://{}", inner.display());
    let repository = fixture.repository("repository");
    fixture.run(&repository, ALLOW_FILES.iter().chain(&["submodule", "--quiet", "add", &address, "parts/inner"]));
    fixture.commit(&repository, "Submodule");
    let mirror = fixture.mirror(&url(&repository)).await;
    let worktree = fixture.create(&mirror).await.worktree;
    fixture.run(worktree.dir(), ALLOW_FILES.iter().chain(&["submodule", "--quiet", "update", "--init"]).chain(options));
    let parts = worktree.dir().join("parts/inner");
    (mirror, worktree, parts)
}

/// Commits on a branch `work`, then detaches HEAD at the commit before.
#[track_caller]
fn work_and_go_back(fixture: &Fixture, repository: &Path) -> Oid {
    fixture.run(repository, ["switch", "--quiet", "-c", "work"]);
    write(repository, "work.txt", "work\n");
    let work = fixture.commit(repository, "Work inside");
    fixture.run(repository, ["switch", "--quiet", "--detach", "work^"]);
    work
}

#[tokio::test]
async fn commits_of_a_submodule_are_saved_and_restored() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, parts) = with_submodule(&fixture, &[]).await;
    assert!(rescue::work_at_risk(&mirror, &worktree).await.unwrap().is_empty());
    let work = work_and_go_back(&fixture, &parts);
    write(&parts, "README.md", "stashed\n");
    fixture.run(&parts, ["stash", "--quiet"]);
    let stash = fixture.oid(&parts, "refs/stash");
    assert!(!rescue::work_at_risk(&mirror, &worktree).await.unwrap().is_empty());
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    assert_eq!(saved.unsaved, Vec::<String>::new());
    assert_eq!(save(&mirror, &worktree, "2").await, None, "the same state is saved once");
    worktree.remove().await.unwrap();

    for kept in [&work, &stash] {
        fixture.run(mirror.dir(), ["merge-base", "--is-ancestor", kept.as_str(), &saved.name]);
    }
    assert_eq!(fixture.run(mirror.dir(), ["for-each-ref", "refs/kugetsu/outgoing"]), "");
    let back = fixture.path("back");
    let restored = rescue::restore(&mirror, &saved.name, &back).await.unwrap();
    assert_eq!(
        restored.notices,
        ["the repository parts/inner had commits that its server does not have; they are below \
          refs/kugetsu/inner/parts/inner here"]
    );
    assert_eq!(fixture.oid(&back, "refs/kugetsu/inner/parts/inner/heads/work"), work);
    assert_eq!(fixture.oid(&back, "refs/kugetsu/inner/parts/inner/stash"), stash);
    assert_eq!(fixture.run(&back, ["show", &format!("{work}:work.txt")]), "work");
    fixture.run(&back, ["fsck"]);
}

#[tokio::test]
async fn commits_of_a_submodule_without_files_are_at_risk_and_saved() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, parts) = with_submodule(&fixture, &[]).await;
    let work = work_and_go_back(&fixture, &parts);
    fixture.run(worktree.dir(), ["submodule", "--quiet", "deinit", "--force", "parts/inner"]);
    let at_risk = rescue::work_at_risk(&mirror, &worktree).await.unwrap();
    assert_eq!(at_risk.uncommitted_total, 0);
    assert_eq!(at_risk.other_branches, [".git/modules/parts/inner: refs/heads/work"]);
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    assert_eq!((saved.files, &saved.unsaved), (0, &Vec::new()));
    assert!(rescue::work_at_risk(&mirror, &worktree).await.unwrap().is_empty(), "a rescue is safe");
    worktree.remove().await.unwrap();
    fixture.run(mirror.dir(), ["merge-base", "--is-ancestor", work.as_str(), &saved.name]);
    let back = fixture.path("back");
    let restored = rescue::restore(&mirror, &saved.name, &back).await.unwrap();
    assert!(restored.notices[0].contains("refs/kugetsu/inner/%2egit/modules/parts/inner"), "{restored:?}");
    assert_eq!(fixture.oid(&back, "refs/kugetsu/inner/%2egit/modules/parts/inner/heads/work"), work);
}

#[tokio::test]
async fn commits_of_created_and_cloned_repositories_are_saved() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, server) = fixture.ready().await;
    let made = worktree.dir().join("a b/made");
    std::fs::create_dir_all(&made).unwrap();
    fixture.run(&made, ["init", "--quiet"]);
    fixture.commit(&made, "One");
    let tagged = fixture.commit(&made, "Tagged");
    fixture.run(&made, ["tag", "v1"]);
    fixture.run(&made, ["reset", "--quiet", "--hard", "HEAD^"]);
    let deep = made.join("deep");
    fixture.run(&made, ["clone", "--quiet", server.to_str().unwrap(), deep.to_str().unwrap()]);
    let lost = fixture.commit(&deep, "Deep");
    fixture.run(&deep, ["reset", "--quiet", "--hard", "HEAD^"]);
    fixture.run(&deep, ["worktree", "add", "--quiet", "--detach", "../linked", lost.as_str()]);

    let saved = save(&mirror, &worktree, "1").await.unwrap();
    assert_eq!(saved.unsaved, Vec::<String>::new());
    for kept in [&tagged, &lost] {
        fixture.run(mirror.dir(), ["merge-base", "--is-ancestor", kept.as_str(), &saved.name]);
    }
    let back = fixture.path("back");
    rescue::restore(&mirror, &saved.name, &back).await.unwrap();
    assert_eq!(fixture.oid(&back, "refs/kugetsu/inner/a%20b/made/tags/v1"), tagged);
    let short = &lost.as_str()[..10];
    assert_eq!(fixture.oid(&back, &format!("refs/kugetsu/inner/a%20b/made/deep/kept/{short}")), lost);
}

#[tokio::test]
async fn unsavable_commits_are_reported_every_time() {
    let fixture = Fixture::new().await;
    // A shallow submodule: its commits cannot be imported completely.
    let (mirror, worktree, parts) = with_submodule(&fixture, &["--depth=1"]).await;
    assert_eq!(fixture.run(&parts, ["rev-parse", "--is-shallow-repository"]), "true");
    assert!(rescue::work_at_risk(&mirror, &worktree).await.unwrap().is_empty(), "an unchanged submodule is safe");
    work_and_go_back(&fixture, &parts);
    for time in ["1", "2"] {
        let saved = save(&mirror, &worktree, time).await.unwrap();
        assert_eq!(saved.name, "refs/kugetsu/rescue/7/1");
        assert_eq!(saved.unsaved.len(), 1, "{saved:?}");
        assert!(
            saved.unsaved[0].starts_with("commits of refs/heads/work in the repository parts/inner ("),
            "{saved:?}"
        );
    }
    assert_eq!(mirror_is_shallow(&fixture, &mirror), "false");
}

fn mirror_is_shallow(fixture: &Fixture, mirror: &Mirror) -> String {
    fixture.run(mirror.dir(), ["rev-parse", "--is-shallow-repository"])
}

#[tokio::test]
async fn links_in_a_nested_repository_are_not_followed() {
    let fixture = Fixture::new().await;
    let secret = fixture.repository("secret");
    write(&secret, "secret.txt", "do not tell\n");
    let private = fixture.commit(&secret, "Private");
    let (mirror, worktree, parts) = with_submodule(&fixture, &[]).await;
    let git_dir = worktree.dir().join(".git/modules/parts/inner");
    fixture.run(&parts, ["update-ref", "refs/heads/damaged", "HEAD"]);
    std::fs::write(git_dir.join("refs/heads/damaged"), format!("{private}\n")).unwrap();
    std::fs::write(git_dir.join("objects/info/alternates"), format!("{}\n", secret.join(".git/objects").display()))
        .unwrap();
    std::os::unix::fs::symlink(secret.join(".git"), worktree.dir().join(".git/modules/link")).unwrap();
    std::os::unix::fs::symlink("..", worktree.dir().join(".git/modules/loop")).unwrap();
    std::os::unix::fs::symlink(&secret, worktree.dir().join("way-out")).unwrap();
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    assert_eq!(saved.unsaved, Vec::<String>::new(), "work that is lost already does not prevent a removal");
    assert!(saved.notices.iter().any(|notice| notice.contains("refs/heads/damaged in parts/inner")), "{saved:?}");
    let look = fixture.command(mirror.dir()).args(["cat-file", "-e", private.as_str()]).status();
    assert!(look.is_ok_and(|status| !status.success()));
}

#[tokio::test]
async fn commits_of_repositories_in_ignored_directories_are_at_risk_and_saved() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, server) = fixture.ready().await;
    write(worktree.dir(), "vendor/.gitignore", "*\n");
    let clone = worktree.dir().join("vendor/deep/c");
    fixture.run(worktree.dir(), ["clone", "--quiet", server.to_str().unwrap(), clone.to_str().unwrap()]);
    let shallow = worktree.dir().join("vendor/shallow");
    let from = format!("file://{}", server.display());
    fixture.run(worktree.dir(), ["clone", "--quiet", "--depth=1", &from, shallow.to_str().unwrap()]);
    fixture.run(&shallow, ["remote", "remove", "origin"]);
    assert!(rescue::work_at_risk(&mirror, &worktree).await.unwrap().is_empty(), "servers have all of it");
    assert_eq!(save(&mirror, &worktree, "1").await, None);
    write(&clone, "work.txt", "work\n");
    let work = fixture.commit(&clone, "Work");
    let at_risk = rescue::work_at_risk(&mirror, &worktree).await.unwrap();
    assert_eq!(at_risk.other_branches, ["vendor/deep/c: refs/heads/main"]);
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    assert_eq!(saved.unsaved, Vec::<String>::new());
    fixture.run(mirror.dir(), ["merge-base", "--is-ancestor", work.as_str(), &saved.name]);
    let back = fixture.path("back");
    rescue::restore(&mirror, &saved.name, &back).await.unwrap();
    assert_eq!(fixture.oid(&back, "refs/kugetsu/inner/vendor/deep/c/heads/main"), work);
}
