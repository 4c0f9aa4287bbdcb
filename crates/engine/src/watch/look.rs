//! Looks at a pull request on its server.

use std::collections::{BTreeMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use kugetsu_domain::watch::command::commands;
use kugetsu_domain::watch::feedback::{Checks, Ending, FeedbackKind, RecordState, Remarks, Seen, Verified, renewals};
use kugetsu_domain::watch::scheduled::SeenSchedule;
use kugetsu_forge::ci::{CheckState, CiStatus, CiVerdict};
use kugetsu_forge::discussion::{Comment, Comments, Review, ReviewThread, ReviewVerdict};
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Subject;
use kugetsu_forge::pull_request::{MergeCheck, MergeSchedule, PullRequest};
use kugetsu_forge::user::User;

use super::commands::Origin;
use super::followed::Followed;
use super::trusted::{Trusted, Voice};
use crate::engine::Engine;

/// Seconds to which the difference between two clocks is rounded.
const SKEW_STEP: i64 = 300;

/// The pull request as its server reports it.
pub(crate) struct Look {
    pub(crate) pull: PullRequest,
    pub(crate) seen: Seen,
    pub(crate) ci: CiStatus,
    /// The remarks of trusted people and of programs, answered or not.
    pub(crate) remarks: Vec<Remark>,
    /// Comments of others; the agent does not get them.
    pub(crate) left_out: usize,
    /// Comments that contain commands.
    pub(crate) commands: Vec<Comment>,
    /// Those of reviews and below lines that contain commands.
    pub(crate) review_commands: Vec<(Origin, Comment)>,
}

/// A remark of a reviewer.
pub(crate) struct Remark {
    /// Identifies it together with its latest change.
    pub(crate) id: String,
    pub(crate) author: String,
    pub(crate) is_bot: bool,
    pub(crate) at: Option<Timestamp>,
    pub(crate) content: Content,
}

pub(crate) enum Content {
    Review { asks_for_changes: bool, body: String },
    Thread(ReviewThread),
    Comment { body: String },
}

impl Look {
    /// Asks the server for everything about the pull request.
    pub(crate) async fn at(
        engine: &Engine,
        followed: &Followed,
        number: u64,
        now: Timestamp,
    ) -> Result<Self, ForgeError> {
        let (forge, project) = (followed.forge.as_ref(), followed.project());
        let schedule = match &followed.follow.scheduled {
            Some(_) => forge.merge_schedule(project, number).await?,
            None => MergeSchedule::None,
        };
        // Afterwards: one that is scheduled no longer may be merged.
        let pull = forge.pull_request(project, number).await?;
        let ci = match pull.head_sha.is_empty() {
            true => CiStatus { checks: Vec::new() },
            false => forge.ci_of_pull_request(project, number, &pull.head_sha).await?,
        };
        let own = forge.whoami().await?.login;
        // Threads first: the comments of a review become visible with it, and may be older than its submission. A look that sees them
        // without it would not wait for further remarks.
        let threads = forge.review_threads(project, number).await?;
        let reviews = forge.reviews(project, number).await?;
        let Comments { entries: comments, date } = forge.comments(project, Subject::PullRequest(number)).await?;
        let ahead = ahead(date, now);
        let people =
            Trusted::ask(&followed.watch.policy.trust, forge, project, own, authors(&reviews, &threads, &comments))
                .await?;
        let decisions = decisions(&reviews, &people, &pull.head_sha);
        let commands = comments.iter().filter(|comment| !commands(&comment.body).is_empty()).cloned().collect();
        let review_commands = review_commands(&reviews, &threads);
        let (remarks, left_out) = remarks(reviews, threads, comments, &people);
        let ending = match pull.state {
            kugetsu_domain::pull_request::PrState::Merged => Some(Ending::Merged),
            kugetsu_domain::pull_request::PrState::Closed => Some(Ending::ClosedUnmerged),
            _ => None,
        };
        let checks = checks(&ci);
        let green_head = Some(pull.head_sha.as_str()).filter(|_| ending.is_none() && checks == Checks::Success);
        let seen = Seen {
            ending,
            head: pull.head_sha.clone(),
            head_since: known_since(followed, &pull.head_sha).unwrap_or(now),
            base: pull.base_branch.clone(),
            is_draft: pull.draft,
            conflicts: match pull.merge {
                MergeCheck::Mergeable => Some(false),
                MergeCheck::Conflict => Some(true),
                MergeCheck::Unknown => None,
            },
            green_since: engine.looks().note_green(followed.issue.id, green_head, now),
            checks,
            reviews: open(followed, &remarks, FeedbackKind::Review, ahead),
            bot_reviews: open(followed, &remarks, FeedbackKind::BotReview, ahead),
            changes_requested: decisions.changes_requested,
            is_approved: decisions.is_approved,
            merge_refusal: merge_refusal(followed, &pull.head_sha),
            verified: verified(followed, &pull.head_sha),
            scheduled: followed.follow.scheduled.as_ref().map(|scheduled| SeenSchedule {
                head: scheduled.head.clone(),
                is_pending: schedule != MergeSchedule::None,
                since: match schedule {
                    MergeSchedule::Pending { since } => since.and_then(|at| at.checked_sub(ahead).ok()),
                    MergeSchedule::None => None,
                },
                renewals: renewals(&scheduled.head, &followed.follow.records),
                changed: pull.updated.and_then(|at| at.checked_sub(ahead).ok()),
            }),
        };
        Ok(Self { pull, seen, ci, remarks, left_out, commands, review_commands })
    }

    pub(crate) fn has_commands(&self) -> bool {
        !self.commands.is_empty() || !self.review_commands.is_empty()
    }
}

fn review_commands(reviews: &[Review], threads: &[ReviewThread]) -> Vec<(Origin, Comment)> {
    let of_review = |review: &Review| {
        let Review { id, author, body, submitted, .. } = review.clone();
        (Origin::Review, Comment { id, author, body, created: submitted, updated: None })
    };
    let in_threads =
        threads.iter().flat_map(|thread| &thread.comments).map(|comment| (Origin::Thread, comment.clone()));
    let all = reviews.iter().map(of_review).chain(in_threads);
    all.filter(|(_, comment)| !commands(&comment.body).is_empty()).collect()
}

fn checks(ci: &CiStatus) -> Checks {
    match ci.verdict() {
        CiVerdict::None => Checks::None,
        CiVerdict::Pending => Checks::Pending,
        CiVerdict::Success => Checks::Success,
        CiVerdict::Failure => {
            let failed = ci.checks.iter().filter(|check| check.state == CheckState::Failure);
            Checks::Failure(failed.map(|check| check.name.clone()).collect())
        }
    }
}

/// When the head was first seen, if an earlier look has seen it.
fn known_since(followed: &Followed, head: &str) -> Option<Timestamp> {
    followed.follow.head_since.filter(|_| followed.follow.head.as_deref() == Some(head))
}

/// The result of the commands that check the work. The heads of other users have none.
fn verified(followed: &Followed, head: &str) -> Verified {
    let is_checked = !followed.watch.verify.is_empty() && followed.issue.pushed.as_deref() == Some(head);
    match followed.follow.verified_at(head, is_checked) {
        Verified::Missing if followed.publishes => Verified::Pending,
        known => known,
    }
}

fn authors<'a>(
    reviews: &'a [Review],
    threads: &'a [ReviewThread],
    comments: &'a [Comment],
) -> impl Iterator<Item = &'a User> {
    let of_threads = threads.iter().flat_map(|thread| &thread.comments).map(|comment| &comment.author);
    let of_reviews = reviews.iter().map(|review| &review.author);
    of_reviews.chain(of_threads).chain(comments.iter().map(|comment| &comment.author)).flatten()
}

/// How far the server's clock is ahead of this machine's. Clocks that differ by seconds count as equal, and the result is the same with
/// every look: another one would be a change of the pull request.
fn ahead(date: Option<Timestamp>, now: Timestamp) -> SignedDuration {
    let ahead = date.map_or(0, |date| date.duration_since(now).as_secs());
    SignedDuration::from_secs((ahead + SKEW_STEP / 2).div_euclid(SKEW_STEP) * SKEW_STEP)
}

/// The remarks that no settled turn has answered, with their time by this machine's clock.
fn open(followed: &Followed, remarks: &[Remark], kind: FeedbackKind, ahead: SignedDuration) -> Remarks {
    let record = followed.follow.record(kind);
    let answered: HashSet<&str> = record.map(|record| record.answered.split(' ').collect()).unwrap_or_default();
    let of_kind = remarks.iter().filter(|remark| remark.is_bot == (kind == FeedbackKind::BotReview));
    let open: Vec<&Remark> = of_kind.filter(|remark| !answered.contains(&remark.id.as_str())).collect();
    Remarks {
        ids: open.iter().map(|remark| remark.id.clone()).collect(),
        latest: open.iter().filter_map(|remark| remark.at).max().and_then(|at| at.checked_sub(ahead).ok()),
    }
}

/// The server's refusal to merge this head, which a person has to resolve.
fn merge_refusal(followed: &Followed, head: &str) -> Option<String> {
    let record = followed.follow.record(FeedbackKind::Merge).filter(|record| record.fingerprint == head)?;
    match &record.state {
        RecordState::Stopped { reason } => Some(reason.clone()),
        RecordState::Given { .. } | RecordState::Settled => None,
    }
}

struct Decisions {
    changes_requested: bool,
    is_approved: bool,
}

/// The latest decision of each trusted reviewer. An approval of another commit than the head approves nothing, and neither does a
/// program's.
fn decisions(reviews: &[Review], people: &Trusted, head: &str) -> Decisions {
    let mut latest: BTreeMap<&str, &Review> = BTreeMap::new();
    for review in reviews {
        let Some(author) = review.author.as_ref().filter(|author| people.includes(Some(author))) else {
            continue;
        };
        let decides = matches!(
            review.verdict,
            ReviewVerdict::Approved | ReviewVerdict::ChangesRequested | ReviewVerdict::Dismissed
        );
        if decides {
            latest.insert(&author.login, review);
        }
    }
    let approves = |review: &&Review| {
        review.verdict == ReviewVerdict::Approved
            && people.includes_person(review.author.as_ref())
            // An approval whose commit is not known may be that of another one.
            && !head.is_empty()
            && review.commit.as_deref() == Some(head)
    };
    Decisions {
        changes_requested: latest.values().any(|review| review.verdict == ReviewVerdict::ChangesRequested),
        is_approved: latest.values().any(approves),
    }
}

/// Returns the remarks that count, and the number of those that do not.
fn remarks(
    reviews: Vec<Review>,
    threads: Vec<ReviewThread>,
    comments: Vec<Comment>,
    people: &Trusted,
) -> (Vec<Remark>, usize) {
    let (mut remarks, mut left_out) = (Vec::new(), 0);
    let mut voice = |author: Option<&User>, text: &str| {
        let voice = people.voice(author, text);
        left_out += usize::from(voice == Voice::Other);
        voice
    };
    let mut add = |id: String, author: Option<&User>, at: Option<Timestamp>, content: Content| {
        // A program that the policy trusts is one all the same.
        let (author, is_bot) = author.map(|author| (author.login.clone(), author.is_bot)).unwrap_or_default();
        remarks.push(Remark { id, author, is_bot, at, content });
    };
    for review in reviews {
        let asks_for_changes = review.verdict == ReviewVerdict::ChangesRequested;
        let says_something = asks_for_changes || !review.body.trim().is_empty();
        let is_command = !commands(&review.body).is_empty();
        let counts = says_something
            && !is_command
            && !matches!(review.verdict, ReviewVerdict::Approved | ReviewVerdict::Dismissed);
        if counts && voice(review.author.as_ref(), &review.body) == Voice::Trusted {
            let content = Content::Review { asks_for_changes, body: review.body };
            add(format!("review:{}", review.id), review.author.as_ref(), review.submitted, content);
        }
    }
    for mut thread in threads.into_iter().filter(|thread| thread.is_resolved != Some(true)) {
        // A stranger's reply neither enters the prompt nor hides earlier comments.
        thread.comments.retain(|comment| voice(comment.author.as_ref(), &comment.body) != Voice::Other);
        thread.comments.retain(|comment| commands(&comment.body).is_empty());
        let Some(last) = thread.comments.last().cloned() else { continue };
        // kugetsu has answered.
        if people.voice(last.author.as_ref(), &last.body) == Voice::Kugetsu {
            continue;
        }
        let id = format!("thread:{}:{}", thread.id.replace(' ', "_"), last.id);
        add(id, last.author.as_ref(), last.created, Content::Thread(thread));
    }
    for comment in comments {
        // A command is for kugetsu, not for the agent.
        if !commands(&comment.body).is_empty() || voice(comment.author.as_ref(), &comment.body) != Voice::Trusted {
            continue;
        }
        let changed = comment.updated.map(Timestamp::as_millisecond).unwrap_or_default();
        let content = Content::Comment { body: comment.body };
        add(format!("comment:{}:{changed}", comment.id), comment.author.as_ref(), comment.created, content);
    }
    (remarks, left_out)
}
