//! Keeps the agent that was chosen because `agent.default` is not set, once work is given to it: another agent that is
//! installed later must not take over.

use kugetsu_api::home::Home;

use crate::config::edit;
use crate::config::load::{Loaded, default_agent_key, load, own_environment};
use crate::setup;
use crate::{connect, ui};

/// Returns the agent that was chosen; `None` if the setting names one, or none is installed.
pub(super) fn chosen(home: &Home) -> Option<String> {
    // The daemon reports settings that cannot be used.
    let loaded = load(home, &own_environment).and_then(Loaded::usable).ok()?;
    loaded.chosen_agent().map(str::to_owned)
}

/// Sets `agent.default`, and says so.
pub(super) async fn keep(home: &Home, agent: &str) {
    let set = setup::ensure_home(home).and_then(|()| edit::set(home, &default_agent_key().to_string(), agent));
    match set {
        Ok(key) => ui::note(format!(
            "{agent} is now the default agent, the first in `kugetsu agents` that is installed and logged in; to change \
             it: kugetsu config set {key} <name>"
        )),
        Err(failure) => return ui::warning(format!("the default agent {agent} was not kept: {}", failure.message)),
    }
    if let Err(failure) = connect::reload_if_running(home).await {
        ui::warning(failure.message);
    }
}
