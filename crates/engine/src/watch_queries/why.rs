//! `kugetsu why` for issues of watched repositories: every condition of the watch, and the state of a followed pull request.

use std::path::Path;
use std::time::Duration;

use kugetsu_api::problem::{Problem, ProblemKind};
use kugetsu_api::watch::{ConditionObject, FeedbackObject, FollowObject};
use kugetsu_api::why::WhyObject;
use kugetsu_domain::budget::Start;
use kugetsu_domain::hold::HoldKind;
use kugetsu_domain::ids::IssueId;
use kugetsu_domain::issue::{Issue, IssueState};
use kugetsu_domain::reason::Reason;
use kugetsu_domain::reference::{IssueRef, RepoRef};
use kugetsu_domain::task::{TaskKind, TaskState};
use kugetsu_domain::text::rfc3339;
use kugetsu_domain::watch::conditions::{Condition, ConditionKind, Facts, Load, Met, conditions};
use kugetsu_domain::watch::feedback::{Action, Record, RecordState, decide};
use kugetsu_domain::watch::follow::Follow;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::references::reference::Reference;
use kugetsu_store::effect::EffectView;
use kugetsu_store::error::StoreError;

use super::polls::{objects, with_forge_hint, with_hint};
use crate::engine::Engine;
use crate::forges::known;
use crate::holds;
use crate::problems::store_failed;
use crate::queries::why::why;
use crate::repo_file::{known_to_be_invalid, with_current_file, with_known_file};
use crate::resolve;
use crate::watch::followed::{Followed, is_without_result};
use crate::watch::handover::{Judged, judge, local_conditions};
use crate::watch::look::Look;
use crate::watch::task::HandoverError;
use crate::watches::Watch;

/// How long the server may take to show the issue, or all of its pull request.
const READ_LIMIT: Duration = Duration::from_secs(15);

/// Returns why an issue's latest task is in its state, or why its watch has not started it.
///
/// # Errors
/// kugetsu has not worked on the issue, and its repository is not watched.
pub async fn explain(engine: &Engine, reference: &str, cwd: &Path) -> Result<WhyObject, Problem> {
    match explain_exactly(engine, reference, cwd).await {
        Err(problem) if problem.kind == ProblemKind::NotFound => match in_watched_repo(engine, reference) {
            Some(issue) => explain_exactly(engine, &issue.to_string(), cwd).await,
            None => Err(problem),
        },
        explained => explained,
    }
}

/// The issue `owner/repo#12` of the only watched repository with this path, on whichever server it is.
fn in_watched_repo(engine: &Engine, reference: &str) -> Option<IssueRef> {
    let (path, number) = reference.rsplit_once('#')?;
    let settings = engine.settings();
    let mut repos = settings.watches.iter().map(|watch| &watch.repo).filter(|repo| repo.project.as_str() == path);
    let only = repos.next().filter(|_| repos.next().is_none())?;
    Some(IssueRef { repo: only.clone(), number: number.parse().ok()? })
}

async fn explain_exactly(engine: &Engine, reference: &str, cwd: &Path) -> Result<WhyObject, Problem> {
    match why(engine, reference, cwd).await {
        Ok(known) => {
            let mut object = WhyObject {
                issue: known.view.reference.to_string(),
                state: Some(known.view.task.state),
                destroyed: known.view.issue_state == IssueState::Destroyed,
                because: known.because,
                hint: known.hint,
                next: known.next,
                watch: None,
                conditions: Vec::new(),
                follow: None,
            };
            let issue = engine.store().issue_by_id(known.view.issue).await.map_err(store_failed)?;
            add_watch(engine, &issue, &mut object).await?;
            Ok(object)
        }
        Err(problem) if problem.kind == ProblemKind::NotFound => {
            match resolve::issue_on_server(engine, &Reference::new(reference), cwd).await? {
                Some(issue) => not_started(engine, &issue, problem).await,
                None => Err(problem),
            }
        }
        Err(problem) => Err(problem),
    }
}

/// Adds what the watch of a known issue is about.
async fn add_watch(engine: &Engine, issue: &Issue, object: &mut WhyObject) -> Result<(), Problem> {
    let watch = watch_of(engine, &issue.reference.repo);
    object.watch = watch.as_ref().map(|watch| watch.name.clone());
    if let Some(follow) = &issue.follow {
        object.follow = Some(followed(engine, issue, follow, object.state).await?);
        let effects = engine.store().effects_of(issue.id).await.map_err(store_failed)?;
        object.next.extend(steps(&effects, issue, follow, object));
        return Ok(());
    }
    let Some(watch) = watch else { return Ok(()) };
    if let Some((stored, _)) = stored(engine, &watch, issue.reference.number).await? {
        object.conditions = stored;
    }
    Ok(())
}

fn watch_of(engine: &Engine, repo: &RepoRef) -> Option<Watch> {
    engine.settings().watches.iter().find(|watch| watch.repo == *repo).map(|watch| with_known_file(engine, watch))
}

/// Advice about a followed issue that waits for a person.
fn steps(effects: &[EffectView], issue: &Issue, follow: &Follow, object: &WhyObject) -> Vec<String> {
    let (mut steps, latest) = (Vec::new(), object.state);
    let name = &issue.reference;
    let Some(watch) = &object.watch else {
        if issue.state == IssueState::Open {
            let repo = &name.repo;
            steps.push(format!("continue with `kugetsu watch add {repo}`, or remove it with `kugetsu destroy {name}`"));
        }
        return steps;
    };
    if follow.is_open() && follow.is_stopped {
        steps.push(format!("resume it: comment `/kugetsu retry` on {name}"));
    } else if latest.is_some_and(|latest| is_without_result(issue, latest)) {
        steps.push(format!("let the agent try again: comment `/kugetsu retry` on {name}"));
    }
    if effects.iter().any(|effect| effect.error.is_some() && !effect.failed) {
        steps.push(format!("try at once what failed with `kugetsu watch run-once {watch}`"));
    }
    steps
}

/// An issue that kugetsu has no task for.
async fn not_started(engine: &Engine, issue: &IssueRef, unknown: Problem) -> Result<WhyObject, Problem> {
    let Some(watch) = watch_of(engine, &issue.repo) else {
        let hint = format!(
            "start it with `kugetsu start {issue}`; or hand over issues of {repo} by a label: `kugetsu watch add {repo}`",
            repo = issue.repo
        );
        return Err(Problem::new(
            ProblemKind::NotFound,
            format!("{}, and {} is not watched", unknown.message, issue.repo),
        )
        .hint(hint));
    };
    let mut because = Vec::new();
    let state = engine.store().watch(watch.repo.clone()).await.map_err(store_failed)?;
    let (watch, error) = with_corrections(engine, watch, state.error).await;
    let (conditions, found) = match stored(engine, &watch, issue.number).await? {
        Some(stored) => stored,
        None => read(engine, &watch, issue.number, &mut because).await?,
    };
    let unmet: Vec<&Condition> = found.iter().filter(|condition| condition.met != Met::Yes).collect();
    // What was not read waits for the others.
    let reasons = unmet.iter().filter(|condition| condition.met != Met::Unread);
    because.extend(reasons.map(|condition| format!("{}: {}", condition.kind.name(), condition.fact)));
    let pause = holds::pause_of(engine, &watch.repo).await.map_err(store_failed)?;
    let pause = pause.as_ref().map(holds::describe);
    let mut next: Vec<String> = unmet
        .iter()
        // Of what was not read, it is not known whether something has to be done.
        .filter(|condition| condition.met != Met::Unread)
        .filter_map(|condition| step(condition, &watch, issue, pause.as_ref()))
        .collect();
    if because.is_empty() && !unmet.is_empty() {
        because.push("the next poll reads what is not known yet".to_owned());
    }
    if unmet.is_empty() {
        because.push(match &error {
            Some(_) => "every condition is met, but it was not started".to_owned(),
            None => "every condition is met; it starts with the next poll".to_owned(),
        });
    }
    if unmet.iter().all(|condition| condition.met == Met::Unread) {
        next.push(format!("poll now with `kugetsu watch run-once {}`", watch.name));
    }
    if let Some(error) = &error {
        because.push(format!("the last poll of the repository failed: {error}"));
    }
    global(engine, &watch, &mut because, &mut next).await?;
    Ok(WhyObject {
        issue: issue.to_string(),
        state: None,
        destroyed: false,
        because,
        hint: None,
        next,
        watch: Some(watch.name),
        conditions,
        follow: None,
    })
}

/// Reads the file of a repository again after a poll failed. Returns the watch with it, and the error unless it is corrected.
async fn with_corrections(engine: &Engine, watch: Watch, error: Option<String>) -> (Watch, Option<String>) {
    let Some(own) = engine.settings().watch(&watch.name).cloned().filter(|_| error.is_some()) else {
        return (watch, error);
    };
    let invalid = known_to_be_invalid(engine, &own);
    let reading = async {
        let forge = known(engine, &own.repo.base)?;
        Ok::<_, HandoverError>(with_current_file(engine, &own, forge.as_ref()).await?)
    };
    match tokio::time::timeout(READ_LIMIT, reading).await {
        Ok(Ok(current)) => (current, error.filter(|error| Some(error) != invalid.as_ref())),
        Ok(Err(HandoverError::RepoFile(invalid))) => (watch, Some(invalid.to_string())),
        Ok(Err(_)) | Err(_) => (watch, error),
    }
}

/// The conditions as they were read the last time, and those that change in kugetsu only as they are now. `None` if the issue was
/// not handed over.
async fn stored(
    engine: &Engine,
    watch: &Watch,
    number: u64,
) -> Result<Option<(Vec<ConditionObject>, Vec<Condition>)>, Problem> {
    let candidate = engine.store().candidate(watch.repo.clone(), number).await.map_err(store_failed)?;
    let Some(candidate) = candidate else { return Ok(None) };
    let now = local_conditions(engine, watch, number).await.map_err(store_failed)?;
    let read: Vec<Condition> =
        candidate.conditions.into_iter().filter(|condition| !condition.kind.is_local()).collect();
    let shown = [objects(&read, candidate.read_at), objects(&now, engine.now())].concat();
    Ok(Some((shown, [read, now].concat())))
}

/// Reads the issue from its server. If that fails, nothing but kugetsu's own conditions is known.
async fn read(
    engine: &Engine,
    watch: &Watch,
    number: u64,
    because: &mut Vec<String>,
) -> Result<(Vec<ConditionObject>, Vec<Condition>), Problem> {
    let reading = async {
        let forge = known(engine, &watch.repo.base)?;
        let own = engine.settings().watch(&watch.name).cloned();
        let watch = with_current_file(engine, own.as_ref().unwrap_or(watch), forge.as_ref()).await?;
        let issue = forge.issue(&watch.repo.project, number).await?;
        judge(engine, &watch, forge.as_ref(), &issue, &[]).await
    };
    let failure = match tokio::time::timeout(READ_LIMIT, reading).await {
        Ok(Ok(Judged { conditions: found, .. })) => return Ok((objects(&found, engine.now()), found)),
        Ok(Err(HandoverError::Forge(ForgeError::NotFound { authenticated: true, .. }))) => {
            let reference = IssueRef { repo: watch.repo.clone(), number };
            let message = format!("{reference} does not exist on {}, or the token cannot read it", watch.repo.base);
            return Err(Problem::new(ProblemKind::NotFound, message)
                .hint(format!("look for the number on the page of {}", watch.repo)));
        }
        Ok(Err(error)) => with_hint(&error),
        Err(_) => late(watch),
    };
    because.push(failure);
    let policy = conditions(&watch.policy, &Facts::default(), Load::default());
    let unknown = policy.into_iter().filter(|condition| !condition.kind.is_local());
    let mut found: Vec<Condition> = unknown
        .map(|condition| Condition { met: Met::Unread, fact: "the server was not read".to_owned(), ..condition })
        .collect();
    found.extend(local_conditions(engine, watch, number).await.map_err(store_failed)?);
    Ok((objects(&found, engine.now()), found))
}

fn late(watch: &Watch) -> String {
    format!("{} did not answer within {} s", watch.repo.base, READ_LIMIT.as_secs())
}

/// Returns a step of the user after which a condition may be met. `pause` is that of agents of the repository.
fn step(condition: &Condition, watch: &Watch, issue: &IssueRef, pause: Option<&Reason>) -> Option<String> {
    let name = &watch.name;
    Some(match condition.kind {
        ConditionKind::Label => format!("give {issue} the label {:?} on the server", watch.policy.label.as_ref()?),
        ConditionKind::Assignee => format!("assign {issue} to {} on the server", watch.policy.assignee.as_ref()?),
        ConditionKind::Trust if condition.met == Met::No => {
            format!(
                "after reading the issue, let a trusted user set the {} again, or comment `/kugetsu start` on it",
                watch.policy.mark()?
            )
        }
        ConditionKind::SelectedBy if matches!(condition.met, Met::No | Met::Unknown) => format!(
            "after reading the issue, let a trusted user set the {} again, or comment `/kugetsu start` on it",
            watch.policy.mark()?
        ),
        ConditionKind::Repository => format!("resume with `kugetsu watch resume {name}`"),
        ConditionKind::Pause => pause?.hint.clone()?,
        ConditionKind::Running => {
            format!("raise the limit with `kugetsu config set watch.{name}.max_running <number>`")
        }
        ConditionKind::Rule => format!("wait, or raise max_running of the rule that {issue} matches"),
        ConditionKind::OpenPullRequests => format!(
            "merge or close some, or raise the limit with `kugetsu config set watch.{name}.max_open_prs <number>`"
        ),
        ConditionKind::Open
        | ConditionKind::Trust
        | ConditionKind::SelectedBy
        | ConditionKind::Dependencies
        | ConditionKind::PullRequest
        | ConditionKind::Branch
        | ConditionKind::New => return None,
    })
}

/// Adds what holds for all issues: the slots, and pauses of models.
async fn global(
    engine: &Engine,
    watch: &Watch,
    because: &mut Vec<String>,
    next: &mut Vec<String>,
) -> Result<(), Problem> {
    let settings = engine.settings();
    let (max, in_use) = (settings.agents.max, engine.store().queue(0).await.map_err(store_failed)?.slots_in_use);
    if max == 0 {
        because.push("agents.max is 0, so no task starts".to_owned());
        next.push("allow runs with `kugetsu config set agents.max 3`".to_owned());
    } else if in_use >= max {
        because.push(format!("{in_use} of {max} slots in use, so its task would wait in the queue"));
    }
    let agent = watch.agent.as_ref().unwrap_or(&settings.default_agent);
    let start = Start { kind: TaskKind::Start, repo: &watch.repo, issue: None, agent, model: watch.model.as_deref() };
    let holds = holds::felt(engine).await.map_err(store_failed)?;
    // A pause is a condition.
    let others = holds.iter().filter(|hold| hold.concerns(&start) && !matches!(hold.kind, HoldKind::Paused { .. }));
    for reason in others.map(holds::describe) {
        because.push(format!("{}, so its task would wait in the queue", reason.text));
        next.extend(reason.hint);
    }
    Ok(())
}

async fn followed(
    engine: &Engine,
    issue: &Issue,
    follow: &Follow,
    latest: Option<TaskState>,
) -> Result<FollowObject, Problem> {
    let watch = watch_of(engine, &issue.reference.repo);
    let watch = watch.as_ref();
    let mut object = FollowObject {
        watch: watch.map_or_else(|| follow.watch.clone(), |watch| watch.name.clone()),
        pr_url: match &issue.pr {
            Some(pr) => Some(pr.url.clone()),
            // It is forgotten with the files.
            None if follow.ending.is_some() => last_pull_request(engine, issue.id).await.map_err(store_failed)?,
            None => None,
        },
        ended: follow.ending.map(|ending| ending.name().to_owned()),
        stopped: follow.is_stopped,
        feedback: follow.records.iter().map(|record| feedback(record, watch)).collect(),
        ..FollowObject::default()
    };
    if watch.is_none() && issue.state == IssueState::Open {
        object.waits_for = Some(format!("a watch of {}, which is not watched any more", issue.reference.repo));
    } else if latest.is_some_and(|latest| is_without_result(issue, latest)) {
        object.waits_for = Some("a person: the agent ended without a commit, so there is no pull request".to_owned());
    } else if follow.is_open() && object.pr_url.is_some() {
        let looked = tokio::time::timeout(READ_LIMIT, look(engine, issue, &mut object)).await;
        if looked.is_err() {
            object.waits_for = watch.map(late);
        }
    }
    Ok(object)
}

/// Events that are read at once.
const EVENTS: u32 = 500;

/// Returns the address of the pull request of an issue that has ended, from its events.
async fn last_pull_request(engine: &Engine, issue: IssueId) -> Result<Option<String>, StoreError> {
    let (mut url, mut after) = (None, 0);
    loop {
        let events = engine.store().events_after(Some(issue), after, EVENTS).await?;
        let Some(last) = events.last() else { return Ok(url) };
        after = last.seq;
        let seen = events.iter().filter(|event| event.kind == "change_seen" || event.kind == "change_named");
        let found = seen.filter_map(|event| event.data["url"].as_str()).next_back();
        url = found.map(str::to_owned).or(url);
    }
}

/// Reads the pull request, and adds what it waits for.
async fn look(engine: &Engine, issue: &Issue, object: &mut FollowObject) {
    let followed = match Followed::read(engine, issue.id).await {
        Ok(followed) => followed,
        Err(error) => return object.waits_for = Some(error.to_string()),
    };
    let Some(number) = followed.pull_request(engine) else { return };
    let now = engine.now();
    let look = match Look::at(engine, &followed, number, now).await {
        Ok(look) => look,
        Err(error) => return object.waits_for = Some(with_forge_hint(&error)),
    };
    object.left_out = Some(look.left_out as u64);
    let actions = decide(&look.seen, &followed.follow.records, followed.watch.feedback, followed.hold(), now);
    let waits_for = match actions.first() {
        Some(Action::Wait { why, .. }) => with_refusal(why, &followed.follow),
        Some(action) => due(action),
        None => "a change on the server".to_owned(),
    };
    object.waits_for = Some(waits_for);
    // While a task runs, its end is the next occasion.
    object.next_look = followed.follow.look_at.and_then(|_| engine.looks().next(issue.id)).map(rfc3339);
}

/// The sentence, with the conditions of the server that a merge waits for.
fn with_refusal(why: &str, follow: &Follow) -> String {
    let refusal = follow.scheduled.as_ref().and_then(|scheduled| scheduled.refusal.as_ref());
    refusal.map_or_else(|| why.to_owned(), |refusal| format!("{why}: {refusal}"))
}

/// The next thing that happens.
fn due(action: &Action) -> String {
    match action {
        Action::Give { kind, .. } => format!("the agent, which gets feedback of the kind {} now", kind.name()),
        Action::Stop { reason, .. } => format!("a person: {reason}"),
        Action::Merge { .. } => "the merge, which is due now".to_owned(),
        Action::RenewMerge { .. } => "the merge, which its server may have dropped: it is decided again now".to_owned(),
        Action::CancelMerge => "the merge that was left to its server, which is canceled now".to_owned(),
        Action::Complete(ending) => format!("the cleanup: it is {}", ending.name()),
        Action::Wait { why, .. } => (*why).to_owned(),
    }
}

fn feedback(record: &Record, watch: Option<&Watch>) -> FeedbackObject {
    let (state, reason) = match &record.state {
        RecordState::Given { .. } => ("given", None),
        RecordState::Settled => ("settled", None),
        RecordState::Stopped { reason } => ("stopped", Some(reason.clone())),
    };
    FeedbackObject {
        kind: record.kind.name().to_owned(),
        given: record.given,
        budget: watch.map_or(0, |watch| watch.feedback.budgets.of(record.kind)),
        state: state.to_owned(),
        reason,
    }
}
