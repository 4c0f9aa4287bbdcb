//! `kugetsu why`: why a task is not running, or how it ended.

use clap::Args;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::issue::IssueQuery;
use kugetsu_domain::machine::Machine;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{self, Tone};
use crate::{completions, connect, format, paths};

/// Explain why an issue's task is not running, or how it ended.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kugetsu why acme/api#12
  kugetsu why .
  kugetsu why pm")]
pub(crate) struct Why {
    /// The issue, or `pm` for the coordinator.
    #[arg(add = completions::issues())]
    reference: String,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, arguments: Why) -> Result<Exit, Failure> {
    let query = IssueQuery { reference: arguments.reference, cwd: paths::cwd()? };
    let why = connect::call(home, &endpoints::ISSUE_WHY, &query).await?;
    if arguments.json {
        ui::json(&why)?;
        return Ok(Exit::Done);
    }
    ui::piece(Tone::Plain, format!("{} is ", why.issue));
    match why.destroyed {
        true => ui::line("destroyed"),
        false => ui::toned(format::tone(why.state), why.state.name()),
    }
    for reason in &why.because {
        ui::line(indented(reason));
    }
    if let Some(hint) = &why.hint {
        ui::line(indented(&format!("hint: {hint}")));
    }
    for next in &why.next {
        ui::toned(Tone::Dim, format!("  {next}"));
    }
    Ok(Exit::Done)
}

/// The text with every line indented.
fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_reason_is_indented() {
        assert_eq!(indented("one\ntwo"), "  one\n  two");
    }
}
