//! What there is on a forge server.

use std::collections::BTreeMap;

use super::issue::Issue;
use super::pull_request::PullRequest;

/// When everything was last changed that nobody has touched since.
pub(super) const LONG_AGO: &str = "2026-01-02T03:04:05Z";

/// Users, projects, and how the server is set up.
#[derive(Debug, Default)]
pub(super) struct World {
    /// Login by token.
    pub(super) tokens: BTreeMap<String, String>,
    pub(super) projects: BTreeMap<String, Project>,
    pub(super) version: String,
    /// Whether nothing is told to those without a token.
    pub(super) sign_in: bool,
    /// Entries per page at most.
    pub(super) page_max: usize,
    /// What the addresses that it tells begin with; where it was reached if empty.
    pub(super) root_url: String,
}

/// One project.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) id: u64,
    /// Who sees it; everybody if none are named.
    pub(super) members: Option<Vec<String>>,
    pub(super) issues: BTreeMap<u64, Issue>,
    pub(super) pull_requests: BTreeMap<u64, PullRequest>,
}

impl World {
    /// The project at this path, made if it is not there.
    pub(super) fn project_mut(&mut self, path: &str) -> &mut Project {
        let id = 1001 + u64::try_from(self.projects.len()).unwrap_or_default();
        self.projects.entry(path.to_owned()).or_insert_with(|| Project {
            id,
            members: None,
            issues: BTreeMap::new(),
            pull_requests: BTreeMap::new(),
        })
    }

    /// The project at this path, if it is there and `login` may see it. Servers do not care for case in paths.
    pub(super) fn visible(&self, path: &str, login: Option<&str>) -> Option<(&str, &Project)> {
        let (path, project) = self.projects.iter().find(|(found, _)| found.eq_ignore_ascii_case(path))?;
        let sees = match &project.members {
            None => true,
            Some(members) => login.is_some_and(|login| members.iter().any(|member| member == login)),
        };
        sees.then_some((path.as_str(), project))
    }
}

impl Project {
    /// Adds an issue under the next free number.
    pub(super) fn add_issue(&mut self, issue: Issue, shared: bool) -> u64 {
        let number = next(&self.issues).max(if shared { next(&self.pull_requests) } else { 1 });
        self.issues.insert(number, issue);
        number
    }

    /// Adds a pull request under the next free number.
    pub(super) fn add_pull_request(&mut self, pull: PullRequest, shared: bool) -> u64 {
        let number = next(&self.pull_requests).max(if shared { next(&self.issues) } else { 1 });
        self.pull_requests.insert(number, pull);
        number
    }
}

fn next<T>(things: &BTreeMap<u64, T>) -> u64 {
    things.last_key_value().map_or(1, |(last, _)| last + 1)
}

/// A number that belongs to a name.
pub(super) fn id_of(name: &str) -> u64 {
    name.bytes().fold(5000, |id, byte| (id * 31 + u64::from(byte)) % 1_000_003)
}
