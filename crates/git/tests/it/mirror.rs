//! Mirrors, and where work begins.

use kugetsu_git::mirror::BaseError;
use kugetsu_git::mirror::{Located, Source, SourceError};
use kugetsu_git::mirror::{Mirror, MirrorError};
use kugetsu_git::names::BranchName;
use kugetsu_git::push::{Lease, PublishError};
use kugetsu_git::rescue;
use kugetsu_git::worktree::{Worktree, WorktreeError, WorktreeSpec};

use crate::rescue::save;
use crate::support::{Place, branch, quiet, url, write};

#[tokio::test]
async fn a_mirror_follows_the_server_and_keeps_what_is_kugetsus() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    place.run(&repository, ["branch", "gone"]);
    let server = place.server(&repository);
    let mirror = place.mirror(&url(&server)).await;
    assert_eq!(mirror.branches().await.unwrap(), ["gone", "main"]);
    assert_eq!(mirror.default_branch().await.unwrap(), Some(BranchName::new("main").unwrap()));
    place.run(mirror.dir(), ["update-ref", "refs/kugetsu/rescue/7/1", "refs/remotes/origin/gone"]);

    place.run(&server, ["branch", "-D", "gone"]);
    place.run(&server, ["branch", "trunk", "main"]);
    place.run(&server, ["symbolic-ref", "HEAD", "refs/heads/trunk"]);
    mirror.update(&mut quiet).await.unwrap();
    assert_eq!(mirror.branches().await.unwrap(), ["main", "trunk"]);
    assert_eq!(mirror.default_branch().await.unwrap(), Some(BranchName::new("trunk").unwrap()));
    place.run(mirror.dir(), ["rev-parse", "--verify", "refs/kugetsu/rescue/7/1"]);
    // Rewritten on the server: the mirror goes along.
    place.run(&repository, ["commit", "--quiet", "--amend", "-m", "Rewritten"]);
    place.run(&repository, ["push", "--quiet", "--force", server.to_str().unwrap(), "main"]);
    mirror.update(&mut quiet).await.unwrap();
    assert_eq!(
        mirror.branch_tip(&BranchName::new("main").unwrap()).await.unwrap(),
        Some(place.oid(&repository, "main"))
    );
}

#[tokio::test]
async fn many_at_once_get_one_mirror_and_one_worktree() {
    let place = Place::new().await;
    let source = url(&place.server(&place.repository("repository")));
    let dir = place.path("mirrors/m");
    let all = (0..4).map(|_| {
        let (git, source, dir) = (place.git.clone(), source.clone(), dir.clone());
        let spec = |base| WorktreeSpec { dir: place.dir(), relay: place.relay(), branch: branch(), base };
        async move {
            let mirror = Mirror::open_or_create(&git, &dir, &source, &mut quiet).await.unwrap();
            let base = mirror.resolve(None).await.unwrap();
            Worktree::create(&mirror, spec(base), &mut quiet).await
        }
    });
    let mut made = Vec::new();
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let (a, b) = all.split_at_mut(2);
    let ([a0, a1], [b0, b1]) = (a, b) else { panic!() };
    let (w, x, y, z) = tokio::join!(a0, a1, b0, b1);
    made.extend([w, x, y, z]);
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1, "{made:?}");
    assert!(made.iter().flat_map(|made| made.as_ref().err()).all(|error| matches!(error, WorktreeError::Exists(_))));
    assert_eq!(place.run(&place.dir(), ["status", "--porcelain"]), "");
    let mut left: Vec<_> =
        std::fs::read_dir(place.path("mirrors")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["m", "m.lock"]);
}

#[tokio::test]
async fn a_branch_that_is_not_there_is_answered_with_close_names() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    place.run(&repository, ["branch", "develop"]);
    let mirror = place.mirror(&url(&repository)).await;
    match mirror.resolve(Some(&BranchName::new("devlop").unwrap())).await {
        Err(error @ BaseError::Unknown { .. }) => assert!(error.to_string().contains("there is develop, "), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_source_is_looked_at_before_anything_is_made() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    write(&repository, "x", "1");
    let probe = Source::Path(repository.join("src")).probe(&place.git).await.unwrap();
    assert_eq!((probe.uncommitted, probe.empty, probe.shallow, probe.partial), (1, false, false, false));
    assert_eq!(probe.default_branch, Some(BranchName::new("main").unwrap()));
    let probe = url(&repository).probe(&place.git).await.unwrap();
    assert_eq!(probe.head, Some(place.oid(&repository, "HEAD")));

    let nowhere = Source::Path(place.path("nowhere")).probe(&place.git).await.unwrap_err();
    assert!(matches!(nowhere, SourceError::NoFolder(_)), "{nowhere}");
    let plain = Source::Path(place.path("home")).probe(&place.git).await.unwrap_err();
    assert!(matches!(plain, SourceError::NoRepository(_)), "{plain}");
}

#[tokio::test]
async fn a_mirror_opens_and_gives_its_rescues_back_where_its_folder_is_gone() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    let source = Source::Path(repository.clone());
    let mirror = place.mirror(&source).await;
    let worktree = place.create(&mirror).await.worktree;
    write(worktree.dir(), "x", "1");
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    std::fs::rename(&repository, place.path("moved")).unwrap();

    let dir = place.path("mirrors/m");
    let mirror = Mirror::open(&place.git, &dir, &source).await.unwrap().unwrap();
    assert_eq!(rescue::list(&mirror, None).await.unwrap().len(), 1);
    let back = place.path("back");
    rescue::restore(&mirror, &saved.name, &back).await.unwrap();
    assert_eq!(std::fs::read(back.join("x")).unwrap(), b"1");
    assert_eq!(place.run(&back, ["remote", "get-url", "origin"]), repository.display().to_string());
    write(worktree.dir(), "y", "1");
    let worktree = Worktree::open(&mirror, &place.dir(), &place.relay(), &branch()).await.unwrap();
    assert_eq!(rescue::is_safe(&mirror, &worktree).await.unwrap().uncommitted_total, 2);
    save(&mirror, &worktree, "2").await.unwrap();

    // What needs the folder says that it is gone, until it is there again.
    for error in [mirror.update(&mut quiet).await, mirror.update(&mut quiet).await] {
        let error = error.unwrap_err();
        assert!(matches!(error, MirrorError::Source(SourceError::NoFolder(_))), "{error}");
    }
    let head = place.commit(worktree.dir(), "Mine");
    let error = mirror.publish(&worktree, &head, Lease::Expect(None)).await.unwrap_err();
    assert!(matches!(error, PublishError::Source(SourceError::NoFolder(_))), "{error}");
    std::fs::rename(place.path("moved"), &repository).unwrap();
    mirror.update(&mut quiet).await.unwrap();
    mirror.publish(&worktree, &head, Lease::Expect(None)).await.unwrap();
    Mirror::open_or_create(&place.git, &dir, &source, &mut quiet).await.unwrap();
    assert!(Mirror::open(&place.git, &place.path("mirrors/none"), &source).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_in_a_mirrors_place_is_left_alone() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    write(&place.path("mirrors/m"), "precious", "x");
    let error = Mirror::open_or_create(&place.git, &place.path("mirrors/m"), &url(&repository), &mut quiet).await;
    assert!(matches!(error, Err(MirrorError::NotOurs(_))), "{error:?}");

    // A fetch that fails leaves nothing.
    let error =
        Mirror::open_or_create(&place.git, &place.path("mirrors/n"), &url(&place.path("none")), &mut quiet).await;
    assert!(error.is_err());
    let left: Vec<_> =
        std::fs::read_dir(place.path("mirrors")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "m" || name == "n.lock"), "{left:?}");
}

#[tokio::test]
async fn a_repository_is_found_whatever_its_folder_is_called() {
    let place = Place::new().await;
    for name in ["plain", "two\nlines", " blank\n"] {
        let repository = place.repository(name);
        std::fs::create_dir(repository.join("deep")).unwrap();
        let found = Located::find(&place.git, &repository.join("deep")).await.unwrap();
        assert_eq!((found.place, found.common, found.bare), (repository.clone(), repository.join(".git"), false));
    }
    let bare = place.empty("bare.git", &["--bare"]);
    let found = Located::find(&place.git, &bare).await.unwrap();
    assert_eq!((found.place, found.common, found.bare), (bare.clone(), bare, true));
}
