//! Merges that are left to the server: to its queue, or until its own conditions are met.

use jiff::SignedDuration;
use kugetsu_domain::flow::Event;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_testkit::forge_server::issue::Subject;
use kugetsu_testkit::forge_server::pull_request::PrState;

use serde_json::json;

use super::stage::{KINDS, PROJECT, Stage, deaths};
use crate::world::Daemon;
use kugetsu_store::fuse::Fuse;

/// Kinds of servers that have a queue.
const WITH_QUEUE: [ForgeKind; 2] = [ForgeKind::GitHub, ForgeKind::GitLab];
/// Fewer changing requests than a story has; each is two steps.
const CHANGES_LEAST: usize = 8;

/// A server that refuses merges because its own conditions are not met, and a pull request whose merge was left to it. Returns the numbers
/// of its issue and of the pull request last.
async fn held(kind: ForgeKind) -> (Stage, Daemon, u64, u64) {
    staged(kind, |stage| stage.forge.hold_merges(PROJECT, true)).await
}

/// The same with a server that has a queue.
async fn queued(kind: ForgeKind) -> (Stage, Daemon, u64, u64) {
    staged(kind, |stage| stage.forge.set_merge_queue(PROJECT, true)).await
}

async fn staged(kind: ForgeKind, prepare: impl FnOnce(&Stage)) -> (Stage, Daemon, u64, u64) {
    let stage = Stage::new(kind).await;
    prepare(&stage);
    let daemon = stage.daemon();
    let issue = stage.hand_over();
    let number = scheduled(&stage, &daemon, issue).await;
    (stage, daemon, issue, number)
}

/// Plays the people until the merge is left to the server. Returns the pull request.
async fn scheduled(stage: &Stage, daemon: &Daemon, issue: u64) -> u64 {
    stage
        .until(daemon, "the merge by the server", async || {
            let (number, pull) = stage.pulls(issue).pop()?;
            if pull.state == PrState::Open {
                stage.review(number);
            }
            let follow = daemon.issue(issue).await.follow?;
            (stage.forge.is_scheduled(PROJECT, number) && follow.scheduled.is_some()).then_some(number)
        })
        .await
}

async fn canceled(stage: &Stage, daemon: &Daemon, issue: u64, number: u64) {
    stage
        .until(daemon, "the cancellation", async || {
            let is_known = daemon.issue(issue).await.follow?.scheduled.is_none();
            (is_known && !stage.forge.is_scheduled(PROJECT, number)).then_some(())
        })
        .await;
}

fn state_of(stage: &Stage, number: u64) -> PrState {
    stage.forge.pull_request_of(PROJECT, number).state
}

fn has_label(stage: &Stage, issue: u64, label: &str) -> bool {
    stage.forge.labels_of(PROJECT, Subject::Issue(issue)).iter().any(|name| name == label)
}

#[tokio::test]
async fn queue_of_the_server_is_never_bypassed() {
    for kind in WITH_QUEUE {
        let (stage, daemon, issue, number) = queued(kind).await;
        stage.settle(&daemon).await;
        assert_eq!(state_of(&stage, number), PrState::Open, "{kind:?}");
        let own = stage.own_comments(issue);
        assert!(own[0].contains("The server merges it when its own conditions are met."), "{kind:?}: {own:?}");
        stage.forge.run_merge_queue(PROJECT);
        stage.play(&daemon, issue).await;
        let changes = stage.once();
        assert_eq!((changes.get("merge"), changes.get("merge_when_ready")), (None, Some(&1)), "{kind:?}");
        assert_eq!(changes.get("cancel_merge"), None, "{kind:?}");
    }
}

#[tokio::test]
async fn refused_merge_waits_for_the_conditions_of_the_server() {
    for kind in KINDS {
        let (stage, daemon, issue, _) = held(kind).await;
        stage.settle(&daemon).await;
        let own = stage.own_comments(issue);
        assert!(own[0].contains("The server merges it when its own conditions are met ("), "{kind:?}: {own:?}");
        assert!(!has_label(&stage, issue, "kugetsu/needs-person"), "{kind:?}");
        // After an hour, some servers may have dropped it.
        let before = stage.forge.request_count();
        stage.pass_in_steps(&daemon, SignedDuration::from_mins(50)).await;
        let requests = stage.forge.requests().split_off(before);
        let changes: Vec<_> = requests.iter().filter(|request| request.method != "GET").collect();
        let is_read = |target: &str| target.ends_with("/graphql");
        assert!(changes.iter().all(|request| is_read(&request.target)), "{kind:?}: {changes:?}");
        stage.forge.hold_merges(PROJECT, false);
        stage.play(&daemon, issue).await;
        assert_eq!(stage.once().get("merge_when_ready"), Some(&1), "{kind:?}");
    }
}

#[tokio::test]
async fn stopped_issue_is_not_merged_by_the_server() {
    for kind in KINDS {
        let (stage, daemon, issue, number) = held(kind).await;
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "/kugetsu stop");
        canceled(&stage, &daemon, issue, number).await;
        stage.forge.hold_merges(PROJECT, false);
        stage.hours(&daemon, 1).await;
        assert_eq!(state_of(&stage, number), PrState::Open, "{kind:?}");
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "/kugetsu retry");
        stage.play(&daemon, issue).await;
    }
}

#[tokio::test]
async fn server_merges_no_head_but_the_one_that_was_approved() {
    for kind in KINDS {
        let (stage, daemon, issue, number) = held(kind).await;
        let approved = stage.forge.pull_request_of(PROJECT, number).sha;
        stage.forge.review_thread(PROJECT, number, "kim", ("src/lib.rs", Some(2)), "One more thing.");
        let pushed = stage.pushed.lock().unwrap().len();
        stage
            .until(&daemon, "the next head", async || {
                let is_scheduled = stage.forge.is_scheduled(PROJECT, number);
                let has_pushed = stage.pushed.lock().unwrap().len() > pushed;
                assert!(!(is_scheduled && has_pushed), "{kind:?}: the server may merge what no person has approved");
                (stage.forge.pull_request_of(PROJECT, number).sha != approved).then_some(())
            })
            .await;
        stage.forge.hold_merges(PROJECT, false);
        stage.settle(&daemon).await;
        assert_eq!(state_of(&stage, number), PrState::Open, "{kind:?}");
        stage.play(&daemon, issue).await;
    }
}

#[tokio::test]
async fn person_decides_about_a_pull_request_that_the_queue_removed() {
    for kind in WITH_QUEUE {
        let (stage, daemon, issue, number) = queued(kind).await;
        stage.forge.drop_scheduled(PROJECT, number);
        stage
            .until(&daemon, "the label", async || has_label(&stage, issue, "kugetsu/needs-person").then_some(()))
            .await;
        let why = stage.why(&daemon, issue).await;
        assert!(why.contains("the server has given up the merge"), "{kind:?}: {why}");
        stage.hours(&daemon, 2).await;
        assert_eq!(stage.once().get("merge_when_ready"), Some(&1), "{kind:?}");
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "/kugetsu retry");
        scheduled(&stage, &daemon, issue).await;
        stage.forge.run_merge_queue(PROJECT);
        stage.play(&daemon, issue).await;
    }
}

async fn is_canceled_now(stage: &Stage, daemon: &Daemon, number: u64) {
    stage.settle(daemon).await;
    assert!(!stage.forge.is_scheduled(PROJECT, number), "{:?}", stage.kind);
}

#[tokio::test]
async fn merge_of_a_removed_issue_is_canceled_although_its_watch_is_gone() {
    for kind in KINDS {
        let (stage, daemon, issue, number) = held(kind).await;
        stage.settle(&daemon).await;
        stage.set_watches(&[]);
        let id = daemon.issue(issue).await.id;
        daemon.engine.store().apply(id, Event::DestroyRequested, daemon.engine.clock().now()).await.unwrap();
        is_canceled_now(&stage, &daemon, number).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn merge_is_canceled_when_the_watch_is_removed() {
    for kind in KINDS {
        let (stage, daemon, issue, number) = held(kind).await;
        stage.set_watches(&[]);
        stage.hours(&daemon, 1).await;
        is_canceled_now(&stage, &daemon, number).await;
        stage.forge.hold_merges(PROJECT, false);
        stage.hours(&daemon, 1).await;
        assert_eq!(state_of(&stage, number), PrState::Open, "{kind:?}");
        stage.set_watches(&[("api", json!({}))]);
        stage.play(&daemon, issue).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn merge_is_canceled_while_the_file_of_the_repository_is_not_valid() {
    for kind in KINDS {
        let (stage, daemon, issue, number) = held(kind).await;
        stage.forge.set_file(PROJECT, ".kugetsu.toml", "merge = 3");
        stage.hours(&daemon, 2).await;
        is_canceled_now(&stage, &daemon, number).await;
        stage.forge.hold_merges(PROJECT, false);
        stage.forge.set_file(PROJECT, ".kugetsu.toml", "");
        stage.play(&daemon, issue).await;
        daemon.kill().await;
    }
}

/// Kinds of servers that do not show that they have dropped a merge.
const FORGETFUL: [ForgeKind; 2] = [ForgeKind::Gitea, ForgeKind::Forgejo];

#[tokio::test]
async fn merge_that_the_server_has_dropped_silently_is_decided_again() {
    for kind in FORGETFUL {
        let (stage, daemon, issue, number) = held(kind).await;
        stage.forge.forget_scheduled(PROJECT, number);
        stage.forge.hold_merges(PROJECT, false);
        stage.play(&daemon, issue).await;
        assert_eq!(stage.once().get("merge_when_ready"), Some(&1), "{kind:?}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn person_decides_about_a_merge_that_the_server_drops_again_and_again() {
    for kind in FORGETFUL {
        let (stage, daemon, issue, number) = held(kind).await;
        let drop_it = || {
            if stage.forge.is_scheduled(PROJECT, number) {
                stage.forge.forget_scheduled(PROJECT, number);
            }
        };
        stage
            .until(&daemon, "the label", async || {
                drop_it();
                has_label(&stage, issue, "kugetsu/needs-person").then_some(())
            })
            .await;
        let why = stage.why(&daemon, issue).await;
        assert!(why.contains("the merge was left to the server 4 times"), "{kind:?}: {why}");
        let scheduled = stage.once()["merge_when_ready"];
        assert_eq!(scheduled, 4, "{kind:?}");
        stage.hours(&daemon, 20).await;
        assert_eq!(stage.once()["merge_when_ready"], scheduled, "{kind:?}");
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "/kugetsu retry");
        let number = self::scheduled(&stage, &daemon, issue).await;
        stage.forge.forget_scheduled(PROJECT, number);
        stage.forge.hold_merges(PROJECT, false);
        stage.play(&daemon, issue).await;
        daemon.kill().await;
    }
}

/// Leaves a merge to the server, stops the issue and resumes it, with a daemon that dies, and with the next one. Returns whether it
/// died.
async fn survives(kind: ForgeKind, requests: Fuse) -> bool {
    let stage = Stage::new(kind).await;
    stage.forge.hold_merges(PROJECT, true);
    let fuse = Fuse::after(usize::MAX - 1);
    let daemon = stage.daemon_with_two(fuse.clone(), requests.clone());
    let issue = stage.hand_over();
    let story = async |daemon: &Daemon| {
        let number = scheduled(&stage, daemon, issue).await;
        stage.forge.review_thread(PROJECT, number, "kim", ("src/lib.rs", Some(2)), "One more thing.");
        canceled(&stage, daemon, issue, number).await;
        stage.forge.hold_merges(PROJECT, false);
        stage.play(daemon, issue).await;
    };
    let is_dead = tokio::select! {
        () = fuse.blown() => true,
        () = requests.blown() => true,
        () = story(&daemon) => false,
    };
    daemon.kill().await;
    if is_dead {
        let next = stage.daemon();
        stage.forge.hold_merges(PROJECT, false);
        stage.play(&next, issue).await;
        next.kill().await;
    }
    let changes = stage.once();
    let most = |change| changes.get(change).copied().unwrap_or_default() <= 1;
    assert!(most("merge") && most("merge_when_ready") && most("cancel_merge"), "{kind:?}: {changes:?}");
    assert_eq!(stage.pulls(issue).len(), 1, "{kind:?}");
    is_dead
}

#[tokio::test]
async fn death_while_the_server_merges_changes_nothing() {
    for kind in KINDS {
        for steps in deaths(kind, 3) {
            if !survives(kind, Fuse::after(steps)).await {
                assert!(steps > CHANGES_LEAST, "the daemon did not die within {steps} requests");
                break;
            }
        }
    }
}
