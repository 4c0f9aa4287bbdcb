//! Changes of `.kugetsu.toml` take effect when something begins, without the delay that spares requests.

use kugetsu_api::watch::PollRequest;
use kugetsu_engine::watch_queries::list::list;
use kugetsu_engine::watch_queries::polls::{self, Mode};

use super::answers::polls;
use super::stage::{KINDS, PROJECT, Stage};

const FILE: &str = ".kugetsu.toml";

#[tokio::test]
async fn file_that_is_added_counts_for_the_next_issue() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        // A missing file is remembered for long.
        polls(&stage, &daemon).await;
        stage.forge.set_file(PROJECT, FILE, "trust = \"owners\"\n");
        let issue = stage.hand_over();
        polls(&stage, &daemon).await;
        assert!(daemon.store.issue(&daemon.reference(issue)).await.unwrap().is_none(), "{kind:?}");
        let why = stage.explain(&daemon, issue).await;
        assert!(why.because.iter().any(|because| because.contains("not trusted (owners)")), "{kind:?}: {why:?}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn file_that_is_corrected_counts_with_the_next_poll() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        stage.forge.set_file(PROJECT, FILE, "trust = \"every one\"\n");
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        polls(&stage, &daemon).await;
        let why = stage.explain(&daemon, issue).await;
        assert!(why.because.iter().any(|because| because.contains("is not valid")), "{kind:?}: {why:?}");
        stage.forge.set_file(PROJECT, FILE, "trust = \"members\"\n");
        let why = stage.explain(&daemon, issue).await;
        assert!(!why.because.iter().any(|because| because.contains("is not valid")), "{kind:?}: {why:?}");
        polls(&stage, &daemon).await;
        assert_eq!(stage.world.machine.started().len(), 1, "{kind:?}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn poll_on_request_reads_the_file_and_removes_its_error() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        stage.forge.set_file(PROJECT, FILE, "trust = \"every one\"\n");
        let daemon = stage.daemon();
        stage.hand_over();
        polls(&stage, &daemon).await;
        assert!(list(&daemon.engine).await.unwrap()[0].error.is_some(), "{kind:?}");
        stage.forge.set_file(PROJECT, FILE, "trust = \"members\"\n");
        let polled = polls::poll(&daemon.engine, &PollRequest::default(), Mode::Real).await.unwrap();
        assert!(polled[0].error.is_none() && polled[0].issues[0].starts, "{kind:?}: {polled:?}");
        assert_eq!(list(&daemon.engine).await.unwrap()[0].error, None, "{kind:?}");
        daemon.kill().await;
    }
}
