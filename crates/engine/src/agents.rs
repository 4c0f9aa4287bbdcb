//! Which agents there are, and whether one can be started here.

use std::path::PathBuf;

use kugetsu_agent::{Profile, profile};
use kugetsu_api::problem::Problem;

use crate::problems::usage;
use crate::settings::Settings;

/// The agent of this name and where its program is.
///
/// # Errors
/// There is no such agent, or its program is not installed.
pub(crate) fn check(settings: &Settings, name: &str) -> Result<(Profile, PathBuf), Problem> {
    let profile = profile(name, &settings.agents)
        .map_err(|error| usage(error.to_string()).hint("how to add one: kugetsu help agents"))?;
    let program =
        kugetsu_agent::find_program(&profile, &settings.search_path()).map_err(|error| usage(error.to_string()))?;
    Ok((profile, program))
}
