//! `docs/loop.md` equals the code; `cargo xtask states` regenerates it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use kugetsu_domain::watch::conditions::ConditionKind;
use kugetsu_domain::watch::feedback::{Budgets, CHECKS_GRACE, FeedbackKind, GATHER};
use kugetsu_domain::watch::publication::{ANSWER_MAX, StateLabel};
use kugetsu_domain::watch::quote::{EXCERPT_MAX, QUOTE_MAX};
use kugetsu_engine::watches::{BUDGET, OPEN_MAX, POLL, POLL_WITH_HOOK};

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
    for kind in FeedbackKind::ALL {
        let budgets = Budgets { verify: BUDGET, conflict: BUDGET, ci: BUDGET, review: BUDGET, bot_review: BUDGET };
        let budget = match budgets.of(*kind) {
            0 => "0: a person decides".to_owned(),
            budget => budget.to_string(),
        };
        writeln!(feedback, "| `{}` | {} | {budget} |", kind.name(), kind.description()).unwrap();
    }
    let mut labels = "| label | state |\n|---|---|\n".to_owned();
    for label in StateLabel::ALL {
        writeln!(labels, "| `{}` | {} |", label.name(), label.description()).unwrap();
    }
    let page = HEAD
        .replace("{conditions}", conditions.trim_end())
        .replace("{feedback}", feedback.trim_end())
        .replace("{labels}", labels.trim_end())
        .replace("{open_max}", &OPEN_MAX.to_string())
        .replace("{poll}", &seconds(POLL))
        .replace("{poll_with_hook}", &seconds(POLL_WITH_HOOK))
        .replace("{grace}", &signed(CHECKS_GRACE))
        .replace("{gather}", &signed(GATHER))
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

fn signed(time: SignedDuration) -> String {
    seconds(time.unsigned_abs())
}

fn seconds(time: Duration) -> String {
    match time.as_secs() {
        60 => "a minute".to_owned(),
        whole if whole.is_multiple_of(60) => format!("{} minutes", whole / 60),
        whole => format!("{whole} seconds"),
    }
}
