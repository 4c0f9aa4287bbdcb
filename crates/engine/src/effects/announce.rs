//! Keeps one comment of kugetsu's on the issue, which says what holds now.

use kugetsu_domain::effect::EffectKind;
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::IssueId;
use kugetsu_domain::issue::Issue;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::task::TaskState;
use kugetsu_domain::watch::feedback::{Ending, RecordState};
use kugetsu_domain::watch::follow::{Follow, FollowEvent};
use kugetsu_domain::watch::publication::{StateLabel, comment, harmless, last_text, sentence};
use kugetsu_domain::watch::scheduled::Scheduled;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Subject;
use kugetsu_store::error::StoreError;
use kugetsu_store::view::RunView;

use super::outcome::Outcome;
use crate::engine::Engine;
use crate::queries::{tasks, transcript};
use crate::watch::comments::take_comments;
use crate::watch::followed::{Followed, is_without_result};
use crate::watch::own_comment::{MAY_EXIST, OwnComment, Written};
use crate::watch::task::HandoverError;

/// Failed executions after which it is given up. The next change is announced again.
const ATTEMPTS_MAX: u32 = 20;

pub(crate) async fn execute(engine: &Engine, issue: IssueId, version: u64, failures: u32) -> Outcome {
    match show_state(engine, issue, version, failures).await {
        Outcome::Settled(settlement) => match read_answers(engine, issue).await {
            Ok(()) => Outcome::Settled(settlement),
            Err(error) => Outcome::retry_up_to(ATTEMPTS_MAX, failures, error),
        },
        outcome => outcome,
    }
}

/// Reads the answers to a question once its run is over: those that came before are reported by no server again.
async fn read_answers(engine: &Engine, issue: IssueId) -> Result<(), HandoverError> {
    let Ok(followed) = Followed::read(engine, issue).await else { return Ok(()) };
    if followed.follow.question.is_none() || !followed.issue.tasks.is_empty() {
        return Ok(());
    }
    let number = followed.issue.reference.number;
    match take_comments(engine, &followed.watch, followed.forge.as_ref(), number).await {
        // The issue was deleted.
        Err(HandoverError::Forge(ForgeError::NotFound { authenticated: true, .. })) => Ok(()),
        read => read,
    }
}

async fn show_state(engine: &Engine, issue: IssueId, version: u64, failures: u32) -> Outcome {
    // Two at once would write two comments.
    let _turn = engine.announcements().take(&issue).await;
    let failures = match pending(engine, issue, version, failures).await {
        Ok(Pending::Superseded) => return Outcome::done(),
        Ok(Pending::Latest { failures }) => failures,
        Err(error) => return Outcome::retry(error),
    };
    let followed = match Followed::read(engine, issue).await {
        Ok(followed) => followed,
        Err(reason) => return reason.into(),
    };
    let latest = tasks::latest(engine, &followed.issue).await.ok();
    let is_dead_end = |view: &&RunView| is_without_result(&followed.issue, view.task.state);
    let ended_with = match latest.as_ref().filter(is_dead_end).and_then(|view| view.run.as_ref()) {
        Some(run) => transcript::last_text(engine, run.id).await,
        None => None,
    };
    let text = progress(&followed, latest.as_ref(), ended_with.as_deref());
    match announce(&followed, &text, failures).await {
        Ok(None) => {}
        Ok(Some(Written::MayExist)) => return Outcome::retry(MAY_EXIST),
        // Stored before anything else may fail, and before the next one reads it.
        Ok(Some(Written::Found(comment))) => {
            if let Err(error) = engine.apply(issue, Event::Followed(FollowEvent::Commented { comment })).await {
                return Outcome::retry(error);
            }
        }
        // The issue was deleted: no one reads a comment.
        Err(ForgeError::NotFound { authenticated: true, .. }) => return Outcome::done(),
        Err(error) if error.is_transient() => return error.into(),
        Err(error) => return Outcome::retry_up_to(ATTEMPTS_MAX, failures, error),
    }
    if !followed.watch.has_state_labels {
        return Outcome::done();
    }
    let state = state(&followed.issue, &followed.follow, latest.map(|view| view.task.state));
    match label(&followed, state).await {
        Ok(()) => Outcome::done(),
        Err(error) if error.is_transient() => error.into(),
        // The token may comment and not label.
        Err(error) => {
            tracing::warn!(issue = %followed.issue.reference, %error, "the issue could not be labeled");
            Outcome::done()
        }
    }
}

enum Pending {
    /// A later announcement is about to say what holds.
    Superseded,
    /// With the failed executions of those before it: each of them may have commented.
    Latest { failures: u32 },
}

async fn pending(engine: &Engine, issue: IssueId, version: u64, failures: u32) -> Result<Pending, StoreError> {
    let pending = engine.store().effects_of(issue).await?;
    let announcements = pending.iter().filter(|effect| effect.kind == Some(EffectKind::Announce) && !effect.failed);
    let mut latest = Pending::Latest { failures };
    for effect in announcements {
        let other = effect.key.rsplit('/').next().and_then(|version| version.parse::<u64>().ok());
        if other.is_some_and(|other| other > version) {
            return Ok(Pending::Superseded);
        }
        if let Pending::Latest { failures } = &mut latest {
            *failures = effect.attempt.max(*failures);
        }
    }
    Ok(latest)
}

/// The current state, for people, and what they can do. `ended_with` is the last text of an agent that ended without a commit.
fn progress(followed: &Followed, latest: Option<&RunView>, ended_with: Option<&str>) -> String {
    let (issue, follow) = (&followed.issue, &followed.follow);
    let pull_request = issue.pr.as_ref().map(|pr| pr.url.clone());
    let mut text = match (&follow.ending, latest.map(|view| &view.task)) {
        (Some(Ending::Merged), _) => "kugetsu: the pull request is merged.".to_owned(),
        (Some(Ending::ClosedUnmerged), _) => "kugetsu: the pull request was closed; the work is kept.".to_owned(),
        (None, _) if follow.is_stopped => "kugetsu has stopped, as a user requested.".to_owned(),
        (None, Some(task)) if !task.state.is_final() => format!("kugetsu: an agent's task is {}.", task.state.name()),
        (None, Some(task)) if is_without_result(issue, task.state) => {
            let quoted = ended_with.map(|text| format!(" Its last text:\n\n{}", last_text(text)));
            format!(
                "kugetsu: the agent has ended its work without a commit, so there is no pull request.{}",
                quoted.unwrap_or_default()
            )
        }
        (None, Some(task)) => {
            let reason = task.reason.as_ref().map(|reason| format!(": {}", harmless(&reason.text))).unwrap_or_default();
            sentence(&format!("kugetsu: the agent's task is {}{reason}", task.state.name()))
        }
        (None, None) => "kugetsu has taken this issue.".to_owned(),
    };
    if let Some(url) = pull_request {
        text.push_str(&format!("\n\nPull request: {url}"));
    }
    if let Some(Scheduled { refusal, .. }) = follow.scheduled.as_ref().filter(|_| follow.is_open()) {
        let refusal = refusal.as_ref().map(|refusal| format!(" ({})", harmless(refusal))).unwrap_or_default();
        text.push_str(&format!("\n\nThe server merges it when its own conditions are met{refusal}."));
    }
    for record in &follow.records {
        if let RecordState::Stopped { reason } = &record.state {
            let reason = format!("A person has to decide ({}): {}", record.kind.name(), harmless(reason));
            text.push_str(&format!("\n\n{}", sentence(&reason)));
        }
    }
    if let Some(step) = step_of_people(issue, follow, latest.map(|view| view.task.state)) {
        text.push_str(&format!("\n\n{step}"));
    }
    text
}

/// Advice to trusted people about an issue that waits for a person. No line begins with a command.
fn step_of_people(issue: &Issue, follow: &Follow, latest: Option<TaskState>) -> Option<&'static str> {
    if !issue.tasks.is_empty() {
        return None;
    }
    match latest {
        _ if follow.is_kept_after_merge() => {
            Some("Comment `/kugetsu retry` afterwards, and kugetsu removes what it has of the issue.")
        }
        _ if !follow.is_open() => None,
        _ if follow.is_stopped => Some("Comment `/kugetsu retry` to continue."),
        _ if follow.question.is_some() => Some("Answer the agent's question in a comment here to continue."),
        _ if follow.needs_decision() => Some("Comment `/kugetsu retry` to try again with new budgets."),
        Some(TaskState::Done) if !is_without_result(issue, TaskState::Done) => None,
        Some(latest) if latest.is_final() => {
            Some("Comment `/kugetsu retry` to try again, or `/kugetsu ask <text>` to give the agent a message.")
        }
        _ => None,
    }
}

/// Writes the text into kugetsu's comment; `None` if that is stored already. One that an earlier attempt wrote is found by its author
/// and its marker, and one that a person deleted is written again.
async fn announce(followed: &Followed, text: &str, failures: u32) -> Result<Option<Written>, ForgeError> {
    let (forge, project, marker) = (followed.forge.as_ref(), followed.project(), followed.marker());
    let subject = Subject::Issue(followed.issue.reference.number);
    if let Some(known) = followed.follow.comment {
        match forge.edit_comment(project, subject, known, &comment(text, &marker)).await {
            Ok(()) => return Ok(None),
            Err(ForgeError::NotFound { authenticated: true, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let own = OwnComment { project, subject, text, marker: &marker };
    own.write(forge, failures).await.map(Some)
}

/// Sets the label of the issue's state, and removes those of other states.
async fn label(followed: &Followed, state: Option<StateLabel>) -> Result<(), ForgeError> {
    let (forge, project, number) = (followed.forge.as_ref(), followed.project(), followed.issue.reference.number);
    let present = forge.issue(project, number).await?.labels;
    let shows = |name: &&String| StateLabel::from_name(name);
    let is_missing = |wanted: &StateLabel| !present.iter().any(|name| shows(&name) == Some(*wanted));
    let add: Vec<String> = state.filter(is_missing).map(|wanted| wanted.name().to_owned()).into_iter().collect();
    let is_other = |name: &&String| shows(name).is_some_and(|shown| Some(shown) != state);
    let remove: Vec<String> = present.iter().filter(is_other).cloned().collect();
    match add.is_empty() && remove.is_empty() {
        true => Ok(()),
        false => forge.label(project, Subject::Issue(number), &add, &remove).await,
    }
}

/// The state of a followed issue, as a label shows it.
fn state(issue: &Issue, follow: &Follow, latest: Option<TaskState>) -> Option<StateLabel> {
    if follow.is_kept_after_merge() {
        return Some(StateLabel::NeedsPerson);
    }
    if follow.ending.is_some() {
        return None;
    }
    if !issue.tasks.is_empty() {
        return Some(StateLabel::Working);
    }
    match latest {
        _ if follow.needs_decision() || follow.is_stopped => Some(StateLabel::NeedsPerson),
        Some(TaskState::Done) if is_without_result(issue, TaskState::Done) => Some(StateLabel::NeedsPerson),
        Some(TaskState::Done) => issue.pr.is_some().then_some(StateLabel::Review),
        _ => Some(StateLabel::NeedsPerson),
    }
}
