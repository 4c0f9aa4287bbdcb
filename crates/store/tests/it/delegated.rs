//! When a report to the coordinator is due, and which tasks are kept for it.

use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, TaskId};
use kugetsu_domain::issue::{Issue, Lease};
use kugetsu_domain::reference::IssueRef;
use kugetsu_domain::run::Verdict;
use kugetsu_domain::task::TaskKind;
use kugetsu_store::query::ViewFilter;
use kugetsu_store::view::Repo;
use kugetsu_store::write::{Enqueue, Precondition};

use crate::world::{World, later, now, start, task};

/// A message for the coordinator, or a report on one.
fn message(asked_by: Option<TaskId>) -> Enqueue {
    let coordinator = IssueRef::coordinator();
    let kind = if asked_by.is_some() { TaskKind::Report } else { TaskKind::Delegate };
    let mut enqueue = start(coordinator.number);
    enqueue.repo = Repo { name: coordinator.repo, kind: None, source: String::new() };
    enqueue.precondition = Precondition::Any;
    enqueue.task = task(kind);
    enqueue.task.asked_by = asked_by;
    enqueue
}

impl World {
    /// Runs a task of the coordinator to its end.
    async fn coordinate(&self, asked_by: Option<TaskId>) -> (IssueId, TaskId) {
        let (issue, task, lease) = self.start_coordinating(asked_by).await;
        self.finish(lease, Verdict::Done).await;
        (issue, task)
    }

    /// Starts a task of the coordinator.
    async fn start_coordinating(&self, asked_by: Option<TaskId>) -> (IssueId, TaskId, Lease) {
        let message = message(asked_by);
        let task = message.task.id;
        let issue = self.enqueue(message).await.issue.id;
        (issue, task, self.work(issue, task).await)
    }

    async fn child(&self, number: u64, asked_by: TaskId, after: Option<IssueId>) -> (Issue, TaskId) {
        let mut enqueue = start(number);
        enqueue.task.asked_by = Some(asked_by);
        enqueue.task.after = after;
        let task = enqueue.task.id;
        (self.enqueue(enqueue).await.issue, task)
    }

    async fn end(&self, issue: IssueId, task: TaskId, verdict: Verdict) {
        let lease = self.work(issue, task).await;
        self.finish(lease, verdict).await;
    }

    async fn retry(&self, issue: IssueId, task: TaskId) {
        let view = self.store().view(task).await.unwrap().unwrap();
        self.store().apply(issue, Event::TaskRetried { task: view.task }, now()).await.unwrap();
    }

    async fn due(&self, coordinator: IssueId) -> Vec<TaskId> {
        self.store().reports_due(coordinator).await.unwrap().into_iter().map(|(task, _)| task).collect()
    }

    async fn settled(&self, parent: TaskId) -> Vec<bool> {
        self.store().delegated_tasks(parent).await.unwrap().iter().map(|task| task.is_settled).collect()
    }

    /// A report as the engine queues it: not before the tasks that it covers have settled.
    async fn report(&self, coordinator: IssueId, of: TaskId) -> TaskId {
        let due = self.store().reports_due(coordinator).await.unwrap();
        let (_, settled) = due.into_iter().find(|(task, _)| *task == of).expect("one is due");
        let mut report = message(Some(of));
        report.task.queued_at = now().max(settled);
        let id = report.task.id;
        self.enqueue(report).await;
        id
    }
}

#[tokio::test]
async fn a_report_is_due_when_all_tasks_have_settled_and_again_after_a_retry() {
    let world = World::new().await;
    let (coordinator, message) = world.coordinate(None).await;
    assert_eq!(world.due(coordinator).await, [], "it delegated nothing");
    let (one, first) = world.child(1, message, None).await;
    let (two, second) = world.child(2, message, None).await;
    world.end(one.id, first, Verdict::Failed).await;
    assert_eq!(world.due(coordinator).await, [], "the second has not ended");
    world.end(two.id, second, Verdict::Done).await;
    assert_eq!(world.due(coordinator).await, [message]);
    assert_eq!(world.settled(message).await, [true, true]);
    let report = world.report(coordinator, message).await;
    assert_eq!(world.due(coordinator).await, [], "reported once");
    world.end(coordinator, report, Verdict::Done).await;

    world.retry(one.id, first).await;
    assert_eq!(world.due(coordinator).await, []);
    world.end(one.id, first, Verdict::Done).await;
    assert_eq!(world.due(coordinator).await, [message], "the result of the retry is reported as well");
    world.report(coordinator, message).await;
    assert_eq!(world.due(coordinator).await, []);
}

#[tokio::test]
async fn a_retried_message_gets_a_report_on_the_tasks_of_the_retry() {
    let world = World::new().await;
    let (coordinator, parent, lease) = world.start_coordinating(None).await;
    let (one, first) = world.child(1, parent, None).await;
    world.finish(lease, Verdict::Failed).await;
    world.end(one.id, first, Verdict::Done).await;
    let report = world.report(coordinator, parent).await;
    world.end(coordinator, report, Verdict::Done).await;

    world.retry(coordinator, parent).await;
    let lease = world.work(coordinator, parent).await;
    let (two, second) = world.child(2, parent, None).await;
    world.end(two.id, second, Verdict::Done).await;
    assert_eq!(world.due(coordinator).await, [], "it is still running");
    world.finish(lease, Verdict::Done).await;
    assert_eq!(world.due(coordinator).await, [parent]);
}

#[tokio::test]
async fn a_task_that_waits_for_a_failed_one_does_not_delay_the_report() {
    let world = World::new().await;
    let (coordinator, message) = world.coordinate(None).await;
    let (one, first) = world.child(1, message, None).await;
    let (two, second) = world.child(2, message, Some(one.id)).await;
    world.child(3, message, Some(two.id)).await;
    assert_eq!(world.settled(message).await, [false; 3]);
    world.end(one.id, first, Verdict::Failed).await;
    assert_eq!(world.settled(message).await, [true; 3], "including the task that waits for the waiting one");
    assert_eq!(world.due(coordinator).await, [message]);
    world.report(coordinator, message).await;
    assert_eq!(world.due(coordinator).await, []);

    world.retry(one.id, first).await;
    assert_eq!(world.settled(message).await, [false, false, false, false], "the last is the report");
    world.end(one.id, first, Verdict::Done).await;
    assert_eq!(world.settled(message).await, [true, false, false, false], "the second can start now");
    world.end(two.id, second, Verdict::Done).await;
    assert_eq!(world.due(coordinator).await, [], "the third can start now");
}

#[tokio::test]
async fn a_canceled_message_gets_no_report() {
    let world = World::new().await;
    let (coordinator, parent, lease) = world.start_coordinating(None).await;
    let (one, first) = world.child(1, parent, None).await;
    world.store().apply(coordinator, Event::CancelRequested { task: parent }, now()).await.unwrap();
    world.finish(lease, Verdict::Canceled).await;
    world.end(one.id, first, Verdict::Done).await;
    assert_eq!(world.due(coordinator).await, []);
}

#[tokio::test]
async fn clean_keeps_tasks_until_they_are_reported() {
    let world = World::new().await;
    let (coordinator, message) = world.coordinate(None).await;
    let (one, first) = world.child(1, message, None).await;
    let (two, second) = world.child(2, message, None).await;
    world.coordinate(None).await;
    let clean = || async { world.store().clean(later(60)).await.unwrap().tasks };
    assert_eq!(clean().await, 0, "its tasks have not ended");
    world.end(one.id, first, Verdict::Done).await;
    world.end(two.id, second, Verdict::Done).await;
    assert_eq!((clean().await, world.due(coordinator).await), (0, vec![message]), "it was not reported yet");
    let report = world.report(coordinator, message).await;
    assert_eq!(clean().await, 1, "only the other message; the queued report still needs its tasks");
    world.end(coordinator, report, Verdict::Done).await;
    world.coordinate(None).await;
    assert_eq!(world.tasks(ViewFilter::All).await.len(), 5);
    assert_eq!(clean().await, 2, "the message, then its report; the others are the latest of their issues");
    assert_eq!(world.due(coordinator).await, [], "nothing is reported again");
}
