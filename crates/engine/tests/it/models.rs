//! Names of models are checked before a task takes a number.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use kugetsu_agent::{CustomProfile, FirstStart, find_program, profile, record_models};
use kugetsu_api::atomic_file::write_atomic;
use kugetsu_api::problem::Problem;
use kugetsu_api::task::TaskRequest;
use kugetsu_engine::intake::tasks::{Queued, queue};
use kugetsu_testkit::Repository;
use uuid::Uuid;

use crate::world::{Daemon, World, repo, settings};

async fn start(daemon: &Daemon, repository: &Repository, model: &str) -> Result<Queued, Problem> {
    let request = TaskRequest {
        task: Uuid::now_v7().to_string(),
        reference: repository.path().to_str().unwrap().to_owned(),
        cwd: "/".to_owned(),
        message: Some("done".to_owned()),
        agent: Some("listing".to_owned()),
        model: Some(model.to_owned()),
        ..TaskRequest::default()
    };
    queue(&daemon.engine, request).await
}

#[tokio::test]
async fn model_is_refused_only_if_the_agent_does_not_list_it_now() {
    let repository = Repository::with_commit();
    let directory = tempfile::tempdir().unwrap();
    let (program, list) = (directory.path().join("agent"), directory.path().join("list"));
    fs::write(&program, format!("#!/bin/sh\n[ -z \"$(ls -A)\" ] && cat '{}'\n", list.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let agent = CustomProfile {
        name: "listing".to_owned(),
        program: program.clone(),
        models: Some(vec!["models".to_owned()]),
        ..CustomProfile::default()
    };
    let mut settings = settings(0);
    settings.profiles = vec![agent];
    let world = World::with(settings.clone(), repo()).await;
    let daemon = world.daemon();
    let agents = world.home.agents();

    // Without a record nothing is known, and nothing is listed.
    assert_eq!(start(&daemon, &repository, "a/wrong").await.unwrap().notes.len(), 1, "agents.max is 0");

    let profile = profile("listing", &settings.profiles).unwrap();
    let found = find_program(&profile, std::ffi::OsStr::new("")).unwrap();
    FirstStart::new(&profile, &found, &agents).await.unwrap().unwrap().done().unwrap();
    record_models(&agents, "listing", &["a/one".to_owned()], write_atomic).unwrap();
    fs::write(&list, "a/one\na/two\n").unwrap();
    let problem = start(&daemon, &repository, "a/tow").await.unwrap_err();
    assert_eq!(problem.message, "listing has no model \"a/tow\"");
    assert!(problem.hint.iter().any(|hint| hint.contains("a/two")), "{:?}", problem.hint);
    let before = daemon.all_issues().await.len();
    assert_eq!(before, 1, "a refused task takes no number");

    // The record is out of date.
    record_models(&agents, "listing", &["a/one".to_owned()], write_atomic).unwrap();
    assert_eq!(start(&daemon, &repository, "a/two").await.unwrap().notes.len(), 1);
    // There is no list to be had.
    fs::remove_file(&list).unwrap();
    let notes = start(&daemon, &repository, "a/three").await.unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("did not offer the model \"a/three\"")), "{notes:?}");
    assert!(!world.home.path().join(".models").exists() && !world.home.path().join(".models.list").exists());
}
