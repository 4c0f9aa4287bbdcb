//! Every kind of request fails for a while, in every way: the story comes to the same end.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use kugetsu_testkit::forge_server::fault::Fault;

use super::stage::{KINDS, Stage};

/// Requests of one kind that fail: more than the attempts of one call.
const FAILURES: usize = 6;

/// Requests of a story with all these failures.
const REQUESTS_MOST: usize = 1200;

/// What a request is about: its method and its path without numbers and commits.
fn kind_of(request: &str) -> String {
    let path = request.split('?').next().unwrap_or_default();
    let is_number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_hexdigit());
    let parts: Vec<&str> = path.split('/').map(|part| if is_number(part) { "*" } else { part }).collect();
    parts.join("/")
}

/// Plays the story on every kind of server while the first requests of every kind fail.
async fn survives(fault: Fault) {
    let is_late = matches!(&fault, Fault::Done(fault) if matches!(**fault, Fault::Late(_)));
    for kind in KINDS {
        let mut stage = Stage::new(kind).await;
        if is_late {
            stage.world.forge_limits.request = Duration::from_millis(100);
        }
        let failures: Mutex<HashMap<String, usize>> = Mutex::default();
        let injected = fault.clone();
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
        let count = stage.forge.request_count();
        assert!(is_late || count < REQUESTS_MOST, "{kind:?}: {count} requests after {fault:?}");
        daemon.kill().await;
    }
}

fn done(fault: Fault) -> Fault {
    Fault::Done(Box::new(fault))
}

fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Fault {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Fault::Answer { status, headers, body: body.to_owned() }
}

#[tokio::test]
async fn server_error_delays_the_story() {
    survives(Fault::Status(500)).await;
}

#[tokio::test]
async fn server_error_after_the_change_does_not_repeat_it() {
    survives(done(Fault::Status(502))).await;
}

#[tokio::test]
async fn broken_connection_delays_the_story() {
    survives(Fault::Cut).await;
}

#[tokio::test]
async fn connection_that_breaks_after_the_change_does_not_repeat_it() {
    survives(done(Fault::Cut)).await;
}

#[tokio::test]
async fn answer_that_comes_too_late_does_not_repeat_the_change() {
    survives(done(Fault::Late(Duration::from_millis(300)))).await;
}

#[tokio::test]
async fn truncated_answer_does_not_repeat_the_change() {
    survives(done(answer(200, &[], r#"{"number": 1, "id": "#))).await;
}

#[tokio::test]
async fn login_page_in_front_of_the_server_delays_the_story() {
    survives(Fault::Page).await;
}

#[tokio::test]
async fn rate_limits_delay_the_story() {
    survives(answer(429, &[("retry-after", "2")], r#"{"message": "Too Many Requests"}"#)).await;
    survives(answer(403, &[], r#"{"message": "You have exceeded a secondary rate limit."}"#)).await;
}

#[tokio::test]
async fn revoked_token_delays_the_story() {
    survives(Fault::Status(401)).await;
}

#[tokio::test]
async fn missing_permission_delays_the_story() {
    survives(Fault::Status(403)).await;
}
