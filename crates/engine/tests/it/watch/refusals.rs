//! Commands that are refused: a comment says why, once.

use kugetsu_domain::reference::ForgeKind;
use kugetsu_store::fuse::Fuse;
use kugetsu_testkit::forge_server::issue::Subject;

use super::answers::{polls, reviewed};
use super::stage::{KINDS, PROJECT, Stage};
use crate::world::Daemon;

/// Fewer steps than the refusals take. A smaller number means that the daemon does not die.
const STEPS_LEAST: usize = 5;

fn refusals(stage: &Stage, subject: Subject) -> Vec<String> {
    let comments = stage.forge.comments_of(PROJECT, subject).into_iter();
    let own = comments.filter(|comment| comment.author == "robot").map(|comment| comment.body);
    own.filter(|body| body.contains("did not do this")).collect()
}

async fn refused(stage: &Stage, daemon: &Daemon, subjects: &[Subject]) {
    stage
        .until(daemon, "the refusals", async || {
            subjects.iter().all(|subject| !refusals(stage, *subject).is_empty()).then_some(())
        })
        .await;
}

/// The daemon dies when one of the fuses blows, and the next one finishes. Returns whether it died.
async fn survives(kind: ForgeKind, fuse: Fuse, requests: Fuse) -> bool {
    let (stage, issue, number) = reviewed(kind).await;
    let subjects = [Subject::Issue(issue), Subject::PullRequest(number)];
    for subject in subjects {
        stage.forge.comment(PROJECT, subject, "kim", "/kugetsu dance");
    }
    let daemon = stage.daemon_with_two(fuse.clone(), requests.clone());
    let is_dead = tokio::select! {
        () = fuse.blown() => true,
        () = requests.blown() => true,
        () = async {
            refused(&stage, &daemon, &subjects).await;
            polls(&stage, &daemon).await;
        } => false,
    };
    daemon.kill().await;
    let daemon = stage.daemon();
    refused(&stage, &daemon, &subjects).await;
    polls(&stage, &daemon).await;
    let after = format!("{kind:?} after {} steps and {} of requests", fuse.taken(), requests.taken());
    for subject in subjects {
        let found = refusals(&stage, subject);
        assert!(found.len() == 1 && found[0].contains("there is no command \"dance\""), "{after}: {found:?}");
    }
    assert_eq!(stage.world.machine.started().len(), 1, "{after}: the agent does not get it");
    daemon.kill().await;
    is_dead
}

#[tokio::test]
async fn refusal_is_written_once_wherever_the_daemon_dies() {
    for (first, kind) in KINDS.into_iter().enumerate() {
        for steps in (first..).step_by(KINDS.len()) {
            let fuse = Fuse::after(steps);
            if !survives(kind, fuse.clone(), fuse).await {
                assert!(steps > STEPS_LEAST, "{kind:?}: the daemon did not die within {steps} steps");
                break;
            }
        }
    }
}

#[tokio::test]
async fn refusal_is_written_once_if_the_daemon_dies_at_a_request() {
    for kind in KINDS {
        for steps in 0.. {
            if !survives(kind, Fuse::after(usize::MAX - 1), Fuse::after(steps)).await {
                assert!(steps > 3, "{kind:?}: the daemon did not die within {steps} steps");
                break;
            }
        }
    }
}
