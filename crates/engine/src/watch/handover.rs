//! Starts the issues of a watched repository that meet every condition.

use jiff::{SignedDuration, Timestamp};
use kugetsu_domain::issue::{Issue as Known, IssueState as KnownState};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::naming;
use kugetsu_domain::reference::{IssueRef, ProjectPath};
use kugetsu_domain::watch::conditions::{
    Author, Condition, ConditionKind, Facts, LabeledText, Load, Met, Policy, RuleLoad, conditions, is_eligible, limits,
};
use kugetsu_domain::watch::selection::{Mark, SelectedBy, SetBy, Setting};
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Forge;
use kugetsu_forge::issue::{Issue, IssueState};
use kugetsu_store::error::StoreError;
use kugetsu_store::view::{Candidate, WatchLoad};
use sha2::{Digest, Sha256};

use super::task::{HandoverError, first_task, start};
use super::trusted::is_trusted;
use crate::engine::Engine;
use crate::holds;
use crate::repo_file::with_current_file;
use crate::watches::Watch;

/// How far apart a server may date the setting of a label and the change of the issue that it is.
const SAME_CHANGE: SignedDuration = SignedDuration::from_secs(2);

/// The result of considering an issue.
pub(crate) struct Considered {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) has_started: bool,
    /// Why the server did not say something about the issue. It is read again after a while.
    pub(crate) error: Option<ForgeError>,
}

/// Facts as they were read.
struct Read {
    facts: Facts,
    /// The hash of title and description.
    text: String,
    /// Whether it was when it was considered the last time.
    was_handed_over: bool,
    /// The server refused to say something, which concerns this issue alone, and the condition that depends on it.
    error: Option<(ConditionKind, ForgeError)>,
}

/// The conditions of an issue as they are now.
pub(crate) struct Judged {
    pub(crate) conditions: Vec<Condition>,
    /// The hash of its text.
    text: String,
    was_handed_over: bool,
    /// Why the server did not say something about it.
    error: Option<ForgeError>,
}

/// Returns the conditions of an issue. Changes nothing. `also_running` are further runs, each with its limited rule.
pub(crate) async fn judge(
    engine: &Engine,
    watch: &Watch,
    forge: &dyn Forge,
    issue: &Issue,
    also_running: &[Option<String>],
) -> Result<Judged, HandoverError> {
    let rule = watch.limited_rule(&issue.labels, issue.kind.as_deref());
    let mut load = load_of(engine, watch, rule.as_deref()).await?;
    let count = |runs: usize| u32::try_from(runs).unwrap_or(u32::MAX);
    load.running = load.running.saturating_add(count(also_running.len()));
    if let Some(load) = &mut load.rule {
        let of_rule = also_running.iter().filter(|other| **other == rule).count();
        load.running = load.running.saturating_add(count(of_rule));
    }
    let Read { facts, text, was_handed_over, error } = facts(engine, watch, &watch.policy, forge, issue, load).await?;
    let mut conditions = conditions(&watch.policy, &facts, load);
    explain_pause(engine, watch, &mut conditions).await?;
    if let Some((kind, error)) = &error {
        let unread = conditions.iter_mut().find(|condition| condition.kind == *kind);
        unread.into_iter().for_each(|unread| (unread.met, unread.fact) = (Met::Unknown, error.to_string()));
    }
    Ok(Judged { conditions, text, was_handed_over, error: error.map(|(_, error)| error) })
}

/// Returns the conditions that change in kugetsu only, as they are now.
pub(crate) async fn local_conditions(
    engine: &Engine,
    watch: &Watch,
    number: u64,
) -> Result<Vec<Condition>, StoreError> {
    let (task, is_stopped) = work(engine, watch, number).await?;
    let candidate = engine.store().candidate(watch.repo.clone(), number).await?;
    let load = load_of(engine, watch, candidate.and_then(|candidate| candidate.rule).as_deref()).await?;
    let mut found = conditions(&watch.policy, &Facts { task, is_stopped, ..Facts::default() }, load);
    explain_pause(engine, watch, &mut found).await?;
    Ok(found.into_iter().filter(|condition| condition.kind.is_local()).collect())
}

/// Adds since when agents are paused.
async fn explain_pause(engine: &Engine, watch: &Watch, found: &mut [Condition]) -> Result<(), StoreError> {
    let unmet = |condition: &&mut Condition| condition.kind == ConditionKind::Pause && condition.met != Met::Yes;
    if let Some(condition) = found.iter_mut().find(unmet)
        && let Some(hold) = holds::pause_of(engine, &watch.repo).await?
    {
        condition.fact = holds::describe(&hold).text;
    }
    Ok(())
}

/// Starts the issue if every condition is met.
pub(crate) async fn consider(
    engine: &Engine,
    watch: &Watch,
    forge: &dyn Forge,
    issue: &Issue,
) -> Result<Considered, HandoverError> {
    let considered = consider_with(engine, watch, forge, issue).await?;
    if !is_eligible(&considered.conditions) {
        return Ok(considered);
    }
    // The repository's file may narrow what is allowed, since a moment ago.
    let Some(own) = engine.settings().watch(&watch.name).cloned() else { return Ok(considered) };
    let current = with_current_file(engine, &own, forge).await?;
    let mut considered = match current == *watch {
        true => considered,
        false => consider_with(engine, &current, forge, issue).await?,
    };
    let found = &mut considered.conditions;
    if is_eligible(found) {
        let task = first_task(engine, &current, forge, issue, &text_hash(issue)).await?;
        // Several issues are considered at once. Each of them counts before the next one is compared with the limits.
        let _turn = engine.starts().take(&watch.repo).await;
        let rule = current.limited_rule(&issue.labels, issue.kind.as_deref());
        let now = limits(&current.policy, load_of(engine, &current, rule.as_deref()).await?);
        found.retain(|condition| now.iter().all(|limit| limit.kind != condition.kind));
        found.extend(now);
        considered.has_started = is_eligible(found) && start(engine, &current, task).await?;
    }
    Ok(considered)
}

/// Stores the conditions of an issue that was handed over.
async fn consider_with(
    engine: &Engine,
    watch: &Watch,
    forge: &dyn Forge,
    issue: &Issue,
) -> Result<Considered, HandoverError> {
    let Judged { conditions: found, text, was_handed_over, error } = judge(engine, watch, forge, issue, &[]).await?;
    let candidate = is_handed_over(&found).then(|| Candidate {
        text_hash: text,
        // The server's time, to compare it with that of a setting.
        seen_at: changed_at(engine, issue),
        conditions: found.clone(),
        rule: watch.limited_rule(&issue.labels, issue.kind.as_deref()),
        read_at: engine.now(),
    });
    // Before the start: the text is the one that was approved, whatever happens to the daemon now.
    if candidate.is_some() || was_handed_over {
        engine.store().set_candidate(watch.repo.clone(), issue.number, candidate).await?;
    }
    Ok(Considered { conditions: found, has_started: false, error })
}

/// The result of a person's request to start an issue.
pub(crate) enum Requested {
    Started,
    /// Why not, as a sentence.
    Refused(String),
}

/// Starts the issue because a trusted person asks for it, whatever its labels and its author are, with the text that it has now.
pub(crate) async fn on_request(
    engine: &Engine,
    watch: &Watch,
    forge: &dyn Forge,
    number: u64,
) -> Result<Requested, HandoverError> {
    let issue = forge.issue(&watch.repo.project, number).await?;
    let Some(own) = engine.settings().watch(&watch.name).cloned() else {
        return Ok(Requested::Refused("its watch was removed".to_owned()));
    };
    let watch = &with_current_file(engine, &own, forge).await?;
    let policy =
        Policy { label: None, assignee: None, max_running: None, max_open_pull_requests: None, ..watch.policy.clone() };
    // While agents are paused, its task waits.
    let load = Load { is_held: false, ..load(engine, watch).await? };
    let Read { facts, text, error, .. } = facts(engine, watch, &policy, forge, &issue, load).await?;
    if let Some((_, error)) = error {
        return Ok(Requested::Refused(error.to_string()));
    }
    // The person decides about the author's text, and about what it depends on.
    let counts = |kind| !matches!(kind, ConditionKind::Trust | ConditionKind::Dependencies);
    let found = conditions(&policy, &facts, load);
    let is_unmet = |met| !matches!(met, Met::Yes | Met::Unread);
    if let Some(unmet) = found.iter().find(|condition| is_unmet(condition.met) && counts(condition.kind)) {
        return Ok(Requested::Refused(unmet.fact.clone()));
    }
    start(engine, watch, first_task(engine, watch, forge, &issue, &text).await?).await?;
    Ok(Requested::Started)
}

/// Reads what the conditions depend on. Only what decides is requested: an issue without the label costs nothing.
async fn facts(
    engine: &Engine,
    watch: &Watch,
    policy: &Policy,
    forge: &dyn Forge,
    issue: &Issue,
    load: Load,
) -> Result<Read, HandoverError> {
    let store = engine.store();
    let text = text_hash(issue);
    let candidate = store.candidate(watch.repo.clone(), issue.number).await?;
    let was_handed_over = candidate.is_some();
    let is_first = candidate.as_ref().is_none_or(|candidate| candidate.text_hash == text);
    let (task, is_stopped) = work(engine, watch, issue.number).await?;
    let facts = Facts {
        is_open: issue.state == IssueState::Open,
        is_pull_request: issue.is_pull_request,
        labels: issue.labels.clone(),
        assignees: issue.assignees.clone(),
        author: issue.author.as_ref().map(|author| Author { login: author.login.clone(), is_trusted: None }),
        selected_by: None,
        text: if is_first { LabeledText::Unchanged } else { LabeledText::Changed },
        open_dependencies: Some(Vec::new()),
        pull_request: None,
        has_branch: None,
        task,
        is_stopped,
        is_complete: false,
        read_at: Some(engine.now()),
    };
    // The rest costs requests. Trust may depend on what the server says about the author.
    let unmet = |facts: &Facts| {
        let found = conditions(policy, facts, load);
        found.iter().any(|condition| condition.met == Met::No && condition.kind != ConditionKind::Trust)
    };
    let mut read = Read { facts, text, was_handed_over, error: None };
    if unmet(&read.facts) {
        return Ok(read);
    }
    read.facts.is_complete = true;
    match ask(engine, watch, forge, issue, &mut read.facts).await {
        Ok(()) => {}
        Err(HandoverError::Forge(error)) if concerns_one(&error) => {
            read.error = Some((ConditionKind::PullRequest, error));
        }
        Err(error) => return Err(error),
    }
    // The last request, and only if it decides. A label may approve a text of an author who is not trusted, and the mark may have been
    // set again since a text changed.
    let has_changed = read.facts.text == LabeledText::Changed;
    let decides = |condition: &Condition| match condition.kind {
        ConditionKind::SelectedBy => true,
        ConditionKind::Trust => condition.met == Met::Yes || policy.label.is_some() || has_changed,
        _ => condition.met == Met::Yes,
    };
    let mark = policy.mark().filter(|_| read.error.is_none());
    let mark = mark.filter(|_| conditions(policy, &read.facts, load).iter().all(decides));
    let Some(mark) = mark else { return Ok(read) };
    match selected_by(watch, forge, issue, &mark, &read.facts).await {
        Ok((selected_by, set_at)) => {
            if let Some(set_at) = set_at {
                let seen_at = candidate.map_or_else(|| changed_at(engine, issue), |candidate| candidate.seen_at);
                read.facts.text = labeled_text(set_at, (is_first, seen_at), issue.updated);
            }
            read.facts.selected_by = Some(selected_by);
        }
        Err(error) if concerns_one(&error) => read.error = Some((ConditionKind::SelectedBy, error)),
        Err(error) => return Err(error.into()),
    }
    Ok(read)
}

/// Asks the server who set the mark, whether that user is trusted, and when it was.
async fn selected_by(
    watch: &Watch,
    forge: &dyn Forge,
    issue: &Issue,
    mark: &Mark,
    facts: &Facts,
) -> Result<(SelectedBy, Option<Timestamp>), ForgeError> {
    let project = &watch.repo.project;
    let Setting { by, at } = forge.last_setting(project, issue.number, mark).await?;
    let is_trusted = match (&by, &facts.author) {
        (SetBy::User(login), Some(author)) if author.login == *login => author.is_trusted,
        (SetBy::User(login), _) => is_trusted(&watch.policy.trust, forge, project, login).await?,
        _ => None,
    };
    Ok((SelectedBy { set_by: by, is_trusted }, at))
}

/// Compares the text with the one that a setting of the mark approves: the text that was first seen with the mark, or the current one.
/// Either counts if the setting is the latest change of the issue at that time, `seen_at` or `updated`. `is_first` is whether both
/// are the same.
fn labeled_text(set_at: Timestamp, (is_first, seen_at): (bool, Timestamp), updated: Option<Timestamp>) -> LabeledText {
    let since_seen = set_at.duration_since(seen_at);
    if !is_first && since_seen <= SAME_CHANGE {
        return LabeledText::Changed;
    }
    let is_latest = updated.is_some_and(|updated| updated.duration_since(set_at).abs() <= SAME_CHANGE);
    match is_latest || is_first && since_seen.abs() <= SAME_CHANGE {
        true => LabeledText::Unchanged,
        false => LabeledText::Unknown,
    }
}

/// The time of the latest change of an issue, by the server's clock.
fn changed_at(engine: &Engine, issue: &Issue) -> Timestamp {
    issue.updated.unwrap_or_else(|| engine.now())
}

/// Asks the server for the facts that the issue itself does not contain.
async fn ask(
    engine: &Engine,
    watch: &Watch,
    forge: &dyn Forge,
    issue: &Issue,
    facts: &mut Facts,
) -> Result<(), HandoverError> {
    let project = &watch.repo.project;
    if facts.task.is_none()
        && let Some(former) = former_issue(engine, watch, forge, issue.number).await?
    {
        let task = engine.store().view(former.id).await?.map_or("unknown", |view| view.task.state.name());
        facts.task = Some(format!("{task}, as {}", former.reference));
        return Ok(());
    }
    // Until it is known.
    facts.open_dependencies = None;
    let branch = naming::branch(issue.number, &issue.title);
    let login = facts.author.as_ref().map(|author| author.login.clone());
    let author_is_trusted = async {
        match &login {
            Some(login) => is_trusted(&watch.policy.trust, forge, project, login).await,
            None => Ok(None),
        }
    };
    let open = async {
        let mut open = forge.open_dependencies(project, issue.number).await?;
        if issue.open_sub_issues > 0 {
            open.extend(forge.open_sub_issues(project, issue.number).await?);
        }
        Ok(open)
    };
    // A server that is far away takes longer to answer than everything else together.
    let (author_is_trusted, open, pulls) =
        tokio::try_join!(author_is_trusted, open, forge.find_pull_requests(project, &branch))?;
    if let Some(author) = &mut facts.author {
        author.is_trusted = author_is_trusted;
    }
    let is_free = open.is_empty();
    facts.open_dependencies = Some(open);
    facts.pull_request = pulls.first().map(|pull| pull.state);
    // Only if it decides.
    if is_free && facts.pull_request.is_none() {
        let reference = IssueRef { repo: watch.repo.clone(), number: issue.number };
        let known = engine.store().issue(&reference).await?;
        let is_own = known.is_some_and(|known| known.pushed.is_some());
        facts.has_branch = Some(!is_own && forge.has_branch(project, &branch).await?);
    }
    Ok(())
}

/// The state of kugetsu's latest task for the issue, and whether a user stopped it.
async fn work(engine: &Engine, watch: &Watch, number: u64) -> Result<(Option<String>, bool), StoreError> {
    let reference = IssueRef { repo: watch.repo.clone(), number };
    let Some(known) = engine.store().issue(&reference).await? else { return Ok((None, false)) };
    let task = engine.store().view(known.id).await?.map(|view| view.task.state.name().to_owned());
    Ok((task, known.follow.is_some_and(|follow| follow.is_stopped)))
}

/// Returns the issue of this number that kugetsu works on under a former name of the repository. A repository that was moved to another
/// server, and one whose former name the server does not redirect, is not recognized.
async fn former_issue(
    engine: &Engine,
    watch: &Watch,
    forge: &dyn Forge,
    number: u64,
) -> Result<Option<Known>, HandoverError> {
    let settings = engine.settings();
    for repo in engine.store().repos().await?.into_iter().map(|repo| repo.name) {
        // A repository that is watched is another one.
        if repo.base != watch.repo.base || settings.watch_of(&repo).is_some() {
            continue;
        }
        let known = engine.store().issue(&IssueRef { repo: repo.clone(), number }).await?;
        let known = known.filter(|known| known.follow.is_some() && known.state != KnownState::Destroyed);
        if let Some(known) = known
            && is_same(forge, &repo.project, &watch.repo.project).await?
        {
            return Ok(Some(known));
        }
    }
    Ok(None)
}

/// Whether the server has one project under both paths.
async fn is_same(forge: &dyn Forge, former: &ProjectPath, current: &ProjectPath) -> Result<bool, ForgeError> {
    let redirected = match forge.project(former).await {
        Ok(project) => project.path,
        Err(ForgeError::NotFound { .. } | ForgeError::Forbidden { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(redirected.eq_ignore_ascii_case(&forge.project(current).await?.path))
}

/// Whether the other issues can be read all the same.
pub(crate) const fn concerns_one(error: &ForgeError) -> bool {
    matches!(
        error,
        ForgeError::NotFound { .. }
            | ForgeError::Forbidden { .. }
            | ForgeError::Refused { .. }
            | ForgeError::Unexpected { .. }
            | ForgeError::TooLarge { .. }
    )
}

/// Whether the repository's people want it done, whatever else is the case. Closing an issue does not withdraw it: authors may close
/// and reopen their own, and must not have another text approved by that.
pub(crate) fn is_handed_over(found: &[Condition]) -> bool {
    let says_so = [ConditionKind::Label, ConditionKind::Assignee];
    found.iter().all(|condition| condition.met == Met::Yes || !says_so.contains(&condition.kind))
}

/// The load of the repository.
pub(crate) async fn load(engine: &Engine, watch: &Watch) -> Result<Load, StoreError> {
    load_of(engine, watch, None).await
}

/// The load of the repository, and that of a rule.
async fn load_of(engine: &Engine, watch: &Watch, rule: Option<&str>) -> Result<Load, StoreError> {
    let load = engine.store().watch_load(watch.repo.clone()).await?;
    let is_held = holds::pause_of(engine, &watch.repo).await?.is_some();
    Ok(Load { is_held, ..with_rule(watch, &load, rule) })
}

/// Without pauses.
pub(crate) fn with_rule(watch: &Watch, load: &WatchLoad, rule: Option<&str>) -> Load {
    let of_rule = |rule: &str| {
        let running = load.running_by_rule.get(rule).copied().unwrap_or_default();
        Some(RuleLoad { running, max: watch.limit_of(rule)? })
    };
    Load {
        running: load.running,
        open_pull_requests: load.open_pull_requests,
        unopened_pull_requests: load.unopened_pull_requests,
        rule: rule.and_then(of_rule),
        is_paused: watch.is_paused,
        is_held: false,
    }
}

/// A hash of title and description: what a label approves.
fn text_hash(issue: &Issue) -> String {
    let mut hash = Sha256::new();
    // The length keeps a title from running into the description.
    hash.update(issue.title.len().to_be_bytes());
    hash.update(issue.title.as_bytes());
    hash.update(issue.body.as_bytes());
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_of_a_label_approves_the_text_that_its_user_saw() {
        use LabeledText::{Changed, Unchanged, Unknown};
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let text =
            |is_first, set_at, seen_at, updated| labeled_text(at(set_at), (is_first, at(seen_at)), Some(at(updated)));
        // It was first seen with this setting, and changed later or not at all.
        assert_eq!((text(true, 100, 101, 200), text(false, 100, 101, 200)), (Unchanged, Changed));
        assert_eq!(text(false, 100, 100, 101), Changed);
        // The label was set again, and nothing happened since.
        assert_eq!(text(false, 200, 101, 200), Unchanged);
        // It was set again before another change.
        assert_eq!((text(true, 200, 101, 260), text(false, 200, 101, 260)), (Unknown, Unknown));
        // It was set before the issue was first seen: a change since then is later than the label, and others are not known.
        assert_eq!((text(true, 100, 150, 260), text(false, 100, 150, 260)), (Unknown, Changed));
        assert_eq!(labeled_text(at(200), (true, at(101)), None), Unknown);
    }
}
