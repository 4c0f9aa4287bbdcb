//! What the coordinator is told of, when, and for how long it is kept.

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::issue::{Issue, Lease};
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::run::Verdict;
use kugetsu_domain::task::TaskKind;
use kugetsu_store::store::{Enqueue, Precondition};
use kugetsu_store::view::Repo;

use crate::world::{World, later, now, start, task};

/// A message for the coordinator, or a report on one.
fn message(asked_by: Option<TaskId>) -> Enqueue {
    let coordinator = IssueRef::coordinator();
    let kind = if asked_by.is_some() { TaskKind::Report } else { TaskKind::Delegate };
    let mut asked = start(coordinator.number);
    asked.repo = Repo { name: coordinator.repo, kind: None, source: String::new() };
    asked.precondition = Precondition::InLine;
    asked.task = task(kind);
    asked.task.asked_by = asked_by;
    asked
}

impl World {
    /// The coordinator works off what is next in its line.
    async fn coordinate(&self, asked_by: Option<TaskId>) -> (IssueId, TaskId) {
        let (issue, task, lease) = self.at_it(asked_by).await;
        self.finish(lease, Verdict::Done).await;
        (issue, task)
    }

    /// The coordinator begins with what is next in its line.
    async fn at_it(&self, asked_by: Option<TaskId>) -> (IssueId, TaskId, Lease) {
        let asked = message(asked_by);
        let task = asked.task.id;
        let issue = self.enqueue(asked).await.issue.id;
        (issue, task, self.work(issue, task).await)
    }

    async fn child(&self, number: u64, asked_by: TaskId, after: Option<IssueId>) -> (Issue, TaskId) {
        let mut asked = start(number);
        asked.task.asked_by = Some(asked_by);
        asked.task.after = after;
        let task = asked.task.id;
        (self.enqueue(asked).await.issue, task)
    }

    async fn end(&self, issue: IssueId, task: TaskId, verdict: Verdict) {
        let lease = self.work(issue, task).await;
        self.finish(lease, verdict).await;
    }

    async fn retry(&self, issue: IssueId, task: TaskId) {
        let (_, task) = self.store().task(task).await.unwrap().unwrap();
        self.store().apply(issue, Event::TaskRetried { task }, now()).await.unwrap();
    }

    async fn due(&self, coordinator: IssueId) -> Vec<TaskId> {
        self.store().reports_due(coordinator).await.unwrap().into_iter().map(|(task, _)| task).collect()
    }

    async fn settled(&self, parent: TaskId) -> Vec<bool> {
        self.store().asked_by(parent).await.unwrap().iter().map(|asked| asked.is_settled).collect()
    }

    /// A report as the engine queues it: not before what it tells of.
    async fn report(&self, coordinator: IssueId, of: TaskId) -> TaskId {
        let due = self.store().reports_due(coordinator).await.unwrap();
        let (_, settled) = due.into_iter().find(|(task, _)| *task == of).expect("one is due");
        let mut report = message(Some(of));
        report.task.queued_at = now().max(settled);
        let id = report.task.id;
        self.enqueue(report).await;
        id
    }

    async fn tasks(&self) -> usize {
        self.store().queue(true).await.unwrap().len()
    }
}

#[tokio::test]
async fn a_report_is_due_once_everything_is_settled_and_again_after_another_try() {
    let world = World::new().await;
    let (coordinator, asked) = world.coordinate(None).await;
    assert_eq!(world.due(coordinator).await, [], "it asked for nothing");
    let (one, first) = world.child(1, asked, None).await;
    let (two, second) = world.child(2, asked, None).await;
    world.end(one.id, first, Verdict::Failed).await;
    assert_eq!(world.due(coordinator).await, [], "the second goes on");
    world.end(two.id, second, Verdict::Done).await;
    assert_eq!(world.due(coordinator).await, [asked]);
    assert_eq!(world.settled(asked).await, [true, true]);
    let report = world.report(coordinator, asked).await;
    assert_eq!(world.due(coordinator).await, [], "told once");
    world.end(coordinator, report, Verdict::Done).await;

    world.retry(one.id, first).await;
    assert_eq!(world.due(coordinator).await, []);
    world.end(one.id, first, Verdict::Done).await;
    assert_eq!(world.due(coordinator).await, [asked], "what came of the other try is told as well");
    world.report(coordinator, asked).await;
    assert_eq!(world.due(coordinator).await, []);
}

#[tokio::test]
async fn a_message_that_is_tried_again_gets_a_report_on_what_it_begins_then() {
    let world = World::new().await;
    let (coordinator, parent, lease) = world.at_it(None).await;
    let (one, first) = world.child(1, parent, None).await;
    world.finish(lease, Verdict::Failed).await;
    world.end(one.id, first, Verdict::Done).await;
    let report = world.report(coordinator, parent).await;
    world.end(coordinator, report, Verdict::Done).await;

    world.retry(coordinator, parent).await;
    let lease = world.work(coordinator, parent).await;
    let (two, second) = world.child(2, parent, None).await;
    world.end(two.id, second, Verdict::Done).await;
    assert_eq!(world.due(coordinator).await, [], "it is still at it");
    world.finish(lease, Verdict::Done).await;
    assert_eq!(world.due(coordinator).await, [parent]);
}

#[tokio::test]
async fn what_waits_for_something_that_failed_keeps_no_report_away() {
    let world = World::new().await;
    let (coordinator, asked) = world.coordinate(None).await;
    let (one, first) = world.child(1, asked, None).await;
    let (two, second) = world.child(2, asked, Some(one.id)).await;
    world.child(3, asked, Some(two.id)).await;
    assert_eq!(world.settled(asked).await, [false; 3]);
    world.end(one.id, first, Verdict::Failed).await;
    assert_eq!(world.settled(asked).await, [true; 3], "also what waits for what waits");
    assert_eq!(world.due(coordinator).await, [asked]);
    world.report(coordinator, asked).await;
    assert_eq!(world.due(coordinator).await, []);

    world.retry(one.id, first).await;
    assert_eq!(world.settled(asked).await, [false, false, false, false], "the last is the report");
    world.end(one.id, first, Verdict::Done).await;
    assert_eq!(world.settled(asked).await, [true, false, false, false], "the second can begin now");
    world.end(two.id, second, Verdict::Done).await;
    assert_eq!(world.due(coordinator).await, [], "the third can begin now");
}

#[tokio::test]
async fn a_canceled_message_gets_no_report() {
    let world = World::new().await;
    let (coordinator, parent, lease) = world.at_it(None).await;
    let (one, first) = world.child(1, parent, None).await;
    world.store().apply(coordinator, Event::CancelRequested { task: parent }, now()).await.unwrap();
    world.finish(lease, Verdict::Canceled).await;
    world.end(one.id, first, Verdict::Done).await;
    assert_eq!(world.due(coordinator).await, []);
}

#[tokio::test]
async fn what_a_report_hangs_on_is_not_forgotten_before_it_is_told() {
    let world = World::new().await;
    let (coordinator, asked) = world.coordinate(None).await;
    let (one, first) = world.child(1, asked, None).await;
    let (two, second) = world.child(2, asked, None).await;
    world.coordinate(None).await;
    let clean = || async { world.store().clean(later(60)).await.unwrap().tasks };
    assert_eq!(clean().await, 0, "its tasks go on");
    world.end(one.id, first, Verdict::Done).await;
    world.end(two.id, second, Verdict::Done).await;
    assert_eq!((clean().await, world.due(coordinator).await), (0, vec![asked]), "it was not told yet");
    let report = world.report(coordinator, asked).await;
    assert_eq!(clean().await, 1, "the other message had its answer; what the waiting report tells of is kept");
    world.end(coordinator, report, Verdict::Done).await;
    world.coordinate(None).await;
    assert_eq!(world.tasks().await, 5);
    assert_eq!(clean().await, 2, "the message, then its report; of the others it is the latest");
    assert_eq!(world.due(coordinator).await, [], "nothing is told again");
}
