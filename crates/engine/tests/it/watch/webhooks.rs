//! Deliveries of webhooks at a running daemon.

use std::cell::Cell;

use jiff::SignedDuration;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_engine::hooks::Delivered;
use kugetsu_engine::watch_queries::list::list;
use kugetsu_store::view::WatchState;
use kugetsu_testkit::forge_server::hook::Mishap;
use kugetsu_testkit::forge_server::issue::{Issue, Subject};
use serde_json::json;

use super::stage::{KINDS, PROJECT, Stage};
use crate::world::Daemon;

/// The deliveries of a project's webhook, which the test passes on or loses.
struct Deliveries<'a> {
    stage: &'a Stage,
    daemon: &'a Daemon,
    passed: Cell<usize>,
}

impl<'a> Deliveries<'a> {
    async fn begin(stage: &'a Stage, daemon: &'a Daemon) -> Self {
        stage.create_hook(daemon).await;
        Self { stage, daemon, passed: Cell::new(0) }
    }

    /// Passes on what was sent since.
    async fn pass_on(&self) {
        for delivery in self.stage.forge.deliveries().split_off(self.passed.get()) {
            self.passed.set(self.passed.get() + 1);
            let taken = self.stage.deliver(self.daemon, &delivery).await;
            assert!(matches!(taken, Delivered::Accepted | Delivered::Repeated), "{taken:?}");
        }
    }

    /// Lets time pass, without a loss.
    async fn pass(&self, time: SignedDuration) {
        for _ in 0..time.as_secs() / 30 {
            self.pass_on().await;
            self.stage.pass(self.daemon, SignedDuration::from_secs(30)).await;
        }
    }

    async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        self.stage
            .until(self.daemon, what, async || {
                self.pass_on().await;
                look().await
            })
            .await
    }
}

async fn watch(stage: &Stage, daemon: &Daemon) -> WatchState {
    daemon.store.watch(stage.world.repo.name.clone()).await.unwrap()
}

#[tokio::test]
async fn lost_report_about_a_pull_request_is_made_up_for_by_the_next_poll() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        stage.settle(&daemon).await;
        let deliveries = Deliveries::begin(&stage, &daemon).await;
        let issue = stage.hand_over();
        let number = deliveries.until("the pull request", async || Some(stage.pulls(issue).first()?.0)).await;
        stage.pass_checks(number);
        // What is reported is no loss.
        for _ in 0..3 {
            stage.forge.comment(PROJECT, Subject::PullRequest(number), "eve", "Hello.");
            deliveries.pass(SignedDuration::from_mins(50)).await;
        }
        let state = watch(&stage, &daemon).await;
        assert!(state.has_hook() && state.missed_at.is_none(), "{kind:?}: {state:?}");
        // The next look is half an hour after this one.
        let before = stage.forge.request_count();
        let is_look = |target: &str| {
            ["/pulls/", "/merge_requests/"].iter().any(|path| target.contains(&format!("{path}{number}")))
        };
        let has_looked = async || stage.forge.requests()[before..].iter().any(|it| is_look(&it.target)).then_some(());
        deliveries.until("a look", has_looked).await;
        // A change shortly before a poll may be reported yet.
        let polled = watch(&stage, &daemon).await.polled_at;
        let has_polled = async || (watch(&stage, &daemon).await.polled_at != polled).then_some(());
        deliveries.until("a poll", has_polled).await;
        stage.forge.comment(PROJECT, Subject::PullRequest(number), "kim", "/kugetsu stop");
        let poll = if kind == ForgeKind::GitLab { 10 } else { 5 };
        for _ in 0..2 * (poll + 1) {
            stage.pass(&daemon, SignedDuration::from_secs(30)).await;
        }
        assert!(daemon.issue(issue).await.follow.unwrap().is_stopped, "{kind:?}: the command was carried out");
        let state = watch(&stage, &daemon).await;
        assert!(!state.has_hook() && state.missed_at.is_some(), "{kind:?}: {state:?}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn webhook_works_from_its_first_delivery() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        stage.settle(&daemon).await;
        let deliveries = Deliveries::begin(&stage, &daemon).await;
        let shown = async || {
            let watch = list(&daemon.engine).await.unwrap().remove(0);
            (watch.webhook, watch.poll)
        };
        stage.settle(&daemon).await;
        assert_eq!(shown().await, ("none".to_owned(), 30), "{kind:?}: it was created only");
        stage.forge.issue(PROJECT, Issue::new("It is slow").author("kim"));
        stage.forge.await_deliveries(1).await;
        deliveries.pass_on().await;
        stage.settle(&daemon).await;
        let poll = if kind == ForgeKind::GitLab { 600 } else { 300 };
        assert_eq!(shown().await, ("works".to_owned(), poll), "{kind:?}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn issues_that_are_labeled_at_once_stay_within_the_limits() {
    for (kind, limit) in KINDS.into_iter().flat_map(|kind| ["max_running", "max_open_prs"].map(|limit| (kind, limit))) {
        let stage = Stage::with(kind, json!({ limit: 1 })).await;
        // What was started stays in the queue.
        stage.world.change_settings(|settings| settings.agents.max = 0);
        let daemon = stage.daemon();
        stage.settle(&daemon).await;
        let issues: Vec<u64> =
            (0..8).map(|_| stage.forge.issue(PROJECT, Issue::new("It is slow").author("kim"))).collect();
        stage.create_hook(&daemon).await;
        // Only GitHub reports that the webhook was created.
        let before = usize::from(kind == ForgeKind::GitHub);
        stage.forge.await_deliveries(before).await;
        for issue in &issues {
            stage.forge.label_as(PROJECT, Subject::Issue(*issue), "kim", "agent");
        }
        let labeled = stage.forge.await_deliveries(before + issues.len()).await.split_off(before);
        for delivery in &labeled {
            assert!(matches!(stage.deliver(&daemon, delivery).await, Delivered::Accepted), "{kind:?}");
        }
        stage.settle(&daemon).await;
        assert_eq!(daemon.all_issues().await.len(), 1, "{kind:?}: {limit}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn forged_delivery_starts_nothing_and_reordered_ones_do_not_mislead() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        stage.settle(&daemon).await;
        stage.create_hook(&daemon).await;
        let before = usize::from(kind == ForgeKind::GitHub);
        stage.forge.await_deliveries(before).await;
        stage.forge.mishaps(&[Mishap::Forge]);
        let forged = stage.hand_over();
        let sent = stage.forge.await_deliveries(before + 1).await;
        let taken = stage.deliver(&daemon, &sent[before]).await;
        assert!(matches!(taken, Delivered::Rejected(_)), "{kind:?}: {taken:?}");
        stage.settle(&daemon).await;
        assert_eq!(daemon.all_issues().await.len(), 0, "{kind:?}");
        assert!(!watch(&stage, &daemon).await.has_hook(), "{kind:?}: a forged delivery is no sign of a webhook");
        // The next poll finds what it was about.
        stage.pull_request(&daemon, forged).await;
        stage.settle(&daemon).await;

        let other = stage.forge.issue(PROJECT, Issue::new("Other").author("kim"));
        stage.settle(&daemon).await;
        let before = stage.forge.deliveries().len();
        // That of the label comes after that of its removal.
        stage.forge.mishaps(&[Mishap::Delay]);
        stage.forge.label_as(PROJECT, Subject::Issue(other), "kim", "agent");
        stage.forge.unlabel_as(PROJECT, Subject::Issue(other), "kim", "agent");
        let reordered = stage.forge.await_deliveries(before + 2).await.split_off(before);
        for delivery in &reordered {
            assert!(matches!(stage.deliver(&daemon, delivery).await, Delivered::Accepted), "{kind:?}");
            stage.settle(&daemon).await;
        }
        assert_eq!(stage.pulls(other).len(), 0, "{kind:?}");
        assert!(daemon.store.issue(&daemon.reference(other)).await.unwrap().is_none(), "{kind:?}");
        daemon.kill().await;
    }
}
