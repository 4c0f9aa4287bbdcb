//! `kugetsu agents`: the agents that kugetsu knows, and what works with them.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use clap::{Args, Subcommand};
use kugetsu_agent::{Profile, RuntimeState, Supported, agent_names, find_program, profile};
use kugetsu_api::home::Home;
use kugetsu_engine::Settings;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::agents::choice::{self, Candidate};
use crate::agents::login::{LoginState, Variables};
use crate::agents::report::{AgentReport, reports};
use crate::agents::trial::{Outcome, Step, Trial};
use crate::config::edit;
use crate::config::load::{Loaded, default_agent_key, load, own_environment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::Fit;
use crate::ui::{self, Tone};
use crate::{completions, connect, setup};

/// The column of the values of one agent.
const COLUMN: usize = 13;
/// The column of what a step of a test shows.
const STEP_COLUMN: usize = 6;

/// List the agents: which are installed and logged in, and what works with each.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  kugetsu agents
  kugetsu agents show claude
  kugetsu agents try claude"
)]
pub(crate) struct Agents {
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show an agent: how to install it, to log in and to use it, and its exceptions.
    #[command(after_help = "\
Examples:
  kugetsu agents show claude
  kugetsu agents show claude --json")]
    Show {
        /// The name of the agent.
        #[arg(add = completions::agents())]
        agent: String,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Test an agent: two small changes in a scratch repository. This uses tokens of its model.
    #[command(after_help = "\
Examples:
  kugetsu agents try claude
  kugetsu agents try claude --model haiku")]
    Try {
        /// The name of the agent.
        #[arg(add = completions::agents())]
        agent: String,
        /// The model, as the agent names it; the agent's choice if not given.
        #[arg(long, value_name = "NAME")]
        model: Option<String>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// The result of `kugetsu agents try`.
#[derive(Serialize)]
struct TrialJson {
    agent: String,
    works: bool,
    steps: Vec<Step>,
    /// The scratch directory, if it was kept.
    kept: Option<String>,
}

pub(crate) async fn run(home: &Home, arguments: Agents) -> Result<Exit, Failure> {
    let loaded = load(home, &own_environment).and_then(Loaded::usable)?;
    let settings = &loaded.settings;
    let exit = match arguments.action {
        None => list(home, &loaded, arguments.json).await.map(|()| Exit::Done),
        Some(Action::Show { agent, json }) => show(home, &loaded, &agent, json).await.map(|()| Exit::Done),
        Some(Action::Try { agent, model, json }) => attempt(home, settings, &agent, model, json).await,
    }?;
    loaded.messages().for_each(ui::warning);
    Ok(exit)
}

async fn attempt(
    home: &Home,
    settings: &Settings,
    name: &str,
    model: Option<String>,
    json: bool,
) -> Result<Exit, Failure> {
    let profile = found(settings, name)?;
    let search_path = Variables::read(home, &[name], &own_environment).search_path();
    find_program(&profile, &search_path).map_err(|error| Failure::usage(error.to_string()).hints(error.hint()))?;
    let failed = |error: io::Error| Failure::new(format!("could not create a scratch home: {error}"));
    let trial = Trial::new(home, &profile, model).map_err(failed)?;
    ui::note(format!("· {name} makes two small changes in a scratch repository; this uses tokens of its model"));
    let print = |step: &Step| {
        let mark = match step.outcome {
            Outcome::Ok => (Tone::Good, "ok"),
            Outcome::Failed => (Tone::Bad, "bad"),
            Outcome::Unknown => (Tone::Dim, "?"),
        };
        ui::bullet(mark, STEP_COLUMN, &format!("{}: {}", step.name, step.detail), &[]);
    };
    let steps = RefCell::new(Vec::new());
    let report = |step: Step| {
        if !json {
            print(&step);
        }
        steps.borrow_mut().push(step);
    };
    tokio::select! {
        () = trial.run(&profile, &report) => {}
        () = interrupted() => {
            ui::note("\nending the agent and removing the scratch repository");
            let end = trial.end().await;
            if end.outcome == Outcome::Failed {
                // Processes that are left may still write to it.
                let kept = trial.keep().map_err(|error| Failure::new(format!("could not keep the scratch home: {error}")))?;
                return Err(Failure::new(format!("the test did not end: {}; its files are in {}", end.detail, kept.display())));
            }
            trial.remove().map_err(|error| Failure::new(format!("could not remove the scratch repository: {error}")))?;
            return Ok(Exit::Canceled);
        }
    }
    report(trial.end().await);
    let steps = steps.take();
    let works = steps.iter().all(|step| step.outcome != Outcome::Failed);
    let left = match works {
        true => trial.remove().map(|()| None),
        false => trial.keep().map(Some),
    };
    let kept = left.map_err(|error| Failure::new(format!("could not remove the scratch repository: {error}")))?;
    let kept = kept.map(|path| path.display().to_string());
    if json {
        ui::json(&TrialJson { agent: name.to_owned(), works, steps, kept })?;
    } else if let Some(kept) = kept {
        ui::note(format!("the scratch home and repository are in {kept}; remove them when you have seen enough"));
    }
    Ok(if works { Exit::Done } else { Exit::Failed })
}

/// Waits for a signal that ends a program, such as that of Ctrl-C or of a terminal that is closed.
async fn interrupted() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut signals: Vec<Signal> = kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
    poll_fn(|context| match signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready()) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

fn found(settings: &Settings, name: &str) -> Result<Profile, Failure> {
    profile(name, &settings.profiles).map_err(|error| Failure::usage(error.to_string()).hints(error.hint()))
}

async fn list(home: &Home, loaded: &Loaded, json: bool) -> Result<(), Failure> {
    let (settings, default) = (&loaded.settings, loaded.default_agent().unwrap_or_default());
    let profiles: Result<Vec<Profile>, _> =
        agent_names(&settings.profiles).iter().map(|name| profile(name, &settings.profiles)).collect();
    let profiles = profiles.map_err(|error| Failure::usage(error.to_string()))?;
    let reports = ui::notify_if_slow("looking up the agents", reports(home, profiles, &own_environment)).await;
    if json {
        return ui::json(&reports.iter().map(|report| report.json(default)).collect::<Vec<_>>());
    }
    let columns = [
        ("AGENT", Fit::Middle(12)),
        ("VERSION", Fit::Middle(13)),
        ("LOGIN", Fit::Whole),
        ("PERMISSIONS", Fit::Whole),
        ("USAGE", Fit::Whole),
        ("DELETE", Fit::Whole),
        ("TOOLS", Fit::Whole),
    ];
    let rows: Vec<Vec<String>> = reports.iter().map(|report| row(report, default)).collect();
    let tone = |index: usize| match &reports[index].version {
        Some(Ok(_)) if reports[index].runtime_problem().is_none() => (1, Tone::Good),
        Some(_) => (1, Tone::Bad),
        None => (1, Tone::Dim),
    };
    ui::table_with_tones(&columns, &rows, tone);
    let mark = if default.is_empty() { "" } else { "* the default agent; " };
    ui::toned(Tone::Dim, format!("{mark}all about one: kugetsu agents show <name>"));
    Ok(())
}

fn row(report: &AgentReport, default: &str) -> Vec<String> {
    let profile = &report.profile;
    let mark = if profile.name() == default { " *" } else { "" };
    let version = match (&report.version, &report.runtime, profile.installation().runtime) {
        (None, ..) => "not installed".to_owned(),
        (Some(_), Some(RuntimeState::Missing), Some(needs)) => format!("no {}", needs.program),
        (Some(_), Some(RuntimeState::TooOld(_)), Some(needs)) => format!("{} too old", needs.program),
        (Some(Ok(version)), ..) => version.clone(),
        (Some(Err(_)), ..) => "unknown".to_owned(),
    };
    let login = if report.program.is_ok() { report.login.name() } else { "" };
    let usage = match (profile.token_support().0, profile.cost_support().0) {
        (Supported::Yes, Supported::No) => "tokens",
        (tokens, _) => tokens.name(),
    };
    let supported = [
        profile.permission_support().0.name(),
        usage,
        profile.deletion_support().0.name(),
        profile.tool_support().0.name(),
    ];
    let cells = [format!("{}{mark}", profile.name()), version, login.to_owned()].into_iter();
    cells.chain(supported.map(str::to_owned)).collect()
}

async fn show(home: &Home, loaded: &Loaded, name: &str, json: bool) -> Result<(), Failure> {
    let profile = found(&loaded.settings, name)?;
    let default = loaded.default_agent().unwrap_or_default();
    let looked_up = reports(home, vec![profile], &own_environment);
    let reports = ui::notify_if_slow("looking up the agent", looked_up).await;
    for report in &reports {
        match json {
            true => ui::json(&report.json(default))?,
            false => print(report, default),
        }
    }
    Ok(())
}

fn print(report: &AgentReport, default: &str) {
    let profile = &report.profile;
    let of_default = if profile.name() == default { ", for tasks that name no agent" } else { "" };
    ui::toned(Tone::Strong, format!("{}{of_default}", profile.name()));
    let tested = profile.tested_version().map(|tested| format!("; tested with {tested}")).unwrap_or_default();
    let program = match (&report.program, &report.version) {
        (Ok(program), Some(Ok(version))) => format!("{}, version {version}{tested}", program.display()),
        (Ok(program), Some(Err(error))) => format!("{}{tested}; {error}", program.display()),
        (Ok(program), None) => format!("{}{tested}", program.display()),
        (Err(error), _) => format!("{error}{tested}"),
    };
    value("program", &program);
    let installation = profile.installation();
    if !installation.command.is_empty() {
        value("install", &format!("`{}` ({})", installation.command, installation.page));
    }
    if let Some(needs) = installation.runtime {
        let state = match (&report.runtime, report.runtime_problem()) {
            (_, Some(problem)) => problem,
            (Some(RuntimeState::Present(found)), None) => {
                format!("needs {} {} or newer; version {found} is on PATH", needs.program, needs.at_least)
            }
            (_, None) => format!("needs {} {} or newer", needs.program, needs.at_least),
        };
        value("runtime", &state);
    }
    let login = match &report.login {
        LoginState::LoggedIn(source) => format!("{source}; only a run shows whether the provider accepts it"),
        LoginState::NotLoggedIn => format!("not logged in; type {}", profile.how_to_log_in()),
        LoginState::Unknown if profile.is_built_in() => {
            format!("not known; to log in, type {}", profile.how_to_log_in())
        }
        LoginState::Unknown => "not known: only a run shows it".to_owned(),
    };
    value("login", &login);
    if let Some((first, others)) = profile.login().variables.split_first() {
        let or = if others.is_empty() { String::new() } else { format!(", or {}", others.join(", ")) };
        value("variables", &format!("{first}{or}; set one with `kugetsu env set {first} - {}`", profile.name()));
    }
    let supported =
        |what: &str, (supported, how): (Supported, &str)| value(what, &format!("{}: {how}", supported.name()));
    let (permissions, how) = profile.permission_support();
    supported("permissions", (permissions, &how));
    supported("continue", profile.resume_support());
    supported("tokens", profile.token_support());
    supported("cost", profile.cost_support());
    let (deletion, how) = profile.deletion_support();
    supported("delete", (deletion, &how));
    supported("tools", profile.tool_support());
    let (attach, how) = profile.attach_support();
    supported("attach", (attach, &how));
    let (trailers, how) = profile.trailer_support();
    supported("no trailers", (trailers, &how));
    if let Some(withheld) = profile.withheld_tokens() {
        value("withheld", &withheld);
    }
    for exception in profile.exceptions() {
        value("exception", exception.text());
    }
}

fn value(name: &str, text: &str) {
    ui::bullet((Tone::Dim, name), COLUMN, text, &[]);
}

/// Returns the agent that is chosen for tasks that name none; `None` if the setting names one, or none is installed.
pub(super) async fn chosen_default(home: &Home) -> Option<Candidate> {
    // The daemon reports settings that cannot be used.
    let loaded = load(home, &own_environment).and_then(Loaded::usable).ok()?;
    if !loaded.agent_is_chosen() {
        return None;
    }
    choice::choose(home, &loaded.settings.profiles, &own_environment).await
}

/// Sets `agent.default` to the agent that was chosen, and prints that: another agent that is installed later must not take over.
/// One that seems not to work is used, but not kept.
pub(super) async fn keep_default(home: &Home, chosen: &Candidate) {
    let agent = chosen.profile.name();
    if let Some(problem) = &chosen.problem {
        return ui::warning(format!("no installed agent can run; {agent} is used, but {problem}"));
    }
    let known = match chosen.login {
        LoginState::LoggedIn(_) => "the first in `kugetsu agents` that is installed and logged in",
        LoginState::Unknown => "the first in `kugetsu agents` that is installed and may be logged in",
        LoginState::NotLoggedIn => {
            let login = chosen.profile.how_to_log_in();
            return ui::warning(format!("no installed agent is logged in; {agent} is used; to log in, type {login}"));
        }
    };
    let set = setup::ensure_home(home).and_then(|()| edit::set(home, &default_agent_key().to_string(), agent));
    match set {
        Ok(key) => ui::note(format!(
            "{agent} is now the default agent, {known}; to change it: kugetsu config set {key} <name>"
        )),
        Err(failure) => return ui::warning(format!("the default agent {agent} was not kept: {}", failure.message)),
    }
    if let Err(failure) = connect::reload_if_running(home).await {
        ui::warning(failure.message);
    }
}
