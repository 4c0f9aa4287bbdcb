//! An issue from its label to its merge.

use super::stage::{KINDS, Stage};

#[tokio::test]
async fn labeled_issue_is_merged_after_red_checks_and_a_review() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        stage.play(&daemon, issue).await;
        stage.check(&daemon, issue).await;
        daemon.kill().await;
    }
}
