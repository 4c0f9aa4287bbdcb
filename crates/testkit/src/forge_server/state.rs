//! The data of a forge server.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use super::check::Check;
use super::event::{Event, EventKind};
use super::flavor::Flavor;
use super::hook::Hook;
use super::issue::{Issue, Subject};
use super::permission::{Permission, Settings};
use super::pull_request::{PullRequest, Version};

/// The time of users and projects, and the start of the server's clock.
pub(super) const LONG_AGO: &str = "2026-01-02T03:04:05Z";

/// The same in Unix seconds.
const START: i64 = 1_767_323_045;

/// Users, projects and settings.
#[derive(Debug)]
pub(super) struct ForgeState {
    pub(super) flavor: Flavor,
    /// Logins by token.
    pub(super) tokens: BTreeMap<String, String>,
    /// Logins of all users.
    pub(super) users: BTreeSet<String>,
    pub(super) projects: BTreeMap<String, Project>,
    /// New paths of renamed projects by their old ones.
    pub(super) moved: BTreeMap<String, String>,
    pub(super) version: String,
    /// Whether every request needs a token.
    pub(super) sign_in: bool,
    /// Maximum number of entries per page.
    pub(super) page_max: usize,
    /// Start of the addresses in answers; if empty, the address of the request.
    pub(super) root_url: String,
    /// The server's own address.
    pub(super) own_url: String,
    /// Address of the server that has the logs of GitHub's jobs.
    pub(super) logs_url: String,
    /// The directory of the projects' repositories.
    pub(super) repositories: Option<PathBuf>,
    pub(super) rate: RateLimit,
    /// Unix seconds; a second passes with every change.
    pub(super) now: i64,
    /// Whether answers have this time; otherwise they have that of the machine.
    pub(super) is_dated: bool,
    /// Whether GitLab leaves out when a merge request was approved.
    pub(super) hides_times_of_approvals: bool,
    /// The scopes that GitHub and GitLab report, with commas between them; if empty, they report none. `None` means enough.
    pub(super) scopes: Option<String>,
    last_id: u64,
    /// Not delivered yet.
    pub(super) events: Vec<Event>,
    /// Requests that changed something, by kind.
    pub(super) changes: BTreeMap<&'static str, usize>,
}

/// The requests that are left until the window ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateLimit {
    pub(super) limit: u64,
    pub(super) remaining: u64,
    /// Unix seconds.
    pub(super) reset: i64,
}

#[derive(Debug)]
pub(super) struct Project {
    pub(super) id: u64,
    /// The users who can see it; `None` means that it is public.
    pub(super) members: Option<Vec<String>>,
    pub(super) issues: BTreeMap<u64, Issue>,
    pub(super) pull_requests: BTreeMap<u64, PullRequest>,
    /// Numbers of deleted issues.
    pub(super) deleted: BTreeSet<u64>,
    /// Files at the root of the default branch, by name.
    pub(super) files: BTreeMap<String, String>,
    /// Names of the labels that can be given.
    pub(super) labels: BTreeSet<String>,
    pub(super) permissions: BTreeMap<String, Permission>,
    /// Checks by commit.
    pub(super) checks: BTreeMap<String, Vec<Check>>,
    pub(super) hooks: Vec<Hook>,
    pub(super) settings: Settings,
    /// Branches at the last look into the repository; `None` without a repository.
    pub(super) branches: Option<BTreeMap<String, String>>,
    /// Branches of a project without a repository that were moved.
    pub(super) pushed: BTreeMap<String, String>,
}

impl Project {
    /// The commit of a branch. A project without a repository has those that were pushed, and those of pull requests.
    pub(super) fn branch(&self, name: &str) -> Option<String> {
        if let Some(branches) = &self.branches {
            return branches.get(name).cloned();
        }
        let pulls = || self.pull_requests.values().filter(|pull| pull.head == name);
        let open = pulls().find(|pull| pull.is_open() && !pull.branch_gone).map(|pull| &pull.sha);
        // What is pushed after the end of a pull request is not its head.
        let is_gone = |commit: &&String| pulls().any(|pull| pull.branch_gone && pull.sha == **commit);
        let pushed = || self.pushed.get(name).filter(|commit| !is_gone(commit));
        let ended = || pulls().find(|pull| !pull.branch_gone).map(|pull| &pull.sha);
        open.or_else(pushed).or_else(ended).cloned()
    }
}

impl ForgeState {
    pub(super) fn new(flavor: Flavor) -> Self {
        Self {
            flavor,
            tokens: BTreeMap::new(),
            users: BTreeSet::new(),
            projects: BTreeMap::new(),
            moved: BTreeMap::new(),
            version: flavor.version().to_owned(),
            sign_in: false,
            page_max: if matches!(flavor, Flavor::Gitea | Flavor::Forgejo) { 50 } else { 100 },
            root_url: String::new(),
            own_url: String::new(),
            logs_url: String::new(),
            repositories: None,
            rate: RateLimit { limit: 5000, remaining: 5000, reset: Timestamp::now().as_second() + 3600 },
            now: START,
            is_dated: false,
            hides_times_of_approvals: false,
            scopes: None,
            last_id: 100,
            events: Vec::new(),
            changes: BTreeMap::new(),
        }
    }

    /// The time in answers, if it is not the machine's.
    pub(super) fn date(&self) -> Option<String> {
        let now = Timestamp::from_second(self.now).ok().filter(|_| self.is_dated)?;
        DateTimePrinter::new().timestamp_to_rfc9110_string(&now).ok()
    }

    /// Returns the project at this path and creates it if it does not exist.
    pub(super) fn project_mut(&mut self, path: &str) -> &mut Project {
        let id = 1001 + u64::try_from(self.projects.len()).unwrap_or_default();
        self.projects.entry(path.to_owned()).or_insert_with(|| Project {
            id,
            members: None,
            issues: BTreeMap::new(),
            pull_requests: BTreeMap::new(),
            deleted: BTreeSet::new(),
            files: BTreeMap::new(),
            labels: BTreeSet::new(),
            permissions: BTreeMap::new(),
            checks: BTreeMap::new(),
            hooks: Vec::new(),
            settings: Settings::default(),
            branches: None,
            pushed: BTreeMap::new(),
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

    /// The permission of a user: as the test set it; else everything if the user owns the project or has a token of this server, and
    /// reading for others.
    pub(super) fn permission(&self, path: &str, login: &str) -> Permission {
        let Some(project) = self.projects.get(path) else { return Permission::None };
        if let Some(permission) = project.permissions.get(login) {
            return *permission;
        }
        let is_owner = path.split('/').next() == Some(login);
        match &project.members {
            _ if is_owner => Permission::Admin,
            Some(members) if !members.iter().any(|member| member == login) => Permission::None,
            _ if self.tokens.values().any(|user| user == login) => Permission::Admin,
            _ => Permission::Read,
        }
    }

    /// Lets a second pass.
    pub(super) fn tick(&mut self) -> i64 {
        self.now += 1;
        self.now
    }

    /// Records the heads that pull requests got since the last call.
    pub(super) fn record_versions(&mut self) {
        let (now, mut last_id) = (self.now, self.last_id);
        for pull in self.projects.values_mut().flat_map(|project| project.pull_requests.values_mut()) {
            if pull.versions.last().is_none_or(|version| version.sha != pull.sha) {
                last_id += 1;
                pull.versions.push(Version { id: last_id, sha: pull.sha.clone(), created: now });
            }
        }
        self.last_id = last_id;
    }

    pub(super) fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn record(&mut self, project: &str, actor: &str, kind: EventKind) {
        self.events.push(Event { project: project.to_owned(), actor: actor.to_owned(), kind });
    }

    pub(super) fn user_of_id(&self, id: u64) -> Option<&str> {
        self.users.iter().map(String::as_str).find(|login| id_of(login) == id)
    }
}

impl Project {
    /// The next free number. `shared` says whether issues and pull requests share their numbers.
    fn next_issue(&self, shared: bool) -> u64 {
        let deleted = self.deleted.last().map_or(1, |last| last + 1);
        next(&self.issues).max(deleted).max(if shared { next(&self.pull_requests) } else { 1 })
    }

    /// Adds an issue with the next free number.
    pub(super) fn add_issue(&mut self, mut issue: Issue, shared: bool, now: i64) -> u64 {
        let number = self.next_issue(shared);
        (issue.created, issue.updated) = (now, now);
        issue.record_creation(now);
        self.issues.insert(number, issue);
        number
    }

    /// Like [`Project::add_issue`].
    pub(super) fn add_pull_request(&mut self, mut pull: PullRequest, shared: bool, now: i64) -> u64 {
        let number = next(&self.pull_requests).max(if shared { self.next_issue(shared) } else { 1 });
        (pull.issue.created, pull.issue.updated) = (now, now);
        self.pull_requests.insert(number, pull);
        number
    }

    /// The parts that issues and pull requests share.
    pub(super) fn subject(&self, subject: Subject) -> Option<&Issue> {
        match subject {
            Subject::Issue(number) => self.issues.get(&number),
            Subject::PullRequest(number) => self.pull_requests.get(&number).map(|pull| &pull.issue),
        }
    }

    pub(super) fn subject_mut(&mut self, subject: Subject) -> Option<&mut Issue> {
        match subject {
            Subject::Issue(number) => self.issues.get_mut(&number),
            Subject::PullRequest(number) => self.pull_requests.get_mut(&number).map(|pull| &mut pull.issue),
        }
    }

    /// The issue or pull request of a number that both share.
    pub(super) fn subject_at(&self, number: u64) -> Option<Subject> {
        match self.issues.contains_key(&number) {
            true => Some(Subject::Issue(number)),
            false => self.pull_requests.contains_key(&number).then_some(Subject::PullRequest(number)),
        }
    }

    pub(super) fn subjects(&self) -> impl Iterator<Item = Subject> {
        let pulls = self.pull_requests.keys().map(|number| Subject::PullRequest(*number));
        self.issues.keys().map(|number| Subject::Issue(*number)).chain(pulls)
    }

    /// The issue or pull request that has this comment.
    pub(super) fn subject_of_comment(&self, id: u64) -> Option<Subject> {
        let has = |subject: &Subject| self.subject(*subject).is_some_and(|it| it.comments.iter().any(|c| c.id == id));
        self.subjects().find(has)
    }

    /// The names of all labels, those of issues among them.
    pub(super) fn label_names(&self) -> BTreeSet<String> {
        let given = self.subjects().filter_map(|subject| self.subject(subject)).flat_map(|it| it.labels.clone());
        self.labels.iter().cloned().chain(given).collect()
    }
}

fn next<T>(things: &BTreeMap<u64, T>) -> u64 {
    things.last_key_value().map_or(1, |(last, _)| last + 1)
}

/// A stable id for a name.
pub(super) fn id_of(name: &str) -> u64 {
    name.bytes().fold(5000, |id, byte| (id * 31 + u64::from(byte)) % 1_000_003)
}

/// A time as all kinds of forges write it.
pub(super) fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
}
