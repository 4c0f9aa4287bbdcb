//! Commands whose requests fail: each takes effect once, and none is lost.

use jiff::SignedDuration;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_testkit::forge_server::issue::{Issue, Subject};

use super::answers::polls;
use super::stage::{Failure, KINDS, PROJECT, Stage};
use crate::world::Daemon;

/// A part of the path of every request for a reaction.
const fn reactions(kind: ForgeKind) -> &'static str {
    match kind {
        ForgeKind::GitLab => "/award_emoji",
        _ => "/reactions",
    }
}

/// An issue whose agent has failed.
async fn failed(stage: &Stage, daemon: &Daemon) -> u64 {
    stage.world.machine.set_speaker(|_| Err("it broke".to_owned()));
    let issue = stage.hand_over();
    let has_failed = async || {
        let found = daemon.store.issue(&daemon.reference(issue)).await.unwrap()?;
        (found.tasks.is_empty() && daemon.state(issue).await == "failed").then_some(())
    };
    stage.until(daemon, "the failure", has_failed).await;
    stage.settle(daemon).await;
    issue
}

fn edits(stage: &Stage) -> usize {
    stage.forge.changes().get("edit_comment").copied().unwrap_or_default()
}

fn attempts(stage: &Stage, part: &str) -> usize {
    stage.forge.requests().iter().filter(|request| request.method == "POST" && request.target.contains(part)).count()
}

#[tokio::test]
async fn command_whose_reaction_is_refused_is_carried_out_once() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = failed(&stage, &daemon).await;
        stage.forge.fail_always(reactions(kind), Failure::Status(404));
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "/kugetsu retry");
        polls(&stage, &daemon).await;
        assert_eq!(stage.world.machine.started().len(), 2, "{kind:?}");
        let before = edits(&stage);
        // The comments are still read.
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "thanks");
        polls(&stage, &daemon).await;
        assert_eq!((stage.world.machine.started().len(), edits(&stage)), (2, before), "{kind:?}");
        assert_eq!(attempts(&stage, reactions(kind)), 1, "{kind:?}: the server gets it once");
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "/kugetsu stop");
        polls(&stage, &daemon).await;
        assert!(daemon.issue(issue).await.follow.unwrap().is_stopped, "{kind:?}: later commands are carried out");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn reaction_is_tried_again_a_few_times_without_the_command() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = failed(&stage, &daemon).await;
        stage.forge.fail_always(reactions(kind), Failure::Status(503));
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "/kugetsu retry\n/kugetsu dance");
        for _ in 0..5 {
            polls(&stage, &daemon).await;
        }
        assert_eq!(stage.world.machine.started().len(), 2, "{kind:?}");
        let refusals = stage.own_comments(issue).iter().filter(|body| body.contains("did not do this")).count();
        assert_eq!(refusals, 1, "{kind:?}: one comment gives the reason");
        // One attempt is up to four requests.
        let tried = attempts(&stage, reactions(kind));
        assert!((6..=24).contains(&tried), "{kind:?}: {tried}");
        polls(&stage, &daemon).await;
        assert_eq!(attempts(&stage, reactions(kind)), tried, "{kind:?}: it is given up");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn command_that_fails_holds_up_no_other_and_is_tried_again() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let worked_on = failed(&stage, &daemon).await;
        let other = stage.forge.issue(PROJECT, Issue::new("Start me").body("Please.").author("kim"));
        stage.settle(&daemon).await;
        stage.pass(&daemon, SignedDuration::from_secs(30)).await;
        let path = format!("/issues/{other}");
        stage.forge.fail_when(move |request| {
            (request.starts_with("GET") && request.ends_with(&path)).then_some(Failure::Status(403))
        });
        stage.forge.comment(PROJECT, Subject::Issue(other), "kim", "/kugetsu start");
        stage.forge.comment(PROJECT, Subject::Issue(other), "kim", "/kugetsu dance");
        stage.forge.comment(PROJECT, Subject::Issue(worked_on), "kim", "/kugetsu stop");
        for _ in 0..3 {
            polls(&stage, &daemon).await;
            // A later change of another issue, up to which polls have read then.
            stage.forge.comment(PROJECT, Subject::Issue(worked_on), "kim", "thanks");
        }
        polls(&stage, &daemon).await;
        assert!(daemon.issue(worked_on).await.follow.unwrap().is_stopped, "{kind:?}: the other issue");
        let refusal = stage.own_comments(other).concat();
        assert!(refusal.contains("there is no command \"dance\""), "{kind:?}: the other command: {refusal}");
        assert_eq!(stage.world.machine.started().len(), 1, "{kind:?}");
        stage.forge.recover();
        stage.until(&daemon, "the start", async || (stage.world.machine.started().len() == 2).then_some(())).await;
        polls(&stage, &daemon).await;
        assert_eq!(stage.world.machine.started().len(), 2, "{kind:?}");
        daemon.kill().await;
    }
}
