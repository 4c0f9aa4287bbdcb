//! Damaged and unreadable objects, refs and files.

use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kugetsu_git::mirror::{Mirror, Source};
use kugetsu_git::push::Lease;
use kugetsu_git::rescue::{self, SaveSpec};
use kugetsu_git::worktree::{Worktree, WorktreeSpec};

use crate::rescue::{save, spec};
use crate::support::{Fixture, branch, quiet, read, url, write};

fn object(dir: &Path, oid: &str) -> PathBuf {
    dir.join("objects").join(&oid[..2]).join(&oid[2..])
}

/// Replaces the content of a read-only file.
fn overwrite(path: &Path, content: &[u8]) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, content).unwrap();
}

#[tokio::test]
async fn damaged_objects_of_a_worktree_are_left_out() {
    let fixture = Fixture::new().await;
    let server = fixture.server(&fixture.repository("repository"));
    // The last one is whole in its first bytes only.
    for content in [b"".as_slice(), b"\0\0\0\0\0\0\0\0", b"x\x01rubbish"] {
        let mirror = fixture.mirror(&url(&server)).await;
        let worktree = fixture.create(&mirror).await.worktree;
        let dir = worktree.dir().to_owned();
        write(&dir, "kept", "1\n");
        let kept = fixture.commit(&dir, "Kept");
        fixture.run(&dir, ["switch", "--quiet", "-c", "broken"]);
        let text = format!("content of the broken object {content:?}\n");
        write(&dir, "broken", &text);
        fixture.commit(&dir, "Broken");
        let blob = fixture.oid(&dir, "HEAD:broken");
        fixture.run(&dir, ["switch", "--quiet", "kugetsu/7-fix"]);
        // A file with the content of the damaged object.
        write(&dir, "same", &text);
        overwrite(&object(&dir.join(".git"), blob.as_str()), content);
        let saved = save(&mirror, &worktree, &format!("t{}", content.len())).await.unwrap();
        assert_eq!(saved.unsaved, Vec::<String>::new(), "{content:?}");
        assert_eq!(saved.notices, ["refs/heads/broken names a commit that is damaged or missing"], "{content:?}");
        fixture.run(mirror.dir(), ["merge-base", "--is-ancestor", kept.as_str(), &saved.name]);
        let same = fixture.run(mirror.dir(), ["cat-file", "blob", &format!("{}:same", saved.name)]);
        assert_eq!(same, text.trim_end());
        fixture.run(mirror.dir(), ["fsck", "--no-dangling"]);
        worktree.remove().await.unwrap();
    }
}

#[tokio::test]
async fn damaged_packs_of_a_worktree_give_what_is_whole() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let dir = worktree.dir();
    write(dir, "one", "1\n");
    let one = fixture.commit(dir, "One");
    fixture.run(dir, ["repack", "--quiet", "-d", "-l"]);
    let pack = std::fs::read_dir(dir.join(".git/objects/pack")).unwrap().map(|entry| entry.unwrap().path());
    let mut pack = pack.filter(|path| path.extension().is_some_and(|ending| ending == "idx"));
    let pack = pack.next().unwrap();
    overwrite(&pack, b"");
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    fixture.run(mirror.dir(), ["merge-base", "--is-ancestor", one.as_str(), &saved.name]);
    let bytes = std::fs::read(pack.with_extension("pack")).unwrap();
    overwrite(&pack.with_extension("pack"), &bytes[..bytes.len() - 30]);
    write(dir, "two", "2\n");
    let saved = save(&mirror, &worktree, "2").await.unwrap();
    assert_eq!(saved.unsaved, Vec::<String>::new());
    assert_eq!(fixture.run(mirror.dir(), ["cat-file", "blob", &format!("{}:two", saved.name)]), "2");
}

#[tokio::test]
async fn damaged_mirror_is_fetched_again() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let dir = worktree.dir();
    write(dir, "one", "1\n");
    let whole = save(&mirror, &worktree, "1").await.unwrap();
    let packs = || {
        let files = std::fs::read_dir(mirror.objects().join("pack")).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|ending| ending == "pack")).collect::<Vec<_>>()
    };
    let before = packs();
    write(dir, "one", "2\n");
    save(&mirror, &worktree, "2").await.unwrap();
    let packs = packs().into_iter().filter(|pack| !before.contains(pack)).collect::<Vec<_>>();
    assert_eq!(packs.len(), 1, "the second rescue came as a pack");
    overwrite(&packs[0], b"");
    write(mirror.dir(), "refs/remotes/origin/main", "");
    mirror.update(&mut quiet).await.unwrap();
    fixture.run(mirror.dir(), ["fsck", "--no-dangling"]);
    let names: Vec<String> = rescue::list(&mirror, None).await.unwrap().into_iter().map(|rescue| rescue.name).collect();
    assert_eq!(names, std::slice::from_ref(&whole.name));
    let beside: Vec<String> = std::fs::read_dir(fixture.path("mirrors"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("m.damaged-"))
        .collect();
    assert_eq!(beside.len(), 1, "what was replaced is kept");
    // The worktree borrows from the same path.
    assert_eq!(fixture.run(dir, ["status", "--porcelain"]), "?? one");
    let saved = save(&mirror, &worktree, "3").await.unwrap();
    assert_eq!(fixture.run(mirror.dir(), ["cat-file", "blob", &format!("{}:one", saved.name)]), "2");
}

#[tokio::test]
async fn damage_of_the_users_repository_does_not_reach_the_mirror() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    let head = fixture.oid(&repository, "HEAD");
    let file = object(&repository.join(".git"), head.as_str());
    let mirror = fixture.mirror(&Source::Path(repository.clone())).await;
    let worktree = fixture.create(&mirror).await.worktree;
    assert_eq!(file.metadata().unwrap().nlink(), 1, "no other repository shares the file");
    write(worktree.dir(), "x", "1\n");
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    let back = fixture.path("back");
    rescue::restore(&mirror, &saved.name, &back).await.unwrap();
    let mut dirs = vec![mirror.objects()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let (path, meta) = (entry.as_ref().unwrap().path(), entry.as_ref().unwrap().metadata().unwrap());
            match meta.is_dir() {
                true => dirs.push(path),
                false => assert_eq!(meta.nlink(), 1, "{}", path.display()),
            }
        }
    }
}

#[tokio::test]
async fn commits_that_only_state_files_name_are_at_risk() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let dir = worktree.dir();
    write(dir, "README.md", "gone\n");
    let gone = fixture.commit(dir, "Gone");
    fixture.run(dir, ["reset", "--quiet", "--hard", "HEAD^"]);
    let risk = rescue::work_at_risk(&mirror, &worktree).await.unwrap();
    assert_eq!(risk.other_branches, [format!("ORIG_HEAD: {}", gone.short())]);
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    fixture.run(mirror.dir(), ["merge-base", "--is-ancestor", gone.as_str(), &saved.name]);
    assert!(rescue::work_at_risk(&mirror, &worktree).await.unwrap().is_empty());

    // The same change in another form is no loss.
    write(dir, "new", "1\n");
    fixture.commit(dir, "Mine");
    fixture.run(dir, ["commit", "--quiet", "--amend", "-m", "Reworded"]);
    write(dir, ".git/ORIG_HEAD", format!("{}\n", fixture.oid(dir, "HEAD@{1}")));
    let risk = rescue::work_at_risk(&mirror, &worktree).await.unwrap();
    assert_eq!((risk.unpushed, risk.other_branches.len()), (1, 0), "{risk:?}");
}

#[tokio::test]
async fn nested_repository_in_reftable_format_is_read_or_named() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let nested = worktree.dir().join("nested");
    std::fs::create_dir(&nested).unwrap();
    fixture.run(&nested, ["init", "--quiet", "--ref-format=reftable"]);
    write(&nested, "x", "1\n");
    fixture.commit(&nested, "One");
    fixture.run(&nested, ["branch", "other"]);
    write(&nested, "x", "2\n");
    let head = fixture.commit(&nested, "Two");
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    assert_eq!(saved.unsaved, Vec::<String>::new());
    fixture.run(mirror.dir(), ["merge-base", "--is-ancestor", head.as_str(), &saved.name]);

    let list = nested.join(".git/reftable/tables.list");
    std::fs::write(&list, "0x1-0x2-gone.ref\n").unwrap();
    write(&nested, "x", "3\n");
    let saved = save(&mirror, &worktree, "2").await.unwrap();
    assert_eq!(saved.unsaved.len(), 1);
    let why = &saved.unsaved[0];
    assert!(why.contains("nested") && why.contains("git refs migrate --ref-format=files"), "{why}");
}

#[tokio::test]
async fn large_files_are_kept_beside_the_rescue() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let dir = worktree.dir().to_owned();
    write(&dir, "small", "1");
    write(&dir, "large", "larger than ten bytes");
    let sparse = std::fs::File::create(dir.join("sparse")).unwrap();
    sparse.write_all_at(b"end", 8 << 30).unwrap();
    let at = |at: &str| SaveSpec { max_file: 10, ..spec(at) };
    let saved = rescue::save(&mirror, &worktree, at("1")).await.unwrap().unwrap();
    assert_eq!(saved.unsaved, Vec::<String>::new());
    let tree = fixture.run(mirror.dir(), ["ls-tree", "-r", "--name-only", &saved.name]);
    assert!(tree.contains("small") && !tree.contains("large") && !tree.contains("sparse"), "{tree}");
    assert_eq!(rescue::save(&mirror, &worktree, at("2")).await.unwrap(), None, "the same state is saved once");
    let found = rescue::save_or_find(&mirror, &worktree, at("2")).await.unwrap().unwrap();
    assert_eq!((found.name, found.is_earlier), (saved.name.clone(), true));
    write(&dir, "large", "another large content");
    let saved = rescue::save(&mirror, &worktree, at("3")).await.unwrap().unwrap();
    worktree.remove().await.unwrap();
    let back = fixture.path("back");
    rescue::restore(&mirror, &saved.name, &back).await.unwrap();
    assert_eq!(read(&back, "large"), b"another large content");
    let meta = back.join("sparse").metadata().unwrap();
    assert!(meta.len() == (8 << 30) + 3 && meta.blocks() < 1000, "{} {}", meta.len(), meta.blocks());
    assert_eq!(fixture.run(&back, ["status", "--porcelain"]), "?? large\n?? small\n?? sparse");
}

#[tokio::test]
async fn large_files_of_equal_size_and_time_are_both_saved() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let at = |at: &str| SaveSpec { max_file: 10, ..spec(at) };
    let time = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let write_at_that_time = |content: &str| {
        write(worktree.dir(), "large", content);
        std::fs::File::options().write(true).open(worktree.dir().join("large")).unwrap().set_modified(time).unwrap();
    };
    write_at_that_time("one of twenty bytes.");
    let first = rescue::save(&mirror, &worktree, at("1")).await.unwrap().unwrap();
    write_at_that_time("two of twenty bytes.");
    let second = rescue::save(&mirror, &worktree, at("2")).await.unwrap().expect("it differs from the first");
    for (saved, content) in [(first, "one of twenty bytes."), (second, "two of twenty bytes.")] {
        let back = fixture.path(content);
        rescue::restore(&mirror, &saved.name, &back).await.unwrap();
        assert_eq!(read(&back, "large"), content.as_bytes());
    }
}

#[tokio::test]
async fn removed_rescue_takes_its_large_files_along_and_leaves_those_of_others() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let dir = worktree.dir().to_owned();
    let at = |at: &str| SaveSpec { max_file: 10, ..spec(at) };
    write(&dir, "large", "larger than ten bytes");
    // A tag of a blob is no commit, so another ref keeps it.
    write(&dir, "blob", "kept");
    let blob = fixture.run(&dir, ["hash-object", "-w", "blob"]);
    fixture.run(&dir, ["tag", "blob", &blob]);
    let first = rescue::save(&mirror, &worktree, at("1")).await.unwrap().unwrap();
    write(&dir, "small", "1");
    let second = rescue::save(&mirror, &worktree, at("2")).await.unwrap().unwrap();
    write(&dir, "large", "another large content");
    rescue::save(&mirror, &worktree, at("3")).await.unwrap().unwrap();
    let refs = |prefix: &str| fixture.run(mirror.dir(), ["for-each-ref", "--format=%(refname)", prefix]);
    let files = || std::fs::read_dir(mirror.dir().join("rescue-files")).unwrap().count();
    assert_eq!((refs("refs/kugetsu/kept").as_str(), files()), ("refs/kugetsu/kept/7/1/0", 2));

    let removed = rescue::remove(&mirror, &first.name).await.unwrap();
    assert_eq!((removed.name, files()), (first.name, 2), "the second has the same file");
    assert_eq!(refs("refs/kugetsu/kept"), "");
    // A rescue that cannot be read may have any of the files.
    let third = fixture.run(mirror.dir(), ["rev-parse", "refs/kugetsu/rescue/7/3"]);
    let other = fixture.run(mirror.dir(), ["for-each-ref", "--count=1", "--format=%(objectname)", "refs/remotes"]);
    fixture.run(mirror.dir(), ["update-ref", "refs/kugetsu/rescue/7/unreadable", &other]);
    rescue::remove(&mirror, "7/3").await.unwrap();
    assert_eq!(files(), 2, "a rescue cannot be read");
    fixture.run(mirror.dir(), ["update-ref", "-d", "refs/kugetsu/rescue/7/unreadable"]);
    fixture.run(mirror.dir(), ["update-ref", "refs/kugetsu/rescue/7/3", &third]);
    rescue::remove(&mirror, "7/3").await.unwrap();
    assert_eq!(files(), 1);
    assert!(rescue::remove(&mirror, "7/3").await.is_err());
    let back = fixture.path("back");
    rescue::restore(&mirror, &second.name, &back).await.unwrap();
    assert_eq!(read(&back, "large"), b"larger than ten bytes");

    // As after a repair of the mirror that lost the ref.
    let ending = fixture.run(mirror.dir(), ["rev-parse", &second.name]);
    fixture.run(mirror.dir(), ["update-ref", "-d", &second.name]);
    rescue::save(&mirror, &worktree, at("4")).await.unwrap().unwrap();
    rescue::remove(&mirror, "7/4").await.unwrap();
    fixture.run(mirror.dir(), ["update-ref", &second.name, &ending]);
    let again = fixture.path("again");
    rescue::restore(&mirror, &second.name, &again).await.unwrap();
    assert_eq!(read(&again, "large"), b"larger than ten bytes", "files whose rescue is lost are left");
}

/// Damages every object file of a mirror: each becomes empty, or loses its end.
fn damage_all(mirror: &Mirror, is_emptied: bool) {
    let mut dirs = vec![mirror.objects()];
    while let Some(dir) = dirs.pop() {
        for path in std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_none_or(|ending| ending == "pack") {
                let bytes = std::fs::read(&path).unwrap();
                overwrite(&path, if is_emptied { b"" } else { &bytes[..bytes.len() * 2 / 3] });
            }
        }
    }
}

#[tokio::test]
async fn push_repairs_a_damaged_mirror() {
    for is_emptied in [true, false] {
        let fixture = Fixture::new().await;
        let (mirror, worktree, server) = fixture.ready().await;
        write(worktree.dir(), "new", "1\n");
        let head = fixture.commit(worktree.dir(), "New");
        damage_all(&mirror, is_emptied);
        mirror.push(&worktree, &head, Lease::Expect(None)).await.unwrap();
        assert_eq!(fixture.oid(&server, "refs/heads/kugetsu/7-fix"), head);
        fixture.run(mirror.dir(), ["fsck", "--no-dangling"]);
    }
}

#[tokio::test]
async fn creation_of_a_worktree_repairs_a_damaged_mirror() {
    for is_emptied in [true, false] {
        let fixture = Fixture::new().await;
        let server = fixture.server(&fixture.repository("repository"));
        let mirror = fixture.mirror(&url(&server)).await;
        let base = mirror.resolve_base(None).await.unwrap();
        damage_all(&mirror, is_emptied);
        let spec = WorktreeSpec { dir: fixture.dir(), relay: fixture.relay(), branch: branch(), base };
        let created = Worktree::create(&mirror, spec, &mut quiet).await.unwrap();
        assert_eq!(fixture.run(created.worktree.dir(), ["status", "--porcelain"]), "");
        fixture.run(created.worktree.dir(), ["fsck", "--no-dangling"]);
    }
}
