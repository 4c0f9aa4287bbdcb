//! Cuts the lines around one line out of a diff, as the other kinds of servers send them with a thread.

use std::collections::VecDeque;

/// Lines of an excerpt before and after the line.
const BEFORE: usize = 8;
const AFTER: usize = 3;
/// Characters of one line.
const LINE_MAX: usize = 300;

/// A line of a file, by the version that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Old(u64),
    New(u64),
}

/// A line number in each version.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    old: u64,
    new: u64,
}

/// The lines around `line` with their own header; `None` if the diff does not contain the line.
pub(super) fn hunk(diff: &str, line: Line) -> Option<String> {
    let mut next = None;
    // The lines so far, each with its position.
    let mut kept: VecDeque<(Position, &str)> = VecDeque::new();
    // Lines to add once the line is found.
    let mut left = None;
    for text in diff.lines() {
        if text.starts_with("@@") {
            if left.is_some() {
                break;
            }
            next = start(text);
            kept.clear();
            continue;
        }
        let Some(at) = &mut next else { continue };
        let is_old = text.is_empty() || text.starts_with([' ', '-']);
        let is_new = text.is_empty() || text.starts_with([' ', '+']);
        match &mut left {
            Some(0) => break,
            Some(left) => *left -= 1,
            None if kept.len() > BEFORE => drop(kept.pop_front()),
            None => {}
        }
        kept.push_back((*at, text));
        let is_line = match line {
            Line::Old(number) => is_old && at.old == number,
            Line::New(number) => is_new && at.new == number,
        };
        if is_line && left.is_none() {
            left = Some(AFTER);
        }
        at.old += u64::from(is_old);
        at.new += u64::from(is_new);
    }
    left?;
    let (first, _) = kept.front()?;
    let last = next?;
    let range = |first: u64, next: u64| {
        // A range without lines begins at the line before it.
        if next == first { format!("{},0", first.saturating_sub(1)) } else { format!("{first},{}", next - first) }
    };
    let header = format!("@@ -{} +{} @@", range(first.old, last.old), range(first.new, last.new));
    let lines = kept.iter().map(|(_, text)| cut(text));
    Some(std::iter::once(header).chain(lines).collect::<Vec<_>>().join("\n"))
}

/// The first lines of a header such as `@@ -12,3 +14,5 @@ fn main() {`.
fn start(header: &str) -> Option<Position> {
    let mut ranges = header.split_whitespace().skip(1);
    let mut number = |sign: char| {
        let (first, count) =
            ranges.next()?.strip_prefix(sign).map(|range| range.split_once(',').unwrap_or((range, "1")))?;
        let first: u64 = first.parse().ok()?;
        // A range without lines names the line before it.
        Some(if count == "0" { first.saturating_add(1) } else { first })
    };
    Some(Position { old: number('-')?, new: number('+')? })
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LINE_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "--- a/src/main.rs\n+++ b/src/main.rs\n@@ -1,3 +1,4 @@\n fn main() {\n-    old();\n+    new();\n+    more();\n }\n@@ -20,2 +21,2 @@ fn other() {\n-    a();\n+    b();\n }\n\\ No newline at end of file\n";

    #[test]
    fn lines_of_both_versions_are_found() {
        let first = "@@ -1,3 +1,4 @@\n fn main() {\n-    old();\n+    new();\n+    more();\n }";
        for line in [Line::New(2), Line::New(4), Line::Old(2), Line::Old(3)] {
            assert_eq!(hunk(DIFF, line).as_deref(), Some(first), "{line:?}");
        }
        let begin = "@@ -1,2 +1,3 @@\n fn main() {\n-    old();\n+    new();\n+    more();";
        assert_eq!(hunk(DIFF, Line::New(1)).as_deref(), Some(begin));
        let second = "@@ -20,2 +21,2 @@\n-    a();\n+    b();\n }\n\\ No newline at end of file";
        for line in [Line::New(21), Line::New(22), Line::Old(20), Line::Old(21)] {
            assert_eq!(hunk(DIFF, line).as_deref(), Some(second), "{line:?}");
        }
    }

    #[test]
    fn a_line_outside_of_the_diff_has_no_hunk() {
        for line in [Line::New(0), Line::New(5), Line::New(20), Line::New(23), Line::Old(4), Line::Old(u64::MAX)] {
            assert_eq!(hunk(DIFF, line), None, "{line:?}");
        }
        for text in ["", "@@", "@@ -x +y @@\n a", "@@ -1 @@\n a", "Binary files differ\n", "a line\nanother\n"] {
            assert_eq!(hunk(text, Line::New(1)), None, "{text:?}");
        }
    }

    #[test]
    fn new_and_deleted_files_have_a_version_without_lines() {
        assert_eq!(hunk("@@ -0,0 +1,2 @@\n+a\n+b\n", Line::New(2)).as_deref(), Some("@@ -0,0 +1,2 @@\n+a\n+b"));
        assert_eq!(hunk("@@ -1,2 +0,0 @@\n-a\n-b\n", Line::Old(1)).as_deref(), Some("@@ -1,2 +0,0 @@\n-a\n-b"));
        assert_eq!(hunk("@@ -1 +1 @@\n-a\n+b\n", Line::New(1)).as_deref(), Some("@@ -1,1 +1,1 @@\n-a\n+b"));
    }

    #[test]
    fn only_the_lines_around_it_are_kept() {
        let lines: String = (1..=100_000).map(|n| format!("+line {n} {}\n", "é".repeat(1000))).collect();
        let cut = hunk(&format!("@@ -0,0 +1,100000 @@\n{lines}"), Line::New(50_000)).unwrap();
        assert!(cut.starts_with("@@ -0,0 +49992,12 @@\n+line 49992 é"), "{}", &cut[..60]);
        assert_eq!(cut.lines().count(), 1 + BEFORE + 1 + AFTER);
        assert!(cut.lines().last().unwrap().starts_with("+line 50003 "));
        assert!(cut.lines().skip(1).all(|line| line.chars().count() == LINE_MAX + 3));
    }
}
