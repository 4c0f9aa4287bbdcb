//! An issue that a watch handed over, from its start to its merge: its feedback, its decisions, and the next look.

use jiff::{SignedDuration, Timestamp};

use crate::ids::{RunId, TaskId};
use crate::watch::feedback::{Ending, FeedbackKind, Record, RecordState, Verified, renewals};
use crate::watch::scheduled::Scheduled;

/// Shortest time between the beginnings of two looks at a pull request.
pub const LOOK_PAUSE: SignedDuration = SignedDuration::from_secs(2);

/// The state of a followed issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follow {
    /// The name of the watch.
    pub watch: String,
    /// The rule of the watch that the issue matched when it was handed over, if that has a limit.
    pub rule: Option<String>,
    /// Whether a user stopped the issue and did not resume it.
    pub is_stopped: bool,
    /// One record per kind at most.
    pub records: Vec<Record>,
    /// The ID of kugetsu's comment on the issue.
    pub comment: Option<u64>,
    /// Since when kugetsu looks at the server; `None` while nothing is to be seen there, or after the end.
    pub look_at: Option<Timestamp>,
    /// The head of the pull request as it was seen last.
    pub head: Option<String>,
    /// When it was first seen.
    pub head_since: Option<Timestamp>,
    /// The latest head at which every command that checks the work passed.
    pub verified: Option<String>,
    /// How the pull request ended.
    pub ending: Option<Ending>,
    /// The question of its agent that waits for an answer.
    pub question: Option<Question>,
    /// The merge that kugetsu left to the server.
    pub scheduled: Option<Scheduled>,
}

/// A question that an agent wrote on its issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whose records contain it.
    pub run: RunId,
    /// The number of the comment in that run.
    pub number: u32,
}

impl Question {
    /// The form in which it is stored.
    pub fn name(self) -> String {
        format!("{}/{}", self.run, self.number)
    }

    /// The question with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        let (run, number) = name.split_once('/')?;
        Some(Self { run: run.parse().ok()?, number: number.parse().ok()? })
    }
}

/// A fact about a followed issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowEvent {
    /// A watch handed the issue over.
    Started { watch: String },
    /// The pull request is open, with what was pushed last.
    Published,
    /// The push of the run is to be published, or its failed command given to the agent again.
    PublishRequested { run: RunId },
    /// Every command that checks the work passed at the head.
    Verified { head: String },
    /// The pull request has this head now.
    HeadSeen { head: String },
    /// The server reported a change, or a user requested a look.
    Noticed,
    /// The agent gets feedback, in a task that is queued with this event.
    Given { kind: FeedbackKind, fingerprint: String, task: TaskId },
    /// A person has to decide about this kind.
    Exhausted { kind: FeedbackKind, fingerprint: String, reason: String },
    /// The head is to be merged.
    MergeDecided { head: String },
    /// The merge of the head was left to the server.
    MergeScheduled(Scheduled),
    /// The merge that was left to the server is to be canceled.
    MergeCancelDecided,
    /// The merge of the head that was left to the server, which may have dropped it, is to be canceled and decided again.
    MergeRenewed { head: String },
    /// The merge is not left to the server any more.
    MergeCanceled,
    /// A user stopped the issue.
    Stopped,
    /// A user resumed the issue; the budgets begin again.
    Resumed,
    /// kugetsu commented.
    Commented { comment: u64 },
    /// The pull request was merged or closed.
    Ended { ending: Ending },
    /// The pull request is open again after it was closed.
    Reopened,
}

/// The effect that an event leads to.
pub(crate) enum Next {
    Look { at: Timestamp },
    Publish { run: RunId },
    Complete { ending: Ending },
}

impl FollowEvent {
    /// The name under which the event is stored, shown and streamed. Scripts rely on it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "follow_started",
            Self::Published => "published",
            Self::PublishRequested { .. } => "publish_requested",
            Self::Verified { .. } => "head_verified",
            Self::HeadSeen { .. } => "head_seen",
            Self::Noticed => "follow_noticed",
            Self::Given { .. } => "feedback_given",
            Self::Exhausted { .. } => "feedback_exhausted",
            Self::MergeDecided { .. } => "merge_decided",
            Self::MergeScheduled(_) => "merge_scheduled",
            Self::MergeCancelDecided => "merge_cancel_decided",
            Self::MergeRenewed { .. } => "merge_renewed",
            Self::MergeCanceled => "merge_canceled",
            Self::Stopped => "follow_stopped",
            Self::Resumed => "follow_resumed",
            Self::Commented { .. } => "commented",
            Self::Ended { .. } => "follow_ended",
            Self::Reopened => "follow_reopened",
        }
    }
}

impl Follow {
    pub fn new(watch: String) -> Self {
        Self {
            watch,
            rule: None,
            is_stopped: false,
            records: Vec::new(),
            comment: None,
            look_at: None,
            head: None,
            head_since: None,
            verified: None,
            ending: None,
            question: None,
            scheduled: None,
        }
    }

    pub fn record(&self, kind: FeedbackKind) -> Option<&Record> {
        self.records.iter().find(|record| record.kind == kind)
    }

    /// The result of the commands that check the work at `head`. `is_checked` is whether kugetsu pushed it for a watch with commands.
    pub fn verified_at(&self, head: &str, is_checked: bool) -> Verified {
        match (self.has_passed(head), self.has_failed(head), is_checked) {
            (true, _, _) | (false, false, false) => Verified::Passed,
            (false, true, _) => Verified::Failed,
            (false, false, true) => Verified::Missing,
        }
    }

    fn has_passed(&self, head: &str) -> bool {
        self.verified.as_deref() == Some(head)
    }

    /// Also if commands did not run at `head`, and a person knows.
    fn has_failed(&self, head: &str) -> bool {
        self.record(FeedbackKind::Verify).is_some_and(|record| record.is_about(head))
    }

    /// Whether the commands that check the work have a result at `head`.
    pub(crate) fn has_result(&self, head: &str) -> bool {
        self.has_passed(head) || self.has_failed(head)
    }

    /// Whether a person has to decide about some kind of feedback.
    pub fn needs_decision(&self) -> bool {
        self.records.iter().any(|record| matches!(record.state, RecordState::Stopped { .. }))
    }

    /// Whether a person has to decide about commits that were pushed after the merge.
    pub fn is_kept_after_merge(&self) -> bool {
        self.ending == Some(Ending::Merged) && self.needs_decision()
    }

    /// Whether the pull request has not ended. One that a user stopped is looked at all the same: it may be merged, and the user may
    /// resume it there.
    pub const fn is_open(&self) -> bool {
        self.ending.is_none()
    }

    /// Whether its pull request was closed without a merge. A look finds out whether it is open again.
    pub fn is_closed(&self) -> bool {
        self.ending == Some(Ending::ClosedUnmerged)
    }

    /// Looks at the server from now on. Looks that began before are void. Servers report one change several times, and each job of a
    /// check, so a look follows another one after [`LOOK_PAUSE`] at the earliest.
    pub(crate) fn look(&mut self, now: Timestamp) -> Option<Next> {
        // One farther in the future is from before the clock was set back.
        let latest = now.saturating_add(LOOK_PAUSE).unwrap_or(now);
        let before = self.look_at.filter(|before| *before <= latest);
        if before.is_some_and(|before| before > now) {
            // The look that follows will see the change.
            return None;
        }
        let earliest = before.map_or(now, |before| before.saturating_add(LOOK_PAUSE).unwrap_or(before));
        // The store keeps whole milliseconds.
        let at = Timestamp::from_millisecond(now.max(earliest).as_millisecond()).unwrap_or(now);
        self.look_at = Some(at);
        Some(Next::Look { at })
    }

    /// Looks if a merge was left to the server: what has happened may be a reason to cancel it.
    pub(crate) fn reconsider_schedule(&mut self, now: Timestamp) -> Option<Next> {
        if self.scheduled.is_some() && self.is_open() { self.look(now) } else { None }
    }

    /// A task of the issue has ended. Feedback that it was about is settled only if it succeeded.
    pub(crate) fn task_ended(&mut self, task: TaskId, succeeded: bool) {
        for record in &mut self.records {
            if succeeded && record.state == (RecordState::Given { task }) {
                record.state = RecordState::Settled;
                if record.kind.has_remarks() {
                    record.answered.clone_from(&record.fingerprint);
                }
            }
        }
    }

    fn answered(&self, kind: FeedbackKind) -> String {
        self.record(kind).map(|record| record.answered.clone()).unwrap_or_default()
    }

    fn set(&mut self, record: Record) {
        if record.kind == FeedbackKind::Verify {
            self.verified.take_if(|head| record.is_about(head));
        }
        self.records.retain(|other| other.kind != record.kind);
        self.records.push(record);
        self.records.sort_by_key(|record| record.kind);
    }
}

/// Moves a followed issue by one event. `is_known` is whether the issue has a pull request to look at.
pub(crate) fn step(follow: &mut Option<Follow>, event: FollowEvent, now: Timestamp) -> Option<Next> {
    if let FollowEvent::Started { watch } = event {
        *follow = Some(Follow::new(watch));
        return None;
    }
    let Some(follow) = follow else { return None };
    match event {
        FollowEvent::Started { .. } => None,
        FollowEvent::Published if !follow.is_open() => None,
        FollowEvent::Noticed if !follow.is_open() && !follow.is_closed() => None,
        FollowEvent::Published | FollowEvent::Noticed => follow.look(now),
        FollowEvent::PublishRequested { run } => follow.is_open().then_some(Next::Publish { run }),
        FollowEvent::Verified { head } => {
            let of_kind = follow.records.iter_mut().filter(|record| record.kind == FeedbackKind::Verify);
            // What a person had to decide about is over.
            for record in of_kind.filter(|record| matches!(record.state, RecordState::Stopped { .. })) {
                record.state = RecordState::Settled;
            }
            follow.verified = Some(head);
            None
        }
        FollowEvent::HeadSeen { head } => {
            (follow.head, follow.head_since) = (Some(head), Some(now));
            None
        }
        FollowEvent::Given { kind, fingerprint, task } => {
            let given = follow.record(kind).map_or(0, |record| record.given).saturating_add(1);
            let answered = follow.answered(kind);
            follow.set(Record { kind, fingerprint, given, state: RecordState::Given { task }, answered });
            // The end of the task is the next occasion.
            follow.look_at = None;
            None
        }
        FollowEvent::Exhausted { kind, fingerprint, reason } => {
            if kind == FeedbackKind::Merge {
                follow.scheduled = None;
            }
            let given = follow.record(kind).map_or(0, |record| record.given);
            let answered = follow.answered(kind);
            follow.set(Record { kind, fingerprint, given, state: RecordState::Stopped { reason }, answered });
            if follow.is_open() { follow.look(now) } else { None }
        }
        FollowEvent::MergeDecided { head: _ } | FollowEvent::MergeCancelDecided => {
            follow.look_at = None;
            None
        }
        FollowEvent::MergeRenewed { head } => {
            let given = renewals(&head, &follow.records).saturating_add(1);
            follow.set(Record {
                kind: FeedbackKind::Merge,
                fingerprint: head,
                given,
                state: RecordState::Settled,
                answered: String::new(),
            });
            follow.look_at = None;
            None
        }
        FollowEvent::MergeScheduled(scheduled) => {
            follow.scheduled = Some(scheduled);
            if follow.is_open() { follow.look(now) } else { None }
        }
        FollowEvent::MergeCanceled => {
            follow.scheduled = None;
            if follow.is_open() || follow.is_closed() { follow.look(now) } else { None }
        }
        FollowEvent::Stopped => {
            follow.is_stopped = true;
            follow.reconsider_schedule(now)
        }
        FollowEvent::Resumed => {
            follow.is_stopped = false;
            // A head whose verification failed is not merged, and remarks stay answered, whatever budgets there are.
            follow.records.retain(|record| record.kind == FeedbackKind::Verify || !record.answered.is_empty());
            for record in &mut follow.records {
                (record.given, record.state) = (0, RecordState::Settled);
                if record.kind.has_remarks() {
                    record.fingerprint.clone_from(&record.answered);
                }
            }
            match follow.ending {
                // What was not cleaned up because of later commits may be by now.
                Some(ending @ Ending::Merged) => Some(Next::Complete { ending }),
                Some(Ending::ClosedUnmerged) | None => follow.look(now),
            }
        }
        FollowEvent::Commented { comment } => {
            follow.comment = Some(comment);
            None
        }
        FollowEvent::Ended { ending } => {
            if follow.ending == Some(ending) {
                follow.look_at = None;
                return None;
            }
            (follow.ending, follow.look_at) = (Some(ending), None);
            if ending == Ending::Merged {
                // People have decided. Later ones are about what was pushed after the merge.
                follow.records.retain(|record| !matches!(record.state, RecordState::Stopped { .. }));
            }
            Some(Next::Complete { ending })
        }
        // The look that has found it continues.
        FollowEvent::Reopened => {
            follow.ending = None;
            None
        }
    }
}
