//! Whether a delivery is accepted: signatures, tokens, times and IDs, and what real bodies are about.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::webhook::delivery::{Delivery, Rejected, verified};
use kugetsu_forge::webhook::notice::{Notice, NoticeSubject};
use ring::hmac;
use serde_json::json;

use crate::stage::project;

const SECRET: &str = "webhook s3cret";

type Headers = Vec<(&'static str, String)>;

fn verify(kind: ForgeKind, secret: &str, headers: &Headers, body: &[u8]) -> Result<Delivery, Rejected> {
    verify_at(kind, secret, headers, body, Timestamp::now())
}

fn verify_at(
    kind: ForgeKind,
    secret: &str,
    headers: &Headers,
    body: &[u8],
    now: Timestamp,
) -> Result<Delivery, Rejected> {
    let header = |name: &str| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
    verified(kind, &secret.into(), header, body, now)
}

fn digest(secret: &[u8], body: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), body).as_ref().to_vec()
}

fn hex(secret: &str, body: &[u8]) -> String {
    digest(secret.as_bytes(), body).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The headers that the server would send for this body.
fn signed(kind: ForgeKind, event: &str, secret: &str, body: &[u8]) -> Headers {
    let (event, hex) = (event.to_owned(), hex(secret, body));
    match kind {
        ForgeKind::GitHub => vec![
            ("x-github-event", event),
            ("x-github-delivery", "72d3162e".to_owned()),
            ("x-hub-signature-256", format!("sha256={hex}")),
        ],
        ForgeKind::Gitea => vec![
            ("x-gitea-event", event.clone()),
            ("x-github-event", event),
            ("x-gitea-delivery", "72d3162e".to_owned()),
            ("x-gitea-signature", hex.clone()),
            ("x-hub-signature-256", format!("sha256={hex}")),
        ],
        ForgeKind::Forgejo => vec![
            ("x-forgejo-event", event.clone()),
            ("x-gitea-event", event),
            ("x-forgejo-delivery", "72d3162e".to_owned()),
            ("x-forgejo-signature", hex.clone()),
            ("x-gitea-signature", hex),
        ],
        _ => vec![
            ("x-gitlab-event", event),
            ("x-gitlab-event-uuid", "72d3162e".to_owned()),
            ("x-gitlab-token", secret.to_owned()),
        ],
    }
}

const KINDS: [ForgeKind; 4] = [ForgeKind::GitHub, ForgeKind::Gitea, ForgeKind::Forgejo, ForgeKind::GitLab];

#[test]
fn a_right_signature_is_accepted_and_the_id_kept() {
    for kind in KINDS {
        let delivery = verify(kind, SECRET, &signed(kind, "push", SECRET, b"{}"), b"{}").unwrap();
        assert_eq!((delivery.id.as_str(), delivery.notice), ("72d3162e", None), "{kind:?}");
    }
}

#[test]
fn a_wrong_secret_is_rejected() {
    for kind in KINDS {
        let headers = signed(kind, "push", "another secret", b"{}");
        assert_eq!(verify(kind, SECRET, &headers, b"{}"), Err(Rejected::WrongSignature), "{kind:?}");
    }
}

#[test]
fn a_body_that_changed_by_one_byte_is_rejected() {
    // GitLab's token does not depend on the body.
    for kind in [ForgeKind::GitHub, ForgeKind::Gitea, ForgeKind::Forgejo] {
        let headers = signed(kind, "push", SECRET, br#"{"a":1}"#);
        assert_eq!(verify(kind, SECRET, &headers, br#"{"a":2}"#), Err(Rejected::WrongSignature), "{kind:?}");
        assert_eq!(verify(kind, SECRET, &headers, br#"{"a":1} "#), Err(Rejected::WrongSignature), "{kind:?}");
    }
}

#[test]
fn a_missing_or_empty_signature_is_rejected() {
    for kind in KINDS {
        let is_signature =
            |name: &str| name.ends_with("signature") || name.ends_with("-256") || name.ends_with("token");
        let mut headers = signed(kind, "push", SECRET, b"{}");
        for (name, value) in &mut headers {
            if is_signature(name) {
                value.clear();
            }
        }
        assert_eq!(verify(kind, SECRET, &headers, b"{}"), Err(Rejected::Unsigned), "{kind:?}");
        headers.retain(|(name, _)| !is_signature(name));
        assert_eq!(verify(kind, SECRET, &headers, b"{}"), Err(Rejected::Unsigned), "{kind:?}");
    }
}

#[test]
fn an_empty_secret_accepts_nothing() {
    for kind in KINDS {
        let headers = signed(kind, "push", "", b"{}");
        assert_eq!(verify(kind, "", &headers, b"{}"), Err(Rejected::Unsigned), "{kind:?}");
    }
}

#[test]
fn a_malformed_signature_is_rejected() {
    let right = hex(SECRET, b"{}");
    for wrong in ["sha256=", "sha256=zz", "sha256=é", "sha1=0000", &right, &format!("sha256={}", &right[..62])] {
        let headers = vec![("x-hub-signature-256", wrong.to_owned())];
        assert!(verify(ForgeKind::GitHub, SECRET, &headers, b"{}").is_err(), "{wrong}");
    }
}

#[test]
fn the_signature_of_another_kind_of_server_does_not_count() {
    let headers = signed(ForgeKind::GitLab, "push", SECRET, b"{}");
    assert_eq!(verify(ForgeKind::GitHub, SECRET, &headers, b"{}"), Err(Rejected::Unsigned));
    let headers = signed(ForgeKind::GitHub, "push", SECRET, b"{}");
    for kind in [ForgeKind::Gitea, ForgeKind::Forgejo, ForgeKind::GitLab, ForgeKind::Local] {
        assert_eq!(verify(kind, SECRET, &headers, b"{}"), Err(Rejected::Unsigned), "{kind:?}");
    }
}

#[test]
fn a_signed_body_that_is_no_json_is_rejected() {
    for kind in KINDS {
        let headers = signed(kind, "push", SECRET, b"payload=%7B%7D");
        assert_eq!(verify(kind, SECRET, &headers, b"payload=%7B%7D"), Err(Rejected::NotJson), "{kind:?}");
    }
}

/// GitLab's signature over ID, time and body.
fn standard(key: &[u8], time: Timestamp, body: &[u8]) -> Headers {
    let time = time.as_second().to_string();
    let text = [b"msg_1.", time.as_bytes(), b".", body].concat();
    let signature = STANDARD.encode(digest(key, &text));
    vec![
        ("x-gitlab-event", "Push Hook".to_owned()),
        ("webhook-id", "msg_1".to_owned()),
        ("webhook-timestamp", time),
        ("webhook-signature", format!("v1a,AAAA v1,{} v1,{signature}", STANDARD.encode("another key's"))),
        // Not even a right token makes up for a wrong signature.
        ("x-gitlab-token", SECRET.to_owned()),
    ]
}

#[test]
fn a_standard_webhook_counts_within_five_minutes() {
    let now = Timestamp::now();
    let verify = |age: i64, body: &[u8]| {
        let time = now - jiff::SignedDuration::from_secs(age);
        verify_at(ForgeKind::GitLab, SECRET, &standard(SECRET.as_bytes(), time, b"{}"), body, now)
    };
    assert_eq!(verify(0, b"{}").unwrap().id, "msg_1");
    assert!(verify(290, b"{}").is_ok() && verify(-290, b"{}").is_ok());
    assert_eq!(verify(310, b"{}"), Err(Rejected::Expired));
    assert_eq!(verify(-310, b"{}"), Err(Rejected::Expired));
    assert_eq!(verify(0, b"{ }"), Err(Rejected::WrongSignature));
    assert_eq!(verify(310, b"{ }"), Err(Rejected::WrongSignature));
}

#[test]
fn the_key_of_a_standard_secret_is_decoded() {
    let secret = format!("whsec_{}", STANDARD.encode("the key"));
    let (now, headers) = (Timestamp::now(), standard(b"the key", Timestamp::now(), b"{}"));
    assert!(verify_at(ForgeKind::GitLab, &secret, &headers, b"{}", now).is_ok());
    let without_time: Headers = headers.into_iter().filter(|(name, _)| *name != "webhook-timestamp").collect();
    assert_eq!(verify_at(ForgeKind::GitLab, &secret, &without_time, b"{}", now), Err(Rejected::Unsigned));
}

#[test]
fn a_delivery_without_an_id_is_known_by_its_body() {
    for kind in KINDS {
        let mut ids = Vec::new();
        for body in [&b"{}"[..], b"{}", b"[]"] {
            let mut headers = signed(kind, "push", SECRET, body);
            headers.retain(|(name, _)| !name.ends_with("delivery") && !name.ends_with("uuid"));
            ids.push(verify(kind, SECRET, &headers, body).unwrap().id);
        }
        assert_eq!((ids[0] == ids[1], ids[0] == ids[2], ids[0].len()), (true, false, 64), "{kind:?}");
    }
}

#[test]
fn an_id_of_any_length_is_bounded() {
    let mut headers = signed(ForgeKind::GitHub, "push", SECRET, b"{}");
    headers[1].1 = "x".repeat(100_000);
    assert_eq!(verify(ForgeKind::GitHub, SECRET, &headers, b"{}").unwrap().id.len(), 64);
}

#[test]
fn a_repeated_delivery_of_gitlab_keeps_its_id() {
    let mut headers = signed(ForgeKind::GitLab, "Push Hook", SECRET, b"{}");
    headers.push(("idempotency-key", "the first try".to_owned()));
    assert_eq!(verify(ForgeKind::GitLab, SECRET, &headers, b"{}").unwrap().id, "the first try");
}

fn notice(kind: ForgeKind, event: &str, body: &[u8]) -> Option<Notice> {
    verify(kind, SECRET, &signed(kind, event, SECRET, body), body).unwrap().notice
}

#[test]
fn recorded_deliveries_of_github_are_understood() {
    let checks = |commit: &str| NoticeSubject::Checks { commit: commit.to_owned() };
    for (name, expected) in [
        ("issues.opened", NoticeSubject::Issue(1)),
        ("issue_comment.created", NoticeSubject::Issue(1)),
        ("pull_request.opened", NoticeSubject::PullRequest(2)),
        ("pull_request.synchronize", NoticeSubject::PullRequest(2)),
        ("pull_request.closed", NoticeSubject::PullRequest(2)),
        ("pull_request_review.submitted", NoticeSubject::PullRequest(2)),
        ("check_suite.completed", checks("ec26c3e57ca3a959ca5aad62de7213c562f8c821")),
        ("check_run.completed", checks("ec26c3e57ca3a959ca5aad62de7213c562f8c821")),
        ("workflow_job.completed", checks("3484a3fb816e0859fd6e1cea078d76385ff50625")),
        ("status", checks("6113728f27ae82c7b1a177c8d03f9e96e0adf246")),
        ("ping", NoticeSubject::Ping),
    ] {
        let path = format!("{}/tests/data/octokit/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let body = std::fs::read(path).unwrap();
        let event = name.split('.').next().unwrap();
        let notice = notice(ForgeKind::GitHub, event, &body).unwrap();
        let owner = if name == "ping" { "Octocoders" } else { "Codertocat" };
        assert_eq!(notice, Notice { project: project(&format!("{owner}/Hello-World")), subject: expected }, "{name}");
    }
    // A push of a tag.
    let path = format!("{}/tests/data/octokit/push.json", env!("CARGO_MANIFEST_DIR"));
    assert_eq!(notice(ForgeKind::GitHub, "push", &std::fs::read(path).unwrap()), None);
}

#[test]
fn deliveries_of_gitea_are_understood() {
    let issue = json!({ "number": 7, "title": "Slow", "pull_request": null });
    for (event, body, expected) in [
        ("issues", json!({ "action": "opened", "number": 7, "issue": issue }), NoticeSubject::Issue(7)),
        ("issue_comment", json!({ "action": "created", "issue": issue, "is_pull": false }), NoticeSubject::Issue(7)),
        (
            "issue_comment",
            json!({ "action": "created", "issue": issue, "is_pull": true }),
            NoticeSubject::PullRequest(7),
        ),
        ("pull_request", json!({ "action": "synchronized", "number": 7 }), NoticeSubject::PullRequest(7)),
        ("pull_request_approved", json!({ "pull_request": { "number": 7 } }), NoticeSubject::PullRequest(7)),
        ("pull_request_rejected", json!({ "pull_request": { "number": 7 } }), NoticeSubject::PullRequest(7)),
        ("push", json!({ "ref": "refs/heads/a/b" }), NoticeSubject::Push { branch: "a/b".to_owned() }),
    ] {
        let mut body = body;
        body["repository"] = json!({ "id": 1, "full_name": "acme/api" });
        for kind in [ForgeKind::Gitea, ForgeKind::Forgejo] {
            let notice = notice(kind, event, body.to_string().as_bytes());
            let expected = Notice { project: project("acme/api"), subject: expected.clone() };
            assert_eq!(notice, Some(expected), "{kind:?}: {event}");
        }
    }
}

#[test]
fn deliveries_of_gitlab_are_understood() {
    let sha = "da1560886d4f094c3e6c9ef40349f7d38b5d27d7";
    let note = |kind: &str| json!({ "object_kind": "note", "object_attributes": { "id": 1, "noteable_type": kind } });
    let mut on_issue = note("Issue");
    on_issue["issue"] = json!({ "iid": 7 });
    let mut on_request = note("MergeRequest");
    on_request["merge_request"] = json!({ "iid": 7 });
    let object = |kind: &str, attributes| json!({ "object_kind": kind, "object_attributes": attributes });
    let push = json!({ "object_kind": "push", "ref": "refs/heads/a/b" });
    let checks = || Some(NoticeSubject::Checks { commit: sha.to_owned() });
    for (body, expected) in [
        (object("issue", json!({ "id": 301, "iid": 7 })), Some(NoticeSubject::Issue(7))),
        (object("work_item", json!({ "id": 301, "iid": 7 })), Some(NoticeSubject::Issue(7))),
        (object("merge_request", json!({ "id": 99, "iid": 7 })), Some(NoticeSubject::PullRequest(7))),
        (on_issue, Some(NoticeSubject::Issue(7))),
        (on_request, Some(NoticeSubject::PullRequest(7))),
        (note("Snippet"), None),
        (object("pipeline", json!({ "id": 31, "sha": sha })), checks()),
        (json!({ "object_kind": "build", "sha": sha }), checks()),
        (json!({ "object_kind": "build", "sha": "--help" }), None),
        (push, Some(NoticeSubject::Push { branch: "a/b".to_owned() })),
        (json!({ "object_kind": "wiki_page" }), None),
    ] {
        let mut body = body;
        body["project"] = json!({ "id": 1, "path_with_namespace": "group/sub/api" });
        let notice = notice(ForgeKind::GitLab, "Some Hook", body.to_string().as_bytes());
        let expected = expected.map(|subject| Notice { project: project("group/sub/api"), subject });
        assert_eq!(notice, expected, "{body}");
    }
}

#[test]
fn a_body_of_any_shape_is_no_notice() {
    for kind in KINDS {
        for body in
            ["null", "[]", "7", r#"{"repository":7}"#, r#"{"repository":{"full_name":"../.."},"issue":{"number":1}}"#]
        {
            for event in ["issues", "issue_comment", "pull_request", "push", "status", "check_run", "ping", ""] {
                assert_eq!(notice(kind, event, body.as_bytes()), None, "{kind:?}: {event}: {body}");
            }
        }
    }
}
