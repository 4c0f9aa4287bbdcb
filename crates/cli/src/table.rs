//! Rows below each other in columns, as text.
//!
//! One column holds free text, most often the last: it alone is shortened where a line would be wider than the terminal.
//! The others are names and numbers that mean nothing when they are cut.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Between two columns.
const GAP: usize = 2;
/// A free text that is shorter says nothing; then the line is rather wrapped by the terminal.
const FREE_LEAST: usize = 12;

/// The cells of each line, filled up to the width of their columns. The last one of a line has no space behind it. The
/// column `free` is shortened so that lines fit into `width`.
pub(crate) fn lines(heads: &[&str], rows: &[Vec<String>], free: usize, width: Option<usize>) -> Vec<Vec<String>> {
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&heads).chain(rows).collect();
    let widest = |column: usize| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max();
    let mut widths: Vec<usize> = (0..heads.len()).map(|column| widest(column).unwrap_or_default()).collect();
    let gaps = GAP * heads.len().saturating_sub(1);
    let others: usize = widths.iter().enumerate().filter(|(column, _)| *column != free).map(|(_, width)| width).sum();
    let left = width.map(|width| width.saturating_sub(others + gaps).max(FREE_LEAST));
    if let (Some(left), Some(wide)) = (left, widths.get_mut(free)) {
        *wide = left.min(*wide);
    }
    all.into_iter()
        .map(|row| {
            let filled = row.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
            let cell = |(column, cell): (usize, &String)| {
                let text = if column == free { shortened(cell, left) } else { cell.clone() };
                if column + 1 == filled { text } else { padded(&text, widths[column] + GAP) }
            };
            row.iter().take(filled).enumerate().map(cell).collect()
        })
        .collect()
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// The text in at most so many columns of a terminal, with a sign where it was cut.
pub(crate) fn shortened(text: &str, width: Option<usize>) -> String {
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

/// The text in lines of at most so many columns, broken between words; the lines after the first begin with so many spaces.
/// A word that is wider is left whole: it may be a path or a command.
pub(crate) fn wrapped(text: &str, indent: usize, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let (mut lines, mut at) = (String::new(), indent);
    for word in text.split(' ') {
        if at > indent && at + 1 + word.width() > width {
            lines.push_str(&format!("\n{}{word}", " ".repeat(indent)));
            at = indent + word.width();
        } else {
            let gap = usize::from(at > indent);
            lines.push_str(&format!("{}{word}", " ".repeat(gap)));
            at += gap + word.width();
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(heads: &[&str], rows: &[[&str; 3]], width: Option<usize>) -> Vec<String> {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        lines(heads, &rows, heads.len() - 1, width).iter().map(|cells| cells.concat()).collect()
    }

    #[test]
    fn columns_are_aligned_and_the_free_text_is_cut_to_the_terminal() {
        let rows = [
            ["a/b#1", "done", "one commit was pushed to the branch"],
            ["acme/api#12", "timeout", ""],
            ["世界#1", "x", "y"],
        ];
        let heads = ["ISSUE", "STATE", "WHY"];
        assert_eq!(
            text(&heads, &rows, Some(40)),
            [
                "ISSUE        STATE    WHY",
                "a/b#1        done     one commit was pu…",
                "acme/api#12  timeout",
                "世界#1       x        y",
            ]
        );
        assert!(text(&heads, &rows, Some(40)).iter().all(|line| line.width() <= 40));
        assert!(text(&heads, &rows, None)[1].ends_with("to the branch"), "nothing is cut where no terminal is");
        assert!(text(&heads, &rows, Some(10))[1].starts_with("a/b#1        done     one"), "names are never cut");
    }

    #[test]
    fn another_column_can_be_the_one_that_is_cut() {
        let rows = vec![["agents.x.program", "/a/very/long/path/to/it", "config.toml:7"].map(str::to_owned).to_vec()];
        let text: Vec<String> =
            lines(&["SETTING", "VALUE", "FROM"], &rows, 1, Some(46)).iter().map(|cells| cells.concat()).collect();
        assert_eq!(text[1], "agents.x.program  /a/very/long…  config.toml:7");
        assert_eq!(text[0].find("FROM"), Some(text[1].find("config").unwrap() - "…".len() + 1));
    }

    #[test]
    fn a_long_text_is_broken_between_words_and_stays_in_its_column() {
        let text = "one two three /a/path/that/is/wider four";
        assert_eq!(wrapped(text, 2, Some(12)), "one two\n  three\n  /a/path/that/is/wider\n  four");
        assert_eq!(wrapped(text, 2, None), text);
    }
}
