//! Heads at which the commands in `verify` did not pass: none is merged, and the pull request stays followed.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Arc;

use kugetsu_domain::reference::ForgeKind;
use kugetsu_domain::task::TaskKind;
use kugetsu_domain::watch::feedback::FeedbackKind;
use kugetsu_store::write::Precondition;
use kugetsu_testkit::forge_server::issue::Subject;
use kugetsu_testkit::forge_server::pull_request::PrState;
use serde_json::json;

use super::stage::{Failure, KINDS, PROJECT, Stage, settings_for};
use crate::runner::Check;
use crate::world::Daemon;

/// A repository whose pull requests are merged without an approval, and whose agent gets failures of `verify` once. `check` gets the
/// position of a head among those that the agent pushed.
async fn stage(kind: ForgeKind, check: impl Fn(usize) -> Check + Send + Sync + 'static) -> Stage {
    let entry = json!({ "merge": "when-green", "verify": ["cargo test"], "max_feedback": { "verify": 1 } });
    let stage = Stage::with(kind, entry).await;
    let pushed = Arc::clone(&stage.pushed);
    stage.world.machine.set_verifier(move |head| {
        let position = pushed.lock().unwrap().iter().position(|pushed| pushed == head);
        check(position.unwrap())
    });
    stage
}

/// A remark that the agent answers with the next head, number `count`.
async fn remark(stage: &Stage, daemon: &Daemon, number: u64, count: usize) {
    stage.forge.comment(PROJECT, Subject::PullRequest(number), "kim", "One more thing.");
    pushes(stage, daemon, count).await;
}

/// Waits until the agent has pushed so many heads.
async fn pushes(stage: &Stage, daemon: &Daemon, count: usize) {
    let has_pushed = async || (stage.pushed.lock().unwrap().len() == count).then_some(());
    stage.until(daemon, "the head", has_pushed).await;
    stage.settle(daemon).await;
}

/// The checks of the server pass, and an hour goes by.
async fn is_not_merged(stage: &Stage, daemon: &Daemon, number: u64) {
    stage.pass_checks(number);
    stage.hours(daemon, 1).await;
    assert_eq!(stage.forge.pull_request_of(PROJECT, number).state, PrState::Open, "{:?}", stage.kind);
}

/// The fingerprint of the latest failure.
async fn recorded(daemon: &Daemon, issue: u64) -> String {
    let follow = daemon.issue(issue).await.follow.unwrap();
    follow.record(FeedbackKind::Verify).map(|record| record.fingerprint.clone()).unwrap_or_default()
}

#[tokio::test]
async fn head_that_fails_after_the_budget_is_recorded_and_not_merged() {
    for kind in KINDS {
        let stage = stage(kind, |head| if head == 0 { Check::Passes } else { Check::Fails }).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        // The second head fails, and so does the third one, which the failure of the second one leads to.
        remark(&stage, &daemon, number, 3).await;
        let third = stage.pushed.lock().unwrap()[2].clone();
        assert!(recorded(&daemon, issue).await.starts_with(&third), "{kind:?}");
        remark(&stage, &daemon, number, 4).await;
        let fourth = stage.pushed.lock().unwrap()[3].clone();
        assert!(recorded(&daemon, issue).await.starts_with(&fourth), "{kind:?}");
        is_not_merged(&stage, &daemon, number).await;
        let own = stage.own_comments(issue).concat();
        assert!(own.contains(&format!("cargo test failed at {fourth}")), "{kind:?}: {own}");
        // The pull request is still followed.
        remark(&stage, &daemon, number, 5).await;
        stage.forge.set_pr_state(PROJECT, number, PrState::Merged);
        stage.until(&daemon, "the end", async || daemon.issue(issue).await.follow?.ending).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn result_that_an_agent_has_written_into_the_records_does_not_count() {
    let stage = stage(ForgeKind::GitHub, |_| unreachable!("replaced")).await;
    let (home, machine) = (stage.world.home.clone(), stage.world.machine.clone());
    stage.world.machine.set_verifier(move |head| {
        let (run, _) = machine.started_runs().pop().unwrap();
        let forged = json!({
            "at": 0, "type": "verified", "command": "cargo test", "head_sha": head, "passed": true, "output": "",
        });
        let mut records = OpenOptions::new().append(true).open(home.run(run).records()).unwrap();
        writeln!(records, "{forged}").unwrap();
        Check::Fails
    });
    let daemon = stage.daemon();
    let issue = stage.hand_over();
    // The first head, and the one that its failure leads to.
    pushes(&stage, &daemon, 2).await;
    stage.hours(&daemon, 1).await;
    let second = stage.pushed.lock().unwrap()[1].clone();
    assert!(recorded(&daemon, issue).await.starts_with(&second));
    let own = stage.own_comments(issue).concat();
    assert!(own.contains("A person has to decide (verify)"), "{own}");
    daemon.kill().await;
}

/// Waits until a person has to decide about the issue.
async fn needs_person(stage: &Stage, daemon: &Daemon, issue: u64) {
    let labels = || stage.forge.labels_of(PROJECT, Subject::Issue(issue));
    let is_labeled = async || labels().contains(&"kugetsu/needs-person".to_owned()).then_some(());
    stage.until(daemon, "the label", is_labeled).await;
}

#[tokio::test]
async fn head_whose_verification_did_not_end_is_not_merged() {
    let ends = [Check::Ends("timeout"), Check::Ends("canceled"), Check::Ends("failed"), Check::Vanishes];
    for (kind, end) in KINDS.into_iter().zip(ends) {
        // A task whose runner is lost is tried three times.
        let attempts = if end == Check::Vanishes { 3 } else { 1 };
        let check = move |head| if (1..=attempts).contains(&head) { end } else { Check::Passes };
        let stage = self::stage(kind, check).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        stage.settle(&daemon).await;
        // No feedback, which would be given again.
        daemon.enqueue(issue, TaskKind::Continue, "more", Precondition::Any).await;
        pushes(&stage, &daemon, 1 + attempts).await;
        needs_person(&stage, &daemon, issue).await;
        is_not_merged(&stage, &daemon, number).await;
        let (own, head) = (stage.own_comments(issue).concat(), stage.pushed.lock().unwrap()[attempts].clone());
        assert!(own.contains(&format!("did not all run at {head}")), "{kind:?}: {own}");
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "/kugetsu retry");
        pushes(&stage, &daemon, 2 + attempts).await;
        stage.pass_checks(number);
        stage.merged(&daemon, number).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn head_of_another_user_needs_no_verification() {
    for kind in KINDS {
        let stage = stage(kind, |_| Check::Passes).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        stage.settle(&daemon).await;
        let branch = stage.forge.pull_request_of(PROJECT, number).head;
        stage.forge.push(PROJECT, &branch, &format!("{:040x}", 0xea7ed));
        stage.pass_checks(number);
        stage.merged(&daemon, number).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn results_that_are_not_stored_yet_are_waited_for() {
    for kind in KINDS {
        let stage = stage(kind, |_| Check::Passes).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        stage.settle(&daemon).await;
        // The description cannot be brought up to date.
        let list = if kind == ForgeKind::GitLab { "merge_requests?" } else { "/pulls?" };
        stage.forge.fail_when(move |request| {
            (request.contains(list) && request.contains("kugetsu")).then_some(Failure::Status(503))
        });
        // Such a task does not end the looks.
        stage.forge.comment(PROJECT, Subject::PullRequest(number), "kim", "/kugetsu ask for more");
        pushes(&stage, &daemon, 2).await;
        is_not_merged(&stage, &daemon, number).await;
        let labels = stage.forge.labels_of(PROJECT, Subject::Issue(issue));
        assert!(!labels.contains(&"kugetsu/needs-person".to_owned()), "{kind:?}: {labels:?}");
        stage.forge.recover();
        stage.merged(&daemon, number).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn retry_gives_the_agent_the_failure_again() {
    for kind in KINDS {
        let stage = stage(kind, |head| if head < 2 { Check::Fails } else { Check::Passes }).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        needs_person(&stage, &daemon, issue).await;
        assert_eq!(stage.pushed.lock().unwrap().len(), 2, "{kind:?}");
        stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "/kugetsu retry");
        let number = stage.pull_request(&daemon, issue).await;
        let (messages, second) = (stage.world.machine.started(), stage.pushed.lock().unwrap()[1].clone());
        assert_eq!(messages.len(), 3, "{kind:?}: the agent gets it once");
        assert!(messages[2].contains(&format!("it does not work at {second}")), "{kind:?}: {}", messages[2]);
        stage.pass_checks(number);
        stage.merged(&daemon, number).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn retry_publishes_what_passes_with_other_commands() {
    let kind = ForgeKind::GitHub;
    let stage = stage(kind, |_| Check::Fails).await;
    let daemon = stage.daemon();
    let issue = stage.hand_over();
    needs_person(&stage, &daemon, issue).await;
    // A person corrects the settings.
    let entry = json!({ "repo": format!("{}/{PROJECT}", stage.forge.base_url()), "label": "agent" });
    let corrected = settings_for(&stage.forge, kind, &[("api", entry)]).watches;
    stage.world.change_settings(|settings| settings.watches = corrected);
    stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "/kugetsu retry");
    stage.pull_request(&daemon, issue).await;
    assert_eq!(stage.world.machine.started().len(), 2, "the agent has nothing to do");
    daemon.kill().await;
}
