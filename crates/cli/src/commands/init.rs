//! `kugetsu init`: creates the home, and imports the home of the shell script.

use clap::Args;
use kugetsu_api::home::Home;

use crate::config::load::{Loaded, load, own_environment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::import::row::Row;
use crate::import::{carry_out, plan};
use crate::setup::{InitReport, create_home};
use crate::ui;

/// Create kugetsu's home, and import the home of the shell script. Existing files are kept.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu init
  kugetsu init --force")]
pub(crate) struct Init {
    /// Only replace config.toml by the commented defaults.
    #[arg(long)]
    force: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, arguments: Init) -> Result<Exit, Failure> {
    let mut done = create_home(home, arguments.force)?;
    done.notes.extend(note_on_repository(home));
    match load(home, &own_environment).and_then(Loaded::usable) {
        Ok(loaded) => done.notes.extend(loaded.messages()),
        Err(error) => done.notes.push(error.to_string()),
    }
    if !arguments.force {
        let plan = plan::read(home);
        if !plan.is_empty() {
            carry_out::all(home, plan, &mut done).await?;
        }
    }
    if arguments.json {
        ui::json(&done)?;
        return Ok(Exit::Done);
    }
    print(&done);
    Ok(Exit::Done)
}

fn print(done: &InitReport) {
    ui::line(format!("home: {}", done.home));
    for (verb, paths) in [("created", &done.made), ("removed", &done.removed)] {
        for path in paths {
            ui::line(format!("  {verb} {path}"));
        }
    }
    if done.made.is_empty() && done.backup.is_none() {
        ui::line("nothing to do");
    }
    if !done.script.is_empty() {
        ui::line("imported from the script:");
        done.script.iter().for_each(Row::show);
    }
    if let Some(backup) = &done.backup {
        ui::line(format!("kept the script's files in {backup}"));
    }
    for note in &done.notes {
        ui::warning(note);
    }
    ui::line("next: check the installation with `kugetsu doctor`, then `kugetsu start <issue> \"<message>\"`");
}

/// The script had to be started in an empty directory; its users may expect the same here.
fn note_on_repository(home: &Home) -> Option<String> {
    let cwd = std::env::current_dir().ok()?;
    (cwd.join(".git").exists() && !cwd.starts_with(home.path()))
        .then(|| "the current directory is a git repository; `kugetsu init` changes nothing in it".to_owned())
}
