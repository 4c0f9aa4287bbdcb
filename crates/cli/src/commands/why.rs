//! `kugetsu why` (C13): why a task is not running, or what it came to.

use clap::Args;
use kugetsu_api::home::Home;
use kugetsu_api::path;
use kugetsu_api::why::WhyObject;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{self, Tone};
use crate::{completions, connect, format, paths};

/// Say why an issue's task is not running, or how it ended.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu why acme/api#12
  kugetsu why .
  kugetsu why pm")]
pub(crate) struct Why {
    /// The issue, or `pm` for the coordinator.
    #[arg(add = completions::issues())]
    reference: String,
    /// Show an object for programs.
    #[arg(long)]
    json: bool,
}

/// Says it.
pub(crate) async fn run(home: &Home, arguments: Why) -> Result<Exit, Failure> {
    let cwd = paths::cwd()?;
    let path = path::with_query(path::ISSUE_WHY, &[("reference", Some(&arguments.reference)), ("cwd", Some(&cwd))]);
    let why: WhyObject = connect::ask(home, &path).await?;
    if arguments.json {
        ui::json(&why)?;
        return Ok(Exit::Done);
    }
    ui::piece(Tone::Plain, format!("{} is ", why.issue));
    ui::toned(format::tone(why.state), why.state.name());
    for because in &why.because {
        ui::line(format!("  {because}"));
    }
    for next in &why.next {
        ui::toned(Tone::Dim, format!("  {next}"));
    }
    Ok(Exit::Done)
}
