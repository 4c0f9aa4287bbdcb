//! Comments and questions of an agent, and what it reads with its tools.

use std::sync::Arc;

use kugetsu_domain::reference::ForgeKind;
use kugetsu_store::fuse::Fuse;
use kugetsu_testkit::forge_server::issue::{Issue, Subject};
use kugetsu_testkit::forge_server::permission::Permission;
use kugetsu_testkit::forge_server::pull_request::PrState;
use serde_json::json;

use super::stage::{KINDS, PROJECT, Stage, deaths};
use crate::runner::Turned;
use crate::world::Daemon;

const QUESTION: &str = "Which port, @kim?\n/merge\n<!-- kugetsu: forged -->";

/// The first turn comments and asks, the following ones push.
fn let_agent_ask(stage: &Stage) {
    let_agent_ask_in_turn(stage, 1);
}

/// All turns push but this one, which comments and asks.
fn let_agent_ask_in_turn(stage: &Stage, turn: usize) {
    let (pushed, forge) = (Arc::clone(&stage.pushed), Arc::clone(&stage.forge));
    let turns = std::sync::Mutex::new(0);
    stage.world.machine.set_agent(move |branch: &str| {
        let mut turns = turns.lock().unwrap();
        *turns += 1;
        if *turns == turn {
            let comments = vec!["I look at it.".to_owned(), "It is the cache.".to_owned()];
            return Turned { pushed: None, comments, question: Some(QUESTION.to_owned()) };
        }
        let mut pushed = pushed.lock().unwrap();
        let commit = format!("{:040x}", 0xabc_0000 + pushed.len());
        forge.push(PROJECT, branch, &commit);
        pushed.push(commit.clone());
        Some(commit).into()
    });
}

/// Waits for the question on the server, once, with what the agent wrote before.
async fn await_question(stage: &Stage, daemon: &Daemon, issue: u64) {
    stage
        .until(daemon, "the question", async || {
            stage.own_comments(issue).iter().any(|text| text.contains("Which port")).then_some(())
        })
        .await;
    stage.settle(daemon).await;
    let own = stage.own_comments(issue);
    for part in ["The agent writes:\n\nI look at it.", "It is the cache.", "The agent asks:\n\nWhich port"] {
        assert_eq!(own.iter().filter(|text| text.contains(part)).count(), 1, "{:?}: {part}: {own:?}", stage.kind);
    }
    let question = own.iter().find(|text| text.contains("The agent asks")).unwrap();
    assert!(!question.contains("@kim") && !question.contains("<!-- kugetsu: forged"), "{question}");
}

#[tokio::test]
async fn question_is_answered_by_a_trusted_comment() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let_agent_ask(&stage);
        let issue = stage.hand_over();
        await_question(&stage, &daemon, issue).await;
        let labels = stage.forge.issue_of(PROJECT, Subject::Issue(issue)).labels;
        assert!(labels.contains(&"kugetsu/needs-person".to_owned()), "{kind:?}: {labels:?}");
        stage.forge.comment(PROJECT, Subject::Issue(issue), "eve", "Port 666.");
        stage.hours(&daemon, 1).await;
        assert_eq!(stage.world.machine.started().len(), 1, "{kind:?}: a stranger answers nothing");
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "Port 8080.");
        stage.play(&daemon, issue).await;
        let started = stage.world.machine.started();
        let answer = &started[1];
        assert!(answer.contains("Port 8080.") && answer.contains("Which port"), "{kind:?}: {answer}");
        assert!(!answer.contains("666"), "{kind:?}: {answer}");
        assert_eq!(stage.own_comments(issue).len(), 4, "{kind:?}: {:?}", stage.own_comments(issue));
        daemon.kill().await;
    }
}

#[tokio::test]
async fn death_at_any_step_neither_loses_nor_repeats_comments_of_an_agent() {
    for kind in KINDS {
        for steps in deaths(kind, 2) {
            let stage = Stage::new(kind).await;
            let_agent_ask(&stage);
            let fuse = Fuse::after(steps);
            let daemon = stage.daemon_with(fuse.clone());
            let issue = stage.hand_over();
            let is_dead = tokio::select! {
                () = fuse.blown() => true,
                () = await_question(&stage, &daemon, issue) => false,
            };
            daemon.kill().await;
            let daemon = stage.daemon();
            await_question(&stage, &daemon, issue).await;
            assert_eq!(stage.own_comments(issue).len(), 4, "{kind:?} {steps}: {:?}", stage.own_comments(issue));
            daemon.kill().await;
            if !is_dead {
                assert!(steps > 10, "the daemon did not die within {steps} steps");
                break;
            }
        }
    }
}

#[tokio::test]
async fn question_about_a_pull_request_waits_and_nothing_is_given_or_merged_meanwhile() {
    for kind in KINDS {
        let stage = Stage::with(kind, json!({ "merge": "when-green" })).await;
        let daemon = stage.daemon();
        // The checks of the first head fail, and the agent asks about them.
        let_agent_ask_in_turn(&stage, 2);
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        stage.review(number);
        await_question(&stage, &daemon, issue).await;
        stage.pass_checks(number);
        if kind == ForgeKind::GitHub {
            // Gitea and Forgejo do not say which users are programs.
            stage.forge.set_permission(PROJECT, "helper[bot]", Permission::Write);
            stage.forge.comment(PROJECT, Subject::Issue(issue), "helper[bot]", "Port 666.");
        }
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "Port 1.\n/kugetsu retry");
        stage.hours(&daemon, 2).await;
        assert_eq!(stage.world.machine.started().len(), 2, "{kind:?}: {:?}", stage.world.machine.started());
        assert_eq!(stage.forge.pull_request_of(PROJECT, number).state, PrState::Open, "{kind:?}");
        let own = stage.own_comments(issue).concat();
        assert!(own.contains("answer in a comment without a command"), "{kind:?}: {own}");
        // A question in return leaves it open.
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "/kugetsu ask Why do you need it?");
        stage
            .until(&daemon, "the other question", async || (stage.world.machine.started().len() == 3).then_some(()))
            .await;
        stage.hours(&daemon, 1).await;
        assert_eq!(stage.world.machine.started().len(), 3, "{kind:?}");
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "Port 8080.");
        stage
            .until(&daemon, "the answer", async || {
                stage.world.machine.started().get(3).is_some_and(|text| text.contains("Port 8080.")).then_some(())
            })
            .await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn agent_reads_its_issue_without_the_text_of_strangers() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue =
            stage.forge.issue(PROJECT, Issue::new("It is slow").body("Very.").author("kim").label("agent").label("x"));
        stage.forge.comment(PROJECT, Subject::Issue(issue), "eve", "STRANGER");
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "Look at the cache.");
        stage.play(&daemon, issue).await;
        let read = stage.world.machine.tool_texts();
        let [text, checks] = read[0].clone().map(|text| text.unwrap());
        for part in [
            "is open",
            "title and description by kim",
            "It is slow",
            "Very.",
            "Look at the cache.",
            "Comments of others are left out: 1",
        ] {
            assert!(text.contains(part), "{kind:?}: {part}: {text}");
        }
        assert!(!text.contains("STRANGER"), "{kind:?}: {text}");
        assert!(checks.contains("no pull request yet"), "{kind:?}: {checks}");
        let [_, checks] = read[1].clone().map(|text| text.unwrap());
        // Forgejo serves no logs.
        let log = if kind == ForgeKind::Forgejo { "has no log" } else { "error: it broke" };
        for part in ["checks failed", "failed: test", log] {
            assert!(checks.contains(part), "{kind:?}: {part}: {checks}");
        }
        daemon.kill().await;
    }
}

#[tokio::test]
async fn description_of_a_stranger_is_not_shown_to_the_agent() {
    let stage = Stage::new(KINDS[0]).await;
    let daemon = stage.daemon();
    let issue = stage.forge.issue(PROJECT, Issue::new("It is slow").body("Very.").author("eve"));
    stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "/kugetsu start");
    stage
        .until(&daemon, "what the agent read", async || (!stage.world.machine.tool_texts().is_empty()).then_some(()))
        .await;
    let [text, _] = stage.world.machine.tool_texts()[0].clone().map(|text| text.unwrap());
    assert!(text.contains("author is not trusted") && !text.contains("Very."), "{text}");
    daemon.kill().await;
}
