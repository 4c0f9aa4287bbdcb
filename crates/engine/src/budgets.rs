//! Budgets: usage of runs so far, and what those in progress and the next ones will probably use.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use kugetsu_api::run_spec::RunnerControl;
use kugetsu_domain::budget::{Budget, Scope, Sum, Unit, median};
use kugetsu_domain::issue::Lease;
use kugetsu_domain::reason::Reason;
use kugetsu_domain::reference::RepoRef;
use kugetsu_domain::run::Usage;
use kugetsu_store::error::StoreError;
use kugetsu_store::view::{LiveUsage, UsageSum};

use crate::budget_limits::BudgetLimits;
use crate::engine::Engine;

/// Runs of a repository and an agent from which is derived what the next one uses.
const RECENT_MAX: u32 = 20;

const UNITS: [Unit; 2] = [Unit::Dollars, Unit::Tokens];

/// The facts that budgets are compared with.
struct Facts {
    /// The scopes, without that of single runs, with what their runs have used, those in progress included.
    sums: Vec<(Scope, UsageSum)>,
    live: Vec<LiveUsage>,
    recent: HashMap<(RepoRef, String), Vec<Usage>>,
}

async fn facts(engine: &Engine, limits: &BudgetLimits) -> Result<Facts, StoreError> {
    let store = engine.store();
    let (mut sums, live) = (Vec::new(), store.live_usage().await?);
    let has = |scope: &Scope| UNITS.iter().any(|unit| limits.of(scope, *unit).is_some());
    if has(&Scope::Day) {
        let mut sum = store.usage_since(midnight(engine.now(), 0)).await?;
        for run in &live {
            sum.cost_usd += Unit::Dollars.of(run.used).unwrap_or(0.0);
            sum.tokens += Unit::Tokens.of(run.used).unwrap_or(0.0);
        }
        sums.push((Scope::Day, sum));
    }
    if limits.repo_usd.is_some() || limits.repo_tokens.is_some() {
        let repos = store.usage_of_repos().await?;
        sums.extend(repos.into_iter().map(|(repo, sum)| (Scope::Repo(repo), sum)));
    }
    if limits.issue_usd.is_some() || limits.issue_tokens.is_some() {
        let issues = store.usage_of_issues().await?;
        sums.extend(issues.into_iter().map(|(issue, sum)| (Scope::Issue(issue), sum)));
    }
    let recent = store.recent_usage(RECENT_MAX).await?;
    let recent = recent.into_iter().map(|recent| ((recent.repo, recent.agent), recent.used)).collect();
    Ok(Facts { sums, live, recent })
}

/// Returns every budget that has a limit, but those of single runs.
///
/// # Errors
/// The database failed.
pub(crate) async fn current(engine: &Engine) -> Result<Vec<Budget>, StoreError> {
    let limits = engine.settings().budget.clone();
    if limits == BudgetLimits::default() {
        return Ok(Vec::new());
    }
    let facts = facts(engine, &limits).await?;
    let tomorrow = midnight(engine.now(), 1);
    let mut budgets = Vec::new();
    for unit in UNITS {
        let typical: HashMap<(RepoRef, String), f64> = facts
            .recent
            .iter()
            .filter_map(|(pair, used)| {
                let amounts = used.iter().filter_map(|used| unit.of(*used)).collect();
                Some((pair.clone(), median(amounts)?))
            })
            .collect();
        for (scope, sum) in &facts.sums {
            let Some(limit) = limits.of(scope, unit) else { continue };
            let is_in = |run: &&LiveUsage| match scope {
                Scope::Issue(issue) => run.issue == *issue,
                Scope::Repo(repo) => run.repo == *repo,
                Scope::Run | Scope::Day => true,
            };
            let rest = |run: &LiveUsage| {
                let expected = typical.get(&(run.repo.clone(), run.agent.clone())).copied().unwrap_or(0.0);
                (expected - unit.of(run.used).unwrap_or(0.0)).max(0.0)
            };
            let planned = facts.live.iter().filter(is_in).map(rest).sum();
            let until = (*scope == Scope::Day).then_some(tomorrow);
            let (scope, sum, typical) = (scope.clone(), of_unit(sum, unit), typical.clone());
            budgets.push(Budget { scope, unit, limit, sum, planned, typical, until });
        }
    }
    Ok(budgets)
}

fn of_unit(sum: &UsageSum, unit: Unit) -> Sum {
    match unit {
        Unit::Dollars => Sum { used: sum.cost_usd, unknown: sum.unknown_costs },
        Unit::Tokens => Sum { used: sum.tokens, unknown: sum.unknown_tokens },
    }
}

/// The beginning of the day in local time, so many days later.
fn midnight(now: Timestamp, days: i64) -> Timestamp {
    let day = now.to_zoned(TimeZone::system()).start_of_day().and_then(|day| day.checked_add(days.days()));
    day.map_or(now, |day| day.timestamp())
}

/// Ends the run if it, or what it belongs to, has used more than a budget allows.
///
/// # Errors
/// The database failed.
pub(crate) async fn end_if_spent(engine: &Engine, lease: Lease, used: Usage) -> Result<(), StoreError> {
    let Some(reason) = spent_by(engine, lease, used).await? else { return Ok(()) };
    tracing::info!(run = %lease.run, reason = reason.text, "a run has used up a budget; it is ended");
    engine.runners().send(lease.run, RunnerControl::Spent { reason: reason.text, hint: reason.hint });
    Ok(())
}

async fn spent_by(engine: &Engine, lease: Lease, used: Usage) -> Result<Option<Reason>, StoreError> {
    let limits = engine.settings().budget.clone();
    if limits == BudgetLimits::default() {
        return Ok(None);
    }
    let issue = engine.store().issue_by_id(lease.issue).await?;
    let mut budgets = current(engine).await?;
    budgets.extend(UNITS.into_iter().filter_map(|unit| {
        let (limit, used) = (limits.of(&Scope::Run, unit)?, unit.of(used)?);
        let (sum, typical) = (Sum { used, unknown: 0 }, HashMap::new());
        Some(Budget { scope: Scope::Run, unit, limit, sum, planned: 0.0, typical, until: None })
    }));
    let spent = budgets.iter().find(|budget| {
        let is_of_run = match &budget.scope {
            Scope::Run | Scope::Day => true,
            Scope::Issue(id) => *id == lease.issue,
            Scope::Repo(repo) => *repo == issue.reference.repo,
        };
        is_of_run && budget.sum.used > budget.limit
    });
    Ok(spent.map(Budget::describe_end))
}
