//! Looking for secrets in what a push sends.

use std::path::{Path, PathBuf};

use kugetsu_domain::secret_finder::SecretFinder;
use kugetsu_git::mirror::{Mirror, Source};
use kugetsu_git::names::Oid;
use kugetsu_git::push::FoundSecret;
use kugetsu_git::worktree::Worktree;
use sha2::{Digest, Sha256};

use crate::support::{Fixture, url, write};

const TOKEN: &str = "tok-secret-value/1x";

fn finder() -> SecretFinder {
    SecretFinder::new([("A_TOKEN".to_owned(), "tok-secret-value".to_owned())], &[])
}

/// A worktree whose server has `known.txt`, `sub/known.txt` and `1x/known.txt`.
async fn ready(fixture: &Fixture) -> (Mirror, Worktree) {
    let repository = fixture.repository("repository");
    for name in ["known.txt", "sub/known.txt", "1x/known.txt", "tok-secret-val"] {
        write(&repository, name, "known\n");
    }
    fixture.commit(&repository, "On the server already");
    let mirror = fixture.mirror(&url(&fixture.server(&repository))).await;
    let worktree = fixture.create(&mirror).await.worktree;
    (mirror, worktree)
}

/// Commits a tree that has these entries beside those of HEAD, and returns the commit.
#[track_caller]
fn commit_with_entries(fixture: &Fixture, dir: &Path, entries: &[(&str, &Oid, &str)]) -> Oid {
    let mut lines: Vec<String> = fixture.run(dir, ["ls-tree", "-z", "HEAD"]).split('\0').map(str::to_owned).collect();
    lines.retain(|line| !line.is_empty());
    lines.extend(entries.iter().map(|(kind, oid, name)| format!("{kind} {oid}\t{name}")));
    let input = fixture.path("tree-entries");
    std::fs::write(&input, lines.join("\0") + "\0").unwrap();
    let mut command = fixture.command(dir);
    let output = command.args(["mktree", "-z"]).stdin(std::fs::File::open(&input).unwrap()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let tree = String::from_utf8(output.stdout).unwrap();
    fixture.run(dir, ["commit-tree", "-p", "HEAD", "-m", "More entries", tree.trim()]).parse().unwrap()
}

/// Stores content as Git LFS does and returns the content of its pointer.
#[track_caller]
fn store_lfs(git_dir: &Path, content: &[u8]) -> (String, PathBuf) {
    let name: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    let object = git_dir.join("lfs/objects").join(&name[..2]).join(&name[2..4]).join(&name);
    std::fs::create_dir_all(object.parent().unwrap()).unwrap();
    std::fs::write(&object, content).unwrap();
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{name}\nsize {}\n", content.len());
    (pointer, object)
}

async fn find(worktree: &Worktree, head: &Oid) -> Option<FoundSecret> {
    worktree.secret_in_push(head, &finder()).await.unwrap()
}

#[tokio::test]
async fn secret_names_of_known_content_are_found() {
    let fixture = Fixture::new().await;
    let (_mirror, worktree) = ready(&fixture).await;
    let dir = worktree.dir();
    let start = fixture.oid(dir, "HEAD");
    let cases: [(&str, &[&str]); 6] = [
        ("content that the server has", &["cp known.txt tok-secret-value.txt"]),
        ("a second name of new content", &["echo new > a", "cp a tok-secret-value.txt"]),
        ("a directory with a known file", &["mkdir tok-secret-value", "cp known.txt tok-secret-value/known.txt"]),
        ("a known directory under a new name", &["mv sub tok-secret-value"]),
        ("a name with a line break", &["cp known.txt 'a\ntok-secret-value'"]),
        ("a link", &["ln -s known.txt tok-secret-value"]),
    ];
    for (case, commands) in cases {
        for command in commands {
            let status = std::process::Command::new("sh").arg("-c").arg(command).current_dir(dir).status().unwrap();
            assert!(status.success(), "{command}");
        }
        let head = fixture.commit(dir, "Fine");
        let found = find(&worktree, &head).await.unwrap_or_else(|| panic!("{case}"));
        let location = format!("the name of a file in commit {}", head.short());
        let expected = FoundSecret { variable: "A_TOKEN".to_owned(), location, is_in_history: false };
        assert_eq!(found, expected, "{case}");
        fixture.run(dir, ["rm", "-r", "-q", "."]);
        fixture.run(dir, ["checkout", "--quiet", start.as_str(), "--", "."]);
        let later = fixture.commit(dir, "As before");
        let found = find(&worktree, &later).await.unwrap_or_else(|| panic!("{case}, removed"));
        assert_eq!(found, FoundSecret { is_in_history: true, ..expected }, "{case}");
        fixture.run(dir, ["reset", "--quiet", "--hard", start.as_str()]);
    }
}

#[tokio::test]
async fn secret_names_of_submodules_and_empty_directories_are_found() {
    let fixture = Fixture::new().await;
    let (_mirror, worktree) = ready(&fixture).await;
    let dir = worktree.dir();
    let commit = fixture.oid(dir, "HEAD");
    let empty: Oid = fixture.run(dir, ["hash-object", "-w", "-t", "tree", "/dev/null"]).parse().unwrap();
    for (kind, oid) in [("160000 commit", &commit), ("040000 tree", &empty)] {
        let head = commit_with_entries(&fixture, dir, &[(kind, oid, "tok-secret-value")]);
        let found = find(&worktree, &head).await.unwrap_or_else(|| panic!("{kind}"));
        assert!(found.location.contains(head.short()), "{found:?}");
    }
    // A merge whose own tree has the name.
    write(dir, "x", "1");
    fixture.commit(dir, "One side");
    fixture.run(dir, ["checkout", "--quiet", "-b", "other", commit.as_str()]);
    write(dir, "y", "1");
    fixture.commit(dir, "Other side");
    fixture.run(dir, ["merge", "--quiet", "--no-commit", "@{-1}"]);
    std::fs::copy(dir.join("known.txt"), dir.join("tok-secret-value")).unwrap();
    let head = fixture.commit(dir, "Merge");
    let found = find(&worktree, &head).await.expect("the merge's own name");
    assert!(found.location.contains(head.short()), "{found:?}");
}

#[tokio::test]
async fn secret_that_a_path_has_across_directories_is_found() {
    let fixture = Fixture::new().await;
    let (_mirror, worktree) = ready(&fixture).await;
    let dir = worktree.dir();
    let finder = SecretFinder::new([("A_TOKEN".to_owned(), TOKEN.to_owned())], &[]);
    std::fs::create_dir(dir.join("tok-secret-value")).unwrap();
    std::fs::rename(dir.join("1x"), dir.join("tok-secret-value/1x")).unwrap();
    let head = fixture.commit(dir, "The directory is known, its parent is not");
    assert!(worktree.secret_in_push(&head, &finder).await.unwrap().is_some());
}

#[tokio::test]
async fn names_that_the_server_has_are_no_secrets() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    write(&repository, "tok-secret-value/a.txt", "one\n");
    fixture.commit(&repository, "On the server already");
    let mirror = fixture.mirror(&url(&fixture.server(&repository))).await;
    let worktree = fixture.create(&mirror).await.worktree;
    write(worktree.dir(), "tok-secret-value/a.txt", "two\n");
    write(worktree.dir(), "b.txt", "three\n");
    let head = fixture.commit(worktree.dir(), "Changes a file beside another");
    assert_eq!(find(&worktree, &head).await, None);
}

#[tokio::test]
async fn secrets_in_git_lfs_content_are_found() {
    let fixture = Fixture::new().await;
    let (mirror, worktree) = ready(&fixture).await;
    let dir = worktree.dir();
    let large = [vec![0; 3 << 20], b"tok-secret-value".to_vec(), vec![0; 1 << 20]].concat();
    store_lfs(&dir.join(".git"), b"tok-secret-value that no commit names");
    for store in [dir.join(".git"), worktree.relay().to_owned()] {
        let (pointer, object) = store_lfs(&store, &large);
        write(dir, "s.bin", &pointer);
        let head = fixture.commit(dir, "Large");
        let found = find(&worktree, &head).await.expect("the content is pushed");
        assert_eq!(found.location, format!("the Git LFS content of the file s.bin in commit {}", head.short()));
        assert!(!found.is_in_history);
        // What cannot be read is no answer.
        std::fs::remove_dir_all(mirror.dir().join("lfs")).unwrap();
        std::fs::set_permissions(&object, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
        if std::fs::File::open(&object).is_err() {
            worktree.secret_in_push(&head, &finder()).await.unwrap_err();
        }
        std::fs::remove_file(&object).unwrap();
        assert_eq!(find(&worktree, &head).await, None, "no content can be sent");
        fixture.run(dir, ["reset", "--quiet", "--hard", "HEAD~1"]);
    }
    // The mirror's copy is what is sent.
    let (pointer, object) = store_lfs(&dir.join(".git"), &large);
    store_lfs(mirror.dir(), &large);
    std::fs::write(&object, "changed after it was stored").unwrap();
    write(dir, "s.bin", &pointer);
    let head = fixture.commit(dir, "Large");
    assert!(find(&worktree, &head).await.is_some());
}

#[tokio::test]
async fn packs_that_are_marked_as_the_servers_are_searched() {
    let fixture = Fixture::new().await;
    let server = fixture.server(&fixture.repository("repository"));
    let (clone, home) = (fixture.path("partial"), fixture.path("home"));
    let source = format!("file://{}", server.display());
    let args = ["clone", "--quiet", "--filter=blob:none", &source, &clone.display().to_string()].map(str::to_owned);
    fixture.run(&home, args);
    let mirror = fixture.mirror(&Source::Path(clone)).await;
    let worktree = fixture.create(&mirror).await.worktree;
    let dir = worktree.dir();
    write(dir, "x", "tok-secret-value");
    let head = fixture.commit(dir, "Fine");
    assert!(find(&worktree, &head).await.is_some());
    let packs = dir.join(".git/objects/pack");
    std::fs::create_dir_all(&packs).unwrap();
    let mut pack = fixture.command(dir);
    pack.args(["pack-objects", "--all", "--local", "--incremental", "-q"]).arg(packs.join("pack"));
    assert!(pack.output().unwrap().status.success());
    fixture.run(dir, ["prune-packed"]);
    let pack = std::fs::read_dir(&packs).unwrap().map(|file| file.unwrap().path());
    let pack = pack.into_iter().find(|file| file.extension().is_some_and(|ending| ending == "pack")).unwrap();
    std::fs::write(pack.with_extension("promisor"), "").unwrap();
    assert!(find(&worktree, &head).await.is_some());
}

#[tokio::test]
async fn secret_in_a_very_large_file_is_found() {
    let fixture = Fixture::new().await;
    let (_mirror, worktree) = ready(&fixture).await;
    let dir = worktree.dir();
    let mut content = vec![0; 65 << 20];
    content.extend_from_slice(b"tok-secret-value");
    write(dir, "large.bin", &content);
    fixture.run(dir, ["-c", "core.compression=1", "add", "large.bin"]);
    let head = fixture.commit(dir, "Large");
    let found = find(&worktree, &head).await.unwrap();
    assert_eq!(found.location, format!("the file large.bin in commit {}", head.short()));
    content.truncate(65 << 20);
    write(dir, "large.bin", &content);
    fixture.run(dir, ["commit", "--quiet", "--all", "--amend", "-m", "Without it"]);
    assert_eq!(find(&worktree, &fixture.oid(dir, "HEAD")).await, None);
}

#[tokio::test]
async fn secrets_in_all_parts_of_a_commit_are_found() {
    let fixture = Fixture::new().await;
    let (_mirror, worktree) = ready(&fixture).await;
    let dir = worktree.dir();
    let commit = |variable: &str, value: &str| {
        let mut command = fixture.command(dir);
        command.args(["commit-tree", "-p", "HEAD", "-m", "Fine", "HEAD^{tree}"]);
        let output = command.env(variable, value).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<Oid>().unwrap()
    };
    for variable in ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"] {
        let head = commit(variable, "tok-secret-value");
        assert!(find(&worktree, &head).await.is_some(), "{variable}");
    }
    // A merge has signed tags in its header.
    let plain = fixture.run(dir, ["cat-file", "commit", "HEAD"]);
    let file = fixture.path("commit");
    std::fs::write(&file, plain.replacen("\n\n", "\nmergetag object 1\n tok-secret-value\n\n", 1) + "\n").unwrap();
    let store = ["hash-object", "-w", "-t", "commit", "--literally"].map(str::to_owned).into_iter();
    let head: Oid = fixture.run(dir, store.chain([file.display().to_string()])).parse().unwrap();
    assert_eq!(
        find(&worktree, &head).await.unwrap().location,
        format!("the message or author of commit {}", head.short())
    );
}

#[tokio::test]
async fn secrets_are_found_in_new_files_names_messages_and_the_branch() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    write(&repository, "old.txt", "old-secret-value");
    fixture.commit(&repository, "On the server already");
    let mirror = fixture.mirror(&url(&fixture.server(&repository))).await;
    let worktree = fixture.create(&mirror).await.worktree;
    let dir = worktree.dir();
    let secret = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let secrets = [
        secret("OLD_TOKEN", "old-secret-value"),
        secret("FILE_TOKEN", "file-secret-value"),
        secret("NAME_TOKEN", "name-secret-value"),
        secret("MESSAGE_TOKEN", "message-secret-value"),
        secret("DIRECTORY_TOKEN", "kugetsu/7-fix"),
    ];
    let finder = SecretFinder::new(secrets[..4].to_vec(), &[]);
    let start = fixture.oid(dir, "HEAD");
    let cases: [(&str, &str, &str, &str); 3] = [
        ("sub/x.bin", "\0\0file-secret-value\0", "Fine", "FILE_TOKEN"),
        ("a-name-secret-value/x", "x", "Fine", "NAME_TOKEN"),
        ("x", "x", "Use message-secret-value", "MESSAGE_TOKEN"),
    ];
    for (file, content, message, variable) in cases {
        write(dir, file, content);
        let with = fixture.commit(dir, message);
        std::fs::remove_file(dir.join(file)).unwrap();
        let found = worktree.secret_in_push(&with, &finder).await.unwrap().unwrap();
        assert!(!found.is_in_history && found.location.contains(with.short()), "{found:?}");
        let head = fixture.commit(dir, "Removed again");
        let found = worktree.secret_in_push(&head, &finder).await.unwrap().unwrap();
        assert_eq!(found.variable, variable);
        assert!(found.location.contains(&format!("commit {}", with.short())), "{found:?}");
        assert_eq!(found.is_in_history, file != "x", "{found:?}");
        assert!(!found.location.contains("secret-value"), "{found:?}");
        fixture.run(dir, ["reset", "--quiet", "--hard", start.as_str()]);
    }
    write(dir, "copy.txt", "old-secret-value");
    let head = fixture.commit(dir, "The same content as on the server");
    assert_eq!(worktree.secret_in_push(&head, &finder).await.unwrap(), None);
    let finder = SecretFinder::new(secrets[4..].to_vec(), &[]);
    assert_eq!(worktree.secret_in_push(&head, &finder).await.unwrap().unwrap().location, "the name of the branch");
}
