//! Lays out rows in columns.
//!
//! Where a line would be wider than the terminal, columns are shortened: free text first, but not to nothing, then names in
//! their middle, because their ends tell them apart.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Spaces between two columns.
const GAP: usize = 2;
/// Minimum width of free text; less is useless. The terminal wraps the line instead.
const FREE_MIN: usize = 12;
/// Names are shortened before free text becomes narrower than this.
const FREE_COMFORT: usize = 28;

/// How the cells of a column are shortened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Not at all: states and numbers are useless when they are cut.
    Whole,
    /// In their middle, to no less than this width.
    Middle(usize),
    /// At their end.
    Free,
}

/// The cells of the heading line and of each row, padded to the width of their columns; the last cell of a line is not
/// padded. `fits` has an element for each heading. `width` is that of the terminal.
pub(crate) fn lines(headings: &[&str], rows: &[Vec<String>], fits: &[Fit], width: Option<usize>) -> Vec<Vec<String>> {
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&headings).chain(rows).collect();
    let widest = |column: usize| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max();
    let mut widths: Vec<usize> = (0..headings.len()).map(|column| widest(column).unwrap_or_default()).collect();
    if let Some(width) = width {
        shrink(&mut widths, fits, width.saturating_sub(GAP * headings.len().saturating_sub(1)));
    }
    all.into_iter()
        .map(|row| {
            let filled = row.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
            let cell = |(column, cell): (usize, &String)| {
                let text = match fits[column] {
                    Fit::Middle(_) => shortened(cell, widths[column]),
                    Fit::Free => truncated(cell, Some(widths[column])),
                    Fit::Whole => cell.clone(),
                };
                if column + 1 == filled { text } else { padded(&text, widths[column] + GAP) }
            };
            row.iter().take(filled).enumerate().map(cell).collect()
        })
        .collect()
}

/// Reduces the widths of columns until their sum is `available`, or no column can become narrower.
fn shrink(widths: &mut [usize], fits: &[Fit], available: usize) {
    let free = |min: usize| move |fit: Fit| (fit == Fit::Free).then_some(min);
    let middle = |fit: Fit| if let Fit::Middle(min) = fit { Some(min) } else { None };
    let steps: [&dyn Fn(Fit) -> Option<usize>; 3] = [&free(FREE_COMFORT), &middle, &free(FREE_MIN)];
    for min in steps {
        loop {
            let excess = widths.iter().sum::<usize>().saturating_sub(available);
            let widest = (0..widths.len()).filter(|column| min(fits[*column]).is_some_and(|min| widths[*column] > min));
            let Some(widest) = widest.max_by_key(|column| widths[*column]).filter(|_| excess > 0) else { break };
            widths[widest] -= 1;
        }
    }
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

/// The text in at most `width` columns of the terminal; `…` replaces its middle, and more of its end is kept.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let head_width = width.saturating_sub(1) / 3;
    let take = |characters: &mut dyn Iterator<Item = char>, mut left: usize| -> String {
        characters
            .take_while(|character| {
                let wide = character.width().unwrap_or_default();
                let fits = wide <= left;
                left = left.saturating_sub(wide);
                fits
            })
            .collect()
    };
    let head = take(&mut text.chars(), head_width);
    let tail: String = take(&mut text.chars().rev(), width.saturating_sub(1 + head.width())).chars().rev().collect();
    format!("{head}…{tail}")
}

/// The text wrapped between words into lines of at most `width` columns. Lines after the first are indented by `indent`
/// spaces. A wider word is not broken, since it may be a path, and neither is a command between backticks, so that it can be copied.
pub(crate) fn wrapped(text: &str, indent: usize, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let (mut lines, mut column) = (String::new(), indent);
    // Where the backticks are not in pairs, they are a part of the text.
    let (are_pairs, mut is_command) = (text.matches('`').count().is_multiple_of(2), false);
    let is_gap = |c: char| {
        is_command ^= c == '`' && are_pairs;
        c == ' ' && !is_command
    };
    for word in text.split(is_gap) {
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
        let mut fits = vec![Fit::Whole; headings.len()];
        fits[headings.len() - 1] = Fit::Free;
        lines(headings, &rows, &fits, width).iter().map(|cells| cells.concat()).collect()
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
            lines(&["SETTING", "VALUE", "SOURCE"], &rows, &[Fit::Whole, Fit::Free, Fit::Whole], Some(46))
                .iter()
                .map(|cells| cells.concat())
                .collect();
        assert_eq!(text[1], "agents.x.program  /a/very/long…  config.toml:7");
        assert_eq!(text[0].find("SOURCE"), Some(text[1].find("config").unwrap() - "…".len() + 1));
    }

    #[test]
    fn names_are_shortened_in_their_middle_after_free_text() {
        let rows = vec![["git.example.com/acme/a-long-name#12", "done", &"x".repeat(60)].map(str::to_owned).to_vec()];
        let fits = [Fit::Middle(18), Fit::Whole, Fit::Free];
        let line = |width| lines(&["ISSUE", "STATE", "REASON"], &rows, &fits, Some(width))[1].concat();
        assert!(line(80).starts_with("git.example.com/acme/a-long-name#12  done   xxx") && line(80).width() == 80);
        assert!(line(60).starts_with("git.exa…/a-long-name#12") && line(60).width() == 60, "{}", line(60));
        assert!(line(40).ends_with("xxx…") && line(40).width() == 40, "{}", line(40));
        assert_eq!(shortened("世界世界世界", 7), "世…世界");
    }

    #[test]
    fn long_text_wraps_between_words_and_stays_indented() {
        let text = "one two three /a/path/that/is/wider four";
        assert_eq!(wrapped(text, 2, Some(12)), "one two\n  three\n  /a/path/that/is/wider\n  four");
        assert_eq!(wrapped(text, 2, None), text);
        let text = "run `kugetsu start . x` or `y`";
        assert_eq!(wrapped(text, 0, Some(22)), "run\n`kugetsu start . x` or\n`y`");
        assert_eq!(wrapped("it's ` a", 0, Some(6)), "it's `\na");
    }
}
