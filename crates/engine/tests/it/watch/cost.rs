//! The requests of repositories and pull requests in which nothing happens.

use std::time::Instant;

use jiff::SignedDuration;
use kugetsu_domain::reference::{ForgeKind, ProjectPath, RepoRef, ServerBase};
use kugetsu_store::view::HookNews;
use kugetsu_testkit::forge_server::check::CheckState;
use kugetsu_testkit::forge_server::issue::{Issue, Subject};
use kugetsu_testkit::forge_server::permission::Permission;
use kugetsu_testkit::forge_server::request::ForgeRequest;
use serde_json::json;

use super::stage::{KINDS, PROJECT, START, Stage, settings_for};

/// Requests in an hour of a repository with a webhook.
const WITH_HOOK: usize = 12;
/// Without one: a poll each 30 s.
const WITHOUT_HOOK: usize = 120;
/// The repository's own settings are read each 10 min.
const FILE: usize = 6;
/// Requests in an hour about an issue that waits for another one.
const WAITING: usize = 8;
/// Requests in an hour of an open pull request that has waited for hours.
const OPEN: usize = 30;

fn api(requests: &[ForgeRequest]) -> Vec<&ForgeRequest> {
    requests.iter().filter(|request| request.target.starts_with("/api/")).collect()
}

#[tokio::test]
async fn repositories_without_news_cost_few_requests() {
    for kind in [ForgeKind::GitHub, ForgeKind::GitLab] {
        let stage = Stage::new(kind).await;
        let base = stage.forge.base_url();
        let names: Vec<String> = (0..10).map(|number| format!("acme/repo{number}")).collect();
        let mut watches = Vec::new();
        // Long ago.
        stage.forge.set_time(START.as_second() - 100_000);
        stage.forge.set_time(START.as_second() - 100_000);
        for name in &names {
            stage.forge.set_permission(name, "kim", Permission::Write);
            stage.forge.set_permission(name, "robot", Permission::Admin);
            for number in 0..100 {
                stage.forge.issue(name, Issue::new(&format!("Issue {number}")).author("kim"));
            }
            // It is handed over and waits for another one.
            stage.forge.issue(name, Issue::new("It waits").author("kim").label("agent").blocked_by(1));
            watches.push((name.as_str(), json!({ "repo": format!("{base}/{name}"), "label": "agent" })));
        }
        stage.forge.set_time(START.as_second());
        let settings = settings_for(&stage.forge, kind, &watches);
        stage.world.change_settings(|changed| *changed = settings);
        let daemon = stage.daemon();
        // The first polls read everything.
        for _ in 0..4 {
            stage.pass(&daemon, SignedDuration::from_secs(30)).await;
        }
        let without = stage.hours(&daemon, 1).await;
        let per_repository = api(&without).len() / names.len();
        assert!(per_repository <= WITHOUT_HOOK + FILE + WAITING, "{kind:?}: {per_repository} requests an hour");
        let free = without.iter().filter(|request| request.status == Some(304)).count();
        if kind == ForgeKind::GitHub {
            // The polls are free. An issue that waits, and an answer that there is no file, are not.
            let paid = (api(&without).len() - free) / names.len();
            assert!(paid <= FILE + WAITING, "{paid} requests an hour count");
        }
        for name in &names {
            let project = ProjectPath::new(name).unwrap();
            let repo = RepoRef { base: ServerBase::new(&base).unwrap(), project };
            daemon.store.set_hook(repo, HookNews::Worked, daemon.engine.clock().now()).await.unwrap();
        }
        stage.pass(&daemon, SignedDuration::from_secs(30)).await;
        let with = api(&stage.hours(&daemon, 1).await).len() / names.len();
        // Who labeled an issue is read only if nothing else prevents its start.
        let is_record =
            |request: &ForgeRequest| request.target.contains("events?") || request.target.contains("timeline");
        assert!(!stage.forge.requests().iter().any(is_record), "{kind:?}");
        eprintln!("{kind:?}: {per_repository} requests an hour without webhooks ({free} free), {with} with them");
        assert!(with <= WITH_HOOK + WAITING, "{kind:?}: {with} requests an hour");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn pull_request_that_waits_for_days_costs_few_requests() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        let head = stage.forge.pull_request_of(PROJECT, number).sha;
        stage.forge.set_check(PROJECT, &head, "test", CheckState::Success, None);
        let first = stage.hours(&daemon, 8).await;
        let requests = stage.hours(&daemon, 4).await;
        let looks = requests
            .iter()
            .filter(|request| request.target.contains(&format!("/{number}")) || request.target.contains("/user"))
            .count();
        eprintln!("{kind:?}: {} in the first 8 hours, then {} an hour about the pull request", first.len(), looks / 4);
        assert!(looks / 4 <= OPEN, "{kind:?}: {} requests an hour", looks / 4);
        // What people write is noticed by the next poll.
        stage.forge.comment(PROJECT, Subject::PullRequest(number), "kim", "Please explain this.");
        let (pushed, before) = (stage.pushed.lock().unwrap().len(), daemon.engine.clock().now());
        let is_given = async || (stage.pushed.lock().unwrap().len() > pushed).then_some(());
        stage.until(&daemon, "the answer to the comment", is_given).await;
        let pause = daemon.engine.clock().now().duration_since(before);
        assert!(pause < SignedDuration::from_mins(15), "{kind:?}: the agent has the comment after {pause:?}");
        daemon.kill().await;
    }
}

#[tokio::test]
async fn thousands_of_issues_are_read_in_seconds() {
    for kind in [ForgeKind::GitHub, ForgeKind::Gitea] {
        let stage = Stage::with(kind, json!({ "max_open_prs": 0 })).await;
        stage.forge.set_time(START.as_second() - 100_000);
        for number in 0..2000 {
            stage.forge.issue(PROJECT, Issue::new(&format!("Issue {number}")).author("kim").label("agent"));
        }
        stage.forge.set_time(START.as_second());
        let start = Instant::now();
        let daemon = stage.daemon();
        stage
            .until(&daemon, "the candidates", async || {
                let known = daemon.store.candidates(stage.world.repo.name.clone()).await.unwrap().len();
                (known == 2000).then_some(())
            })
            .await;
        eprintln!("{kind:?}: {:?} until all are known", start.elapsed());
        stage.settle(&daemon).await;
        let (before, start) = (stage.forge.request_count(), Instant::now());
        stage.hours(&daemon, 1).await;
        eprintln!("{kind:?}: {:?} and {} requests in an hour", start.elapsed(), stage.forge.request_count() - before);
        assert!(stage.forge.request_count() - before <= 200, "{kind:?}");
        daemon.kill().await;
    }
}
