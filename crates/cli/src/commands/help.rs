//! `kugetsu help`: prints the help of a command, or of a topic that belongs to no single command.

use clap::{Args, Command};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::names::did_you_mean;
use crate::ui;

/// Texts on subjects that belong to no single command, by name. `kugetsu man` prints them as well.
pub(crate) const TOPICS: [(&str, &str); 6] = [
    ("refs", include_str!("../help/refs.txt")),
    ("config", include_str!("../help/config.txt")),
    ("env", include_str!("../help/env.txt")),
    ("agents", include_str!("../help/agents.txt")),
    ("watch", include_str!("../help/watch.txt")),
    ("exit-codes", include_str!("../help/exit-codes.txt")),
];

/// Show the help of a command or a topic: refs, config, env, agents, watch, exit-codes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu help
  kugetsu help start
  kugetsu help queue cancel
  kugetsu help exit-codes")]
pub(crate) struct Help {
    /// The command or topic; without it, all commands are listed.
    #[arg(value_name = "COMMAND OR TOPIC")]
    names: Vec<String>,
}

pub(crate) fn run(arguments: &Help, mut command: Command) -> Result<Exit, Failure> {
    command.build();
    let names: Vec<&str> = arguments.names.iter().map(String::as_str).collect();
    let topic = match names.as_slice() {
        [name] => TOPICS.iter().find(|(topic, _)| topic == name).map(|(_, text)| *text),
        _ => None,
    };
    let found = find(&command, &names);
    let is_command = found.is_ok();
    match (found, topic) {
        (Ok(command), _) => ui::help(&command.clone().render_long_help()),
        (Err(_), Some(_)) => {}
        (Err(failure), None) => return Err(failure),
    }
    if let Some(text) = topic {
        // A name can be both.
        ui::text(&if is_command { format!("\n{text}") } else { text.to_owned() });
    }
    Ok(Exit::Done)
}

/// The subcommand at the end of a path such as `queue cancel`.
fn find<'a>(command: &'a Command, path: &[&str]) -> Result<&'a Command, Failure> {
    let mut found = command;
    for (at, name) in path.iter().enumerate() {
        found = found.find_subcommand(name).ok_or_else(|| unknown(found, &path[..at], name))?;
    }
    Ok(found)
}

fn unknown(command: &Command, parents: &[&str], name: &str) -> Failure {
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set()).map(Command::get_name);
    let mut names: Vec<&str> = commands.collect();
    let (kind, hint) = match parents {
        [] => ("command or topic", "list commands and topics with `kugetsu help`".to_owned()),
        parents => ("command", format!("run `kugetsu help {}`", parents.join(" "))),
    };
    if parents.is_empty() {
        names.extend(TOPICS.iter().map(|(name, _)| *name));
    }
    names.sort_unstable();
    // A name can be both.
    names.dedup();
    if parents.is_empty() && names.contains(&name) {
        let hint = format!("read it with `kugetsu help {name}`");
        return Failure::usage(format!("{name:?} is a topic and has no subcommands")).hint(hint);
    }
    let typed = [parents, &[name]].concat().join(" ");
    let suggestion = did_you_mean(name, names);
    Failure::usage(format!("no {kind} {typed:?}{suggestion}")).hint(hint)
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
