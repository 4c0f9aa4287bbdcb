//! Finds the issues and changes that a text names: what people write to each other, not what they type as an argument.
//!
//! Reading one reference is the parser's work; this file only knows where in a text a reference may stand. Fenced blocks
//! of code are passed over: what stands there (a log, a diff, `#define`) was not written to name an issue. A reference
//! within a line's `backquotes` counts.

use crate::address::{Address, CurrentRepo, Target};
use crate::known::KnownServer;
use crate::parser::parse;

/// Most references that are looked at; what a text names beyond that is no list that anybody wrote.
const MENTIONS_MAX: usize = 100;

/// What a text names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mention {
    /// An issue, or a pull or merge request; where the text does not name its server, the address does not either.
    Address(Address),
    /// A number alone (`#12`), in a place that belongs to no repository.
    Number(u64),
}

/// The issues and changes that a text names, each once, in their order.
///
/// `servers` and `context` are as for [`parse`].
pub fn mentions(text: &str, servers: &[KnownServer], context: Option<&CurrentRepo>) -> Vec<Mention> {
    let mut found: Vec<Mention> = Vec::new();
    let mut fence: Option<&str> = None;
    for line in text.lines() {
        let mark = ["```", "~~~"].into_iter().find(|mark| line.trim_start().starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (Some(_), _) => {}
            (None, None) => {
                for mention in line.split(ends_word).filter_map(|word| mention(word, servers, context)) {
                    if found.len() < MENTIONS_MAX && !found.iter().any(|other| is_same(other, &mention)) {
                        found.push(mention);
                    }
                }
            }
        }
    }
    found
}

/// What ends a word: space, brackets, quotes and marks of emphasis, none of which stands in a reference.
fn ends_word(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character, '(' | ')' | '[' | ']' | '<' | '>' | '{' | '}' | '"' | '\'' | '`' | '*' | ',' | ';' | '|')
        || matches!(character, '“' | '”' | '‘' | '’' | '«' | '»' | '…' | '–' | '—')
}

fn mention(word: &str, servers: &[KnownServer], context: Option<&CurrentRepo>) -> Option<Mention> {
    let word = word.trim_end_matches(['.', ':', '!', '?', '_', '~']).trim_start_matches(['_', '~', ':']);
    // Most words are none, and the parser need not look at them.
    if !word.contains(|c: char| c.is_ascii_digit()) || !word.contains(['#', '!', '/']) {
        return None;
    }
    match parse(word, servers, context) {
        Ok(address) if matches!(address.target, Target::Repo) => None,
        Ok(address) => Some(Mention::Address(address)),
        Err(_) => word.strip_prefix('#')?.parse().ok().filter(|number| *number > 0).map(Mention::Number),
    }
}

/// Whether both name the same thing, whatever comment of it an address points at and however it was written.
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
    fn a_thing_that_is_named_twice_is_found_once() {
        let text = "acme/api#5 and again acme/api#5; https://github.com/acme/api/issues/5 is github.com/acme/api#5, see \
                    https://www.github.com/acme/api/issues/5/#issuecomment-3";
        assert_eq!(found(text), ["?/acme/api Issue(5)", "github.com/acme/api#5"]);
    }

    #[test]
    fn code_blocks_are_passed_over_and_the_text_around_them_is_not() {
        let text = "fix acme/api#1\n```c\n#define X 12\nsee acme/api#2\n~~~\n```\nand acme/api#3\n~~~\nacme/api#4\n```\n~~~\nacme/api#5";
        assert_eq!(found(text), ["?/acme/api Issue(1)", "?/acme/api Issue(3)", "?/acme/api Issue(5)"]);
        assert_eq!(found("```\nnever closed acme/api#2"), [""; 0]);
    }

    #[test]
    fn a_server_that_nobody_knows_is_still_a_server() {
        let text = "https://git.example.net/acme/api/issues/5 and git.example.co/shoko/kugetsu#14";
        assert_eq!(found(text), ["git.example.net/acme/api#5", "git.example.co/shoko/kugetsu#14"]);
    }

    #[test]
    fn a_number_alone_belongs_to_the_repository_one_is_in_or_to_none() {
        assert_eq!(found("fix #12 and #13, not # 14, #x or #0"), ["#12", "#13"]);
        let context = CurrentRepo {
            kind: Some(ForgeKind::GitHub),
            base: ServerBase::new("https://github.com").unwrap(),
            project: ProjectPath::new("acme/api").unwrap(),
        };
        let found = shown(mentions("fix #12 and acme/web#3", &[], Some(&context)));
        assert_eq!(found, ["github.com/acme/api#12", "github.com/acme/web#3"]);
    }

    #[test]
    fn what_only_looks_like_a_reference_is_none() {
        for text in ["10/12", "a/b", "1.2.3", "and/or 5", "C#", "v1.0#", "https://github.com/acme/api", "50%!", "!!1"] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn no_secret_is_part_of_what_was_found() {
        let found = mentions("https://bot:SECRET@github.com/acme/api/issues/5?token=SECRET", &[], None);
        assert_eq!(found.len(), 1);
        assert!(!format!("{found:?}").contains("SECRET"), "{found:?}");
    }

    #[test]
    fn a_text_full_of_references_is_read_to_a_bound() {
        let text: String = (1..500).map(|n| format!("acme/api#{n} ")).collect();
        assert_eq!(found(&text).len(), MENTIONS_MAX);
    }
}
