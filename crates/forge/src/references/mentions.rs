//! Finds the issues and pull requests that a text mentions.
//!
//! The parser reads each reference; this file only knows where in a text a reference can be. Fenced code blocks are
//! skipped: a log, a diff or `#define` mentions no issue. A reference in inline code counts.

use super::address::{Address, CurrentRepo, Target};
use super::parser::parse;
use super::server_index::KnownServer;

/// Maximum number of mentions; a text with more is a list that a program wrote.
const MENTIONS_MAX: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mention {
    /// An issue or a pull request. Without a server if the text names none.
    Address(Address),
    /// A number alone (`#12`) without a current repository.
    Number(u64),
}

/// Returns the issues and pull requests that a text mentions, each once, in the order of the text.
///
/// `servers` and `current` are the same as for [`parse`].
pub fn mentions(text: &str, servers: &[KnownServer], current: Option<&CurrentRepo>) -> Vec<Mention> {
    let mut found: Vec<Mention> = Vec::new();
    let mut fence: Option<&str> = None;
    for line in text.lines() {
        let mark = ["```", "~~~"].into_iter().find(|mark| line.trim_start().starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (Some(_), _) => {}
            (None, None) => {
                for mention in line.split(is_separator).filter_map(|word| mention(word, servers, current)) {
                    if found.len() < MENTIONS_MAX && !found.iter().any(|other| is_same(other, &mention)) {
                        found.push(mention);
                    }
                }
            }
        }
    }
    found
}

/// Whether a character ends a word: white space, brackets, quotes and marks of emphasis, which no reference contains.
fn is_separator(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character, '(' | ')' | '[' | ']' | '<' | '>' | '{' | '}' | '"' | '\'' | '`' | '*' | ',' | ';' | '|')
        || matches!(character, '“' | '”' | '‘' | '’' | '«' | '»' | '…' | '–' | '—')
}

fn mention(word: &str, servers: &[KnownServer], current: Option<&CurrentRepo>) -> Option<Mention> {
    let word = word.trim_end_matches(['.', ':', '!', '?', '_', '~']).trim_start_matches(['_', '~', ':']);
    // Most words are not references; do not parse them.
    if !word.contains(|c: char| c.is_ascii_digit()) || !word.contains(['#', '!', '/']) {
        return None;
    }
    match parse(word, servers, current) {
        Ok(address) if matches!(address.target, Target::Repo) => None,
        Ok(address) => Some(Mention::Address(address)),
        Err(_) => word.strip_prefix('#')?.parse().ok().filter(|number| *number > 0).map(Mention::Number),
    }
}

/// Whether two mentions name the same issue, however they are written and whichever comment they point to.
fn is_same(one: &Mention, other: &Mention) -> bool {
    match (one, other) {
        (Mention::Address(one), Mention::Address(other)) => {
            (&one.base, &one.project, one.target) == (&other.base, &other.project, other.target)
        }
        (Mention::Number(one), Mention::Number(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};

    use super::*;

    fn found(text: &str) -> Vec<String> {
        let server = |base: &str, kind| KnownServer { kind: Some(kind), base: ServerBase::new(base).unwrap() };
        let servers =
            [server("https://github.com", ForgeKind::GitHub), server("https://gitlab.com", ForgeKind::GitLab)];
        shown(mentions(text, &servers, None))
    }

    fn shown(mentions: Vec<Mention>) -> Vec<String> {
        let one = |mention: Mention| match mention {
            Mention::Address(address) => match (&address.base, address.target) {
                (Some(base), Target::Issue(number)) => {
                    format!("{}/{}#{number}", base.without_scheme(), address.project)
                }
                (Some(base), Target::PullRequest(number)) => {
                    format!("{}/{}!{number}", base.without_scheme(), address.project)
                }
                (_, target) => format!("?/{} {target:?}", address.project),
            },
            Mention::Number(number) => format!("#{number}"),
        };
        mentions.into_iter().map(one).collect()
    }

    #[test]
    fn references_are_found_between_words_and_punctuation() {
        let text = "Please look at github.com/acme/api#12, then (https://github.com/acme/api/issues/13). After that: \
                    **acme/web#7**! And `acme/web#8`? “https://gitlab.com/g/s/p/-/issues/3”; gitlab.com/g/s/p!4…";
        assert_eq!(
            found(text),
            [
                "github.com/acme/api#12",
                "github.com/acme/api#13",
                "?/acme/web Issue(7)",
                "?/acme/web Issue(8)",
                "gitlab.com/g/s/p#3",
                "gitlab.com/g/s/p!4"
            ]
        );
    }

    #[test]
    fn markdown_links_and_bare_pages_are_found() {
        let text = "- [the crash](https://github.com/acme/api/issues/5#issuecomment-77)\n- <https://github.com/acme/api/pull/6>\n\
                    | [x](https://github.com/acme/api/issues/9?a=b) | github.com/acme/api/issues/10 |";
        let expected =
            ["github.com/acme/api#5", "github.com/acme/api!6", "github.com/acme/api#9", "github.com/acme/api#10"];
        assert_eq!(found(text), expected);
    }

    #[test]
    fn a_repeated_mention_is_found_once() {
        let text = "acme/api#5 and again acme/api#5; https://github.com/acme/api/issues/5 is github.com/acme/api#5, see \
                    https://www.github.com/acme/api/issues/5/#issuecomment-3";
        assert_eq!(found(text), ["?/acme/api Issue(5)", "github.com/acme/api#5"]);
    }

    #[test]
    fn code_blocks_are_skipped() {
        let text = "fix acme/api#1\n```c\n#define X 12\nsee acme/api#2\n~~~\n```\nand acme/api#3\n~~~\nacme/api#4\n```\n~~~\nacme/api#5";
        assert_eq!(found(text), ["?/acme/api Issue(1)", "?/acme/api Issue(3)", "?/acme/api Issue(5)"]);
        assert_eq!(found("```\nnever closed acme/api#2"), [""; 0]);
    }

    #[test]
    fn unknown_servers_are_found_too() {
        let text = "https://git.example.net/acme/api/issues/5 and git.example.co/shoko/kugetsu#14";
        assert_eq!(found(text), ["git.example.net/acme/api#5", "git.example.co/shoko/kugetsu#14"]);
    }

    #[test]
    fn a_number_alone_belongs_to_the_current_repository_if_there_is_one() {
        assert_eq!(found("fix #12 and #13, not # 14, #x or #0"), ["#12", "#13"]);
        let current = CurrentRepo {
            kind: Some(ForgeKind::GitHub),
            base: ServerBase::new("https://github.com").unwrap(),
            project: ProjectPath::new("acme/api").unwrap(),
        };
        let found = shown(mentions("fix #12 and acme/web#3", &[], Some(&current)));
        assert_eq!(found, ["github.com/acme/api#12", "github.com/acme/web#3"]);
    }

    #[test]
    fn similar_words_are_not_references() {
        for text in ["10/12", "a/b", "1.2.3", "and/or 5", "C#", "v1.0#", "https://github.com/acme/api", "50%!", "!!1"] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn secrets_are_not_part_of_a_mention() {
        let found = mentions("https://bot:SECRET@github.com/acme/api/issues/5?token=SECRET", &[], None);
        assert_eq!(found.len(), 1);
        assert!(!format!("{found:?}").contains("SECRET"), "{found:?}");
    }

    #[test]
    fn the_number_of_mentions_is_limited() {
        let text: String = (1..500).map(|n| format!("acme/api#{n} ")).collect();
        assert_eq!(found(&text).len(), MENTIONS_MAX);
    }
}
