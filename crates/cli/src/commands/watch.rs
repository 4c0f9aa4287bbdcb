//! `kugetsu watch`: repositories whose issues are started when they get a label or an assignee.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use kugetsu_agent::profile;
use kugetsu_api::endpoint::NoFields;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::watch::{
    ConditionObject, ConsideredObject, Finding, PollObject, PollRequest, ProbeObject, ProbeRequest, WatchObject,
};
use kugetsu_domain::text::counted;
use kugetsu_domain::watch::feedback::MergePolicy;
use kugetsu_engine::watch_queries::polls::{self, Mode};
use kugetsu_engine::watches;
use serde::Serialize;
use toml_edit::{Array, Value};

use crate::config::edit;
use crate::config::load::{Loaded, load, own_environment};
use crate::config::schema::{self, Key};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::names::{did_you_mean, is_plain};
use crate::table::Fit;
use crate::ui::{self, Tone};
use crate::{completions, connect, format, paths, read_only_engine, setup};

/// The label of issues that are handed over, if neither a label nor an assignee is given.
const LABEL: &str = "agent";
const SECTION: &str = "watch";

/// Start issues of a repository when they get a label or an assignee.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu watch add acme/api
  kugetsu watch list
  kugetsu watch run-once --dry-run")]
pub(crate) struct Watch {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Watch a repository. The token of its server is checked first.
    #[command(after_help = "\
Examples:
  kugetsu watch add acme/api
  kugetsu watch add . --label ready --trust kim,lee
  kugetsu watch add acme/api --merge when-approved --verify \"cargo test\"")]
    Add(Box<Add>),
    /// List the watched repositories with their states.
    #[command(after_help = "\
Examples:
  kugetsu watch list
  kugetsu watch list --json")]
    List {
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove a watch from config.toml. Issues that were started continue, but their pull requests are not followed any more.
    #[command(
        alias = "remove",
        after_help = "\
Examples:
  kugetsu watch rm api"
    )]
    Rm {
        /// The name of the watch.
        #[arg(add = completions::watches())]
        name: String,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Start no further issues of a watch. What is queued starts; `kugetsu pause` holds that back, too.
    #[command(after_help = "\
Examples:
  kugetsu watch pause api")]
    Pause {
        /// The name of the watch.
        #[arg(add = completions::watches())]
        name: String,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Start issues of a paused watch again.
    #[command(after_help = "\
Examples:
  kugetsu watch resume api")]
    Resume {
        /// The name of the watch.
        #[arg(add = completions::watches())]
        name: String,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Read the issues now, and print what is decided about each.
    #[command(after_help = "\
Examples:
  kugetsu watch run-once
  kugetsu watch run-once api --dry-run")]
    RunOnce {
        /// The name of the watch; without it, all of them.
        #[arg(add = completions::watches())]
        name: Option<String>,
        /// Change nothing: start no issue, store nothing, and write nothing on the server.
        #[arg(long)]
        dry_run: bool,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct Add {
    /// The repository: its address, owner/repo, or a directory.
    repo: String,
    /// Start issues that have this label; `agent` if neither a label nor an assignee is given.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    label: Option<String>,
    /// Start issues that are assigned to this user.
    #[arg(long, value_name = "LOGIN", value_parser = NonEmptyStringValueParser::new())]
    assignee: Option<String>,
    /// Whose issues and comments the agent gets: owners, members (the default), collaborators, or logins with commas.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    trust: Option<String>,
    /// A name for the watch; defaults to that of the repository.
    #[arg(long)]
    name: Option<String>,
    /// The agent; defaults to the setting agent.default.
    #[arg(long, add = completions::agents())]
    agent: Option<String>,
    /// The model, as the agent names it.
    #[arg(long)]
    model: Option<String>,
    /// The branch that work starts from and is merged into; defaults to the default branch.
    #[arg(long, value_name = "BRANCH")]
    base: Option<String>,
    /// When pull requests are merged; never, unless this says otherwise.
    #[arg(long, value_parser = ["never", "when-green", "when-approved"])]
    merge: Option<String>,
    /// Open pull requests as drafts.
    #[arg(long)]
    draft: bool,
    /// A command that has to succeed before a review is requested. May be given several times.
    #[arg(long, value_name = "COMMAND")]
    verify: Vec<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// The result of `watch add`.
#[derive(Serialize)]
struct Added {
    #[serde(flatten)]
    watch: WatchObject,
    warnings: Vec<Finding>,
}

pub(crate) async fn run(home: &Home, arguments: Watch) -> Result<Exit, Failure> {
    match arguments.action {
        Action::Add(arguments) => add(home, *arguments).await?,
        Action::List { json } => {
            let watches = connect::call(home, &endpoints::LIST_WATCHES, &NoFields {}).await?;
            if json {
                ui::json(&watches)?
            } else {
                print_watches(&watches)
            }
            load(home, &own_environment)?.warnings.iter().for_each(ui::warning);
        }
        Action::Rm { name, json } => remove(home, &name, json).await?,
        Action::Pause { name, json } => set_paused(home, &name, true, json).await?,
        Action::Resume { name, json } => set_paused(home, &name, false, json).await?,
        Action::RunOnce { name, dry_run, json } => return run_once(home, name, dry_run, json).await,
    }
    Ok(Exit::Done)
}

async fn add(home: &Home, arguments: Add) -> Result<(), Failure> {
    if let Some(name) = &arguments.name
        && (!is_plain(name) || name.contains('.'))
    {
        return Err(Failure::usage(format!("invalid name {name:?}")).hint("use letters, digits, `-` and `_`"));
    }
    let loaded = load(home, &own_environment)?;
    if let Some(agent) = &arguments.agent {
        profile(agent, &loaded.settings.profiles).map_err(|unknown| {
            let near = did_you_mean(agent, unknown.known.iter().map(String::as_str));
            Failure::usage(format!("no agent {agent:?}{near}")).hint("list the agents with `kugetsu agents`")
        })?;
    }
    let label = match (&arguments.label, &arguments.assignee) {
        (None, None) => Some(LABEL.to_owned()),
        (label, _) => label.clone(),
    };
    let request = ProbeRequest {
        repo: arguments.repo.clone(),
        cwd: paths::cwd()?,
        label,
        assignee: arguments.assignee.clone(),
        trust: arguments.trust.clone(),
        base: arguments.base.clone(),
        merges: arguments.merge.as_deref().is_some_and(|merge| merge != "never"),
        watch: None,
    };
    let mut probed = probe(home, &request).await?;
    let fields = fields(&arguments, &probed);
    let name = match known(&loaded, &arguments, &probed, &fields)? {
        Known::Same(watch) => {
            probed = probe(home, &probe_request(watch)?).await?;
            let known = format!("{} is watched already, as {}", probed.repo, watch.name);
            refuse_problems(&probed, &format!("{known}, but the check failed"))?;
            ui::note(known);
            watch.name.clone()
        }
        Known::New(name) => {
            refuse_problems(&probed, &format!("could not watch {}", probed.repo))?;
            setup::ensure_home(home)?;
            edit::set_entry(home, SECTION, &name, &fields)?;
            name
        }
    };
    let loaded = load(home, &own_environment)?;
    if let Some(error) = loaded.errors.first() {
        let added = format!("added {name} to {}, but it has no effect yet: {error}", home.config().display());
        return Err(Failure::new(added).hint("correct the file; until then, the last valid settings stay in effect"));
    }
    connect::reload_if_running(home).await?;
    let all: Vec<WatchObject> = connect::call(home, &endpoints::LIST_WATCHES, &NoFields {}).await?;
    let watch = all.into_iter().find(|watch| watch.name == name);
    let watch = watch.ok_or_else(|| Failure::new(format!("the daemon has not read the watch {name}")))?;
    if arguments.json {
        return ui::json(&Added { watch, warnings: probed.warnings });
    }
    for warning in &probed.warnings {
        ui::warning(with_hint(warning));
    }
    ui::line(format!("watching {} as {name}: {} ({})", watch.repo, handed_over(&watch), home.config().display()));
    ui::toned(Tone::Dim, format!("see what starts with `kugetsu watch run-once {name} --dry-run`"));
    Ok(())
}

async fn probe(home: &Home, request: &ProbeRequest) -> Result<ProbeObject, Failure> {
    let probing = connect::call(home, &endpoints::PROBE_REPO, request);
    ui::notify_if_slow("checking what the token may do", probing).await
}

/// The check of a watch that exists, with its settings.
pub(crate) fn probe_request(watch: &watches::Watch) -> Result<ProbeRequest, Failure> {
    Ok(ProbeRequest {
        repo: format!("{}/{}", watch.repo.base, watch.repo.project),
        cwd: paths::cwd()?,
        label: watch.policy.label.clone(),
        assignee: watch.policy.assignee.clone(),
        trust: Some(watch.policy.trust.to_string()),
        base: watch.base.clone(),
        merges: watch.feedback.merge != MergePolicy::Never,
        watch: Some(watch.name.clone()),
    })
}

fn with_hint(finding: &Finding) -> String {
    match &finding.hint {
        Some(hint) => format!("{}; {hint}", finding.message),
        None => finding.message.clone(),
    }
}

fn refuse_problems(probed: &ProbeObject, refusal: &str) -> Result<(), Failure> {
    if probed.problems.is_empty() {
        return Ok(());
    }
    let messages: Vec<&str> = probed.problems.iter().map(|problem| problem.message.as_str()).collect();
    let hints = probed.problems.iter().filter_map(|problem| problem.hint.clone());
    Err(Failure::new(format!("{refusal}: {}", messages.join("; "))).hints(hints))
}

/// The settings of the new entry.
fn fields(arguments: &Add, probed: &ProbeObject) -> Vec<(&'static str, Value)> {
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    let verify = (!arguments.verify.is_empty()).then(|| Value::Array(arguments.verify.iter().collect::<Array>()));
    let fields = [
        ("repo", Some(Value::from(probed.url.as_str()))),
        ("label", text(&probed.label)),
        ("assignee", text(&arguments.assignee)),
        ("trust", text(&arguments.trust)),
        ("agent", text(&arguments.agent)),
        ("model", text(&arguments.model)),
        ("base", text(&arguments.base)),
        ("merge", text(&arguments.merge)),
        ("draft", arguments.draft.then(|| Value::from(true))),
        ("verify", verify),
    ];
    fields.into_iter().filter_map(|(field, value)| Some((field, value?))).collect()
}

/// Whether a watch is to be added.
enum Known<'a> {
    Same(&'a watches::Watch),
    New(String),
}

/// Compares with the watches that there are.
///
/// # Errors
/// The repository has another watch, or the name belongs to another repository.
fn known<'a>(
    loaded: &'a Loaded,
    arguments: &Add,
    probed: &ProbeObject,
    fields: &[(&'static str, Value)],
) -> Result<Known<'a>, Failure> {
    let watches = &loaded.settings.watches;
    if let Some(same) = watches.iter().find(|watch| watch.repo.to_string() == probed.repo) {
        let name = &same.name;
        let has =
            |field: &str| loaded.values.get(&Key::new(SECTION, Some(name), field)).map(|(value, _)| value.clone());
        let differ: Vec<&(&str, Value)> = fields
            .iter()
            .filter(|(field, value)| *field != "repo" && has(field) != Some(schema::json(value)))
            .collect();
        let is_renamed = arguments.name.as_ref().is_some_and(|other| other != name);
        if differ.is_empty() && !is_renamed {
            return Ok(Known::Same(same));
        }
        let mut failure = Failure::usage(format!("{} is watched already, as {name}", probed.repo));
        for (field, value) in differ {
            let value = schema::json(value);
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            failure =
                failure.hint(format!("change it with `kugetsu config set {SECTION}.{name}.{field} {}`", quoted(&text)));
        }
        if is_renamed {
            failure = failure.hint(format!("for another name, first run `kugetsu watch rm {name}`"));
        }
        return Err(failure);
    }
    let taken =
        |name: &str| loaded.values.keys().any(|key| key.section == SECTION && key.entry.as_deref() == Some(name));
    let own = probed.repo.split('/').skip(1).collect::<Vec<_>>().join("-");
    let plain =
        |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "-").trim_matches('-').to_owned();
    let names = match &arguments.name {
        Some(name) => vec![name.clone()],
        None => vec![plain(&probed.name), plain(&own)],
    };
    match names.iter().find(|name| !name.is_empty() && !taken(name)) {
        Some(name) => Ok(Known::New(name.clone())),
        None => {
            let name = &names[0];
            let other = watches.iter().find(|watch| watch.name == *name).map(|watch| format!(" of {}", watch.repo));
            let message = format!("the name {name:?} is taken by the watch{}", other.unwrap_or_default());
            Err(Failure::usage(message).hint("choose a name with `--name`"))
        }
    }
}

/// A value as an argument in a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Checks that config.toml has a watch with this name, valid or not.
fn check_exists(loaded: &Loaded, name: &str) -> Result<(), Failure> {
    let is_own = |key: &Key| key.section == SECTION && key.entry.as_deref() == Some(name);
    let is_invalid = loaded.errors.iter().any(|error| error.key.as_ref().is_some_and(is_own));
    if is_invalid || loaded.values.keys().any(is_own) {
        return Ok(());
    }
    let near = did_you_mean(name, loaded.settings.watches.iter().map(|watch| watch.name.as_str()));
    Err(Failure::usage(format!("no watch {name:?}{near}"))
        .hint("list the watches with `kugetsu watch list`, or add one with `kugetsu watch add <repo>`"))
}

async fn set_paused(home: &Home, name: &str, is_paused: bool, json: bool) -> Result<(), Failure> {
    check_exists(&load(home, &own_environment)?, name)?;
    let key = format!("{SECTION}.{name}.paused");
    match is_paused {
        true => drop(edit::set(home, &key, "true")?),
        false => drop(edit::unset(home, &key)?),
    }
    connect::reload_if_running(home).await?;
    match (json, is_paused) {
        (true, _) => ui::json(&serde_json::json!({ "name": name, "paused": is_paused }))?,
        (false, true) => ui::line(format!("paused {name}: no further issue starts, and what was started continues")),
        (false, false) => ui::line(format!("resumed {name}")),
    }
    Ok(())
}

async fn remove(home: &Home, name: &str, json: bool) -> Result<(), Failure> {
    check_exists(&load(home, &own_environment)?, name)?;
    // What it leaves is worth a warning only if a daemon knows it.
    let watches = match connect::running(home).await? {
        Some(mut client) => client.call(&endpoints::LIST_WATCHES, &NoFields {}).await.unwrap_or_default(),
        None => Vec::new(),
    };
    if !edit::remove_entry(home, SECTION, name)? {
        return Err(Failure::new(format!("{} no longer contains {name}", home.config().display())));
    }
    match json {
        true => ui::json(&serde_json::json!({ "name": name, "removed": true }))?,
        false => ui::line(format!("removed {name} from {}", home.config().display())),
    }
    if let Some(watch) = watches.iter().find(|watch| watch.name == name).filter(|watch| watch.open_prs > 0) {
        let open = counted(watch.open_prs, "open pull request");
        let are = if watch.open_prs == 1 { "is" } else { "are" };
        ui::warning(format!("{open} of {} {are} no longer followed: nothing answers checks and reviews", watch.repo));
    }
    connect::reload_if_running(home).await
}

fn print_watches(watches: &[WatchObject]) {
    if watches.is_empty() {
        ui::line("no watched repositories; add one with `kugetsu watch add <repo>`");
        return;
    }
    let now = Timestamp::now();
    let row = |watch: &WatchObject| {
        let of = |count: u64, max: Option<u32>| max.map_or(count.to_string(), |max| format!("{count}/{max}"));
        vec![
            watch.name.clone(),
            watch.repo.clone(),
            selector(watch),
            watch.trust.clone(),
            state(watch, now),
            watch.waiting.to_string(),
            of(watch.running, watch.max_running),
            of(watch.open_prs, watch.max_open_prs),
        ]
    };
    let columns = [
        ("WATCH", Fit::Middle(8)),
        ("REPOSITORY", Fit::Middle(14)),
        ("ISSUES", Fit::Middle(8)),
        ("TRUST", Fit::Middle(7)),
        ("STATE", Fit::Whole),
        ("WAIT", Fit::Whole),
        ("RUN", Fit::Whole),
        ("PRS", Fit::Whole),
    ];
    let rows: Vec<Vec<String>> = watches.iter().map(row).collect();
    let tone = |index: usize| match watches.get(index) {
        Some(watch) if watch.error.is_some() => (4, Tone::Bad),
        Some(watch) if watch.paused => (4, Tone::Dim),
        _ => (4, Tone::Plain),
    };
    ui::table_with_tones(&columns, &rows, tone);
    for watch in watches {
        if let Some(error) = &watch.error {
            ui::warning(failed_poll(watch, error));
        }
        if watch.webhook == "missed" {
            let name = &watch.name;
            ui::warning(format!(
                "{name}: a poll found what its webhook did not report; check it with `kugetsu hook show {name}`"
            ));
        }
    }
}

pub(crate) fn failed_poll(watch: &WatchObject, error: &str) -> String {
    format!("{}: the last poll failed: {error}", watch.name)
}

/// The label and the assignee of the issues that are handed over.
fn selector(watch: &WatchObject) -> String {
    let assignee = watch.assignee.as_ref().map(|assignee| format!("@{assignee}"));
    watch.label.iter().cloned().chain(assignee).collect::<Vec<_>>().join(" ")
}

fn handed_over(watch: &WatchObject) -> String {
    let label = watch.label.as_ref().map(|label| format!("with the label {label:?}"));
    let assignee = watch.assignee.as_ref().map(|assignee| format!("assigned to {assignee}"));
    format!("issues {}", label.into_iter().chain(assignee).collect::<Vec<_>>().join(" and "))
}

fn state(watch: &WatchObject, now: Timestamp) -> String {
    match &watch.polled_at {
        _ if watch.paused => "paused".to_owned(),
        _ if watch.error.is_some() => "failing".to_owned(),
        Some(_) if watch.webhook == "works" => "webhook".to_owned(),
        Some(at) => format!("read {}", format::ago(at, now)),
        None => "not read yet".to_owned(),
    }
}

async fn run_once(home: &Home, name: Option<String>, dry_run: bool, json: bool) -> Result<Exit, Failure> {
    let request = PollRequest { watch: name };
    let polled = match dry_run {
        false => {
            ui::notify_if_slow("reading the issues", connect::call(home, &endpoints::POLL_WATCHES, &request)).await?
        }
        true => preview(home, &request).await?,
    };
    let exit = if polled.iter().any(|polled| polled.error.is_some()) { Exit::Failed } else { Exit::Done };
    if json {
        ui::json(&polled)?;
    } else if polled.is_empty() {
        ui::line("no watched repositories; add one with `kugetsu watch add <repo>`");
    } else {
        polled.iter().for_each(|polled| print_poll(polled, dry_run));
    }
    Ok(exit)
}

/// Polls without the daemon, which would start what is found.
async fn preview(home: &Home, request: &PollRequest) -> Result<Vec<PollObject>, Failure> {
    let loaded = load(home, &own_environment)?.usable()?;
    let engine = read_only_engine::open(home, loaded.settings).await?;
    let polling = polls::poll(&engine, request, Mode::Dry);
    let polled = ui::notify_if_slow("reading the issues", polling).await;
    polled.map_err(|problem| Failure {
        exit: Exit::of_problem(problem.kind),
        ..Failure::new(problem.message).hints(problem.hint)
    })
}

/// Prints what was decided about the issues of one watch.
pub(crate) fn print_poll(polled: &PollObject, is_dry: bool) {
    let starting = polled.issues.iter().filter(|issue| issue.starts).count();
    let verb = match (is_dry, starting) {
        (true, _) => "would start",
        (false, 1) => "starts",
        (false, _) => "start",
    };
    let total = counted(polled.issues.len() as u64, "issue");
    ui::piece(Tone::Strong, &polled.watch);
    ui::line(format!(" ({}): {total} handed over, {starting} {verb}", polled.repo));
    for issue in &polled.issues {
        print_issue(issue, is_dry);
    }
    if let Some(error) = &polled.error {
        ui::bullet((Tone::Bad, "  !"), 4, error, &[]);
    }
}

fn print_issue(issue: &ConsideredObject, is_dry: bool) {
    let number = issue.issue.rsplit('#').next().unwrap_or_default();
    ui::line(format!("  {}", ui::truncated_line(&format!("#{number} {}", issue.title), 2)));
    if issue.starts {
        ui::toned(Tone::Good, if is_dry { "    would start" } else { "    starts" });
    }
    // What was not read follows from the others.
    let is_shown = |condition: &&ConditionObject| condition.met != "yes" && condition.read_at.is_some();
    for condition in issue.conditions.iter().filter(is_shown) {
        let tone = if condition.met == "no" { Tone::Warning } else { Tone::Dim };
        ui::bullet((tone, "    -"), 6, &format!("{}: {}", condition.name, condition.fact), &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_for_a_shell() {
        assert_eq!(quoted("when-green"), "when-green");
        assert_eq!(quoted("good first issue"), "'good first issue'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
