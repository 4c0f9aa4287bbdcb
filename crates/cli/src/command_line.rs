//! The command line as users see it: the groups of commands in `--help`, and what to type instead of a verb that does not
//! exist.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use crate::failure::Failure;
use crate::names::did_you_mean;
use crate::table::wrapped;

/// Width of the terminal that help is made for.
const WIDTH: usize = 80;

/// The commands in the order and under the headings of `kugetsu --help`.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Work on issues", &["start", "continue", "answer", "push", "delegate", "attach", "set-pr", "destroy", "rescue"]),
    ("See what happens", &["status", "list", "logs", "why", "diff", "path"]),
    ("Control the queue", &["queue", "pause", "resume", "stop"]),
    (
        "Set up",
        &[
            "init", "agents", "config", "env", "server", "repo", "watch", "hook", "validate", "doctor", "daemon", "db",
            "gc",
        ],
    ),
    ("Help", &["help", "completions", "man", "version"]),
];

/// Verbs of similar programs, and the command that does the same here.
const OTHER_VERBS: [(&str, &str); 27] = [
    ("run", "start"),
    ("new", "start"),
    ("create", "start"),
    ("hold", "pause"),
    ("unpause", "resume"),
    ("send", "continue"),
    ("cancel", "queue cancel"),
    ("kill", "stop"),
    ("abort", "stop"),
    ("panic", "stop --all"),
    ("retry", "queue retry"),
    ("rerun", "queue retry"),
    ("clean", "queue clean"),
    ("rm", "destroy"),
    ("remove", "destroy"),
    ("delete", "destroy"),
    ("ls", "list"),
    ("ps", "status"),
    ("top", "status"),
    ("log", "logs"),
    ("tail", "logs -f"),
    ("show", "logs"),
    ("open", "attach"),
    ("restore", "rescue restore"),
    ("pr", "set-pr"),
    ("set", "config set"),
    ("setup", "init"),
];

/// Adds the groups to the help of the top command.
pub(crate) fn with_groups(command: Command) -> Command {
    let widest = command.get_subcommands().map(|command| command.get_name().len()).max().unwrap_or_default();
    let indent = widest + 4;
    let mut text = String::new();
    for (heading, names) in GROUPS {
        text.push_str(&format!("{heading}:\n"));
        for inner in names.iter().filter_map(|name| command.find_subcommand(name)) {
            let about = inner.get_about().map(StyledStr::to_string).unwrap_or_default();
            let about = wrapped(&about, indent, Some(WIDTH));
            text.push_str(&format!("  {:widest$}  {about}\n", inner.get_name()));
        }
        text.push('\n');
    }
    // Braces would be tags of the template.
    debug_assert!(!text.contains('{'), "{text}");
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{text}Options:\n{{options}}{{after-help}}"
    ))
}

/// Turns clap's error about an unknown command into one that names the command to type.
///
/// # Errors
/// The same error if it is about something else.
pub(crate) fn unknown_command(error: Error, command: &Command) -> Result<Failure, Error> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return Err(error);
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else { return Err(error) };
    let parents: Vec<&str> = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => parents(&usage.to_string(), command),
        _ => Vec::new(),
    };
    let parent = parents.iter().try_fold(command, |command, name| command.find_subcommand(name));
    let visible = parent.into_iter().flat_map(Command::get_subcommands).filter(|command| !command.is_hide_set());
    let names: Vec<&str> = visible.map(Command::get_name).collect();
    let path = [&["kugetsu"], parents.as_slice()].concat().join(" ");
    let other = OTHER_VERBS.iter().find(|(verb, _)| verb == typed && parents.is_empty());
    let failure = match other {
        Some(_) => Failure::usage(format!("no command {typed:?}")),
        None => Failure::usage(format!("no command {typed:?}{}", did_you_mean(typed, names.iter().copied()))),
    };
    Ok(match other {
        Some((_, instead)) => failure.hint(format!("run `kugetsu {instead}`")),
        None => failure.hint(format!("list the commands with `{path} --help`")),
    })
}

/// The commands between the program and the unknown one, as in `Usage: kugetsu queue <COMMAND>`.
fn parents<'a>(usage: &str, command: &'a Command) -> Vec<&'a str> {
    let (mut found, mut parent) = (Vec::new(), command);
    for word in usage.split_whitespace().skip_while(|word| *word != "kugetsu").skip(1) {
        let Some(inner) = parent.find_subcommand(word) else { break };
        found.push(inner.get_name());
        parent = inner;
    }
    found
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::commands::Cli;

    #[test]
    fn every_visible_command_is_in_a_group() {
        let command = Cli::command();
        let mut visible: Vec<&str> =
            command.get_subcommands().filter(|inner| !inner.is_hide_set()).map(Command::get_name).collect();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        visible.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(visible, grouped);
    }

    #[test]
    fn other_verbs_name_commands_that_exist() {
        let command = Cli::command();
        for (verb, instead) in OTHER_VERBS {
            assert!(command.find_subcommand(verb).is_none(), "{verb} exists");
            let mut found = &command;
            for name in instead.split(' ').filter(|name| !name.starts_with('-')) {
                found = found.find_subcommand(name).unwrap_or_else(|| panic!("{verb}: there is no {instead}"));
            }
        }
    }

    #[test]
    fn unknown_commands_are_answered_with_one_that_exists() {
        let shown = |typed: &[&str]| {
            let error = Cli::command().try_get_matches_from([&["kugetsu"], typed].concat()).unwrap_err();
            let failure = unknown_command(error, &Cli::command()).unwrap();
            format!("{}; {}", failure.message, failure.hints.join("; "))
        };
        assert_eq!(shown(&["cancel", "."]), "no command \"cancel\"; run `kugetsu queue cancel`");
        assert!(
            shown(&["statsu"]).starts_with("no command \"statsu\"; did you mean `status`?; "),
            "{}",
            shown(&["statsu"])
        );
        assert!(!shown(&["runne"]).contains("runner"), "hidden commands are not suggested");
        let nested = shown(&["queue", "cancle", "."]);
        assert!(nested.contains("`cancel`") && nested.ends_with("`kugetsu queue --help`"), "{nested}");
    }
}
