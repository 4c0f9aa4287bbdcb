//! A server fails for hours: requests stay few, the error is shown, and everything continues afterwards.

use kugetsu_agent::environment::Variable;
use kugetsu_domain::reference::ForgeKind;
use kugetsu_testkit::forge_server::issue::Subject;
use kugetsu_testkit::forge_server::request::ForgeRequest;

use super::stage::{Failure, KINDS, PROJECT, Stage, TOKEN};
use crate::world::Daemon;

/// Requests in an hour of one repository with one issue, while the server fails: the polls, and the attempts of effects.
const PER_HOUR: usize = 240;
/// The same if a person has to end it.
const PER_HOUR_FOR_PEOPLE: usize = 60;

fn api(requests: &[ForgeRequest]) -> usize {
    requests.iter().filter(|request| request.target.starts_with("/api/")).count()
}

/// Where the server begins to fail.
#[derive(Clone, Copy, Debug)]
enum Begin {
    /// Before the issue is known.
    HandOver,
    /// While the agent works.
    Publish,
    /// While the pull request waits for people.
    Open,
    /// Before the merge.
    Merge,
}

/// Lets the server fail for five hours. Returns the requests in each of the last two, and what `why` says.
async fn outage(stage: &Stage, daemon: &Daemon, begin: Begin, failure: Failure) -> ([usize; 2], String) {
    let issue = match begin {
        Begin::HandOver => {
            stage.forge.fail_always("/api/", failure);
            stage.hand_over()
        }
        Begin::Publish => {
            let failing = failure.clone();
            let posts = if stage.kind == ForgeKind::GitLab { "/merge_requests" } else { "/pulls" };
            stage.forge.fail_when(move |request| (request.contains(posts)).then(|| failing.clone()));
            let issue = stage.hand_over();
            stage.hours(daemon, 0).await;
            issue
        }
        Begin::Open => {
            let issue = stage.hand_over();
            stage.pull_request(daemon, issue).await;
            stage.hours(daemon, 1).await;
            stage.forge.fail_always("/api/", failure);
            issue
        }
        Begin::Merge => {
            let failing = failure.clone();
            stage.forge.fail_when(move |request| {
                (!request.starts_with("GET") && request.contains("/merge") && !request.ends_with("/merge_requests"))
                    .then(|| failing.clone())
            });
            let issue = stage.hand_over();
            let number = stage.pull_request(daemon, issue).await;
            stage
                .until(daemon, "the approval", async || {
                    stage.review(number);
                    (stage.pushed.lock().unwrap().len() == 3).then_some(())
                })
                .await;
            stage.review(number);
            issue
        }
    };
    stage.hours(daemon, 3).await;
    let requests = [api(&stage.hours(daemon, 1).await), api(&stage.hours(daemon, 1).await)];
    (requests, stage.why(daemon, issue).await)
}

/// The end of the story, once the server works again.
async fn ends(stage: &Stage, daemon: &Daemon) {
    stage.forge.recover();
    stage.play(daemon, 1).await;
    stage.check(daemon, 1).await;
}

#[tokio::test]
async fn server_that_fails_for_hours_gets_few_requests() {
    for (kind, begin) in [
        (ForgeKind::GitHub, Begin::HandOver),
        (ForgeKind::Gitea, Begin::Open),
        (ForgeKind::GitLab, Begin::Merge),
        (ForgeKind::Forgejo, Begin::Publish),
    ] {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let (requests, why) = outage(&stage, &daemon, begin, Failure::Status(503)).await;
        // One call is up to four requests, and a merge is one after a look.
        assert!(requests.iter().all(|count| *count <= 5 * PER_HOUR), "{kind:?} {begin:?}: {requests:?} {why}");
        if !matches!(begin, Begin::HandOver | Begin::Publish) {
            assert!(why.contains("status 503"), "{kind:?} {begin:?}: {why}");
        }
        ends(&stage, &daemon).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn revoked_token_costs_few_requests_and_a_new_one_continues_at_once() {
    for (kind, begin) in [
        (ForgeKind::GitHub, Begin::Open),
        (ForgeKind::Gitea, Begin::Open),
        (ForgeKind::Forgejo, Begin::Merge),
        (ForgeKind::GitLab, Begin::Merge),
    ] {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let (requests, why) = outage(&stage, &daemon, begin, Failure::Status(401)).await;
        // The polls are answered; on GitLab each of them is two requests.
        let most = if matches!(begin, Begin::Open) { PER_HOUR_FOR_PEOPLE } else { 2 * PER_HOUR };
        assert!(requests.iter().all(|count| *count <= most), "{kind:?} {begin:?}: {requests:?} {why}");
        assert!(
            why.contains("rejected the token in FORGE_TOKEN") && why.contains("kugetsu env set"),
            "{kind:?}: {why}"
        );
        // The user sets another token.
        stage.forge.revoke(TOKEN);
        stage.forge.token("another-token-1", "robot");
        stage.forge.recover();
        let before = stage.forge.request_count();
        stage.world.change_settings(|settings| {
            settings.variables =
                vec![Variable { name: "FORGE_TOKEN".to_owned(), value: "another-token-1".into(), is_own: false }];
        });
        stage
            .forge
            .await_requests("a request with the new token", |requests| {
                requests.iter().skip(before).any(|request| {
                    request.login.is_some() && request.target.contains("/pulls/")
                        || request.target.contains("/merge_requests/")
                })
            })
            .await;
        stage.play(&daemon, 1).await;
        stage.check(&daemon, 1).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn rate_limit_is_kept_for_as_long_as_the_server_asks() {
    for (kind, status) in [(ForgeKind::GitHub, 403), (ForgeKind::Gitea, 429), (ForgeKind::GitLab, 429)] {
        let stage = Stage::new(kind).await;
        let body = r#"{"message": "You have exceeded a secondary rate limit."}"#.to_owned();
        let limited = Failure::Answer { status, headers: vec![("retry-after", "3600".to_owned())], body };
        stage.forge.fail_always("/api/", limited);
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        stage.hours(&daemon, 2).await;
        assert_eq!(api(&stage.forge.requests()), 1, "{kind:?}");
        let state = daemon.store.watch(stage.world.repo.name.clone()).await.unwrap();
        assert!(state.error.is_some_and(|error| error.contains("limits the rate of requests until")), "{kind:?}");
        assert!(daemon.store.issue(&daemon.reference(issue)).await.unwrap().is_none());
        daemon.kill().await;
    }
}

#[tokio::test]
async fn further_issues_wait_while_pull_requests_cannot_be_opened() {
    let stage = Stage::with(ForgeKind::Gitea, serde_json::json!({ "max_open_prs": 1 })).await;
    stage.forge.fail_when(|request| {
        (request.starts_with("POST") && request.ends_with("/pulls")).then_some(Failure::Status(403))
    });
    let daemon = stage.daemon();
    let issues = [stage.hand_over(), stage.hand_over(), stage.hand_over()];
    stage.hours(&daemon, 2).await;
    assert_eq!(stage.pushed.lock().unwrap().len(), 1, "only one agent has worked");
    stage.forge.recover();
    for issue in issues {
        stage
            .until(&daemon, "the pull request", async || {
                let number = stage.pulls(issue).first()?.0;
                stage.forge.set_closed(PROJECT, Subject::PullRequest(number), true);
                Some(())
            })
            .await;
    }
    daemon.kill().await;
}

#[tokio::test]
async fn queued_tasks_wait_for_a_server_that_fails_when_they_start() {
    let outages = [
        (ForgeKind::GitHub, Failure::Status(503), "status 503"),
        (ForgeKind::Gitea, Failure::Status(401), "rejected the token in FORGE_TOKEN"),
        (ForgeKind::Forgejo, Failure::Cut, "cannot reach"),
        // Its end is in real time.
        (ForgeKind::GitLab, Failure::rate_limit(2), "limits the rate of requests"),
    ];
    for (kind, failure, reason) in outages {
        let (stage, issues) = queued(kind).await;
        stage.forge.fail_always("/api/", failure);
        let daemon = stage.daemon();
        stage.world.change_settings(|settings| settings.agents.max = 2);
        wait_for(&stage, &daemon, issues, reason).await;
        stage.forge.recover();
        run(&stage, &daemon, issues).await;
        daemon.kill().await;
    }
}

#[tokio::test]
async fn queued_tasks_wait_for_the_correction_of_the_file_of_their_repository() {
    for kind in KINDS {
        let (stage, issues) = queued(kind).await;
        stage.forge.set_file(PROJECT, ".kugetsu.toml", "verify = 3\n");
        let daemon = stage.daemon();
        stage.world.change_settings(|settings| settings.agents.max = 2);
        wait_for(&stage, &daemon, issues, ".kugetsu.toml on its default branch is not valid").await;
        stage.forge.set_file(PROJECT, ".kugetsu.toml", "verify = [\"true\"]\n");
        run(&stage, &daemon, issues).await;
        daemon.kill().await;
    }
}

/// Two issues whose tasks are queued, and no daemon.
async fn queued(kind: ForgeKind) -> (Stage, [u64; 2]) {
    let stage = Stage::new(kind).await;
    stage.world.change_settings(|settings| settings.agents.max = 0);
    let daemon = stage.daemon();
    let issues = [stage.hand_over(), stage.hand_over()];
    for issue in issues {
        stage.known(&daemon, &daemon.reference(issue)).await;
    }
    daemon.kill().await;
    (stage, issues)
}

/// The tasks are still there after an hour, and `why` names the reason.
async fn wait_for(stage: &Stage, daemon: &Daemon, issues: [u64; 2], reason: &str) {
    stage.hours(daemon, 1).await;
    assert!(stage.world.machine.started().is_empty(), "{:?}", stage.kind);
    for issue in issues {
        // A task that runs keeps those of other repositories from running.
        assert_eq!(daemon.state(issue).await, "queued", "{:?}", stage.kind);
        let why = stage.why(daemon, issue).await;
        assert!(why.contains("could not be started") && why.contains(reason), "{:?}: {why}", stage.kind);
    }
}

/// The tasks run once, in their first attempt.
async fn run(stage: &Stage, daemon: &Daemon, issues: [u64; 2]) {
    for issue in issues {
        stage.pull_request(daemon, issue).await;
    }
    stage.settle(daemon).await;
    assert_eq!(stage.world.machine.started().len(), issues.len(), "{:?}", stage.kind);
}
