//! Issues that wait for a person: the comment, the label and `why` show what the person can do.

use std::time::Duration;

use jiff::SignedDuration;
use kugetsu_api::watch::PollRequest;
use kugetsu_engine::watch_queries::polls::{self, Mode};
use kugetsu_testkit::forge_server::issue::{Issue, Subject};

use super::answers::polls;
use super::stage::{Failure, KINDS, PROJECT, Stage};
use crate::world::Daemon;

/// Time limit of what happens without a change of the clock. Only a failing test reaches it.
const LIMIT: Duration = Duration::from_secs(60);

/// Waits until the latest task of the issue is in this state, and nothing more happens.
async fn ended(stage: &Stage, daemon: &Daemon, issue: u64, state: &str) {
    stage
        .until(daemon, "the end of the task", async || {
            let found = daemon.store.issue(&daemon.reference(issue)).await.unwrap()?;
            (found.tasks.is_empty() && daemon.state(issue).await == state).then_some(())
        })
        .await;
    polls(stage, daemon).await;
}

async fn run_once(daemon: &Daemon) {
    let polled = polls::poll(&daemon.engine, &PollRequest::default(), Mode::Real).await.unwrap();
    assert_eq!(polled[0].error, None);
}

#[tokio::test]
async fn agent_that_ends_without_a_commit_is_shown_to_a_person_and_tries_again() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        stage.world.machine.set_agent(|_| None);
        stage.world.machine.set_speaker(|_| Ok("It is quick already.\n/merge @kim".to_owned()));
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        ended(&stage, &daemon, issue, "done").await;
        let text = stage.own_comments(issue).concat();
        for part in [
            "without a commit, so there is no pull request. Its last text:\n\n> It is quick already.\n> /\u{200b}merge @\u{200b}kim",
            "\n\nComment `/kugetsu retry` to try again",
        ] {
            assert!(text.contains(part), "{kind:?}: {part}: {text}");
        }
        let labels = stage.forge.labels_of(PROJECT, Subject::Issue(issue));
        assert!(labels.contains(&"kugetsu/needs-person".to_owned()), "{kind:?}: {labels:?}");
        let why = stage.explain(&daemon, issue).await;
        assert!(why.follow.unwrap().waits_for.unwrap().starts_with("a person: the agent ended without a commit"));
        for command in ["/kugetsu retry", "kugetsu continue"] {
            assert!(why.next.iter().any(|next| next.contains(command)), "{kind:?}: {command}: {:?}", why.next);
        }
        stage.let_agents_push();
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "/kugetsu retry");
        stage.pull_request(&daemon, issue).await;
        assert_eq!(stage.world.machine.started().len(), 2, "{kind:?}: its own comment is no command");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn comment_about_a_task_that_failed_ends_with_what_to_do() {
    let stage = Stage::new(KINDS[0]).await;
    stage.world.machine.set_speaker(|_| Err("Which port?".to_owned()));
    let daemon = stage.daemon();
    let issue = stage.hand_over();
    ended(&stage, &daemon, issue, "failed").await;
    let text = stage.own_comments(issue).concat();
    let expected = "kugetsu: the agent's task is failed: Which port?\n\nComment `/kugetsu retry` to try again, or ";
    assert!(text.starts_with(expected), "{text}");
    stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "/kugetsu stop");
    polls(&stage, &daemon).await;
    let text = stage.own_comments(issue).concat();
    let expected = "kugetsu has stopped, as a user requested.\n\nComment `/kugetsu retry` to continue.\n";
    assert!(text.starts_with(expected), "{text}");
    let why = stage.explain(&daemon, issue).await;
    assert!(why.next.iter().any(|next| next.starts_with("resume it: comment `/kugetsu retry`")), "{:?}", why.next);
    assert_eq!(stage.world.machine.started().len(), 1, "its own comment is no command");
    daemon.kill().await;
}

#[tokio::test]
async fn address_of_a_merged_pull_request_is_still_shown() {
    let stage = Stage::new(KINDS[0]).await;
    let daemon = stage.daemon();
    let issue = stage.hand_over();
    stage.play(&daemon, issue).await;
    let why = stage.explain(&daemon, issue).await;
    assert!(why.destroyed);
    let (number, _) = stage.pulls(issue)[0];
    let url = why.follow.unwrap().pr_url.expect("an address");
    assert!(url.ends_with(&format!("/{PROJECT}/pull/{number}")), "{url}");
    daemon.kill().await;
}

#[tokio::test]
async fn why_of_an_issue_that_does_not_exist_names_no_label() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let reference = daemon.reference(99).to_string();
        let why = kugetsu_engine::watch_queries::why::explain(&daemon.engine, &reference, "/".as_ref()).await;
        let problem = why.unwrap_err();
        assert!(problem.message.contains("#99 does not exist on"), "{kind:?}: {problem:?}");
        // Without a label, it is not the text that was labeled.
        let issue = stage.forge.issue(PROJECT, Issue::new("It is slow").body("Very.").author("kim"));
        let why = stage.explain(&daemon, issue).await;
        assert!(why.next.iter().any(|next| next.contains("the label \"agent\"")), "{kind:?}: {why:?}");
        assert!(!format!("{why:?}").contains("was labeled"), "{kind:?}: {why:?}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn poll_on_request_tries_at_once_what_failed() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let posts = if kind == kugetsu_domain::reference::ForgeKind::GitLab { "/merge_requests" } else { "/pulls" };
        stage.forge.fail_when(move |request| {
            (request.starts_with("POST") && request.ends_with(posts)).then_some(Failure::Status(403))
        });
        let issue = stage.hand_over();
        // Its pauses are minutes by then.
        stage.hours(&daemon, 1).await;
        stage.pass(&daemon, SignedDuration::from_secs(1)).await;
        let why = stage.explain(&daemon, issue).await;
        assert!(why.next.iter().any(|next| next.contains("`kugetsu watch run-once api`")), "{kind:?}: {:?}", why.next);
        stage.forge.recover();
        run_once(&daemon).await;
        // The clock does not move.
        let is_open = async || {
            while stage.pulls(issue).is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LIMIT, is_open()).await.unwrap_or_else(|_| panic!("{kind:?}: it waits for more time"));
        daemon.kill().await;
    }
}
