//! Finds every process of a tree and ends it: first by SIGTERM, then by SIGKILL until none is left.
//!
//! The difficulty is that a tree changes while it is read. By the time a listing of all processes is complete, some of
//! them have ended and others have been forked, and a process may leave its group, lose its parent and clear its
//! environment on purpose. Three ideas deal with that:
//!
//! - **Membership is transitive and remembered.** A process belongs to the tree if it descends from a member, shares a
//!   group with one, is in the tree's cgroup, carries its marker, or was a member in an earlier listing. So a process stays
//!   a member after its parent has ended.
//! - **Stopping comes before killing.** A stopped process neither forks nor ends, so its children keep their parent and
//!   remain recognizable. [`freeze`](TreeKiller::freeze) stops members until a listing shows no new one.
//! - **No single listing counts.** The killing ends when new listings are empty; where this process adopts orphans, the
//!   caller then also asks the kernel whether it still has children.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::time::{Instant, timeout};

use super::cgroup::Cgroup;
use super::table::ProcessTable;
use crate::child::registry;
use crate::marker::{MARKER, Marker};
use crate::os::{Process, closure};

/// Interval between listings. Members that are not children of this process end without a SIGCHLD.
const TICK: Duration = Duration::from_millis(100);
/// The interval while killing.
const KILL_TICK: Duration = Duration::from_millis(10);
/// After this, a process that survives SIGKILL is reported. It may be busy in the kernel, with a slow disk for example.
const KILL_TIMEOUT: Duration = Duration::from_secs(15);
/// After this, a tree is reported whose processes end, but always leave new ones: they fork faster than a busy machine lets
/// this process kill them.
const FORKING_TIMEOUT: Duration = Duration::from_secs(60);
/// Successive listings that may show new members before all are killed anyway.
const FREEZE_ROUNDS: usize = 20;
/// Rounds of killing adopted children before the whole table is read again.
const ADOPTED_ROUNDS: usize = 2_000;
/// Rounds that may find no new adopted child before that: a killed process takes a moment to end.
const IDLE_ROUNDS: usize = 50;

/// How the members of a tree are recognized.
#[derive(Debug, Default)]
pub(crate) struct Membership {
    /// The first process, until it is reaped.
    pub(crate) root: Option<Pid>,
    /// Whether children of this process that it did not start belong to the tree.
    pub(crate) orphans: bool,
    pub(crate) markers: Vec<Marker>,
    pub(crate) cgroups: Vec<Cgroup>,
}

/// Pid and start time.
type Id = (i32, u64);

pub(crate) struct TreeKiller {
    table: ProcessTable,
    pub(crate) membership: Membership,
    /// Members of earlier listings that still exist.
    known: BTreeSet<Id>,
    signaled: BTreeSet<Id>,
    child_exits: SignalStream,
}

impl TreeKiller {
    pub(crate) fn new(table: ProcessTable, membership: Membership) -> io::Result<Self> {
        let child_exits = signal(SignalKind::child())?;
        Ok(Self { table, membership, known: BTreeSet::new(), signaled: BTreeSet::new(), child_exits })
    }

    pub(crate) fn table(&self) -> ProcessTable {
        self.table
    }

    /// Returns how many processes were sent a signal.
    pub(crate) fn signaled(&self) -> usize {
        self.signaled.len()
    }

    /// Sends SIGTERM to all members, and waits up to `grace` for them to end.
    pub(crate) async fn terminate(&mut self, grace: Duration) -> io::Result<()> {
        let deadline = Instant::now() + grace;
        for process in self.living_members().await? {
            self.signal(&process, Signal::SIGTERM);
            // A stopped process handles SIGTERM only after it is continued.
            self.signal(&process, Signal::SIGCONT);
        }
        while !self.living_members().await?.is_empty() && Instant::now() < deadline {
            self.wait_for_exit(TICK.min(deadline - Instant::now())).await;
        }
        Ok(())
    }

    /// Kills members until none is left. Returns those that are left once one has survived for [`KILL_TIMEOUT`], or after
    /// [`FORKING_TIMEOUT`].
    pub(crate) async fn kill(&mut self) -> io::Result<Vec<Pid>> {
        let deadline = Instant::now() + FORKING_TIMEOUT;
        let mut first_killed: BTreeMap<Id, Instant> = BTreeMap::new();
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
                let now = Instant::now();
                let since = |process: &Process| first_killed.get(&process.id()).copied().unwrap_or(now);
                first_killed = members.iter().map(|process| (process.id(), since(process))).collect();
                let survives = first_killed.values().any(|since| now.duration_since(*since) >= KILL_TIMEOUT);
                if survives || now >= deadline {
                    let left = self.living_members().await?;
                    return Ok(left.into_iter().map(|process| Pid::from_raw(process.pid)).collect());
                }
            }
            self.wait_for_exit(KILL_TICK).await;
        }
    }

    /// Kills the members of one listing without waiting.
    pub(crate) fn kill_now(&mut self) {
        let members = match self.table.list_now() {
            Some(table) => table.and_then(|table| self.members(&table, &[])),
            None => Ok(Vec::new()),
        };
        if let Err(error) = &members {
            tracing::warn!(%error, "could not list the processes to kill");
        }
        self.kill_members(&members.unwrap_or_default());
    }

    /// Removes the tree's cgroups. The kernel refuses while a zombie is in one, so this retries for a while.
    pub(crate) async fn drop_empty_cgroups(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        for cgroup in std::mem::take(&mut self.membership.cgroups) {
            result = result.and(drop_empty(&cgroup).await);
        }
        result
    }

    /// Where orphans are adopted, one empty listing is enough, because the kernel confirms it afterwards. Elsewhere a member
    /// may have forked and ended while the listing was read, so several in a row are needed.
    fn empty_listings_needed(&self) -> usize {
        if self.membership.orphans { 1 } else { 3 }
    }

    /// Stops all members until a listing shows no new one, and returns them.
    ///
    /// Were they killed one after the other instead, each could fork before its turn. And where orphans go to init, the
    /// children of a killed member that left its group could not be recognized any more.
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

    /// Kills from the largest unit to the smallest: a cgroup and a process group are each killed in one step, even while
    /// their processes fork; single processes catch what is in neither.
    fn kill_members(&mut self, members: &[Process]) {
        for cgroup in &self.membership.cgroups {
            // A kernel before 5.14 has no `cgroup.kill`. The processes are also killed one by one below.
            if let Err(error) = cgroup.kill() {
                tracing::debug!(?cgroup, %error, "could not kill a cgroup as a whole");
            }
        }
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

    /// Kills adopted children as fast as they arrive.
    ///
    /// Some programs escape every listing of the whole table: each process forks a child in a new session and ends, so that
    /// none lives long enough to be read and signaled. But every one of them becomes a child of this process, and the list
    /// of children is short and quickly read. Killing from that list wins the race.
    fn kill_adopted(&mut self) {
        let mut killed = BTreeSet::new();
        let mut idle = 0;
        for _ in 0..ADOPTED_ROUNDS {
            let mut registry = registry::lock();
            registry.reap_orphans();
            let orphans = registry.orphans().unwrap_or_default();
            drop(registry);
            if orphans.is_empty() || idle == IDLE_ROUNDS {
                return;
            }
            idle += 1;
            for pid in orphans {
                // A child keeps its pid until this process reaps it, so no other process can be hit.
                if kill(pid, Signal::SIGKILL).is_ok() && killed.insert(pid) {
                    idle = 0;
                    self.count_signaled(pid);
                }
            }
            std::thread::yield_now();
        }
    }

    fn signal(&mut self, process: &Process, signal: Signal) {
        match self.table.signal(process, signal) {
            Ok(()) => {
                self.signaled.insert(process.id());
            }
            Err(Errno::ESRCH) => {}
            Err(error) => tracing::debug!(pid = process.pid, %signal, %error, "could not signal a process"),
        }
    }

    /// Counts a process whose start time is unknown, unless it was counted before.
    fn count_signaled(&mut self, pid: Pid) {
        let pid = pid.as_raw();
        if self.signaled.range((pid, 0)..=(pid, u64::MAX)).next().is_none() {
            self.signaled.insert((pid, 0));
        }
    }

    /// Waits until a child of this process ends, up to `limit`.
    async fn wait_for_exit(&mut self, limit: Duration) {
        // A timeout and a signal lead to the same: the caller lists the processes again.
        let _ = timeout(limit, self.child_exits.recv()).await;
    }

    /// Lists the members that are not zombies, and reaps adopted zombies.
    async fn living_members(&mut self) -> io::Result<Vec<Process>> {
        if self.membership.orphans {
            registry::lock().reap_orphans();
        }
        let marked = match self.membership.markers.as_slice() {
            [] => Vec::new(),
            markers => marked_pids(self.table, markers).await?,
        };
        let table = self.table.list().await?;
        self.members(&table, &marked)
    }

    fn members(&mut self, table: &[Process], marked: &[i32]) -> io::Result<Vec<Process>> {
        let mut seeds = self.seeds(table)?;
        seeds.extend(marked);
        let members = closure(table, &seeds, &self.protected(table));
        // Zombies are remembered too: they still lead to their groups.
        self.known.retain(|known| table.iter().any(|process| process.id() == *known));
        self.known.extend(members.iter().map(Process::id));
        Ok(members.into_iter().filter(|process| !process.dead).collect())
    }

    /// Members that are recognized without looking at their parents and groups.
    fn seeds(&self, table: &[Process]) -> io::Result<BTreeSet<i32>> {
        let mut seeds: BTreeSet<i32> = self.membership.root.iter().map(|root| root.as_raw()).collect();
        if self.membership.orphans {
            let us = std::process::id().cast_signed();
            let registry = registry::lock();
            let orphans = table.iter().filter(|process| process.parent == us && !registry.contains(process.pid));
            seeds.extend(orphans.map(|process| process.pid));
        }
        for cgroup in &self.membership.cgroups {
            seeds.extend(cgroup.pids()?);
        }
        seeds.extend(table.iter().filter(|process| self.known.contains(&process.id())).map(|process| process.pid));
        Ok(seeds)
    }

    /// Processes that are never members: this one, its ancestors, and the other children that it started. A daemon that was
    /// started from within a run carries that run's marker itself.
    fn protected(&self, table: &[Process]) -> BTreeSet<i32> {
        let parents: BTreeMap<_, _> = table.iter().map(|process| (process.pid, process.parent)).collect();
        let mut protected = registry::lock().pids();
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

async fn marked_pids(table: ProcessTable, markers: &[Marker]) -> io::Result<Vec<i32>> {
    let marked = table.marked(MARKER).await?;
    let is_meant = |value: &[u8]| markers.iter().any(|marker| value == marker.id().as_bytes());
    Ok(marked.into_iter().filter(|(_, value)| is_meant(value)).map(|(pid, _)| pid).collect())
}

async fn drop_empty(cgroup: &Cgroup) -> io::Result<()> {
    let deadline = Instant::now() + KILL_TIMEOUT;
    loop {
        match cgroup.remove() {
            Err(_) if Instant::now() < deadline => tokio::time::sleep(KILL_TICK).await,
            result => return result,
        }
    }
}
