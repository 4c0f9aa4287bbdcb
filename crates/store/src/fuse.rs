//! A store that stops at a chosen step, as if the process that uses it were killed there. For tests of crash safety.
//!
//! A write has two steps, so that a process can die before it and between its commit and its answer. Reads have none: they
//! change nothing, so dying at one equals dying at the write or at the other step that follows. Tests add steps of their
//! own around whatever happens outside the store.

use std::collections::HashSet;
use std::fmt;
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use kugetsu_domain::hold::{Hold, Pause};
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::issue::Issue;
use kugetsu_domain::model_limit::ModelLimit;
use kugetsu_domain::reference::{IssueRef, RepoRef};
use kugetsu_domain::run::Run;
use tokio::sync::{broadcast, watch};

use crate::driver::{Driver, Reply, Rows};
use crate::effect::{ClaimedEffect, Commits, EffectView};
use crate::query::{IssueFilter, Queue, RunQuery, ShownAs, ViewQuery};
use crate::store::Store;
use crate::view::{
    AgentRuns, Candidate, HookNews, LiveUsage, Poll, RecentUsage, Repo, RunView, StoredEvent, UsageSum, WatchLoad,
    WatchState,
};
use crate::write::{Answer, Cleaned, Write};

/// Counts the steps of a process and lets it die after a number of them. Clones share the count.
#[derive(Clone, Debug)]
pub struct Fuse {
    max: usize,
    /// Steps so far. More than `max`: the process is dead.
    taken: Arc<watch::Sender<usize>>,
}

impl Fuse {
    /// Lets `steps` steps pass. The process dies at the next one.
    pub fn after(steps: usize) -> Self {
        Self { max: steps, taken: Arc::new(watch::Sender::new(0)) }
    }

    /// Takes a step. Returns false if the process is dead: the caller must have no further effect.
    pub fn step(&self) -> bool {
        self.taken.send_if_modified(|taken| {
            let is_alive = *taken <= self.max;
            *taken += usize::from(is_alive);
            is_alive
        });
        self.is_alive()
    }

    pub fn is_alive(&self) -> bool {
        self.taken() <= self.max
    }

    /// Returns the number of steps so far.
    pub fn taken(&self) -> usize {
        *self.taken.borrow()
    }

    /// Lets the process die now. Nothing happens to one that may take any number of steps.
    pub fn blow(&self) {
        self.taken.send_replace(self.max.saturating_add(1));
    }

    /// Waits until the process is dead.
    pub async fn blown(&self) {
        let mut taken = self.taken.subscribe();
        // The sender lives in `self`.
        let _ = taken.wait_for(|taken| *taken > self.max).await;
    }

    /// As [`step`](Self::step). Never returns if the process is dead.
    async fn survive_step(&self) {
        if !self.step() {
            pending().await
        }
    }

    async fn stay_alive(&self) {
        if !self.is_alive() {
            pending().await
        }
    }
}

impl Store {
    /// Returns a store that answers until the fuse has blown, and never again.
    pub fn with_fuse(&self, fuse: Fuse) -> Self {
        Self::new(Fused { driver: self.driver(), fuse })
    }
}

struct Fused {
    driver: Arc<dyn Driver>,
    fuse: Fuse,
}

impl fmt::Debug for Fused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fused").field(&self.driver).finish()
    }
}

impl Fused {
    fn read<'a, T: Send + 'a>(
        &'a self,
        query: impl FnOnce(&'a dyn Driver) -> Reply<'a, T> + Send + 'a,
    ) -> Reply<'a, T> {
        Box::pin(async move {
            self.fuse.stay_alive().await;
            let answer = query(&*self.driver).await;
            self.fuse.stay_alive().await;
            answer
        })
    }
}

impl Fused {
    fn write<'a, T: Send + 'a>(
        &'a self,
        write: impl FnOnce(&'a dyn Driver) -> Reply<'a, T> + Send + 'a,
    ) -> Reply<'a, T> {
        Box::pin(async move {
            self.fuse.survive_step().await;
            let answer = write(&*self.driver).await;
            self.fuse.survive_step().await;
            answer
        })
    }
}

impl Driver for Fused {
    fn transact(&self, write: Write) -> Reply<'_, Answer> {
        self.write(move |driver| driver.transact(write))
    }

    fn claim_effects(&self, now: Timestamp, limit: usize) -> Reply<'_, Vec<ClaimedEffect>> {
        self.read(move |driver| driver.claim_effects(now, limit))
    }

    fn next_effect_due(&self, now: Timestamp) -> Reply<'_, Option<Timestamp>> {
        self.read(move |driver| driver.next_effect_due(now))
    }

    fn effects_of(&self, issue: IssueId) -> Reply<'_, Vec<EffectView>> {
        self.read(move |driver| driver.effects_of(issue))
    }

    fn commits(&self) -> Commits {
        self.driver.commits()
    }

    /// It runs by the clock, beside everything else, so it is not counted.
    fn close(&self) -> Reply<'_, ()> {
        self.read(|driver| driver.close())
    }

    fn clean(&self, before: Timestamp) -> Reply<'_, Cleaned> {
        self.read(move |driver| driver.clean(before))
    }

    fn ended_runs(&self) -> Reply<'_, Vec<(RunId, Timestamp)>> {
        self.read(|driver| driver.ended_runs())
    }

    fn expire_runs(&self, runs: Vec<RunId>) -> Reply<'_, ()> {
        self.read(move |driver| driver.expire_runs(runs))
    }

    fn expired_runs(&self) -> Reply<'_, Vec<RunId>> {
        self.read(|driver| driver.expired_runs())
    }

    fn runs_removed(&self, runs: Vec<RunId>) -> Reply<'_, ()> {
        self.read(move |driver| driver.runs_removed(runs))
    }

    fn unknown_runs(&self, runs: Vec<RunId>) -> Reply<'_, Vec<RunId>> {
        self.read(move |driver| driver.unknown_runs(runs))
    }

    fn directories(&self) -> Reply<'_, Vec<(IssueRef, Option<String>)>> {
        self.read(|driver| driver.directories())
    }

    fn back_up(&self, to: PathBuf) -> Reply<'_, ()> {
        self.read(move |driver| driver.back_up(to))
    }

    fn home(&self) -> Reply<'_, Option<String>> {
        self.read(|driver| driver.home())
    }

    fn watch(&self, repo: RepoRef) -> Reply<'_, WatchState> {
        self.read(move |driver| driver.watch(repo))
    }

    fn set_poll(&self, repo: RepoRef, poll: Poll) -> Reply<'_, ()> {
        self.write(move |driver| driver.set_poll(repo, poll))
    }

    fn set_hook(&self, repo: RepoRef, news: HookNews, at: Timestamp) -> Reply<'_, ()> {
        self.write(move |driver| driver.set_hook(repo, news, at))
    }

    fn candidates(&self, repo: RepoRef, issue: Option<u64>) -> Reply<'_, Vec<(u64, Candidate)>> {
        self.read(move |driver| driver.candidates(repo, issue))
    }

    fn watch_load(&self, repo: RepoRef) -> Reply<'_, WatchLoad> {
        self.read(move |driver| driver.watch_load(repo))
    }

    fn set_candidate(&self, repo: RepoRef, issue: u64, candidate: Option<Candidate>) -> Reply<'_, ()> {
        self.write(move |driver| driver.set_candidate(repo, issue, candidate))
    }

    fn is_handled(&self, server: String, id: String) -> Reply<'_, bool> {
        self.read(move |driver| driver.is_handled(server, id))
    }

    fn add_handled(&self, server: String, id: String, at: Option<Timestamp>, forget: Timestamp) -> Reply<'_, ()> {
        self.write(move |driver| driver.add_handled(server, id, at, forget))
    }

    fn set_source(&self, repo: RepoRef, source: String) -> Reply<'_, ()> {
        self.read(move |driver| driver.set_source(repo, source))
    }

    fn set_home(&self, id: String) -> Reply<'_, ()> {
        self.read(move |driver| driver.set_home(id))
    }

    fn run_key(&self, run: RunId) -> Reply<'_, Option<String>> {
        self.read(move |driver| driver.run_key(run))
    }

    fn set_run_key(&self, run: RunId, key: String) -> Reply<'_, ()> {
        self.write(move |driver| driver.set_run_key(run, key))
    }

    fn issues(&self, filter: IssueFilter, limit: usize) -> Reply<'_, Rows<Issue, usize>> {
        self.read(move |driver| driver.issues(filter, limit))
    }

    fn views(&self, query: ViewQuery) -> Reply<'_, Rows<RunView, Option<i64>>> {
        self.read(move |driver| driver.views(query))
    }

    fn shown(&self) -> Reply<'_, Vec<(ShownAs, u64)>> {
        self.read(|driver| driver.shown())
    }

    fn runs(&self, query: RunQuery) -> Reply<'_, Vec<Run>> {
        self.read(move |driver| driver.runs(query))
    }

    fn queue(&self, slots: usize, holds: Vec<Hold>) -> Reply<'_, Queue> {
        self.read(move |driver| driver.queue(slots, holds))
    }

    fn agent_runs(&self, limit: u32) -> Reply<'_, Vec<AgentRuns>> {
        self.read(move |driver| driver.agent_runs(limit))
    }

    fn model_limits(&self) -> Reply<'_, Vec<ModelLimit>> {
        self.read(|driver| driver.model_limits())
    }

    fn resumed_at(&self, agent: String) -> Reply<'_, Option<Timestamp>> {
        self.read(move |driver| driver.resumed_at(agent))
    }

    fn resume_agent(&self, agent: String, at: Timestamp) -> Reply<'_, ()> {
        self.write(move |driver| driver.resume_agent(agent, at))
    }

    fn usage_since(&self, since: Timestamp) -> Reply<'_, UsageSum> {
        self.read(move |driver| driver.usage_since(since))
    }

    fn usage_of_repos(&self) -> Reply<'_, Vec<(RepoRef, UsageSum)>> {
        self.read(|driver| driver.usage_of_repos())
    }

    fn usage_of_issues(&self) -> Reply<'_, Vec<(IssueId, UsageSum)>> {
        self.read(|driver| driver.usage_of_issues())
    }

    fn live_usage(&self) -> Reply<'_, Vec<LiveUsage>> {
        self.read(|driver| driver.live_usage())
    }

    fn recent_usage(&self, limit: u32) -> Reply<'_, Vec<RecentUsage>> {
        self.read(move |driver| driver.recent_usage(limit))
    }

    fn pauses(&self) -> Reply<'_, Vec<Pause>> {
        self.read(|driver| driver.pauses())
    }

    fn add_pause(&self, pause: Pause) -> Reply<'_, ()> {
        self.write(move |driver| driver.add_pause(pause))
    }

    fn remove_pause(&self, repo: Option<RepoRef>) -> Reply<'_, ()> {
        self.write(move |driver| driver.remove_pause(repo))
    }

    fn queue_position(&self, task: TaskId) -> Reply<'_, Option<u64>> {
        self.read(move |driver| driver.queue_position(task))
    }

    fn reports_due(&self, coordinator: IssueId) -> Reply<'_, Vec<(TaskId, Timestamp)>> {
        self.read(move |driver| driver.reports_due(coordinator))
    }

    fn settled(&self, delegated_by: TaskId) -> Reply<'_, HashSet<TaskId>> {
        self.read(move |driver| driver.settled(delegated_by))
    }

    fn repos(&self) -> Reply<'_, Vec<Repo>> {
        self.read(|driver| driver.repos())
    }

    fn events_after(&self, issue: Option<IssueId>, after: i64, limit: u32) -> Reply<'_, Vec<StoredEvent>> {
        self.read(move |driver| driver.events_after(issue, after, limit))
    }

    fn last_event(&self, issue: Option<IssueId>, before: Option<Timestamp>) -> Reply<'_, i64> {
        self.read(move |driver| driver.last_event(issue, before))
    }

    fn listen(&self) -> broadcast::Receiver<Arc<StoredEvent>> {
        self.driver.listen()
    }

    fn check(&self) -> Reply<'_, Vec<String>> {
        self.read(|driver| driver.check())
    }
}
