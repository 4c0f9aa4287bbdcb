//! `kugetsu logs`: prints the transcripts of an issue's runs.

use clap::Args;
use kugetsu_api::client::ClientError;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::issue::IssueQuery;
use kugetsu_api::record::TranscriptQuery;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::transcript::Transcript;
use crate::{completions, connect, paths, ui};

/// Show the transcripts of an issue's runs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu logs .
  kugetsu logs -f acme/api#12
  kugetsu logs . --json")]
pub(crate) struct Logs {
    /// The issue, or the ID of its session.
    #[arg(add = completions::issues())]
    reference: String,
    /// Keep printing until the issue has no queued or running task.
    #[arg(short, long)]
    follow: bool,
    /// Print every record as JSON, one per line.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, arguments: Logs) -> Result<Exit, Failure> {
    let typed = IssueQuery { reference: arguments.reference, cwd: paths::cwd()? };
    let issue = connect::call(home, &endpoints::SHOW_ISSUE, &typed).await?.issue;
    if issue != typed.reference && !arguments.json {
        ui::note(format!("· {issue}"));
    }
    let query = TranscriptQuery { reference: issue.clone(), cwd: typed.cwd, since: None, follow: arguments.follow };
    let mut printer = Printer { transcript: Transcript::default(), json: arguments.json, records: 0 };
    loop {
        match print(home, &query, &mut printer).await {
            Ok(()) => break,
            // Runs continue without the daemon.
            Err(Interrupted::Disconnected) if arguments.follow => {
                if !connect::reconnect(home).await? {
                    return Err(Failure::new("the daemon was stopped; the run continues")
                        .hint(format!("to keep following it, run `kugetsu logs -f {issue}`")));
                }
            }
            Err(Interrupted::Disconnected) => {
                return Err(ClientError::Broken("the daemon closed the stream".to_owned()).into());
            }
            Err(Interrupted::Failed(failure)) => return Err(failure),
        }
    }
    printer.transcript.end_line();
    Ok(Exit::Done)
}

struct Printer {
    transcript: Transcript,
    json: bool,
    /// How many records have been printed.
    records: u64,
}

/// Why the stream ended early.
enum Interrupted {
    Disconnected,
    Failed(Failure),
}

impl From<ClientError> for Interrupted {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Broken(_) | ClientError::NotRunning { .. } => Self::Disconnected,
            error => Self::Failed(error.into()),
        }
    }
}

/// Prints the records that have not been printed yet. Every stream starts with the first record.
async fn print(home: &Home, query: &TranscriptQuery, printer: &mut Printer) -> Result<(), Interrupted> {
    let client = connect::ready(home).await.map_err(Interrupted::Failed)?;
    let mut records = client.stream(&endpoints::TRANSCRIPT, query).await?;
    let mut number = 0;
    while let Some(record) = records.next().await? {
        number += 1;
        if number <= printer.records {
            continue;
        }
        printer.records = number;
        if printer.json {
            ui::json_line(&record).map_err(Interrupted::Failed)?;
        } else {
            printer.transcript.print(&record);
        }
    }
    Ok(())
}
