//! `kugetsu completions`: prints the script that connects a shell to `crate::completions`.

use clap::{Args, ValueEnum};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use crate::completions::ENV_VAR;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui;

/// Found on the PATH. An absolute path would tie the script to one installation.
const PROGRAM: &str = "kugetsu";

/// Print a shell script that completes commands, options, issues, agents and settings.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu completions bash
  kugetsu completions zsh
  kugetsu completions fish

To load it when the shell starts:
  bash, in ~/.bashrc:      source <(kugetsu completions bash)
  zsh, in ~/.zshrc:        source <(kugetsu completions zsh), after compinit
  fish, in config.fish:    kugetsu completions fish | source")]
pub(crate) struct Completions {
    /// The shell to print the script for.
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(crate) fn run(arguments: &Completions) -> Result<Exit, Failure> {
    let shell: &dyn EnvCompleter = match arguments.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let mut script = Vec::new();
    shell
        .write_registration(ENV_VAR, PROGRAM, PROGRAM, PROGRAM, &mut script)
        .map_err(|error| Failure::new(format!("could not generate the script: {error}")))?;
    ui::text(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}
