//! Names that the script derived from issues: `github.com/acme/api#14` is `github.com-acme-api-14` as a directory and as a
//! session file. (Inferred from the only directory that its documents show.)

use std::path::Path;

/// The directory name of an issue.
pub(crate) fn directory(reference: &str) -> String {
    let short = reference.split_once("://").map_or(reference, |(_, rest)| rest).replace("/issues/", "#");
    short.replace(['/', '#'], "-")
}

/// The issue that a directory is named after. `None` if the name is ambiguous, because the owner or repository may contain
/// a `-`.
pub(crate) fn reference(name: &str) -> Option<String> {
    let (rest, number) = name.rsplit_once('-')?;
    let parts: Vec<&str> = rest.split('-').collect();
    let is_plain = |part: &&str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_')) && *part != ".."
    };
    let is_number = !number.is_empty() && number.len() < 10 && number.chars().all(|c| c.is_ascii_digit());
    match parts.as_slice() {
        [host, owner, repo] if host.contains('.') && is_number && parts.iter().all(is_plain) => {
            Some(format!("{host}/{owner}/{repo}#{number}"))
        }
        _ => None,
    }
}

/// A path relative to the home, for display.
pub(crate) fn relative(home: &Path, path: &Path) -> String {
    path.strip_prefix(home).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unambiguous_names_are_read() {
        assert_eq!(directory("github.com/acme/api#14"), "github.com-acme-api-14");
        assert_eq!(directory("https://github.com/acme/api/issues/14"), "github.com-acme-api-14");
        assert_eq!(reference("github.com-acme-api-14").as_deref(), Some("github.com/acme/api#14"));
        for other in ["github.com-a-b-c-14", "notes", "github.com-acme-api-x", "a-b-c-1", "..-a-b-1", "h.x--b-1"] {
            assert_eq!(reference(other), None, "{other}");
        }
    }
}
