//! Issues whose branch exists, and issues with sub-issues.

use kugetsu_domain::reference::ForgeKind;
use kugetsu_testkit::forge_server::issue::{Issue, Subject};

use super::stage::{KINDS, PROJECT, Stage};

#[tokio::test]
async fn issue_whose_branch_exists_without_a_pull_request_waits_until_it_is_gone() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = stage.forge.issue(PROJECT, Issue::new("It is slow").author("kim"));
        stage.forge.push(PROJECT, &format!("kugetsu/{issue}-it-is-slow"), &"a".repeat(40));
        stage.forge.label_as(PROJECT, Subject::Issue(issue), "kim", "agent");
        stage.hours(&daemon, 1).await;
        assert_eq!(stage.world.machine.started(), Vec::<String>::new(), "{kind:?}");
        let why = stage.explain(&daemon, issue).await;
        let fact = "branch: the server has its branch, which kugetsu did not push; delete or rename it";
        assert!(why.because.iter().any(|reason| reason == fact), "{kind:?}: {why:?}");
        // A person's request does not take it over either.
        let comment = stage.forge.comment(PROJECT, Subject::Issue(issue), "kim", "/kugetsu start");
        let refused = async || {
            let comments = stage.forge.comments_of(PROJECT, Subject::Issue(issue)).into_iter();
            comments.filter(|other| other.id > comment).any(|other| other.body.contains("has its branch")).then_some(())
        };
        stage.until(&daemon, "the refusal", refused).await;
        stage.forge.remove_branch(PROJECT, &format!("kugetsu/{issue}-it-is-slow"));
        stage.pull_request(&daemon, issue).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn issue_waits_for_its_sub_issues() {
    let stage = Stage::new(ForgeKind::GitHub).await;
    let daemon = stage.daemon();
    let [first, second] = ["First", "Second"].map(|title| stage.forge.issue(PROJECT, Issue::new(title).author("kim")));
    stage.forge.set_closed(PROJECT, Subject::Issue(first), true);
    let whole = Issue::new("It is slow").author("kim").label("agent").sub_issue(first).sub_issue(second);
    let whole = stage.forge.issue(PROJECT, whole);
    stage.hours(&daemon, 1).await;
    let why = stage.explain(&daemon, whole).await;
    let fact = format!("dependencies: it depends on #{second}, which is open");
    assert!(why.because.contains(&fact), "{why:?}");
    stage.forge.set_closed(PROJECT, Subject::Issue(second), true);
    stage.pull_request(&daemon, whole).await;
    daemon.kill().await;
}
