//! `kugetsu set-pr` (C7): says which pull or merge request belongs to an issue.

use clap::Args;
use kugetsu_api::issue::{ChangeNamed, ChangeRequest, IssueQuery};
use kugetsu_api::path;
use kugetsu_engine::Home;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::patience::saying;
use crate::ui::{self, Tone};
use crate::{connect, place};

/// Say which pull or merge request belongs to an issue. One of the pushed branch is found by itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu set-pr acme/api#12 https://git.example.com/acme/api/pulls/34
  kugetsu set-pr . https://github.com/acme/api/pull/34")]
pub(crate) struct SetPr {
    /// The issue, or the identifier of its session.
    reference: String,
    /// The address of the pull or merge request, as it stands in the browser.
    url: String,
    /// Show an object for programs.
    #[arg(long)]
    json: bool,
}

/// Stores it, and says what its server says of it.
pub(crate) async fn run(home: &Home, arguments: SetPr) -> Result<Exit, Failure> {
    let issue = IssueQuery { reference: arguments.reference, cwd: place::cwd()? };
    let request = ChangeRequest { issue, url: arguments.url };
    let mut client = connect::ready(home).await?;
    let asked = client.post(path::ISSUE_CHANGE, &request);
    let named: ChangeNamed = saying("asking the server what has become of it", asked).await?;
    if arguments.json {
        ui::json(&named)?;
        return Ok(Exit::Done);
    }
    let state = named.state.map(|state| format!(", which is {state}")).unwrap_or_default();
    ui::toned(Tone::Good, format!("{} belongs to {}{state}", named.url, named.issue));
    if let Some(why) = named.unknown {
        ui::warning(format!("what has become of it is not known: {why}"));
    }
    Ok(Exit::Done)
}
