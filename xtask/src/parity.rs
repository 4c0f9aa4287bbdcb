//! `docs/parity.md`: what kugetsu inherits, row by row, each with the tests that show it. Here it is checked that every row
//! is there, that its tests exist, and, after a run of all tests, that they ran.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Tests that need a program which is not on every machine.
const NEEDS: &str = "needs_";

/// A row of the page.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    id: String,
    tests: Vec<String>,
}

/// Whether every test that the page names was run, by nextest's report. Tests whose program could not be had were named
/// as skipped already.
///
/// # Errors
/// Which were not.
pub(crate) fn all_ran(page: &Path, report: &Path) -> Result<(), String> {
    let read = |path: &Path| fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
    let (page, report) = (read(page)?, read(report)?);
    let ran = ran(&report);
    let missing: Vec<String> = rows(&page)
        .into_iter()
        .flat_map(|row| row.tests.into_iter().map(move |test| (row.id.clone(), test)))
        .filter(|(_, test)| !ran.contains(test) && (crate::root::is_ci() || !test.starts_with(NEEDS)))
        .map(|(id, test)| format!("{id}: {test}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("docs/parity.md names tests that did not run: {}", missing.join(", ")))
}

/// The last parts of the names of all tests in a report that were run.
fn ran(report: &str) -> BTreeSet<String> {
    let cases = report.split("<testcase ").skip(1).filter(|case| {
        let own = case.split("</testcase>").next().unwrap_or_default();
        !own.contains("<skipped")
    });
    let names = cases.filter_map(|case| case.split("name=\"").nth(1)?.split('"').next());
    names.filter_map(|name| name.rsplit("::").next()).map(str::to_owned).collect()
}

/// The rows of the page: in the last column stand the tests.
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
    use crate::root::root;

    /// How many rows of each kind there are: commands, behaviours, faults that must never return.
    const ROWS: [(char, u32); 3] = [('C', 13), ('B', 14), ('R', 22)];

    /// Names of functions that are tests, in all sources.
    fn tests_in(directory: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                tests_in(&path, found);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let mut is_test = false;
                for line in text.lines().map(str::trim) {
                    match line.split_once("fn ") {
                        _ if line.starts_with("#[test]") || line.starts_with("#[tokio::test") => is_test = true,
                        _ if line.starts_with("#[") || line.starts_with("//") => {}
                        Some((_, rest)) if is_test => {
                            found.insert(rest.split('(').next().unwrap().to_owned());
                            is_test = false;
                        }
                        _ => is_test = false,
                    }
                }
            }
        }
    }

    #[test]
    fn every_row_is_on_the_page_and_names_tests_of_its_own_that_exist() {
        let page = fs::read_to_string(root().join("docs/parity.md")).unwrap();
        let rows = rows(&page);
        let mut known = BTreeSet::new();
        tests_in(&root().join("crates"), &mut known);
        let mut faults = Vec::new();
        for (kind, count) in ROWS {
            for number in 1..=count {
                let id = format!("{kind}{number}");
                if rows.iter().filter(|row| row.id == id).count() != 1 {
                    faults.push(format!("{id}: not once on the page"));
                }
            }
        }
        for row in &rows {
            faults.extend(
                row.tests
                    .iter()
                    .filter(|test| !known.contains(*test))
                    .map(|test| format!("{}: no test {test}", row.id)),
            );
        }
        assert!(faults.is_empty(), "docs/parity.md:\n{}", faults.join("\n"));
    }

    #[test]
    fn a_test_that_was_left_out_did_not_run() {
        let report = r#"<testcase name="a::c01_x" time="1"></testcase><testcase name="b::c02_y" time="0"><skipped/></testcase>
            <testcase name="c03_z" time="1"/>"#;
        assert_eq!(ran(report), ["c01_x", "c03_z"].map(str::to_owned).into());
        let rows =
            rows("| id | a | tests |\n|---|---|---|\n| C1 | x | `c01_x`, `c01_q` |\n| `agents.max` | y | `z` |\n");
        assert_eq!(rows[0], Row { id: "C1".to_owned(), tests: vec!["c01_x".to_owned(), "c01_q".to_owned()] });
        assert_eq!(rows[1].id, "agents.max");
    }
}
