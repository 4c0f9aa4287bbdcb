//! Deliveries of webhooks at a running daemon.

use kugetsu_domain::reference::ForgeKind;
use kugetsu_engine::hooks::Delivered;
use kugetsu_testkit::forge_server::issue::{Issue, Subject};
use serde_json::json;

use super::stage::{KINDS, PROJECT, Stage};

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
