//! A person closes a pull request without a merge, and opens it again.

use kugetsu_domain::watch::feedback::FeedbackKind;
use kugetsu_engine::hooks::Delivered;
use kugetsu_testkit::forge_server::check::CheckState;
use kugetsu_testkit::forge_server::issue::Subject;

use super::stage::{KINDS, PROJECT, Stage};
use crate::world::Daemon;

/// How kugetsu learns what happens on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Polls,
    /// Polls do not list pull requests then.
    Webhook,
}

impl News {
    async fn begin(self, stage: &Stage, daemon: &Daemon) {
        if self == Self::Webhook {
            stage.create_hook(daemon).await;
        }
    }

    /// Passes on what came since.
    async fn pass_on(self, stage: &Stage, daemon: &Daemon, passed: &mut usize) {
        if self == Self::Polls {
            return;
        }
        for delivery in stage.forge.deliveries().split_off(*passed) {
            *passed += 1;
            let taken = stage.deliver(daemon, &delivery).await;
            assert!(matches!(taken, Delivered::Accepted | Delivered::Repeated), "{taken:?}");
        }
    }
}

async fn until(stage: &Stage, daemon: &Daemon, news: News, what: &str, look: impl AsyncFn() -> bool) {
    let passed = tokio::sync::Mutex::new(0);
    stage
        .until(daemon, what, async || {
            news.pass_on(stage, daemon, &mut *passed.lock().await).await;
            look().await.then_some(())
        })
        .await;
}

fn state_labels(stage: &Stage, issue: u64) -> Vec<String> {
    let labels = stage.forge.labels_of(PROJECT, Subject::Issue(issue)).into_iter();
    labels.filter(|label| label.starts_with("kugetsu/")).collect()
}

async fn given(daemon: &Daemon, issue: u64, kind: FeedbackKind) -> u32 {
    daemon.issue(issue).await.follow.unwrap().record(kind).map_or(0, |record| record.given)
}

#[tokio::test]
async fn reopened_pull_request_is_followed_to_its_merge_with_the_budgets_that_are_left() {
    for kind in KINDS {
        for news in [News::Polls, News::Webhook] {
            let stage = Stage::new(kind).await;
            let daemon = stage.daemon();
            stage.settle(&daemon).await;
            news.begin(&stage, &daemon).await;
            let issue = stage.hand_over();
            until(&stage, &daemon, news, "the pull request", async || !stage.pulls(issue).is_empty()).await;
            let (number, pull) = stage.pulls(issue).remove(0);
            stage.forge.set_check(PROJECT, &pull.sha, "test", CheckState::Failure, Some("error: it broke"));
            until(&stage, &daemon, news, "the second run", async || stage.pushed.lock().unwrap().len() == 2).await;
            let head = stage.pushed.lock().unwrap()[1].clone();
            stage.forge.set_check(PROJECT, &head, "test", CheckState::Success, None);
            let is_in_review = async || state_labels(&stage, issue) == ["kugetsu/review"];
            until(&stage, &daemon, news, "the review", is_in_review).await;

            stage.forge.set_closed(PROJECT, Subject::PullRequest(number), true);
            let own = || stage.own_comments(issue).concat();
            until(&stage, &daemon, news, "the end", async || {
                own().contains("was closed") && state_labels(&stage, issue).is_empty()
            })
            .await;
            // A remark on a closed pull request is no feedback, and nothing is written about it.
            let edits = stage.forge.changes()["edit_comment"];
            stage.forge.comment(PROJECT, Subject::PullRequest(number), "kim", "A pity.");
            for _ in 0..6 {
                news.pass_on(&stage, &daemon, &mut 0).await;
                stage.pass(&daemon, jiff::SignedDuration::from_secs(30)).await;
            }
            assert_eq!(stage.forge.changes()["edit_comment"], edits, "{kind:?} {news:?}");
            assert_eq!(stage.pushed.lock().unwrap().len(), 2, "{kind:?} {news:?}");

            stage.forge.set_closed(PROJECT, Subject::PullRequest(number), false);
            until(&stage, &daemon, news, "the remark", async || stage.pushed.lock().unwrap().len() == 3).await;
            assert!(stage.world.machine.started().concat().contains("A pity."), "{kind:?} {news:?}");
            until(&stage, &daemon, news, "the review", is_in_review).await;
            assert!(!own().contains("was closed"), "{kind:?} {news:?}: {}", own());
            assert_eq!(given(&daemon, issue, FeedbackKind::Ci).await, 1, "{kind:?} {news:?}");
            assert_eq!(given(&daemon, issue, FeedbackKind::Review).await, 1, "{kind:?} {news:?}");
            let head = stage.pushed.lock().unwrap()[2].clone();
            stage.forge.set_check(PROJECT, &head, "test", CheckState::Success, None);
            stage.forge.approve(PROJECT, number, "kim");
            until(&stage, &daemon, news, "the merge", async || {
                own().contains("is merged") && stage.is_over(&daemon, issue).await
            })
            .await;
            if news == News::Polls {
                stage.check(&daemon, issue).await;
            }
            daemon.kill().await;
        }
    }
}
