//! The content of Git LFS files that is not where git-lfs usually stores it.

use std::fs;
use std::path::{Path, PathBuf};

use kugetsu_domain::secret_finder::SecretFinder;
use kugetsu_git::mirror::Mirror;
use kugetsu_git::names::Oid;
use kugetsu_git::push::{Lease, PushError};
use kugetsu_git::rescue::{self, holds_repositories};
use kugetsu_git::worktree::Worktree;
use sha2::{Digest, Sha256};

use crate::rescue::{save, spec};
use crate::support::{Fixture, branch, write};

const CONTENT: &[u8] = b"only copy\n";

fn name(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn object(store: &Path, content: &[u8]) -> PathBuf {
    let name = name(content);
    store.join("objects").join(&name[..2]).join(&name[2..4]).join(&name)
}

/// A worktree with a commit of the pointer to `content`, whose file has the content. Nothing has stored it.
struct Work {
    fixture: Fixture,
    mirror: Mirror,
    worktree: Worktree,
    server: PathBuf,
    head: Oid,
}

impl Work {
    async fn new() -> Self {
        Self::with(Fixture::new().await).await
    }

    async fn with(fixture: Fixture) -> Self {
        let (mirror, worktree, server) = fixture.ready().await;
        let dir = worktree.dir();
        write(dir, ".gitattributes", "*.bin filter=lfs -text\n");
        let pointer = format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n",
            name(CONTENT),
            CONTENT.len()
        );
        write(dir, "s.bin", pointer);
        for key in ["clean", "smudge", "process"] {
            fixture.run(dir, ["config", &format!("filter.lfs.{key}"), ""]);
        }
        fixture.run(dir, ["config", "filter.lfs.required", "false"]);
        let head = fixture.commit(dir, "Large");
        write(dir, "s.bin", CONTENT);
        Self { fixture, mirror, worktree, server, head }
    }

    async fn push(&self) -> Result<(), PushError> {
        self.mirror.push(&self.worktree, &self.head, Lease::Expect(None)).await.map(drop)
    }

    /// Saves the worktree, removes it, and returns the content that a restore brings back.
    async fn saved(&self) -> Option<Vec<u8>> {
        let saved = save(&self.mirror, &self.worktree, "1").await.unwrap();
        assert_eq!(saved.unsaved, Vec::<String>::new());
        fs::remove_dir_all(self.worktree.dir()).unwrap();
        let back = self.fixture.path("back");
        rescue::restore(&self.mirror, &saved.name, &back).await.unwrap();
        fs::read(object(&back.join(".git/lfs"), CONTENT)).ok()
    }
}

#[tokio::test]
async fn content_that_is_nowhere_blocks_the_push() {
    let work = Work::new().await;
    write(work.worktree.dir(), "s.bin", "other");
    let error = work.push().await.unwrap_err();
    assert!(matches!(&error, PushError::LfsContent { files, .. } if files == "s.bin"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("kugetsu push")));
    assert_eq!(work.mirror.server_tip(&branch()).await.unwrap(), None);
    let saved = save(&work.mirror, &work.worktree, "1").await.unwrap();
    assert_eq!(saved.notices, ["the LFS content of s.bin was not found; the rescue has the pointer"]);
}

#[tokio::test]
async fn content_that_cannot_be_sent_blocks_the_push() {
    let mut work = Work::new().await;
    let programs = work.fixture.path("programs");
    fs::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink(work.fixture.git.program(), programs.join("git")).unwrap();
    work.fixture.set_path(&programs).await;
    let source = crate::support::url(&work.server);
    work.mirror = Mirror::open(&work.fixture.git, work.mirror.dir(), &source).await.unwrap().unwrap();
    let error = work.push().await.unwrap_err();
    assert!(matches!(&error, PushError::NoGitLfs { files } if files == "s.bin"), "{error}");
    assert_eq!(work.mirror.server_tip(&branch()).await.unwrap(), None);
}

#[tokio::test]
async fn needs_git_lfs_content_is_sent_from_the_file() {
    let work = Work::new().await;
    // A renamed file has it, too.
    fs::rename(work.worktree.dir().join("s.bin"), work.worktree.dir().join("renamed.bin")).unwrap();
    work.push().await.unwrap();
    assert_eq!(fs::read(object(&work.server.join("lfs"), CONTENT)).unwrap(), CONTENT);
    assert_eq!(work.mirror.server_tip(&branch()).await.unwrap(), Some(work.head.clone()));
}

#[tokio::test]
async fn needs_git_lfs_content_is_sent_from_the_users_store() {
    let fixture = Fixture::new().await;
    let store = fixture.path("store");
    fixture.run(&fixture.path("home"), ["config", "--global", "lfs.storage", store.to_str().unwrap()]);
    let work = Work::with(fixture).await;
    let file = work.worktree.dir().join("s.bin");
    fs::create_dir_all(object(&store, CONTENT).parent().unwrap()).unwrap();
    fs::rename(&file, object(&store, CONTENT)).unwrap();
    let saved = save(&work.mirror, &work.worktree, "1").await.unwrap();
    // The user's git-lfs looks there for the content of a local server.
    let file = object(&store, CONTENT);
    fs::remove_file(&file).unwrap();
    work.push().await.unwrap();
    assert_eq!(fs::read(file).unwrap(), CONTENT);
    assert_eq!(work.mirror.server_tip(&branch()).await.unwrap(), Some(work.head.clone()));
    fs::remove_dir_all(&store).unwrap();
    let back = work.fixture.path("back");
    rescue::restore(&work.mirror, &saved.name, &back).await.unwrap();
    assert_eq!(fs::read(object(&back.join(".git/lfs"), CONTENT)).unwrap(), CONTENT);
    assert_eq!(work.fixture.run(&back, ["config", "lfs.storage"]), "lfs");
}

#[tokio::test]
async fn content_in_a_file_is_rescued() {
    assert_eq!(Work::new().await.saved().await.as_deref(), Some(CONTENT));
}

#[tokio::test]
async fn content_behind_a_link_inside_the_worktree_is_rescued() {
    let work = Work::new().await;
    let dir = work.worktree.dir();
    let stored = object(&dir.join(".git/elsewhere"), CONTENT);
    fs::create_dir_all(stored.parent().unwrap()).unwrap();
    fs::rename(dir.join("s.bin"), stored).unwrap();
    let _ = fs::remove_dir_all(dir.join(".git/lfs"));
    std::os::unix::fs::symlink("elsewhere", dir.join(".git/lfs")).unwrap();
    assert_eq!(work.saved().await.as_deref(), Some(CONTENT));
}

#[tokio::test]
async fn what_an_agents_link_leads_to_is_not_sent() {
    let work = Work::new().await;
    let (dir, secret) = (work.worktree.dir(), work.fixture.path("secret"));
    fs::rename(dir.join("s.bin"), &secret).unwrap();
    std::os::unix::fs::symlink(&secret, dir.join("s.bin")).unwrap();
    assert!(matches!(work.push().await, Err(PushError::LfsContent { .. })));
}

#[tokio::test]
async fn content_in_the_temporary_directory_is_kept() {
    let work = Work::new().await;
    let temporary = work.fixture.path("run/tmp");
    let stored = object(&temporary.join("st"), CONTENT);
    fs::create_dir_all(stored.parent().unwrap()).unwrap();
    assert!(!holds_repositories(&temporary).await.unwrap());
    fs::rename(work.worktree.dir().join("s.bin"), &stored).unwrap();
    assert!(holds_repositories(&temporary).await.unwrap());
    let kept = object(&work.mirror.dir().join("lfs"), CONTENT);
    let saved = rescue::save_temporary(&work.mirror, &work.worktree, &temporary, spec("1")).await.unwrap();
    assert_eq!(saved, None, "no repository is there");
    assert!(kept.exists());
    fs::remove_file(&kept).unwrap();
    work.worktree.keep_lfs_content(&work.head, &temporary).await.unwrap();
    assert!(kept.exists());
}

#[tokio::test]
async fn secrets_in_content_of_a_file_are_found() {
    let work = Work::new().await;
    let finder = SecretFinder::new([("A_TOKEN".to_owned(), "only copy".to_owned())], &[]);
    let found = work.worktree.secret_in_push(&work.head, &finder).await.unwrap().unwrap();
    assert!(found.location.contains("the Git LFS content of the file s.bin"), "{found:?}");
}

#[tokio::test]
async fn pointers_that_the_server_has_need_no_content() {
    let mut work = Work::new().await;
    work.fixture.run(work.worktree.dir(), ["push", "--quiet", work.server.to_str().unwrap(), "HEAD~1:refs/heads/main"]);
    write(work.worktree.dir(), "s.bin", "other");
    let server = work.server.to_str().unwrap().to_owned();
    let large = work.head.clone();
    work.fixture.run(work.worktree.dir(), ["push", "--quiet", &server, "HEAD:refs/heads/main"]);
    work.mirror.update(&mut crate::support::quiet).await.unwrap();
    work.fixture.run(work.worktree.dir(), ["rm", "--quiet", "--force", "s.bin"]);
    work.fixture.commit(work.worktree.dir(), "Removed");
    work.fixture.run(work.worktree.dir(), ["push", "--quiet", &server, "HEAD:refs/heads/main"]);
    work.mirror.update(&mut crate::support::quiet).await.unwrap();
    // As before.
    work.fixture.run(work.worktree.dir(), ["checkout", "--quiet", large.as_str(), "--", "s.bin"]);
    work.head = work.fixture.commit(work.worktree.dir(), "Back");
    work.push().await.unwrap();
}
