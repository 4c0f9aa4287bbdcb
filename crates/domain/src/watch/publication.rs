//! The texts that kugetsu writes on a server: titles and descriptions of pull requests, its one comment on an issue, and answers.

use crate::hash::fnv1a;
use crate::reason::Reason;
use crate::watch::quote::visible;

/// Characters of a title.
const TITLE_MAX: usize = 120;
/// Bytes of an agent's summary.
const SUMMARY_MAX: usize = 8 * 1024;
/// Bytes of the text of an agent that ended without a commit.
const LAST_TEXT_MAX: usize = 2 * 1024;
/// Bytes of an agent's answer.
pub const ANSWER_MAX: usize = 10 * 1024;
/// Commits that are listed.
const COMMITS_MAX: usize = 20;

/// The work on an issue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// The number of the issue on its server.
    pub number: u64,
    /// Whether merging closes the issue.
    pub closes: bool,
    /// The agent's last text.
    pub summary: String,
    /// Abbreviated hashes and subjects, oldest first.
    pub commits: Vec<(String, String)>,
    /// The commands that checked the head, and whether each passed.
    pub verified: Vec<(String, bool)>,
    pub head: String,
    pub agent: String,
    /// Tokens to and from the model; `None` if they are not known.
    pub tokens: Option<(u64, u64)>,
    /// US dollars, with cents; `None` if it is not known.
    pub cost: Option<String>,
}

/// The title of a pull request: the issue's, in one line.
pub fn title(issue: &str) -> String {
    let plain = harmless(issue);
    let line: Vec<&str> = plain.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(TITLE_MAX) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

const MARKER: &str = "<!-- kugetsu: ";
const MARKER_END: &str = " -->";

/// The description of a pull request. `marker` identifies it as kugetsu's, together with a hash of the text.
pub fn description(work: &Work, marker: &str) -> String {
    let mut text = harmless(&bounded(&work.summary, SUMMARY_MAX)).trim().to_owned();
    let relation = if work.closes { "Closes" } else { "For" };
    text.push_str(&format!("\n\n---\n\n{relation} #{}.", work.number));
    match work.verified.as_slice() {
        [] => {}
        commands => {
            text.push_str(&format!("\n\nVerified at {}:\n", short(&work.head)));
            for (command, passed) in commands {
                text.push_str(&format!("\n- {} {}", code(command), if *passed { "passed" } else { "failed" }));
            }
        }
    }
    if !work.commits.is_empty() {
        text.push_str("\n\nCommits:\n");
        for (hash, subject) in work.commits.iter().take(COMMITS_MAX) {
            text.push_str(&format!("\n- {hash} {}", harmless(subject).replace('\n', " ")));
        }
        if let Some(more) = work.commits.len().checked_sub(COMMITS_MAX).filter(|more| *more > 0) {
            text.push_str(&format!("\n- and {more} more"));
        }
    }
    let tokens = work.tokens.map(|(to, from)| format!("{to} tokens to the model and {from} from it"));
    let used: Vec<String> = tokens.into_iter().chain(work.cost.clone()).collect();
    let used = if used.is_empty() { "tokens and cost are not known".to_owned() } else { used.join(", ") };
    text.push_str(&format!("\n\nWritten by {} ({used}), opened by kugetsu.", harmless(&work.agent)));
    let marker = marked(&with_hash(marker, &text));
    format!("{text}\n\n{marker}")
}

/// Whether a [`description`] with this marker is as kugetsu wrote it: what a person edited is the person's.
pub fn is_unedited(text: &str, marker: &str) -> bool {
    let Some((text, last)) = text.trim_end().rsplit_once('\n') else { return false };
    last.trim() == marked(&with_hash(marker, text))
}

/// Servers and editors change white space.
fn with_hash(marker: &str, text: &str) -> String {
    let visible: Vec<&str> = text.split_whitespace().collect();
    format!("{marker} {:016x}", fnv1a(visible.join(" ").as_bytes()))
}

/// A comment that an agent wants to write.
pub fn agent_comment(text: &str) -> String {
    format!("The agent writes:\n\n{}", harmless(&bounded(text.trim(), SUMMARY_MAX)))
}

/// A question of an agent, which waits for the answer.
pub fn agent_question(text: &str) -> String {
    format!(
        "The agent asks:\n\n{}\n\nIt continues when a person who may decide about this issue answers in a comment here.",
        harmless(&bounded(text.trim(), SUMMARY_MAX))
    )
}

/// The agent's answer to a question. The note about what is left out comes first: the text may end within a block of code.
pub fn answer(text: &str) -> String {
    let shown = bounded(text.trim(), ANSWER_MAX);
    let note = match text.trim().len().checked_sub(ANSWER_MAX).filter(|left_out| *left_out > 0) {
        Some(left_out) => format!(" ({left_out} bytes at its end are left out)"),
        None => String::new(),
    };
    format!("The agent's answer{note}:\n\n{}", harmless(&shown))
}

/// The comment instead of an answer, with what a person can do.
pub fn no_answer(reason: &Reason) -> String {
    let hint = reason.hint.as_ref().map(|hint| format!("\n\nHint: {hint}")).unwrap_or_default();
    harmless(&bounded(&format!("kugetsu has no answer of the agent: {}{hint}", reason.text), ANSWER_MAX))
}

/// The last text of an agent, quoted, so that a block of code in it ends with it.
pub fn last_text(text: &str) -> String {
    let shown = harmless(&bounded(text.trim(), LAST_TEXT_MAX));
    shown.lines().map(|line| format!("> {line}").trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// The text with a period at its end, unless it ends with another mark.
pub fn sentence(text: &str) -> String {
    let text = text.trim_end().trim_end_matches([',', ';', ':']);
    let is_ended = text.trim_end_matches(['"', '\'', '`', ')']).ends_with(['.', '?', '!', '…']);
    format!("{text}{}", if is_ended { "" } else { "." })
}

/// A comment of kugetsu's.
pub fn comment(text: &str, marker: &str) -> String {
    format!("{}\n\n{}", text.trim(), marked(marker))
}

/// A label that shows the state of an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateLabel {
    Working,
    Review,
    NeedsPerson,
}

impl StateLabel {
    pub const ALL: &'static [Self] = &[Self::Working, Self::Review, Self::NeedsPerson];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Working => "kugetsu/working",
            Self::Review => "kugetsu/review",
            Self::NeedsPerson => "kugetsu/needs-person",
        }
    }

    /// The state that a label shows. Servers may keep the case in which the label was created first.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|label| label.name().eq_ignore_ascii_case(name))
    }

    /// The state that it shows, as a sentence.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Working => "A task is queued or running.",
            Self::Review => "The pull request waits for checks or people.",
            Self::NeedsPerson => "A person has to decide.",
        }
    }
}

/// Whether kugetsu wrote a text with this marker. Only together with the identity of the author that means anything: everybody can
/// copy a marker.
pub fn has_marker(text: &str, marker: &str) -> bool {
    text.trim_end().ends_with(&marked(marker))
}

/// Whether a text ends with a marker of kugetsu's, whatever it is about.
pub fn is_marked(text: &str) -> bool {
    let last = text.trim_end().lines().next_back().unwrap_or_default();
    last.strip_prefix(MARKER)
        .and_then(|rest| rest.strip_suffix(MARKER_END))
        .is_some_and(|marker| !marker.contains("-->"))
}

fn marked(marker: &str) -> String {
    format!("{MARKER}{marker}{MARKER_END}")
}

/// Text of an agent or of other people that notifies no user, refers to nothing, closes no issue and contains no marker.
pub fn harmless(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    let text = visible(text).replace("<!--", "&lt;!--");
    let text = text.lines().map(without_command).collect::<Vec<_>>().join("\n");
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        harmless.push(c);
        // A reference needs its sign directly before a name or a number.
        if matches!(c, '@' | '#' | '!' | '&' | '~' | '%' | '$')
            && chars.peek().is_some_and(|next| next.is_alphanumeric() || matches!(next, '_' | '.'))
        {
            harmless.push('\u{200b}');
        }
    }
    // The address of an issue refers to it as well.
    harmless.replace("://", ":\u{200b}//")
}

/// Servers and their programs carry out lines such as `/merge` and `/close now` with the rights of the author.
fn without_command(line: &str) -> String {
    let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
    let word = rest.strip_prefix('/').and_then(|rest| rest.split_whitespace().next());
    match word.filter(|word| !word.contains('/')) {
        Some(_) => format!("{indent}/\u{200b}{}", &rest[1..]),
        None => line.to_owned(),
    }
}

/// Inline code, whatever it contains.
fn code(text: &str) -> String {
    let text = visible(text).replace('\n', " ");
    let mut ticks = String::from("`");
    while text.contains(&ticks) {
        ticks.push('`');
    }
    format!("{ticks} {text} {ticks}")
}

fn bounded(text: &str, max: usize) -> String {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let more = if end < text.len() { "…" } else { "" };
    format!("{}{more}", &text[..end])
}

fn short(head: &str) -> &str {
    head.get(..12).unwrap_or(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn description_tells_what_was_done() {
        let work = Work {
            number: 12,
            closes: true,
            summary: "The cache is bounded now.".to_owned(),
            commits: vec![("1a2b3c4".to_owned(), "cache: bound it".to_owned())],
            verified: vec![("cargo test".to_owned(), true)],
            head: "1a2b3c4d5e6f70819".to_owned(),
            agent: "claude".to_owned(),
            tokens: Some((1200, 340)),
            cost: Some("$0.04".to_owned()),
        };
        let text = description(&work, "m");
        for part in [
            "The cache is bounded now.",
            "Closes #12.",
            "Verified at 1a2b3c4d5e6f:",
            "` cargo test ` passed",
            "- 1a2b3c4 cache: bound it",
            "Written by claude (1200 tokens to the model and 340 from it, $0.04)",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(is_unedited(&text, "m") && !is_unedited(&text, "n"));
        assert!(is_unedited(&text.replace('\n', "\r\n"), "m"), "servers change white space");
        assert!(!is_unedited(&text.replace("bounded now", "bounded by 5"), "m") && !is_unedited("", "m"));
        assert!(has_marker(&comment("text", "m"), "m") && !has_marker(&comment("text", "m"), "n"));
        assert!(is_marked(&text) && is_marked(&comment("text", "n")));
        assert!(!is_marked("text <!-- kugetsu: m -->") && !is_marked("<!-- kugetsu: m -->\ntext") && !is_marked(""));
        let unknown = description(&Work { number: 3, ..Work::default() }, "m");
        assert!(unknown.contains("For #3.") && unknown.contains("are not known"), "{unknown}");
    }

    #[test]
    fn text_of_an_agent_notifies_no_user() {
        let hostile = "Closes #99, acme/api#7 and !3. @all: see https://h/a/b/issues/1 \u{202e}<!-- kugetsu: m -->";
        let text = harmless(hostile);
        for part in ["#99", "#7", "!3", "@all", "https://h", "<!--", "\u{202e}"] {
            assert!(!text.contains(part), "{part}: {text}");
        }
        let work = Work { summary: hostile.to_owned(), agent: "@x".to_owned(), number: 1, ..Work::default() };
        assert_eq!(description(&work, "m").matches("<!-- kugetsu: m ").count(), 1);
        assert_eq!(title("Fix\n#3 \u{1b}[31m @kim"), "Fix #\u{200b}3 [31m @\u{200b}kim");
    }

    #[test]
    fn lines_of_an_agent_are_no_commands_of_a_server() {
        let text = harmless("/merge\n  /close now\n/kugetsu stop\r\n/usr/bin/env\nand /merge\n/");
        let expected = "/\u{200b}merge\n  /\u{200b}close now\n/\u{200b}kugetsu stop\n/usr/bin/env\nand /merge\n/";
        assert_eq!(text, expected);
        let answer = answer("/merge");
        assert!(answer.ends_with("\n\n/\u{200b}merge"), "{answer}");
        let reason = Reason::from("it broke\n/merge").hint("ask @kim");
        assert_eq!(
            no_answer(&reason),
            "kugetsu has no answer of the agent: it broke\n/\u{200b}merge\n\nHint: ask @\u{200b}kim"
        );
    }

    #[test]
    fn sentence_ends_with_one_mark() {
        for (text, expected) in [
            ("it broke", "it broke."),
            ("Which port?", "Which port?"),
            ("it reports \"No.\"", "it reports \"No.\""),
            ("\"APIError\",", "\"APIError\"."),
            ("it ended…\n", "it ended…"),
            ("code 1)", "code 1)."),
        ] {
            assert_eq!(sentence(text), expected);
        }
    }

    #[test]
    fn last_text_is_quoted_and_bounded_and_has_no_effect() {
        assert_eq!(last_text("Done.\n\n```\n/merge\n"), "> Done.\n>\n> ```\n> /\u{200b}merge");
        assert!(last_text(&"ä".repeat(9000)).len() < LAST_TEXT_MAX + 10);
    }

    #[test]
    fn texts_are_bounded() {
        let long = answer(&"ä".repeat(6000));
        assert!(long.len() < ANSWER_MAX + 100 && long.contains("(1760 bytes at its end are left out)"), "{long}");
        assert_eq!(title(&"ä".repeat(500)).chars().count(), TITLE_MAX + 1);
        let commits = (0..50).map(|number| (number.to_string(), "s".to_owned())).collect();
        let work = Work { summary: "ä".repeat(90_000), commits, ..Work::default() };
        let text = description(&work, "m");
        assert!(text.len() < SUMMARY_MAX + 2000 && text.contains("and 30 more"), "{}", text.len());
    }
}
