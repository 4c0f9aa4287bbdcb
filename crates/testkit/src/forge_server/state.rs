//! The data of a forge server.

use std::collections::BTreeMap;

use super::issue::Issue;
use super::pull_request::PullRequest;

/// The default time of creation and of the last change.
pub(super) const LONG_AGO: &str = "2026-01-02T03:04:05Z";

/// Users, projects and settings.
#[derive(Debug, Default)]
pub(super) struct ForgeState {
    /// Logins by token.
    pub(super) tokens: BTreeMap<String, String>,
    pub(super) projects: BTreeMap<String, Project>,
    pub(super) version: String,
    /// Whether every request needs a token.
    pub(super) sign_in: bool,
    /// Maximum number of entries per page.
    pub(super) page_max: usize,
    /// Start of the addresses in answers; if empty, the address of the request.
    pub(super) root_url: String,
}

#[derive(Debug)]
pub(super) struct Project {
    pub(super) id: u64,
    /// The users who can see it; `None` means that it is public.
    pub(super) members: Option<Vec<String>>,
    pub(super) issues: BTreeMap<u64, Issue>,
    pub(super) pull_requests: BTreeMap<u64, PullRequest>,
}

impl ForgeState {
    /// Returns the project at this path and creates it if it does not exist.
    pub(super) fn project_mut(&mut self, path: &str) -> &mut Project {
        let id = 1001 + u64::try_from(self.projects.len()).unwrap_or_default();
        self.projects.entry(path.to_owned()).or_insert_with(|| Project {
            id,
            members: None,
            issues: BTreeMap::new(),
            pull_requests: BTreeMap::new(),
        })
    }

    /// Returns the project at this path if `login` can see it. Paths are case-insensitive, as on real servers.
    pub(super) fn visible(&self, path: &str, login: Option<&str>) -> Option<(&str, &Project)> {
        let (path, project) = self.projects.iter().find(|(name, _)| name.eq_ignore_ascii_case(path))?;
        let is_visible = match &project.members {
            None => true,
            Some(members) => login.is_some_and(|login| members.iter().any(|member| member == login)),
        };
        is_visible.then_some((path.as_str(), project))
    }
}

impl Project {
    /// Adds an issue with the next free number. `shared` says whether issues and pull requests share their numbers.
    pub(super) fn add_issue(&mut self, issue: Issue, shared: bool) -> u64 {
        let number = next(&self.issues).max(if shared { next(&self.pull_requests) } else { 1 });
        self.issues.insert(number, issue);
        number
    }

    /// Like [`Project::add_issue`].
    pub(super) fn add_pull_request(&mut self, pull: PullRequest, shared: bool) -> u64 {
        let number = next(&self.pull_requests).max(if shared { next(&self.issues) } else { 1 });
        self.pull_requests.insert(number, pull);
        number
    }
}

fn next<T>(things: &BTreeMap<u64, T>) -> u64 {
    things.last_key_value().map_or(1, |(last, _)| last + 1)
}

/// A stable id for a name.
pub(super) fn id_of(name: &str) -> u64 {
    name.bytes().fold(5000, |id, byte| (id * 31 + u64::from(byte)) % 1_000_003)
}
