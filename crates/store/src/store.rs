//! The handle through which facts are stored and read.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use kugetsu_domain::flow::Event;
use kugetsu_domain::hold::{Hold, Pause};
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::issue::{Issue, Lease};
use kugetsu_domain::model_limit::ModelLimit;
use kugetsu_domain::reference::{ForgeKind, IssueRef, RepoRef};
use kugetsu_domain::run::Run;
use tokio::sync::broadcast;

use crate::driver::Driver;
use crate::effect::{ClaimedEffect, Commits, EffectId, EffectView};
use crate::error::StoreError;
use crate::query::{IssueFilter, IssuePage, Queue, RunQuery, ShownAs, ViewFilter, ViewPage, ViewQuery};
use crate::view::{
    AgentRuns, Candidate, DelegatedTask, HookNews, LiveUsage, Poll, RecentUsage, Repo, RunView, StoredEvent, UsageSum,
    WatchLoad, WatchState,
};
use crate::write::{Adopt, Answer, Applied, Cleaned, Enqueue, Settlement, Write};

/// A handle to the database. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    driver: Arc<dyn Driver>,
}

impl Store {
    pub(crate) fn new(driver: impl Driver + 'static) -> Self {
        Self { driver: Arc::new(driver) }
    }

    #[cfg(feature = "testing")]
    pub(crate) fn driver(&self) -> Arc<dyn Driver> {
        Arc::clone(&self.driver)
    }

    /// Queues a task. The task identifier makes this idempotent: a second call changes nothing and returns `repeated`.
    pub async fn enqueue(&self, enqueue: Enqueue, now: Timestamp) -> Result<Applied, StoreError> {
        self.apply_write(Write::Enqueue { enqueue: Box::new(enqueue), now }).await
    }

    /// Records an issue together with work started without kugetsu. A known issue is left as it is, with `repeated`.
    pub async fn adopt(&self, adopt: Adopt, now: Timestamp) -> Result<Applied, StoreError> {
        self.apply_write(Write::Adopt { adopt: Box::new(adopt), now }).await
    }

    /// Applies an event to an issue and stores both in one transaction.
    pub async fn apply(&self, issue: IssueId, event: Event, now: Timestamp) -> Result<Applied, StoreError> {
        self.apply_write(Write::Apply { issue, event: Box::new(event), now }).await
    }

    /// As [`apply`](Self::apply), for an event that ends at byte `end` of the runner's report. An event that was stored
    /// before is not stored again, with `repeated`.
    pub async fn apply_report(
        &self,
        lease: Lease,
        event: Event,
        end: u64,
        now: Timestamp,
    ) -> Result<Applied, StoreError> {
        self.apply_write(Write::Report { lease, event: Box::new(event), end, now }).await
    }

    async fn apply_write(&self, write: Write) -> Result<Applied, StoreError> {
        match self.driver.transact(write).await? {
            Answer::Applied(applied) => Ok(*applied),
            Answer::Settled(_) => Err(StoreError::Database("the write was answered as another one".to_owned())),
        }
    }

    /// Returns at most `limit` pending effects that are due, oldest due first, and claims them: they are not returned again
    /// before they were settled or failed, or the process ended.
    pub async fn claim_effects(&self, now: Timestamp, limit: usize) -> Result<Vec<ClaimedEffect>, StoreError> {
        self.driver.claim_effects(now, limit).await
    }

    /// Returns the time after `now` when the next pending effect is due that is not claimed. One that is due and could not be
    /// claimed is damaged.
    pub async fn next_effect_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.driver.next_effect_due(now).await
    }

    /// Removes an effect and stores its results, in one transaction. Returns why results were refused because they no
    /// longer fit; the others are stored.
    pub async fn settle_effect(
        &self,
        effect: EffectId,
        settlement: Settlement,
        now: Timestamp,
    ) -> Result<Vec<StoreError>, StoreError> {
        let settlement = Box::new(settlement);
        match self.driver.transact(Write::Settle { effect, settlement, now }).await? {
            Answer::Settled(refused) => Ok(refused),
            Answer::Applied(_) => Ok(vec![]),
        }
    }

    /// Counts a failed execution of an effect, which is executed again when it is due. Due later than [`DELAY_MAX`](crate::effect::DELAY_MAX) from now,
    /// it is due at once: the clock was set back.
    pub async fn reschedule_effect(
        &self,
        effect: EffectId,
        due_at: Timestamp,
        error: String,
    ) -> Result<(), StoreError> {
        self.driver.transact(Write::EffectFailed { effect, due_at: Some(due_at), error }).await.map(drop)
    }

    /// Gives an effect up. It is kept with its error until [`clean`](Self::clean).
    pub async fn give_up_effect(&self, effect: EffectId, error: String) -> Result<(), StoreError> {
        self.driver.transact(Write::EffectFailed { effect, due_at: None, error }).await.map(drop)
    }

    /// Returns the effects of an issue that are not settled, oldest first.
    pub async fn effects_of(&self, issue: IssueId) -> Result<Vec<EffectView>, StoreError> {
        self.driver.effects_of(issue).await
    }

    /// Returns what tells about commits.
    pub fn commits(&self) -> Commits {
        self.driver.commits()
    }

    /// Stores what was written so far, merges the log into the database file, and closes it. Later requests fail with
    /// [`StoreError::Closed`]. [`Opened::closed`](crate::open::Opened::closed) resolves when the file is closed.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.driver.close().await
    }

    /// Deletes tasks that ended before a time, with their runs, except each issue's latest and those that a report to the
    /// coordinator still depends on; and events before that time. The directories of runs that ended before it become
    /// [`expired`](Self::expired_runs), also of those that stay. Shortens the file if much of it is free.
    pub async fn clean(&self, before: Timestamp) -> Result<Cleaned, StoreError> {
        self.driver.clean(before).await
    }

    /// Returns the runs whose tasks have ended and whose directories have not [expired](Self::expired_runs), with the times when
    /// they ended.
    pub async fn ended_runs(&self) -> Result<Vec<(RunId, Timestamp)>, StoreError> {
        self.driver.ended_runs().await
    }

    /// Makes the directories of these runs [expired](Self::expired_runs), except those whose tasks have not ended. Tasks and
    /// events stay.
    pub async fn expire_runs(&self, runs: Vec<RunId>) -> Result<(), StoreError> {
        self.driver.expire_runs(runs).await
    }

    /// Returns the runs whose directories are to be removed, until [`runs_removed`](Self::runs_removed).
    pub async fn expired_runs(&self) -> Result<Vec<RunId>, StoreError> {
        self.driver.expired_runs().await
    }

    /// Records that the directories of expired runs are gone.
    pub async fn runs_removed(&self, runs: Vec<RunId>) -> Result<(), StoreError> {
        self.driver.runs_removed(runs).await
    }

    /// Returns those of the runs that are not stored.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the identifier of a stored run cannot be read: it may be any of them.
    pub async fn unknown_runs(&self, runs: Vec<RunId>) -> Result<Vec<RunId>, StoreError> {
        self.driver.unknown_runs(runs).await
    }

    /// Returns every issue that was not destroyed, with the name of its worktree's directory.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if one cannot be read.
    pub async fn directories(&self) -> Result<Vec<(IssueRef, Option<String>)>, StoreError> {
        self.driver.directories().await
    }

    /// Writes a copy of the database to a file that does not exist. Other requests do not wait for it.
    pub async fn back_up(&self, to: PathBuf) -> Result<(), StoreError> {
        self.driver.back_up(to).await
    }

    /// Returns the identifier of the home that the database belongs to; `None` if it belongs to none yet.
    pub async fn home(&self) -> Result<Option<String>, StoreError> {
        self.driver.home().await
    }

    /// Replaces the address or path of a repository. An empty one removes it from lists; its name and numbers stay taken.
    pub async fn set_source(&self, repo: RepoRef, source: String) -> Result<(), StoreError> {
        self.driver.set_source(repo, source).await
    }

    /// Makes the database that of a home.
    pub async fn set_home(&self, id: String) -> Result<(), StoreError> {
        self.driver.set_home(id).await
    }

    /// Returns the public part of the key of a run; `None` if it has none, or is not stored.
    pub async fn run_key(&self, run: RunId) -> Result<Option<String>, StoreError> {
        self.driver.run_key(run).await
    }

    /// Stores the public part of the key of a run that is not over. It replaces an earlier one.
    pub async fn set_run_key(&self, run: RunId, key: String) -> Result<(), StoreError> {
        self.driver.set_run_key(run, key).await
    }

    /// Returns the newest issue that matches, with its live tasks and run.
    pub async fn issue(&self, filter: impl Into<IssueFilter>) -> Result<Option<Issue>, StoreError> {
        let (mut issues, _) = self.driver.issues(filter.into(), 1).await?;
        issues.pop().transpose()
    }

    /// Returns the issue with its live tasks and run.
    ///
    /// # Errors
    /// [`StoreError::NoSuchIssue`], besides those of the database.
    pub async fn issue_by_id(&self, id: IssueId) -> Result<Issue, StoreError> {
        self.issue(id).await?.ok_or(StoreError::NoSuchIssue)
    }

    /// Returns the newest `limit` issues that match. Damaged ones are logged and left out.
    pub async fn issues(&self, filter: IssueFilter, limit: usize) -> Result<IssuePage, StoreError> {
        let (issues, total) = self.driver.issues(filter, limit).await?;
        Ok(IssuePage { issues: readable(issues), total })
    }

    /// Returns whether the run is stored, in any state.
    pub async fn has_run(&self, run: RunId) -> Result<bool, StoreError> {
        let (_, count) = self.driver.issues(IssueFilter::Run(run), 0).await?;
        Ok(count > 0)
    }

    /// Returns the newest task that matches, with its issue and its latest run.
    pub async fn view(&self, filter: impl Into<ViewFilter>) -> Result<Option<RunView>, StoreError> {
        let (mut views, _) = self.driver.views(ViewQuery::new(filter.into()).limit(1).with_messages()).await?;
        views.pop().transpose()
    }

    /// Returns tasks with their issues and latest runs. Damaged ones are logged and left out.
    pub async fn views(&self, query: ViewQuery) -> Result<ViewPage, StoreError> {
        let (views, next) = self.driver.views(query).await?;
        Ok(ViewPage { views: readable(views), next })
    }

    /// Returns the number of issues that appear in lists, by how they appear.
    pub async fn shown(&self) -> Result<Vec<(ShownAs, u64)>, StoreError> {
        self.driver.shown().await
    }

    /// Returns runs of an issue, newest first.
    pub async fn runs(&self, query: RunQuery) -> Result<Vec<Run>, StoreError> {
        self.driver.runs(query).await
    }

    /// Returns the tasks that can start now, at most `slots` of those that need a slot, and the lengths of the queue.
    pub async fn queue(&self, slots: usize) -> Result<Queue, StoreError> {
        self.driver.queue(slots, Vec::new()).await
    }

    /// As [`queue`](Self::queue), without the tasks that one of the holds concerns.
    pub async fn queue_without(&self, slots: usize, holds: Vec<Hold>) -> Result<Queue, StoreError> {
        self.driver.queue(slots, holds).await
    }

    /// Returns the latest runs, at most `limit` ended ones, of each agent.
    pub async fn agent_runs(&self, limit: u32) -> Result<Vec<AgentRuns>, StoreError> {
        self.driver.agent_runs(limit).await
    }

    /// Returns the limits of providers after which the model has answered no run.
    pub async fn model_limits(&self) -> Result<Vec<ModelLimit>, StoreError> {
        self.driver.model_limits().await
    }

    /// Returns when a person last ended the waits of an agent; of all agents if the name is empty.
    pub async fn resumed_at(&self, agent: &str) -> Result<Option<Timestamp>, StoreError> {
        self.driver.resumed_at(agent.to_owned()).await
    }

    /// Stores that a person ends the waits of an agent; of all agents if the name is empty.
    pub async fn resume_agent(&self, agent: &str, at: Timestamp) -> Result<(), StoreError> {
        self.driver.resume_agent(agent.to_owned(), at).await
    }

    /// Adds up the usage of the runs that ended since then.
    pub async fn usage_since(&self, since: Timestamp) -> Result<UsageSum, StoreError> {
        self.driver.usage_since(since).await
    }

    /// Adds up the usage of all runs of each repository with live tasks, those in progress included.
    pub async fn usage_of_repos(&self) -> Result<Vec<(RepoRef, UsageSum)>, StoreError> {
        self.driver.usage_of_repos().await
    }

    /// Adds up the usage of all runs of each issue with live tasks, those in progress included.
    pub async fn usage_of_issues(&self) -> Result<Vec<(IssueId, UsageSum)>, StoreError> {
        self.driver.usage_of_issues().await
    }

    /// Returns the usage of the runs in progress.
    pub async fn live_usage(&self) -> Result<Vec<LiveUsage>, StoreError> {
        self.driver.live_usage().await
    }

    /// Returns the usage of the latest runs that were done, at most `limit` of each pair of repository and agent with live tasks.
    pub async fn recent_usage(&self, limit: u32) -> Result<Vec<RecentUsage>, StoreError> {
        self.driver.recent_usage(limit).await
    }

    /// Returns what `kugetsu pause` holds back.
    pub async fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        self.driver.pauses().await
    }

    /// Stores a pause. One that is stored already keeps its time.
    pub async fn add_pause(&self, pause: Pause) -> Result<(), StoreError> {
        self.driver.add_pause(pause).await
    }

    /// Ends the pause of a repository or of everything. Those of others stay.
    pub async fn remove_pause(&self, repo: Option<RepoRef>) -> Result<(), StoreError> {
        self.driver.remove_pause(repo).await
    }

    /// Returns how many tasks are ahead of a queued one; `None` if it is not queued.
    pub async fn queue_position(&self, task: TaskId) -> Result<Option<u64>, StoreError> {
        self.driver.queue_position(task).await
    }

    /// Returns the coordinator's ended tasks whose delegated tasks are all settled and not yet reported, each with the time
    /// when the last one settled. A report queued before that time does not cover it.
    pub async fn reports_due(&self, coordinator: IssueId) -> Result<Vec<(TaskId, Timestamp)>, StoreError> {
        self.driver.reports_due(coordinator).await
    }

    /// Returns the tasks delegated during a task of the coordinator, and the reports on them, oldest first.
    pub async fn delegated_tasks(&self, task: TaskId) -> Result<Vec<DelegatedTask>, StoreError> {
        let query = ViewQuery::new(ViewFilter::DelegatedBy(task)).oldest_first().with_messages();
        let views = self.views(query).await?.views;
        let settled = self.driver.settled(task).await?;
        let delegated = |view: RunView| DelegatedTask { is_settled: settled.contains(&view.task.id), view };
        Ok(views.into_iter().map(delegated).collect())
    }

    /// Returns all repositories, oldest first.
    pub async fn repos(&self) -> Result<Vec<Repo>, StoreError> {
        self.driver.repos().await
    }

    pub async fn repo(&self, name: &RepoRef) -> Result<Option<Repo>, StoreError> {
        Ok(self.repos().await?.into_iter().find(|repo| repo.name == *name))
    }

    /// Returns what is known of a watched repository.
    pub async fn watch(&self, repo: RepoRef) -> Result<WatchState, StoreError> {
        self.driver.watch(repo).await
    }

    pub async fn set_poll(&self, repo: RepoRef, poll: Poll) -> Result<(), StoreError> {
        self.driver.set_poll(repo, poll).await
    }

    /// Notes whether the webhook of a watched repository works.
    pub async fn set_hook(&self, repo: RepoRef, news: HookNews, at: Timestamp) -> Result<(), StoreError> {
        self.driver.set_hook(repo, news, at).await
    }

    /// Counts the issues of a repository that watches handed over and that are not over. The watch may have another name since.
    pub async fn watch_load(&self, repo: RepoRef) -> Result<WatchLoad, StoreError> {
        self.driver.watch_load(repo).await
    }

    /// Returns the issues of a watched repository that were handed over, by number.
    pub async fn candidates(&self, repo: RepoRef) -> Result<Vec<(u64, Candidate)>, StoreError> {
        self.driver.candidates(repo, None).await
    }

    /// Returns what is known of an issue that was handed over; `None` if it was not.
    pub async fn candidate(&self, repo: RepoRef, issue: u64) -> Result<Option<Candidate>, StoreError> {
        let found = self.driver.candidates(repo, Some(issue)).await?;
        Ok(found.into_iter().next().map(|(_, candidate)| candidate))
    }

    /// Notes that an issue was handed over. If that is known already, the first text stays; `None` forgets it.
    pub async fn set_candidate(
        &self,
        repo: RepoRef,
        issue: u64,
        candidate: Option<Candidate>,
    ) -> Result<(), StoreError> {
        self.driver.set_candidate(repo, issue, candidate).await
    }

    /// Whether something that came from this server was handled.
    pub async fn is_handled(&self, server: String, id: String) -> Result<bool, StoreError> {
        self.driver.is_handled(server, id).await
    }

    /// Notes something that came from a server and was handled. What was handled before `forget` is forgotten; without `at` it is
    /// kept for good.
    pub async fn add_handled(
        &self,
        server: String,
        id: String,
        at: Option<Timestamp>,
        forget: Timestamp,
    ) -> Result<(), StoreError> {
        self.driver.add_handled(server, id, at, forget).await
    }

    /// Returns the repositories without a server.
    pub async fn local_repos(&self) -> Result<Vec<Repo>, StoreError> {
        Ok(self.repos().await?.into_iter().filter(|repo| repo.kind == Some(ForgeKind::Local)).collect())
    }

    /// Returns at most `limit` events with numbers above `after`, oldest first, of one issue or of all.
    pub async fn events_after(
        &self,
        issue: Option<IssueId>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.driver.events_after(issue, after, limit).await
    }

    /// Returns the number of the newest event, of one issue or of all, before a time or until now; 0 if there is none.
    pub async fn last_event(&self, issue: Option<IssueId>, before: Option<Timestamp>) -> Result<i64, StoreError> {
        self.driver.last_event(issue, before).await
    }

    /// Subscribes to the events stored from now on. A listener that lags too far behind gets an error and has to read the
    /// log.
    pub fn listen(&self) -> broadcast::Receiver<Arc<StoredEvent>> {
        self.driver.listen()
    }

    /// Describes every fault of the database and every damaged row. Such rows are skipped everywhere else.
    pub async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.driver.check().await
    }
}

fn readable<T>(rows: Vec<Result<T, StoreError>>) -> Vec<T> {
    let log = |error: &StoreError| tracing::error!(%error, "skipping a damaged row");
    rows.into_iter().filter_map(|row| row.inspect_err(log).ok()).collect()
}
