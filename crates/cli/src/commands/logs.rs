//! `kugetsu logs`: prints the transcripts of an issue's runs.

use clap::Args;
use jiff::Timestamp;
use kugetsu_api::client::ClientError;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::issue::IssueQuery;
use kugetsu_api::record::{Record, TranscriptQuery};
use kugetsu_domain::duration;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::transcript::{Tail, Transcript};
use crate::{completions, connect, paths, ui};

/// Show the transcripts of an issue's runs.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu logs .
  kugetsu logs -f acme/api#12
  kugetsu logs . -n 50
  kugetsu logs . --since 2h
  kugetsu logs . --run last
  kugetsu logs . --json")]
pub(crate) struct Logs {
    /// The issue, or the ID of its session.
    #[arg(add = completions::issues())]
    reference: String,
    /// Keep printing until the issue has no queued or running task.
    #[arg(short, long)]
    follow: bool,
    /// Only the last N lines; with --json, the last N records.
    #[arg(short = 'n', long, value_name = "N", value_parser = lines)]
    lines: Option<usize>,
    /// Only what is newer than this: a duration such as 30m or 2h, or a time such as 2026-11-28T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// Only one run: its ID, or `last`.
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Print every record as JSON, one per line.
    #[arg(long)]
    json: bool,
}

fn lines(typed: &str) -> Result<usize, String> {
    typed.parse().map_err(|_| "expected a whole number".to_owned())
}

fn since(typed: &str) -> Result<Timestamp, String> {
    match duration::parse(typed) {
        Ok(age) => Timestamp::now().checked_sub(age).map_err(|error| error.to_string()),
        Err(error) => typed.parse().map_err(|_| format!("{error}, or a time such as 2026-11-28T12:00:00Z")),
    }
}

pub(crate) async fn run(home: &Home, arguments: Logs) -> Result<Exit, Failure> {
    let typed = IssueQuery { reference: arguments.reference, cwd: paths::cwd()? };
    let latest = connect::call(home, &endpoints::SHOW_ISSUE, &typed).await?;
    let issue = latest.issue;
    if issue != typed.reference && !arguments.json {
        ui::note(format!("· {issue}"));
    }
    let run = match arguments.run.as_deref() {
        Some(LAST) => Some(latest.run.ok_or_else(|| Failure::new(format!("{issue} has had no run yet")))?),
        run => run.map(str::to_owned),
    };
    let query = TranscriptQuery {
        reference: issue.clone(),
        cwd: typed.cwd,
        since: arguments.since.map(|since| since.to_string()),
        run,
        follow: arguments.follow,
    };
    let since = arguments.since.map_or(i64::MIN, Timestamp::as_millisecond);
    let mut printer =
        Printer { transcript: Transcript::default(), json: arguments.json, since, records: 0, tail: None };
    if let Some(lines) = arguments.lines {
        // What exists is read to its end first, so that its last lines are known.
        printer.tail = Some(Tail::new(lines, arguments.json));
        let history = TranscriptQuery { follow: false, ..query.clone() };
        print(home, &history, &mut printer).await?;
        if let Some(tail) = printer.tail.take() {
            tail.records().into_iter().try_for_each(|record| printer.print(record))?;
        }
    }
    while arguments.lines.is_none() || arguments.follow {
        match print(home, &query, &mut printer).await {
            Ok(()) => break,
            // Runs continue without the daemon.
            Err(Interrupted::Disconnected) if arguments.follow => {
                connect::reconnect(home, "the run continues without it").await?;
            }
            Err(interrupted) => return Err(interrupted.into()),
        }
    }
    printer.transcript.end_line();
    Ok(Exit::Done)
}

/// Names the latest run.
const LAST: &str = "last";

struct Printer {
    transcript: Transcript,
    json: bool,
    /// Milliseconds since 1970 UTC before which records are not printed.
    since: i64,
    /// How many records have been read.
    records: u64,
    /// Collects records instead of printing them.
    tail: Option<Tail>,
}

impl Printer {
    fn print(&mut self, record: Record) -> Result<(), Failure> {
        if record.at < self.since {
            return Ok(());
        }
        match &mut self.tail {
            Some(tail) => tail.push(record),
            None if self.json => return ui::json_line(&record),
            None => self.transcript.print(&record),
        }
        Ok(())
    }
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

impl From<Interrupted> for Failure {
    fn from(interrupted: Interrupted) -> Self {
        match interrupted {
            Interrupted::Disconnected => ClientError::Broken("the daemon closed the stream".to_owned()).into(),
            Interrupted::Failed(failure) => failure,
        }
    }
}

/// Prints the records that have not been read yet. Every stream starts with the first record.
async fn print(home: &Home, query: &TranscriptQuery, printer: &mut Printer) -> Result<(), Interrupted> {
    let client = connect::ready(home).await.map_err(Interrupted::Failed)?;
    let mut records = client.stream(&endpoints::TRANSCRIPT, query).await?;
    let mut number = 0;
    while let Some(record) = records.next().await? {
        number += 1;
        if number > printer.records {
            printer.records = number;
            printer.print(record).map_err(Interrupted::Failed)?;
        }
    }
    Ok(())
}
