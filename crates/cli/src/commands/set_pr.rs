//! `kugetsu set-pr`: records the pull request of an issue.

use clap::Args;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::issue::{IssueQuery, PrSet, SetPrRequest};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{self, Tone};
use crate::{completions, connect, paths};

/// Record the pull request of an issue. That of a pushed branch is detected automatically.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu set-pr acme/api#12 https://git.example.com/acme/api/pulls/34
  kugetsu set-pr . https://github.com/acme/api/pull/34
  kugetsu set-pr . --remove")]
pub(crate) struct SetPr {
    /// The issue, or the ID of its session.
    #[arg(add = completions::issues())]
    reference: String,
    /// The URL of the pull request, as the browser shows it.
    #[arg(required_unless_present = "remove")]
    url: Option<String>,
    /// Clear the recorded pull request and detect it from the branch again.
    #[arg(long, conflicts_with = "url")]
    remove: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, arguments: SetPr) -> Result<Exit, Failure> {
    let issue = IssueQuery { reference: arguments.reference, cwd: paths::cwd()? };
    let request = SetPrRequest { issue, url: arguments.url };
    let response = connect::call_once(home, &endpoints::SET_PULL_REQUEST, &request);
    let named: PrSet = ui::notify_if_slow("asking the server for the state of the pull request", response).await?;
    if arguments.json {
        ui::json(&named)?;
        return Ok(Exit::Done);
    }
    let issue = &named.issue;
    let Some(url) = named.url else {
        ui::line(format!("{issue} has no pull request"));
        return Ok(Exit::Done);
    };
    if named.removed {
        ui::toned(Tone::Good, format!("removed {url} from {issue}"));
        return Ok(Exit::Done);
    }
    let state = named.state.map(|state| format!(" ({state})")).unwrap_or_default();
    ui::toned(Tone::Good, format!("recorded {url} for {issue}{state}"));
    if let Some(why) = named.unknown {
        ui::warning(format!("could not determine the state of the pull request: {why}"));
    }
    Ok(Exit::Done)
}
