//! Mirrors, sources and bases.

use kugetsu_git::mirror::{BaseError, LocalRepo, Mirror, MirrorError, Source, SourceError};
use kugetsu_git::names::BranchName;
use kugetsu_git::push::{Lease, PushError};
use kugetsu_git::rescue;
use kugetsu_git::worktree::{Worktree, WorktreeError, WorktreeSpec};

use crate::rescue::save;
use crate::support::{Fixture, branch, quiet, url, write};

#[tokio::test]
async fn update_follows_the_server_and_keeps_kugetsus_refs() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    fixture.run(&repository, ["branch", "gone"]);
    let server = fixture.server(&repository);
    let mirror = fixture.mirror(&url(&server)).await;
    assert_eq!(mirror.branches().await.unwrap(), ["gone", "main"]);
    assert_eq!(mirror.default_branch().await.unwrap(), Some(BranchName::new("main").unwrap()));
    fixture.run(mirror.dir(), ["update-ref", "refs/kugetsu/rescue/7/1", "refs/remotes/origin/gone"]);

    fixture.run(&server, ["branch", "-D", "gone"]);
    fixture.run(&server, ["branch", "trunk", "main"]);
    fixture.run(&server, ["symbolic-ref", "HEAD", "refs/heads/trunk"]);
    mirror.update(&mut quiet).await.unwrap();
    assert_eq!(mirror.branches().await.unwrap(), ["main", "trunk"]);
    assert_eq!(mirror.default_branch().await.unwrap(), Some(BranchName::new("trunk").unwrap()));
    fixture.run(mirror.dir(), ["rev-parse", "--verify", "refs/kugetsu/rescue/7/1"]);
    // A branch that was rewritten on the server.
    fixture.run(&repository, ["commit", "--quiet", "--amend", "-m", "Rewritten"]);
    fixture.run(&repository, ["push", "--quiet", "--force", server.to_str().unwrap(), "main"]);
    mirror.update(&mut quiet).await.unwrap();
    assert_eq!(
        mirror.branch_tip(&BranchName::new("main").unwrap()).await.unwrap(),
        Some(fixture.oid(&repository, "main"))
    );
}

#[tokio::test]
async fn concurrent_creations_make_one_mirror_and_one_worktree() {
    let fixture = Fixture::new().await;
    let source = url(&fixture.server(&fixture.repository("repository")));
    let dir = fixture.path("mirrors/m");
    let all = (0..4).map(|_| {
        let (git, source, dir) = (fixture.git.clone(), source.clone(), dir.clone());
        let spec = |base| WorktreeSpec { dir: fixture.dir(), relay: fixture.relay(), branch: branch(), base };
        async move {
            let mirror = Mirror::open_or_create(&git, &dir, &source, &mut quiet).await.unwrap();
            let base = mirror.resolve_base(None).await.unwrap();
            Worktree::create(&mirror, spec(base), &mut quiet).await
        }
    });
    let mut created = Vec::new();
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let (a, b) = all.split_at_mut(2);
    let ([a0, a1], [b0, b1]) = (a, b) else { panic!() };
    let (w, x, y, z) = tokio::join!(a0, a1, b0, b1);
    created.extend([w, x, y, z]);
    assert_eq!(created.iter().filter(|result| result.is_ok()).count(), 1, "{created:?}");
    assert!(
        created.iter().flat_map(|result| result.as_ref().err()).all(|error| matches!(error, WorktreeError::Exists(_)))
    );
    assert_eq!(fixture.run(&fixture.dir(), ["status", "--porcelain"]), "");
    let mut left: Vec<_> =
        std::fs::read_dir(fixture.path("mirrors")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["m", "m.lock"]);
}

#[tokio::test]
async fn unknown_base_suggests_similar_names() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    fixture.run(&repository, ["branch", "develop"]);
    let mirror = fixture.mirror(&url(&repository)).await;
    match mirror.resolve_base(Some(&BranchName::new("devlop").unwrap())).await {
        Err(error @ BaseError::Unknown { .. }) => assert!(error.to_string().contains("there is develop, "), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn probe_describes_a_source() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    write(&repository, "x", "1");
    let probe = Source::Path(repository.join("src")).probe(&fixture.git).await.unwrap();
    assert_eq!((probe.uncommitted, probe.empty, probe.shallow, probe.partial), (1, false, false, false));
    assert_eq!(probe.default_branch, Some(BranchName::new("main").unwrap()));
    let probe = url(&repository).probe(&fixture.git).await.unwrap();
    assert_eq!(probe.head, Some(fixture.oid(&repository, "HEAD")));

    let missing = Source::Path(fixture.path("missing")).probe(&fixture.git).await.unwrap_err();
    assert!(matches!(missing, SourceError::NoDirectory(_)), "{missing}");
    let plain = Source::Path(fixture.path("home")).probe(&fixture.git).await.unwrap_err();
    assert!(matches!(plain, SourceError::NoRepository(_)), "{plain}");
}

#[tokio::test]
async fn mirror_works_without_its_source_repository() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    let source = Source::Path(repository.clone());
    let mirror = fixture.mirror(&source).await;
    let worktree = fixture.create(&mirror).await.worktree;
    write(worktree.dir(), "x", "1");
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    std::fs::rename(&repository, fixture.path("moved")).unwrap();

    let dir = fixture.path("mirrors/m");
    let mirror = Mirror::open(&fixture.git, &dir, &source).await.unwrap().unwrap();
    assert_eq!(rescue::list(&mirror, None).await.unwrap().len(), 1);
    let back = fixture.path("back");
    rescue::restore(&mirror, &saved.name, &back).await.unwrap();
    assert_eq!(std::fs::read(back.join("x")).unwrap(), b"1");
    assert_eq!(fixture.run(&back, ["remote", "get-url", "origin"]), repository.display().to_string());
    write(worktree.dir(), "y", "1");
    let worktree = Worktree::open(&mirror, &fixture.dir(), &fixture.relay(), &branch()).await.unwrap();
    assert_eq!(rescue::work_at_risk(&mirror, &worktree).await.unwrap().uncommitted_total, 2);
    save(&mirror, &worktree, "2").await.unwrap();

    // Operations that need the source fail until it is back.
    for error in [mirror.update(&mut quiet).await, mirror.update(&mut quiet).await] {
        let error = error.unwrap_err();
        assert!(matches!(error, MirrorError::Source(SourceError::NoDirectory(_))), "{error}");
    }
    let head = fixture.commit(worktree.dir(), "Mine");
    let error = mirror.push(&worktree, &head, Lease::Expect(None)).await.unwrap_err();
    assert!(matches!(error, PushError::Source(SourceError::NoDirectory(_))), "{error}");
    std::fs::rename(fixture.path("moved"), &repository).unwrap();
    mirror.update(&mut quiet).await.unwrap();
    mirror.push(&worktree, &head, Lease::Expect(None)).await.unwrap();
    Mirror::open_or_create(&fixture.git, &dir, &source, &mut quiet).await.unwrap();
    assert!(Mirror::open(&fixture.git, &fixture.path("mirrors/none"), &source).await.unwrap().is_none());
}

#[tokio::test]
async fn repository_on_another_file_system_is_mirrored() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    // Another file system on Linux. Elsewhere this is an ordinary mirror.
    let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let (source, dir) = (Source::Path(repository.clone()), memory.path().join("mirror"));
    let mirror = Mirror::open_or_create(&fixture.git, &dir, &source, &mut quiet).await.unwrap();
    let base = mirror.resolve_base(None).await.unwrap();
    assert_eq!(base.commit, Some(fixture.oid(&repository, "HEAD")));
}

#[tokio::test]
async fn existing_directory_is_never_taken_for_a_mirror() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    write(&fixture.path("mirrors/m"), "precious", "x");
    let error = Mirror::open_or_create(&fixture.git, &fixture.path("mirrors/m"), &url(&repository), &mut quiet).await;
    assert!(matches!(error, Err(MirrorError::NotOurs(_))), "{error:?}");

    // A fetch that fails leaves nothing behind.
    let error =
        Mirror::open_or_create(&fixture.git, &fixture.path("mirrors/n"), &url(&fixture.path("none")), &mut quiet).await;
    assert!(error.is_err());
    let left: Vec<_> =
        std::fs::read_dir(fixture.path("mirrors")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "m" || name == "n.lock"), "{left:?}");
}

#[tokio::test]
async fn local_repository_with_unusual_name_is_found() {
    let fixture = Fixture::new().await;
    for name in ["plain", "two\nlines", " blank\n"] {
        let repository = fixture.repository(name);
        std::fs::create_dir(repository.join("deep")).unwrap();
        let found = LocalRepo::find(&fixture.git, &repository.join("deep")).await.unwrap();
        assert_eq!((found.root, found.common_dir, found.bare), (repository.clone(), repository.join(".git"), false));
    }
    let bare = fixture.empty("bare.git", &["--bare"]);
    let found = LocalRepo::find(&fixture.git, &bare).await.unwrap();
    assert_eq!((found.root, found.common_dir, found.bare), (bare.clone(), bare, true));
}
