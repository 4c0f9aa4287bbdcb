//! The conditions under which an issue of a watched repository begins.

use jiff::Timestamp;

use crate::pull_request::PrState;
use crate::watch::selection::{Mark, SelectedBy, SetBy};
use crate::watch::trust::Trust;

/// How a repository hands issues over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The issue has to have this label.
    pub label: Option<String>,
    /// The issue has to be assigned to this login.
    pub assignee: Option<String>,
    pub trust: Trust,
    /// Runs of issues of this repository at once; `None` is no maximum.
    pub max_running: Option<u32>,
    /// Open pull requests of kugetsu in this repository. Who reviews them is the bottleneck.
    pub max_open_pull_requests: Option<u32>,
}

impl Policy {
    /// The mark whose setting hands an issue over. If a label and an assignee are required, that is the label. `None` if neither is.
    pub fn mark(&self) -> Option<Mark> {
        let label = self.label.clone().map(Mark::Label);
        label.or_else(|| self.assignee.clone().map(Mark::Assignee))
    }
}

/// An issue, as the server and kugetsu know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub is_open: bool,
    pub is_pull_request: bool,
    pub labels: Vec<String>,
    pub assignees: Vec<String>,
    /// `None` if the account is gone.
    pub author: Option<Author>,
    /// Who set the label or the assignee; `None` if it was not read.
    pub selected_by: Option<SelectedBy>,
    pub text: LabeledText,
    /// The issues that have to be closed before; `None` if it is not known.
    pub open_dependencies: Option<Vec<u64>>,
    /// The pull request of the issue's branch, opened by any user.
    pub pull_request: Option<PrState>,
    /// Whether the server has its branch, and kugetsu did not push it; `None` if it was not read.
    pub has_branch: Option<bool>,
    /// The state of kugetsu's latest task for the issue.
    pub task: Option<String>,
    /// Whether a user stopped the issue and did not resume it.
    pub is_stopped: bool,
    /// Whether the author's permission, the dependencies and the pull request were read. They cost further requests, so they are not
    /// while another condition prevents the start.
    pub is_complete: bool,
    /// When the server was read.
    pub read_at: Option<Timestamp>,
}

/// Title and description of an issue, compared with those that it had when the label or the assignee was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LabeledText {
    #[default]
    Unchanged,
    /// The server does not say who changed them.
    Changed,
    /// It was not known yet then.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    pub login: String,
    /// Whether the policy trusts the author; `None` if it is not known.
    pub is_trusted: Option<bool>,
}

/// The load of the repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    pub running: u32,
    /// Also those that are about to be opened.
    pub open_pull_requests: u32,
    /// Those of them that are not opened yet.
    pub unopened_pull_requests: u32,
    /// Of the rule that the issue matches, if that has a limit.
    pub rule: Option<RuleLoad>,
    /// Whether the watch is paused.
    pub is_paused: bool,
    /// Whether `kugetsu pause` holds back every agent of the repository.
    pub is_held: bool,
}

/// The load of a rule with a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleLoad {
    pub running: u32,
    pub max: u32,
}

/// The subject of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionKind {
    Open,
    Label,
    Assignee,
    Trust,
    SelectedBy,
    Dependencies,
    PullRequest,
    Branch,
    New,
    Repository,
    Pause,
    Running,
    Rule,
    OpenPullRequests,
}

impl ConditionKind {
    pub const ALL: &'static [Self] = &[
        Self::Open,
        Self::Label,
        Self::Assignee,
        Self::Trust,
        Self::SelectedBy,
        Self::Dependencies,
        Self::PullRequest,
        Self::Branch,
        Self::New,
        Self::Repository,
        Self::Pause,
        Self::Running,
        Self::Rule,
        Self::OpenPullRequests,
    ];

    /// The name under which it is stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Label => "label",
            Self::Assignee => "assignee",
            Self::Trust => "trust",
            Self::SelectedBy => "selected by",
            Self::Dependencies => "dependencies",
            Self::PullRequest => "pull request",
            Self::Branch => "branch",
            Self::New => "new",
            Self::Repository => "repository",
            Self::Pause => "pause",
            Self::Running => "running",
            Self::Rule => "rule",
            Self::OpenPullRequests => "open pull requests",
        }
    }

    /// When it is met, as a sentence.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Open => "The issue is open, and is no pull request.",
            Self::Label => "It has the label of the watch.",
            Self::Assignee => "It is assigned to the user of the watch.",
            Self::Trust => {
                "Its author is trusted, as the server says, or the watch has a label. Title and description are as they were when the label \
                 (without one, the assignee) was set; those of a trusted author also count if kugetsu has not seen the earlier ones."
            }
            Self::SelectedBy => {
                "The user who set the label (without one, the assignee) is trusted, as the server says. If it was set when the issue was \
                 created, that is the author."
            }
            Self::Dependencies => "No issue that it depends on is open, and no sub-issue.",
            Self::PullRequest => "Its branch has no pull request, open, merged or closed.",
            Self::Branch => "The server does not have its branch, unless kugetsu pushed it.",
            Self::New => "kugetsu has not worked on it.",
            Self::Repository => "The watch is not paused (`kugetsu watch pause`).",
            Self::Pause => "Neither everything nor the repository is paused (`kugetsu pause`).",
            Self::Running => "Fewer than `max_running` issues of the watch are worked on.",
            Self::Rule => "Fewer than `max_running` issues of its rule are worked on.",
            Self::OpenPullRequests => "Fewer than `max_open_prs` pull requests of the watch are open.",
        }
    }

    /// The kind with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Whether it changes in kugetsu only, and not on the server.
    pub const fn is_local(self) -> bool {
        matches!(self, Self::New | Self::Repository | Self::Pause | Self::Running | Self::Rule | Self::OpenPullRequests)
    }
}

/// One condition, with the fact that decides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub kind: ConditionKind,
    pub met: Met,
    /// A sentence about what is the case.
    pub fact: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    Yes,
    No,
    /// It could not be found out, which never counts as met.
    Unknown,
    /// It was not read, because another condition prevents the start.
    Unread,
}

impl Met {
    /// The name under which it is stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
            Self::Unread => "unread",
        }
    }

    /// The one with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Yes, Self::No, Self::Unknown, Self::Unread].into_iter().find(|met| met.name() == name)
    }
}

const UNREAD: &str = "not read while another condition is not met";

/// Returns every condition. The issue begins if all are met.
pub fn conditions(policy: &Policy, facts: &Facts, load: Load) -> Vec<Condition> {
    let mut found = Vec::new();
    let mut add = |kind, met: Met, fact: String| found.push(Condition { kind, met, fact });
    let met = |is_met: bool| if is_met { Met::Yes } else { Met::No };
    let is_issue = facts.is_open && !facts.is_pull_request;
    let state = match (facts.is_pull_request, facts.is_open) {
        (true, _) => "it is a pull request",
        (false, true) => "it is open",
        (false, false) => "it is closed",
    };
    add(ConditionKind::Open, met(is_issue), state.to_owned());
    if let Some(label) = &policy.label {
        let has = facts.labels.contains(label);
        add(
            ConditionKind::Label,
            met(has),
            format!("it {} the label {label:?}", if has { "has" } else { "does not have" }),
        );
    }
    if let Some(assignee) = &policy.assignee {
        let is_assigned = facts.assignees.iter().any(|login| login.eq_ignore_ascii_case(assignee));
        let negation = if is_assigned { "" } else { "not " };
        add(ConditionKind::Assignee, met(is_assigned), format!("it is {negation}assigned to {assignee}"));
    }
    let (author, is_trusted) = match &facts.author {
        None => ("a deleted user".to_owned(), Some(false)),
        Some(author) => (author.login.clone(), author.is_trusted),
    };
    let is_labeled = policy.label.as_ref().is_some_and(|label| facts.labels.contains(label));
    let (trusted, fact) = match (is_trusted, facts.text) {
        (_, LabeledText::Changed) => (Met::No, format!("title or description changed after {}", set_again(policy))),
        (Some(true), _) => (Met::Yes, format!("{author} wrote it, and is trusted ({})", policy.trust)),
        // A label that only trusted people can set, for exactly this text.
        (_, LabeledText::Unchanged) if is_labeled => {
            (Met::Yes, format!("{author} wrote it, and the text is the one that was labeled"))
        }
        (_, LabeledText::Unknown) if is_labeled && facts.is_complete && facts.author.is_some() => {
            (Met::No, format!("title or description may have changed after {}", set_again(policy)))
        }
        (Some(false), _) => (Met::No, format!("{author} wrote it, and is not trusted ({})", policy.trust)),
        (None, _) if !facts.is_complete => (Met::Unread, format!("{author} wrote it; {UNREAD}")),
        (None, _) => (Met::Unknown, format!("the server did not say what {author} may do")),
    };
    add(ConditionKind::Trust, trusted, fact);
    if let Some(mark) = policy.mark() {
        let (selected, fact) = selection(policy, facts, &mark);
        add(ConditionKind::SelectedBy, selected, fact);
    }
    let (met_dependencies, fact) = match facts.open_dependencies.as_deref() {
        _ if !facts.is_complete => (Met::Unread, UNREAD.to_owned()),
        None => (Met::Unknown, "the server did not say what it depends on".to_owned()),
        Some([]) => (Met::Yes, "it depends on no open issue".to_owned()),
        Some(open) => {
            let open: Vec<String> = open.iter().map(|number| format!("#{number}")).collect();
            (
                Met::No,
                format!("it depends on {}, which {} open", open.join(", "), if open.len() == 1 { "is" } else { "are" }),
            )
        }
    };
    add(ConditionKind::Dependencies, met_dependencies, fact);
    let (free, fact) = match facts.pull_request {
        None if !facts.is_complete => (Met::Unread, UNREAD.to_owned()),
        None => (Met::Yes, "its branch has no pull request".to_owned()),
        Some(state) => (Met::No, format!("the pull request of its branch is {}", state.name())),
    };
    add(ConditionKind::PullRequest, free, fact);
    let (free, fact) = match facts.has_branch {
        None => (Met::Unread, UNREAD.to_owned()),
        Some(false) => (Met::Yes, "the server does not have its branch, or kugetsu pushed it".to_owned()),
        Some(true) => {
            (Met::No, "the server has its branch, which kugetsu did not push; delete or rename it".to_owned())
        }
    };
    add(ConditionKind::Branch, free, fact);
    let (is_new, fact) = match (&facts.task, facts.is_stopped) {
        (_, true) => (Met::No, "it was stopped".to_owned()),
        (Some(task), false) => (Met::No, format!("kugetsu has worked on it: its latest task is {task}")),
        (None, false) => (Met::Yes, "kugetsu has not worked on it".to_owned()),
    };
    add(ConditionKind::New, is_new, fact);
    add(
        ConditionKind::Repository,
        met(!load.is_paused),
        if load.is_paused { "its watch is paused" } else { "its watch is not paused" }.to_owned(),
    );
    add(
        ConditionKind::Pause,
        met(!load.is_held),
        if load.is_held { "agents are paused" } else { "agents are not paused" }.to_owned(),
    );
    found.extend(limits(policy, load));
    found
}

/// When the issue was handed over, and how it is handed over again.
fn set_again(policy: &Policy) -> &'static str {
    match policy.mark() {
        Some(Mark::Assignee(_)) => "it was assigned; assign it again, or comment `/kugetsu start`",
        Some(Mark::Label(_)) | None => "it was labeled; remove the label and set it again, or comment `/kugetsu start`",
    }
}

/// Returns the conditions that depend on the load.
pub fn limits(policy: &Policy, load: Load) -> Vec<Condition> {
    let unopened = match load.unopened_pull_requests {
        0 => String::new(),
        count => format!(", {count} of them not opened yet"),
    };
    let limit = |(kind, count, max, note): (ConditionKind, u32, Option<u32>, &str)| {
        let max = max?;
        let met = if count < max { Met::Yes } else { Met::No };
        Some(Condition { kind, met, fact: format!("{count} of at most {max}{note}") })
    };
    let limited = [
        (ConditionKind::Running, load.running, policy.max_running, ""),
        (ConditionKind::Rule, load.rule.map_or(0, |rule| rule.running), load.rule.map(|rule| rule.max), ""),
        (ConditionKind::OpenPullRequests, load.open_pull_requests, policy.max_open_pull_requests, unopened.as_str()),
    ];
    limited.into_iter().filter_map(limit).collect()
}

/// Whether a trusted user handed the issue over.
fn selection(policy: &Policy, facts: &Facts, mark: &Mark) -> (Met, String) {
    let trust = &policy.trust;
    let Some(SelectedBy { set_by, is_trusted }) = &facts.selected_by else { return (Met::Unread, UNREAD.to_owned()) };
    let author = facts.author.as_ref();
    match set_by {
        SetBy::User(login) => match is_trusted {
            Some(true) => (Met::Yes, format!("{mark} set by {login}, who is trusted ({trust})")),
            Some(false) => (Met::No, format!("{mark} set by {login}, who is not trusted ({trust})")),
            None => (Met::Unknown, format!("{mark} set by {login}, and the server did not say what {login} may do")),
        },
        SetBy::Unnamed => (Met::No, format!("{mark} set by a user whom the server does not name")),
        SetBy::Author => match author.map(|author| (&author.login, author.is_trusted)) {
            Some((login, Some(true))) => {
                (Met::Yes, format!("{mark} set by {login} with the new issue, and {login} is trusted ({trust})"))
            }
            Some((login, Some(false))) => {
                (Met::No, format!("{mark} set by {login} with the new issue, and {login} is not trusted ({trust})"))
            }
            Some((login, None)) => {
                (Met::Unknown, format!("{mark} set by {login}, and the server did not say what {login} may do"))
            }
            None => (Met::No, format!("{mark} set by a deleted user with the new issue")),
        },
        SetBy::Unclear => (Met::Unknown, format!("the server's record does not explain who set the {mark}")),
        // The user who lists a login in `trust` knows who may label that author's issues. A group shows no such decision.
        SetBy::Unrecorded => match author {
            Some(author) if matches!(trust, Trust::Names(_)) && trust.includes(&author.login, None) => {
                (Met::Yes, format!("the server does not record who set the {mark}, and `trust` names the author"))
            }
            _ => (
                Met::No,
                format!("the server does not record who set the {mark}, and `trust` does not name the author"),
            ),
        },
    }
}

/// Whether the issue begins.
pub fn is_eligible(conditions: &[Condition]) -> bool {
    conditions.iter().all(|condition| condition.met == Met::Yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy {
            label: Some("agent".to_owned()),
            assignee: None,
            trust: Trust::Members,
            max_running: Some(2),
            max_open_pull_requests: Some(5),
        }
    }

    fn facts() -> Facts {
        Facts {
            is_open: true,
            labels: vec!["agent".to_owned()],
            author: Some(Author { login: "kim".to_owned(), is_trusted: Some(true) }),
            selected_by: set_by(SetBy::User("kim".to_owned()), Some(true)),
            open_dependencies: Some(vec![]),
            has_branch: Some(false),
            is_complete: true,
            ..Facts::default()
        }
    }

    fn set_by(set_by: SetBy, is_trusted: Option<bool>) -> Option<SelectedBy> {
        Some(SelectedBy { set_by, is_trusted })
    }

    /// The names of the conditions that are not met.
    fn unmet(policy: &Policy, facts: &Facts, load: Load) -> Vec<(&'static str, Met)> {
        let all = conditions(policy, facts, load);
        let unmet: Vec<_> = all.iter().filter(|condition| condition.met != Met::Yes).collect();
        assert_eq!(unmet.is_empty(), is_eligible(&all));
        unmet.into_iter().map(|condition| (condition.kind.name(), condition.met)).collect()
    }

    #[test]
    fn what_was_not_read_is_neither_met_nor_unknown() {
        let (mut policy, mut facts) = (policy(), facts());
        facts.is_complete = false;
        facts.author = Some(Author { login: "kim".to_owned(), is_trusted: None });
        // The label approves the text, no matter who wrote it.
        assert_eq!(
            unmet(&policy, &facts, Load::default()),
            [("dependencies", Met::Unread), ("pull request", Met::Unread)]
        );
        (policy.label, policy.assignee) = (None, Some("robot".to_owned()));
        facts.assignees = vec!["Robot".to_owned()];
        assert_eq!(unmet(&policy, &facts, Load::default())[0], ("trust", Met::Unread));
    }

    #[test]
    fn every_condition_can_prevent_the_start() {
        let (policy, none) = (policy(), Load::default());
        assert_eq!(unmet(&policy, &facts(), none), []);
        type Change = fn(&mut Facts);
        let changes: [(&str, Met, Change); 13] = [
            ("open", Met::No, |facts| facts.is_open = false),
            ("open", Met::No, |facts| facts.is_pull_request = true),
            ("label", Met::No, |facts| facts.labels = vec!["Agent".to_owned()]),
            ("selected by", Met::No, |facts| facts.selected_by = set_by(SetBy::User("eve".to_owned()), Some(false))),
            ("selected by", Met::Unread, |facts| facts.selected_by = None),
            ("dependencies", Met::No, |facts| facts.open_dependencies = Some(vec![7])),
            ("dependencies", Met::Unknown, |facts| facts.open_dependencies = None),
            ("pull request", Met::No, |facts| facts.pull_request = Some(PrState::Merged)),
            ("branch", Met::No, |facts| facts.has_branch = Some(true)),
            ("branch", Met::Unread, |facts| facts.has_branch = None),
            ("new", Met::No, |facts| facts.task = Some("failed".to_owned())),
            ("new", Met::No, |facts| facts.is_stopped = true),
            ("trust", Met::No, |facts| {
                facts.author = None;
                facts.text = LabeledText::Unknown;
            }),
        ];
        for (name, met, change) in changes {
            let mut changed = facts();
            change(&mut changed);
            assert_eq!(unmet(&policy, &changed, none), [(name, met)]);
        }
        assert_eq!(unmet(&policy, &facts(), Load { running: 2, ..none }), [("running", Met::No)]);
        assert_eq!(unmet(&policy, &facts(), Load { open_pull_requests: 5, ..none }), [("open pull requests", Met::No)]);
        let rule = |running| Load { rule: Some(RuleLoad { running, max: 1 }), ..none };
        assert_eq!(unmet(&policy, &facts(), rule(1)), [("rule", Met::No)]);
        assert_eq!(unmet(&policy, &facts(), rule(0)), []);
        let load = Load { open_pull_requests: 5, unopened_pull_requests: 4, ..none };
        let found = conditions(&policy, &facts(), load);
        let limit = found.iter().find(|condition| condition.kind == ConditionKind::OpenPullRequests).unwrap();
        assert_eq!(limit.fact, "5 of at most 5, 4 of them not opened yet");
        assert_eq!(unmet(&policy, &facts(), Load { is_paused: true, ..none }), [("repository", Met::No)]);
        assert_eq!(unmet(&policy, &facts(), Load { is_held: true, ..none }), [("pause", Met::No)]);
        let assigned = Policy { assignee: Some("Robot".to_owned()), ..policy.clone() };
        assert_eq!(unmet(&assigned, &facts(), none), [("assignee", Met::No)]);
        assert_eq!(unmet(&assigned, &Facts { assignees: vec!["robot".to_owned()], ..facts() }, none), []);
    }

    #[test]
    fn label_approves_a_strangers_text_and_no_later_one() {
        let stranger = |is_trusted| Facts { author: Some(Author { login: "eve".to_owned(), is_trusted }), ..facts() };
        assert_eq!(unmet(&policy(), &stranger(Some(false)), Load::default()), []);
        assert_eq!(unmet(&policy(), &stranger(None), Load::default()), []);
        for text in [LabeledText::Changed, LabeledText::Unknown] {
            let edited = Facts { text, ..stranger(Some(false)) };
            assert_eq!(unmet(&policy(), &edited, Load::default()), [("trust", Met::No)], "{text:?}");
        }
        let by_assignee = Policy { label: None, ..policy() };
        assert_eq!(unmet(&by_assignee, &stranger(Some(false)), Load::default()), [("trust", Met::No)]);
        assert_eq!(
            unmet(&by_assignee, &Facts { text: LabeledText::Unknown, ..stranger(None) }, Load::default()),
            [("trust", Met::Unknown)]
        );
    }

    #[test]
    fn text_that_changed_after_the_label_or_assignment_is_no_ones() {
        let by_assignee = Policy { label: None, assignee: Some("robot".to_owned()), ..policy() };
        let assigned = || Facts { assignees: vec!["robot".to_owned()], ..facts() };
        for (policy, facts, again) in
            [(policy(), facts(), "set it again, or comment"), (by_assignee, assigned(), "assign it again, or comment")]
        {
            let trust = |text| {
                let all = conditions(&policy, &Facts { text, ..facts.clone() }, Load::default());
                all.into_iter().find(|condition| condition.kind == ConditionKind::Trust).unwrap()
            };
            let changed = trust(LabeledText::Changed);
            assert!(changed.met == Met::No && changed.fact.contains(again), "{changed:?}");
            // The author is trusted.
            assert_eq!(trust(LabeledText::Unknown).met, Met::Yes);
        }
    }

    #[test]
    fn only_a_trusted_user_hands_an_issue_over() {
        let selected = |policy: &Policy, author: Option<Author>, selected_by: Option<SelectedBy>| {
            let facts = Facts { author, selected_by, assignees: vec!["robot".to_owned()], ..facts() };
            let all = conditions(policy, &facts, Load::default());
            let found = all.into_iter().find(|condition| condition.kind == ConditionKind::SelectedBy);
            found.map(|condition| (condition.met, condition.fact))
        };
        let by = |login: &str, is_trusted| set_by(SetBy::User(login.to_owned()), is_trusted);
        let author = |is_trusted| Some(Author { login: "kim".to_owned(), is_trusted });
        let fact = |selected: Option<(Met, String)>| selected.unwrap();
        let (met, text) = fact(selected(&policy(), author(Some(true)), by("eve", Some(false))));
        assert_eq!((met, text.as_str()), (Met::No, "label \"agent\" set by eve, who is not trusted (members)"));
        for (author_trusted, selected_by, expected) in [
            (Some(false), by("lee", Some(true)), Met::Yes),
            (Some(true), by("lee", None), Met::Unknown),
            (Some(true), set_by(SetBy::Author, None), Met::Yes),
            (Some(false), set_by(SetBy::Author, None), Met::No),
            (None, set_by(SetBy::Author, None), Met::Unknown),
            (Some(true), set_by(SetBy::Unnamed, None), Met::No),
            (Some(true), set_by(SetBy::Unclear, None), Met::Unknown),
            (Some(true), set_by(SetBy::Unrecorded, None), Met::No),
            (Some(true), None, Met::Unread),
        ] {
            let (met, text) = fact(selected(&policy(), author(author_trusted), selected_by.clone()));
            assert_eq!(met, expected, "{selected_by:?}: {text}");
        }
        assert_eq!(fact(selected(&policy(), None, set_by(SetBy::Author, None))).0, Met::No);
        // A server without a record: only the names in the settings count.
        let named = |names: &str| Policy { trust: names.parse().unwrap(), ..policy() };
        let unrecorded = || set_by(SetBy::Unrecorded, None);
        assert_eq!(fact(selected(&named("lee,KIM"), author(Some(true)), unrecorded())).0, Met::Yes);
        assert_eq!(fact(selected(&named("lee"), author(Some(false)), unrecorded())).0, Met::No);
        // Without a label, the assignee.
        let by_assignee = Policy { label: None, assignee: Some("robot".to_owned()), ..policy() };
        let (met, text) = fact(selected(&by_assignee, author(Some(true)), by("eve", Some(false))));
        assert_eq!((met, text.as_str()), (Met::No, "assignee robot set by eve, who is not trusted (members)"));
        // A request of a trusted user needs no mark.
        assert_eq!(selected(&Policy { label: None, ..policy() }, author(Some(true)), None), None);
    }
}
