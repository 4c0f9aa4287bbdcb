//! Special files where git reads regular ones. Without care git waits for them until its time limit, ten minutes.

use std::path::Path;
use std::time::Duration;

use kugetsu_git::mirror::LocalRepo;
use kugetsu_git::rescue::{self, SaveSpec};
use kugetsu_git::worktree::Damage;
use tokio::time::timeout;

use crate::support::{Fixture, write};

/// Longer than any step here takes, much shorter than git's time limit.
const SOON: Duration = Duration::from_secs(60);

fn spec() -> SaveSpec {
    SaveSpec { issue_number: 7, reason: "test".to_owned(), at: "20261129T030000Z".to_owned(), max_file: u64::MAX }
}

fn fifo(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = std::fs::remove_file(path);
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
}

fn is_fifo(path: &Path) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&path.symlink_metadata().unwrap().file_type())
}

#[tokio::test]
async fn fifo_in_the_files_is_an_error_with_its_name_and_the_rest_is_rescued() {
    for name in [".gitattributes", "deep/.gitignore", ".gitmodules", "nested/.git/HEAD"] {
        let fixture = Fixture::new().await;
        let (mirror, worktree, _) = fixture.ready().await;
        if name.starts_with("nested") {
            fixture.repository("worktrees/w-7/nested");
        }
        write(worktree.dir(), "precious.txt", "precious");
        let path = worktree.dir().join(name);
        fifo(&path);
        let status = timeout(SOON, worktree.status(None)).await.expect(name).unwrap_err();
        assert!(status.to_string().contains(&format!("{name} is a FIFO")), "{status}");
        let diff = timeout(SOON, worktree.diff(None, false)).await.expect(name).unwrap_err();
        assert!(diff.to_string().contains("is a FIFO"), "{diff}");
        timeout(SOON, worktree.operations()).await.expect(name).unwrap();
        let risk = timeout(SOON, rescue::work_at_risk(&mirror, &worktree)).await.expect(name).unwrap();
        assert!(!risk.is_empty(), "{name}: {risk:?}");
        assert!(is_fifo(&path), "{name}");

        let saved = timeout(SOON, rescue::save(&mirror, &worktree, spec())).await.expect(name).unwrap().unwrap();
        assert_eq!(saved.unsaved, Vec::<String>::new(), "{name}");
        assert!(saved.notices.iter().any(|notice| notice.contains(&format!("{name} is a FIFO"))), "{saved:?}");
        let shown = fixture.run(mirror.dir(), ["ls-tree", "-r", "--name-only", saved.commit.as_str()]);
        assert!(shown.contains("precious.txt") && !shown.contains("kugetsu-"), "{name}: {shown}");
        assert!(is_fifo(&path), "{name}");
        worktree.remove().await.unwrap();
    }
}

#[tokio::test]
async fn fifos_in_the_git_directory_hang_nothing() {
    for (name, damage) in [
        ("HEAD", Some(Damage::Head)),
        ("config", Some(Damage::Config)),
        ("index", Some(Damage::Index)),
        ("objects/info/alternates", Some(Damage::Alternates)),
        ("info/exclude", None),
        ("info/attributes", None),
        ("packed-refs", None),
        ("shallow", None),
        ("refs/heads/pipe", None),
        ("MERGE_HEAD", None),
        ("logs/refs/stash", None),
        ("objects/12/3456789012345678901234567890123456789a", None),
    ] {
        let fixture = Fixture::new().await;
        let (mirror, worktree, _) = fixture.ready().await;
        write(worktree.dir(), "precious.txt", "precious");
        fifo(&worktree.git_dir().join(name));
        assert_eq!(timeout(SOON, worktree.damage()).await.expect(name).unwrap(), damage, "{name}");
        let _ = timeout(SOON, worktree.status(None)).await.expect(name);
        let _ = timeout(SOON, worktree.operations()).await.expect(name);
        let _ = timeout(SOON, rescue::work_at_risk(&mirror, &worktree)).await.expect(name).unwrap();
        let saved = timeout(SOON, rescue::save(&mirror, &worktree, spec())).await.expect(name).unwrap().unwrap();
        let shown = fixture.run(mirror.dir(), ["ls-tree", "-r", "--name-only", saved.commit.as_str()]);
        assert!(shown.contains("precious.txt"), "{name}: {shown}");
    }
}

#[tokio::test]
async fn fifo_in_a_mirror_is_an_error_with_its_path() {
    let fixture = Fixture::new().await;
    let (mirror, ..) = fixture.ready().await;
    fifo(&mirror.dir().join("HEAD"));
    let open = timeout(SOON, kugetsu_git::mirror::Mirror::open(&fixture.git, mirror.dir(), mirror.source())).await;
    let error = open.unwrap().unwrap_err().to_string();
    assert!(error.contains("m/HEAD") && error.contains("is a FIFO"), "{error}");
}

#[tokio::test]
async fn fifo_in_the_users_repository_is_an_error_with_its_path() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    let find = async || timeout(SOON, LocalRepo::find(&fixture.git, &repository.join("src"))).await;
    for name in ["HEAD", "config", "packed-refs", "refs/heads/pipe", "objects/info/alternates", "info/exclude"] {
        let path = repository.join(".git").join(name);
        let before = std::fs::read(&path).ok();
        fifo(&path);
        let error = find().await.expect(name).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()) && error.contains("is a FIFO"), "{error}");
        std::fs::remove_file(&path).unwrap();
        if let Some(before) = before {
            std::fs::write(&path, before).unwrap();
        }
    }
    let local = find().await.unwrap().unwrap();
    fifo(&repository.join("src/.gitignore"));
    let error = timeout(SOON, local.uncommitted(&fixture.git)).await.unwrap().unwrap_err().to_string();
    assert!(error.contains(".gitignore") && error.contains("is a FIFO"), "{error}");
}

#[tokio::test]
async fn repository_whose_settings_include_a_fifo_is_an_error_in_time() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository("repository");
    let pipe = fixture.path("pipe");
    fifo(&pipe);
    fixture.run(&repository, ["config", "include.path", pipe.to_str().unwrap()]);
    let error = timeout(SOON, LocalRepo::find(&fixture.git, &repository)).await.unwrap().unwrap_err();
    let expected = format!("could not read the repository at {}: no answer within 30 s", repository.display());
    assert_eq!(error.to_string(), expected);
    assert!(error.hint().unwrap().contains("FIFO that its git settings include"), "{error:?}");
}
