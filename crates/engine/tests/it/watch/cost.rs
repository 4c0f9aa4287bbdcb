//! The requests of repositories and pull requests in which nothing happens.

use std::time::Instant;

use jiff::SignedDuration;
use kugetsu_domain::reference::{ForgeKind, ProjectPath, RepoRef, ServerBase};
use kugetsu_store::view::HookNews;
use kugetsu_testkit::forge_server::issue::{Issue, Subject};
use kugetsu_testkit::forge_server::permission::Permission;
use kugetsu_testkit::forge_server::request::ForgeRequest;
use serde_json::json;

use super::stage::{KINDS, PROJECT, START, Stage, settings_for};

/// Repositories, and the issues of each.
const REPOSITORIES: usize = 20;
const ISSUES: usize = 500;
/// Requests in an hour of a repository with a webhook that works.
const WITH_HOOK: usize = 12;
/// Without one: a poll each 30 s.
const WITHOUT_HOOK: usize = 120;
/// The repository's own settings are read each 10 min.
const FILE: usize = 6;
/// Requests in an hour about an issue that waits for another one.
const WAITING: usize = 5;
/// Requests in an hour of an open pull request that has waited for hours.
const OPEN: usize = 30;

fn api(requests: &[ForgeRequest]) -> Vec<&ForgeRequest> {
    requests.iter().filter(|request| request.target.starts_with("/api/")).collect()
}

/// Requests in an hour of one repository among these.
fn per_repository(requests: &[ForgeRequest], names: &[String]) -> usize {
    let is_of = |request: &ForgeRequest| {
        let mut paths = names.iter().map(|name| name.rsplit('/').next().unwrap());
        paths.any(|path| request.target.contains(path))
    };
    api(requests).into_iter().filter(|request| is_of(request)).count().div_ceil(names.len())
}

async fn repositories_without_news_cost_few_requests(kind: ForgeKind) {
    let stage = Stage::new(kind).await;
    let base = stage.forge.base_url();
    let names: Vec<String> = (0..REPOSITORIES).map(|number| format!("acme/repo{number:02}")).collect();
    let mut watches = Vec::new();
    // Long ago.
    stage.forge.set_time(START.as_second() - 100_000);
    // In the others, an issue is handed over and waits for another one.
    let (quiet, waiting) = names.split_at(REPOSITORIES / 2);
    for name in &names {
        stage.forge.set_permission(name, "kim", Permission::Write);
        stage.forge.set_permission(name, "robot", Permission::Admin);
        for number in 1..ISSUES {
            stage.forge.issue(name, Issue::new(&format!("Issue {number}")).author("kim"));
        }
        let last = Issue::new("It waits").author("kim").blocked_by(1);
        stage.forge.issue(name, if waiting.contains(name) { last.label("agent") } else { last });
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
    let is_free = |request: &&&ForgeRequest| request.status == Some(304);
    let without = stage.hours(&daemon, 1).await;
    let without_hook = [quiet, waiting].map(|names| per_repository(&without, names));
    assert!(without_hook[0] <= WITHOUT_HOOK + FILE, "{kind:?}: {without_hook:?} requests an hour");
    assert!(without_hook[1] <= WITHOUT_HOOK + FILE + WAITING, "{kind:?}: {without_hook:?} requests an hour");
    let free = api(&without).iter().filter(is_free).count();
    if kind == ForgeKind::GitHub {
        // The polls are free. An issue that waits, and an answer that there is no file, are not.
        let paid = (api(&without).len() - free).div_ceil(names.len());
        assert!(paid <= FILE + WAITING, "{paid} requests an hour count");
    }
    for name in &names {
        let project = ProjectPath::new(name).unwrap();
        let repo = RepoRef { base: ServerBase::new(&base).unwrap(), project };
        daemon.store.set_hook(repo, HookNews::Worked, daemon.engine.clock().now()).await.unwrap();
    }
    stage.pass(&daemon, SignedDuration::from_secs(30)).await;
    let with = stage.hours(&daemon, 1).await;
    let with_hook = [quiet, waiting].map(|names| per_repository(&with, names));
    // Who labeled an issue is read only if nothing else prevents its start.
    let is_record = |request: &ForgeRequest| request.target.contains("events?") || request.target.contains("timeline");
    assert!(!stage.forge.requests().iter().any(is_record), "{kind:?}");
    let free_with = api(&with).iter().filter(is_free).count();
    eprintln!(
        "{kind:?}: requests an hour, without and with an issue that waits: {without_hook:?} without webhooks ({free} of {} free), \
         {with_hook:?} with them ({free_with} of {} free)",
        api(&without).len(),
        api(&with).len()
    );
    assert!(with_hook[0] <= WITH_HOOK, "{kind:?}: {with_hook:?} requests an hour");
    assert!(with_hook[1] <= WITH_HOOK + WAITING, "{kind:?}: {with_hook:?} requests an hour");
    if kind == ForgeKind::GitHub {
        assert!(2 * free_with > api(&with).len(), "most answers are free");
    }
    daemon.kill().await;
}

#[tokio::test]
async fn repositories_without_news_cost_few_requests_on_github() {
    repositories_without_news_cost_few_requests(ForgeKind::GitHub).await;
}

#[tokio::test]
async fn repositories_without_news_cost_few_requests_on_gitea() {
    repositories_without_news_cost_few_requests(ForgeKind::Gitea).await;
}

#[tokio::test]
async fn repositories_without_news_cost_few_requests_on_forgejo() {
    repositories_without_news_cost_few_requests(ForgeKind::Forgejo).await;
}

#[tokio::test]
async fn repositories_without_news_cost_few_requests_on_gitlab() {
    repositories_without_news_cost_few_requests(ForgeKind::GitLab).await;
}

#[tokio::test]
async fn pull_request_that_waits_for_days_costs_few_requests() {
    for kind in KINDS {
        let stage = Stage::new(kind).await;
        let daemon = stage.daemon();
        let issue = stage.hand_over();
        let number = stage.pull_request(&daemon, issue).await;
        stage.pass_checks(number);
        let first = stage.hours(&daemon, 8).await;
        let requests = stage.hours(&daemon, 4).await;
        let looks = requests
            .iter()
            .filter(|request| request.target.contains(&format!("/{number}")) || request.target.contains("/user"))
            .count();
        eprintln!("{kind:?}: {} in the first 8 hours, then {} an hour about the pull request", first.len(), looks / 4);
        assert!(looks / 4 <= OPEN, "{kind:?}: {} requests an hour", looks / 4);
        // With a webhook, the polls that also list pull requests are as many as without one.
        daemon
            .store
            .set_hook(stage.world.repo.name.clone(), HookNews::Worked, daemon.engine.clock().now())
            .await
            .unwrap();
        stage.pass(&daemon, SignedDuration::from_secs(30)).await;
        let with = stage.hours(&daemon, 4).await;
        let is_list =
            |request: &&ForgeRequest| ["/issues?", "/merge_requests?"].iter().any(|list| request.target.contains(list));
        let lists = with.iter().filter(is_list).count().div_ceil(4);
        eprintln!("{kind:?}: with a webhook {lists} lists of {} requests an hour", with.len() / 4);
        assert!(lists <= WITH_HOOK, "{kind:?}: {lists} lists an hour");
        // What people write is noticed by the next poll; here, without a webhook again.
        daemon
            .store
            .set_hook(stage.world.repo.name.clone(), HookNews::Missed, daemon.engine.clock().now())
            .await
            .unwrap();
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
