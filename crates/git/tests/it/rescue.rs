//! Saving rescues.

use std::os::unix::fs::symlink;
use std::path::Path;

use kugetsu_git::mirror::Mirror;
use kugetsu_git::push::Lease;
use kugetsu_git::rescue::{self, RescueError, SaveSpec, Saved};
use kugetsu_git::worktree::Worktree;

use crate::support::{Fixture, change_within_a_second, quiet, read, unusual_names, write};

pub(crate) fn spec(at: &str) -> SaveSpec {
    SaveSpec { issue_number: 7, reason: "it was stopped".to_owned(), at: at.to_owned(), max_file: u64::MAX }
}

pub(crate) async fn save(mirror: &Mirror, worktree: &Worktree, at: &str) -> Option<Saved> {
    rescue::save(mirror, worktree, spec(at)).await.unwrap()
}

/// The content of a saved file.
#[track_caller]
fn saved_file(fixture: &Fixture, mirror: &Mirror, saved: &Saved, name: &[u8]) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    let object = [saved.name.as_bytes(), b":", name].concat();
    let output =
        fixture.command(mirror.dir()).arg("cat-file").arg("blob").arg(std::ffi::OsStr::from_bytes(&object)).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test]
async fn change_of_the_same_size_and_second_is_saved() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let base = mirror.resolve_base(None).await.unwrap().commit;
    change_within_a_second(&fixture, worktree.dir(), "README.md").await;
    let changed = read(worktree.dir(), "README.md");
    let status = worktree.status(base.as_ref()).await.unwrap();
    assert_eq!(status.uncommitted, ["README.md"]);
    let saved = save(&mirror, &worktree, "20261122T201500Z").await.unwrap();
    assert_eq!(saved_file(&fixture, &mirror, &saved, b"README.md"), changed);
}

#[tokio::test]
async fn rescue_holds_everything_in_a_worktree() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let dir = worktree.dir();
    write(dir, "committed", "1");
    let head = fixture.commit(dir, "Mine");
    fixture.run(dir, ["switch", "--quiet", "-c", "other"]);
    let other = fixture.commit(dir, "Other");
    fixture.run(dir, ["push", "--quiet", "origin", "HEAD:only-pushed"]);
    fixture.run(dir, ["switch", "--quiet", "kugetsu/7-fix"]);
    write(dir, "README.md", "stashed\n");
    fixture.run(dir, ["stash", "--quiet"]);
    write(dir, "README.md", "staged\n");
    fixture.run(dir, ["add", "README.md"]);
    write(dir, "README.md", "unstaged\n");
    std::fs::remove_file(dir.join("src/a.txt")).unwrap();
    for name in unusual_names() {
        write(dir, &name, name.as_os_str().as_encoded_bytes());
    }
    write(dir, ".gitignore", "target/\n");
    write(dir, "target/big", "x");
    symlink("nowhere", dir.join("link")).unwrap();
    nix::unistd::mkfifo(&dir.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n * 7 + n / 251) as u8).collect();
    write(dir, "binary", &bytes);

    let saved = save(&mirror, &worktree, "20261122T201500Z").await.unwrap();
    assert_eq!(saved.name, "refs/kugetsu/rescue/7/20261122T201500Z");
    assert_eq!(saved.unsaved, Vec::<String>::new());
    assert_eq!(saved.files, unusual_names().len() + 5);
    worktree.remove().await.unwrap();

    assert_eq!(saved_file(&fixture, &mirror, &saved, b"README.md"), b"unstaged\n");
    assert_eq!(saved_file(&fixture, &mirror, &saved, b"binary"), bytes);
    assert_eq!(saved_file(&fixture, &mirror, &saved, b"link"), b"nowhere");
    for name in unusual_names() {
        assert_eq!(
            saved_file(&fixture, &mirror, &saved, name.as_os_str().as_encoded_bytes()),
            name.as_os_str().as_encoded_bytes()
        );
    }
    let tree = fixture.run(mirror.dir(), ["ls-tree", "-r", "--name-only", &saved.name]);
    assert!(!tree.contains("src/a.txt") && !tree.contains("target") && !tree.contains("fifo"), "{tree}");
    assert_eq!(fixture.oid(mirror.dir(), &format!("{}^", saved.name)), head);
    for kept in [&head, &other] {
        fixture.run(mirror.dir(), ["merge-base", "--is-ancestor", kept.as_str(), &saved.name]);
    }
    let all = fixture.run(mirror.dir(), ["log", "--format=%s", &saved.name]);
    assert!(all.contains("WIP on kugetsu/7-fix") && all.contains("What was staged."), "{all}");
    fixture.run(mirror.dir(), ["fsck"]);

    let listed = rescue::list(&mirror, Some(7)).await.unwrap();
    assert_eq!(listed.len(), 1);
    let one = &listed[0];
    assert_eq!((one.issue, one.at.as_str(), one.reason.as_str()), (7, "20261122T201500Z", "it was stopped"));
    assert_eq!((&one.name, &one.commit, one.files), (&saved.name, &saved.commit, saved.files));
    assert!(rescue::list(&mirror, Some(8)).await.unwrap().is_empty());
    let shown = rescue::show(&mirror, "7/20261122T201500Z").await.unwrap();
    assert!(
        shown.stat.contains("README.md") && !shown.stat.contains(|c: char| c.is_control() && c != '\n'),
        "{}",
        shown.stat
    );
}

#[tokio::test]
async fn nothing_is_saved_if_nothing_would_be_lost() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let dir = worktree.dir();
    assert_eq!(save(&mirror, &worktree, "1").await, None);
    write(dir, "x", "1");
    let head = fixture.commit(dir, "Mine");
    let at_risk = rescue::work_at_risk(&mirror, &worktree).await.unwrap();
    assert_eq!((at_risk.unpushed, at_risk.uncommitted_total, at_risk.is_empty()), (1, 0, false));
    // A push into the relay makes nothing safe: the relay is removed with the worktree.
    fixture.run(dir, ["push", "--quiet"]);
    assert_eq!(rescue::work_at_risk(&mirror, &worktree).await.unwrap().unpushed, 1);
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    assert_eq!(saved.files, 0);
    assert!(rescue::work_at_risk(&mirror, &worktree).await.unwrap().is_empty(), "a rescue is safe");
    assert_eq!(save(&mirror, &worktree, "2").await, None);
    mirror.push(&worktree, &head, Lease::Expect(None)).await.unwrap();

    write(dir, "y", "1");
    assert_eq!(rescue::work_at_risk(&mirror, &worktree).await.unwrap().uncommitted, ["y"]);
    let first = save(&mirror, &worktree, "3").await.unwrap();
    assert_eq!(save(&mirror, &worktree, "4").await, None, "the same state is saved once");
    write(dir, "y", "2");
    let second = save(&mirror, &worktree, "3").await.unwrap();
    assert_eq!(second.name, format!("{}-2", first.name));
    let name = rescue::show(&mirror, "3-2").await.unwrap().rescue.name;
    assert_eq!(name, second.name);
}

#[tokio::test]
async fn rescues_sort_in_the_order_in_which_they_were_made_whatever_the_clock_says() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let mut made = Vec::new();
    for at in ["20271122T201500Z", "20261122T201500Z", "20261122T201500Z", "20271122T201501Z"] {
        write(worktree.dir(), "x", made.len().to_string());
        made.push(save(&mirror, &worktree, at).await.unwrap().name);
    }
    assert_eq!(made[1], "refs/kugetsu/rescue/7/20271122T201501Z");
    let listed = rescue::list(&mirror, Some(7)).await.unwrap();
    assert_eq!(listed.iter().map(|rescue| rescue.name.clone()).collect::<Vec<_>>(), made);
}

#[tokio::test]
async fn mirror_that_was_moved_does_not_appear_again() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    write(worktree.dir(), "x", "1");
    std::fs::rename(mirror.dir(), fixture.path("moved")).unwrap();
    assert!(worktree.status(None).await.is_err());
    assert!(rescue::save(&mirror, &worktree, spec("1")).await.is_err());
    assert!(!mirror.dir().exists());
}

#[tokio::test]
async fn commits_that_were_rebased_into_the_default_branch_are_safe() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, server) = fixture.ready().await;
    let dir = worktree.dir();
    write(dir, "x", "1");
    fixture.commit(dir, "Mine");
    fixture.run(dir, ["branch", "other"]);
    let repository = fixture.path("repository");
    write(&repository, "theirs", "1");
    fixture.commit(&repository, "Theirs");
    fixture.run(&repository, ["fetch", "--quiet", dir.to_str().unwrap(), "kugetsu/7-fix"]);
    fixture.run(&repository, ["cherry-pick", "FETCH_HEAD"]);
    fixture.run(&repository, ["push", "--quiet", server.to_str().unwrap(), "main"]);
    assert_eq!(rescue::work_at_risk(&mirror, &worktree).await.unwrap().unpushed, 1);
    mirror.update(&mut quiet).await.unwrap();
    assert!(rescue::work_at_risk(&mirror, &worktree).await.unwrap().is_empty());
    fixture.run(dir, ["switch", "--quiet", "-c", "more"]);
    fixture.commit(dir, "More");
    fixture.run(dir, ["switch", "--quiet", "kugetsu/7-fix"]);
    assert_eq!(rescue::work_at_risk(&mirror, &worktree).await.unwrap().other_branches, ["more"]);
}

#[tokio::test]
async fn nested_repositories_are_saved_as_files() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let dir = worktree.dir();
    let nested = |name: &str| {
        let nested = dir.join(name);
        std::fs::create_dir_all(&nested).unwrap();
        fixture.run(&nested, ["init", "--quiet"]);
        nested
    };
    let one = nested("one");
    write(&one, "committed", "1");
    write(&one, ".gitignore", "target\n");
    fixture.commit(&one, "Inner");
    write(&one, "untracked\n", "2");
    write(&one, "target/x", "3");
    let deep = nested("one/deep");
    write(&deep, "file", "4");
    write(&nested("unborn"), "sub/file", "5");
    // One that the agent added as a submodule without a server.
    let linked = nested("linked");
    write(&linked, "file", "6");
    fixture.commit(&linked, "Inner");
    fixture.run(dir, ["-c", "advice.addEmbeddedRepo=false", "add", "linked"]);
    fixture.run(dir, ["commit", "--quiet", "-m", "Linked"]);

    let saved = save(&mirror, &worktree, "1").await.unwrap();
    assert_eq!(saved.unsaved, Vec::<String>::new());
    for (name, content) in [
        ("one/committed", "1"),
        ("one/untracked\n", "2"),
        ("one/deep/file", "4"),
        ("unborn/sub/file", "5"),
        ("linked/file", "6"),
    ] {
        assert_eq!(saved_file(&fixture, &mirror, &saved, name.as_bytes()), content.as_bytes(), "{name}");
    }
    let tree = fixture.run(mirror.dir(), ["ls-tree", "-r", &saved.name]);
    assert!(!tree.contains("160000") && !tree.contains("target"), "{tree}");
}

#[tokio::test]
async fn rescue_survives_a_damaged_git_directory() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let dir = worktree.dir();
    write(dir, "x", "1");
    let pushed = fixture.commit(dir, "Pushed");
    fixture.run(dir, ["push", "--quiet"]);
    write(dir, "x", "2");
    let lost = fixture.commit(dir, "Lost");
    write(dir, "y", "3");
    let object = dir.join(".git/objects").join(&lost.as_str()[..2]).join(&lost.as_str()[2..]);
    std::fs::remove_file(&object).unwrap();
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    assert!(saved.notices.iter().any(|notice| notice.contains("damaged")), "{:?}", saved.notices);
    assert_eq!(saved.unsaved, Vec::<String>::new(), "work that is lost already does not prevent a removal");
    assert_eq!(saved_file(&fixture, &mirror, &saved, b"x"), b"2");
    assert_eq!(saved_file(&fixture, &mirror, &saved, b"y"), b"3");
    fixture.run(mirror.dir(), ["merge-base", "--is-ancestor", pushed.as_str(), &saved.name]);

    std::fs::write(dir.join(".git/index"), "DIRC rubbish").unwrap();
    std::fs::write(dir.join(".git/HEAD"), "rubbish").unwrap();
    write(dir, "y", "4");
    let saved = save(&mirror, &worktree, "2").await.unwrap();
    assert_eq!(saved_file(&fixture, &mirror, &saved, b"y"), b"4");

    std::fs::remove_dir_all(dir.join(".git")).unwrap();
    std::fs::remove_dir_all(worktree.relay()).unwrap();
    write(dir, "y", "5");
    let saved = save(&mirror, &worktree, "3").await.unwrap();
    assert_eq!(saved_file(&fixture, &mirror, &saved, b"y"), b"5");
    assert_eq!(saved_file(&fixture, &mirror, &saved, b"README.md"), b"hello\n");
    assert_eq!(saved.files, 4);
}

#[tokio::test]
async fn rescue_holds_an_unfinished_rebase() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    let dir = worktree.dir();
    write(dir, "README.md", "mine\n");
    let mine = fixture.commit(dir, "Mine");
    fixture.run(dir, ["switch", "--quiet", "-c", "theirs", "HEAD^"]);
    write(dir, "README.md", "theirs\n");
    fixture.commit(dir, "Theirs");
    fixture.run(dir, ["switch", "--quiet", "kugetsu/7-fix"]);
    assert!(!fixture.command(dir).args(["rebase", "--quiet", "theirs"]).output().unwrap().status.success());
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    let text = String::from_utf8(saved_file(&fixture, &mirror, &saved, b"README.md")).unwrap();
    assert!(text.contains("<<<<<<<"), "{text}");
    assert_eq!((saved.unsaved.len(), saved.notices.len()), (0, 0), "{saved:?}");
    fixture.run(mirror.dir(), ["merge-base", "--is-ancestor", mine.as_str(), &saved.name]);
}

#[tokio::test]
async fn files_are_saved_byte_for_byte() {
    let fixture = Fixture::with_config("[user]\n\tname = A\n\temail = a@b\n[core]\n\tautocrlf = true\n[filter \"lfs\"]\n\tclean = false\n\trequired = true\n").await;
    let (mirror, worktree, _) = fixture.ready().await;
    let dir = worktree.dir();
    assert_eq!(std::fs::read(dir.join("README.md")).unwrap(), b"hello\r\n");
    assert!(rescue::work_at_risk(&mirror, &worktree).await.unwrap().is_empty());
    // Written again with the same content.
    std::fs::write(dir.join("README.md"), "hello\r\n").unwrap();
    assert_eq!(save(&mirror, &worktree, "1").await, None);
    write(dir, ".gitattributes", "*.bin filter=lfs\n*.id ident\n*.u16 working-tree-encoding=UTF-16\n");
    write(dir, "a.bin", "large");
    write(dir, "a.id", "$Id: x $\r\n");
    write(dir, "a.u16", "not that\n");
    write(dir, "crlf.txt", "a\r\nb\n");
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    assert_eq!(saved.unsaved, Vec::<String>::new());
    for (name, bytes) in
        [("a.bin", "large"), ("a.id", "$Id: x $\r\n"), ("a.u16", "not that\n"), ("crlf.txt", "a\r\nb\n")]
    {
        assert_eq!(saved_file(&fixture, &mirror, &saved, name.as_bytes()), bytes.as_bytes(), "{name}");
    }
}

#[tokio::test]
async fn file_names_that_git_rejects_are_reported() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    for n in 0..20 {
        write(worktree.dir(), format!("file-{n}"), "x");
    }
    write(worktree.dir(), "sub/git~1", "x");
    let saved = save(&mirror, &worktree, "1").await.unwrap();
    assert_eq!((saved.files, saved.unsaved.len()), (20, 1), "{saved:?}");
    assert_eq!(saved.unsaved, ["sub/git~1 (git does not allow such a name; move or delete it)"]);
    let again = save(&mirror, &worktree, "2").await.unwrap();
    assert_eq!((&again.name, &again.unsaved), (&saved.name, &saved.unsaved), "it is reported as long as it exists");
    assert_eq!(rescue::show(&mirror, "7/1").await.unwrap().unsaved, saved.unsaved);
}

#[tokio::test]
async fn unknown_rescue_lists_the_existing_ones() {
    let fixture = Fixture::new().await;
    let (mirror, worktree, _) = fixture.ready().await;
    assert!(rescue::show(&mirror, "x").await.unwrap_err().to_string().contains("nothing was rescued"));
    write(worktree.dir(), "x", "1");
    save(&mirror, &worktree, "20261122T201500Z").await.unwrap();
    let error = rescue::show(&mirror, "20251122T201500Z").await.unwrap_err().to_string();
    assert!(error.contains("there is 7/20261122T201500Z"), "{error}");
    let error = rescue::save(&mirror, &worktree, spec("../x")).await.unwrap_err();
    assert!(matches!(error, RescueError::InvalidTime(_)), "{error}");
    let other = SaveSpec { issue_number: 8, ..spec("20261122T201500Z") };
    rescue::save(&mirror, &worktree, other).await.unwrap().unwrap();
    let error = rescue::show(&mirror, "20261122T201500Z").await.unwrap_err();
    assert!(matches!(error, RescueError::Ambiguous { .. }), "{error}");
    assert!(!Path::new("refs").exists());
}
