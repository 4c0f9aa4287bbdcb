//! Remarks that the agent has answered.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use kugetsu_domain::reference::ForgeKind;
use kugetsu_testkit::forge_server::issue::Subject;

use super::answers::polls;
use super::stage::{KINDS, PROJECT, Stage};
use crate::world::Daemon;

/// Waits until so many runs were started. Returns the message of the latest one.
async fn message(stage: &Stage, daemon: &Daemon, count: usize) -> String {
    let has_run = async || (stage.world.machine.started().len() == count).then_some(());
    stage.until(daemon, "the run", has_run).await;
    stage.settle(daemon).await;
    stage.world.machine.started().pop().unwrap()
}

#[tokio::test]
async fn answered_remarks_are_given_no_more() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let pull = Subject::PullRequest(stage.pull_request(&daemon, issue).await);
        let remark = |text: &str| stage.forge.comment(PROJECT, pull, "kim", text);
        remark("First remark.");
        assert!(message(&stage, &daemon, 2).await.contains("First remark."), "{kind:?}");
        // The next turn fails, so its remark is given once more.
        let has_failed = AtomicBool::new(false);
        stage.world.machine.set_speaker(move |_| match has_failed.swap(true, Ordering::SeqCst) {
            false => Err("it broke".to_owned()),
            true => Ok("Done.".to_owned()),
        });
        remark("Second remark.");
        let again = message(&stage, &daemon, 4).await;
        assert!(again.contains("Second remark.") && !again.contains("First remark."), "{kind:?}: {again}");
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "/kugetsu stop");
        polls(&stage, &daemon).await;
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "/kugetsu start");
        polls(&stage, &daemon).await;
        assert_eq!(stage.world.machine.started().len(), 4, "{kind:?}: nothing is left to answer");
        remark("Third remark.");
        let third = message(&stage, &daemon, 5).await;
        assert!(third.contains("Third remark.") && !third.contains("First remark."), "{kind:?}: {third}");
        assert!(!third.contains("Second remark."), "{kind:?}: {third}");
        daemon.kill().await;
    }
}

/// A look asks several times, so a review may be submitted in the middle of it, with comments that are older.
#[tokio::test]
async fn review_submitted_during_a_look_is_given_whole() {
    for kind in [ForgeKind::GitHub, ForgeKind::Gitea] {
        let held = Arc::new(Mutex::new(String::new()));
        for earlier in 6..18 {
            let stage = Stage::new(kind).await;
            let daemon = stage.daemon();
            let issue = stage.hand_over();
            let number = stage.pull_request(&daemon, issue).await;
            let (requests, held) = (AtomicUsize::new(0), Arc::clone(&held));
            let (release, has_arrived) = stage.hold(move |request| {
                let is_meant = requests.fetch_add(1, Ordering::SeqCst) == earlier;
                if is_meant {
                    *held.lock().unwrap() += &format!("{request}\n");
                }
                is_meant
            });
            stage.until(&daemon, "the request", async || has_arrived.load(Ordering::SeqCst).then_some(())).await;
            stage.forge.review_with_draft(PROJECT, number, "kim", ["Please say more.", "Why so short?"], 600);
            release.send(()).unwrap();
            let message = message(&stage, &daemon, 2).await;
            assert!(message.contains("Please say more.") && message.contains("Why so short?"), "{kind:?}: {message}");
            daemon.kill().await;
        }
        let held = held.lock().unwrap();
        let (threads, reviews) = match kind {
            ForgeKind::GitHub => ("/pulls/2/comments", "/reviews"),
            _ => ("/reviews", "/reviews"),
        };
        assert!(held.contains(threads) && held.contains(reviews), "{kind:?}: the looks made these requests: {held}");
    }
}
