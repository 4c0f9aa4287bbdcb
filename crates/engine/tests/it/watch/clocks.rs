//! Servers whose clocks are not the machine's.

use jiff::SignedDuration;
use kugetsu_testkit::forge_server::issue::{Issue, Subject};

use super::stage::{KINDS, PROJECT, START, Stage};
use crate::world::Daemon;

/// Time after which an issue or a remark has been noticed. Less than the difference of the clocks, and much more than it takes.
const SOON: SignedDuration = SignedDuration::from_mins(90);

/// Times of [`polls`] after which nothing happens any more. Less than the difference of the clocks.
const WINDOWS: usize = 40;

/// Lets some polls pass.
async fn polls(stage: &Stage, daemon: &Daemon) {
    for _ in 0..4 {
        stage.pass(daemon, SignedDuration::from_secs(30)).await;
    }
    stage.settle(daemon).await;
}

/// Waits until `look` finds something, at most until it is late by the machine's clock.
async fn soon(stage: &Stage, daemon: &Daemon, what: &str, look: impl AsyncFn() -> bool) {
    let start = daemon.engine.clock().now();
    let since = || daemon.engine.clock().now().duration_since(start);
    stage.until(daemon, what, async || (since() > SOON || look().await).then_some(())).await;
    assert!(look().await, "{:?}: {what} is late", stage.kind);
}

/// A new issue and a remark on its pull request reach the agent soon.
async fn notices(stage: &Stage, daemon: &Daemon) {
    let issue = stage.hand_over();
    soon(stage, daemon, "the pull request", async || !stage.pulls(issue).is_empty()).await;
    let (number, _) = stage.pulls(issue).remove(0);
    polls(stage, daemon).await;
    let pushed = stage.pushed.lock().unwrap().len();
    stage.forge.comment(PROJECT, Subject::PullRequest(number), "kim", "Please explain this.");
    soon(stage, daemon, "the answer to the remark", async || stage.pushed.lock().unwrap().len() > pushed).await;
}

#[tokio::test]
async fn issues_and_remarks_are_noticed_whatever_the_clock_of_the_server_is() {
    for kind in KINDS {
        for hours in [-3, 3] {
            let stage = Stage::new(kind).await;
            stage.set_ahead(START, SignedDuration::from_hours(hours));
            let daemon = stage.daemon();
            // The first poll reads no issue.
            polls(&stage, &daemon).await;
            notices(&stage, &daemon).await;
            // An issue that waits is not read with every poll.
            let waiting = Issue::new("It waits").author("kim").label("agent").blocked_by(1);
            let waiting = stage.forge.issue(PROJECT, waiting);
            let part = format!("/issues/{waiting}/");
            let mut is_quiet = false;
            for _ in 0..WINDOWS {
                let before = stage.forge.request_count();
                polls(&stage, &daemon).await;
                let requests = stage.forge.requests().split_off(before);
                is_quiet |= !requests.iter().any(|request| request.target.contains(&part));
                if is_quiet {
                    break;
                }
            }
            assert!(is_quiet, "{kind:?} {hours} hours ahead");
            daemon.kill().await;
        }
    }
}

#[tokio::test]
async fn issues_and_commands_are_noticed_after_the_clock_of_the_server_was_set_back() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        stage.set_ahead(START, SignedDuration::from_hours(3));
        let daemon = stage.daemon();
        polls(&stage, &daemon).await;
        notices(&stage, &daemon).await;
        polls(&stage, &daemon).await;
        // Both before the next poll: the one has a time of the old clock, the other one of the new clock.
        let first = stage.hand_over();
        stage.set_ahead(daemon.engine.clock().now(), SignedDuration::ZERO);
        let second = stage.hand_over();
        for issue in [first, second] {
            soon(&stage, &daemon, "the pull request", async || !stage.pulls(issue).is_empty()).await;
        }
        polls(&stage, &daemon).await;
        stage.forge.comment(PROJECT, Subject::Issue(second), "kim", "/kugetsu stop");
        let is_stopped = async || daemon.issue(second).await.follow.is_some_and(|follow| follow.is_stopped);
        soon(&stage, &daemon, "the command", is_stopped).await;
        notices(&stage, &daemon).await;
        daemon.kill().await;
    }
}
