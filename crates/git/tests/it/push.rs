//! Pushing.

use kugetsu_git::mirror::Source;
use kugetsu_git::names::BranchName;
use kugetsu_git::push::{Lease, PushError};
use kugetsu_git::worktree::Worktree;

use crate::support::{Fixture, branch, quiet, trap, url, write};

#[tokio::test]
async fn push_creates_updates_and_skips_a_branch() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, server) = fixture.ready().await;
    let dir = worktree.dir();
    write(dir, "x", "1");
    let first = fixture.commit(dir, "One");
    let pushed = mirror.push(&worktree, &first, Lease::Expect(None)).await.unwrap();
    assert_eq!((pushed.branch, &pushed.head, pushed.was), (branch(), &first, None));
    assert_eq!(fixture.oid(&server, "kugetsu/7-fix"), first);
    assert_eq!(fixture.oid(mirror.dir(), "refs/kugetsu/pushed/kugetsu/7-fix"), first);
    let again = mirror.push(&worktree, &first, Lease::Expect(None)).await.unwrap();
    assert_eq!(again.was, Some(first.clone()));

    // A rewritten commit is pushed, since the lease holds.
    write(dir, "x", "2");
    fixture.run(dir, ["commit", "--quiet", "--all", "--amend", "-m", "Two"]);
    let second = fixture.oid(dir, "HEAD");
    let pushed = mirror.push(&worktree, &second, Lease::Expect(Some(first.clone()))).await.unwrap();
    assert_eq!(pushed.was, Some(first));
    assert_eq!(
        fixture.run(&server, ["for-each-ref", "--format=%(refname)"]),
        "refs/heads/kugetsu/7-fix\nrefs/heads/main"
    );
    assert_eq!(fixture.run(mirror.dir(), ["for-each-ref", "refs/kugetsu/outgoing"]), "");
    fixture.run(mirror.dir(), ["fsck"]);
}

#[tokio::test]
async fn default_branch_is_never_pushed_to() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, server) = fixture.ready().await;
    write(worktree.dir(), "x", "1");
    let ours = fixture.commit(worktree.dir(), "Ours");
    let main = fixture.oid(&server, "main");
    let on_main = BranchName::new("main".to_owned()).unwrap();
    let on_main = Worktree::open(&mirror, worktree.dir(), worktree.relay(), &on_main).await.unwrap();
    match mirror.push(&on_main, &ours, Lease::Expect(Some(main.clone()))).await {
        Err(error @ PushError::BaseBranch { .. }) => {
            let hint = error.hint().unwrap();
            assert!(hint.contains("HEAD:refs/heads/<new branch>"), "{hint}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(fixture.oid(&server, "main"), main);
    // The server's HEAD is at the first branch that an empty repository got.
    fixture.run(&server, ["symbolic-ref", "HEAD", "refs/heads/kugetsu/7-fix"]);
    mirror.push(&worktree, &ours, Lease::Expect(None)).await.unwrap();
    mirror.update(&mut quiet).await.unwrap();
    mirror.push(&worktree, &ours, Lease::Expect(Some(ours.clone()))).await.unwrap();
}

#[tokio::test]
async fn push_never_overwrites_unknown_commits() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, server) = fixture.ready().await;
    write(worktree.dir(), "x", "1");
    let ours = fixture.commit(worktree.dir(), "Ours");
    let main = fixture.oid(&server, "main");
    fixture.run(&server, ["branch", "kugetsu/7-fix", "main"]);
    for lease in [None, Some(ours.clone())] {
        match mirror.push(&worktree, &ours, Lease::Expect(lease)).await {
            Err(PushError::Diverged { theirs, .. }) => assert_eq!(theirs, Some(main.clone())),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(fixture.oid(&server, "kugetsu/7-fix"), main);
    fixture.run(&server, ["branch", "-D", "kugetsu/7-fix"]);
    match mirror.push(&worktree, &ours, Lease::Expect(Some(main))).await {
        Err(error @ PushError::Diverged { theirs: None, .. }) => {
            assert!(error.to_string().contains("it is gone"), "{error}")
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn rejection_has_the_servers_message_without_colors() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, server) = fixture.ready().await;
    write(worktree.dir(), "x", "1");
    let ours = fixture.commit(worktree.dir(), "Ours");
    trap(&server.join("hooks/pre-receive"), &fixture.path("ran"));
    std::fs::write(
        server.join("hooks/pre-receive"),
        "#!/bin/sh\nprintf '\\033[31mGH006: Protected\\033[0m https://u:pw@h/x\\n' >&2\nexit 1\n",
    )
    .unwrap();
    match mirror.push(&worktree, &ours, Lease::Expect(None)).await {
        Err(PushError::Rejected { stderr, .. }) => {
            assert!(
                stderr.as_str().contains("GH006: Protected") && stderr.as_str().contains("hook declined"),
                "{stderr}"
            );
            assert!(!stderr.as_str().contains('\u{1b}') && !stderr.as_str().contains("u:pw"), "{stderr}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn unreachable_server_is_not_a_rejection() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, server) = fixture.ready().await;
    write(worktree.dir(), "x", "1");
    let ours = fixture.commit(worktree.dir(), "Ours");
    std::fs::rename(&server, fixture.path("elsewhere")).unwrap();
    let error = mirror.push(&worktree, &ours, Lease::Expect(None)).await.unwrap_err();
    assert!(matches!(error, PushError::Git(_)), "{error:?}");
    assert!(error.to_string().contains("push kugetsu/7-fix to file://"), "{error}");

    // A port without a listener.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let dead = fixture.path("mirrors/dead");
    std::fs::create_dir_all(&dead).unwrap();
    fixture.run(
        &fixture.path("home"),
        ["config", "--global", &format!("url.git://127.0.0.1:{port}/.insteadOf"), "file:///"],
    );
    let error = mirror.push(&worktree, &ours, Lease::Expect(None)).await.unwrap_err();
    assert!(matches!(error, PushError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn push_into_a_local_repository_respects_its_checkout() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    let mirror = fixture.mirror(&Source::Path(repository.clone())).await;
    let worktree = fixture.create(&mirror).await.worktree;
    write(worktree.dir(), "x", "1");
    let ours = fixture.commit(worktree.dir(), "Ours");
    mirror.push(&worktree, &ours, Lease::Expect(None)).await.unwrap();
    assert_eq!(fixture.oid(&repository, "kugetsu/7-fix"), ours);
    assert_eq!(fixture.run(&repository, ["status", "--porcelain", "--branch"]), "## main");

    fixture.run(&repository, ["worktree", "add", "--quiet", fixture.path("linked").to_str().unwrap(), "kugetsu/7-fix"]);
    fixture.run(&repository, ["config", "receive.denyCurrentBranch", "ignore"]);
    write(worktree.dir(), "x", "2");
    let next = fixture.commit(worktree.dir(), "Next");
    match mirror.push(&worktree, &next, Lease::Expect(Some(ours.clone()))).await {
        Err(PushError::CheckedOut { at, .. }) => assert_eq!(at, fixture.path("linked")),
        other => panic!("{other:?}"),
    }
    assert_eq!(fixture.oid(&repository, "kugetsu/7-fix"), ours);
}

#[tokio::test]
async fn push_runs_hooks_of_the_local_target() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    let mirror = fixture.mirror(&Source::Path(repository.clone())).await;
    let worktree = fixture.create(&mirror).await.worktree;
    write(worktree.dir(), "x", "1");
    let ours = fixture.commit(worktree.dir(), "Ours");
    trap(&repository.join(".git/hooks/pre-receive"), &fixture.path("ran"));
    mirror.push(&worktree, &ours, Lease::Expect(None)).await.unwrap();
    assert!(fixture.path("ran").exists());
}

#[tokio::test]
async fn branch_that_clashes_with_a_new_one_of_the_server_is_rejected_with_a_hint() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, server) = fixture.ready().await;
    write(worktree.dir(), "x", "1");
    let ours = fixture.commit(worktree.dir(), "Ours");
    for clash in ["kugetsu", "kugetsu/7-fix/part"] {
        fixture.run(&server, ["branch", clash, "main"]);
        let error = mirror.push(&worktree, &ours, Lease::Expect(None)).await.unwrap_err();
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains("clashes with kugetsu/7-fix"), "{error:?}: {hint}");
        fixture.run(&server, ["branch", "--delete", "--force", clash]);
    }
    mirror.push(&worktree, &ours, Lease::Expect(None)).await.unwrap();
}

#[tokio::test]
async fn pushed_branch_is_known_offline() {
    let fixture = Fixture::new().await;
    let server = fixture.server(&fixture.repository("repository"));
    let mirror = fixture.mirror(&url(&server)).await;
    let worktree = fixture.create(&mirror).await.worktree;
    write(worktree.dir(), "x", "1");
    let ours = fixture.commit(worktree.dir(), "Ours");
    mirror.push(&worktree, &ours, Lease::Expect(None)).await.unwrap();
    std::fs::rename(&server, fixture.path("elsewhere")).unwrap();
    assert!(kugetsu_git::rescue::work_at_risk(&mirror, &worktree).await.unwrap().is_empty());
    std::fs::rename(fixture.path("elsewhere"), &server).unwrap();
    mirror.update(&mut quiet).await.unwrap();
    assert_eq!(fixture.oid(mirror.dir(), "refs/kugetsu/pushed/kugetsu/7-fix"), ours);
}

#[tokio::test]
async fn push_that_git_could_not_report_counts_if_the_server_has_the_branch() {
    let mut fixture = Fixture::new().await;
    let (_, worktree, server) = fixture.ready().await;
    write(worktree.dir(), "x", "1");
    let head = fixture.commit(worktree.dir(), "One");
    // A git whose pushes succeed and then break off.
    let bin = fixture.path("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let real = fixture.git.program().display().to_string();
    let path = std::env::var("PATH").unwrap();
    let wrapper = format!(
        "#!/bin/sh\nPATH='{path}'\nif [ \"$1\" = push ]; then '{real}' \"$@\" >/dev/null; echo 'fatal: the remote end hung up unexpectedly' >&2; exit 128; fi\nexec '{real}' \"$@\"\n"
    );
    std::fs::write(bin.join("git"), wrapper).unwrap();
    std::fs::set_permissions(bin.join("git"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fixture.set_path(&bin).await;
    let mirror = fixture.mirror(&url(&server)).await;
    let pushed = mirror.push(&worktree, &head, Lease::Expect(None)).await.unwrap();
    assert_eq!(pushed.head, head);
    assert_eq!(fixture.oid(mirror.dir(), "refs/kugetsu/pushed/kugetsu/7-fix"), head);

    // One that did not arrive is still an error.
    let wrapper =
        "#!/bin/sh\nif [ \"$1\" = push ]; then echo 'fatal: the remote end hung up unexpectedly' >&2; exit 128; fi\n";
    std::fs::write(bin.join("git"), format!("{wrapper}PATH='{path}' exec '{real}' \"$@\"\n")).unwrap();
    write(worktree.dir(), "x", "2");
    let second = fixture.commit(worktree.dir(), "Two");
    let error = mirror.push(&worktree, &second, Lease::Expect(Some(head.clone()))).await.unwrap_err();
    assert!(matches!(error, PushError::Unreachable(_) | PushError::Git(_)), "{error}");
    assert!(
        !mirror.confirm_push(&branch(), &second).await.unwrap() && mirror.confirm_push(&branch(), &head).await.unwrap()
    );
}
