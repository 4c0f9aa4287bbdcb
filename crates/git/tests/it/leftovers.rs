//! Leftovers of killed processes block nothing, and are removed.

use kugetsu_git::push::Lease;

use crate::support::{Fixture, quiet, write};

#[tokio::test]
async fn locks_of_killed_gits_block_nothing() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let dir = worktree.dir();
    for lock in ["refs/kugetsu/head.lock", "packed-refs.lock", "shallow.lock", "refs/remotes/origin/main.lock"] {
        write(mirror.dir(), lock, "");
    }
    for lock in [".git/index.lock", ".git/HEAD.lock", ".git/refs/heads/kugetsu/7-fix.lock", ".git/config.lock"] {
        write(dir, lock, "");
    }
    write(worktree.relay(), "refs/heads/kugetsu/7-fix.lock", "");
    fixture.commit(&fixture.path("repository"), "Theirs");
    mirror.update(&mut quiet).await.unwrap();
    worktree.refresh().await.unwrap();
    write(dir, "x", "1");
    let head = fixture.commit(dir, "Mine");
    fixture.run(dir, ["push", "--quiet"]);
    // One that appears later is found when git meets it.
    write(mirror.dir(), "refs/kugetsu/pushed/kugetsu/7-fix.lock", "");
    mirror.push(&worktree, &head, Lease::Expect(None)).await.unwrap();
}

#[tokio::test]
async fn temporary_files_and_refs_of_killed_processes_are_removed() {
    let fixture = Fixture::new().await;
    let (mirror, _, _) = fixture.ready().await;
    let scratch = mirror.dir().join("scratch");
    write(&scratch, "killed/objects/x", "1");
    write(&scratch, "in-use/objects/x", "1");
    let held = std::fs::File::open(scratch.join("in-use")).unwrap();
    held.lock().unwrap();
    let head = fixture.oid(mirror.dir(), "refs/remotes/origin/main");
    for name in ["killed/0", "in-use/0"] {
        fixture.run(mirror.dir(), ["update-ref", &format!("refs/kugetsu/outgoing/{name}"), head.as_str()]);
    }
    mirror.remove_leftovers().await.unwrap();
    assert!(scratch.join("in-use/objects/x").exists() && !scratch.join("killed").exists());
    let refs = || fixture.run(mirror.dir(), ["for-each-ref", "--format=%(refname)", "refs/kugetsu/outgoing"]);
    assert_eq!(refs(), "refs/kugetsu/outgoing/in-use/0");
    drop(held);
    mirror.update(&mut quiet).await.unwrap();
    assert_eq!((refs().as_str(), std::fs::read_dir(&scratch).unwrap().count()), ("", 0));
}

#[tokio::test]
async fn mirror_is_removed_only_while_nothing_uses_it() {
    let fixture = Fixture::new().await;
    let (mirror, _, _) = fixture.ready().await;
    let dir = mirror.dir().to_owned();
    let mirrors = dir.parent().unwrap().to_owned();
    let held = std::fs::File::create(dir.with_extension("lock")).unwrap();
    held.lock().unwrap();
    assert!(!mirror.clone().remove_if(async { true }).await.unwrap() && dir.exists());
    drop(held);
    let seen = async {
        assert!(!dir.exists(), "no process can open it while it is decided");
        false
    };
    assert!(!mirror.clone().remove_if(seen).await.unwrap() && dir.join("HEAD").exists());
    assert!(mirror.clone().remove_if(async { true }).await.unwrap() && !dir.exists());
    assert_eq!(std::fs::read_dir(&mirrors).unwrap().count(), 0);

    // Of killed processes; the second one is still being created.
    write(&mirrors, "killed.new-1-2-3/HEAD", "");
    write(&mirrors, "made.new-1-2-3/HEAD", "");
    let held = std::fs::File::create(mirrors.join("made.lock")).unwrap();
    held.lock().unwrap();
    kugetsu_git::mirror::remove_abandoned(&mirrors).await.unwrap();
    assert!(!mirrors.join("killed.new-1-2-3").exists() && mirrors.join("made.new-1-2-3").exists());
}
