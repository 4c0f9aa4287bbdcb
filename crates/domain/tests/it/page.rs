//! `docs/states.md` equals the state tables; `cargo xtask states` regenerates it.

use std::fmt::Write as _;
use std::path::Path;

use kugetsu_domain::issue::IssueState;
use kugetsu_domain::machine::Machine;
use kugetsu_domain::run::RunState;
use kugetsu_domain::session::SessionState;
use kugetsu_domain::task::TaskState;

/// Set by `cargo xtask states`.
const WRITE: &str = "KUGETSU_WRITE_STATES";

const HEAD: &str = "\
# States

The states of a task, a run, a session and an issue. This page is generated from the tables in `crates/domain`
(`cargo xtask states`); a test fails if it differs from them.

An arrow is one transaction: the new state, its event and its effects are stored together, or none of them is. Any other
transition is refused.
";

#[test]
fn states_page_matches_the_tables() {
    let mut page = HEAD.to_owned();
    section::<TaskState>(&mut page, "Task", "One message for one issue, queued and durable.");
    section::<RunState>(&mut page, "Run", "One attempt by one agent process at one task.");
    section::<SessionState>(
        &mut page,
        "Session",
        "The agent's conversation. It belongs to the issue and survives runs.",
    );
    section::<IssueState>(
        &mut page,
        "Issue",
        "State of an issue in kugetsu; its state on the forge is independent of it.",
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/states.md");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/states.md is out of date; run `cargo xtask states`");
}

fn section<M: Machine>(page: &mut String, title: &str, description: &str) {
    writeln!(page, "\n## {title}\n\n{description}\n\n```mermaid\nstateDiagram-v2").unwrap();
    for arrow in M::TABLE {
        let from = arrow.from.map_or("[*]", M::name);
        writeln!(page, "    {from} --> {}: {}", arrow.to.name(), arrow.on.name()).unwrap();
    }
    for state in M::STATES.iter().filter(|state| state.is_final()) {
        writeln!(page, "    {} --> [*]", state.name()).unwrap();
    }
    page.push_str("```\n\n| state | meaning |\n|---|---|\n");
    for state in M::STATES {
        writeln!(page, "| `{}` | {} |", state.name(), state.description()).unwrap();
    }
    page.push_str("\n| from | when | to | what happens |\n|---|---|---|---|\n");
    for arrow in M::TABLE {
        let from = arrow.from.map_or("(new)".to_owned(), |from| format!("`{}`", from.name()));
        writeln!(page, "| {from} | {} | `{}` | {} |", arrow.on.name(), arrow.to.name(), arrow.description).unwrap();
    }
}
