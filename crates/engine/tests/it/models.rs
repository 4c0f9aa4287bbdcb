//! Names of models are checked before a task takes a number.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use kugetsu_agent::environment::Variable;
use kugetsu_agent::{AgentSettings, FirstStart, Profile, find_program, profile, record_models};
use kugetsu_api::atomic_file::write_atomic;
use kugetsu_api::problem::Problem;
use kugetsu_api::task::TaskRequest;
use kugetsu_engine::intake::tasks::{Queued, check, queue};
use kugetsu_engine::settings::EnvFiles;
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
    queue(&daemon.engine, check(&daemon.engine, &request).await?).await
}

/// A world with an agent that runs the shell script `list` to list its models.
async fn new_world_listing(list: &str, directory: &Path, env_files: EnvFiles) -> (World, Profile) {
    let program = directory.join("agent");
    fs::write(&program, format!("#!/bin/sh\n{list}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let agent = AgentSettings {
        name: "listing".to_owned(),
        program: Some(program),
        models: Some(vec!["models".to_owned()]),
        ..AgentSettings::default()
    };
    let mut settings = settings(0);
    settings.profiles = vec![agent];
    let profile = profile("listing", &settings.profiles).unwrap();
    let mut world = World::with(settings, repo()).await;
    world.env_files = env_files;
    (world, profile)
}

/// Records that the agent was started, and offered `a/one` in a session.
async fn record_session(world: &World, profile: &Profile) {
    let agents = world.home.agents();
    let found = find_program(profile, std::ffi::OsStr::new("")).unwrap();
    FirstStart::new(profile, &found, &agents).await.unwrap().unwrap().done().unwrap();
    record_models(&agents, "listing", &["a/one".to_owned()], write_atomic).unwrap();
}

/// As [`new_world_listing`], after a session.
async fn world_listing(list: &str, directory: &Path, env_files: EnvFiles) -> World {
    let (world, profile) = new_world_listing(list, directory, env_files).await;
    record_session(&world, &profile).await;
    world
}

fn no_env_files() -> EnvFiles {
    EnvFiles::new(|_, _| Ok(vec![]))
}

#[tokio::test]
async fn other_starts_do_not_wait_while_an_agent_lists_its_models() {
    let directory = tempfile::tempdir().unwrap();
    let (began, go) = (directory.path().join("began"), directory.path().join("go"));
    let list = format!("touch '{}'; until [ -e '{}' ]; do sleep 0.1; done; echo a/two", began.display(), go.display());
    let world = world_listing(&list, directory.path(), no_env_files()).await;
    let daemon = world.daemon();
    let (one, two) = (Repository::with_commit(), Repository::with_commit());
    let listing = start(&daemon, &one, "a/two");
    let other = async {
        while !began.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let queued = start(&daemon, &two, "a/one").await;
        fs::write(&go, "").unwrap();
        queued
    };
    // The agent has 15 s for its list, and gets the file only after the other start.
    let (listed, queued) = tokio::join!(listing, other);
    queued.unwrap();
    let notes = listed.unwrap().notes;
    assert!(!notes.iter().any(|note| note.contains("did not offer")), "the list came in time: {notes:?}");
}

#[tokio::test]
async fn variant_that_no_session_offered_starts_with_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let world = world_listing("echo a/one; echo a/two", directory.path(), no_env_files()).await;
    let daemon = world.daemon();
    let repository = Repository::with_commit();
    record_models(&world.home.agents(), "listing", &["a/one".to_owned(), "a/one/low".to_owned()], write_atomic)
        .unwrap();
    let is_warned = |queued: Queued| queued.notes.iter().any(|note| note.contains("did not offer"));
    assert!(!is_warned(start(&daemon, &repository, "a/one/low").await.unwrap()));
    assert!(is_warned(start(&daemon, &repository, "a/one/high").await.unwrap()), "the run may refuse it");
    assert!(!is_warned(start(&daemon, &repository, "a/one/low").await.unwrap()), "a list holds no variants");
    assert!(start(&daemon, &repository, "a/three").await.is_err());
}

#[tokio::test]
async fn agent_lists_its_models_with_its_own_env_file() {
    let directory = tempfile::tempdir().unwrap();
    let env_files = EnvFiles::new(|agent, is_coordinator| {
        let variable =
            |name: &str, value: &str| Variable { name: name.to_owned(), value: value.to_owned().into(), is_own: false };
        let path = format!("/nowhere:{}", std::env::var("PATH").unwrap());
        assert_eq!((agent, is_coordinator), ("listing", false));
        Ok(vec![variable("LISTED", "a/own"), variable("PATH", &path)])
    });
    let list = "case $PATH in /nowhere:*) echo $LISTED;; esac";
    let world = world_listing(list, directory.path(), env_files).await;
    let daemon = world.daemon();
    let repository = Repository::with_commit();
    let notes = start(&daemon, &repository, "a/own").await.unwrap().notes;
    assert!(!notes.iter().any(|note| note.contains("did not offer")), "{notes:?}");
}

#[tokio::test]
async fn model_is_refused_only_if_the_agent_does_not_list_it_now() {
    let repository = Repository::with_commit();
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list");
    let script = format!("[ -z \"$(ls -A)\" ] && cat '{}'", list.display());
    let (world, profile) = new_world_listing(&script, directory.path(), no_env_files()).await;
    let daemon = world.daemon();
    let agents = world.home.agents();

    // Without a record nothing is known, and nothing is listed.
    assert_eq!(start(&daemon, &repository, "a/wrong").await.unwrap().notes.len(), 1, "agents.max is 0");

    record_session(&world, &profile).await;
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
