//! Commits of repositories inside a worktree: submodules, checked out or not, and what an agent made or cloned there.

use std::path::{Path, PathBuf};

use kugetsu_git::mirror::Mirror;
use kugetsu_git::names::Oid;
use kugetsu_git::rescue;
use kugetsu_git::worktree::Worktree;

use crate::rescue::save;
use crate::support::{Place, url, write};

const FILES: [&str; 2] = ["-c", "protocol.file.allow=always"];

/// A worktree whose submodule `parts/inner` is checked out.
async fn with_submodule(place: &Place, options: &[&str]) -> (Mirror, Worktree, PathBuf) {
    let inner = place.repository("inner");
    place.commit(&inner, "Second, of this repository alone");
    place.commit(&inner, "Third");
    let address = format!("file://{}", inner.display());
    let repository = place.repository("repository");
    place.run(&repository, FILES.iter().chain(&["submodule", "--quiet", "add", &address, "parts/inner"]));
    place.commit(&repository, "Submodule");
    let mirror = place.mirror(&url(&repository)).await;
    let worktree = place.create(&mirror).await.worktree;
    place.run(worktree.dir(), FILES.iter().chain(&["submodule", "--quiet", "update", "--init"]).chain(options));
    let parts = worktree.dir().join("parts/inner");
    (mirror, worktree, parts)
}

/// Commits on a branch `work`, and goes back to where HEAD stood.
#[track_caller]
fn work_and_go_back(place: &Place, repository: &Path) -> Oid {
    place.run(repository, ["switch", "--quiet", "-c", "work"]);
    write(repository, "work.txt", "work\n");
    let work = place.commit(repository, "Work inside");
    place.run(repository, ["switch", "--quiet", "--detach", "work^"]);
    work
}

#[tokio::test]
async fn commits_of_a_submodule_are_in_the_rescue_and_come_back() {
    let place = Place::new().await;
    let (mirror, worktree, parts) = with_submodule(&place, &[]).await;
    assert!(rescue::is_safe(&mirror, &worktree).await.unwrap().is_nothing());
    let work = work_and_go_back(&place, &parts);
    write(&parts, "README.md", "stashed\n");
    place.run(&parts, ["stash", "--quiet"]);
    let stash = place.oid(&parts, "refs/stash");
    assert!(!rescue::is_safe(&mirror, &worktree).await.unwrap().is_nothing());
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    assert_eq!(saved.unsaved, Vec::<String>::new());
    assert_eq!(save(&mirror, &worktree, "2").await, None, "the same state is saved once");
    worktree.remove().await.unwrap();

    for kept in [&work, &stash] {
        place.run(mirror.dir(), ["merge-base", "--is-ancestor", kept.as_str(), &saved.name]);
    }
    assert_eq!(place.run(mirror.dir(), ["for-each-ref", "refs/kugetsu/outgoing"]), "");
    let back = place.path("back");
    let restored = rescue::restore(&mirror, &saved.name, &back).await.unwrap();
    assert_eq!(
        restored.notices,
        ["the repository parts/inner had commits that its server does not have; they are here below \
          refs/kugetsu/inner/parts/inner"]
    );
    assert_eq!(place.oid(&back, "refs/kugetsu/inner/parts/inner/heads/work"), work);
    assert_eq!(place.oid(&back, "refs/kugetsu/inner/parts/inner/stash"), stash);
    assert_eq!(place.run(&back, ["show", &format!("{work}:work.txt")]), "work");
    place.run(&back, ["fsck"]);
}

#[tokio::test]
async fn commits_of_a_submodule_without_files_are_asked_about_and_saved() {
    let place = Place::new().await;
    let (mirror, worktree, parts) = with_submodule(&place, &[]).await;
    let work = work_and_go_back(&place, &parts);
    place.run(worktree.dir(), ["submodule", "--quiet", "deinit", "--force", "parts/inner"]);
    let at_risk = rescue::is_safe(&mirror, &worktree).await.unwrap();
    assert_eq!(at_risk.uncommitted_total, 0);
    assert_eq!(at_risk.other_branches, [".git/modules/parts/inner: refs/heads/work"]);
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    assert_eq!((saved.files, &saved.unsaved), (0, &Vec::new()));
    assert!(rescue::is_safe(&mirror, &worktree).await.unwrap().is_nothing(), "a rescue is safe");
    worktree.remove().await.unwrap();
    place.run(mirror.dir(), ["merge-base", "--is-ancestor", work.as_str(), &saved.name]);
    let back = place.path("back");
    let restored = rescue::restore(&mirror, &saved.name, &back).await.unwrap();
    assert!(restored.notices[0].contains("refs/kugetsu/inner/%2egit/modules/parts/inner"), "{restored:?}");
    assert_eq!(place.oid(&back, "refs/kugetsu/inner/%2egit/modules/parts/inner/heads/work"), work);
}

#[tokio::test]
async fn commits_of_repositories_that_an_agent_made_or_cloned_are_in_the_rescue() {
    let place = Place::new().await;
    let (mirror, worktree, server) = place.ready().await;
    let made = worktree.dir().join("a b/made");
    std::fs::create_dir_all(&made).unwrap();
    place.run(&made, ["init", "--quiet"]);
    place.commit(&made, "One");
    let tagged = place.commit(&made, "Tagged");
    place.run(&made, ["tag", "v1"]);
    place.run(&made, ["reset", "--quiet", "--hard", "HEAD^"]);
    let deep = made.join("deep");
    place.run(&made, ["clone", "--quiet", server.to_str().unwrap(), deep.to_str().unwrap()]);
    let lost = place.commit(&deep, "Deep");
    place.run(&deep, ["reset", "--quiet", "--hard", "HEAD^"]);
    place.run(&deep, ["worktree", "add", "--quiet", "--detach", "../linked", lost.as_str()]);

    let saved = save(&mirror, &worktree, "1").await.unwrap();
    assert_eq!(saved.unsaved, Vec::<String>::new());
    for kept in [&tagged, &lost] {
        place.run(mirror.dir(), ["merge-base", "--is-ancestor", kept.as_str(), &saved.name]);
    }
    let back = place.path("back");
    rescue::restore(&mirror, &saved.name, &back).await.unwrap();
    assert_eq!(place.oid(&back, "refs/kugetsu/inner/a%20b/made/tags/v1"), tagged);
    let short = &lost.as_str()[..10];
    assert_eq!(place.oid(&back, &format!("refs/kugetsu/inner/a%20b/made/deep/kept/{short}")), lost);
}

#[tokio::test]
async fn what_cannot_be_kept_is_named_each_time() {
    let place = Place::new().await;
    // Its history is cut off, so nobody could take it whole.
    let (mirror, worktree, parts) = with_submodule(&place, &["--depth=1"]).await;
    assert_eq!(place.run(&parts, ["rev-parse", "--is-shallow-repository"]), "true");
    assert!(rescue::is_safe(&mirror, &worktree).await.unwrap().is_nothing(), "as it was fetched it is safe");
    work_and_go_back(&place, &parts);
    for time in ["1", "2"] {
        let saved = save(&mirror, &worktree, time).await.unwrap();
        assert_eq!(saved.name, "refs/kugetsu/rescue/7/1");
        assert_eq!(saved.unsaved.len(), 1, "{saved:?}");
        assert!(
            saved.unsaved[0].starts_with("commits of refs/heads/work in the repository parts/inner ("),
            "{saved:?}"
        );
    }
    assert_eq!(mirror_is_shallow(&place, &mirror), "false");
}

fn mirror_is_shallow(place: &Place, mirror: &Mirror) -> String {
    place.run(mirror.dir(), ["rev-parse", "--is-shallow-repository"])
}

#[tokio::test]
async fn links_and_damage_inside_a_repository_inside_open_nothing() {
    let place = Place::new().await;
    let secret = place.repository("secret");
    write(&secret, "secret.txt", "do not tell\n");
    let private = place.commit(&secret, "Private");
    let (mirror, worktree, parts) = with_submodule(&place, &[]).await;
    let git_dir = worktree.dir().join(".git/modules/parts/inner");
    place.run(&parts, ["update-ref", "refs/heads/damaged", "HEAD"]);
    std::fs::write(git_dir.join("refs/heads/damaged"), format!("{private}\n")).unwrap();
    std::fs::write(git_dir.join("objects/info/alternates"), format!("{}\n", secret.join(".git/objects").display()))
        .unwrap();
    std::os::unix::fs::symlink(secret.join(".git"), worktree.dir().join(".git/modules/link")).unwrap();
    std::os::unix::fs::symlink("..", worktree.dir().join(".git/modules/loop")).unwrap();
    std::os::unix::fs::symlink(&secret, worktree.dir().join("way-out")).unwrap();
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    assert_eq!(saved.unsaved, Vec::<String>::new(), "what is lost already does not stand in the way of a removal");
    assert!(saved.notices.iter().any(|notice| notice.contains("refs/heads/damaged in parts/inner")), "{saved:?}");
    let look = place.command(mirror.dir()).args(["cat-file", "-e", private.as_str()]).status();
    assert!(look.is_ok_and(|status| !status.success()));
}
