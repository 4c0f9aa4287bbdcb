//! Repositories of every kind: empty, shallow, partial, SHA-256, with submodules, with large files.

use std::path::Path;

use kugetsu_git::push::Lease;
use kugetsu_git::rescue::{self, SaveSpec};
use kugetsu_git::source::Source;

use crate::support::{Place, branch, read, url, write};

fn spec() -> SaveSpec {
    SaveSpec { issue_number: 7, why: "test".to_owned(), at: "20261122T201500Z".to_owned() }
}

/// Creates, commits, pushes, rescues and restores.
async fn round(place: &Place, source: &Source) -> Vec<String> {
    let mirror = place.mirror(source).await;
    let created = place.create(&mirror).await;
    let worktree = created.worktree;
    assert_eq!(place.run(worktree.dir(), ["status", "--porcelain"]), "");
    write(worktree.dir(), "mine.txt", "mine\n");
    let head = place.commit(worktree.dir(), "Mine");
    place.run(worktree.dir(), ["push", "--quiet"]);
    let survey = worktree.survey(created.base_sha.as_ref()).await.unwrap();
    assert_eq!((survey.best_head.as_ref(), survey.commits, survey.gate_head.as_ref()), (Some(&head), 1, Some(&head)));

    write(worktree.dir(), "left.txt", "left\n");
    let saved = rescue::save(&mirror, &worktree, spec()).await.unwrap().unwrap();
    assert_eq!((saved.files, saved.unsaved.len()), (1, 0), "{saved:?}");
    let published = mirror.publish(&worktree, &head, Lease::Expect(None)).await.unwrap();
    assert_eq!(published.was, None);
    assert_eq!(mirror.on_server(&branch()).await.unwrap(), Some(head.clone()));

    let back = place.path("back");
    rescue::restore(&mirror, &saved.name, &back).await.unwrap();
    assert_eq!(read(&back, "left.txt"), b"left\n");
    assert_eq!(place.oid(&back, "HEAD"), head);
    let unfiltered = ["-c", "filter.lfs.required=false", "-c", "filter.lfs.process=", "-c", "filter.lfs.clean="];
    assert_eq!(place.run(&back, unfiltered.iter().chain(&["status", "--porcelain"])), "?? left.txt");
    worktree.remove().await.unwrap();
    created.notices
}

#[tokio::test]
async fn a_folder() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    assert_eq!(round(&place, &Source::Path(repository)).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_empty_repository_begins_without_a_parent() {
    let place = Place::new().await;
    let repository = place.empty("repository", &["--bare", "--initial-branch=trunk"]);
    round(&place, &url(&repository)).await;
    assert_eq!(place.run(&repository, ["rev-list", "--count", "kugetsu/7-fix"]), "1");
}

#[tokio::test]
async fn an_empty_folder_begins_without_a_parent() {
    let place = Place::new().await;
    let repository = place.empty("repository", &[]);
    round(&place, &Source::Path(repository)).await;
}

#[tokio::test]
async fn a_default_branch_of_another_name() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    place.run(&repository, ["branch", "--move", "main", "trünk/1"]);
    round(&place, &url(&repository)).await;
}

#[tokio::test]
async fn a_detached_head() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    place.run(&repository, ["switch", "--quiet", "--detach"]);
    write(&repository, "detached", "1");
    place.commit(&repository, "Detached");
    round(&place, &Source::Path(repository)).await;
}

#[tokio::test]
async fn a_shallow_folder() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    place.commit(&repository, "Second");
    let server = place.server(&repository);
    let clone = place.path("clone");
    let from = format!("file://{}", server.display());
    place.run(&place.path("home"), ["clone", "--quiet", "--depth=1", &from, clone.to_str().unwrap()]);
    round(&place, &Source::Path(clone)).await;
}

#[tokio::test]
async fn a_partial_folder() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    write(&repository, "src/a.txt", "changed\n");
    place.commit(&repository, "Second");
    let server = place.server(&repository);
    let clone = place.path("clone");
    let from = format!("file://{}", server.display());
    place.run(
        &place.path("home"),
        ["clone", "--quiet", "--filter=blob:none", "--no-checkout", &from, clone.to_str().unwrap()],
    );
    // Nothing was checked out, so every content has to come from the server, and does.
    let clone_of = Source::Path(clone);
    round(&place, &clone_of).await;
}

#[tokio::test]
async fn sha256() {
    let place = Place::new().await;
    let repository = place.empty("repository", &["--object-format=sha256"]);
    write(&repository, "a", "1");
    let head = place.commit(&repository, "First");
    assert_eq!(head.as_str().len(), 64);
    round(&place, &Source::Path(repository)).await;
}

fn submodule(place: &Place, repository: &Path, address: &str, from: &Path) {
    place.run(
        repository,
        ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", from.to_str().unwrap(), "parts/inner"],
    );
    place.run(repository, ["config", "--file", ".gitmodules", "submodule.parts/inner.url", address]);
    place.commit(repository, "Submodule");
}

#[tokio::test]
async fn a_submodule_is_not_fetched_but_its_relative_address_leads_to_the_server() {
    let place = Place::new().await;
    let inner = place.repository("inner");
    let repository = place.repository("repository");
    submodule(&place, &repository, "../inner", &inner);
    let mirror = place.mirror(&url(&repository)).await;
    let created = place.create(&mirror).await;
    let dir = created.worktree.dir();
    assert_eq!(
        created.notices,
        ["the submodule parts/inner is not there; to get it, run `git submodule update --init`"]
    );
    place.run(dir, ["-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init"]);
    assert_eq!(read(dir, "parts/inner/README.md"), b"hello\n");
    assert!(
        rescue::is_safe(&mirror, &created.worktree).await.unwrap().is_nothing(),
        "a submodule as it was fetched is safe"
    );
    assert_eq!(rescue::save(&mirror, &created.worktree, spec()).await.unwrap(), None);

    // Work in the submodule is work.
    write(dir, "parts/inner/README.md", "changed\n");
    let at_risk = rescue::is_safe(&mirror, &created.worktree).await.unwrap();
    assert_eq!(at_risk.uncommitted, ["parts/inner/"]);
    let saved = rescue::save(&mirror, &created.worktree, spec()).await.unwrap().unwrap();
    assert_eq!(place.run(mirror.dir(), ["show", &format!("{}:parts/inner/README.md", saved.name)]), "changed");
    place.run(&dir.join("parts/inner"), ["commit", "--quiet", "--all", "-m", "Inner"]);
    assert!(!rescue::is_safe(&mirror, &created.worktree).await.unwrap().is_nothing());
}

fn git_lfs_is_installed(place: &Place) -> bool {
    place.command(&place.path("home")).args(["lfs", "version"]).output().unwrap().status.success()
}

#[tokio::test]
async fn large_files_come_from_the_server_and_go_there_where_git_lfs_is_installed() {
    let place = Place::new().await;
    if !git_lfs_is_installed(&place) {
        return;
    }
    let home = place.path("home");
    place.run(&home, ["lfs", "install", "--skip-repo"]);
    let server = place.empty("server.git", &["--bare"]);
    let repository = place.empty("repository", &[]);
    place.run(&repository, ["lfs", "install", "--local"]);
    write(&repository, ".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    write(&repository, "big.bin", "large\n");
    place.commit(&repository, "First");
    place.run(&repository, ["remote", "add", "origin", &format!("file://{}", server.display())]);
    place.run(&repository, ["push", "--quiet", "origin", "main"]);
    let mirror = place.mirror(&url(&server)).await;
    let created = place.create(&mirror).await;
    let dir = created.worktree.dir();
    assert_eq!(created.notices, Vec::<String>::new());
    assert_eq!(read(dir, "big.bin"), b"large\n");
    assert_eq!(place.run(dir, ["status", "--porcelain"]), "");
    assert!(rescue::is_safe(&mirror, &created.worktree).await.unwrap().is_nothing());

    write(dir, "big.bin", "larger\n");
    let head = place.commit(dir, "Mine");
    place.run(dir, ["push", "--quiet"]);
    mirror.publish(&created.worktree, &head, Lease::Expect(None)).await.unwrap();
    let clone = place.path("clone");
    let from = format!("file://{}", server.display());
    place.run(&home, ["clone", "--quiet", "--branch=kugetsu/7-fix", &from, clone.to_str().unwrap()]);
    assert_eq!(read(&clone, "big.bin"), b"larger\n");

    // Committed, but pushed nowhere: the content lies in the worktree alone.
    write(dir, "big.bin", "largest\n");
    place.commit(dir, "Lost?");
    let saved = rescue::save(&mirror, &created.worktree, spec()).await.unwrap().unwrap();
    created.worktree.remove().await.unwrap();
    let back = place.path("back");
    rescue::restore(&mirror, &saved.name, &back).await.unwrap();
    assert_eq!(read(&back, "big.bin"), b"largest\n");
}

#[tokio::test]
async fn a_repository_with_large_files_opens_without_git_lfs() {
    let config = "[user]\n\tname = A\n\temail = a@b\n[filter \"lfs\"]\n\trequired = true\n\tprocess = git-lfs filter-process\n\
                  \tsmudge = git-lfs smudge -- %f\n\tclean = git-lfs clean -- %f\n";
    let place = Place::with_config(config).await;
    if git_lfs_is_installed(&place) {
        return;
    }
    let repository = place.empty("repository", &[]);
    place.run(&repository, ["config", "filter.lfs.required", "false"]);
    place.run(&repository, ["config", "filter.lfs.process", ""]);
    place.run(&repository, ["config", "filter.lfs.clean", ""]);
    write(&repository, ".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    write(&repository, "big.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
    place.commit(&repository, "First");
    let notices = round(&place, &url(&repository)).await;
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains("install git-lfs"), "{notices:?}");
}
