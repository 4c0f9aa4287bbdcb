//! Webhooks of a project, and the deliveries that servers send after changes.

use jiff::Timestamp;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::forge::NewHook;
use kugetsu_forge::webhook::delivery::{Delivery, Rejected, verified};
use kugetsu_forge::webhook::notice::NoticeSubject;
use kugetsu_testkit::ForgeServer;
use kugetsu_testkit::forge_server::check::CheckState;
use kugetsu_testkit::forge_server::hook::{Delivery as Sent, Mishap};
use kugetsu_testkit::forge_server::issue::{Issue, Subject as On};
use kugetsu_testkit::forge_server::permission::Permission;
use kugetsu_testkit::forge_server::pull_request::PullRequest;

use crate::stage::{LOGIN, TOKEN, all, client, project};

const SECRET: &str = "webhook s3cret";
const SHA: &str = "6dcb09b5b57875f334f61aebed695e2e4193db5e";

fn hook(receiver: &ForgeServer) -> NewHook {
    NewHook { url: format!("{}/hooks/1", receiver.base_url()), secret: SECRET.into() }
}

fn verify(kind: ForgeKind, sent: &Sent) -> Result<Delivery, Rejected> {
    verified(kind, &SECRET.into(), |name| sent.header(name), sent.body.as_bytes(), Timestamp::now())
}

/// A server with an issue, whose webhook is received by another one.
async fn stage(kind: ForgeKind, server: &ForgeServer) -> (ForgeServer, u64, usize) {
    let receiver = ForgeServer::gitea();
    let number = server.issue("acme/api", Issue::new("Slow"));
    client(kind, server).create_hook(&project("acme/api"), &hook(&receiver)).await.unwrap();
    // Only GitHub reports that the webhook was created.
    let before = usize::from(kind == ForgeKind::GitHub);
    server.await_deliveries(before).await;
    (receiver, number, before)
}

#[tokio::test]
async fn a_webhook_is_created_and_listed_without_its_secret() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        server.issue("acme/api", Issue::new("Slow"));
        assert_eq!(forge.hooks(&acme).await.unwrap(), []);
        let receiver = ForgeServer::gitea();
        let created = forge.create_hook(&acme, &hook(&receiver)).await.unwrap();
        assert!(created.is_active && created.url.ends_with("/hooks/1"), "{kind:?}");
        assert_eq!(forge.hooks(&acme).await.unwrap(), [created], "{kind:?}");
        assert_eq!(server.hooks_of("acme/api")[0].secret, SECRET, "{kind:?}");
    }
}

#[tokio::test]
async fn a_token_that_may_not_see_webhooks_gets_an_error() {
    for (kind, server) in all() {
        server.set_permission("acme/api", LOGIN, Permission::Write);
        let error = client(kind, &server).hooks(&project("acme/api")).await.unwrap_err();
        assert!(error.may_be_hidden(), "{kind:?}: {error}");
    }
}

#[tokio::test]
async fn all_pages_of_webhooks_are_read() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        server.set_page_max(2);
        server.issue("acme/api", Issue::new("Slow"));
        for n in 0..5 {
            let url = format!("http://127.0.0.1:1/{n}");
            forge.create_hook(&acme, &NewHook { url, secret: SECRET.into() }).await.unwrap();
        }
        assert_eq!(forge.hooks(&acme).await.unwrap().len(), 5, "{kind:?}");
    }
}

#[tokio::test]
async fn every_change_is_reported_with_a_right_signature() {
    for (kind, server) in all() {
        let (receiver, number, before) = stage(kind, &server).await;
        server.comment("acme/api", On::Issue(number), "lee", "Still slow");
        server.label("acme/api", On::Issue(number), "agent");
        let pull = server.pull_request("acme/api", PullRequest::new("Quick", "quick").sha(SHA));
        server.comment("acme/api", On::PullRequest(pull), "lee", "Nice");
        server.approve("acme/api", pull, "lee");
        server.set_check("acme/api", SHA, "build", CheckState::Success, Some("log"));
        let sent = server.await_deliveries(before + 6).await;
        let checks = NoticeSubject::Checks { commit: SHA.to_owned() };
        let (issue, pull) = (NoticeSubject::Issue(number), NoticeSubject::PullRequest(pull));
        let expected = [issue.clone(), issue, pull.clone(), pull.clone(), pull, checks];
        let delivered: Vec<_> = sent.iter().map(|sent| verify(kind, sent).unwrap()).collect();
        let subjects: Vec<_> = delivered[before..].iter().map(|it| it.notice.clone().unwrap().subject).collect();
        assert_eq!(subjects, expected, "{kind:?}");
        assert!(delivered.iter().all(|it| it.notice.as_ref().unwrap().project.as_str() == "acme/api"), "{kind:?}");
        // The other server has no such address, but got them as they were sent.
        let received = receiver.requests();
        assert_eq!(received.len(), sent.len(), "{kind:?}");
        for (received, sent) in received.iter().zip(&sent) {
            assert_eq!((received.method.as_str(), received.target.as_str()), ("POST", "/hooks/1"));
            assert_eq!((&received.body, sent.status), (&sent.body, Some(404)), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn own_changes_are_reported_too() {
    for (kind, server) in all() {
        let (_receiver, number, before) = stage(kind, &server).await;
        let forge = client(kind, &server);
        let subject = kugetsu_forge::forge::Subject::Issue(number);
        forge.add_comment(&project("acme/api"), subject, "I look.").await.unwrap();
        let sent = server.await_deliveries(before + 1).await;
        assert!(sent[before].body.contains(LOGIN), "{kind:?}");
    }
}

#[tokio::test]
async fn deliveries_are_lost_repeated_and_reordered() {
    for (kind, server) in all() {
        let (_receiver, number, before) = stage(kind, &server).await;
        server.mishaps(&[Mishap::Lose, Mishap::Duplicate, Mishap::Delay]);
        for body in ["lost", "twice", "late", "early"] {
            server.comment("acme/api", On::Issue(number), "lee", body);
        }
        let sent = server.await_deliveries(before + 5).await.split_off(before);
        let has = |sent: &Sent, text: &str| sent.body.contains(&format!("\"{text}\""));
        let order = ["lost", "twice", "twice", "early", "late"];
        assert!(sent.iter().zip(order).all(|(sent, text)| has(sent, text)), "{kind:?}: {sent:?}");
        assert_eq!((sent[0].status, sent[1].status), (None, Some(404)), "{kind:?}");
        let ids: Vec<_> = sent.iter().map(|sent| verify(kind, sent).unwrap().id).collect();
        assert_eq!(ids[1], ids[2], "{kind:?}");
        assert_ne!(ids[2], ids[3], "{kind:?}");
    }
}

#[tokio::test]
async fn a_forged_delivery_is_rejected() {
    for (kind, server) in all() {
        let (_receiver, number, before) = stage(kind, &server).await;
        server.mishaps(&[Mishap::Forge]);
        server.comment("acme/api", On::Issue(number), "mallory", "Merge it");
        let sent = server.await_deliveries(before + 1).await;
        assert_eq!(verify(kind, &sent[before]), Err(Rejected::WrongSignature), "{kind:?}");
    }
}

#[tokio::test]
async fn a_delivery_does_not_contain_tokens_of_the_server() {
    for (kind, server) in all() {
        let (_receiver, number, before) = stage(kind, &server).await;
        server.comment("acme/api", On::Issue(number), "lee", "Hello");
        let sent = server.await_deliveries(before + 1).await;
        assert!(sent.iter().all(|sent| !sent.body.contains(TOKEN) && !sent.body.contains(SECRET)), "{kind:?}");
    }
}
