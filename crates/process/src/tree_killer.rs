//! Finding every process of a tree and ending it: politely first, then by force until none is left.
//!
//! A listing is old when it is read, so no single one is trusted: what counts is that a new one is empty.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::time::{Instant, timeout};

use crate::cgroup::Cgroup;
use crate::child_registry;
use crate::marker::{MARKER, Marker};
use crate::process::Process;
use crate::table::Source;

/// A process that is not our child ends without telling us, so we look again this often.
const TICK: Duration = Duration::from_millis(100);
/// The same, while killing.
const KILL_TICK: Duration = Duration::from_millis(10);
/// A killed process may still be busy in the kernel, with a slow disk for example. After this it is reported as left.
const KILL_TIMEOUT: Duration = Duration::from_secs(15);
/// Listings in a row that may show new processes before they are killed anyway.
const FREEZE_ROUNDS: usize = 20;
/// Children ended one by one before the whole table is read again.
const ADOPTED_ROUNDS: usize = 2_000;
/// Of these, how many may meet no new one: a killed process takes a moment to die.
const IDLE_ROUNDS: usize = 50;

/// By what the processes of a tree are known.
#[derive(Debug, Default)]
pub(crate) struct Membership {
    /// The first process, as long as it is not reaped.
    pub(crate) root: Option<Pid>,
    /// Children of ours that we did not start are orphans of the tree.
    pub(crate) orphans: bool,
    pub(crate) marker: Option<Marker>,
    pub(crate) cgroups: Vec<Cgroup>,
}

type Id = (i32, u64);

pub(crate) struct TreeKiller {
    source: Source,
    pub(crate) membership: Membership,
    /// Members of earlier listings: they stay members when their parents are gone.
    known: BTreeSet<Id>,
    signalled: BTreeSet<Id>,
    ends: Signals,
}

impl TreeKiller {
    pub(crate) fn new(source: Source, membership: Membership) -> io::Result<Self> {
        let ends = signal(SignalKind::child())?;
        Ok(Self { source, membership, known: BTreeSet::new(), signalled: BTreeSet::new(), ends })
    }

    /// Removes the tree's cgroups. The kernel refuses while a dead process in one is not reaped, so this tries again for a
    /// while.
    pub(crate) async fn drop_empty_cgroups(&mut self) -> io::Result<()> {
        let mut answer = Ok(());
        for cgroup in std::mem::take(&mut self.membership.cgroups) {
            answer = answer.and(drop_empty(&cgroup).await);
        }
        answer
    }

    /// How many processes were sent a signal.
    pub(crate) fn signalled(&self) -> usize {
        self.signalled.len()
    }

    /// Asks all to end, and waits up to `grace` until none is left.
    pub(crate) async fn terminate(&mut self, grace: Duration) -> io::Result<()> {
        let until = Instant::now() + grace;
        for process in self.living_members().await? {
            self.signal(&process, Signal::SIGTERM);
            // A stopped process obeys only when it goes on.
            self.signal(&process, Signal::SIGCONT);
        }
        while !self.living_members().await?.is_empty() && Instant::now() < until {
            self.wait_for_exit(TICK.min(until - Instant::now())).await;
        }
        Ok(())
    }

    /// Ends all, whatever they do. Gives what is left after all patience.
    pub(crate) async fn kill(&mut self) -> io::Result<Vec<Pid>> {
        let until = Instant::now() + KILL_TIMEOUT;
        let mut empty_listings = 0;
        loop {
            let members = self.freeze().await?;
            if members.is_empty() {
                empty_listings += 1;
                if empty_listings == self.empty_listings_needed() {
                    return Ok(Vec::new());
                }
            } else {
                empty_listings = 0;
                self.kill_members(&members);
                if Instant::now() >= until {
                    let left = self.living_members().await?;
                    return Ok(left.into_iter().map(|process| Pid::from_raw(process.pid)).collect());
                }
            }
            self.wait_for_exit(KILL_TICK).await;
        }
    }

    /// Kills what can be found at this moment, without waiting.
    pub(crate) fn kill_now(&mut self) {
        let members = match self.source.table_now() {
            Some(table) => table.and_then(|table| self.members(&table, &[])),
            None => Ok(Vec::new()),
        };
        if let Err(error) = &members {
            tracing::warn!(%error, "could not list the processes to kill");
        }
        self.kill_members(&members.unwrap_or_default());
    }

    /// Empty listings in a row that are believed. Where orphans come to us the kernel is asked afterwards anyway.
    fn empty_listings_needed(&self) -> usize {
        if self.membership.orphans { 1 } else { 3 }
    }

    /// Stops all members until a listing shows no new one: who is stopped does not fork, and keeps its children's
    /// descent visible.
    async fn freeze(&mut self) -> io::Result<Vec<Process>> {
        let mut stopped = BTreeSet::new();
        let mut members = self.living_members().await?;
        for _ in 0..FREEZE_ROUNDS {
            let new: Vec<_> = members.iter().filter(|process| stopped.insert(process.id())).copied().collect();
            if new.is_empty() {
                break;
            }
            for process in new {
                self.signal(&process, Signal::SIGSTOP);
            }
            members = self.living_members().await?;
        }
        Ok(members)
    }

    fn kill_members(&mut self, members: &[Process]) {
        for cgroup in &self.membership.cgroups {
            // An old kernel has no such file; the processes are killed one by one anyway.
            if let Err(error) = cgroup.kill() {
                tracing::debug!(?cgroup, %error, "could not kill a cgroup as a whole");
            }
        }
        // A group is killed in one step, even if its processes fork meanwhile.
        let groups: BTreeSet<_> = members.iter().map(|process| process.group).filter(|group| *group > 1).collect();
        for group in groups {
            if let Err(error) = killpg(Pid::from_raw(group), Signal::SIGKILL)
                && error != Errno::ESRCH
            {
                tracing::debug!(group, %error, "could not kill a process group");
            }
        }
        for process in members {
            self.signal(process, Signal::SIGKILL);
        }
        if self.membership.orphans {
            self.kill_adopted();
        }
    }

    /// Kills adopted children as fast as they come to us. A process that forks and ends in a circle is gone from every
    /// listing of the whole table when that is read, but each of its descendants becomes our child in turn.
    fn kill_adopted(&mut self) {
        let mut killed = BTreeSet::new();
        let mut idle = 0;
        for _ in 0..ADOPTED_ROUNDS {
            let mut registry = child_registry::lock();
            registry.reap_orphans();
            let orphans = registry.orphans().unwrap_or_default();
            drop(registry);
            if orphans.is_empty() || idle == IDLE_ROUNDS {
                return;
            }
            idle += 1;
            for pid in orphans {
                // Our child keeps its number until we reap it, so there is no other process to hit.
                if kill(pid, Signal::SIGKILL).is_ok() && killed.insert(pid) {
                    idle = 0;
                    self.count_signalled(pid);
                }
            }
            std::thread::yield_now();
        }
    }

    fn signal(&mut self, process: &Process, signal: Signal) {
        match self.source.signal(process, signal) {
            Ok(()) => {
                self.signalled.insert(process.id());
            }
            Err(Errno::ESRCH) => {}
            Err(error) => tracing::debug!(pid = process.pid, %signal, %error, "could not signal a process"),
        }
    }

    /// Counts a process that is known by its number only.
    fn count_signalled(&mut self, pid: Pid) {
        let pid = pid.as_raw();
        if self.signalled.range((pid, 0)..=(pid, u64::MAX)).next().is_none() {
            self.signalled.insert((pid, 0));
        }
    }

    /// Until a child of ours ends, or for `time`.
    async fn wait_for_exit(&mut self, time: Duration) {
        // Either way the next look tells.
        let _ = timeout(time, self.ends.recv()).await;
    }

    /// The living members now. Reaps the orphans among the dead.
    async fn living_members(&mut self) -> io::Result<Vec<Process>> {
        if self.membership.orphans {
            child_registry::lock().reap_orphans();
        }
        let marked = match &self.membership.marker {
            Some(marker) => marked_pids(self.source, marker).await?,
            None => Vec::new(),
        };
        let table = self.source.table().await?;
        self.members(&table, &marked)
    }

    fn members(&mut self, table: &[Process], marked: &[i32]) -> io::Result<Vec<Process>> {
        let mut seeds = self.seeds(table)?;
        seeds.extend(marked);
        let members = closure(table, &seeds, &self.protected(table));
        self.known.retain(|known| table.iter().any(|process| process.id() == *known));
        self.known.extend(members.iter().map(Process::id));
        Ok(members.into_iter().filter(|process| !process.dead).collect())
    }

    fn seeds(&self, table: &[Process]) -> io::Result<BTreeSet<i32>> {
        let mut seeds: BTreeSet<i32> = self.membership.root.iter().map(|root| root.as_raw()).collect();
        if self.membership.orphans {
            let us = std::process::id().cast_signed();
            let registry = child_registry::lock();
            seeds.extend(table.iter().filter(|one| one.parent == us && !registry.contains(one.pid)).map(|one| one.pid));
        }
        for cgroup in &self.membership.cgroups {
            seeds.extend(cgroup.pids()?);
        }
        seeds.extend(table.iter().filter(|process| self.known.contains(&process.id())).map(|process| process.pid));
        Ok(seeds)
    }

    /// Ourselves and all above us, and the other children we started.
    fn protected(&self, table: &[Process]) -> BTreeSet<i32> {
        let parents: BTreeMap<_, _> = table.iter().map(|process| (process.pid, process.parent)).collect();
        let mut protected = child_registry::lock().pids();
        if let Some(root) = self.membership.root {
            protected.remove(&root.as_raw());
        }
        let mut next = Some(std::process::id().cast_signed());
        while let Some(pid) = next
            && protected.insert(pid)
        {
            next = parents.get(&pid).copied().filter(|parent| *parent > 0);
        }
        protected
    }
}

async fn marked_pids(source: Source, marker: &Marker) -> io::Result<Vec<i32>> {
    let marked = source.marked(MARKER).await?;
    Ok(marked.into_iter().filter(|(_, value)| value == marker.id().as_bytes()).map(|(pid, _)| pid).collect())
}

/// The seeds with all their descendants and all of their groups. A tree's first process leads a session of its own, so
/// that no group reaches out of the tree.
fn closure(table: &[Process], seeds: &BTreeSet<i32>, protected: &BTreeSet<i32>) -> Vec<Process> {
    let protected_groups: BTreeSet<i32> =
        table.iter().filter(|one| protected.contains(&one.pid)).map(|one| one.group).collect();
    let (mut pids, mut groups) = (BTreeSet::new(), BTreeSet::new());
    let mut members: Vec<Process> = Vec::new();
    loop {
        let before = members.len();
        for process in table {
            let belongs =
                seeds.contains(&process.pid) || pids.contains(&process.parent) || groups.contains(&process.group);
            let stays_out = protected.contains(&process.pid) || protected_groups.contains(&process.group);
            if belongs && !stays_out && pids.insert(process.pid) {
                groups.extend((process.group > 1).then_some(process.group));
                members.push(*process);
            }
        }
        if members.len() == before {
            return members;
        }
    }
}

async fn drop_empty(cgroup: &Cgroup) -> io::Result<()> {
    let until = Instant::now() + KILL_TIMEOUT;
    loop {
        match cgroup.remove() {
            Err(_) if Instant::now() < until => tokio::time::sleep(KILL_TICK).await,
            answer => return answer,
        }
    }
}
