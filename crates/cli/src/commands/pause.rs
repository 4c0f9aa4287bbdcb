//! `kugetsu pause` and `kugetsu resume`: whether agents start.

use clap::Args;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::pause::{HoldObject, PauseObject, PauseRequest};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{self, Tone};
use crate::{completions, connect, format, paths};

/// Start no agent for a while, in one repository or at all.
///
/// Queued tasks keep their order and wait for `kugetsu resume`, also after a restart: those of `start` and `continue`, and the feedback
/// on pull requests. Runs in progress continue, and so do `push` and `destroy`. `kugetsu watch pause` is less: it hands over no
/// further issues of a watch, and what is queued starts.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu pause
  kugetsu pause acme/api")]
pub(crate) struct Pause {
    #[command(flatten)]
    scope: Scope,
}

/// Start agents again after a pause.
///
/// Without a repository, ends the pause of everything, and the wait of agents that failed at their start. A repository that was paused
/// by its name stays paused until it is resumed by its name, and a paused watch until `kugetsu watch resume`. Quiet hours, too little
/// memory or disk space, and limits of model providers are no pauses.
///
/// With `--agent`, one task of the agent starts at once although its provider limits the use of its models, or although the agent
/// fails at its start. The others start as soon as that one shows that the agent works.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu resume
  kugetsu resume acme/api
  kugetsu resume --agent claude")]
pub(crate) struct Resume {
    #[command(flatten)]
    scope: Scope,
    /// Try an agent that waits for its provider, or that fails at its start.
    #[arg(long, value_name = "NAME", conflicts_with = "repo", add = completions::agents())]
    agent: Option<String>,
}

#[derive(Debug, Args)]
struct Scope {
    /// The repository: its name, or its path; without one, everything.
    repo: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Scope {
    fn request(&self) -> Result<PauseRequest, Failure> {
        Ok(PauseRequest { repo: self.repo.clone(), agent: None, cwd: paths::cwd()? })
    }
}

pub(crate) async fn pause(home: &Home, Pause { scope }: Pause) -> Result<Exit, Failure> {
    let paused = connect::call(home, &endpoints::PAUSE, &scope.request()?).await?;
    if scope.json {
        ui::json(&paused)?;
        return Ok(Exit::Done);
    }
    ui::line(match paused.changed {
        true => format!(
            "paused {}: no agent starts, and runs in progress continue ({} running, {} queued)",
            name(&paused),
            paused.running,
            paused.queued
        ),
        false => format!("{} is already paused{}", name(&paused), since(&paused)),
    });
    let resume = match &paused.repo {
        Some(repo) => format!("kugetsu resume {repo}"),
        None => "kugetsu resume".to_owned(),
    };
    ui::toned(Tone::Dim, format!("start agents again with `{resume}`"));
    Ok(Exit::Done)
}

pub(crate) async fn resume(home: &Home, Resume { scope, agent }: Resume) -> Result<Exit, Failure> {
    let request = PauseRequest { agent, ..scope.request()? };
    let resumed = connect::call(home, &endpoints::RESUME, &request).await?;
    if scope.json {
        ui::json(&resumed)?;
        return Ok(Exit::Done);
    }
    if let Some(agent) = &resumed.agent {
        ui::line(match resumed.changed {
            true => format!("resumed {agent}: one task tries it ({} queued)", resumed.queued),
            false => format!("no task waits for {agent}"),
        });
        print_holds(&resumed.holds);
        return Ok(Exit::Done);
    }
    ui::line(match (resumed.changed, &resumed.repo) {
        (true, _) => format!("resumed {} ({} queued)", name(&resumed), resumed.queued),
        (false, Some(repo)) => format!("{repo} is not paused"),
        (false, None) if resumed.holds.iter().any(|hold| hold.kind == "pause") => {
            "only single repositories are paused".to_owned()
        }
        (false, None) => "nothing is paused".to_owned(),
    });
    print_holds(&resumed.holds);
    Ok(Exit::Done)
}

fn name(object: &PauseObject) -> &str {
    object.repo.as_deref().unwrap_or("everything")
}

fn since(object: &PauseObject) -> String {
    object.since.as_ref().map(|since| format!(", since {}", format::local_time(since))).unwrap_or_default()
}

/// Most holds that are printed.
const SHOWN_MAX: usize = 5;

/// Prints what keeps queued tasks from starting.
pub(crate) fn print_holds(holds: &[HoldObject]) {
    for hold in holds.iter().take(SHOWN_MAX) {
        ui::warning(match &hold.hint {
            Some(hint) => format!("{}; {hint}", hold.reason),
            None => hold.reason.clone(),
        });
    }
    if let Some(more) = holds.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        ui::note(format!("{more} more not shown; list them with `kugetsu status --json`"));
    }
}
