//! `cargo xtask <verb>`: the entry point to everything that contributors and build servers run. Each verb has a file.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod agents;
mod bench;
mod ceilings;
mod demo;
mod fuzz;
mod install;
mod lint;
mod linters;
mod parity;
mod peers;
mod programs;
mod settings;
mod specs;
mod states;
mod steps;
mod test;
mod workspace;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <verb>

  test [--full]
            check everything before a push: lint, build, tests; --full runs the tests of all agents instead of four,
            and kills processes at random 500 times instead of 40
  lint      run the checks that need no tests: format, spelling, dependencies, clippy, rustdoc
  install [--full]
            install what the tests need on a fresh machine; --full installs all agents instead of four
  demo      show how an issue of a watched repository becomes a merged pull request, in a throwaway home and without an
            account
  demo task
            the same for a task of a local repository and a message for the coordinator
  bench     measure a release build and write docs/benchmarks.md
  fuzz <target> [seconds]
            run a fuzz target; fuzz/corpus has a directory for each
  ceilings  lower the ceilings of the tidy tests to the current counts
  settings  write the table of docs/settings.md
  agents    write the table and the sections of docs/agents.md
  states    write docs/states.md from the state tables
  specs <github.json> <forgejo.json>
            reduce the published API descriptions to what the forge tests use
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        ["test"] => test::run(test::Extent::Default),
        ["test", "--full"] => test::run(test::Extent::Full),
        ["lint"] => lint::run(),
        ["install"] => install::run(test::Extent::Default),
        ["install", "--full"] => install::run(test::Extent::Full),
        ["demo"] => demo::watched_issue::run(),
        ["demo", "task"] => demo::local_task::run(),
        ["bench"] => bench::run(),
        ["fuzz", target] => fuzz::run(target, None),
        ["fuzz", target, seconds] => fuzz::run(target, Some(seconds)),
        ["ceilings"] => ceilings::run(),
        ["agents"] => agents::write_page(),
        ["settings"] => settings::run(),
        ["states"] => states::run(),
        ["specs", github, forgejo] => specs::run(github, forgejo),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("there is no `cargo xtask {}`\n\n{HELP}", other.join(" "))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
