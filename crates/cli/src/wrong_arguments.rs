//! Arguments that clap rejects, reported like all other errors: a message in lower case, and hints that say what to type.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use crate::failure::Failure;
use crate::names::did_you_mean;

/// Turns clap's error into a failure. `typed` are the arguments after the name of the program.
///
/// # Errors
/// The same error if it is help, or of a kind that clap itself describes well enough.
pub(crate) fn rejected(error: Error, command: &Command, typed: &[OsString]) -> Result<Failure, Error> {
    let (path, command) = command_of(command, typed);
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let argument = text(ContextKind::InvalidArg);
    let failure = match (error.kind(), argument, text(ContextKind::InvalidValue)) {
        (ErrorKind::MissingRequiredArgument, ..) => {
            let names = texts(&error, ContextKind::InvalidArg);
            let example = example(command).map(|example| format!("for example `{example}`"));
            Failure::usage(format!("missing argument {}", names.join(" "))).hints(example)
        }
        (ErrorKind::UnknownArgument, Some(argument), _) => {
            let similar = text(ContextKind::SuggestedArg).map(|similar| format!("; did you mean `{similar}`?"));
            Failure::usage(format!("unexpected argument {argument:?}{}", similar.unwrap_or_default()))
        }
        (ErrorKind::InvalidValue, Some(argument), Some(value)) => {
            let valid = texts(&error, ContextKind::ValidValue);
            let message = match value {
                "" => format!("{argument} needs a value"),
                value => {
                    format!("invalid value {value:?} for {argument}{}", did_you_mean(value, valid.iter().copied()))
                }
            };
            Failure::usage(message).hints((!valid.is_empty()).then(|| format!("use one of {}", valid.join(", "))))
        }
        (ErrorKind::ValueValidation, Some(argument), Some(value)) => {
            let why = error.source().map(|why| format!(": {why}")).unwrap_or_default();
            Failure::usage(format!("invalid value {value:?} for {argument}{why}"))
        }
        (ErrorKind::TooManyValues, Some(argument), Some(value)) => {
            Failure::usage(format!("unexpected value {value:?} for {argument}"))
        }
        (ErrorKind::ArgumentConflict, Some(argument), _) => match text(ContextKind::PriorArg) {
            Some(prior) if prior == argument => Failure::usage(format!("{argument} was given more than once")),
            Some(prior) => Failure::usage(format!("{argument} cannot be used with {prior}")),
            None => return Err(error),
        },
        _ => return Err(error),
    };
    Ok(failure.hint(format!("list arguments and options with `{path} --help`")))
}

/// Returns the command that was typed, and its names.
fn command_of<'a>(command: &'a Command, typed: &[OsString]) -> (String, &'a Command) {
    let (mut path, mut found) = (command.get_name().to_owned(), command);
    for name in typed.iter().filter(|argument| !is_verbose(argument)) {
        let Some(inner) = found.find_subcommand(name) else { break };
        path = format!("{path} {}", inner.get_name());
        found = inner;
    }
    (path, found)
}

/// The only option that may precede the name of a command.
fn is_verbose(typed: &OsString) -> bool {
    typed == "--verbose" || typed.to_str().is_some_and(|typed| typed.len() > 1 && typed.trim_end_matches('v') == "-")
}

fn texts(error: &Error, kind: ContextKind) -> Vec<&str> {
    match error.get(kind) {
        Some(ContextValue::Strings(texts)) => texts.iter().map(String::as_str).collect(),
        Some(ContextValue::String(text)) => vec![text],
        _ => vec![],
    }
}

/// The first of the examples in the command's help.
fn example(command: &Command) -> Option<String> {
    let help = command.get_after_help()?.to_string();
    let example = help.split("Examples:\n").nth(1)?.lines().next()?;
    Some(example.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::commands::Cli;

    fn shown(typed: &str) -> String {
        let typed: Vec<OsString> = typed.split(' ').map(OsString::from).collect();
        let line = [&["kugetsu".into()], typed.as_slice()].concat();
        let error = Cli::command().try_get_matches_from(line).unwrap_err();
        let failure = rejected(error, &Cli::command(), &typed).unwrap();
        [&[failure.message], failure.hints.as_slice()].concat().join("\n")
    }

    #[test]
    fn rejected_arguments_are_named_with_what_to_type() {
        let help = |command: &str| format!("list arguments and options with `kugetsu {command} --help`");
        for (typed, expected, command) in [
            ("start", "missing argument <REFERENCE>\nfor example `kugetsu start . \"fix the flaky test\"`", "start"),
            (
                "-vv config set",
                "missing argument <KEY> <VALUE>\nfor example `kugetsu config set agents.max 5`",
                "config set",
            ),
            ("list --foo", "unexpected argument \"--foo\"", "list"),
            ("list --jsn", "unexpected argument \"--jsn\"; did you mean `--json`?", "list"),
            ("list --limit", "--limit <N> needs a value", "list"),
            ("list --limit x", "invalid value \"x\" for --limit <N>: expected a whole number from 1 on", "list"),
            ("list --json=yes", "unexpected value \"yes\" for --json", "list"),
            ("list --all --state done", "--all cannot be used with --state <STATE>", "list"),
            ("list --json --json", "--json was given more than once", "list"),
            (
                "completions fis",
                "invalid value \"fis\" for <SHELL>; did you mean `fish`?\nuse one of bash, zsh, fish",
                "completions",
            ),
        ] {
            assert_eq!(shown(typed), format!("{expected}\n{}", help(command)), "{typed}");
        }
    }

    #[test]
    fn help_and_versions_stay_claps() {
        for typed in ["--help", "queue", "list --help"] {
            let typed: Vec<OsString> = typed.split(' ').map(OsString::from).collect();
            let line = [&["kugetsu".into()], typed.as_slice()].concat();
            let error = Cli::command().try_get_matches_from(line).unwrap_err();
            assert!(rejected(error, &Cli::command(), &typed).is_err(), "{typed:?}");
        }
    }
}
