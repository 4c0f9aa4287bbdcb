//! `docs/loop.md` equals the code; `cargo xtask states` regenerates it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use kugetsu_api::run_spec::IssueTool;
use kugetsu_domain::watch::command::{Command, commands};
use kugetsu_domain::watch::conditions::ConditionKind;
use kugetsu_domain::watch::feedback::{CHECKS_GRACE, FeedbackKind, GATHER, GREEN_LEAST};
use kugetsu_domain::watch::publication::{ANSWER_MAX, StateLabel};
use kugetsu_domain::watch::quote::{EXCERPT_MAX, QUOTE_MAX};
use kugetsu_engine::watches::{
    FILE_AGAIN, FILE_AGAIN_IF_NONE, FILE_AGAIN_WITH_HOOK, LOOK_LONGEST, MERGE_ATTEMPTS, OPEN_MAX, POLL, POLL_WITH_HOOK,
    POLL_WITH_HOOK_ON_GITLAB, REFUSED_AGAIN, Watch,
};
use serde_json::json;

/// Set by `cargo xtask states`.
const WRITE: &str = "KUGETSU_WRITE_STATES";

const HEAD: &str = include_str!("loop_page.txt");

#[test]
fn loop_page_matches_the_code() {
    let mut conditions = "| condition | met when |\n|---|---|\n".to_owned();
    for kind in ConditionKind::ALL {
        writeln!(conditions, "| {} | {} |", kind.name(), kind.description()).unwrap();
    }
    let mut feedback =
        "| kind | when | how many times, unless `max_feedback` says otherwise |\n|---|---|---|\n".to_owned();
    let entry = json!({ "repo": "https://github.com/acme/api", "label": "agent" });
    let watch = Watch::new("api", serde_json::from_value(entry).unwrap(), &[]).unwrap();
    for kind in FeedbackKind::ALL {
        let budget = match watch.feedback.budgets.of(*kind) {
            0 => "0: a person decides".to_owned(),
            budget => budget.to_string(),
        };
        writeln!(feedback, "| `{}` | {} | {budget} |", kind.name(), kind.description()).unwrap();
    }
    let mut labels = "| label | state |\n|---|---|\n".to_owned();
    for label in StateLabel::ALL {
        writeln!(labels, "| `{}` | {} |", label.name(), label.description()).unwrap();
    }
    let mut commands = "| command | effect |\n|---|---|\n".to_owned();
    for command in [Command::Start, Command::Stop, Command::Retry, Command::Ask("<text>".to_owned())] {
        let (usage, effect) = described(&command);
        writeln!(commands, "| `{usage}` | {effect} |").unwrap();
    }
    let mut tools = "| tool | effect | in a run |\n|---|---|---|\n".to_owned();
    for tool in IssueTool::ALL {
        let (effect, limit) = tool_described(tool);
        writeln!(tools, "| `{}` | {effect} | {limit} |", tool.name()).unwrap();
    }
    let page = HEAD
        .replace("{conditions}", conditions.trim_end())
        .replace("{feedback}", feedback.trim_end())
        .replace("{labels}", labels.trim_end())
        .replace("{commands}", commands.trim_end())
        .replace("{tools}", tools.trim_end())
        .replace("{text_max}", &IssueTool::TEXT_MAX.to_string())
        .replace("{file_again}", &signed(FILE_AGAIN))
        .replace("{file_again_if_none}", &signed(FILE_AGAIN_IF_NONE))
        .replace("{file_again_with_hook}", &signed(FILE_AGAIN_WITH_HOOK))
        .replace("{refused}", &signed(REFUSED_AGAIN))
        .replace("{look_longest}", &signed(LOOK_LONGEST))
        .replace("{open_max}", &OPEN_MAX.to_string())
        .replace("{poll}", &seconds(POLL))
        .replace("{poll_with_hook}", &seconds(POLL_WITH_HOOK))
        .replace("{poll_on_gitlab}", &seconds(POLL_WITH_HOOK_ON_GITLAB))
        .replace("{grace}", &signed(CHECKS_GRACE))
        .replace("{green_least}", &signed(GREEN_LEAST))
        .replace("{gather}", &signed(GATHER))
        .replace("{merge_attempts}", &MERGE_ATTEMPTS.to_string())
        .replace("{answer_max}", &(ANSWER_MAX / 1024).to_string())
        .replace("{quote_max}", &(QUOTE_MAX / 1024).to_string())
        .replace("{excerpt_max}", &(EXCERPT_MAX / 1024).to_string());
    assert!(!page.contains(['{', '}']), "a part of the page has no value");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/loop.md");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/loop.md is out of date; run `cargo xtask states`");
}

/// How a person writes a command, and its effect. A command that is added needs a line here, and one in the list above.
fn described(command: &Command) -> (&'static str, &'static str) {
    let (usage, effect) = match command {
        Command::Start => (
            "/kugetsu start",
            "starts the issue, whatever its labels, its author, its dependencies and the limits of the watch are; resumes it if it was \
             started before",
        ),
        Command::Stop => {
            ("/kugetsu stop", "cancels its tasks; it gets no feedback and is not merged until it is resumed")
        }
        Command::Retry => (
            "/kugetsu retry",
            "resumes it, tries the latest task again if it failed or ended without a commit, gives the agent a failure of `verify` again, \
             and begins the budgets again",
        ),
        Command::Ask(_) => (
            "/kugetsu ask <text>",
            "gives the agent the text, up to the end of the comment; its answer is a comment in the same discussion",
        ),
    };
    assert_eq!(commands(usage), [Ok(command.clone())], "{usage} is the command");
    (usage, effect)
}

/// The effect of a tool, and how many times an agent may use it in a run.
fn tool_described(tool: IssueTool) -> (&'static str, String) {
    let reads = format!("{} times, both together", IssueTool::READS_MAX);
    match tool {
        IssueTool::Issue => ("reads the issue with the comments of trusted people", reads),
        IssueTool::Checks => ("reads its pull request, the checks, and the logs of failed jobs", reads),
        IssueTool::Comment => ("writes a comment on the issue", format!("{} times", IssueTool::COMMENTS_MAX)),
        IssueTool::Ask => {
            ("asks a person on the issue; the task is blocked and nothing is pushed", "once, one of the two".to_owned())
        }
        IssueTool::Blocked => (
            "says that the agent cannot finish; the task is blocked and nothing is pushed",
            "once, one of the two".to_owned(),
        ),
    }
}

fn signed(time: SignedDuration) -> String {
    seconds(time.unsigned_abs())
}

fn seconds(time: Duration) -> String {
    match time.as_secs() {
        60 => "a minute".to_owned(),
        3600 => "an hour".to_owned(),
        whole if whole.is_multiple_of(3600) => format!("{} hours", whole / 3600),
        whole if whole.is_multiple_of(60) => format!("{} minutes", whole / 60),
        whole => format!("{whole} seconds"),
    }
}
