//! References that only the stored repositories complete.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use kugetsu_api::task::TaskRequest;
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::reference::{ProjectPath, RepoRef};
use kugetsu_domain::task::TaskKind;
use kugetsu_engine::intake::tasks::{check, queue};
use kugetsu_engine::queries::tasks;
use kugetsu_store::view::Repo;
use kugetsu_store::write::{Enqueue, Precondition};
use kugetsu_testkit::Repository;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use uuid::Uuid;

use crate::unreadable;
use crate::world::{World, repo, request};

#[tokio::test]
async fn name_of_several_repositories_is_ambiguous() {
    let world = World::new(0).await;
    let daemon = world.daemon();
    daemon.start(1, "fix it").await;
    let named = |reference: &'static str| tasks::issue(&daemon.engine, reference, Path::new("/"));
    assert_eq!(named("api#1").await.unwrap().reference, daemon.reference(1));
    let first = repo();
    let name = RepoRef { project: ProjectPath::new("other/api").unwrap(), ..first.name };
    let second = Repo { name, source: "https://forge.test/other/api".to_owned(), ..first };
    let enqueue = request(TaskId::new(Uuid::now_v7()), 1, TaskKind::Start, "fix it", Precondition::Idle);
    let enqueue = Enqueue { repo: second, new_issue: IssueId::new(Uuid::now_v7()), ..enqueue };
    daemon.engine.store().enqueue(enqueue, daemon.engine.clock().now()).await.unwrap();
    let problem = named("api#1").await.unwrap_err();
    let text = format!("{problem:?}");
    assert!(text.contains("forge.test/acme/api#1") && text.contains("forge.test/other/api#1"), "{text}");
    daemon.kill().await;
}

#[tokio::test]
async fn start_does_not_wait_for_the_lookup_of_another_directory() {
    let world = unreadable::world().await;
    let daemon = world.daemon();
    let directory = tempfile::tempdir().unwrap();
    let start = |name: &str| {
        let repository = Repository::at(directory.path().join(name));
        repository.commit_files("first", &[("README.md", "hello\n")]);
        let request = TaskRequest {
            task: Uuid::now_v7().to_string(),
            reference: repository.path().to_str().unwrap().to_owned(),
            cwd: "/".to_owned(),
            message: Some("done".to_owned()),
            ..TaskRequest::default()
        };
        (repository, request)
    };
    let ((slow, slow_request), (_other, request)) = (start("slow"), start("other"));
    let pipe = directory.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    slow.git(["config", "include.path", pipe.to_str().unwrap()]);
    let engine = daemon.engine.clone();
    let lookup = tokio::spawn(async move { check(&engine, &slow_request).await });
    // Succeeds once a process reads the other end.
    let write = || OpenOptions::new().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&pipe);
    let writer = daemon.until("git to read the pipe", async || write().ok()).await;
    let queued = queue(&daemon.engine, check(&daemon.engine, &request).await.unwrap()).await.unwrap();
    assert_eq!(queued.view.reference.to_string(), "local/other#1");
    assert!(!lookup.is_finished());
    lookup.abort();
    drop(writer);
    while write().is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    daemon.kill().await;
}
