//! Checks of a commit and the logs of jobs.

use kugetsu_domain::reference::ForgeKind;
use kugetsu_forge::ci::{CheckState, CiVerdict};
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::http::limits::Limits;
use kugetsu_testkit::ForgeServer;
use kugetsu_testkit::forge_server::check::CheckState as Made;
use kugetsu_testkit::forge_server::fault::Fault;
use kugetsu_testkit::forge_server::issue::Issue;
use kugetsu_testkit::forge_server::pull_request::PullRequest;

use crate::stage::{LOGIN, TOKEN, all, client, client_with, limits, project, report};

const SHA: &str = "6dcb09b5b57875f334f61aebed695e2e4193db5e";

#[tokio::test]
async fn nothing_reported_is_no_success() {
    for (kind, server) in all() {
        server.issue("acme/api", Issue::new("Slow"));
        let status = client(kind, &server).ci(&project("acme/api"), SHA).await.unwrap();
        assert_eq!((status.verdict(), status.checks.len()), (CiVerdict::None, 0), "{kind:?}");
    }
}

#[tokio::test]
async fn every_state_of_jobs_and_reports_is_understood() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        for log in [Some("log"), None] {
            for (made, expected) in [
                (Made::Queued, CheckState::Pending),
                (Made::Running, CheckState::Pending),
                (Made::Success, CheckState::Success),
                (Made::Failure, CheckState::Failure),
                (Made::Skipped, CheckState::Skipped),
                // Nothing that is unknown has passed.
                (Made::Unknown, CheckState::Pending),
            ] {
                server.set_check("acme/api", SHA, "build", made, log);
                let status = forge.ci(&acme, SHA).await.unwrap();
                let check = status.checks.iter().find(|check| check.name == "build").unwrap();
                // Reports of other programs on GitHub are never skipped.
                let is_report = kind == ForgeKind::GitHub && log.is_none() && made == Made::Skipped;
                assert_eq!(check.state, if is_report { CheckState::Success } else { expected }, "{kind:?}: {made:?}");
                assert_eq!(check.job.is_some(), log.is_some(), "{kind:?}");
                assert!(check.url.is_some(), "{kind:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_failure_on_a_later_page_counts() {
    for (kind, server) in all() {
        server.set_page_max(2);
        for log in [Some("log"), None] {
            for n in 0..5 {
                let state = if n == 4 && log.is_none() { Made::Failure } else { Made::Success };
                server.set_check("acme/api", SHA, &format!("check {n} {}", log.is_some()), state, log);
            }
        }
        let status = client(kind, &server).ci(&project("acme/api"), SHA).await.unwrap();
        assert_eq!(status.verdict(), CiVerdict::Failure, "{kind:?}");
        let pipeline = usize::from(kind == ForgeKind::GitLab);
        assert_eq!(status.checks.len(), 10 + pipeline, "{kind:?}");
    }
}

#[tokio::test]
async fn pipelines_on_a_merge_into_the_base_count_for_the_head_that_they_merge() {
    const MERGE: &str = "7fb0ccb70c1e1ed7ee7c4c9cd1ff0e9ee5fb4d1a";
    const LATER: &str = "00000000000000000000000000000000000ea7ed";
    let server = ForgeServer::gitlab();
    server.token(TOKEN, LOGIN);
    let (forge, acme) = (client(ForgeKind::GitLab, &server), project("acme/api"));
    let number = server.pull_request("acme/api", PullRequest::new("Speed", "speed").sha(SHA));
    server.set_check("acme/api", SHA, "licenses", Made::Success, None);
    let verdict = async |head: &str| {
        forge.ci_of_pull_request(&acme, number, head).await.map(|status| (status.verdict(), status.checks.len()))
    };
    assert_eq!(verdict(SHA).await.unwrap(), (CiVerdict::Success, 1));
    server.run_merged_results("acme/api", number, MERGE);
    server.set_check("acme/api", MERGE, "build", Made::Failure, Some("error: it broke"));
    // The pipeline, and its job.
    assert_eq!(verdict(SHA).await.unwrap(), (CiVerdict::Failure, 3));
    let checks = forge.ci_of_pull_request(&acme, number, SHA).await.unwrap().checks;
    assert!(checks.iter().any(|check| check.name == "build" && check.job.is_some()), "{checks:?}");
    // One that merges another head says nothing about this one.
    server.push("acme/api", "speed", LATER);
    assert_eq!(verdict(LATER).await.unwrap(), (CiVerdict::None, 0));
}

#[tokio::test]
async fn checks_that_are_not_all_read_are_no_result() {
    for (kind, server) in all() {
        server.set_page_max(2);
        for n in 0..5 {
            let state = if n == 4 { Made::Failure } else { Made::Success };
            server.set_check("acme/api", SHA, &format!("check {n}"), state, None);
        }
        for (pages, is_read) in [(2, false), (3, true)] {
            let limits = Limits { pages: 1, pages_of_all: pages, ..limits() };
            let status = client_with(kind, &server.base_url(), Some(TOKEN), limits).ci(&project("acme/api"), SHA).await;
            match status {
                Ok(status) => assert!(is_read && status.verdict() == CiVerdict::Failure, "{kind:?}: {status:?}"),
                Err(error) => {
                    assert!(!is_read && matches!(error, ForgeError::TooLong { .. }), "{kind:?}: {error:?}");
                    assert!(report(&error).contains("more than 2 pages"), "{}", report(&error));
                }
            }
        }
    }
}

#[tokio::test]
async fn the_end_of_a_log_is_read() {
    for (kind, server) in all() {
        if kind == ForgeKind::Forgejo {
            server.set_version("17.0.0+gitea-1.22.0");
        }
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        let log = format!("{}\nerror: it failed\n", "x".repeat(100_000));
        server.set_check("acme/api", SHA, "lint", Made::Success, Some("clean"));
        server.set_check("acme/api", SHA, "build", Made::Failure, Some(&log));
        let status = forge.ci(&acme, SHA).await.unwrap();
        let failed = status.checks.iter().find(|check| check.name == "build").unwrap();
        let job = failed.job.as_deref().unwrap();
        let end = forge.job_log(&acme, job, 20).await.unwrap();
        assert_eq!(end.as_deref(), Some(&log[log.len() - 20..]), "{kind:?}");
        assert_eq!(forge.job_log(&acme, job, 1 << 20).await.unwrap().as_deref(), Some(log.as_str()), "{kind:?}");
    }
}

#[tokio::test]
async fn a_log_that_the_server_does_not_keep_is_absent() {
    for (kind, server) in all() {
        let (forge, acme) = (client(kind, &server), project("acme/api"));
        server.issue("acme/api", Issue::new("Slow"));
        let job = if matches!(kind, ForgeKind::Gitea | ForgeKind::Forgejo) { "runs/7/jobs/0" } else { "7" };
        assert_eq!(forge.job_log(&acme, job, 100).await.unwrap(), None, "{kind:?}");
    }
}

#[tokio::test]
async fn a_forgejo_without_logs_of_jobs_has_none() {
    let server = ForgeServer::forgejo();
    server.token(TOKEN, LOGIN);
    let (forge, acme) = (client(ForgeKind::Forgejo, &server), project("acme/api"));
    server.set_check("acme/api", SHA, "build", Made::Failure, Some("log"));
    let status = forge.ci(&acme, SHA).await.unwrap();
    let job = status.checks[0].job.as_deref().unwrap();
    assert_eq!(forge.job_log(&acme, job, 100).await.unwrap(), None);
}

#[tokio::test]
async fn another_origin_that_serves_a_log_gets_no_token() {
    let server = ForgeServer::github();
    server.token(TOKEN, LOGIN);
    let (forge, acme) = (client(ForgeKind::GitHub, &server), project("acme/api"));
    server.set_check("acme/api", SHA, "build", Made::Failure, Some("error"));
    let status = forge.ci(&acme, SHA).await.unwrap();
    let job = status.checks[0].job.as_deref().unwrap();
    assert_eq!(forge.job_log(&acme, job, 100).await.unwrap().as_deref(), Some("error"));
    let requests = server.log_requests();
    assert_eq!(requests.len(), 1);
    assert!(!requests[0].has_credentials() && !requests[0].contains(TOKEN), "{requests:?}");
}

#[tokio::test]
async fn a_redirect_of_anything_else_to_another_origin_is_refused() {
    for (kind, server) in all() {
        let other = ForgeServer::gitea();
        server.issue("acme/api", Issue::new("Slow"));
        server.fail_at("commits", Fault::Redirect(302, format!("{}/api", other.base_url())));
        let status = client(kind, &server).ci(&project("acme/api"), SHA).await;
        // GitLab asks for pipelines first.
        assert!(matches!(status, Err(ForgeError::Moved { .. })), "{kind:?}: {status:?}");
        assert_eq!(other.requests(), []);
    }
}
