//! `kugetsu help`: commands as `--help` shows them, and topics that belong to no command alone.

use clap::{Args, Command};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::names::suggestions;
use crate::ui;

/// Texts on subjects that belong to no single command, by name. `kugetsu man` prints them as well.
pub(crate) const TOPICS: [(&str, &str); 5] = [
    ("refs", include_str!("../help/refs.txt")),
    ("config", include_str!("../help/config.txt")),
    ("env", include_str!("../help/env.txt")),
    ("agents", include_str!("../help/agents.txt")),
    ("exit-codes", include_str!("../help/exit-codes.txt")),
];

/// Show the help of a command, or a topic: refs, config, env, agents, exit-codes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu help
  kugetsu help start
  kugetsu help queue cancel
  kugetsu help exit-codes")]
pub(crate) struct Help {
    /// The command or the topic; all of them otherwise.
    #[arg(value_name = "COMMAND OR TOPIC")]
    names: Vec<String>,
}

/// Shows.
pub(crate) fn run(arguments: &Help, mut command: Command) -> Result<Exit, Failure> {
    command.build();
    let words: Vec<&str> = arguments.names.iter().map(String::as_str).collect();
    let topic = match words.as_slice() {
        [word] => TOPICS.iter().find(|(name, _)| name == word).map(|(_, text)| *text),
        _ => None,
    };
    let found = find(&command, &words);
    let is_command = found.is_ok();
    match (found, topic) {
        (Ok(command), _) => ui::help(&command.clone().render_long_help()),
        (Err(_), Some(_)) => {}
        (Err(failure), None) => return Err(failure),
    }
    if let Some(text) = topic {
        // A name that is both is read as both.
        ui::text(&if is_command { format!("\n{text}") } else { text.to_owned() });
    }
    Ok(Exit::Done)
}

/// The command that the words name.
fn find<'a>(command: &'a Command, words: &[&str]) -> Result<&'a Command, Failure> {
    let mut found = command;
    for (at, word) in words.iter().enumerate() {
        found = found.find_subcommand(word).ok_or_else(|| unknown(found, &words[..at], word))?;
    }
    Ok(found)
}

fn unknown(command: &Command, before: &[&str], word: &str) -> Failure {
    let commands = command.get_subcommands().filter(|one| !one.is_hide_set()).map(Command::get_name);
    let commands: Vec<&str> = commands.collect();
    let topics: Vec<&str> = if before.is_empty() { TOPICS.iter().map(|(name, _)| *name).collect() } else { vec![] };
    let typed = [before, &[word]].concat().join(" ");
    let what = if before.is_empty() { "command or topic" } else { "command" };
    let mut names = [commands.as_slice(), topics.as_slice()].concat();
    names.sort_unstable();
    names.dedup();
    let near = suggestions(word, names.iter().copied());
    if near.is_empty() {
        let own = before.join(" ");
        return Failure::usage(format!("there is no {what} {typed:?}")).hint(format!("kugetsu help {own}"));
    }
    let failure = Failure::usage(format!("there is no {what} {typed:?}; did you mean {}?", near.join(" or ")));
    let failure = failure.hint(format!("commands: {}", commands.join(", ")));
    if topics.is_empty() { failure } else { failure.hint(format!("topics: {}", topics.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_fit_a_terminal_of_80_columns_and_two_screens() {
        for (name, text) in TOPICS {
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{name}");
            assert!(text.lines().count() <= 48 && text.ends_with('\n'), "{name}");
        }
    }
}
