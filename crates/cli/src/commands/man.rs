//! `kugetsu man`: manual pages, generated from `--help` and the help topics.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man as Page;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::wrapped;
use crate::ui;

use super::help::TOPICS;

/// Print the manual page of kugetsu, or write the pages of all commands.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu man
  kugetsu man --dir ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// Write kugetsu.1 and one page per command into this directory.
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Man, mut command: Command) -> Result<Exit, Failure> {
    command.build();
    let Some(directory) = &arguments.dir else {
        ui::text(&String::from_utf8_lossy(&page(&command, "kugetsu")?));
        return Ok(Exit::Done);
    };
    fs::create_dir_all(directory).map_err(|error| unwritable(directory, &error))?;
    let count = write(&command, "kugetsu", directory)?;
    ui::line(format!("wrote {count} pages to {}", directory.display()));
    Ok(Exit::Done)
}

/// Writes the pages of a command and of its visible subcommands. Returns their number.
fn write(command: &Command, name: &str, directory: &Path) -> Result<usize, Failure> {
    let path = directory.join(format!("{name}.1"));
    fs::write(&path, page(command, name)?).map_err(|error| unwritable(&path, &error))?;
    let mut count = 1;
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        count += write(inner, &format!("{name}-{}", inner.get_name()), directory)?;
    }
    Ok(count)
}

fn page(command: &Command, name: &str) -> Result<Vec<u8>, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let page = Page::new(command.clone())
        .title(name)
        .section("1")
        .source(format!("kugetsu {version}"))
        .manual("Kugetsu Manual");
    let mut text = Vec::new();
    page.render(&mut text).map_err(|error| Failure::new(format!("could not generate the page {name}: {error}")))?;
    if !name.contains('-') {
        text.extend(TOPICS.iter().flat_map(|(_, topic)| section(topic).into_bytes()));
    }
    text.extend(section(&format!("Files\n\n{FILES}")).into_bytes());
    text.extend(section(&format!("Environment\n\n{ENVIRONMENT}")).into_bytes());
    text.extend(section(&format!("See also\n\n{}", see_also(command, name))).into_bytes());
    Ok(text)
}

const FILES: &str = "\
~/.kugetsu/config.toml     the settings; see `kugetsu help config`
~/.kugetsu/env/            the variables of agents; see `kugetsu help env`
~/.kugetsu/state/          the database
~/.kugetsu/mirrors/        the repositories, with pushed commits and rescues
~/.kugetsu/worktrees/      a worktree for each issue
~/.kugetsu/runs/           the transcript of each run
~/.kugetsu/logs/           the log of the daemon
";

const ENVIRONMENT: &str = "\
KUGETSU_HOME     the home; by default ~/.kugetsu
KUGETSU_*        settings, such as KUGETSU_AGENTS_MAX
KUGETSU_LOG      the log level of the daemon
VISUAL, EDITOR   the editor for messages
NO_COLOR         disables colors
";

/// The pages of the parent and of the subcommands.
fn see_also(command: &Command, name: &str) -> String {
    let parent = name.rsplit_once('-').map(|(parent, _)| match parent {
        // The only command with a dash in its name.
        "kugetsu-set" => "kugetsu",
        parent => parent,
    });
    let inner = command.get_subcommands().filter(|inner| !inner.is_hide_set());
    let inner = inner.map(|inner| format!("{name}-{}", inner.get_name()));
    let pages = parent.map(str::to_owned).into_iter().chain(inner).chain(["git".to_owned()]);
    wrapped(&pages.map(|page| format!("{page}(1)")).collect::<Vec<_>>().join(", "), 0, Some(72))
}

/// A topic as a section of the main page. Its first line is the heading. The other lines are not filled, and start at the
/// left margin because they are as wide as a terminal.
fn section(topic: &str) -> String {
    let escaped = |line: &str| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        // A line that starts with these is a roff request.
        if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
    };
    let (heading, text) = topic.split_once('\n').unwrap_or((topic, ""));
    let text: Vec<String> = text.trim_matches('\n').lines().map(escaped).collect();
    format!(".SH \"{}\"\n.nf\n.in 0\n{}\n.in\n.fi\n", heading.to_uppercase(), text.join("\n"))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("could not write {}: {error}", path.display()))
        .hint("choose a writable directory with `kugetsu man --dir <directory>`")
}
