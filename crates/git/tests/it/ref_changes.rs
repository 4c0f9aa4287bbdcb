//! Refs whose names clash, and refs in another format.

use std::path::Path;

use kugetsu_git::mirror::Source;
use kugetsu_git::worktree::Worktree;

use crate::support::{Fixture, quiet, url, write};

fn branches(fixture: &Fixture, dir: &Path, below: &str) -> Vec<String> {
    let list = fixture.run(dir, ["for-each-ref", "--format=%(refname)", below]);
    list.lines().filter(|name| !name.ends_with("/HEAD")).map(|name| name[below.len() + 1..].to_owned()).collect()
}

async fn follow(fixture: &Fixture, source: &Path, worktree: &Worktree) {
    let mirror = kugetsu_git::mirror::Mirror::open(&fixture.git, &fixture.path("mirrors/m"), &url(source)).await;
    mirror.unwrap().unwrap().update(&mut quiet).await.unwrap();
    worktree.refresh().await.unwrap();
    assert_eq!(worktree.damage().await.unwrap(), None);
}

#[tokio::test]
async fn branch_that_became_a_directory_and_back_is_followed() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    fixture.run(&repository, ["branch", "a"]);
    let server = fixture.server(&repository);
    let mirror = fixture.mirror(&url(&server)).await;
    let worktree = fixture.create(&mirror).await.worktree;
    let dir = worktree.dir();
    fixture.run(dir, ["fetch", "--quiet", "origin"]);
    for (old, new) in [("a", "a/b"), ("a/b", "a")] {
        fixture.run(&server, ["branch", "--delete", "--force", old]);
        fixture.run(&server, ["branch", new, "main"]);
        follow(&fixture, &server, &worktree).await;
        assert_eq!(branches(&fixture, mirror.dir(), "refs/remotes/origin"), [new, "main"]);
        assert_eq!(branches(&fixture, worktree.relay(), "refs/heads"), [new, "main"]);
        fixture.run(dir, ["fetch", "--quiet", "origin"]);
        assert_eq!(branches(&fixture, dir, "refs/remotes/origin"), [new, "main"]);
    }
    // A branch of the agent's stays, and the server's is left out.
    write(dir, "x", "1");
    fixture.commit(dir, "Mine");
    fixture.run(dir, ["push", "--quiet", "origin", "HEAD:refs/heads/mine"]);
    fixture.run(&server, ["branch", "mine/too", "main"]);
    follow(&fixture, &server, &worktree).await;
    assert_eq!(branches(&fixture, worktree.relay(), "refs/heads"), ["a", "main", "mine"]);
}

#[tokio::test]
async fn branch_of_a_partial_clone_that_became_a_directory_is_followed() {
    let fixture = Fixture::new().await;
    let server = fixture.server(&fixture.repository("repository"));
    let clone = fixture.path("clone");
    let address = format!("file://{}", server.display());
    let args = ["clone", "--quiet", "--filter=blob:none", &address, clone.to_str().unwrap()];
    fixture.run(&fixture.path("home"), args);
    fixture.run(&clone, ["branch", "a"]);
    let mirror = fixture.mirror(&Source::Path(clone.clone())).await;
    fixture.run(&clone, ["branch", "--delete", "a"]);
    fixture.run(&clone, ["branch", "a/b"]);
    mirror.update(&mut quiet).await.unwrap();
    assert_eq!(branches(&fixture, mirror.dir(), "refs/remotes/origin"), ["a/b", "main"]);
}

#[tokio::test]
async fn relay_in_reftable_format_is_read_and_becomes_files() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, server) = fixture.ready().await;
    let (dir, relay) = (worktree.dir(), worktree.relay());
    write(dir, "x", "1");
    let mine = fixture.commit(dir, "Mine");
    fixture.run(dir, ["push", "--quiet", "origin", "HEAD:refs/heads/mine"]);
    if !fixture.command(relay).args(["refs", "migrate", "--ref-format=reftable"]).output().unwrap().status.success() {
        return;
    }
    assert_eq!(worktree.damage().await.unwrap(), None);
    let pushed = fixture.oid(&server, "main");
    fixture.run(&server, ["branch", "news", "main"]);
    mirror.update(&mut quiet).await.unwrap();
    worktree.refresh().await.unwrap();
    assert_eq!(worktree.damage().await.unwrap(), None);
    assert_eq!(fixture.run(relay, ["rev-parse", "--show-ref-format"]), "files");
    assert_eq!((fixture.oid(relay, "mine"), fixture.oid(relay, "news")), (mine, pushed));
    fixture.run(relay, ["fsck"]);
    fixture.run(dir, ["fetch", "--quiet", "origin"]);
    fixture.run(dir, ["push", "--quiet", "origin", "HEAD:refs/heads/again"]);
}

#[tokio::test]
async fn settings_of_new_repositories_do_not_matter() {
    let config = "[user]\n\tname = T\n\temail = t@example.invalid\n[init]\n\tdefaultRefFormat = reftable\n\tdefaultObjectFormat = sha256\n";
    for kind in ["server", "local", "empty", "sha1"] {
        let mut fixture = Fixture::with_config(config).await;
        if kind == "sha1" {
            let variables = [("GIT_DEFAULT_HASH", "sha256"), ("GIT_DEFAULT_REF_FORMAT", "reftable")];
            fixture.set_variables(&variables).await;
        }
        let options: &[&str] = if kind == "sha1" { &["--object-format=sha1", "--ref-format=files"] } else { &[] };
        let repository = fixture.empty("repository", options);
        if kind != "empty" {
            write(&repository, "README.md", "hello\n");
            fixture.commit(&repository, "First");
        }
        let source = match kind {
            "server" => url(&fixture.server(&repository)),
            _ => Source::Path(repository.clone()),
        };
        let mirror = fixture.mirror(&source).await;
        let format = |dir: &Path| fixture.run(dir, ["rev-parse", "--show-object-format"]);
        assert_eq!(format(mirror.dir()), format(&repository), "{kind}");
        let worktree = fixture.create(&mirror).await.worktree;
        assert_eq!(worktree.damage().await.unwrap(), None, "{kind}");
        write(worktree.dir(), "x", "1");
        let head = fixture.commit(worktree.dir(), "Mine");
        fixture.run(worktree.dir(), ["push", "--quiet", "origin", "HEAD"]);
        let status = worktree.status(None).await.unwrap();
        assert_eq!((&status.relay_head, &status.best_head), (&Some(head.clone()), &Some(head.clone())), "{kind}");
        mirror.update(&mut quiet).await.unwrap();
        mirror.push(&worktree, &head, kugetsu_git::push::Lease::Expect(None)).await.unwrap();
        worktree.refresh().await.unwrap();
    }
}
