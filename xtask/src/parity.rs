//! Checks pages whose tables name tests: after a run of all tests they ran. `docs/parity.md` is the table of inherited behavior, and
//! every row of it is there; `docs/safety.md` promises what agents cannot do.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The pages, below the root.
pub(crate) const PAGES: [&str; 2] = ["docs/parity.md", "docs/safety.md"];
/// Prefix of tests that need a program which not every machine has.
const NEEDS: &str = "needs_";

#[derive(Debug, PartialEq, Eq)]
struct Row {
    id: String,
    tests: Vec<String>,
}

/// Checks with nextest's report that every test that the tables of a page name ran. Outside CI, tests that need a missing program are
/// left out: they are listed as skipped already.
pub(crate) fn check_that_all_ran(root: &Path, page: &str, report: &Path) -> Result<(), String> {
    let read = |path: &Path| fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
    let (text, report) = (read(&root.join(page))?, read(report)?);
    let ran = ran(&report);
    let missing: Vec<String> = rows(&text)
        .into_iter()
        .flat_map(|row| row.tests.into_iter().map(move |test| (row.id.clone(), test)))
        .filter(|(_, test)| !ran.contains(test) && (crate::workspace::is_ci() || !test.starts_with(NEEDS)))
        .map(|(id, test)| format!("{id}: {test}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("{page} names tests that did not run: {}", missing.join(", ")))
}

/// The names of the tests in the report that ran, without their modules.
fn ran(report: &str) -> BTreeSet<String> {
    let cases = report.split("<testcase ").skip(1).filter(|case| {
        let body = case.split("</testcase>").next().unwrap_or_default();
        !body.contains("<skipped")
    });
    let names = cases.filter_map(|case| case.split("name=\"").nth(1)?.split('"').next());
    names.filter_map(|name| name.rsplit("::").next()).map(str::to_owned).collect()
}

/// The rows of the page that name tests in their last column.
fn rows(page: &str) -> Vec<Row> {
    let lines = page.lines().filter(|line| line.starts_with('|'));
    lines
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let (id, tests) = (*cells.first()?, *cells.last()?);
            let tests: Vec<String> = tests.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            (!tests.is_empty()).then(|| Row { id: id.trim_matches('`').to_owned(), tests })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::root;

    /// Number of rows of each kind: commands, behaviors, regressions.
    const ROWS: [(char, u32); 3] = [('C', 13), ('B', 14), ('R', 22)];

    /// Adds the names of all test functions below the directory.
    fn collect_tests(directory: &Path, names: &mut BTreeSet<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect_tests(&path, names);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let mut is_test = false;
                for line in text.lines().map(str::trim) {
                    match line.split_once("fn ") {
                        _ if line.starts_with("#[test]") || line.starts_with("#[tokio::test") => is_test = true,
                        _ if line.starts_with("#[") || line.starts_with("//") => {}
                        Some((_, rest)) if is_test => {
                            names.insert(rest.split('(').next().unwrap().to_owned());
                            is_test = false;
                        }
                        _ => is_test = false,
                    }
                }
            }
        }
    }

    #[test]
    fn every_row_is_there_and_names_existing_tests() {
        let page = fs::read_to_string(root().join("docs/parity.md")).unwrap();
        let rows = rows(&page);
        let mut existing = BTreeSet::new();
        collect_tests(&root().join("crates"), &mut existing);
        let mut errors = Vec::new();
        for (kind, count) in ROWS {
            for number in 1..=count {
                let id = format!("{kind}{number}");
                if rows.iter().filter(|row| row.id == id).count() != 1 {
                    errors.push(format!("{id}: the page must have this row once"));
                }
            }
        }
        for row in &rows {
            errors.extend(
                row.tests
                    .iter()
                    .filter(|test| !existing.contains(*test))
                    .map(|test| format!("{}: there is no test {test}", row.id)),
            );
        }
        assert!(errors.is_empty(), "docs/parity.md:\n{}", errors.join("\n"));
    }

    #[test]
    fn skipped_tests_did_not_run() {
        let report = r#"<testcase name="a::c01_x" time="1"></testcase><testcase name="b::c02_y" time="0"><skipped/></testcase>
            <testcase name="c03_z" time="1"/>"#;
        assert_eq!(ran(report), ["c01_x", "c03_z"].map(str::to_owned).into());
        let rows =
            rows("| id | a | tests |\n|---|---|---|\n| C1 | x | `c01_x`, `c01_q` |\n| `agents.max` | y | `z` |\n");
        assert_eq!(rows[0], Row { id: "C1".to_owned(), tests: vec!["c01_x".to_owned(), "c01_q".to_owned()] });
        assert_eq!(rows[1].id, "agents.max");
    }
}
