//! `kugetsu init` (C1): makes the home, and takes over what the script left.

use clap::Args;
use kugetsu_api::home::Home;

use crate::config::load::{load, own_environment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::import::row::Row;
use crate::import::{carry_out, plan};
use crate::setup::{InitReport, create_home};
use crate::ui;

/// Make kugetsu's home, and take over what the script left. What is there already stays as it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu init
  kugetsu init --force")]
pub(crate) struct Init {
    /// Write config.toml anew, and nothing else.
    #[arg(long)]
    force: bool,
    /// Show an object for programs.
    #[arg(long)]
    json: bool,
}

/// Makes the home and says what was made.
pub(crate) async fn run(home: &Home, arguments: Init) -> Result<Exit, Failure> {
    let mut done = create_home(home, arguments.force)?;
    done.notes.extend(remark_on_place(home));
    match load(home, &own_environment) {
        Ok(loaded) => done.notes.extend(loaded.warnings),
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
    show(&done);
    Ok(Exit::Done)
}

fn show(done: &InitReport) {
    ui::line(format!("kugetsu's home is {}", done.home));
    for (name, said) in [("made", &done.made), ("removed", &done.removed)] {
        for one in said {
            ui::line(format!("  {name}: {one}"));
        }
    }
    if done.made.is_empty() && done.backup.is_none() {
        ui::line("everything is there already");
    }
    if !done.script.is_empty() {
        ui::line("what the script left:");
        done.script.iter().for_each(Row::show);
    }
    if let Some(backup) = &done.backup {
        ui::line(format!("the script's own files are kept in {backup}"));
    }
    for note in &done.notes {
        ui::warning(note);
    }
    ui::line("begin with: kugetsu start <issue> \"<message>\"; `kugetsu doctor` checks what agents need");
}

/// The script had to be started in a directory of its own. Here it does not matter where, and people who know the script
/// may wonder.
fn remark_on_place(home: &Home) -> Option<String> {
    let here = std::env::current_dir().ok()?;
    (here.join(".git").exists() && !here.starts_with(home.path()))
        .then(|| "this is a git repository; `init` changes nothing in it, and can be called anywhere".to_owned())
}
