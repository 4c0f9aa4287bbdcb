//! Pull requests: their states, and which ones belong to a branch.

use kugetsu_domain::pull_request::PrState;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::http::limits::Limits;
use kugetsu_forge::open::pull_request_at;
use kugetsu_forge::pull_request::MergeCheck;
use kugetsu_forge::references::parser::parse;
use kugetsu_forge::references::server_index::KnownServer;
use kugetsu_testkit::ForgeServer;
use kugetsu_testkit::forge_server::issue::Issue;
use kugetsu_testkit::forge_server::pull_request::{PrState as Made, PullRequest};
use kugetsu_testkit::forge_server::request::ForgeRequest;

use crate::stage::{TOKEN, all, client, client_with, limits, project};

#[tokio::test]
async fn every_kind_reports_every_state() {
    let states = [
        (Made::Open, PrState::Open),
        (Made::Draft, PrState::Draft),
        (Made::Conflict, PrState::Conflict),
        (Made::Merged, PrState::Merged),
        (Made::Closed, PrState::Closed),
    ];
    for (kind, server) in all() {
        let forge = client(kind, &server);
        let number = server.pull_request("acme/api", PullRequest::new("Quick", "kim/quick").base("dev").sha("abc123"));
        for (made, expected) in states {
            server.set_pr_state("acme/api", number, made);
            let pull = forge.pull_request(&project("acme/api"), number).await.unwrap();
            assert_eq!(pull.state, expected, "{kind:?}");
            assert_eq!(pull.draft, expected == PrState::Draft, "{kind:?}");
        }
        let pull = forge.pull_request(&project("acme/api"), number).await.unwrap();
        assert_eq!((pull.number, pull.title.as_str()), (number, "Quick"));
        assert_eq!((pull.head_branch.as_str(), pull.base_branch.as_str()), ("kim/quick", "dev"));
        assert_eq!(pull.head_sha, "abc123");
        assert!(pull.url.starts_with(&server.base_url()) && pull.url.ends_with("/1"), "{}", pull.url);
    }
}

#[tokio::test]
async fn a_pull_request_that_is_being_checked_has_no_conflict() {
    for (kind, server) in all() {
        let number = server.pull_request("acme/api", PullRequest::new("Quick", "quick").state(Made::Computing));
        let pull = client(kind, &server).pull_request(&project("acme/api"), number).await.unwrap();
        assert_eq!((pull.state, pull.merge), (PrState::Open, MergeCheck::Unknown), "{kind:?}");
    }
}

#[tokio::test]
async fn gitea_reports_a_conflict_only_if_it_says_so_twice() {
    // After a push to the base, the server has checked the pull request again, or is still checking.
    for then in [Made::Open, Made::Computing] {
        let server = ForgeServer::gitea();
        server.token(TOKEN, "robot");
        let number = server.pull_request("acme/api", PullRequest::new("Quick", "quick").state(Made::Conflict));
        let slow = Limits { conflict_recheck: std::time::Duration::from_millis(300), ..limits() };
        let forge = client_with(ForgeKind::Gitea, &server.base_url(), Some(TOKEN), slow);
        let acme = project("acme/api");
        let (pull, ()) = tokio::join!(forge.pull_request(&acme, number), async {
            let answered = |requests: &[ForgeRequest]| requests.first().is_some_and(|request| request.status.is_some());
            server.await_requests("the first request", answered).await;
            server.set_pr_state("acme/api", number, then);
        });
        assert_eq!(pull.unwrap().state, PrState::Open);
        assert_eq!(server.requests().len(), 2);
    }
}

#[tokio::test]
async fn only_pull_requests_of_the_branch_are_found() {
    for (kind, server) in all() {
        let forge = client(kind, &server);
        let acme = project("acme/api");
        assert!(matches!(forge.find_pull_requests(&acme, "quick").await, Err(ForgeError::NotFound { .. })), "{kind:?}");
        server.pull_request("acme/api", PullRequest::new("Other", "quick-other"));
        server.pull_request("acme/api", PullRequest::new("Deeper", "x/quick"));
        server.pull_request("acme/api", PullRequest::new("A fork's", "quick").from_fork_of("mallory"));
        server.pull_request("acme/api", PullRequest::new("A gone fork's", "quick").from_gone_fork());
        assert_eq!(forge.find_pull_requests(&acme, "quick").await.unwrap(), [], "{kind:?}");

        let old = server.pull_request("acme/api", PullRequest::new("Old", "quick").state(Made::Closed));
        let new = server.pull_request("acme/api", PullRequest::new("New", "quick").state(Made::Conflict));
        let found = forge.find_pull_requests(&acme, "quick").await.unwrap();
        let states: Vec<_> = found.iter().map(|pull| (pull.number, pull.state)).collect();
        assert_eq!(states, [(new, PrState::Conflict), (old, PrState::Closed)], "{kind:?}");
    }
}

#[tokio::test]
async fn a_merged_pull_request_is_found_after_its_branch_is_deleted() {
    for (kind, server) in all() {
        let merged = PullRequest::new("Done", "kugetsu/1-done").state(Made::Merged).branch_gone();
        let number = server.pull_request("acme/api", merged);
        let found = client(kind, &server).find_pull_requests(&project("acme/api"), "kugetsu/1-done").await.unwrap();
        assert_eq!(found.len(), 1, "{kind:?}");
        assert_eq!((found[0].number, found[0].state), (number, PrState::Merged));
        assert_eq!(found[0].head_branch, "kugetsu/1-done");
    }
}

#[tokio::test]
async fn a_pull_request_on_a_later_page_is_found() {
    for (kind, server) in all() {
        // Shorter pages than requested.
        server.set_page_max(3);
        let number = server.pull_request("acme/api", PullRequest::new("Ours", "quick").state(Made::Merged));
        for n in 0..7 {
            // Gitea cannot search by branch and lists everything.
            let name = if kind == ForgeKind::Gitea { format!("other-{n}") } else { "quick".to_owned() };
            server.pull_request("acme/api", PullRequest::new("Newer", &name).state(Made::Closed));
        }
        let found = client(kind, &server).find_pull_requests(&project("acme/api"), "quick").await.unwrap();
        assert_eq!(found.last().map(|pull| pull.number), Some(number), "{kind:?}");
        assert_eq!(found.len(), if kind == ForgeKind::Gitea { 1 } else { 8 }, "{kind:?}");
        let lists = server.requests();
        assert_eq!(lists.len(), 3, "{kind:?}: {lists:?}");
        assert!(lists.iter().all(|request| request.login.is_some()), "{kind:?}");
    }
}

#[tokio::test]
async fn only_a_limited_number_of_pages_is_read() {
    let server = ForgeServer::gitea();
    server.set_page_max(1);
    for n in 0..9 {
        server.pull_request("acme/api", PullRequest::new("Theirs", &format!("other-{n}")));
    }
    let few = Limits { pages: 4, ..limits() };
    let forge = client_with(ForgeKind::Gitea, &server.base_url(), None, few);
    assert_eq!(forge.find_pull_requests(&project("acme/api"), "quick").await.unwrap(), []);
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn a_pull_request_is_found_by_its_address() {
    for (kind, server) in all() {
        let forge = client(kind, &server);
        let pull = server.pull_request("acme/api", PullRequest::new("Quick", "quick"));
        let issue = server.issue("acme/api", Issue::new("Slow"));
        server.issue("acme/api", Issue::new("Slower"));
        let known = [KnownServer { kind: Some(kind), base: forge.server().clone() }];
        let address = |text: &str| parse(text, &known, None).unwrap();
        let page = forge.pull_request(&project("acme/api"), pull).await.unwrap().url;
        assert_eq!(pull_request_at(&*forge, &address(&page)).await.unwrap().number, pull, "{page}");
        assert_eq!(pull_request_at(&*forge, &address(&format!("{page}#note_3"))).await.unwrap().number, pull);
        let base = server.base_url();
        let of_issue = |number: u64| match kind {
            ForgeKind::GitLab => format!("{base}/acme/api/-/issues/{number}"),
            _ => format!("{base}/acme/api/issues/{number}"),
        };
        let found = pull_request_at(&*forge, &address(&of_issue(pull))).await;
        assert_eq!(found.is_ok(), kind != ForgeKind::GitLab, "{kind:?}: {found:?}");
        for other in [of_issue(issue + 1), format!("{base}/acme/api")] {
            let error = pull_request_at(&*forge, &address(&other)).await.unwrap_err();
            assert!(matches!(error, ForgeError::NotAPullRequest { .. }), "{kind:?}: {error}");
            assert!(error.hint().unwrap().contains("/pulls/34"), "{error}");
        }
    }
}

#[tokio::test]
async fn an_address_of_another_server_is_refused() {
    let server = ForgeServer::gitea();
    let forge = client_with(ForgeKind::Gitea, &server.base_url(), Some(TOKEN), limits());
    for other in ["https://git.example.co/acme/api/pulls/3", "https://github.com/acme/api/pull/3"] {
        let error = pull_request_at(&*forge, &parse(other, &[], None).unwrap()).await.unwrap_err();
        assert!(matches!(error, ForgeError::OtherServer { .. }) && error.to_string().contains(other), "{error}");
    }
    assert_eq!(server.requests(), []);
}

#[tokio::test]
async fn one_server_serves_the_api_and_git() {
    let (server, git) = (ForgeServer::gitea(), kugetsu_testkit::GitServer::start(TOKEN));
    server.serve_git(&git);
    server.pull_request("acme/api", PullRequest::new("Quick", "quick"));
    let source = kugetsu_testkit::Repository::with_commit();
    git.add_repository_from("acme/api", &source);
    let url = git.url_with_token("acme/api").replace(&git.base_url()[7..], &server.base_url()[7..]);
    assert!(url.contains(&server.base_url()[7..]));
    let listed = source.git(["ls-remote", &url, "HEAD"]);
    assert!(format!("{listed:?}").contains("HEAD"), "{listed:?}");
    let forge = client_with(ForgeKind::Gitea, &server.base_url(), None, limits());
    assert_eq!(forge.find_pull_requests(&project("acme/api"), "quick").await.unwrap().len(), 1);
}
