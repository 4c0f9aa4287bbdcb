//! `kugetsu logs` (C13): what an issue's runs said and did.

use clap::Args;
use kugetsu_api::client::ClientError;
use kugetsu_api::home::Home;
use kugetsu_api::path;
use kugetsu_api::record::Record;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::transcript::Transcript;
use crate::{completions, connect, paths, ui};

/// Show what an issue's runs said and did.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu logs .
  kugetsu logs -f acme/api#12
  kugetsu logs . --json")]
pub(crate) struct Logs {
    /// The issue, or the identifier of its session.
    #[arg(add = completions::issues())]
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
    let cwd = paths::cwd()?;
    let path = path::with_query(
        path::TRANSCRIPT,
        &[("reference", Some(&arguments.reference)), ("cwd", Some(&cwd)), ("follow", arguments.follow.then_some("1"))],
    );
    let mut shown = Shown { transcript: Transcript::default(), json: arguments.json, records: 0 };
    loop {
        match show(home, &path, &mut shown).await {
            Ok(()) => break,
            // Runs go on without the daemon, and so does whoever watches them.
            Err(Stopped::Lost) if arguments.follow => {
                if !connect::back(home).await? {
                    return Err(Failure::new(
                        "the daemon was stopped while this command followed the run, which goes on",
                    )
                    .hint(format!("to go on following it: kugetsu logs -f {}", arguments.reference)));
                }
            }
            Err(Stopped::Lost) => return Err(ClientError::Broken("the daemon ended".to_owned()).into()),
            Err(Stopped::Failed(failure)) => return Err(failure),
        }
    }
    shown.transcript.close();
    Ok(Exit::Done)
}

/// What has been shown.
struct Shown {
    transcript: Transcript,
    json: bool,
    records: u64,
}

/// Why showing came to an end before its time.
enum Stopped {
    /// The daemon went away.
    Lost,
    Failed(Failure),
}

impl From<ClientError> for Stopped {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Broken(_) | ClientError::NotRunning { .. } => Self::Lost,
            error => Self::Failed(error.into()),
        }
    }
}

/// Shows the records that were not shown yet, to the end of the stream. It begins with the same ones every time.
async fn show(home: &Home, path: &str, shown: &mut Shown) -> Result<(), Stopped> {
    let client = connect::ready(home).await.map_err(Stopped::Failed)?;
    let mut records = client.stream::<Record>(path).await?;
    let mut number = 0;
    while let Some(record) = records.next().await? {
        number += 1;
        if number <= shown.records {
            continue;
        }
        shown.records = number;
        if shown.json {
            ui::json_line(&record).map_err(Stopped::Failed)?;
        } else {
            shown.transcript.show(&record);
        }
    }
    Ok(())
}
