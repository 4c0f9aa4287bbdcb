//! `kugetsu validate`: reads the settings, and explains what would happen with them. It changes nothing and starts no daemon.

use clap::Args;
use kugetsu_api::home::Home;
use kugetsu_api::watch::{Finding, PollObject, PollRequest};
use kugetsu_domain::text::counted;
use kugetsu_engine::repo_file::with_known_file;
use kugetsu_engine::watch_queries::polls::{self, Mode};
use kugetsu_engine::watch_queries::probe;
use kugetsu_engine::watches::Watch;
use serde::Serialize;

use super::{doctor, watch};
use crate::config::load::{Loaded, load, own_environment};
use crate::doctor::check::{Check, State};
use crate::doctor::watches::{agent_check, agents_of};
use crate::doctor::{agents, servers, settings};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::read_only_db;
use crate::read_only_engine::{self, ReadOnlyEngine};
use crate::ui::{self, Tone};

const SETTINGS: &str = "settings";
const WATCH: &str = "watch";
const CORRECT: &str = "correct the file; `kugetsu config edit` opens it";

/// Check the settings, and explain what would start with them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu validate
  kugetsu validate --offline --json

It changes nothing and starts no daemon. The exit code is 1 if something is
wrong.")]
pub(crate) struct Validate {
    /// Do not contact any server.
    #[arg(long)]
    offline: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// The result as JSON.
#[derive(Debug, Default, Serialize)]
struct Validation {
    checks: Vec<Check>,
    /// The decisions about watched repositories; empty with `--offline`.
    watches: Vec<PollObject>,
}

pub(crate) async fn run(home: &Home, arguments: Validate) -> Result<Exit, Failure> {
    let validating = validate(home, arguments.offline);
    let (validation, free_slots) = ui::notify_if_slow("checking the settings", validating).await?;
    let is_wrong = validation.checks.iter().any(|check| check.state == State::Bad);
    let is_unread = validation.watches.iter().any(|watch| watch.error.is_some());
    let exit = if is_wrong || is_unread { Exit::Failed } else { Exit::Done };
    if arguments.json {
        ui::json(&validation)?;
        return Ok(exit);
    }
    validation.checks.iter().for_each(doctor::print);
    validation.watches.iter().for_each(|polled| watch::print_poll(polled, true));
    if let Some(slots) = free_slots.filter(|_| !validation.watches.is_empty()) {
        let slots = counted(slots as u64, "slot");
        ui::toned(Tone::Dim, format!("{slots} free now; further tasks wait in the queue"));
    }
    Ok(exit)
}

/// Returns the result and the number of free slots, if that is known.
async fn validate(home: &Home, is_offline: bool) -> Result<(Validation, Option<usize>), Failure> {
    let loaded = match load(home, &own_environment) {
        Ok(loaded) => loaded,
        Err(error) => {
            let checks = vec![Check::bad(SETTINGS, &error.location, &error.message, CORRECT)];
            return Ok((Validation { checks, ..Validation::default() }, None));
        }
    };
    let mut validation = Validation { checks: settings_checks(home, &loaded), ..Validation::default() };
    validation.checks.extend(agents::checks(home, &loaded.settings, None).await);
    let repositories = match read_only_db::open(home).await {
        Ok(Some(db)) => db.repositories().await.ok(),
        _ => None,
    };
    validation.checks.extend(servers::checks(&loaded, repositories.as_deref(), is_offline).await);
    let watches = loaded.settings.watches.clone();
    for watch in &watches {
        let name = &watch.name;
        let repair = format!(
            "list the agents with `kugetsu agents`, or set another: kugetsu config set watch.{name}.agent <name>"
        );
        let checks = agents_of(watch).filter_map(|agent| agent_check(&loaded.settings, watch, agent, &repair));
        validation.checks.extend(checks);
    }
    if is_offline || watches.is_empty() {
        return Ok((validation, None));
    }
    let max = loaded.settings.agents.max;
    let engine = read_only_engine::open(home, loaded.settings).await?;
    // It reads the repositories' own files.
    let polled = polls::poll(&engine, &PollRequest::default(), Mode::Dry).await;
    validation.watches = polled.map_err(|problem| Failure::new(problem.message).hints(problem.hint))?;
    for watch in &watches {
        let whole = with_known_file(&engine, watch);
        let of_file = agents_of(&whole).filter(|agent| !agents_of(watch).any(|own| own == *agent));
        let repair = "correct `agent` in .kugetsu.toml on the default branch";
        validation.checks.extend(of_file.filter_map(|agent| agent_check(&engine.settings(), watch, agent, repair)));
        validation.checks.extend(probe_checks(&engine, &whole).await?);
    }
    let in_use = engine.store().queue(0).await.map_err(|error| Failure::new(error.to_string()).hints(error.hint()))?;
    Ok((validation, Some(max.saturating_sub(in_use.slots_in_use))))
}

/// Mistakes are wrong also while the last valid settings stay in effect.
fn settings_checks(home: &Home, loaded: &Loaded) -> Vec<Check> {
    let mut checks: Vec<Check> =
        loaded.errors.iter().map(|error| Check::bad(SETTINGS, &error.location, &error.message, CORRECT)).collect();
    checks.extend(loaded.warnings.iter().map(|warning| Check::warning(SETTINGS, "", warning, "correct or remove it")));
    if checks.is_empty() {
        checks.push(Check::ok(SETTINGS, home.config().display().to_string(), "all settings are valid"));
    }
    checks.extend(settings::env_checks(home));
    checks
}

async fn probe_checks(engine: &ReadOnlyEngine, configured: &Watch) -> Result<Vec<Check>, Failure> {
    let probed = match probe::probe(engine, &watch::probe_request(configured)?).await {
        Ok(probed) => probed,
        Err(problem) => {
            let check = Check::bad(WATCH, &configured.name, problem.message, problem.hint.unwrap_or_default());
            return Ok(vec![check]);
        }
    };
    let hint = |finding: &Finding| finding.hint.clone().unwrap_or_default();
    let mut checks: Vec<Check> =
        probed.problems.iter().map(|one| Check::bad(WATCH, &configured.name, &one.message, hint(one))).collect();
    checks.extend(probed.warnings.iter().map(|one| Check::warning(WATCH, &configured.name, &one.message, hint(one))));
    if checks.is_empty() {
        let message = format!("the token may do what {} needs", probed.repo);
        checks.push(Check::ok(WATCH, &configured.name, message));
    }
    Ok(checks)
}
