//! Names that the script made of an issue: `github.com/acme/api#14` is `github.com-acme-api-14` as a directory and as a
//! session file (inferred from the one directory that its documents show).

use std::path::Path;

/// The directory's name.
pub(super) fn directory(reference: &str) -> String {
    let short = reference.split_once("://").map_or(reference, |(_, rest)| rest).replace("/issues/", "#");
    short.replace(['/', '#'], "-")
}

/// The issue that a name stands for; none where the name can be read in more than one way.
pub(super) fn reference(name: &str) -> Option<String> {
    let (rest, number) = name.rsplit_once('-')?;
    let parts: Vec<&str> = rest.split('-').collect();
    let plain = |part: &&str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_')) && *part != ".."
    };
    let is_number = !number.is_empty() && number.len() < 10 && number.chars().all(|c| c.is_ascii_digit());
    match parts.as_slice() {
        [host, owner, repo] if host.contains('.') && is_number && parts.iter().all(plain) => {
            Some(format!("{host}/{owner}/{repo}#{number}"))
        }
        _ => None,
    }
}

/// A place below the home, by its name there.
pub(super) fn below(home: &Path, path: &Path) -> String {
    path.strip_prefix(home).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_only_where_it_has_one_meaning() {
        assert_eq!(directory("github.com/acme/api#14"), "github.com-acme-api-14");
        assert_eq!(directory("https://github.com/acme/api/issues/14"), "github.com-acme-api-14");
        assert_eq!(reference("github.com-acme-api-14").as_deref(), Some("github.com/acme/api#14"));
        for other in ["github.com-a-b-c-14", "notes", "github.com-acme-api-x", "a-b-c-1", "..-a-b-1", "h.x--b-1"] {
            assert_eq!(reference(other), None, "{other}");
        }
    }
}
