//! `kugetsu why`: why a task is not running, or how it ended.

use clap::Args;
use jiff::Timestamp;
use kugetsu_api::endpoints;
use kugetsu_api::home::Home;
use kugetsu_api::issue::IssueQuery;
use kugetsu_api::watch::{ConditionObject, FeedbackObject, FollowObject};
use kugetsu_domain::machine::Machine;
use kugetsu_domain::text::counted;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::{self, Tone};
use crate::{completions, connect, format, paths};

/// Explain why an issue is not started or not running, or how it ended.
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
    match why.state {
        _ if why.destroyed => ui::line("destroyed"),
        Some(state) => ui::toned(format::tone(state), state.name()),
        None => ui::toned(Tone::Strong, "not started"),
    }
    for reason in &why.because {
        ui::line(indented(reason));
    }
    if let Some(hint) = &why.hint {
        ui::line(indented(&format!("hint: {hint}")));
    }
    if let Some(follow) = &why.follow {
        print_follow(follow);
    }
    if let Some(watch) = why.watch.as_ref().filter(|_| !why.conditions.is_empty()) {
        ui::line(format!("  conditions of the watch {watch}:"));
        why.conditions.iter().for_each(print_condition);
    }
    for next in &why.next {
        ui::toned(Tone::Dim, format!("  {next}"));
    }
    Ok(Exit::Done)
}

/// Column of the text behind the mark of a condition.
const COLUMN: usize = 8;

fn print_condition(condition: &ConditionObject) {
    let mark = match condition.met.as_str() {
        "yes" => (Tone::Good, "    yes"),
        "no" => (Tone::Bad, "    no"),
        _ => (Tone::Dim, "    ?"),
    };
    let age = condition.read_at.as_ref().map(|at| format!(" (read {})", format::ago(at, Timestamp::now())));
    ui::bullet(mark, COLUMN, &format!("{}: {}{}", condition.name, condition.fact, age.unwrap_or_default()), &[]);
}

fn print_follow(follow: &FollowObject) {
    let is_awaited = follow.ended.is_none() && follow.waits_for.is_none();
    let none = if is_awaited { "no pull request yet" } else { "no pull request" };
    let pull_request = follow.pr_url.as_deref().unwrap_or(none);
    let state = match (&follow.ended, follow.stopped) {
        (Some(ended), _) => format!(", {ended}"),
        (None, true) => ", stopped by a user".to_owned(),
        (None, false) => String::new(),
    };
    ui::line(format!("  followed by the watch {}: {pull_request}{state}", follow.watch));
    if let Some(waits_for) = &follow.waits_for {
        ui::line(indented(&format!("  waits for: {waits_for}")));
    }
    if let Some(next) = &follow.next_look {
        ui::line(format!("    looks again at {} at the latest", format::local_time(next)));
    }
    for feedback in &follow.feedback {
        let reason = feedback.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let FeedbackObject { kind, given, budget, state, .. } = feedback;
        ui::line(indented(&format!("  feedback {kind}: given {given} of {budget}, {state}{reason}")));
    }
    if let Some(count) = follow.left_out.filter(|count| *count > 0) {
        let comments = counted(count, "comment");
        ui::line(format!("    {comments} of people who are not trusted: the agent does not get them"));
    }
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
