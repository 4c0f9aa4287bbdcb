//! An issue that a watch handed over: what its events and the ends of its tasks lead to.

use jiff::{SignedDuration, Timestamp};
use kugetsu_domain::effect::Effect;
use kugetsu_domain::flow::{Event, Loss};
use kugetsu_domain::ids::TaskId;
use kugetsu_domain::pull_request::PrState;
use kugetsu_domain::run::{Outcome, Verdict};
use kugetsu_domain::task::{MAX_ATTEMPTS, Task, TaskState};
use kugetsu_domain::watch::command::AnswerOn;
use kugetsu_domain::watch::feedback::{Ending, FeedbackKind, RecordState, Verified};
use kugetsu_domain::watch::follow::{FollowEvent, LOOK_PAUSE, Question};
use kugetsu_domain::watch::scheduled::Scheduled;

use crate::world::{World, outcome};

fn followed() -> World {
    let mut world = World::new();
    follow(&mut world, FollowEvent::Started { watch: "api".to_owned() });
    world
}

fn follow(world: &mut World, event: FollowEvent) -> Vec<Effect> {
    world.step(Event::Followed(event)).unwrap().1
}

/// Opens the pull request.
fn open(world: &mut World) {
    let url = "https://h/a/b/pulls/7".to_owned();
    world.step(Event::PrChecked { url, state: PrState::Open }).unwrap();
    follow(world, FollowEvent::Published);
}

fn look_at(world: &World) -> Option<Timestamp> {
    world.issue.follow.as_ref().unwrap().look_at
}

fn given(world: &mut World, fingerprint: &str) -> TaskId {
    let task = world.task();
    let event = FollowEvent::Given { kind: FeedbackKind::Ci, fingerprint: fingerprint.to_owned(), task: task.id };
    follow(world, event);
    world.step(Event::TaskQueued { task: Task { ..task.clone() } }).unwrap();
    task.id
}

fn state(world: &World) -> (u32, RecordState) {
    let record = world.issue.follow.as_ref().unwrap().record(FeedbackKind::Ci).unwrap();
    (record.given, record.state.clone())
}

#[test]
fn push_is_published_and_then_looked_at() {
    let mut world = followed();
    let task = world.queue();
    let lease = world.work(task);
    let outcome = Outcome { pushed: true, ..outcome(Verdict::Done) };
    let (_, effects) = world.step(Event::RunEnded { lease, outcome }).unwrap();
    assert!(effects.contains(&Effect::Publish { run: lease.run }), "{effects:?}");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Announce { .. })), "{effects:?}");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::FindPullRequest { .. } | Effect::Follow { .. })));
    open(&mut world);
    assert_eq!(look_at(&world), Some(world.now));
}

fn question(world: &World) -> Option<Question> {
    world.issue.follow.as_ref().unwrap().question
}

#[test]
fn question_stays_open_until_the_agent_gets_an_answer() {
    let mut world = followed();
    open(&mut world);
    let task = world.queue();
    let lease = world.work(task);
    let (_, effects) = world.step(Event::AgentCommented { lease, number: 2, is_question: true }).unwrap();
    assert_eq!(effects, [Effect::Comment { run: lease.run, number: 2 }]);
    let open = Some(Question { run: lease.run, number: 2 });
    assert_eq!(question(&world), open);
    let outcome = Outcome { pushed: true, ..outcome(Verdict::Blocked) };
    let (_, effects) = world.step(Event::RunEnded { lease, outcome }).unwrap();
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Publish { .. })), "{effects:?}");
    let in_return = Task { answer_on: Some(AnswerOn::Issue), ..world.task() };
    let id = in_return.id;
    world.step(Event::TaskQueued { task: in_return }).unwrap();
    let lease = world.work(id);
    world.step(Event::RunEnded { lease, outcome: crate::world::outcome(Verdict::Done) }).unwrap();
    assert_eq!(question(&world), open);
    world.queue();
    assert_eq!(question(&world), None);
}

#[test]
fn task_whose_agent_waits_for_an_answer_is_not_tried_again() {
    let mut world = followed();
    let task = world.queue();
    let lease = world.work(task);
    world.step(Event::AgentCommented { lease, number: 1, is_question: true }).unwrap();
    let lost = Event::RunnerLost { lease, loss: Loss::Disappeared, reason: "it was killed".to_owned() };
    let (issue, _) = world.step(lost).unwrap();
    let task = issue.task(task).unwrap();
    assert_eq!(task.state, TaskState::Failed);
    assert!(task.reason.as_ref().unwrap().text.contains("waits for the answer"), "{:?}", task.reason);
    assert!(question(&world).is_some());
}

#[test]
fn every_end_of_a_question_is_answered_and_only_new_work_is_published() {
    for (verdict, head, is_published) in
        [(Verdict::Done, "c1", false), (Verdict::Done, "c2", true), (Verdict::Failed, "c1", false)]
    {
        let mut world = followed();
        open(&mut world);
        world.issue.pushed = Some("c1".to_owned());
        follow(&mut world, FollowEvent::Verified { head: "c1".to_owned() });
        let task = Task { answer_on: Some(AnswerOn::Issue), ..world.task() };
        let id = task.id;
        world.step(Event::TaskQueued { task }).unwrap();
        let lease = world.work(id);
        let version = world.issue.version;
        let pushed = verdict == Verdict::Done;
        let outcome = Outcome { pushed, head_sha: Some(head.to_owned()), ..outcome(verdict) };
        let (_, effects) = world.step(Event::RunEnded { lease, outcome }).unwrap();
        assert!(effects.contains(&Effect::Answer { task: id, version }), "{effects:?}");
        let publishes = effects.contains(&Effect::Publish { run: lease.run });
        assert_eq!(publishes, is_published, "{effects:?}");
        let looks = effects.iter().any(|effect| matches!(effect, Effect::Follow { .. }));
        assert_eq!(looks, !is_published, "a pull request that does not change is looked at again: {effects:?}");
    }
    let mut world = followed();
    let task = Task { answer_on: Some(AnswerOn::PullRequest(7)), ..world.task() };
    let id = task.id;
    world.step(Event::TaskQueued { task }).unwrap();
    let version = world.issue.version;
    let (_, effects) = world.step(Event::CancelRequested { task: id }).unwrap();
    assert!(effects.contains(&Effect::Answer { task: id, version }), "{effects:?}");
}

#[test]
fn only_the_latest_look_counts() {
    let mut world = followed();
    open(&mut world);
    let first = look_at(&world).unwrap();
    // Every event of this world takes a second.
    let effects = follow(&mut world, FollowEvent::Noticed);
    let second = first + LOOK_PAUSE;
    assert_eq!(effects, [Effect::Follow { at: second }]);
    assert_eq!(look_at(&world), Some(second), "the look of {first} is void");
    world.now = first;
    assert_eq!(follow(&mut world, FollowEvent::Noticed), [], "the look that follows sees it");
    // The clock was set back.
    world.now = first - SignedDuration::from_hours(1);
    let effects = follow(&mut world, FollowEvent::Noticed);
    assert_eq!(effects, [Effect::Follow { at: world.now }]);
    world.now += SignedDuration::from_mins(5);
    assert_eq!(follow(&mut world, FollowEvent::Noticed), [Effect::Follow { at: world.now }]);
}

#[test]
fn feedback_is_settled_by_a_turn_that_succeeded() {
    for (verdict, is_settled) in [(Verdict::Done, true), (Verdict::Failed, false), (Verdict::Blocked, false)] {
        let mut world = followed();
        open(&mut world);
        let task = given(&mut world, "c1");
        assert_eq!((look_at(&world), state(&world)), (None, (1, RecordState::Given { task })));
        let lease = world.work(task);
        world.step(Event::RunEnded { lease, outcome: outcome(verdict) }).unwrap();
        let expected = if is_settled { RecordState::Settled } else { RecordState::Given { task } };
        assert_eq!(state(&world), (1, expected), "{verdict:?}");
        assert_eq!(look_at(&world), Some(world.now), "the next look decides");
    }
}

#[test]
fn every_end_of_a_task_leads_to_a_look() {
    let mut world = followed();
    open(&mut world);
    let task = given(&mut world, "c1");
    for _ in 0..MAX_ATTEMPTS {
        assert_eq!(look_at(&world), None);
        let lease = world.work(task);
        world.step(Event::RunnerLost { lease, loss: Loss::Disappeared, reason: String::new() }).unwrap();
    }
    assert_eq!(look_at(&world), Some(world.now), "it was given up");
    let task = given(&mut world, "c2");
    assert_eq!(state(&world).0, 2);
    world.step(Event::CancelRequested { task }).unwrap();
    assert_eq!(look_at(&world), Some(world.now), "it was canceled");
}

#[test]
fn stopped_issue_may_still_be_merged_and_is_resumed_with_new_budgets() {
    let mut world = followed();
    open(&mut world);
    given(&mut world, "c1");
    follow(&mut world, FollowEvent::Stopped);
    let effects = follow(&mut world, FollowEvent::Noticed);
    assert_eq!(effects, [Effect::Follow { at: world.now }]);
    world.now += LOOK_PAUSE;
    let effects = follow(&mut world, FollowEvent::Resumed);
    assert!(effects.contains(&Effect::Follow { at: world.now }), "{effects:?}");
    let resumed = world.issue.follow.as_ref().unwrap();
    assert!(resumed.records.is_empty() && !resumed.is_stopped, "the budgets begin again");
}

#[test]
fn merge_left_to_the_server_is_reconsidered_after_a_stop_and_a_task() {
    let scheduled = || {
        let mut world = followed();
        open(&mut world);
        let head = "c1".to_owned();
        let effects = follow(&mut world, FollowEvent::MergeDecided { head: head.clone() });
        let version = world.issue.version;
        assert_eq!(effects[0], Effect::Merge { version });
        assert_eq!(look_at(&world), None);
        follow(&mut world, FollowEvent::MergeScheduled(Scheduled { number: 7, head, refusal: None }));
        assert_eq!(look_at(&world), Some(world.now));
        world.now += LOOK_PAUSE;
        world
    };
    let mut world = scheduled();
    let effects = follow(&mut world, FollowEvent::Stopped);
    assert!(effects.contains(&Effect::Follow { at: world.now }), "{effects:?}");
    let mut world = scheduled();
    let (_, effects) = world.step(Event::DestroyRequested).unwrap();
    assert!(effects.iter().any(|effect| matches!(effect, Effect::CancelMerge { number: 7, .. })), "{effects:?}");
    let mut world = scheduled();
    world.queue();
    assert_eq!(look_at(&world), Some(world.now), "a task may push");
    let effects = follow(&mut world, FollowEvent::MergeCancelDecided);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::CancelMerge { .. })), "{effects:?}");
    assert_eq!(look_at(&world), None);
    follow(&mut world, FollowEvent::MergeCanceled);
    assert_eq!((look_at(&world), &world.issue.follow.as_ref().unwrap().scheduled), (Some(world.now), &None));
}

#[test]
fn remarks_stay_answered_after_another_turn_fails_and_a_user_resumes_the_issue() {
    let mut world = followed();
    open(&mut world);
    let kind = FeedbackKind::Review;
    let turn = |world: &mut World, fingerprint: &str, verdict| {
        let task = world.task();
        follow(world, FollowEvent::Given { kind, fingerprint: fingerprint.to_owned(), task: task.id });
        world.step(Event::TaskQueued { task: task.clone() }).unwrap();
        let lease = world.work(task.id);
        world.step(Event::RunEnded { lease, outcome: outcome(verdict) }).unwrap();
    };
    let record = |world: &World| world.issue.follow.as_ref().unwrap().record(kind).cloned();
    turn(&mut world, "r1", Verdict::Failed);
    assert_eq!(record(&world).unwrap().answered, "");
    turn(&mut world, "r1", Verdict::Done);
    turn(&mut world, "r1 r2", Verdict::Failed);
    assert_eq!(record(&world).unwrap().answered, "r1");
    let (fingerprint, reason) = ("r2".to_owned(), "often".to_owned());
    follow(&mut world, FollowEvent::Exhausted { kind, fingerprint, reason });
    assert_eq!(record(&world).unwrap().answered, "r1");
    follow(&mut world, FollowEvent::Resumed);
    let resumed = record(&world).unwrap();
    assert_eq!((resumed.answered.as_str(), resumed.given, resumed.state), ("r1", 0, RecordState::Settled));
    turn(&mut world, "r1 r2", Verdict::Done);
    assert_eq!(record(&world).unwrap().answered, "r1 r2");
}

#[test]
fn only_the_head_that_passed_is_verified() {
    let mut world = followed();
    open(&mut world);
    let is_verified = |world: &World, head: &str| {
        world.issue.follow.as_ref().unwrap().verified_at(head, world.issue.pushed.as_deref() == Some(head))
    };
    world.issue.pushed = Some("c1".to_owned());
    assert_eq!(is_verified(&world, "c1"), Verified::Missing);
    assert_eq!(is_verified(&world, "theirs"), Verified::Passed, "another user pushed it");
    follow(&mut world, FollowEvent::Verified { head: "c1".to_owned() });
    assert_eq!(is_verified(&world, "c1"), Verified::Passed);
    world.issue.pushed = Some("c2".to_owned());
    assert_eq!(is_verified(&world, "c2"), Verified::Missing);
    let (kind, fingerprint, reason) = (FeedbackKind::Verify, "c2 failed test".to_owned(), "often".to_owned());
    follow(&mut world, FollowEvent::Exhausted { kind, fingerprint, reason });
    assert_eq!(is_verified(&world, "c2"), Verified::Failed);
    // The result of an earlier run comes late.
    follow(&mut world, FollowEvent::Verified { head: "c1".to_owned() });
    assert_eq!(is_verified(&world, "c2"), Verified::Failed);
    follow(&mut world, FollowEvent::Verified { head: "c2".to_owned() });
    assert_eq!(is_verified(&world, "c2"), Verified::Passed);
    assert!(!world.issue.follow.as_ref().unwrap().needs_decision(), "no person has to decide any more");
    let (fingerprint, task) = ("c2 failed test".to_owned(), world.task().id);
    follow(&mut world, FollowEvent::Given { kind, fingerprint, task });
    assert_eq!(is_verified(&world, "c2"), Verified::Failed, "it passed only once");
}

#[test]
fn end_of_the_pull_request_is_cleaned_up_once() {
    let mut world = followed();
    open(&mut world);
    let ending = Ending::Merged;
    let effects = follow(&mut world, FollowEvent::Ended { ending });
    assert!(effects.contains(&Effect::Complete { ending }), "{effects:?}");
    assert_eq!(look_at(&world), None);
    assert_eq!(follow(&mut world, FollowEvent::Noticed), []);
}

#[test]
fn closed_pull_request_is_looked_at_when_it_changes_and_followed_when_it_is_open_again() {
    let mut world = followed();
    open(&mut world);
    given(&mut world, "c1");
    let records = world.issue.follow.as_ref().unwrap().records.clone();
    let ending = Ending::ClosedUnmerged;
    follow(&mut world, FollowEvent::Ended { ending });
    assert_eq!(look_at(&world), None);
    world.now += LOOK_PAUSE;
    assert_eq!(follow(&mut world, FollowEvent::Noticed), [Effect::Follow { at: world.now }]);
    assert_eq!(follow(&mut world, FollowEvent::Ended { ending }), [], "it is still closed, which is no news");
    world.now += LOOK_PAUSE;
    follow(&mut world, FollowEvent::Noticed);
    let version = world.issue.version;
    assert_eq!(follow(&mut world, FollowEvent::Reopened), [Effect::Announce { version }]);
    let reopened = world.issue.follow.as_ref().unwrap();
    assert!(reopened.is_open() && reopened.records == records, "the budgets continue: {reopened:?}");
    assert_eq!(look_at(&world), Some(world.now - SignedDuration::from_secs(1)), "the look continues");
}

#[test]
fn issue_without_a_watch_is_not_followed() {
    let mut world = World::new();
    assert_eq!(follow(&mut world, FollowEvent::Noticed), []);
    let task = world.queue();
    let lease = world.work(task);
    let outcome = Outcome { pushed: true, ..outcome(Verdict::Done) };
    let (_, effects) = world.step(Event::RunEnded { lease, outcome }).unwrap();
    assert!(effects.contains(&Effect::FindPullRequest { run: lease.run }), "{effects:?}");
}
