//! Who labeled and assigned an issue.

use std::collections::BTreeSet;

use kugetsu_domain::reference::ForgeKind;
use kugetsu_domain::watch::selection::{Mark, SetBy};
use kugetsu_forge::error::ForgeError;
use kugetsu_testkit::forge_server::issue::{Issue, Subject};
use serde_json::{Value, json};

use crate::stage::{all, client, client_with, limits, project};

fn agent() -> Mark {
    Mark::Label("agent".to_owned())
}

fn robot() -> Mark {
    Mark::Assignee("robot".to_owned())
}

fn user(login: &str) -> SetBy {
    SetBy::User(login.to_owned())
}

#[tokio::test]
async fn last_setting_of_a_label_or_an_assignee_names_its_user() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let set_by = async |issue: u64, mark: &Mark| forge.last_setting(&acme, issue, mark).await.unwrap().by;
        let set_at = async |issue: u64, mark: &Mark| forge.last_setting(&acme, issue, mark).await.unwrap().at;
        let new = Issue::new("It is slow").author("kim").label("agent").label("bug").assignee("robot");
        let issue = server.issue("acme/api", new.clone());
        assert_eq!(
            (set_by(issue, &agent()).await, set_by(issue, &robot()).await),
            (user("kim"), user("kim")),
            "{kind:?}"
        );
        let subject = Subject::Issue(issue);
        // Other labels, other users and what people write change nothing.
        server.label_as("acme/api", subject, "eve", "urgent");
        server.unlabel_as("acme/api", subject, "eve", "bug");
        server.assign_as("acme/api", subject, "lee", &["robot", "max"]);
        server.comment("acme/api", subject, "eve", "assigned to @robot");
        server.comment("acme/api", subject, "eve", "1");
        assert_eq!(
            (set_by(issue, &agent()).await, set_by(issue, &robot()).await),
            (user("kim"), user("kim")),
            "{kind:?}"
        );
        server.unlabel_as("acme/api", subject, "max", "agent");
        server.label_as("acme/api", subject, "eve", "agent");
        server.assign_as("acme/api", subject, "max", &[]);
        server.assign_as("acme/api", subject, "eve", &["max", "robot"]);
        assert_eq!(
            (set_by(issue, &agent()).await, set_by(issue, &robot()).await),
            (user("eve"), user("eve")),
            "{kind:?}"
        );
        let (at, updated) = (set_at(issue, &robot()).await, forge.issue(&acme, issue).await.unwrap().updated);
        assert!(at.is_some() && at == updated && set_at(issue, &agent()).await < at, "{kind:?}: {at:?}");
        // It was removed after the issue was read.
        server.unlabel_as("acme/api", subject, "kim", "agent");
        assert_eq!(set_by(issue, &agent()).await, SetBy::Unclear, "{kind:?}");

        let by_template = server.issue("acme/api", new.clone().labeled_by("lee"));
        assert_eq!(set_by(by_template, &agent()).await, user("lee"), "{kind:?}");
        let without_record = server.issue("acme/api", new.without_record());
        assert_eq!(set_by(without_record, &agent()).await, SetBy::Author, "{kind:?}");
        // The token's own changes are recorded with its user.
        let own = server.issue("acme/api", Issue::new("Own"));
        let add = ["agent".to_owned()];
        forge.label(&acme, kugetsu_forge::forge::Subject::Issue(own), &add, &[]).await.unwrap();
        assert_eq!(set_by(own, &agent()).await, user("robot"), "{kind:?}");
    }
}

#[tokio::test]
async fn only_github_ignores_the_case_of_a_label() {
    for (kind, server) in all() {
        let issue = server.issue("acme/api", Issue::new("It is slow").author("eve").label("Agent"));
        let set_by = client(kind, &server).last_setting(&project("acme/api"), issue, &agent()).await.unwrap().by;
        let expected = if kind == ForgeKind::GitHub { user("eve") } else { SetBy::Author };
        assert_eq!(set_by, expected, "{kind:?}");
    }
}

#[tokio::test]
async fn every_page_is_read_and_a_record_that_is_too_long_names_no_user() {
    for (kind, server) in all() {
        let issue = server.issue("acme/api", Issue::new("It is slow").author("kim").label("agent"));
        let subject = Subject::Issue(issue);
        for _ in 0..70 {
            server.label_as("acme/api", subject, "lee", "noise");
            server.unlabel_as("acme/api", subject, "lee", "noise");
        }
        server.unlabel_as("acme/api", subject, "kim", "agent");
        server.label_as("acme/api", subject, "eve", "agent");
        let acme = project("acme/api");
        assert_eq!(
            client(kind, &server).last_setting(&acme, issue, &agent()).await.unwrap().by,
            user("eve"),
            "{kind:?}"
        );
        let short = kugetsu_forge::http::limits::Limits { pages: 1, ..limits() };
        let short = client_with(kind, &server.base_url(), Some(crate::stage::TOKEN), short);
        let found = short.last_setting(&acme, issue, &agent()).await.unwrap().by;
        // Gitea and Forgejo have one page.
        let is_paged = matches!(kind, ForgeKind::GitHub | ForgeKind::GitLab);
        assert_eq!(found, if is_paged { SetBy::Unclear } else { user("eve") }, "{kind:?}");
    }
}

#[tokio::test]
async fn server_without_a_record_differs_from_one_that_refuses() {
    for (kind, server) in all() {
        let issue = server.issue("acme/api", Issue::new("It is slow").label("agent").assignee("robot"));
        let forge = client(kind, &server);
        let acme = project("acme/api");
        for mark in [agent(), robot()] {
            for status in [404, 405, 501] {
                server.answer_next(status, &json!({ "message": "Not Found" }).to_string());
                assert_eq!(
                    forge.last_setting(&acme, issue, &mark).await.unwrap().by,
                    SetBy::Unrecorded,
                    "{kind:?}: {status}"
                );
            }
            server.answer_next(403, &json!({ "message": "Forbidden" }).to_string());
            let refused = forge.last_setting(&acme, issue, &mark).await;
            assert!(matches!(refused, Err(ForgeError::Forbidden { .. })), "{kind:?}: {refused:?}");
            server.answer_next(200, &json!({ "message": "no list" }).to_string());
            let strange = forge.last_setting(&acme, issue, &mark).await;
            assert!(matches!(strange, Err(ForgeError::Unexpected { .. })), "{kind:?}: {strange:?}");
        }
        let anonymous = client_with(kind, &server.base_url(), None, limits());
        server.answer_next(404, &json!({ "message": "Not Found" }).to_string());
        let hidden = anonymous.last_setting(&acme, issue, &agent()).await;
        assert!(matches!(hidden, Err(ForgeError::NotFound { .. })), "{kind:?}: {hidden:?}");
    }
}

#[tokio::test]
async fn changes_of_an_unknown_kind_or_form_name_no_user() {
    let login = "x".repeat(1000);
    for (kind, server) in all() {
        let issue = server.issue("acme/api", Issue::new("It is slow").label("agent"));
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let (label, by, at) = (json!({ "name": "agent" }), json!({ "login": "eve" }), "2026-01-02T03:04:05Z");
        let entry = |name: &str, user: &Value| match kind {
            ForgeKind::GitHub => json!({ "id": 1, "event": name, "actor": user, "label": label, "created_at": at }),
            ForgeKind::GitLab => json!({ "id": 1, "action": name, "user": user, "label": label, "created_at": at }),
            _ => json!({ "id": 1, "type": name, "user": user, "label": label, "body": "1", "created_at": at }),
        };
        let known = match kind {
            ForgeKind::GitHub => "labeled",
            ForgeKind::GitLab => "add",
            _ => "label",
        };
        for (body, expected) in [
            (json!([entry(known, &by)]), user("eve")),
            (json!([entry("relabeled", &by), {}, null, { "id": 2, "label": null }]), SetBy::Author),
            (json!([entry(known, &Value::Null)]), SetBy::Unnamed),
            (json!([entry(known, &json!({ "login": login }))]), SetBy::Unnamed),
            (json!([entry(known, &json!({ "login": "" }))]), SetBy::Unnamed),
        ] {
            server.answer_next(200, &body.to_string());
            assert_eq!(forge.last_setting(&acme, issue, &agent()).await.unwrap().by, expected, "{kind:?}: {body}");
        }
    }
    // GitHub has named the assignee as the actor.
    let server = kugetsu_testkit::ForgeServer::github();
    server.token(crate::stage::TOKEN, crate::stage::LOGIN);
    let forge = client(ForgeKind::GitHub, &server);
    let body =
        json!([{ "id": 1, "event": "assigned", "actor": { "login": "robot" }, "assignee": { "login": "robot" } }]);
    server.answer_next(200, &body.to_string());
    assert_eq!(forge.last_setting(&project("acme/api"), 1, &robot()).await.unwrap().by, SetBy::Unnamed);
}

#[tokio::test]
async fn request_names_the_record_of_its_kind() {
    for (kind, server) in all() {
        let issue = server.issue("acme/api", Issue::new("It is slow").label("agent"));
        let forge = client(kind, &server);
        for mark in [agent(), robot()] {
            forge.last_setting(&project("acme/api"), issue, &mark).await.unwrap();
        }
        let targets: BTreeSet<String> = server
            .requests()
            .iter()
            .map(|request| request.target.split('?').next().unwrap_or_default().rsplit('/').next().unwrap().to_owned())
            .collect();
        let expected: &[&str] = match kind {
            ForgeKind::GitHub => &["events"],
            ForgeKind::GitLab => &["notes", "resource_label_events"],
            _ => &["timeline"],
        };
        assert_eq!(targets.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{kind:?}");
    }
}
