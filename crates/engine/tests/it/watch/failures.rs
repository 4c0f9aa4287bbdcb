//! Every kind of request fails for a while, in every way: the story comes to the same end.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use kugetsu_engine::watch_queries::list::list;
use kugetsu_testkit::forge_server::request::ForgeRequest;

use super::stage::{Failure, KINDS, Stage};

/// Requests of one kind that fail: more than the attempts of one call.
const FAILURES: usize = 6;

/// Requests of a story with all these failures, without polls.
const REQUESTS_MOST: usize = 1200;

/// The kind of a request: its method and its path without numbers and commits.
fn kind_of(request: &str) -> String {
    let path = request.split('?').next().unwrap_or_default();
    let is_number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_hexdigit());
    let parts: Vec<&str> = path.split('/').map(|part| if is_number(part) { "*" } else { part }).collect();
    parts.join("/")
}

/// Plays the story on every kind of server while the first requests of every kind fail.
async fn survives(failure: Failure) {
    let is_late = matches!(&failure, Failure::Done(failure) if matches!(**failure, Failure::Late(_)));
    for kind in KINDS {
        let mut stage = Stage::new(kind).await;
        if is_late {
            stage.world.forge_limits.request = Duration::from_millis(100);
        }
        let failures: Mutex<HashMap<String, usize>> = Mutex::default();
        let injected = failure.clone();
        stage.forge.fail_when(move |request| {
            // Those of git are answered with an error anyway.
            if request.contains(".git/") {
                return None;
            }
            let mut failures = failures.lock().unwrap();
            let count = failures.entry(kind_of(request)).or_default();
            *count += 1;
            (*count <= FAILURES).then(|| injected.clone())
        });
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        stage.play(&daemon, issue).await;
        stage.check(&daemon, issue).await;
        // The clock of the test runs ahead of answers that are late.
        let polls = ["/issues?", "/merge_requests?order_by"];
        let is_poll = |request: &ForgeRequest| polls.iter().any(|poll| request.target.contains(poll));
        let count = stage.forge.requests().iter().filter(|request| !is_poll(request)).count();
        assert!(is_late || count < REQUESTS_MOST, "{kind:?}: {count} requests after {failure:?}");
        daemon.kill().await;
    }
}

fn done(failure: Failure) -> Failure {
    Failure::Done(Box::new(failure))
}

fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Failure {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Failure::Answer { status, headers, body: body.to_owned() }
}

#[tokio::test]
async fn server_error_delays_the_story() {
    survives(Failure::Status(500)).await;
}

#[tokio::test]
async fn server_error_after_the_change_does_not_repeat_it() {
    survives(done(Failure::Status(502))).await;
}

#[tokio::test]
async fn broken_connection_delays_the_story() {
    survives(Failure::Cut).await;
}

#[tokio::test]
async fn connection_that_breaks_after_the_change_does_not_repeat_it() {
    survives(done(Failure::Cut)).await;
}

#[tokio::test]
async fn answer_that_comes_too_late_does_not_repeat_the_change() {
    survives(done(Failure::Late(Duration::from_millis(300)))).await;
}

#[tokio::test]
async fn truncated_answer_does_not_repeat_the_change() {
    survives(done(answer(200, &[], r#"{"number": 1, "id": "#))).await;
}

#[tokio::test]
async fn login_page_in_front_of_the_server_delays_the_story() {
    survives(Failure::Page).await;
}

#[tokio::test]
async fn rate_limits_delay_the_story() {
    survives(answer(429, &[("retry-after", "0")], r#"{"message": "Too Many Requests"}"#)).await;
    survives(answer(403, &[("retry-after", "0")], r#"{"message": "You have exceeded a secondary rate limit."}"#)).await;
}

#[tokio::test]
async fn revoked_token_delays_the_story() {
    survives(Failure::Status(401)).await;
}

#[tokio::test]
async fn missing_permission_delays_the_story() {
    survives(Failure::Status(403)).await;
}

#[tokio::test]
async fn issue_that_cannot_be_read_delays_no_other_one() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let first = stage.hand_over();
        let details = format!("/issues/{first}/");
        stage.forge.fail_when(move |request| request.contains(&details).then_some(Failure::Status(500)));
        let daemon = stage.daemon();
        let (second, third) = (stage.hand_over(), stage.hand_over());
        for issue in [second, third] {
            stage.pull_request(&daemon, issue).await;
        }
        assert!(stage.pulls(first).is_empty(), "{kind:?}");
        let listed = list(&daemon.engine).await.unwrap();
        assert!(listed[0].error.is_some(), "{kind:?}: the failure is shown");
        stage.forge.recover();
        stage.pull_request(&daemon, first).await;
        daemon.kill().await;
    }
}
