//! `kugetsu why` for issues that could start, and were not started.

use jiff::SignedDuration;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_engine::pauses::{pause, resume};
use kugetsu_testkit::forge_server::issue::{Issue, Subject};

use super::stage::{Failure, PROJECT, Stage};

#[tokio::test]
async fn why_shows_slots_in_use_and_pauses_of_the_agent() {
    let stage = Stage::new(ForgeKind::Gitea).await;
    stage.world.machine.follow_scripts();
    let daemon = stage.daemon();
    let issue = stage.forge.issue(PROJECT, Issue::new("It is slow").author("kim"));
    daemon.start(91, "stuck").await;
    stage.until(&daemon, "the run", async || (daemon.state(91).await == "running").then_some(())).await;
    daemon.start(90, "limit").await;
    stage.until(&daemon, "the pause", async || daemon.issue(90).await.tasks.first()?.not_before.map(drop)).await;
    stage.world.change_settings(|settings| settings.agents.max = 1);
    let why = stage.explain(&daemon, issue).await;
    let says = |part: &str| why.because.iter().any(|reason| reason.contains(part));
    assert!(says("1 of 1 slots in use, so its task would wait in the queue"), "{why:?}");
    assert!(says("scripted is limited by its provider since "), "{why:?}");
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

#[tokio::test]
async fn issue_of_a_paused_repository_is_not_started_and_is_at_once_when_it_is_resumed() {
    let stage = Stage::new(ForgeKind::Gitea).await;
    let daemon = stage.daemon();
    let repo = Some(stage.world.repo.name.clone());
    pause(&daemon.engine, repo.clone()).await.unwrap();
    let issue = stage.hand_over();
    let waits = async || {
        let candidate = daemon.store.candidate(stage.world.repo.name.clone(), issue).await.unwrap()?;
        (!candidate.conditions.is_empty()).then_some(())
    };
    stage.until(&daemon, "the candidate", waits).await;
    stage.pass_in_steps(&daemon, SignedDuration::from_mins(10)).await;
    let why = stage.explain(&daemon, issue).await;
    assert_eq!(why.state, None, "{why:?}");
    let row = why.conditions.iter().find(|condition| condition.name == "pause").unwrap();
    assert!(row.met == "no" && row.fact.contains("acme/api is paused since 2026-01-0"), "{why:?}");
    assert!(why.next.iter().any(|step| step.contains("kugetsu resume ")), "{why:?}");
    assert!(!why.next.iter().any(|step| step.contains("kugetsu watch resume")), "{why:?}");
    assert_eq!(daemon.engine.stall(), None);
    let before = daemon.engine.clock().now();
    resume(&daemon.engine, repo).await.unwrap();
    stage.settle(&daemon).await;
    stage.known(&daemon, &daemon.reference(issue)).await;
    assert_eq!(daemon.engine.clock().now(), before, "it waits for no poll");
    daemon.kill().await;
}

#[tokio::test]
async fn person_who_starts_an_issue_of_a_paused_repository_queues_it() {
    let stage = Stage::new(ForgeKind::Gitea).await;
    let daemon = stage.daemon();
    let issue = stage.forge.issue(PROJECT, Issue::new("It is slow").author("kim"));
    stage.pass_in_steps(&daemon, SignedDuration::from_mins(2)).await;
    pause(&daemon.engine, None).await.unwrap();
    stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "/kugetsu start");
    stage.known(&daemon, &daemon.reference(issue)).await;
    stage.pass_in_steps(&daemon, SignedDuration::from_mins(10)).await;
    assert_eq!(daemon.state(issue).await, "queued");
    assert!(stage.why(&daemon, issue).await.contains("everything is paused since "));
    resume(&daemon.engine, None).await.unwrap();
    stage.pull_request(&daemon, issue).await;
    daemon.kill().await;
}
