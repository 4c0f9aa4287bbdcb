//! `kugetsu stop`: ends running agents at once.

use clap::Args;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::pause::{StopRequest, StoppedObject};
use kugetsu_domain::text::counted;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{self, Tone};
use crate::{completions, connect, paths};

/// End running agents at once, and keep their work.
///
/// Within two seconds every process of the agents is gone, also of those that do not obey. Their runs end as canceled, and a later
/// `kugetsu continue` continues in the same sessions. With --all, everything is paused first, so that no other agent starts until
/// `kugetsu resume`. `kugetsu queue cancel` gives an agent the time to end its turn, and removes queued tasks, too.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu stop --all
  kugetsu stop acme/api#12 acme/api#13")]
pub(crate) struct Stop {
    /// The issues whose agents are ended.
    #[arg(required_unless_present = "all", add = completions::issues())]
    references: Vec<String>,
    /// End all agents, and start none until `kugetsu resume`.
    #[arg(long, conflicts_with = "references")]
    all: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, arguments: Stop) -> Result<Exit, Failure> {
    let request = StopRequest { references: arguments.references, all: arguments.all, cwd: paths::cwd()? };
    // A repeated request ends what is left.
    let stopping = connect::call(home, &endpoints::STOP_RUNS, &request);
    let stopped = ui::notify_if_slow("ending agents", stopping).await?;
    let is_complete = stopped.refused.is_empty() && stopped.survivors.is_empty();
    let exit = if is_complete { Exit::Done } else { Exit::Failed };
    if arguments.json {
        ui::json(&stopped)?;
        return Ok(exit);
    }
    print(&stopped, request.all)?;
    Ok(exit)
}

fn print(stopped: &StoppedObject, all: bool) -> Result<(), Failure> {
    match stopped.issues.as_slice() {
        [] if all => ui::line("no agent was running"),
        [] => {}
        [issue] => ui::line(format!("ended the agent of {issue}; its work is kept")),
        issues => {
            ui::line(format!("ended {}; their work is kept", counted(issues.len() as u64, "agent")));
            issues.iter().for_each(|issue| ui::line(format!("  {issue}")));
        }
    }
    for refused in &stopped.refused {
        let failure = Failure::new(refused.reason.clone()).hints(refused.hint.clone());
        ui::failure(&failure);
    }
    if !stopped.survivors.is_empty() {
        let failure = format!("these processes could not be ended: {:?}", stopped.survivors);
        ui::failure(
            &Failure::new(failure).hint("they hang in the kernel or belong to another user; see `ps -p <pid>`"),
        );
    }
    for note in &stopped.notes {
        ui::warning(note);
    }
    if all {
        ui::line("everything is paused: no agent starts until `kugetsu resume`");
    }
    if let Some(issue) = stopped.issues.first() {
        ui::toned(Tone::Dim, format!("continue in the same session with `kugetsu continue {issue} \"<message>\"`"));
    }
    Ok(())
}
