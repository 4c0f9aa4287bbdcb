//! Repositories of every kind: empty, shallow, partial, SHA-256, with submodules, with large files.

use std::path::Path;

use kugetsu_git::mirror::Source;
use kugetsu_git::push::Lease;
use kugetsu_git::rescue::{self, SaveSpec};
use kugetsu_testkit::{GitServer, Repository};

use crate::support::{Place, branch, quiet, read, url, write};

fn spec() -> SaveSpec {
    SaveSpec { issue_number: 7, why: "test".to_owned(), at: "20261122T201500Z".to_owned() }
}

/// Creates, commits, pushes, rescues and restores.
async fn round(place: &Place, source: &Source) -> Vec<String> {
    let mirror = place.mirror(source).await;
    let created = place.create(&mirror).await;
    let worktree = created.worktree;
    assert_eq!(place.run(worktree.dir(), ["status", "--porcelain"]), "");
    write(worktree.dir(), "mine.txt", "mine\n");
    let head = place.commit(worktree.dir(), "Mine");
    place.run(worktree.dir(), ["push", "--quiet"]);
    let status = worktree.status(created.base_sha.as_ref()).await.unwrap();
    assert_eq!((status.best_head.as_ref(), status.commits, status.relay_head.as_ref()), (Some(&head), 1, Some(&head)));

    write(worktree.dir(), "left.txt", "left\n");
    let saved = rescue::save(&mirror, &worktree, spec()).await.unwrap().unwrap();
    assert_eq!((saved.files, saved.unsaved.len()), (1, 0), "{saved:?}");
    let published = mirror.publish(&worktree, &head, Lease::Expect(None)).await.unwrap();
    assert_eq!(published.was, None);
    assert_eq!(mirror.on_server(&branch()).await.unwrap(), Some(head.clone()));

    let back = place.path("back");
    rescue::restore(&mirror, &saved.name, &back).await.unwrap();
    assert_eq!(read(&back, "left.txt"), b"left\n");
    assert_eq!(place.oid(&back, "HEAD"), head);
    let unfiltered = ["-c", "filter.lfs.required=false", "-c", "filter.lfs.process=", "-c", "filter.lfs.clean="];
    assert_eq!(place.run(&back, unfiltered.iter().chain(&["status", "--porcelain"])), "?? left.txt");
    worktree.remove().await.unwrap();
    created.notices
}

#[tokio::test]
async fn a_folder() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    assert_eq!(round(&place, &Source::Path(repository)).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_empty_repository_begins_without_a_parent() {
    let place = Place::new().await;
    let repository = place.empty("repository", &["--bare", "--initial-branch=trunk"]);
    round(&place, &url(&repository)).await;
    assert_eq!(place.run(&repository, ["rev-list", "--count", "kugetsu/7-fix"]), "1");
}

#[tokio::test]
async fn an_empty_folder_begins_without_a_parent() {
    let place = Place::new().await;
    let repository = place.empty("repository", &[]);
    round(&place, &Source::Path(repository)).await;
}

#[tokio::test]
async fn a_default_branch_of_another_name() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    place.run(&repository, ["branch", "--move", "main", "trünk/1"]);
    round(&place, &url(&repository)).await;
}

#[tokio::test]
async fn a_detached_head() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    place.run(&repository, ["switch", "--quiet", "--detach"]);
    write(&repository, "detached", "1");
    place.commit(&repository, "Detached");
    round(&place, &Source::Path(repository)).await;
}

#[tokio::test]
async fn a_shallow_folder() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    place.commit(&repository, "Second");
    let server = place.server(&repository);
    let clone = place.path("clone");
    let from = format!("file://{}", server.display());
    place.run(&place.path("home"), ["clone", "--quiet", "--depth=1", &from, clone.to_str().unwrap()]);
    round(&place, &Source::Path(clone)).await;
}

#[tokio::test]
async fn a_partial_folder() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    write(&repository, "src/a.txt", "changed\n");
    place.commit(&repository, "Second");
    let server = place.server(&repository);
    let clone = place.path("clone");
    let from = format!("file://{}", server.display());
    place.run(
        &place.path("home"),
        ["clone", "--quiet", "--filter=blob:none", "--no-checkout", &from, clone.to_str().unwrap()],
    );
    // Nothing was checked out, so every content has to come from the server, and does.
    let clone_of = Source::Path(clone);
    round(&place, &clone_of).await;
}

#[tokio::test]
async fn a_secret_in_a_partial_folders_address_is_used_but_neither_written_nor_seen() {
    const TOKEN: &str = "server-token-123456";
    let place = Place::new().await;
    let server = GitServer::start(TOKEN);
    let repository = Repository::with_commit();
    repository.commit_files("second", &[("big.txt", "from the server\n")]);
    server.add_repository_from("acme/api", &repository);
    let clone = place.path("clone");
    let from = server.url_with_token("acme/api");
    let home = place.path("home");
    place.run(&home, ["clone", "--quiet", "--filter=blob:none", "--no-checkout", &from, clone.to_str().unwrap()]);
    // Git's own record of what it starts, with all arguments; it hides passwords, but not that there was one.
    let started = place.path("started");
    place.run(&home, ["config", "--global", "trace2.eventTarget", started.to_str().unwrap()]);

    let mirror = place.mirror(&Source::Path(clone)).await;
    let worktree = place.create(&mirror).await.worktree;
    assert_eq!(read(worktree.dir(), "big.txt"), b"from the server\n", "the server wants the token");
    let mut left = vec![place.path("mirrors"), place.path("worktrees"), place.path("relays")];
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
    let started = String::from_utf8(read(&home, &started)).unwrap();
    assert!(started.contains("remote-http") && !started.contains(&host), "{started}");
}

#[tokio::test]
async fn sha256() {
    let place = Place::new().await;
    let repository = place.empty("repository", &["--object-format=sha256"]);
    write(&repository, "a", "1");
    let head = place.commit(&repository, "First");
    assert_eq!(head.as_str().len(), 64);
    round(&place, &Source::Path(repository)).await;
}

fn submodule(place: &Place, repository: &Path, address: &str, from: &Path) {
    place.run(
        repository,
        ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", from.to_str().unwrap(), "parts/inner"],
    );
    place.run(repository, ["config", "--file", ".gitmodules", "submodule.parts/inner.url", address]);
    place.commit(repository, "Submodule");
}

#[tokio::test]
async fn a_submodule_is_not_fetched_but_its_relative_address_leads_to_the_server() {
    let place = Place::new().await;
    let inner = place.repository("inner");
    let repository = place.repository("repository");
    submodule(&place, &repository, "../inner", &inner);
    let mirror = place.mirror(&url(&repository)).await;
    let created = place.create(&mirror).await;
    let dir = created.worktree.dir();
    assert_eq!(
        created.notices,
        ["the submodule parts/inner is not there; to get it, run `git submodule update --init`"]
    );
    place.run(dir, ["-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init"]);
    assert_eq!(read(dir, "parts/inner/README.md"), b"hello\n");
    assert!(
        rescue::is_safe(&mirror, &created.worktree).await.unwrap().is_nothing(),
        "a submodule as it was fetched is safe"
    );
    assert_eq!(rescue::save(&mirror, &created.worktree, spec()).await.unwrap(), None);

    // Work in the submodule is work.
    write(dir, "parts/inner/README.md", "changed\n");
    let at_risk = rescue::is_safe(&mirror, &created.worktree).await.unwrap();
    assert_eq!(at_risk.uncommitted, ["parts/inner/"]);
    let saved = rescue::save(&mirror, &created.worktree, spec()).await.unwrap().unwrap();
    assert_eq!(place.run(mirror.dir(), ["show", &format!("{}:parts/inner/README.md", saved.name)]), "changed");
    place.run(&dir.join("parts/inner"), ["commit", "--quiet", "--all", "-m", "Inner"]);
    assert!(!rescue::is_safe(&mirror, &created.worktree).await.unwrap().is_nothing());
}

#[tokio::test]
async fn needs_git_lfs_large_files_come_from_the_server_and_go_there() {
    let place = Place::new().await;
    let home = place.path("home");
    place.run(&home, ["lfs", "install", "--skip-repo"]);
    let server = place.empty("server.git", &["--bare"]);
    let repository = place.empty("repository", &[]);
    place.run(&repository, ["lfs", "install", "--local"]);
    write(&repository, ".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    write(&repository, "big.bin", "large\n");
    place.commit(&repository, "First");
    place.run(&repository, ["remote", "add", "origin", &format!("file://{}", server.display())]);
    place.run(&repository, ["push", "--quiet", "origin", "main"]);
    let mirror = place.mirror(&url(&server)).await;
    let created = place.create(&mirror).await;
    let dir = created.worktree.dir();
    assert_eq!(created.notices, Vec::<String>::new());
    assert_eq!(read(dir, "big.bin"), b"large\n");
    assert_eq!(place.run(dir, ["status", "--porcelain"]), "");
    assert!(rescue::is_safe(&mirror, &created.worktree).await.unwrap().is_nothing());

    write(dir, "big.bin", "larger\n");
    let head = place.commit(dir, "Mine");
    place.run(dir, ["push", "--quiet"]);
    mirror.publish(&created.worktree, &head, Lease::Expect(None)).await.unwrap();
    let clone = place.path("clone");
    let from = format!("file://{}", server.display());
    place.run(&home, ["clone", "--quiet", "--branch=kugetsu/7-fix", &from, clone.to_str().unwrap()]);
    assert_eq!(read(&clone, "big.bin"), b"larger\n");

    // Committed, but pushed nowhere: the content lies in the worktree alone.
    write(dir, "big.bin", "largest\n");
    place.commit(dir, "Lost?");
    let saved = rescue::save(&mirror, &created.worktree, spec()).await.unwrap().unwrap();
    created.worktree.remove().await.unwrap();
    let back = place.path("back");
    rescue::restore(&mirror, &saved.name, &back).await.unwrap();
    assert_eq!(read(&back, "big.bin"), b"largest\n");
}

/// A server whose repository keeps `big.bin` in Git LFS, and the content of it.
fn with_large_file(place: &Place) -> std::path::PathBuf {
    let server = place.empty("server.git", &["--bare"]);
    let repository = place.empty("repository", &[]);
    for (key, value) in [("required", "false"), ("process", ""), ("clean", ""), ("smudge", "")] {
        place.run(&repository, ["config", &format!("filter.lfs.{key}"), value]);
    }
    write(&repository, ".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    write(&repository, "big.bin", POINTER);
    place.commit(&repository, "First");
    place.run(&repository, ["push", "--quiet", server.to_str().unwrap(), "main"]);
    write(&server, format!("lfs/objects/2c/f2/{CONTENT}"), "hello");
    server
}

const CONTENT: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
const POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
                       oid sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\nsize 5\n";

/// A place whose `PATH` has git and nothing else, so no git-lfs either, and whose user has set it up some time.
async fn without_git_lfs() -> Place {
    let config = "[user]\n\tname = A\n\temail = a@b\n[filter \"lfs\"]\n\trequired = true\n\tprocess = git-lfs filter-process\n\
                  \tsmudge = git-lfs smudge -- %f\n\tclean = git-lfs clean -- %f\n";
    let mut place = Place::with_config(config).await;
    let programs = place.path("programs");
    std::fs::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink(place.git.program(), programs.join("git")).unwrap();
    place.look_for_programs_in(&programs).await;
    place
}

#[tokio::test]
async fn a_repository_with_large_files_opens_without_git_lfs() {
    let place = without_git_lfs().await;
    let server = with_large_file(&place);
    let notices = round(&place, &url(&server)).await;
    assert_eq!(
        notices,
        [
            "the repository keeps large files in Git LFS, and they are only pointers here; to get them, install git-lfs, \
          then run `git lfs install` and `git lfs pull`"
        ]
    );
}

#[tokio::test]
async fn needs_git_lfs_what_the_notice_says_brings_the_large_files() {
    let place = without_git_lfs().await;
    let server = with_large_file(&place);
    let mirror = place.mirror(&url(&server)).await;
    let created = place.create(&mirror).await;
    let dir = created.worktree.dir();
    assert!(created.notices[0].contains("install git-lfs"), "{:?}", created.notices);
    assert_eq!(read(dir, "big.bin"), POINTER.as_bytes());
    assert_eq!(place.run(dir, ["config", "remote.origin.lfsurl"]), format!("file://{}", server.display()));

    // It is installed now, and set up as the notice says.
    place.run(dir, ["lfs", "install"]);
    place.run(dir, ["lfs", "pull"]);
    assert_eq!(read(dir, "big.bin"), b"hello");
    assert_eq!(place.run(dir, ["status", "--porcelain"]), "");
    write(dir, "more.bin", "more");
    let head = place.commit(dir, "Mine");
    let stored = place.run(dir, ["cat-file", "blob", "HEAD:more.bin"]);
    assert!(stored.starts_with("version https://git-lfs.github.com/spec/v1"), "{stored}");
    place.run(dir, ["push", "--quiet"]);
    let git = kugetsu_git::command::Git::find_with(place.variables()).await.unwrap();
    let mirror = kugetsu_git::mirror::Mirror::open(&git, mirror.dir(), &url(&server)).await.unwrap().unwrap();
    mirror.publish(&created.worktree, &head, Lease::Expect(None)).await.unwrap();
    assert_eq!(place.oid(&server, "kugetsu/7-fix"), head);
}

#[tokio::test]
async fn a_shallow_folder_that_was_fetched_anew_can_be_fetched_from() {
    let place = Place::new().await;
    let repository = place.repository("repository");
    place.commit(&repository, "Second");
    let server = place.server(&repository);
    let clone = place.path("clone");
    let from = format!("file://{}", server.display());
    place.run(&place.path("home"), ["clone", "--quiet", "--depth=1", &from, clone.to_str().unwrap()]);
    let mirror = place.mirror(&Source::Path(clone.clone())).await;
    let worktree = place.create(&mirror).await.worktree;
    write(worktree.dir(), "mine.txt", "mine\n");
    place.commit(worktree.dir(), "Mine");

    for message in ["Third", "Fourth"] {
        place.commit(&repository, message);
    }
    place.run(&repository, ["push", "--quiet", server.to_str().unwrap(), "main"]);
    place.run(&clone, ["fetch", "--quiet", "--depth=1", "origin"]);
    place.run(&clone, ["reset", "--quiet", "--hard", "origin/main"]);
    mirror.update(&mut quiet).await.unwrap();
    worktree.refresh().await.unwrap();
    place.run(worktree.dir(), ["fetch", "--quiet", "origin"]);
    assert_eq!(place.oid(worktree.dir(), "origin/main"), place.oid(&repository, "main"));
    assert_eq!(place.run(worktree.dir(), ["log", "--format=%s", "origin/main"]), "Fourth");
    place.run(worktree.dir(), ["fsck"]);
    place.run(worktree.relay(), ["fsck"]);
    let status = worktree.status(None).await.unwrap();
    assert_eq!(status.commits, 2, "{status:?}");
}
