//! Budgets: how much runs may use before further tasks wait.

use std::collections::HashMap;
use std::fmt;

use jiff::Timestamp;

use crate::ids::IssueId;
use crate::reason::Reason;
use crate::reference::RepoRef;
use crate::run::Usage;
use crate::task::TaskKind;

/// The start of a task, as far as holds depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    pub kind: TaskKind,
    pub repo: &'a RepoRef,
    /// `None` if the issue is not stored yet.
    pub issue: Option<IssueId>,
    pub agent: &'a str,
    /// `None` leaves the choice to the agent's configuration.
    pub model: Option<&'a str>,
}

/// The measure of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// US dollars.
    Dollars,
    /// Input and output, with those in caches.
    Tokens,
}

impl Unit {
    /// `None` if it is not known.
    #[expect(clippy::cast_precision_loss, reason = "no run uses 2^53 tokens")]
    pub fn of(self, usage: Usage) -> Option<f64> {
        match self {
            Self::Dollars => usage.cost_usd,
            Self::Tokens => match (usage.input_tokens, usage.output_tokens) {
                (None, None) => None,
                (input, output) => Some(input.unwrap_or(0).saturating_add(output.unwrap_or(0)) as f64),
            },
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::Dollars => "usd",
            Self::Tokens => "tokens",
        }
    }

    fn amount(self, amount: f64) -> String {
        match self {
            Self::Dollars => format!("${amount:.2}"),
            Self::Tokens => format!("{amount:.0} tokens"),
        }
    }
}

/// The runs whose usage is added up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A single run. It ends runs, and holds no task.
    Run,
    Issue(IssueId),
    Repo(RepoRef),
    /// Those of today, in local time, and those in progress.
    Day,
}

impl Scope {
    const fn name(&self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Issue(_) => "issue",
            Self::Repo(_) => "repo",
            Self::Day => "day",
        }
    }
}

/// Usage of several runs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    pub used: f64,
    /// Runs of agents that have ended and whose usage is not known. They count as 0.
    pub unknown: u64,
}

/// A budget, and what was used of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    pub scope: Scope,
    pub unit: Unit,
    pub limit: f64,
    pub sum: Sum,
    /// Additional usage that the runs in progress will probably have.
    pub planned: f64,
    /// Probable usage of a run, by repository and agent: the median of the latest ones.
    pub typical: HashMap<(RepoRef, String), f64>,
    /// When it ends.
    pub until: Option<Timestamp>,
}

impl Budget {
    pub fn concerns(&self, start: &Start<'_>) -> bool {
        match &self.scope {
            Scope::Run => false,
            Scope::Issue(issue) => start.issue == Some(*issue),
            Scope::Repo(repo) => repo == start.repo,
            Scope::Day => true,
        }
    }

    /// Whether a run of this repository and agent would probably exceed it.
    pub fn forbids(&self, start: &Start<'_>) -> bool {
        let next = self.typical.get(&(start.repo.clone(), start.agent.to_owned())).copied().unwrap_or(0.0);
        self.concerns(start) && self.is_exceeded_by(next)
    }

    /// Whether no run that is known to be queued may start.
    pub fn forbids_all(&self) -> bool {
        self.is_exceeded_by(self.least())
    }

    fn is_exceeded_by(&self, next: f64) -> bool {
        self.sum.used >= self.limit || self.sum.used + self.planned + next > self.limit
    }

    fn least(&self) -> f64 {
        self.typical.values().copied().min_by(f64::total_cmp).unwrap_or(0.0)
    }

    /// The setting with its limit.
    pub fn setting(&self) -> String {
        format!("budget.{}_{}", self.scope.name(), self.unit.suffix())
    }

    /// Why no task starts, and what to type. `time` writes a time for people.
    pub fn describe(&self, time: impl Fn(Timestamp) -> String) -> Reason {
        let until = self.until.map(|until| format!(" until {}", time(until))).unwrap_or_default();
        let planned = match self.planned + self.least() {
            _ if self.sum.used >= self.limit => String::new(),
            planned => format!(", and runs in progress and the next one will use about {}", self.unit.amount(planned)),
        };
        Reason::from(format!("no agent starts{until}: {self}{planned}")).hint(self.raise())
    }

    /// Why a run in progress was ended.
    pub fn describe_end(&self) -> Reason {
        Reason::from(format!("the budget is spent: {self}")).hint(self.raise())
    }

    fn raise(&self) -> String {
        format!(
            "raise it with `kugetsu config set {} <{}>`",
            self.setting(),
            match self.unit {
                Unit::Dollars => "dollars",
                Unit::Tokens => "tokens",
            }
        )
    }
}

/// The usage beside the limit.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match &self.scope {
            Scope::Run => "the run".to_owned(),
            Scope::Issue(_) => "the issue".to_owned(),
            Scope::Repo(repo) => repo.to_string(),
            Scope::Day => "today".to_owned(),
        };
        let (used, limit) = (self.unit.amount(self.sum.used), self.unit.amount(self.limit));
        write!(f, "{of}, {used} of {limit} were used (setting {})", self.setting())?;
        match self.sum.unknown {
            0 => Ok(()),
            1 => f.write_str(", without 1 run whose usage is not known"),
            unknown => write!(f, ", without {unknown} runs whose usage is not known"),
        }
    }
}

/// The middle of these amounts; `None` without any.
pub fn median(mut amounts: Vec<f64>) -> Option<f64> {
    amounts.sort_by(f64::total_cmp);
    amounts.get(amounts.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{IssueRef, ProjectPath, ServerBase};

    fn repo(project: &str) -> RepoRef {
        RepoRef { base: ServerBase::new("https://h").unwrap(), project: ProjectPath::new(project).unwrap() }
    }

    fn budget(used: f64, planned: f64) -> Budget {
        Budget {
            scope: Scope::Day,
            unit: Unit::Dollars,
            limit: 5.0,
            sum: Sum { used, unknown: 0 },
            planned,
            typical: HashMap::from([((repo("a/b"), "a".to_owned()), 1.0)]),
            until: None,
        }
    }

    fn forbids(budget: &Budget, repo: &RepoRef) -> bool {
        budget.forbids(&Start { kind: TaskKind::Start, repo, issue: None, agent: "a", model: None })
    }

    #[test]
    fn budget_leaves_room_for_runs_in_progress_and_the_next_one() {
        let [here, other] = [repo("a/b"), repo("a/c")];
        assert!(!forbids(&budget(4.0, 0.0), &here), "it is just enough");
        assert!(forbids(&budget(4.01, 0.0), &here));
        assert!(!forbids(&budget(4.01, 0.0), &other), "nothing is known of its runs");
        assert!(forbids(&budget(3.0, 1.5), &here));
        assert!(forbids(&budget(5.0, 0.0), &other), "it is spent");
        assert!(!forbids(&Budget { scope: Scope::Repo(other), ..budget(9.0, 0.0) }, &here));
        assert!(!forbids(&Budget { scope: Scope::Run, ..budget(9.0, 0.0) }, &here));
    }

    #[test]
    fn message_names_setting_usage_and_command() {
        let mut spent = budget(4.5, 0.25);
        spent.sum.unknown = 2;
        let reason = spent.describe(|_| "noon".to_owned());
        assert_eq!(
            reason.text,
            "no agent starts: today, $4.50 of $5.00 were used (setting budget.day_usd), without 2 runs whose usage is not known, \
             and runs in progress and the next one will use about $1.25"
        );
        assert_eq!(reason.hint.as_deref(), Some("raise it with `kugetsu config set budget.day_usd <dollars>`"));
        let tokens =
            Budget { unit: Unit::Tokens, scope: Scope::Repo(IssueRef::coordinator().repo), ..budget(7.0, 0.0) };
        let text = tokens.describe(|_| String::new()).text;
        assert!(text.ends_with("7 tokens of 5 tokens were used (setting budget.repo_tokens)"), "{text}");
    }

    #[test]
    fn unknown_usage_is_not_zero() {
        assert_eq!(Unit::Dollars.of(Usage::default()), None);
        assert_eq!(Unit::Tokens.of(Usage { input_tokens: Some(3), ..Usage::default() }), Some(3.0));
        assert_eq!((median(vec![]), median(vec![3.0, 1.0, 2.0])), (None, Some(2.0)));
    }
}
