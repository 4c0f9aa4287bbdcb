//! Versions of a merge request, of which every push adds one, and their changes.

use jiff::Timestamp;
use kugetsu_domain::reference::ProjectPath;
use serde::Deserialize;

use super::api::GitLab;
use crate::error::ForgeError;
use crate::http::paging::PER_PAGE;
use crate::kinds::wire;

#[derive(Deserialize)]
pub(super) struct Version {
    id: u64,
    head_commit_sha: Option<String>,
    created_at: Option<String>,
}

#[derive(Deserialize)]
struct Changes {
    diffs: Option<Vec<FileDiff>>,
}

/// The change of a file.
#[derive(Deserialize)]
pub(super) struct FileDiff {
    pub(super) old_path: Option<String>,
    pub(super) new_path: Option<String>,
    /// Empty if the server considers it too large.
    pub(super) diff: Option<String>,
}

impl GitLab {
    pub(super) async fn versions(&self, project: &ProjectPath, number: u64) -> Result<Vec<Version>, ForgeError> {
        let per_page = PER_PAGE.to_string();
        let path = ["projects", project.as_str(), "merge_requests", &number.to_string(), "versions"];
        self.client.list(&path, &[("per_page", &per_page)], Some::<Version>).await
    }

    /// The changes of the version with this head; none if the server does not keep them, or they are too large to be read.
    pub(super) async fn changes_of(
        &self,
        project: &ProjectPath,
        number: u64,
        versions: &[Version],
        head: &str,
    ) -> Result<Vec<FileDiff>, ForgeError> {
        let is_of_head = |version: &&Version| version.head_commit_sha.as_deref() == Some(head);
        let Some(version) = versions.iter().filter(is_of_head).max_by_key(|version| version.id) else {
            return Ok(Vec::new());
        };
        let (number, id) = (number.to_string(), version.id.to_string());
        let path = ["projects", project.as_str(), "merge_requests", &number, "versions", &id];
        match wire::unless_missing(self.client.get::<Changes>(&path).await) {
            Ok(changes) => Ok(changes.and_then(|changes| changes.diffs).unwrap_or_default()),
            Err(ForgeError::TooLarge { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

/// The head at a time; `None` if that is not certain. What a user does in the moment of a push is about the head before it.
pub(super) fn head_at(versions: &[Version], time: Timestamp) -> Option<&str> {
    let dated: Option<Vec<_>> =
        versions.iter().map(|version| Some((wire::time(version.created_at.as_deref())?, version))).collect();
    let before = dated?.into_iter().filter(|(created, _)| *created < time);
    let (_, current) = before.max_by_key(|(created, version)| (*created, version.id))?;
    current.head_commit_sha.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(of: &[(u64, &str, Option<&str>)]) -> Vec<Version> {
        let version = |(id, sha, created): &(u64, &str, Option<&str>)| Version {
            id: *id,
            head_commit_sha: Some((*sha).to_owned()),
            created_at: created.map(str::to_owned),
        };
        of.iter().map(version).collect()
    }

    #[test]
    fn the_version_before_a_time_is_its_head() {
        let all = versions(&[
            (3, "ccc", Some("2026-01-01T10:00:20.000Z")),
            (2, "bbb", Some("2026-01-01T10:00:10.500Z")),
            (1, "aaa", Some("2026-01-01T10:00:00.000Z")),
        ]);
        for (time, expected) in [
            ("2026-01-01T09:59:59Z", None),
            ("2026-01-01T10:00:00.001Z", Some("aaa")),
            ("2026-01-01T10:00:10.499Z", Some("aaa")),
            // In the same moment as the push.
            ("2026-01-01T10:00:10.500Z", Some("aaa")),
            ("2026-01-01T10:00:10.501Z", Some("bbb")),
            ("2026-01-02T00:00:00Z", Some("ccc")),
        ] {
            assert_eq!(head_at(&all, time.parse().unwrap()), expected, "{time}");
        }
    }

    #[test]
    fn a_version_without_a_time_makes_every_head_uncertain() {
        let all = versions(&[(2, "bbb", None), (1, "aaa", Some("2026-01-01T10:00:00Z"))]);
        assert_eq!(head_at(&all, "2026-01-02T00:00:00Z".parse().unwrap()), None);
        assert_eq!(head_at(&[], "2026-01-02T00:00:00Z".parse().unwrap()), None);
    }
}
