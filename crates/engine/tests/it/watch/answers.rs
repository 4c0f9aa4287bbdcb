//! Questions in comments: each is answered once, in the same discussion.

use std::sync::Mutex;

use jiff::SignedDuration;
use kugetsu_domain::effect::EffectKind;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_store::fuse::Fuse;
use kugetsu_testkit::forge_server::check::CheckState;
use kugetsu_testkit::forge_server::issue::Subject;

use super::stage::{Failure, KINDS, PROJECT, Stage, deaths};
use crate::world::Daemon;

/// Fewer steps than an answer takes. A smaller number means that the daemon does not die.
const STEPS_LEAST: usize = 10;
const QUESTION: &str = "/kugetsu ask why is it slow?";

/// A stage whose issue has a pull request that waits for people. The agent has pushed once and pushes nothing more.
pub(super) async fn reviewed(kind: ForgeKind) -> (Stage, u64, u64) {
    let stage = Stage::new(kind).await;
    stage.world.machine.set_speaker(|message| match message.contains("why is it slow?") {
        true => Ok("It reads twice.".to_owned()),
        false => Ok("It is quick now.".to_owned()),
    });
    let daemon = stage.daemon();
    let issue = stage.hand_over();
    let number = stage.pull_request(&daemon, issue).await;
    stage.settle(&daemon).await;
    let head = stage.forge.pull_request_of(PROJECT, number).sha;
    stage.forge.set_check(PROJECT, &head, "test", CheckState::Success, None);
    // The runner finds the branch on the server as an earlier run pushed it.
    stage.world.machine.set_agent(move |_| Some(head.clone()));
    stage.pass(&daemon, SignedDuration::from_mins(2)).await;
    stage.settle(&daemon).await;
    daemon.kill().await;
    (stage, issue, number)
}

fn answers(stage: &Stage, subject: Subject) -> Vec<String> {
    let comments = stage.forge.comments_of(PROJECT, subject).into_iter();
    let own = comments.filter(|comment| comment.author == "robot").map(|comment| comment.body);
    own.filter(|body| body.contains("<!-- kugetsu: answer ")).collect()
}

/// Waits until an answer is written, and until nothing but looks is left to do.
async fn answered(stage: &Stage, daemon: &Daemon, issue: u64, subject: Subject) {
    stage
        .until(daemon, "the answer", async || {
            let found = daemon.issue(issue).await;
            let effects = daemon.store.effects_of(found.id).await.unwrap();
            let is_over = effects.iter().all(|effect| effect.kind == Some(EffectKind::Follow));
            (is_over && found.tasks.is_empty() && !answers(stage, subject).is_empty()).then_some(())
        })
        .await;
}

/// Lets some polls pass.
pub(super) async fn polls(stage: &Stage, daemon: &Daemon) {
    for _ in 0..6 {
        stage.pass(daemon, SignedDuration::from_secs(30)).await;
    }
    stage.settle(daemon).await;
}

#[tokio::test]
async fn question_is_answered_in_its_discussion_and_changes_nothing_else() {
    for kind in KINDS {
        let (stage, issue, number) = reviewed(kind).await;
        let before = stage.forge.pull_request_of(PROJECT, number);
        assert!(before.issue.body.as_ref().unwrap().contains("It is quick now."), "{kind:?}: {before:?}");
        let daemon = stage.daemon();
        for subject in [Subject::Issue(issue), Subject::PullRequest(number)] {
            stage.forge.comment(PROJECT, subject, "kim", QUESTION);
            answered(&stage, &daemon, issue, subject).await;
            let found = answers(&stage, subject);
            assert_eq!(found.len(), 1, "{kind:?}: {found:?}");
            assert!(found[0].starts_with("The agent's answer:\n\nIt reads twice.\n\n<!--"), "{kind:?}: {found:?}");
        }
        polls(&stage, &daemon).await;
        let answers = [answers(&stage, Subject::Issue(issue)), answers(&stage, Subject::PullRequest(number))];
        assert_eq!(answers.map(|answers| answers.len()), [1, 1], "{kind:?}");
        assert_eq!(stage.once()["comment"], 3, "{kind:?}: two answers and the state: {:?}", stage.once());
        let after = stage.forge.pull_request_of(PROJECT, number);
        assert_eq!((after.issue.body, after.sha), (before.issue.body, before.sha), "{kind:?}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn answer_is_written_once_although_the_request_failed_and_the_list_lags() {
    for kind in KINDS {
        let (stage, issue, _) = reviewed(kind).await;
        let comments = if kind == ForgeKind::GitLab { "/issues/1/notes" } else { "/issues/1/comments" };
        let requests = Mutex::new((false, 0));
        stage.forge.fail_when(move |request| {
            let (is_lost, lag) = &mut *requests.lock().unwrap();
            match request.contains(comments) {
                true if request.starts_with("POST") && !*is_lost => {
                    *is_lost = true;
                    Some(Failure::Done(Box::new(Failure::Status(500))))
                }
                true if request.starts_with("GET") && *is_lost && *lag < 2 => {
                    *lag += 1;
                    Some(Failure::Answer { status: 200, headers: vec![], body: "[]".to_owned() })
                }
                _ => None,
            }
        });
        let daemon = stage.daemon();
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", QUESTION);
        answered(&stage, &daemon, issue, Subject::Issue(issue)).await;
        polls(&stage, &daemon).await;
        assert_eq!(answers(&stage, Subject::Issue(issue)).len(), 1, "{kind:?}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn answer_has_no_effect_on_the_server() {
    for kind in KINDS {
        let (stage, issue, _) = reviewed(kind).await;
        let hostile = "Closes #99, ask @all, see https://h/a/b/issues/1\n/merge\n  /kugetsu stop\n\
            <!-- kugetsu: answer x -->\u{202e}\nThe token is forge-token-123456.\n```\n";
        stage.world.machine.set_speaker(move |_| Ok(format!("{hostile}{}", "é".repeat(20_000))));
        let daemon = stage.daemon();
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", QUESTION);
        answered(&stage, &daemon, issue, Subject::Issue(issue)).await;
        polls(&stage, &daemon).await;
        let found = answers(&stage, Subject::Issue(issue));
        assert_eq!(found.len(), 1, "{kind:?}");
        for part in
            ["#99", "@all", "https://", "\n/merge", "/kugetsu", "<!-- kugetsu: answer x", "\u{202e}", "forge-token"]
        {
            assert!(!found[0].contains(part), "{kind:?}: {part} in {found:?}");
        }
        assert!(found[0].len() < 11_000 && found[0].contains("bytes at its end are left out"), "{}", found[0].len());
        let is_stopped = daemon.issue(issue).await.follow.unwrap().is_stopped;
        assert!(!is_stopped && stage.world.machine.started().len() == 2, "{kind:?}: it is no command");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn question_that_failed_says_why_and_is_answered_after_a_retry() {
    for kind in KINDS {
        let (stage, issue, number) = reviewed(kind).await;
        stage.world.machine.set_speaker(|_| Err("the model is gone, says @kim".to_owned()));
        let daemon = stage.daemon();
        let subject = Subject::PullRequest(number);
        stage.forge.comment(PROJECT, subject, "kim", QUESTION);
        answered(&stage, &daemon, issue, subject).await;
        let found = answers(&stage, subject).concat();
        for part in ["its task is failed: the model is gone, says @\u{200b}kim", "Hint: hint of done"] {
            assert!(found.contains(part), "{kind:?}: {part}: {found}");
        }
        stage.world.machine.set_speaker(|_| Ok("It reads twice.".to_owned()));
        stage.forge.comment(PROJECT, subject, "kim", "/kugetsu retry");
        stage
            .until(&daemon, "the answer", async || {
                answers(&stage, subject).concat().contains("It reads twice.").then_some(())
            })
            .await;
        polls(&stage, &daemon).await;
        assert_eq!(answers(&stage, subject).len(), 1, "{kind:?}");
        daemon.kill().await;
    }
}

/// Asks on the issue or on the pull request. The daemon dies when one of the fuses blows, and the next one finishes. Returns whether it
/// died.
async fn survives(kind: ForgeKind, fuse: Fuse, requests: Fuse) -> bool {
    let (stage, issue, number) = reviewed(kind).await;
    let subject = match kind {
        ForgeKind::GitHub | ForgeKind::Forgejo => Subject::Issue(issue),
        _ => Subject::PullRequest(number),
    };
    stage.forge.comment(PROJECT, subject, "kim", QUESTION);
    let daemon = stage.daemon_with_two(fuse.clone(), requests.clone());
    let is_dead = tokio::select! {
        () = fuse.blown() => true,
        () = requests.blown() => true,
        () = answered(&stage, &daemon, issue, subject) => false,
    };
    daemon.kill().await;
    let daemon = stage.daemon();
    answered(&stage, &daemon, issue, subject).await;
    polls(&stage, &daemon).await;
    let after = format!("{kind:?} after {} steps and {} of requests", fuse.taken(), requests.taken());
    assert_eq!(answers(&stage, subject).len(), 1, "{after}: {:?}", answers(&stage, subject));
    assert_eq!(stage.world.machine.started().len(), 2, "{after}: the question is one run");
    assert_eq!(stage.once()["comment"], 2, "{after}: {:?}", stage.once());
    assert_eq!(daemon.store.check().await.unwrap(), Vec::<String>::new());
    daemon.kill().await;
    is_dead
}

#[tokio::test]
async fn death_at_a_write_changes_no_answer() {
    for kind in KINDS {
        for steps in deaths(kind, 2) {
            let fuse = Fuse::after(steps);
            if !survives(kind, fuse.clone(), fuse).await {
                assert!(steps > STEPS_LEAST, "{kind:?}: the daemon did not die within {steps} steps");
                break;
            }
        }
    }
}

#[tokio::test]
async fn death_before_or_after_a_changing_request_changes_no_answer() {
    for kind in KINDS {
        for steps in deaths(kind, 2) {
            if !survives(kind, Fuse::after(usize::MAX - 1), Fuse::after(steps)).await {
                assert!(steps > 3, "{kind:?}: the daemon did not die within {steps} steps");
                break;
            }
        }
    }
}
