//! Holds: why queued tasks start no agent although a slot is free and their issue is idle.
//!
//! The scheduler, `kugetsu why`, the lists and the alarm for stalled work get their holds from [`holds`], so that they agree.

use jiff::Timestamp;

use crate::budget::{Budget, Scope, Start};
use crate::model_limit::{Account, FIRST_WAIT, LONGEST_WAIT, ModelLimit, Probe};
use crate::reason::Reason;
use crate::reference::RepoRef;

/// A pause that a user made with `kugetsu pause`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// `None`: everything.
    pub repo: Option<RepoRef>,
    pub since: Timestamp,
}

/// The facts that decide about holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Brakes {
    pub pauses: Vec<Pause>,
    /// When the present quiet hours began and when they end.
    pub quiet_hours: Option<(Timestamp, Timestamp)>,
    /// With the times since when.
    pub shortages: Vec<(Shortage, Timestamp)>,
    pub failed_starts: Vec<FailedStarts>,
    pub model_limits: Vec<ModelLimit>,
    pub budgets: Vec<Budget>,
}

/// A reason why certain tasks do not start.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    pub kind: HoldKind,
    pub since: Timestamp,
    /// When it ends; `None` if something has to happen before.
    pub until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum HoldKind {
    /// `kugetsu pause`, of one repository or of everything.
    Paused { repo: Option<RepoRef> },
    /// The setting `queue.quiet_hours`.
    QuietHours,
    /// Memory or disk space are below the floors of the settings.
    Shortage(Shortage),
    /// The agent fails before its model answers.
    FailedStarts { failed: FailedStarts, probe: Probe },
    /// The provider of the agent's model limits its use.
    ModelLimit { limit: ModelLimit, probe: Probe },
    /// A budget. While there is room, tasks start one by one, because each makes less room for the next.
    Budget(Budget),
}

/// Latest runs of an agent in a row that failed before its model answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedStarts {
    pub agent: String,
    pub count: u32,
    /// When the first and the last of them ended.
    pub first: Timestamp,
    pub last: Timestamp,
    /// Why the last of them failed.
    pub reason: Reason,
    /// Whether a run that started later is in progress.
    pub is_tried: bool,
}

/// Failed starts in a row after which further tasks of the agent wait.
pub const FAILED_STARTS_MAX: u32 = 3;

impl FailedStarts {
    /// When the next task may start.
    fn until(&self) -> Timestamp {
        let doublings = self.count.saturating_sub(FAILED_STARTS_MAX).min(6);
        let wait = (FIRST_WAIT * (1 << doublings)).min(LONGEST_WAIT);
        self.last.saturating_add(wait).unwrap_or(Timestamp::MAX)
    }

    fn hold(&self, now: Timestamp) -> Option<Hold> {
        let until = self.until();
        let probe = match self.is_tried {
            _ if self.count < FAILED_STARTS_MAX => return None,
            _ if now < until => Probe::Later,
            true => Probe::Running,
            false => Probe::Next,
        };
        let until = (probe == Probe::Later).then_some(until);
        Some(Hold { kind: HoldKind::FailedStarts { failed: self.clone(), probe }, since: self.first, until })
    }
}

/// Share of the last ten seconds in which processes waited for memory, in percent, above which there is too little.
pub const PRESSURE_MAX: u64 = 60;

/// Memory and disk space that the machine has left. `None`: not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headroom {
    /// Memory that new processes can have, in MiB.
    pub memory: Option<u64>,
    /// How much of the last ten seconds processes waited for memory, in percent.
    pub pressure: Option<u64>,
    /// Free space where the home is, in MiB.
    pub disk: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    Memory,
    Pressure,
    Disk,
}

/// Something of which the machine has too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    pub resource: Resource,
    pub measured: u64,
    /// The floor; of the pressure, the maximum.
    pub limit: u64,
}

/// Compares what is left with floors in MiB, 0 turns a floor off.
pub fn shortages(headroom: Headroom, min_memory: u64, min_disk: u64) -> Vec<Shortage> {
    let mut found = Vec::new();
    let mut add = |resource, measured: Option<u64>, limit, is_short: bool| {
        found.extend(measured.filter(|_| is_short).map(|measured| Shortage { resource, measured, limit }));
    };
    let below = |left: Option<u64>, floor| left.is_some_and(|left| left < floor);
    add(Resource::Memory, headroom.memory, min_memory, below(headroom.memory, min_memory));
    let is_under_pressure = headroom.pressure.is_some_and(|percent| percent > PRESSURE_MAX);
    add(Resource::Pressure, headroom.pressure, PRESSURE_MAX, min_memory > 0 && is_under_pressure);
    add(Resource::Disk, headroom.disk, min_disk, below(headroom.disk, min_disk));
    found
}

/// Returns every hold. Those that concern most tasks come first.
pub fn holds(brakes: &Brakes, now: Timestamp) -> Vec<Hold> {
    let paused =
        |pause: &Pause| Hold { kind: HoldKind::Paused { repo: pause.repo.clone() }, since: pause.since, until: None };
    let quiet = |(since, until)| Hold { kind: HoldKind::QuietHours, since, until: Some(until) };
    let mut holds: Vec<Hold> = brakes.pauses.iter().map(paused).collect();
    holds.extend(brakes.quiet_hours.map(quiet));
    let short = |(shortage, since): &(Shortage, Timestamp)| Hold {
        kind: HoldKind::Shortage(*shortage),
        since: *since,
        until: None,
    };
    holds.extend(brakes.shortages.iter().map(short));
    holds.extend(brakes.failed_starts.iter().filter_map(|failed| failed.hold(now)));
    let limited = |limit: &ModelLimit| {
        let probe = limit.probe(now);
        let until = (probe == Probe::Later).then_some(limit.until);
        Hold { kind: HoldKind::ModelLimit { limit: limit.clone(), probe }, since: limit.since, until }
    };
    holds.extend(brakes.model_limits.iter().map(limited));
    let budget = |budget: &Budget| {
        let until = budget.until.filter(|_| budget.forbids_all());
        Hold { kind: HoldKind::Budget(budget.clone()), since: now, until }
    };
    holds.extend(brakes.budgets.iter().map(budget));
    holds.sort_by_key(|hold| !hold.is_global());
    holds
}

/// Returns the first of the holds that keeps this task from starting.
pub fn hold_of<'a>(holds: &'a [Hold], start: &Start<'_>) -> Option<&'a Hold> {
    holds.iter().find(|hold| hold.concerns(start) && !hold.lets_start(start))
}

impl Hold {
    pub fn concerns(&self, start: &Start<'_>) -> bool {
        start.kind.needs_agent()
            && match &self.kind {
                HoldKind::Paused { repo } => repo.as_ref().is_none_or(|repo| repo == start.repo),
                HoldKind::QuietHours | HoldKind::Shortage(_) => true,
                HoldKind::FailedStarts { failed, .. } => failed.agent == start.agent,
                HoldKind::ModelLimit { limit, .. } => limit.account.may_be(&Account::of(start.agent, start.model)),
                HoldKind::Budget(budget) => budget.concerns(start),
            }
    }

    /// Whether it concerns every task that needs an agent.
    pub fn is_global(&self) -> bool {
        match &self.kind {
            HoldKind::Paused { repo } => repo.is_none(),
            HoldKind::QuietHours | HoldKind::Shortage(_) => true,
            HoldKind::FailedStarts { .. } | HoldKind::ModelLimit { .. } | HoldKind::Budget(_) => false,
        }
    }

    /// Whether this task may start, if no other does that it concerns.
    fn lets_start(&self, start: &Start<'_>) -> bool {
        match &self.kind {
            HoldKind::Budget(budget) => !budget.forbids(start),
            _ => self.lets_one_start(),
        }
    }

    /// Whether one of the tasks that it concerns may be able to start.
    pub fn lets_one_start(&self) -> bool {
        match &self.kind {
            HoldKind::FailedStarts { probe, .. } | HoldKind::ModelLimit { probe, .. } => *probe == Probe::Next,
            HoldKind::Budget(_) => true,
            HoldKind::Paused { .. } | HoldKind::QuietHours | HoldKind::Shortage(_) => false,
        }
    }

    /// Whether it is worth a warning, which a budget with room is not.
    pub fn is_felt(&self) -> bool {
        !matches!(&self.kind, HoldKind::Budget(budget) if !budget.forbids_all())
    }

    /// The only repository that it concerns.
    pub fn repo(&self) -> Option<&RepoRef> {
        match &self.kind {
            HoldKind::Paused { repo } => repo.as_ref(),
            HoldKind::Budget(budget) => match &budget.scope {
                Scope::Repo(repo) => Some(repo),
                Scope::Run | Scope::Issue(_) | Scope::Day => None,
            },
            HoldKind::QuietHours
            | HoldKind::Shortage(_)
            | HoldKind::FailedStarts { .. }
            | HoldKind::ModelLimit { .. } => None,
        }
    }

    /// The hold as a message, with what ends it as the hint. `time` writes a time for people.
    pub fn describe(&self, time: impl Fn(Timestamp) -> String) -> Reason {
        let since = time(self.since);
        match &self.kind {
            HoldKind::Paused { repo: None } => {
                Reason::from(format!("everything is paused since {since}")).hint("resume with `kugetsu resume`")
            }
            HoldKind::Paused { repo: Some(repo) } => Reason::from(format!("{repo} is paused since {since}"))
                .hint(format!("resume with `kugetsu resume {repo}`")),
            HoldKind::QuietHours => {
                let until = self.until.map(|until| format!(" until {}", time(until))).unwrap_or_default();
                Reason::from(format!("quiet hours{until} (setting queue.quiet_hours)"))
                    .hint("end them with `kugetsu config unset queue.quiet_hours`")
            }
            HoldKind::FailedStarts { failed: FailedStarts { agent, count, reason, .. }, probe } => {
                let next = match (probe, self.until) {
                    (Probe::Later, Some(until)) => format!("one task tries it at {}", time(until)),
                    (Probe::Running, _) => "one task tries it now".to_owned(),
                    (Probe::Later | Probe::Next, _) => "one task tries it next".to_owned(),
                };
                let text = format!("the last {count} runs of {agent} failed before its model answered, {next}: {}", reason.text);
                let own = reason.hint.iter().map(|hint| format!("{hint}; then "));
                let own = own.collect::<String>();
                Reason::from(text).hint(format!(
                    "{own}test it with `kugetsu agents try {agent}`, and try again at once with `kugetsu resume --agent {agent}`"
                ))
            }
            HoldKind::Budget(budget) => budget.describe(time),
            HoldKind::ModelLimit { limit: ModelLimit { account, until, reason, probe: running, .. }, probe } => {
                let next = match (probe, running) {
                    (Probe::Later, _) => format!("until {}, then one task tries it first", time(*until)),
                    (Probe::Running, Some(issue)) => format!("{issue} tries it now, and the others start once the model answers"),
                    (Probe::Running | Probe::Next, _) => "one task tries it next".to_owned(),
                };
                Reason::from(format!("{account} is limited by its provider since {since}, {next}: {}", reason.text))
                    .hint(format!("if there is more quota, try it at once with `kugetsu resume --agent {}`", account.agent))
            }
            HoldKind::Shortage(Shortage { resource, measured, limit }) => match resource {
                Resource::Memory => Reason::from(format!(
                    "since {since}, too little memory: {measured} MiB are available (setting queue.min_memory: {limit})"
                ))
                .hint("end processes, or lower the floor with `kugetsu config set queue.min_memory <MiB>`"),
                Resource::Pressure => Reason::from(format!(
                    "since {since}, too little memory: processes waited for it {measured}% of the last 10 s (at most {limit}%)"
                ))
                .hint("end processes, or turn the check off with `kugetsu config set queue.min_memory 0`"),
                Resource::Disk => Reason::from(format!(
                    "since {since}, too little disk space: {measured} MiB are free in the home (setting queue.min_disk: {limit})"
                ))
                .hint("free some space with `kugetsu gc`, or lower the floor with `kugetsu config set queue.min_disk <MiB>`"),
            },
        }
    }

    /// The name of its kind in JSON.
    pub const fn name(&self) -> &'static str {
        match &self.kind {
            HoldKind::Paused { .. } => "pause",
            HoldKind::QuietHours => "quiet_hours",
            HoldKind::FailedStarts { .. } => "agent",
            HoldKind::ModelLimit { .. } => "model_limit",
            HoldKind::Budget(_) => "budget",
            HoldKind::Shortage(Shortage { resource: Resource::Disk, .. }) => "disk",
            HoldKind::Shortage(_) => "memory",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{ProjectPath, ServerBase};
    use crate::task::TaskKind;

    fn repo(project: &str) -> RepoRef {
        RepoRef { base: ServerBase::new("https://h").unwrap(), project: ProjectPath::new(project).unwrap() }
    }

    fn pause(repo: Option<RepoRef>) -> Pause {
        Pause { repo, since: Timestamp::UNIX_EPOCH }
    }

    fn is_held(brakes: &Brakes, kind: TaskKind, project: &str) -> bool {
        hold_of(
            &holds(brakes, Timestamp::UNIX_EPOCH),
            &Start { kind, repo: &repo(project), issue: None, agent: "a", model: None },
        )
        .is_some()
    }

    #[test]
    fn pause_holds_agents_and_no_pushes() {
        let brakes = Brakes { pauses: vec![pause(None)], ..Brakes::default() };
        for kind in TaskKind::ALL {
            assert_eq!(is_held(&brakes, kind, "a/b"), kind != TaskKind::Push, "{kind:?}");
            assert!(!is_held(&Brakes::default(), kind, "a/b"), "{kind:?}");
        }
    }

    #[test]
    fn pause_of_a_repository_holds_no_other() {
        let brakes = Brakes { pauses: vec![pause(Some(repo("a/b")))], ..Brakes::default() };
        assert!(is_held(&brakes, TaskKind::Continue, "a/b") && !is_held(&brakes, TaskKind::Continue, "a/c"));
    }

    #[test]
    fn holds_of_everything_come_first() {
        let quiet_hours = Some((Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH));
        let found = holds(
            &Brakes { pauses: vec![pause(Some(repo("a/b"))), pause(None)], quiet_hours, ..Brakes::default() },
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(found.iter().map(Hold::name).collect::<Vec<_>>(), ["pause", "quiet_hours", "pause"]);
        assert_eq!(found[1].describe(|_| "noon".to_owned()).text, "quiet hours until noon (setting queue.quiet_hours)");
        let described = found[2].describe(|_| "noon".to_owned());
        assert_eq!(described.text, "h/a/b is paused since noon");
        assert_eq!(described.hint.as_deref(), Some("resume with `kugetsu resume h/a/b`"));
    }

    #[test]
    fn floor_of_zero_is_off_and_the_floor_itself_is_enough() {
        let found = |headroom: Headroom, memory, disk| {
            shortages(headroom, memory, disk).iter().map(|found| found.resource).collect::<Vec<_>>()
        };
        let low = Headroom { memory: Some(511), pressure: Some(PRESSURE_MAX + 1), disk: Some(0) };
        assert_eq!(found(low, 512, 1), [Resource::Memory, Resource::Pressure, Resource::Disk]);
        assert_eq!(found(low, 0, 0), []);
        assert_eq!(found(low, 511, 0), [Resource::Pressure]);
        assert_eq!(found(Headroom::default(), 512, 1024), [], "the engine says what is not known");
    }

    #[test]
    fn agent_that_fails_at_its_start_waits_longer_each_time() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let held = |count, is_tried, now| {
            let reason = Reason::from("no");
            let failed = FailedStarts { agent: "a".to_owned(), count, first: at(0), last: at(0), reason, is_tried };
            let found = holds(&Brakes { failed_starts: vec![failed], ..Brakes::default() }, at(now));
            found.first().map(|hold| (hold.until.map(Timestamp::as_second), hold.lets_one_start()))
        };
        assert_eq!(held(2, false, 0), None);
        assert_eq!(held(3, false, 59), Some((Some(60), false)));
        assert_eq!(held(3, false, 60), Some((None, true)));
        assert_eq!(held(3, true, 60), Some((None, false)), "one at a time");
        assert_eq!(held(4, false, 60), Some((Some(120), false)));
        assert_eq!(held(99, false, 60), Some((Some(3600), false)));
    }
}
