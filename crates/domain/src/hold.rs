//! Holds: why queued tasks start no agent although a slot is free and their issue is idle.
//!
//! The scheduler, `kugetsu why`, the lists and the alarm for stalled work get their holds from [`holds`], so that they agree.

use jiff::Timestamp;

use crate::reason::Reason;
use crate::reference::RepoRef;
use crate::task::TaskKind;

/// What `kugetsu pause` was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// `None`: everything.
    pub repo: Option<RepoRef>,
    pub since: Timestamp,
}

/// The facts that decide about holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brakes {
    pub pauses: Vec<Pause>,
    /// When the present quiet hours began and when they end.
    pub quiet_hours: Option<(Timestamp, Timestamp)>,
}

/// A reason why certain tasks do not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub kind: HoldKind,
    pub since: Timestamp,
    /// When it ends; `None` if something has to happen before.
    pub until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldKind {
    /// `kugetsu pause`, of one repository or of everything.
    Paused { repo: Option<RepoRef> },
    /// The setting `queue.quiet_hours`.
    QuietHours,
}

/// What decides whether a hold concerns a task.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    pub kind: TaskKind,
    pub repo: &'a RepoRef,
}

/// Returns every hold. Those that concern most tasks come first.
pub fn holds(brakes: &Brakes) -> Vec<Hold> {
    let paused =
        |pause: &Pause| Hold { kind: HoldKind::Paused { repo: pause.repo.clone() }, since: pause.since, until: None };
    let quiet = |(since, until)| Hold { kind: HoldKind::QuietHours, since, until: Some(until) };
    let mut holds: Vec<Hold> = brakes.pauses.iter().map(paused).collect();
    holds.extend(brakes.quiet_hours.map(quiet));
    holds.sort_by_key(|hold| !hold.is_global());
    holds
}

/// Returns the first of the holds that concerns this start.
pub fn hold_of<'a>(holds: &'a [Hold], start: &Start<'_>) -> Option<&'a Hold> {
    holds.iter().find(|hold| hold.concerns(start))
}

impl Hold {
    pub fn concerns(&self, start: &Start<'_>) -> bool {
        start.kind.needs_agent()
            && match &self.kind {
                HoldKind::Paused { repo } => repo.as_ref().is_none_or(|repo| repo == start.repo),
                HoldKind::QuietHours => true,
            }
    }

    /// Whether it concerns every task that needs an agent.
    pub fn is_global(&self) -> bool {
        match &self.kind {
            HoldKind::Paused { repo } => repo.is_none(),
            HoldKind::QuietHours => true,
        }
    }

    /// The only repository that it concerns.
    pub fn repo(&self) -> Option<&RepoRef> {
        match &self.kind {
            HoldKind::Paused { repo } => repo.as_ref(),
            HoldKind::QuietHours => None,
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
        }
    }

    /// The name of its kind in JSON.
    pub const fn name(&self) -> &'static str {
        match &self.kind {
            HoldKind::Paused { .. } => "pause",
            HoldKind::QuietHours => "quiet_hours",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{ProjectPath, ServerBase};

    fn repo(project: &str) -> RepoRef {
        RepoRef { base: ServerBase::new("https://h").unwrap(), project: ProjectPath::new(project).unwrap() }
    }

    fn pause(repo: Option<RepoRef>) -> Pause {
        Pause { repo, since: Timestamp::UNIX_EPOCH }
    }

    fn is_held(brakes: &Brakes, kind: TaskKind, project: &str) -> bool {
        hold_of(&holds(brakes), &Start { kind, repo: &repo(project) }).is_some()
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
        let found = holds(&Brakes { pauses: vec![pause(Some(repo("a/b"))), pause(None)], quiet_hours });
        assert_eq!(found.iter().map(Hold::name).collect::<Vec<_>>(), ["pause", "quiet_hours", "pause"]);
        assert_eq!(found[1].describe(|_| "noon".to_owned()).text, "quiet hours until noon (setting queue.quiet_hours)");
        let described = found[2].describe(|_| "noon".to_owned());
        assert_eq!(described.text, "h/a/b is paused since noon");
        assert_eq!(described.hint.as_deref(), Some("resume with `kugetsu resume h/a/b`"));
    }
}
