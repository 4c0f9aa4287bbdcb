//! `kugetsu pause` and `kugetsu resume`: whether agents start.

use clap::Args;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::pause::{HoldObject, PauseObject, PauseRequest};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{self, Tone};
use crate::{connect, format, paths};

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
/// A repository that was paused by its name stays paused until it is resumed by its name. A paused watch is resumed with `kugetsu
/// watch resume`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu resume
  kugetsu resume acme/api")]
pub(crate) struct Resume {
    #[command(flatten)]
    scope: Scope,
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
        Ok(PauseRequest { repo: self.repo.clone(), cwd: paths::cwd()? })
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

pub(crate) async fn resume(home: &Home, Resume { scope }: Resume) -> Result<Exit, Failure> {
    let resumed = connect::call(home, &endpoints::RESUME, &scope.request()?).await?;
    if scope.json {
        ui::json(&resumed)?;
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
