//! No two issues share a directory or a branch.

use kugetsu_domain::naming::{branch, mirror_directory, worktree_directory};
use kugetsu_domain::reference::{IssueRef, ProjectPath, RepoRef, ServerBase};
use proptest::prelude::*;

fn repo(base: &str, project: &str) -> RepoRef {
    RepoRef { base: ServerBase::new(base).unwrap(), project: ProjectPath::new(project).unwrap() }
}

/// Few letters, so that similar names are frequent.
fn any_repo() -> impl Strategy<Value = RepoRef> {
    let base = prop_oneof![Just("local".to_owned()), "https?://(a|b|a-b|local|h\\.x)(:[12])?(/(a|b|a-b))?",];
    let project = prop_oneof!["[abA_.+~]?[ab](-?[abé])?(/[ab](-[ab])?){0,2}", "[a-z]{100,140}(/a|/b)?"];
    (base, project).prop_filter_map("a valid name", |(base, project)| {
        Some(RepoRef { base: ServerBase::new(base).ok()?, project: ProjectPath::new(project).ok()? })
    })
}

fn plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() < 200
        && !name.starts_with(['.', '-'])
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn two_issues_never_share_a_directory(
        one in any_repo(), other in any_repo(), n in 1_u64..3, m in 1_u64..3,
    ) {
        let (one, other) = (IssueRef { repo: one, number: n }, IssueRef { repo: other, number: m });
        prop_assert_eq!(one == other, worktree_directory(&one) == worktree_directory(&other));
        prop_assert_eq!(one.repo == other.repo, mirror_directory(&one.repo) == mirror_directory(&other.repo));
        prop_assert!(plain(&worktree_directory(&one)) && plain(&mirror_directory(&one.repo)));
        // File names on macOS are not case-sensitive.
        let folded = |issue: &IssueRef| worktree_directory(issue).to_ascii_lowercase();
        prop_assert_eq!(one == other, folded(&one) == folded(&other));
    }

    #[test]
    fn a_branch_is_plain_and_begins_with_its_issue(number in 1_u64.., title in any::<String>()) {
        let name = branch(number, &title);
        let rest = name.strip_prefix(&format!("kugetsu/{number}")).unwrap();
        prop_assert!(rest.is_empty() || rest.starts_with('-'), "{}", name);
        prop_assert!(rest.chars().all(|c| c == '-' || c.is_ascii_lowercase() || c.is_ascii_digit()), "{}", name);
        prop_assert!(!rest.ends_with('-') && rest.len() <= 41, "{}", name);
    }
}

#[test]
fn a_hash_is_never_mistaken_for_a_part_of_a_name() {
    let numbered = |repo: &RepoRef| worktree_directory(&IssueRef { repo: repo.clone(), number: 1 });
    let hashed = repo("https://host", "x");
    let hash = mirror_directory(&hashed)[("host-x".len() + 1)..].to_owned();
    assert_eq!(hash.len(), 8, "{hash}");
    let twin = repo("https://host", &format!("x/{hash}"));
    assert_ne!(mirror_directory(&hashed), mirror_directory(&twin));
    assert_ne!(numbered(&hashed), numbered(&twin));

    let local = repo("local", "a/b");
    let served = repo("https://local", "a/b");
    assert_ne!(mirror_directory(&local), mirror_directory(&served));
}
