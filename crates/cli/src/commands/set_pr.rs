//! `kugetsu set-pr` (C7): says which pull or merge request belongs to an issue.

use clap::Args;
use kugetsu_api::home::Home;
use kugetsu_api::issue::{ChangeNamed, ChangeRequest, IssueQuery};
use kugetsu_api::path;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::slow_notice::notify_if_slow;
use crate::ui::{self, Tone};
use crate::{completions, connect, place};

/// Say which pull or merge request belongs to an issue. One of the pushed branch is found by itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu set-pr acme/api#12 https://git.example.com/acme/api/pulls/34
  kugetsu set-pr . https://github.com/acme/api/pull/34
  kugetsu set-pr . --remove")]
pub(crate) struct SetPr {
    /// The issue, or the identifier of its session.
    #[arg(add = completions::issues())]
    reference: String,
    /// The address of the pull or merge request, as it stands in the browser.
    #[arg(required_unless_present = "remove")]
    url: Option<String>,
    /// Take back which one it is. One of the pushed branch is found by itself again.
    #[arg(long, conflicts_with = "url")]
    remove: bool,
    /// Show an object for programs.
    #[arg(long)]
    json: bool,
}

/// Stores it or takes it back, and says what its server says of it.
pub(crate) async fn run(home: &Home, arguments: SetPr) -> Result<Exit, Failure> {
    let issue = IssueQuery { reference: arguments.reference, cwd: place::cwd()? };
    let request = ChangeRequest { issue, url: arguments.url };
    let mut client = connect::ready(home).await?;
    let asked = client.post(path::ISSUE_CHANGE, &request);
    let named: ChangeNamed = notify_if_slow("asking the server what has become of it", asked).await?;
    if arguments.json {
        ui::json(&named)?;
        return Ok(Exit::Done);
    }
    let issue = &named.issue;
    let Some(url) = named.url else {
        ui::line(format!("{issue} has no pull or merge request, so there is none to take back"));
        return Ok(Exit::Done);
    };
    if named.removed {
        ui::toned(Tone::Good, format!("{url} does not belong to {issue} any more"));
        return Ok(Exit::Done);
    }
    let state = named.state.map(|state| format!(", which is {state}")).unwrap_or_default();
    ui::toned(Tone::Good, format!("{url} belongs to {issue}{state}"));
    if let Some(why) = named.unknown {
        ui::warning(format!("what has become of it is not known: {why}"));
    }
    Ok(Exit::Done)
}
