//! `kugetsu doctor` (C8): checks what the work needs, and says how to repair what is wrong.

use std::collections::HashSet;
use std::ffi::OsString;

use clap::Args;
use jiff::Timestamp;
use kugetsu_agent::{find, profile, version};
use kugetsu_api::client::Client;
use kugetsu_api::path;
use kugetsu_api::run::{RunObject, State};
use kugetsu_api::status::StatusObject;
use kugetsu_engine::{Home, Settings};
use kugetsu_git::door::Git;
use kugetsu_process::{MARKER, Means, means, stragglers};
use nix::sys::statvfs::statvfs;
use serde::Serialize;

use crate::config::load::{Loaded, load, own_environment};
use crate::connect;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show;
use crate::ui::{self, Tone};

/// Below this a mirror or a worktree of an ordinary repository may not fit any more.
const FEW_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// Check what the work needs, and say how to repair what is wrong.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu doctor
  kugetsu doctor --json")]
pub(crate) struct Doctor {
    /// Show an object for programs.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Warning,
    Bad,
}

#[derive(Debug, Serialize)]
struct Check {
    name: String,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<String>,
}

#[derive(Debug, Serialize)]
struct Report {
    healthy: bool,
    checks: Vec<Check>,
}

impl Check {
    fn good(name: &str, found: impl Into<String>) -> Self {
        Self { name: name.to_owned(), verdict: Verdict::Good, found: found.into(), repair: None }
    }

    fn warning(name: &str, found: impl Into<String>, repair: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, repair: Some(repair.into()), ..Self::good(name, found) }
    }

    fn bad(name: &str, found: impl Into<String>, repair: impl Into<String>) -> Self {
        Self { verdict: Verdict::Bad, repair: Some(repair.into()), ..Self::good(name, found) }
    }
}

/// Checks, and fails when something keeps the work from being done.
pub(crate) async fn run(home: &Home, arguments: Doctor) -> Result<Exit, Failure> {
    let mut checks = vec![writable(home)];
    checks.extend(disk(home));
    checks.push(git().await);
    match load(home, &own_environment) {
        Ok(loaded) => {
            checks.extend(settings(&loaded));
            checks.extend(agents(&loaded.settings).await);
        }
        Err(error) => {
            checks.push(Check::bad("settings", error.to_string(), "correct the file; it is read again at once"))
        }
    }
    checks.push(containment());
    checks.extend(daemon(home).await);
    let healthy = checks.iter().all(|check| check.verdict != Verdict::Bad);
    if arguments.json {
        ui::json(&Report { healthy, checks })?;
    } else {
        checks.iter().for_each(show);
    }
    Ok(if healthy { Exit::Done } else { Exit::Failed })
}

fn show(check: &Check) {
    let (tone, mark) = match check.verdict {
        Verdict::Good => (Tone::Good, "ok  "),
        Verdict::Warning => (Tone::Warning, "warn"),
        Verdict::Bad => (Tone::Bad, "bad "),
    };
    ui::piece(tone, mark);
    ui::line(format!("  {}: {}", check.name, check.found));
    if let Some(repair) = &check.repair {
        ui::line(format!("      repair: {repair}"));
    }
}

fn writable(home: &Home) -> Check {
    match home.create() {
        Ok(()) => Check::good("home", format!("{} can be written", home.path().display())),
        Err(error) => Check::bad("home", error.to_string(), "set KUGETSU_HOME to a directory that you may write"),
    }
}

fn disk(home: &Home) -> Option<Check> {
    let found = statvfs(home.path()).ok()?;
    // The type differs between systems.
    #[allow(clippy::useless_conversion, reason = "the numbers have another width on macOS")]
    let free = u64::from(found.blocks_available()).saturating_mul(u64::from(found.fragment_size()));
    let said = format!("{:.1} GiB are free", free as f64 / f64::from(1_u32 << 30));
    Some(if free < FEW_BYTES {
        Check::warning("disk", said, "remove what is done: `kugetsu list`, then `kugetsu destroy <reference>`")
    } else {
        Check::good("disk", said)
    })
}

async fn git() -> Check {
    match Git::find().await {
        Ok(git) => Check::good("git", format!("{} is git {}", git.program().display(), git.version())),
        Err(error) => Check::bad("git", error.to_string(), "install git, for example: apt-get install git"),
    }
}

fn settings(loaded: &Loaded) -> Vec<Check> {
    if loaded.faults.is_empty() {
        return vec![Check::good("settings", "all of them can be used")];
    }
    loaded.faults.iter().map(|fault| Check::warning("settings", fault.as_str(), "correct or remove it")).collect()
}

async fn agents(settings: &Settings) -> Vec<Check> {
    let own = settings.agents.iter().map(|agent| agent.name.as_str());
    let mut names: Vec<&str> = vec![&settings.agent_default];
    names.extend(own.filter(|name| *name != settings.agent_default));
    let mut checks = Vec::new();
    for name in names {
        let check = match agent(settings, name).await {
            Ok(found) => Check::good(&format!("agent {name}"), found),
            Err(why) => {
                let repair = "follow what it says; another agent: kugetsu config set agent.default <name>";
                Check::bad(&format!("agent {name}"), why, repair)
            }
        };
        checks.push(check);
    }
    checks
}

async fn agent(settings: &Settings, name: &str) -> Result<String, String> {
    let profile = profile(name, &settings.agents).map_err(|error| error.to_string())?;
    let program = find(&profile, &settings.search_path()).map_err(|error| error.to_string())?;
    // One that does not say its version can still work.
    Ok(match version(&profile, &program).await {
        Ok(version) => format!("{} is version {version}", program.display()),
        Err(error) => format!("{} does not say its version ({error})", program.display()),
    })
}

fn containment() -> Check {
    let found = means();
    let said = format!("processes of a run are ended by {found}");
    match found {
        Means::CgroupV2 | Means::Subreaper => Check::good("processes", said),
        Means::Groups => Check::warning(
            "processes",
            format!("{said}; one that hides well could outlive its run"),
            "run the daemon where it has a cgroup of its own: kugetsu daemon install",
        ),
    }
}

async fn daemon(home: &Home) -> Vec<Check> {
    let mut client = match connect::running(home).await {
        Ok(Some(client)) => client,
        Ok(None) => {
            let mut checks = vec![Check::good("daemon", "none runs; it starts by itself when a command needs it")];
            checks.extend(strays(home, None).await);
            return checks;
        }
        Err(failure) => {
            return vec![Check::bad("daemon", failure.message, format!("see its log {}", home.log().display()))];
        }
    };
    let status = match client.get::<StatusObject>(path::STATUS).await {
        Ok(status) => status,
        Err(error) => {
            let repair = format!("see its log {}; start it anew: kugetsu daemon stop", home.log().display());
            return vec![Check::bad("database", error.to_string(), repair)];
        }
    };
    let since = show::ago(&status.started_at, Timestamp::now());
    let said = format!("version {} runs as process {}, started {since}", status.version, status.pid);
    let mut checks = if status.version == env!("CARGO_PKG_VERSION") {
        vec![Check::good("daemon", said)]
    } else {
        let own = env!("CARGO_PKG_VERSION");
        vec![Check::warning("daemon", format!("{said}, this command is {own}"), "kugetsu daemon stop")]
    };
    let counted = format!("{} running, {} queued", status.running, status.queued);
    checks.push(match client.get::<Vec<String>>(path::CHECK).await {
        Ok(wrong) if wrong.is_empty() => {
            Check::good("database", format!("{} is sound: {counted}", home.database().display()))
        }
        Ok(wrong) => Check::bad(
            "database",
            format!("{} has damaged rows, which are left alone: {}", home.database().display(), wrong.join("; ")),
            "the rest goes on; begin the tasks that are lost with it again, or put a copy of the file back",
        ),
        Err(error) => {
            Check::bad("database", error.to_string(), format!("see the daemon's log {}", home.log().display()))
        }
    });
    checks.extend(strays(home, live_runs(&mut client).await).await);
    checks
}

/// The runs that go on; none when they cannot be told.
async fn live_runs(client: &mut Client) -> Option<HashSet<String>> {
    let runs: Vec<RunObject> = client.get(path::ISSUES).await.ok()?;
    Some(runs.into_iter().filter(|run| run.state == State::Running).filter_map(|run| run.run).collect())
}

/// Processes that carry the mark of a run of this home that does not go on.
async fn strays(home: &Home, live: Option<HashSet<String>>) -> Option<Check> {
    let own = |run: &OsString| {
        let run = run.to_str().and_then(|run| run.parse().ok());
        run.is_some_and(|run| home.run(run).path().is_dir())
    };
    let found: Vec<_> = match stragglers(MARKER).await {
        Ok(found) => found.into_iter().filter(|(_, run)| own(run)).collect(),
        Err(error) => {
            let repair = "look for them yourself: ps e | grep KUGETSU_RUN";
            return Some(Check::warning("strays", format!("processes could not be listed: {error}"), repair));
        }
    };
    let Some(live) = live else {
        return (!found.is_empty()).then(|| {
            let said = match found.len() {
                1 => "a process of a run goes on without a daemon".to_owned(),
                more => format!("{more} processes of runs go on without a daemon"),
            };
            Check::warning("strays", said, "start it, and it looks after them: kugetsu daemon start")
        });
    };
    let strays: Vec<String> = found
        .into_iter()
        .filter(|(_, run)| run.to_str().is_none_or(|run| !live.contains(run)))
        .map(|(pid, _)| pid.to_string())
        .collect();
    Some(if strays.is_empty() {
        Check::good("strays", "no process of an ended run goes on")
    } else {
        Check::warning(
            "strays",
            format!("processes of runs that are over: {}", strays.join(" ")),
            format!("kill {}", strays.join(" ")),
        )
    })
}
