//! Lays out rows in columns.
//!
//! One column holds free text, usually the last one. Only it is truncated where a line would be wider than the terminal:
//! the other columns hold names and numbers, which are useless when they are cut.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Spaces between two columns.
const GAP: usize = 2;
/// Minimum width of the free column; less text is useless. The terminal wraps the line instead.
const FREE_MIN: usize = 12;

/// The cells of the heading line and of each row, padded to the width of their columns; the last cell of a line is not
/// padded. The column `free` is truncated so that lines fit into `width` columns of the terminal.
pub(crate) fn lines(headings: &[&str], rows: &[Vec<String>], free: usize, width: Option<usize>) -> Vec<Vec<String>> {
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&headings).chain(rows).collect();
    let widest = |column: usize| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max();
    let mut widths: Vec<usize> = (0..headings.len()).map(|column| widest(column).unwrap_or_default()).collect();
    let gaps = GAP * headings.len().saturating_sub(1);
    let others: usize = widths.iter().enumerate().filter(|(column, _)| *column != free).map(|(_, width)| width).sum();
    let free_width = width.map(|width| width.saturating_sub(others + gaps).max(FREE_MIN));
    if let (Some(max), Some(wide)) = (free_width, widths.get_mut(free)) {
        *wide = max.min(*wide);
    }
    all.into_iter()
        .map(|row| {
            let filled = row.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
            let cell = |(column, cell): (usize, &String)| {
                let text = if column == free { truncated(cell, free_width) } else { cell.clone() };
                if column + 1 == filled { text } else { padded(&text, widths[column] + GAP) }
            };
            row.iter().take(filled).enumerate().map(cell).collect()
        })
        .collect()
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// The text in at most `width` columns of the terminal; `…` marks the cut.
pub(crate) fn truncated(text: &str, width: Option<usize>) -> String {
    let Some(width) = width.filter(|width| text.width() > *width) else { return text.to_owned() };
    let mut short = String::new();
    let mut left = width.saturating_sub(1);
    for character in text.chars() {
        let wide = character.width().unwrap_or_default();
        if wide > left {
            break;
        }
        left -= wide;
        short.push(character);
    }
    format!("{}…", short.trim_end())
}

/// The text wrapped between words into lines of at most `width` columns. Lines after the first are indented by `indent`
/// spaces. A wider word is not broken: it may be a path or a command.
pub(crate) fn wrapped(text: &str, indent: usize, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let (mut lines, mut column) = (String::new(), indent);
    for word in text.split(' ') {
        if column > indent && column + 1 + word.width() > width {
            lines.push_str(&format!("\n{}{word}", " ".repeat(indent)));
            column = indent + word.width();
        } else {
            let gap = usize::from(column > indent);
            lines.push_str(&format!("{}{word}", " ".repeat(gap)));
            column += gap + word.width();
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(headings: &[&str], rows: &[[&str; 3]], width: Option<usize>) -> Vec<String> {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        lines(headings, &rows, headings.len() - 1, width).iter().map(|cells| cells.concat()).collect()
    }

    #[test]
    fn columns_are_aligned_and_free_text_is_truncated() {
        let rows = [
            ["a/b#1", "done", "one commit was pushed to the branch"],
            ["acme/api#12", "timeout", ""],
            ["世界#1", "x", "y"],
        ];
        let headings = ["ISSUE", "STATE", "REASON"];
        assert_eq!(
            text(&headings, &rows, Some(40)),
            [
                "ISSUE        STATE    REASON",
                "a/b#1        done     one commit was pu…",
                "acme/api#12  timeout",
                "世界#1       x        y",
            ]
        );
        assert!(text(&headings, &rows, Some(40)).iter().all(|line| line.width() <= 40));
        assert!(text(&headings, &rows, None)[1].ends_with("to the branch"), "nothing is truncated without a terminal");
        assert!(
            text(&headings, &rows, Some(10))[1].starts_with("a/b#1        done     one"),
            "names are never truncated"
        );
    }

    #[test]
    fn any_column_can_be_the_free_one() {
        let rows = vec![["agents.x.program", "/a/very/long/path/to/it", "config.toml:7"].map(str::to_owned).to_vec()];
        let text: Vec<String> =
            lines(&["SETTING", "VALUE", "SOURCE"], &rows, 1, Some(46)).iter().map(|cells| cells.concat()).collect();
        assert_eq!(text[1], "agents.x.program  /a/very/long…  config.toml:7");
        assert_eq!(text[0].find("SOURCE"), Some(text[1].find("config").unwrap() - "…".len() + 1));
    }

    #[test]
    fn long_text_wraps_between_words_and_stays_indented() {
        let text = "one two three /a/path/that/is/wider four";
        assert_eq!(wrapped(text, 2, Some(12)), "one two\n  three\n  /a/path/that/is/wider\n  four");
        assert_eq!(wrapped(text, 2, None), text);
    }
}
