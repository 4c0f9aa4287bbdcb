//! `kugetsu logs` (C13): what an issue's runs said and did.

use clap::Args;
use kugetsu_api::path;
use kugetsu_api::record::Record;
use kugetsu_engine::Home;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::transcript::Transcript;
use crate::{connect, place, ui};

/// Show what an issue's runs said and did.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The issue, or the identifier of its session.
    reference: String,
    /// Go on until nothing of the issue is queued or running any more.
    #[arg(short, long)]
    follow: bool,
    /// Show every record as an object, one a line.
    #[arg(long)]
    json: bool,
}

/// Shows.
pub(crate) async fn run(home: &Home, arguments: Logs) -> Result<Exit, Failure> {
    let cwd = place::cwd()?;
    let path = path::with_query(
        path::TRANSCRIPT,
        &[("reference", Some(&arguments.reference)), ("cwd", Some(&cwd)), ("follow", arguments.follow.then_some("1"))],
    );
    let mut records = connect::ready(home).await?.stream::<Record>(&path).await?;
    let mut transcript = Transcript::default();
    while let Some(record) = records.next().await? {
        if arguments.json {
            ui::json_line(&record)?;
        } else {
            transcript.show(&record);
        }
    }
    transcript.close();
    Ok(Exit::Done)
}
