//! Repositories whose every checkout looks modified to git.

use kugetsu_git::mirror::Mirror;
use kugetsu_git::rescue;
use kugetsu_git::worktree::Worktree;

use crate::support::{Fixture, read, url, write};

const USER: &str = "[user]\n\tname = Test Person\n\temail = test@example.invalid\n";

/// A worktree of a repository whose attributes say that committed files have other line endings than they have.
async fn with_line_endings(fixture: &Fixture) -> (Mirror, Worktree) {
    let repository = fixture.empty("repository", &[]);
    write(&repository, "a.txt", "one\r\ntwo\r\n");
    write(&repository, "dir/id.txt", "$Id: 12345 $\n");
    write(&repository, "run.sh", "#!/bin/sh\r\n");
    write(&repository, "plain.bin", "plain\n");
    fixture.commit(&repository, "First");
    write(&repository, ".gitattributes", "*.txt text eol=lf\n*.sh text eol=crlf\nid.txt ident\n");
    fixture.run(&repository, ["add", ".gitattributes"]);
    fixture.run(&repository, ["commit", "--quiet", "-m", "Attributes"]);
    let mirror = fixture.mirror(&url(&fixture.server(&repository))).await;
    let worktree = fixture.create(&mirror).await.worktree;
    (mirror, worktree)
}

/// Writes the files again with the same content, so that git looks at it.
fn write_again(dir: &std::path::Path, names: &[&str]) {
    for name in names {
        let content = read(dir, name);
        std::fs::remove_file(dir.join(name)).unwrap();
        write(dir, name, content);
    }
}

async fn uncommitted(worktree: &Worktree) -> Vec<String> {
    let mut names = worktree.status(None).await.unwrap().uncommitted;
    names.sort();
    names
}

#[tokio::test]
async fn line_endings_of_a_checkout_are_no_changes() {
    let fixture = Fixture::new().await;
    let (mirror, worktree) = with_line_endings(&fixture).await;
    let dir = worktree.dir();
    assert_eq!(uncommitted(&worktree).await, Vec::<String>::new());
    write_again(dir, &["a.txt", "dir/id.txt", "run.sh", "plain.bin"]);
    let dirty = fixture.run(dir, ["status", "--porcelain"]);
    assert_eq!(dirty.lines().count(), 3, "{dirty}");
    assert_eq!(uncommitted(&worktree).await, Vec::<String>::new());
    assert!(rescue::work_at_risk(&mirror, &worktree).await.unwrap().is_empty());
    assert_eq!(worktree.commit_rest(Some(&fixture.oid(dir, "HEAD")), "Rest").await.unwrap(), None);
    assert_eq!(worktree.diff(None, false).await.unwrap(), b"");

    // A changed byte, the other line ending, a mode.
    use std::os::unix::fs::PermissionsExt;
    write(dir, "a.txt", "one\r\nTwo\r\n");
    write(dir, "dir/id.txt", "$Id: 12345 $\r\n");
    std::fs::set_permissions(dir.join("run.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(uncommitted(&worktree).await, ["a.txt", "dir/id.txt", "run.sh"]);
    assert_eq!(rescue::work_at_risk(&mirror, &worktree).await.unwrap().uncommitted_total, 3);
    fixture.run(dir, ["add", "dir/id.txt"]);
    assert_eq!(uncommitted(&worktree).await, ["a.txt", "dir/id.txt", "run.sh"]);
}

#[tokio::test]
async fn line_endings_by_the_user_s_settings_are_no_changes() {
    let fixture =
        Fixture::with_config(&format!("{USER}[core]\n\tautocrlf = true\n\tattributesFile = ~/attributes\n")).await;
    write(&fixture.path("home"), "attributes", "dos.txt text\n");
    let repository = fixture.empty("repository", &[]);
    write(&repository, "unix.txt", "one\ntwo\n");
    write(&repository, "dos.txt", "one\r\ntwo\r\n");
    let raw = ["-c", "core.autocrlf=false", "-c", "core.attributesFile=/dev/null"];
    fixture.run(&repository, raw.into_iter().chain(["add", "--all"]));
    fixture.run(&repository, ["commit", "--quiet", "-m", "First"]);
    let mirror = fixture.mirror(&url(&fixture.server(&repository))).await;
    let worktree = fixture.create(&mirror).await.worktree;
    let dir = worktree.dir();
    assert_eq!(read(dir, "unix.txt"), b"one\r\ntwo\r\n");
    write_again(dir, &["unix.txt", "dos.txt"]);
    assert_eq!(fixture.run(dir, ["status", "--porcelain"]), " M dos.txt");
    assert_eq!(uncommitted(&worktree).await, Vec::<String>::new());
    write(dir, "unix.txt", "one\r\n\r\ntwo\r\n");
    write(dir, "dos.txt", "one\r\nTwo\r\n");
    assert_eq!(uncommitted(&worktree).await, ["dos.txt", "unix.txt"]);
}

#[tokio::test]
async fn filtered_files_of_a_checkout_are_no_changes() {
    let filter = "[filter \"upper\"]\n\tsmudge = tr a-z A-Z\n\tclean = tr A-Z a-z\n\trequired = true\n";
    let fixture = Fixture::with_config(&format!("{USER}{filter}")).await;
    let repository = fixture.empty("repository", &[]);
    write(&repository, ".gitattributes", "*.up filter=upper\n");
    write(&repository, "a.up", "ABC\n");
    write(&repository, "b.up", "XYZ\n");
    fixture.commit(&repository, "First");
    let mirror = fixture.mirror(&url(&fixture.server(&repository))).await;
    // As new as the index in whole seconds, so that git looks at the content: more than one attempt would only repeat it.
    let worktree = fixture.create(&mirror).await.worktree;
    let dir = worktree.dir();
    assert_eq!(read(dir, "a.up"), b"ABC\n");
    assert_eq!(fixture.run(dir, ["cat-file", "blob", "HEAD:a.up"]), "abc");
    assert_eq!(uncommitted(&worktree).await, Vec::<String>::new());
    assert!(rescue::work_at_risk(&mirror, &worktree).await.unwrap().is_empty());

    // The same size, within the same second.
    write(dir, "a.up", "ABE\n");
    assert_eq!(uncommitted(&worktree).await, ["a.up"]);
    assert!(rescue::save(&mirror, &worktree, crate::rescue::spec("20261122T201500Z")).await.unwrap().is_some());
}
