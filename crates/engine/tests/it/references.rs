//! References that only the stored repositories complete.

use std::path::Path;

use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::reference::{ProjectPath, RepoRef};
use kugetsu_domain::task::TaskKind;
use kugetsu_engine::queries::tasks;
use kugetsu_store::view::Repo;
use kugetsu_store::write::{Enqueue, Precondition};
use uuid::Uuid;

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
