//! Names derived from an issue: its directory and its branch.
//!
//! They consist of ASCII characters that need no quoting, and no two issues share one.

use deunicode::{deunicode, deunicode_with_tofu};

use crate::reference::{IssueRef, RepoRef};

/// Longest slug in a branch name, in bytes.
const SLUG_MAX: usize = 40;
/// Longest readable part of a directory name, in bytes. File systems allow 255, and tools append to names.
const DIRECTORY_MAX: usize = 120;

/// The directory name of an issue's worktree: `<host>-<owner>-<repo>-<n>`, plus a short hash of the whole reference
/// if two references could get the same readable name.
pub fn worktree_directory(issue: &IssueRef) -> String {
    directory(&issue.to_string(), &format!("{}#{}", issue.repo.base, issue.repo.project), Some(issue.number))
}

/// The directory name of a repository's mirror: like [`worktree_directory`], without the number.
pub fn mirror_directory(repo: &RepoRef) -> String {
    directory(&repo.to_string(), &format!("{}#{}", repo.base, repo.project), None)
}

fn directory(shown: &str, identity: &str, number: Option<u64>) -> String {
    let readable = shown.split('#').next().unwrap_or(shown);
    // "/" becomes "-", which is unambiguous only if no part contains a "-" or another character that is replaced.
    let plain = readable.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '/' | '.'))
        && identity.starts_with("https://")
        && readable.len() <= DIRECTORY_MAX
        && readable.split('/').count() == 3;
    let local = identity.starts_with("local#")
        && readable.split('/').count() == 2
        && readable.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '/');
    let mut name: String =
        readable.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' }).collect();
    name.truncate(DIRECTORY_MAX);
    if !plain && !local {
        // No name without a hash contains "_", so no part of one can be mistaken for a hash.
        name.push_str(&format!("_{:08x}", fnv1a(identity)));
    }
    if let Some(number) = number {
        name.push_str(&format!("-{number}"));
    }
    name
}

/// The beginning of the names of issues' branches.
pub const BRANCHES: &str = "kugetsu/";

/// The branch that an issue's work is pushed to: `kugetsu/<n>-<slug>`, where the slug is made of the task's first words.
pub fn branch(number: u64, title: &str) -> String {
    match title.trim() {
        "" => format!("kugetsu/{number}"),
        title => format!("kugetsu/{number}-{}", slug(title)),
    }
}

/// Whether [`branch`] gives the issue with this number such a branch, with any title. Also where the slash had to become a hyphen
/// and a number was added, since the server had a branch of the name.
pub fn is_branch_of(name: &str, number: u64) -> bool {
    let rest = name.strip_prefix("kugetsu").and_then(|rest| rest.strip_prefix(['/', '-']));
    let rest = rest.and_then(|rest| rest.strip_prefix(&number.to_string()));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-') && !rest.contains('/'))
}

/// A text in ASCII: letters of other scripts are transliterated, everything else that is not ASCII becomes a space.
pub fn transliterated(text: &str) -> String {
    deunicode_with_tofu(&text.replace(char::REPLACEMENT_CHARACTER, " "), " ")
}

/// The first words of a text in lower case, joined by `-`, transliterated to ASCII. `task` if nothing is left.
fn slug(text: &str) -> String {
    // More of the line does not get into the slug.
    let first_line: String = text.trim().lines().next().unwrap_or_default().chars().take(4 * SLUG_MAX).collect();
    let ascii: String = deunicode(&first_line).chars().filter(|c| *c != '\'').collect();
    let mut slug = String::new();
    for word in ascii.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        if !slug.is_empty() && slug.len() + word.len() + 1 > SLUG_MAX {
            break;
        }
        if !slug.is_empty() {
            slug.push('-');
        }
        slug.push_str(&word.to_ascii_lowercase());
    }
    slug.truncate(SLUG_MAX);
    if slug.is_empty() { "task".to_owned() } else { slug }
}

/// FNV-1a with 32 bits, which is the same on every machine and in every version.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{ProjectPath, ServerBase};

    fn issue(base: &str, project: &str, number: u64) -> IssueRef {
        IssueRef {
            repo: RepoRef { base: ServerBase::new(base).unwrap(), project: ProjectPath::new(project).unwrap() },
            number,
        }
    }

    #[test]
    fn directories_are_readable_and_never_shared() {
        assert_eq!(worktree_directory(&issue("https://github.com", "acme/api", 14)), "github.com-acme-api-14");
        assert_eq!(worktree_directory(&issue("local", "demo", 1)), "local-demo-1");
        let twins = [
            issue("https://github.com", "a-b/c", 1),
            issue("https://github.com", "a/b-c", 1),
            issue("http://github.com", "a/b-c", 1),
            issue("https://github.com", "A/b-c", 1),
            issue("https://github.com", "a/b/c", 1),
            issue("https://github.com/a", "b/c", 1),
            issue("local", "a-b", 1),
            issue("local", "a_b", 1),
        ];
        let names: std::collections::BTreeSet<_> = twins.iter().map(worktree_directory).collect();
        assert_eq!(names.len(), twins.len(), "{names:?}");
        for name in names {
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')), "{name}");
        }
    }

    #[test]
    fn branches_show_their_issue() {
        for branch in ["kugetsu/7", "kugetsu/7-fix-it", "kugetsu/7-2", "kugetsu-7-fix-it", "kugetsu-7"] {
            assert!(is_branch_of(branch, 7), "{branch}");
        }
        for branch in
            ["main", "7", "kugetsu", "kugetsu/", "kugetsu/77", "kugetsu/1-bare-work", "kugetsu/7/x", "x/kugetsu/7"]
        {
            assert!(!is_branch_of(branch, 7), "{branch}");
        }
    }

    #[test]
    fn branches_need_no_quoting() {
        assert_eq!(branch(7, "Fix the flaky test!\nmore"), "kugetsu/7-fix-the-flaky-test");
        assert_eq!(branch(7, "$(rm -rf ~); ..//@{x}"), "kugetsu/7-rm-rf-x");
        assert_eq!(branch(7, "Fix für Ümläute"), "kugetsu/7-fix-fur-umlaute");
        assert_eq!(branch(7, "Don’t crash on naïve façades"), "kugetsu/7-dont-crash-on-naive-facades");
        assert_eq!(branch(7, "Исправить ошибку"), "kugetsu/7-ispravit-oshibku");
        assert_eq!(branch(7, "日本語"), "kugetsu/7-ri-ben-yu");
        assert_eq!(branch(7, "$?!"), "kugetsu/7-task");
        assert_eq!(branch(7, " "), "kugetsu/7");
        assert!(branch(7, &"long ".repeat(50)).len() < 60);
        assert_eq!(branch(7, &"x".repeat(90)), format!("kugetsu/7-{}", "x".repeat(40)));
    }
}
