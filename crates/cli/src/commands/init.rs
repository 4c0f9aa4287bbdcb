//! `kugetsu init`: creates the home, and imports the home of the shell script.

use std::path::PathBuf;

use clap::Args;
use kugetsu_api::home::Home;
use kugetsu_import::{ImportError, Outcome, Plan, Refusal, Row, apply};

use crate::config::load::{Loaded, load, own_environment};
use crate::connect;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::setup::{InitReport, create_home};
use crate::ui::{self, Tone};

/// Create kugetsu's home, and import the home of the shell script. Existing files are kept.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu init
  kugetsu init --force")]
pub(crate) struct Init {
    /// Only replace config.toml by the commented defaults. The old file is kept in the directory backup of the home.
    #[arg(long)]
    force: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Column of the message in the table of imported things, behind the outcome.
const COLUMN: usize = 11;

pub(crate) async fn run(home: &Home, arguments: Init) -> Result<Exit, Failure> {
    let question = format!("replace all settings in {} by the defaults?", home.config().display());
    if arguments.force && home.config().exists() && ui::is_interactive() && !ui::confirm(&question)? {
        ui::line("changed nothing");
        return Ok(Exit::NeedsPerson);
    }
    let mut report = create_home(home, arguments.force)?;
    report.notes.extend(note_on_repository(home));
    match load(home, &own_environment).and_then(Loaded::usable) {
        Ok(loaded) => report.notes.extend(loaded.messages()),
        Err(error) => report.notes.push(error.to_string()),
    }
    if !arguments.force {
        let user = std::env::var_os("HOME").filter(|user| !user.is_empty()).map(PathBuf::from);
        let plan = Plan::read(home, user);
        if !plan.is_empty() {
            let connect = async || connect::ready(home).await.map_err(refusal);
            let imported = apply(home, plan, connect, ui::note).await?;
            report.script.extend(imported.rows);
            report.backup = imported.backup;
        }
    }
    if arguments.json {
        ui::json(&report)?;
        return Ok(Exit::Done);
    }
    print(&report);
    Ok(Exit::Done)
}

fn print(report: &InitReport) {
    ui::line(format!("home: {}", report.home));
    for (verb, paths) in [("created", &report.made), ("removed", &report.removed)] {
        for path in paths {
            ui::line(format!("  {verb} {path}"));
        }
    }
    if report.made.is_empty() && report.backup.is_none() {
        ui::line("nothing to do");
    }
    if !report.script.is_empty() {
        ui::line("imported from the script:");
        report.script.iter().for_each(print_row);
    }
    if let Some(backup) = &report.backup {
        ui::line(format!("kept the script's files in {backup}"));
    }
    for note in &report.notes {
        ui::warning(note);
    }
    ui::line("next: check the installation with `kugetsu doctor`, then `kugetsu start <issue> \"<message>\"`");
}

/// Prints what became of one thing, and below it what the user can type next.
fn print_row(row: &Row) {
    let mark = match row.outcome {
        Outcome::Taken => (Tone::Good, "imported"),
        Outcome::Left => (Tone::Dim, "left"),
        Outcome::SetAside => (Tone::Warning, "set aside"),
    };
    let details: Vec<&str> = [&row.taken_as, &row.why].into_iter().flatten().map(String::as_str).collect();
    ui::bullet(mark, COLUMN, &format!("{}: {}", row.what, details.join("; ")), row.next.as_slice());
}

fn refusal(failure: Failure) -> Refusal {
    let hint = Some(failure.hints.join("; ")).filter(|hint| !hint.is_empty());
    Refusal { message: failure.message, hint }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        Self::new(error.to_string()).hints(error.hint())
    }
}

/// The script had to be started in an empty directory; its users may expect the same here.
fn note_on_repository(home: &Home) -> Option<String> {
    let cwd = std::env::current_dir().ok()?;
    (cwd.join(".git").exists() && !cwd.starts_with(home.path()))
        .then(|| "the current directory is a git repository; `kugetsu init` changes nothing in it".to_owned())
}
