//! The watched repositories: whether the last poll of each succeeded, and whether their agents can run.

use kugetsu_agent::{find_program, profile};
use kugetsu_engine::Settings;
use kugetsu_engine::watches::Watch;

use super::check::Check;
use crate::config::load::Loaded;
use crate::read_only_db::ReadOnlyDb;

const ID: &str = "watch";

pub(crate) async fn checks(loaded: &Loaded, db: &ReadOnlyDb) -> Vec<Check> {
    let mut checks = Vec::new();
    for watch in &loaded.settings.watches {
        let name = &watch.name;
        let state = match db.watch(watch.repo.clone()).await {
            Ok(state) => state,
            Err(error) => {
                checks.push(Check::unknown(ID, name, error.to_string()));
                continue;
            }
        };
        checks.push(match (state.error, state.polled_at) {
            (Some(error), _) => {
                let repair = "kugetsu validate, which checks the token and the settings of each watch";
                Check::warning(ID, name, format!("the last poll of {} failed: {error}", watch.repo), repair)
            }
            (None, Some(_)) => Check::ok(ID, name, format!("the last poll of {} succeeded", watch.repo)),
            (None, None) => Check::ok(ID, name, format!("{} has not been polled yet", watch.repo)),
        });
    }
    checks
}

/// The agents that a watch and its rules name.
pub(crate) fn agents_of(watch: &Watch) -> impl Iterator<Item = &str> {
    let rules = watch.rules.iter().filter_map(|rule| rule.agent.as_deref());
    watch.agent.as_deref().into_iter().chain(rules).filter(|name| !name.is_empty())
}

/// An agent of a watch that cannot run.
pub(crate) fn agent_check(settings: &Settings, watch: &Watch, name: &str, repair: &str) -> Option<Check> {
    let profile = match profile(name, &settings.profiles) {
        Ok(profile) => profile,
        Err(error) => return Some(Check::bad(ID, &watch.name, error.to_string(), repair)),
    };
    let missing = find_program(&profile, &settings.search_path()).err()?;
    Some(Check::bad(ID, &watch.name, missing.to_string(), repair))
}
