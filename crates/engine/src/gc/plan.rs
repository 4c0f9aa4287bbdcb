//! Decides what is removed. Pure: it sees an inventory and nothing else.

use std::time::Duration;

use jiff::Timestamp;
use kugetsu_domain::duration;

use super::inventory::{Category, Inventory, Item};

/// Age below which nothing is removed only because the home is too large: it may be needed again in a moment.
const RECENT: Duration = Duration::from_hours(24);

/// When something is removed. Without a limit it stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Age of the directories of ended runs.
    pub(crate) history: Option<Duration>,
    /// Age of unused mirrors.
    pub(crate) mirrors: Option<Duration>,
    pub(crate) rescues: Option<Duration>,
    /// Age of what was set aside.
    pub(crate) quarantine: Option<Duration>,
    /// Size of the home in bytes above which more is removed.
    pub(crate) max_size: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Removal {
    pub(crate) item: Item,
    pub(crate) age: Duration,
    /// Why it may be removed, for people.
    pub(crate) why: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The oldest first.
    pub(crate) removals: Vec<Removal>,
    /// Bytes by which the home is still too large afterwards.
    pub(crate) excess: u64,
}

pub(crate) fn plan(inventory: &Inventory, limits: &Limits) -> Plan {
    let mut items: Vec<(Duration, &Item)> = inventory
        .items
        .iter()
        .filter(|item| !item.in_use)
        .map(|item| (age(inventory.at, item.last_used), item))
        .collect();
    items.sort_by(|(one, a), (other, b)| other.cmp(one).then_with(|| a.name.cmp(&b.name)));
    let mut plan = Plan::default();
    let mut left = inventory.total();
    let mut others = Vec::new();
    for (age, item) in items {
        let (limit, reason) = match item.category {
            Category::Runs => (limits.history, "its task ended more than"),
            Category::Mirrors => (limits.mirrors, "no issue, worktree or rescue needs it, unused for more than"),
            Category::Rescues => (limits.rescues, "rescued more than"),
            Category::Quarantine => (limits.quarantine, "set aside more than"),
            _ => (None, ""),
        };
        match limit.filter(|limit| age >= *limit) {
            Some(limit) => {
                let ago = if item.category == Category::Mirrors { "" } else { " ago" };
                let why = format!("{reason} {}{ago}", duration::format(limit));
                left = left.saturating_sub(item.bytes);
                plan.removals.push(Removal { item: item.clone(), age, why });
            }
            None => others.push((age, item)),
        }
    }
    let Some(max) = limits.max_size else { return plan };
    for (age, item) in others {
        // A rescue or something in quarantine may be the only copy of work.
        let is_replaceable = matches!(item.category, Category::Runs | Category::Mirrors);
        if left > max && is_replaceable && age >= RECENT {
            left = left.saturating_sub(item.bytes);
            let why = "the home is larger than gc.max_size, and this is the oldest that can be removed".to_owned();
            plan.removals.push(Removal { item: item.clone(), age, why });
        }
    }
    plan.excess = left.saturating_sub(max);
    plan
}

/// Zero for a time in the future: the clock was set back.
fn age(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::inventory::{Size, Target};
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn item(category: Category, name: &str, days: i64, bytes: u64) -> Item {
        let last_used = Timestamp::from_second(1_000_000_000 - days * 86_400).unwrap();
        Item { category, name: name.to_owned(), bytes, last_used, in_use: false, target: Target::Path(name.into()) }
    }

    fn inventory(items: Vec<Item>) -> Inventory {
        let bytes = items.iter().map(|item| item.bytes).sum::<u64>();
        let sizes = vec![Size { category: Category::Other, bytes, count: 1 }];
        Inventory { at: Timestamp::from_second(1_000_000_000).unwrap(), sizes, items }
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.removals.iter().map(|removal| removal.item.name.as_str()).collect()
    }

    fn everything() -> Inventory {
        inventory(vec![
            item(Category::Runs, "old run", 10, 1),
            item(Category::Runs, "new run", 3, 2),
            item(Category::Mirrors, "old mirror", 40, 4),
            item(Category::Mirrors, "new mirror", 20, 8),
            item(Category::Rescues, "rescue", 900, 16),
            item(Category::Quarantine, "quarantine", 900, 32),
            Item { in_use: true, ..item(Category::Mirrors, "used mirror", 900, 64) },
        ])
    }

    #[test]
    fn each_kind_has_its_limit_and_without_one_it_stays() {
        assert_eq!(names(&plan(&everything(), &Limits::default())), [""; 0]);
        let limits = Limits { history: Some(7 * DAY), mirrors: Some(30 * DAY), ..Limits::default() };
        let found = plan(&everything(), &limits);
        assert_eq!(names(&found), ["old mirror", "old run"]);
        assert_eq!(found.removals[1].why, "its task ended more than 7d ago");
        let limits = Limits { rescues: Some(900 * DAY), quarantine: Some(901 * DAY), ..Limits::default() };
        assert_eq!(names(&plan(&everything(), &limits)), ["rescue"]);
    }

    #[test]
    fn the_oldest_replaceable_items_go_first_until_the_home_is_small_enough() {
        let limits = |max: u64| Limits { max_size: Some(max), ..Limits::default() };
        assert_eq!(names(&plan(&everything(), &limits(127))), [""; 0]);
        assert_eq!(names(&plan(&everything(), &limits(126))), ["old mirror"]);
        assert_eq!(names(&plan(&everything(), &limits(122))), ["old mirror", "new mirror"]);
        let found = plan(&everything(), &limits(0));
        assert_eq!(names(&found), ["old mirror", "new mirror", "old run", "new run"], "no rescue, nothing in use");
        assert_eq!(found.excess, 16 + 32 + 64);
        let aged = Limits { history: Some(7 * DAY), rescues: Some(DAY), ..limits(110) };
        assert_eq!(names(&plan(&everything(), &aged)), ["rescue", "old run"], "what is too old goes before");
    }

    #[test]
    fn recent_items_and_those_from_the_future_stay() {
        let limits = Limits { max_size: Some(0), mirrors: Some(DAY), ..Limits::default() };
        let all = inventory(vec![item(Category::Mirrors, "future", -5, 1), item(Category::Runs, "today", 0, 1)]);
        assert_eq!(names(&plan(&all, &limits)), [""; 0]);
    }
}
