//! Reviews and the threads below lines: the same on every kind of server.

use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::discussion::ReviewVerdict;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Subject as On;
use kugetsu_forge::http::limits::Limits;
use kugetsu_testkit::ForgeServer;
use kugetsu_testkit::forge_server::comment::Verdict;
use kugetsu_testkit::forge_server::issue::Subject;
use kugetsu_testkit::forge_server::pull_request::PullRequest;

use crate::stage::{Failure, LOGIN, TOKEN, all, client, client_with, limits, project};

#[tokio::test]
async fn every_verdict_is_reported() {
    for (kind, server) in all() {
        let number = server.pull_request("acme/api", PullRequest::new("Quick", "quick").sha("abc123"));
        server.review("acme/api", number, "ada", Verdict::ChangesRequested, "Tests!");
        server.review("acme/api", number, "lee", Verdict::Commented, "Nice.");
        server.review("acme/api", number, "kim", Verdict::Dismissed, "");
        server.review("acme/api", number, "eve", Verdict::Pending, "");
        server.approve("acme/api", number, "max");
        let reviews = client(kind, &server).reviews(&project("acme/api"), number).await.unwrap();
        let verdict = |login: &str| {
            let by = |review: &&kugetsu_forge::discussion::Review| {
                review.author.as_ref().is_some_and(|it| it.login == login)
            };
            reviews.iter().find(by).map(|review| review.verdict)
        };
        assert_eq!(verdict("ada"), Some(ReviewVerdict::ChangesRequested), "{kind:?}");
        assert_eq!(verdict("max"), Some(ReviewVerdict::Approved), "{kind:?}");
        // GitLab has decisions only.
        if kind != ForgeKind::GitLab {
            assert_eq!(verdict("lee"), Some(ReviewVerdict::Commented), "{kind:?}");
            assert_eq!(verdict("kim"), Some(ReviewVerdict::Dismissed), "{kind:?}");
            assert_eq!(verdict("eve"), Some(ReviewVerdict::Other), "{kind:?}");
            assert_eq!(
                (reviews[0].body.as_str(), reviews[0].commit.as_deref()),
                ("Tests!", Some("abc123")),
                "{kind:?}"
            );
        }
    }
}

#[tokio::test]
async fn all_pages_of_reviews_are_read() {
    for (kind, server) in all() {
        server.set_page_max(3);
        let number = server.pull_request("acme/api", PullRequest::new("Quick", "quick"));
        for n in 0..8 {
            server.approve("acme/api", number, &format!("user{n}"));
        }
        let reviews = client(kind, &server).reviews(&project("acme/api"), number).await.unwrap();
        assert_eq!(reviews.len(), 8, "{kind:?}");
        assert!(reviews.iter().all(|review| review.verdict == ReviewVerdict::Approved), "{kind:?}");
    }
}

#[tokio::test]
async fn a_request_for_a_review_is_no_approval() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        server.token("another token", "lee");
        let number = server.pull_request("acme/api", PullRequest::new("Quick", "quick"));
        forge.request_review(&acme, number, &["lee".to_owned()]).await.unwrap();
        assert_eq!(server.pull_request_of("acme/api", number).reviewers, ["lee"], "{kind:?}");
        let reviews = forge.reviews(&acme, number).await.unwrap();
        assert!(reviews.iter().all(|review| review.verdict == ReviewVerdict::Other), "{kind:?}: {reviews:?}");
    }
}

#[tokio::test]
async fn the_comments_below_a_line_are_one_thread() {
    for (kind, server) in all() {
        server.set_page_max(2);
        let number = server.pull_request("acme/api", PullRequest::new("Quick", "quick"));
        let first = server.review_thread("acme/api", number, "lee", ("src/main.rs", Some(2)), "Why?");
        let second = server.review_thread("acme/api", number, "kim", ("src/lib.rs", None), "Gone");
        let third = server.review_thread("acme/api", number, "kim", ("src/main.rs", Some(9)), "Typo");
        server.reply("acme/api", number, first, "ada", "Because.");
        server.reply("acme/api", number, first, "lee", "I see.");
        server.resolve("acme/api", number, third);
        assert!(first < second);
        let threads = client(kind, &server).review_threads(&project("acme/api"), number).await.unwrap();
        let texts: Vec<_> = threads
            .iter()
            .map(|thread| {
                let bodies: Vec<_> = thread.comments.iter().map(|comment| comment.body.as_str()).collect();
                (thread.path.as_str(), thread.line, bodies.join(" "))
            })
            .collect();
        let expected = [
            ("src/main.rs", Some(2), "Why? Because. I see.".to_owned()),
            ("src/lib.rs", None, "Gone".to_owned()),
            ("src/main.rs", Some(9), "Typo".to_owned()),
        ];
        assert_eq!(texts, expected, "{kind:?}");
        // GitHub does not say which ones are resolved.
        let resolved: Vec<_> = threads.iter().map(|thread| thread.is_resolved).collect();
        let expected = if kind == ForgeKind::GitHub { [None; 3] } else { [Some(false), Some(false), Some(true)] };
        assert_eq!(resolved, expected, "{kind:?}");
        assert!(threads[0].hunk.contains("\n+    run();\n"), "{kind:?}: {:?}", threads[0].hunk);
    }
}

/// The approved commits.
async fn approved(kind: ForgeKind, server: &ForgeServer, number: u64) -> Vec<Option<String>> {
    let reviews = client(kind, server).reviews(&project("acme/api"), number).await.unwrap();
    let approvals = reviews.into_iter().filter(|review| review.verdict == ReviewVerdict::Approved);
    approvals.map(|approval| approval.commit).collect()
}

#[tokio::test]
async fn an_approval_names_the_head_that_was_approved() {
    for (kind, server) in all() {
        let number = server.pull_request("acme/api", PullRequest::new("Quick", "quick").sha("aaa"));
        server.approve("acme/api", number, "lee");
        server.push("acme/api", "quick", "bbb");
        assert_eq!(approved(kind, &server, number).await, [Some("aaa".to_owned())], "{kind:?}");
        server.approve("acme/api", number, "lee");
        assert_eq!(approved(kind, &server, number).await.pop().unwrap().as_deref(), Some("bbb"), "{kind:?}");
    }
}

#[tokio::test]
async fn an_approval_without_a_time_is_dated_by_the_note_about_it() {
    let server = ForgeServer::gitlab();
    server.token(TOKEN, LOGIN);
    server.hide_times_of_approvals();
    let number = server.pull_request("acme/api", PullRequest::new("Quick", "quick").sha("aaa"));
    server.approve("acme/api", number, "lee");
    server.push("acme/api", "quick", "bbb");
    // Everyone can write that.
    server.comment("acme/api", Subject::PullRequest(number), "lee", "approved this merge request");
    let aaa = Some("aaa".to_owned());
    assert_eq!(approved(ForgeKind::GitLab, &server, number).await, std::slice::from_ref(&aaa));
    server.approve("acme/api", number, "kim");
    assert_eq!(approved(ForgeKind::GitLab, &server, number).await, [aaa, Some("bbb".to_owned())]);
    server.fail_when(|request| {
        let notes = request.contains("/notes").then(|| "[]".to_owned());
        notes.map(|body| Failure::Answer { status: 200, headers: vec![], body })
    });
    assert_eq!(approved(ForgeKind::GitLab, &server, number).await, [None, None], "nothing says which head it was");
}

#[tokio::test]
async fn a_list_that_is_longer_than_the_limit_is_an_error() {
    for (kind, server) in all() {
        server.set_page_max(2);
        let number = server.pull_request("acme/api", PullRequest::new("Quick", "quick"));
        for n in 0..5 {
            server.approve("acme/api", number, &format!("user{n}"));
            server.comment("acme/api", Subject::PullRequest(number), "lee", "Hm.");
            server.review_thread("acme/api", number, "lee", ("src/main.rs", Some(n)), "Why?");
        }
        let forge = client_with(kind, &server.base_url(), Some(TOKEN), Limits { pages_of_all: 2, ..limits() });
        let acme = project("acme/api");
        let threads = forge.review_threads(&acme, number).await;
        assert!(matches!(threads, Err(ForgeError::TooLong { .. })), "{kind:?}: {threads:?}");
        // GitLab lists approvals, and Gitea comments, without pages.
        if kind != ForgeKind::GitLab {
            let reviews = forge.reviews(&acme, number).await;
            assert!(matches!(reviews, Err(ForgeError::TooLong { .. })), "{kind:?}: {reviews:?}");
        }
        if matches!(kind, ForgeKind::GitHub | ForgeKind::GitLab) {
            let comments = forge.comments(&acme, On::PullRequest(number)).await;
            assert!(matches!(comments, Err(ForgeError::TooLong { .. })), "{kind:?}: {comments:?}");
        }
    }
}
