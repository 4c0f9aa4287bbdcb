//! `kugetsu completions`: the script by which a shell completes commands, options and issues.

use clap::{Args, ValueEnum};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};

use crate::completions::ENV_VAR;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui;

/// As the shell finds it. A path would tie the script to one installation.
const PROGRAM: &str = "kugetsu";

/// Print a script that lets a shell complete commands, options and issues.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu completions bash
  kugetsu completions zsh
  kugetsu completions fish

The script is read when the shell starts:
  bash, in ~/.bashrc:      source <(kugetsu completions bash)
  zsh, in ~/.zshrc:        source <(kugetsu completions zsh), behind compinit
  fish, in config.fish:    kugetsu completions fish | source")]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script.
pub(crate) fn run(arguments: &Completions) -> Result<Exit, Failure> {
    let shell: &dyn EnvCompleter = match arguments.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let mut script = Vec::new();
    shell
        .write_registration(ENV_VAR, PROGRAM, PROGRAM, PROGRAM, &mut script)
        .map_err(|error| Failure::new(format!("the script could not be made: {error}")))?;
    ui::text(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}
