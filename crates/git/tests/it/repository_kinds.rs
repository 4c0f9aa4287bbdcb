//! Kinds of repositories: empty, shallow, partial, SHA-256, with submodules, with Git LFS.

use std::path::Path;

use kugetsu_git::mirror::{Base, Source};
use kugetsu_git::names::BranchName;
use kugetsu_git::push::Lease;
use kugetsu_git::rescue::{self, SaveSpec};
use kugetsu_testkit::{GitServer, Repository};

use crate::support::{Fixture, branch, quiet, read, url, write};

fn spec() -> SaveSpec {
    SaveSpec { issue_number: 7, reason: "test".to_owned(), at: "20261122T201500Z".to_owned(), max_file: u64::MAX }
}

const NO_FILTER: [&str; 6] =
    ["-c", "filter.lfs.required=false", "-c", "filter.lfs.process=", "-c", "filter.lfs.clean="];

/// Makes the index newer than the files. Git reads a file again if its time is that of the index, in whole seconds with most
/// builds of git, and would run the missing git-lfs on it.
fn settle_index(fixture: &Fixture, dir: &Path) {
    std::thread::sleep(std::time::Duration::from_millis(1100));
    fixture.run(dir, NO_FILTER.iter().chain(&["update-index", "--force-write-index"]));
}

/// Creates a worktree, commits, pushes, saves and restores; returns the notices of the creation.
async fn round_trip(fixture: &Fixture, source: &Source) -> Vec<String> {
    let mirror = fixture.mirror(source).await;
    let created = fixture.create(&mirror).await;
    let worktree = created.worktree;
    if worktree.dir().join(".gitattributes").exists() {
        settle_index(fixture, worktree.dir());
    }
    assert_eq!(fixture.run(worktree.dir(), ["status", "--porcelain"]), "");
    write(worktree.dir(), "mine.txt", "mine\n");
    let head = fixture.commit(worktree.dir(), "Mine");
    fixture.run(worktree.dir(), ["push", "--quiet"]);
    let status = worktree.status(created.base_sha.as_ref()).await.unwrap();
    assert_eq!((status.best_head.as_ref(), status.commits, status.relay_head.as_ref()), (Some(&head), 1, Some(&head)));

    write(worktree.dir(), "left.txt", "left\n");
    let saved = rescue::save(&mirror, &worktree, spec()).await.unwrap().unwrap();
    assert_eq!((saved.files, saved.unsaved.len()), (1, 0), "{saved:?}");
    let pushed = mirror.push(&worktree, &head, Lease::Expect(None)).await.unwrap();
    assert_eq!(pushed.was, None);
    assert_eq!(mirror.server_tip(&branch()).await.unwrap(), Some(head.clone()));

    let back = fixture.path("back");
    rescue::restore(&mirror, &saved.name, &back).await.unwrap();
    assert_eq!(read(&back, "left.txt"), b"left\n");
    assert_eq!(fixture.oid(&back, "HEAD"), head);
    assert_eq!(fixture.run(&back, NO_FILTER.iter().chain(&["status", "--porcelain"])), "?? left.txt");
    worktree.remove().await.unwrap();
    created.notices
}

#[tokio::test]
async fn local_repository() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    assert_eq!(round_trip(&fixture, &Source::Path(repository)).await, Vec::<String>::new());
}

#[tokio::test]
async fn local_repository_on_another_file_system() {
    use std::os::unix::fs::MetadataExt;
    let fixture = Fixture::new().await;
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    if elsewhere.path().metadata().unwrap().dev() == fixture.path("home").metadata().unwrap().dev() {
        return;
    }
    let repository = fixture.repository("repository");
    let there = elsewhere.path().join("repository");
    fixture.run(&repository, [std::ffi::OsStr::new("clone"), ".".as_ref(), there.as_os_str()]);
    round_trip(&fixture, &Source::Path(there)).await;
}

#[tokio::test]
async fn work_in_an_empty_repository_has_no_parent() {
    let fixture = Fixture::new().await;
    let repository = fixture.empty("repository", &["--bare", "--initial-branch=trunk"]);
    round_trip(&fixture, &url(&repository)).await;
    assert_eq!(fixture.run(&repository, ["rev-list", "--count", "kugetsu/7-fix"]), "1");
}

#[tokio::test]
async fn work_in_an_empty_local_repository_has_no_parent() {
    let fixture = Fixture::new().await;
    let repository = fixture.empty("repository", &[]);
    round_trip(&fixture, &Source::Path(repository)).await;
}

#[tokio::test]
async fn issues_in_a_repository_without_a_commit_do_not_build_on_each_other() {
    let fixture = Fixture::new().await;
    let repository = fixture.empty("repository", &["--initial-branch=trunk"]);
    let mirror = fixture.mirror(&Source::Path(repository.clone())).await;
    let other = fixture.repository("other");
    let unborn = Base { branch: Some(BranchName::new("trunk".to_owned()).unwrap()), commit: None };
    let source = other.to_str().unwrap();
    for branch in ["kugetsu/1-a", "kugetsu/2-b", "kugetsu-3"] {
        fixture.run(&repository, ["fetch", "--quiet", source, &format!("main:{branch}")]);
        mirror.update(&mut quiet).await.unwrap();
        assert_eq!(mirror.resolve_base(None).await.unwrap(), unborn, "{branch}");
    }
    fixture.run(&repository, ["fetch", "--quiet", source, "main:develop"]);
    mirror.update(&mut quiet).await.unwrap();
    assert_eq!(mirror.resolve_base(None).await.unwrap().branch.unwrap().as_str(), "develop");
    fixture.run(&repository, ["fetch", "--quiet", source, "main:feature"]);
    mirror.update(&mut quiet).await.unwrap();
    let error = mirror.resolve_base(None).await.unwrap_err();
    assert!(error.to_string().contains("trunk has no commit yet; there is develop, feature"), "{error}");
    assert!(error.hint().unwrap().contains("kugetsu start <issue> \"<message>\" --base develop"), "{:?}", error.hint());
}

#[tokio::test]
async fn default_branch_with_another_name() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    fixture.run(&repository, ["branch", "--move", "main", "trünk/1"]);
    round_trip(&fixture, &url(&repository)).await;
}

#[tokio::test]
async fn local_repository_with_detached_head() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    fixture.run(&repository, ["switch", "--quiet", "--detach"]);
    write(&repository, "detached", "1");
    fixture.commit(&repository, "Detached");
    round_trip(&fixture, &Source::Path(repository)).await;
}

#[tokio::test]
async fn shallow_local_repository() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    fixture.commit(&repository, "Second");
    let server = fixture.server(&repository);
    let clone = fixture.path("clone");
    let from = format!("file://{}", server.display());
    fixture.run(&fixture.path("home"), ["clone", "--quiet", "--depth=1", &from, clone.to_str().unwrap()]);
    round_trip(&fixture, &Source::Path(clone)).await;
}

#[tokio::test]
async fn partial_clone() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    write(&repository, "src/a.txt", "changed\n");
    fixture.commit(&repository, "Second");
    let server = fixture.server(&repository);
    let clone = fixture.path("clone");
    let from = format!("file://{}", server.display());
    fixture.run(
        &fixture.path("home"),
        ["clone", "--quiet", "--filter=blob:none", "--no-checkout", &from, clone.to_str().unwrap()],
    );
    // Nothing was checked out, so every blob has to come from the server.
    let clone_of = Source::Path(clone);
    round_trip(&fixture, &clone_of).await;
}

#[tokio::test]
async fn partial_and_shallow_clone() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    for n in 0..5 {
        write(&repository, "src/a.txt", format!("{n}\n"));
        fixture.commit(&repository, &n.to_string());
    }
    let server = fixture.server(&repository);
    let clone = fixture.path("clone");
    let from = format!("file://{}", server.display());
    fixture.run(
        &fixture.path("home"),
        ["clone", "--quiet", "--filter=blob:none", "--depth=3", &from, clone.to_str().unwrap()],
    );
    let source = Source::Path(clone.clone());
    let mirror = fixture.mirror(&source).await;
    // The clone moves on, and its history is cut off elsewhere.
    for n in 5..9 {
        write(&repository, "src/a.txt", format!("{n}\n"));
        fixture.commit(&repository, &n.to_string());
    }
    fixture.run(&repository, ["push", "--quiet", server.to_str().unwrap(), "main"]);
    fixture.run(&clone, ["fetch", "--quiet", "--depth=2", "origin"]);
    fixture.run(&clone, ["reset", "--quiet", "--hard", "origin/main"]);
    mirror.update(&mut quiet).await.unwrap();
    assert_eq!(fixture.oid(mirror.dir(), "refs/remotes/origin/main"), fixture.oid(&repository, "main"));
    round_trip(&fixture, &source).await;
}

#[tokio::test]
async fn branch_that_git_cannot_have_gets_another_name() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    let free = async |names: &[&str]| {
        for name in names {
            fixture.run(&repository, ["branch", name]);
        }
        let mirror = fixture.mirror(&Source::Path(repository.clone())).await;
        mirror.update(&mut quiet).await.unwrap();
        mirror.free_branch(&branch(), 3).await.unwrap().map(|name| name.to_string())
    };
    assert_eq!(free(&[]).await.as_deref(), Some("kugetsu/7-fix"));
    assert_eq!(free(&["kugetsu/7-fix", "kugetsu/7-fix-2/x"]).await.as_deref(), Some("kugetsu/7-fix-3"));
    for name in ["kugetsu/7-fix", "kugetsu/7-fix-2/x"] {
        fixture.run(&repository, ["branch", "-D", name]);
    }
    assert_eq!(free(&["kugetsu"]).await.as_deref(), Some("kugetsu-7-fix"));
    assert_eq!(free(&["kugetsu-7-fix", "kugetsu-7-fix-2", "kugetsu-7-fix-3"]).await, None);
}

#[tokio::test]
async fn secret_in_a_partial_clones_url_is_used_but_never_written() {
    const TOKEN: &str = "server-token-123456";
    let fixture = Fixture::new().await;
    let server = GitServer::start(TOKEN);
    let repository = Repository::with_commit();
    repository.commit_files("second", &[("big.txt", "from the server\n")]);
    server.add_repository_from("acme/api", &repository);
    let clone = fixture.path("clone");
    let from = server.url_with_token("acme/api");
    let home = fixture.path("home");
    fixture.run(&home, ["clone", "--quiet", "--filter=blob:none", "--no-checkout", &from, clone.to_str().unwrap()]);
    // Git's trace has the arguments of all processes. It masks passwords, but shows where one was.
    let trace = fixture.path("trace");
    fixture.run(&home, ["config", "--global", "trace2.eventTarget", trace.to_str().unwrap()]);

    let mirror = fixture.mirror(&Source::Path(clone)).await;
    let worktree = fixture.create(&mirror).await.worktree;
    assert_eq!(read(worktree.dir(), "big.txt"), b"from the server\n", "the server wants the token");
    let mut left = vec![fixture.path("mirrors"), fixture.path("worktrees"), fixture.path("relays")];
    while let Some(path) = left.pop() {
        if path.is_dir() && !path.is_symlink() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if let Ok(bytes) = std::fs::read(&path) {
            assert!(!String::from_utf8_lossy(&bytes).contains(TOKEN), "{}", path.display());
        }
    }
    let config = String::from_utf8(read(worktree.dir(), ".git/config")).unwrap();
    assert!(config.contains(&server.url("acme/api")), "{config}");
    let host = format!("@{}", server.base_url().trim_start_matches("http://"));
    let trace = String::from_utf8(read(&home, &trace)).unwrap();
    assert!(trace.contains("remote-http") && !trace.contains(&host), "{trace}");
}

#[tokio::test]
async fn sha256_repository() {
    let fixture = Fixture::new().await;
    let repository = fixture.empty("repository", &["--object-format=sha256"]);
    write(&repository, "a", "1");
    let head = fixture.commit(&repository, "First");
    assert_eq!(head.as_str().len(), 64);
    round_trip(&fixture, &Source::Path(repository)).await;
}

fn submodule(fixture: &Fixture, repository: &Path, address: &str, from: &Path) {
    fixture.run(
        repository,
        ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", from.to_str().unwrap(), "parts/inner"],
    );
    fixture.run(repository, ["config", "--file", ".gitmodules", "submodule.parts/inner.url", address]);
    fixture.commit(repository, "Submodule");
}

#[tokio::test]
async fn relative_submodule_url_points_to_the_server() {
    let fixture = Fixture::new().await;
    let inner = fixture.repository("inner");
    let repository = fixture.repository("repository");
    submodule(&fixture, &repository, "../inner", &inner);
    let mirror = fixture.mirror(&url(&repository)).await;
    let created = fixture.create(&mirror).await;
    let dir = created.worktree.dir();
    assert_eq!(
        created.notices,
        ["the submodule parts/inner is not checked out; to get it, run `git submodule update --init`"]
    );
    fixture.run(dir, ["-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init"]);
    assert_eq!(read(dir, "parts/inner/README.md"), b"hello\n");
    assert!(
        rescue::work_at_risk(&mirror, &created.worktree).await.unwrap().is_empty(),
        "an unchanged submodule is safe"
    );
    assert_eq!(rescue::save(&mirror, &created.worktree, spec()).await.unwrap(), None);

    // Changes in the submodule count.
    write(dir, "parts/inner/README.md", "changed\n");
    let at_risk = rescue::work_at_risk(&mirror, &created.worktree).await.unwrap();
    assert_eq!(at_risk.uncommitted, ["parts/inner/"]);
    let saved = rescue::save(&mirror, &created.worktree, spec()).await.unwrap().unwrap();
    assert_eq!(fixture.run(mirror.dir(), ["show", &format!("{}:parts/inner/README.md", saved.name)]), "changed");
    fixture.run(&dir.join("parts/inner"), ["commit", "--quiet", "--all", "-m", "Inner"]);
    assert!(!rescue::work_at_risk(&mirror, &created.worktree).await.unwrap().is_empty());
}

#[tokio::test]
async fn needs_git_lfs_objects_are_fetched_and_pushed() {
    let fixture = Fixture::new().await;
    let home = fixture.path("home");
    fixture.run(&home, ["lfs", "install", "--skip-repo"]);
    let server = fixture.empty("server.git", &["--bare"]);
    let repository = fixture.empty("repository", &[]);
    fixture.run(&repository, ["lfs", "install", "--local"]);
    write(&repository, ".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    write(&repository, "big.bin", "large\n");
    fixture.commit(&repository, "First");
    fixture.run(&repository, ["remote", "add", "origin", &format!("file://{}", server.display())]);
    fixture.run(&repository, ["push", "--quiet", "origin", "main"]);
    let mirror = fixture.mirror(&url(&server)).await;
    let created = fixture.create(&mirror).await;
    let dir = created.worktree.dir();
    assert_eq!(created.notices, Vec::<String>::new());
    assert_eq!(read(dir, "big.bin"), b"large\n");
    assert_eq!(fixture.run(dir, ["status", "--porcelain"]), "");
    assert!(rescue::work_at_risk(&mirror, &created.worktree).await.unwrap().is_empty());

    write(dir, "big.bin", "larger\n");
    let head = fixture.commit(dir, "Mine");
    fixture.run(dir, ["push", "--quiet"]);
    mirror.push(&created.worktree, &head, Lease::Expect(None)).await.unwrap();
    let clone = fixture.path("clone");
    let from = format!("file://{}", server.display());
    fixture.run(&home, ["clone", "--quiet", "--branch=kugetsu/7-fix", &from, clone.to_str().unwrap()]);
    assert_eq!(read(&clone, "big.bin"), b"larger\n");

    // Committed but not pushed: only the worktree has the object.
    write(dir, "big.bin", "largest\n");
    fixture.commit(dir, "Lost?");
    let saved = rescue::save(&mirror, &created.worktree, spec()).await.unwrap().unwrap();
    created.worktree.remove().await.unwrap();
    let back = fixture.path("back");
    rescue::restore(&mirror, &saved.name, &back).await.unwrap();
    assert_eq!(read(&back, "big.bin"), b"largest\n");
}

/// A local repository with `big.bin` in Git LFS.
fn local_with_large_file(fixture: &Fixture) -> std::path::PathBuf {
    fixture.run(&fixture.path("home"), ["lfs", "install", "--skip-repo"]);
    let repository = fixture.empty("large files", &[]);
    write(&repository, ".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    write(&repository, "big.bin", "hello");
    fixture.commit(&repository, "First");
    repository
}

#[tokio::test]
async fn needs_git_lfs_objects_are_pushed_to_a_local_repository() {
    let fixture = Fixture::new().await;
    let repository = local_with_large_file(&fixture);
    // Its own server has none of them.
    fixture.run(&repository, ["remote", "add", "origin", "https://host.invalid/large.git"]);
    let mirror = fixture.mirror(&Source::Path(repository.clone())).await;
    let created = fixture.create(&mirror).await;
    let dir = created.worktree.dir();
    assert_eq!(read(dir, "big.bin"), b"hello");
    let stored = |content: &str| {
        write(dir, "big.bin", content);
        let head = fixture.commit(dir, "Mine");
        let name = fixture.run(dir, ["lfs", "ls-files", "--long"]).split(' ').next().unwrap().to_owned();
        (head, repository.join(".git/lfs/objects").join(&name[..2]).join(&name[2..4]).join(&name))
    };
    let (_, left_out) = stored("not in a commit that is pushed\n");
    fixture.run(dir, ["reset", "--quiet", "HEAD~1"]);
    let (head, sent) = stored("larger\n");
    mirror.push(&created.worktree, &head, Lease::Expect(None)).await.unwrap();
    assert!(sent.exists() && !left_out.exists(), "nothing has looked for secrets in it");
    fixture.run(&repository, ["switch", "--quiet", "kugetsu/7-fix"]);
    assert_eq!(read(&repository, "big.bin"), b"larger\n");
}

#[tokio::test]
async fn needs_git_lfs_missing_contents_are_an_error_with_a_way_out() {
    let fixture = Fixture::new().await;
    let repository = local_with_large_file(&fixture);
    std::fs::remove_dir_all(repository.join(".git/lfs")).unwrap();
    let mirror = fixture.mirror(&Source::Path(repository.clone())).await;
    let error = fixture.try_create(&mirror).await.unwrap_err();
    let (message, hint) = (error.to_string(), error.hint().unwrap_or_default());
    assert!(message.contains("big.bin") && !message.contains(fixture.dir().to_str().unwrap()), "{message}");
    assert!(hint.contains("kugetsu env set GIT_LFS_SKIP_SMUDGE 1"), "{hint}");

    // Follow the hint.
    let skip = ("GIT_LFS_SKIP_SMUDGE".into(), "1".into());
    let git = kugetsu_git::command::Git::find_with(fixture.variables().into_iter().chain([skip])).await.unwrap();
    let mirror =
        kugetsu_git::mirror::Mirror::open(&git, mirror.dir(), &Source::Path(repository)).await.unwrap().unwrap();
    let created = fixture.create(&mirror).await;
    assert_eq!(read(created.worktree.dir(), "big.bin"), POINTER.as_bytes());
    assert_eq!(created.notices, [SKIPPED]);
    assert_eq!(created.worktree.status(None).await.unwrap().uncommitted_total, 0);
}

#[tokio::test]
async fn needs_git_lfs_skipped_contents_are_noted() {
    let fixture = Fixture::new().await;
    let server = with_large_file(&fixture);
    fixture.run(&fixture.path("home"), ["lfs", "install", "--skip-repo", "--skip-smudge"]);
    let mirror = fixture.mirror(&url(&server)).await;
    let created = fixture.create(&mirror).await;
    let dir = created.worktree.dir();
    assert_eq!(read(dir, "big.bin"), POINTER.as_bytes());
    assert_eq!(created.notices, [SKIPPED]);
    fixture.run(dir, ["lfs", "pull"]);
    assert_eq!(read(dir, "big.bin"), b"hello");
}

const SKIPPED: &str =
    "the repository uses Git LFS, but its large files are only pointers here; to get them, run `git lfs pull`";

/// A server whose repository has `big.bin` in Git LFS.
fn with_large_file(fixture: &Fixture) -> std::path::PathBuf {
    let server = fixture.empty("server.git", &["--bare"]);
    let repository = fixture.empty("repository", &[]);
    for (key, value) in [("required", "false"), ("process", ""), ("clean", ""), ("smudge", "")] {
        fixture.run(&repository, ["config", &format!("filter.lfs.{key}"), value]);
    }
    write(&repository, ".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    write(&repository, "big.bin", POINTER);
    fixture.commit(&repository, "First");
    fixture.run(&repository, ["push", "--quiet", server.to_str().unwrap(), "main"]);
    write(&server, format!("lfs/objects/2c/f2/{CONTENT}"), "hello");
    server
}

const CONTENT: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
const POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
                       oid sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\nsize 5\n";

/// A fixture with git-lfs set up, but with nothing but git on its `PATH`.
async fn without_git_lfs() -> Fixture {
    let config = "[user]\n\tname = A\n\temail = a@b\n[filter \"lfs\"]\n\trequired = true\n\tprocess = git-lfs filter-process\n\
                  \tsmudge = git-lfs smudge -- %f\n\tclean = git-lfs clean -- %f\n";
    let mut fixture = Fixture::with_config(config).await;
    let programs = fixture.path("programs");
    std::fs::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink(fixture.git.program(), programs.join("git")).unwrap();
    fixture.set_path(&programs).await;
    fixture
}

#[tokio::test]
async fn lfs_repository_works_without_git_lfs() {
    let fixture = without_git_lfs().await;
    let server = with_large_file(&fixture);
    let notices = round_trip(&fixture, &url(&server)).await;
    assert_eq!(
        notices,
        ["the repository uses Git LFS, but its large files are only pointers here; to get them, install git-lfs, \
          run `git lfs install` and then `git lfs pull`"]
    );
}

#[tokio::test]
async fn needs_git_lfs_notice_brings_the_large_files() {
    let fixture = without_git_lfs().await;
    let server = with_large_file(&fixture);
    let mirror = fixture.mirror(&url(&server)).await;
    let created = fixture.create(&mirror).await;
    let dir = created.worktree.dir();
    assert!(created.notices[0].contains("install git-lfs"), "{:?}", created.notices);
    assert_eq!(read(dir, "big.bin"), POINTER.as_bytes());
    assert_eq!(fixture.run(dir, ["config", "remote.origin.lfsurl"]), format!("file://{}", server.display()));

    // Follow the notice.
    fixture.run(dir, ["lfs", "install"]);
    fixture.run(dir, ["lfs", "pull"]);
    assert_eq!(read(dir, "big.bin"), b"hello");
    assert_eq!(fixture.run(dir, ["status", "--porcelain"]), "");
    write(dir, "more.bin", "more");
    let head = fixture.commit(dir, "Mine");
    let stored = fixture.run(dir, ["cat-file", "blob", "HEAD:more.bin"]);
    assert!(stored.starts_with("version https://git-lfs.github.com/spec/v1"), "{stored}");
    fixture.run(dir, ["push", "--quiet"]);
    let git = kugetsu_git::command::Git::find_with(fixture.variables()).await.unwrap();
    let mirror = kugetsu_git::mirror::Mirror::open(&git, mirror.dir(), &url(&server)).await.unwrap().unwrap();
    mirror.push(&created.worktree, &head, Lease::Expect(None)).await.unwrap();
    assert_eq!(fixture.oid(&server, "kugetsu/7-fix"), head);
}

#[tokio::test]
async fn shallow_local_repository_that_moved_on_can_be_fetched() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    fixture.commit(&repository, "Second");
    let server = fixture.server(&repository);
    let clone = fixture.path("clone");
    let from = format!("file://{}", server.display());
    fixture.run(&fixture.path("home"), ["clone", "--quiet", "--depth=1", &from, clone.to_str().unwrap()]);
    let mirror = fixture.mirror(&Source::Path(clone.clone())).await;
    let worktree = fixture.create(&mirror).await.worktree;
    write(worktree.dir(), "mine.txt", "mine\n");
    fixture.commit(worktree.dir(), "Mine");

    for message in ["Third", "Fourth"] {
        fixture.commit(&repository, message);
    }
    fixture.run(&repository, ["push", "--quiet", server.to_str().unwrap(), "main"]);
    fixture.run(&clone, ["fetch", "--quiet", "--depth=1", "origin"]);
    fixture.run(&clone, ["reset", "--quiet", "--hard", "origin/main"]);
    mirror.update(&mut quiet).await.unwrap();
    worktree.refresh().await.unwrap();
    fixture.run(worktree.dir(), ["fetch", "--quiet", "origin"]);
    assert_eq!(fixture.oid(worktree.dir(), "origin/main"), fixture.oid(&repository, "main"));
    assert_eq!(fixture.run(worktree.dir(), ["log", "--format=%s", "origin/main"]), "Fourth");
    fixture.run(worktree.dir(), ["fsck"]);
    fixture.run(worktree.relay(), ["fsck"]);
    let status = worktree.status(None).await.unwrap();
    assert_eq!(status.commits, 2, "{status:?}");
}
