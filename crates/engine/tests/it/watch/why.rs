//! `kugetsu why` for issues that could start, and were not started.

use jiff::SignedDuration;
use kugetsu_domain::ids::TaskId;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_domain::task::TaskKind;
use kugetsu_store::write::Precondition;
use kugetsu_testkit::forge_server::issue::Issue;
use uuid::Uuid;

use super::stage::{Failure, PROJECT, START, Stage};

#[tokio::test]
async fn why_shows_slots_in_use_and_pauses_of_the_agent() {
    let stage = Stage::new(ForgeKind::Gitea).await;
    stage.world.machine.follow_scripts();
    let daemon = stage.daemon();
    let issue = stage.forge.issue(PROJECT, Issue::new("It is slow").author("kim"));
    let mut paused = stage.world.request(TaskId::new(Uuid::now_v7()), 90, TaskKind::Start, "done", Precondition::Idle);
    paused.task.not_before = Some(START + SignedDuration::from_hours(24));
    daemon.store.enqueue(paused, START).await.unwrap();
    stage.world.change_settings(|settings| settings.agents.max = 1);
    daemon.start(91, "stuck").await;
    stage.until(&daemon, "the run", async || (daemon.state(91).await == "running").then_some(())).await;
    let why = stage.explain(&daemon, issue).await;
    let says = |part: &str| why.because.iter().any(|reason| reason.contains(part));
    assert!(says("1 of 1 slots in use, so its task would wait in the queue"), "{why:?}");
    assert!(says("another task of scripted is paused until "), "{why:?}");
    stage.world.change_settings(|settings| settings.agents.max = 0);
    let why = stage.explain(&daemon, issue).await;
    assert!(why.because.contains(&"agents.max is 0, so no task starts".to_owned()), "{why:?}");
    assert!(why.next.iter().any(|step| step.contains("kugetsu config set agents.max")), "{why:?}");
    daemon.kill().await;
}

#[tokio::test]
async fn why_shows_what_prevented_the_start_of_an_issue_that_meets_every_condition() {
    let stage = Stage::new(ForgeKind::Gitea).await;
    let issue = stage.hand_over();
    // The comments are the last thing that is read.
    stage.forge.fail_when(|request| request.contains("/comments").then_some(Failure::Status(503)));
    let daemon = stage.daemon();
    let has_failed = async || daemon.store.watch(stage.world.repo.name.clone()).await.unwrap().error.map(drop);
    stage.until(&daemon, "the failed poll", has_failed).await;
    let why = stage.explain(&daemon, issue).await;
    assert_eq!(why.state, None);
    assert_eq!(why.because[0], "every condition is met, but it was not started");
    let says = |part: &str| why.because.iter().any(|reason| reason.contains(part));
    assert!(says("the last poll of the repository failed: ") && says("503"), "{why:?}");
    stage.forge.recover();
    stage.pull_request(&daemon, issue).await;
    daemon.kill().await;
}
