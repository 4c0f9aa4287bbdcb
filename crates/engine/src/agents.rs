//! Looks up agents and their programs.

use std::path::PathBuf;

use kugetsu_agent::{Profile, profile};
use kugetsu_api::problem::{Problem, ProblemKind};

use crate::problems::problem;
use crate::settings::Settings;

/// Returns the profile of an agent and the path of its program.
///
/// # Errors
/// There is no such agent, or its program is not installed.
pub(crate) fn check(settings: &Settings, name: &str) -> Result<(Profile, PathBuf), Problem> {
    let profile =
        profile(name, &settings.profiles).map_err(|error| problem(ProblemKind::Usage, &error, error.hint()))?;
    let program = kugetsu_agent::find_program(&profile, &settings.search_path())
        .map_err(|error| problem(ProblemKind::Usage, &error, error.hint()))?;
    Ok((profile, program))
}
