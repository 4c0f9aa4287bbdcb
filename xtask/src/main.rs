//! `cargo xtask <verb>`: everything that a newcomer or a build server runs. This file only finds the verb's file.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people, at a terminal")]

mod agents;
mod bench;
mod demo;
mod install;
mod lint;
mod parity;
mod peers;
mod root;
mod settings;
mod specs;
mod states;
mod step;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <verb>

  demo      the main job, for real, in a throw-away home
  test      everything that must be right before a change is pushed: lint, build, tests
  lint      rustfmt and clippy, without a warning
  install   what the tests need on a fresh machine, as far as it can be had
  bench     measures a release build and writes docs/benchmarks.md
  settings  makes the table of docs/settings.md of the commented config.toml
  states    draws docs/states.md from the tables in the code
  specs <github.json> <forgejo.json>
            cuts the descriptions of their APIs that the tests of the client use
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let answer = match words.as_slice() {
        ["test"] => test::run(),
        ["lint"] => lint::run(),
        ["install"] => install::run(),
        ["demo"] => demo::run(),
        ["bench"] => bench::run(),
        ["settings"] => settings::run(),
        ["states"] => states::run(),
        ["specs", github, forgejo] => specs::run(github, forgejo),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("there is no `cargo xtask {}`\n\n{HELP}", other.join(" "))),
    };
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}
