//! A server with a watched repository, and a machine that works on its issues. The test is its people.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kugetsu_agent::environment::Variable;
use kugetsu_api::repo::RepoQuery;
use kugetsu_api::why::WhyObject;
use kugetsu_domain::reference::{ForgeKind, IssueRef, ProjectPath, RepoRef, ServerBase};
use kugetsu_engine::Settings;
use kugetsu_engine::hooks::{self, Delivered};
use kugetsu_engine::queries::why::why;
use kugetsu_engine::watch_queries::why::explain;
use kugetsu_engine::watches::Watch;
use kugetsu_forge::http::limits::Limits;
use kugetsu_forge::servers::{Server, Servers};
use kugetsu_store::fuse::Fuse;
use kugetsu_store::view::Repo;
use kugetsu_testkit::ForgeServer;
use kugetsu_testkit::forge_server::check::CheckState;
pub(crate) use kugetsu_testkit::forge_server::fault::Fault as Failure;
use kugetsu_testkit::forge_server::hook::Delivery;
use kugetsu_testkit::forge_server::issue::{Issue, Subject};
use kugetsu_testkit::forge_server::permission::Permission;
use kugetsu_testkit::forge_server::pull_request::{PrState, PullRequest};
use kugetsu_testkit::forge_server::request::ForgeRequest;
use kugetsu_testkit::quiet::quiet;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::watch::{self, Sender};

use crate::world::{Daemon, World, settings};

pub(crate) const TOKEN: &str = "forge-token-123456";
pub(crate) const PROJECT: &str = "acme/api";
pub(crate) const KINDS: [ForgeKind; 4] = [ForgeKind::GitHub, ForgeKind::Gitea, ForgeKind::Forgejo, ForgeKind::GitLab];

/// Time limit of every wait. Only a failing test reaches it: a loaded machine may take minutes for thousands of issues.
const LIMIT: Duration = Duration::from_secs(600);
/// Time without an event or a request after which the clock may move. Longer than the pauses in [`Limits`] of these tests.
const IDLE: Duration = Duration::from_millis(2);
/// How far it moves.
const STEP: SignedDuration = SignedDuration::from_secs(30);
pub(crate) const START: Timestamp = Timestamp::constant(1_767_409_445, 0);

/// The steps at which daemons die. The kinds of servers share them, and only one of `apart` is taken, unless `KUGETSU_EVERY_DEATH` is
/// set, as by `cargo xtask test --full`.
pub(crate) fn deaths(kind: ForgeKind, apart: usize) -> impl Iterator<Item = usize> {
    let first = KINDS.iter().position(|other| *other == kind).unwrap();
    match std::env::var_os("KUGETSU_EVERY_DEATH") {
        Some(_) => (0..).step_by(1),
        None => (first * apart..).step_by(KINDS.len() * apart),
    }
}

pub(crate) struct Stage {
    pub(crate) kind: ForgeKind,
    pub(crate) forge: Arc<ForgeServer>,
    pub(crate) world: World,
    /// The path of the project now.
    project: Arc<Mutex<String>>,
    /// The commits that the agent pushed, oldest first.
    pub(crate) pushed: Arc<Mutex<Vec<String>>>,
    /// The heads that people have looked at.
    reviewed: Mutex<Vec<String>>,
    /// How far the server's clock is ahead of the machine's.
    ahead: Mutex<SignedDuration>,
}

pub(crate) fn forge_of(kind: ForgeKind) -> ForgeServer {
    let forge = match kind {
        ForgeKind::GitHub => ForgeServer::github(),
        ForgeKind::GitLab => ForgeServer::gitlab(),
        ForgeKind::Forgejo => ForgeServer::forgejo(),
        _ => ForgeServer::gitea(),
    };
    forge.set_time(START.as_second());
    forge.token(TOKEN, "robot");
    // Gitea and Forgejo tell only administrators of a repository what others may do.
    let may = if kind == ForgeKind::GitHub { Permission::Write } else { Permission::Admin };
    forge.set_permission(PROJECT, "robot", may);
    forge.set_permission(PROJECT, "kim", Permission::Write);
    forge
}

/// Settings with one server, and these entries of `[watch]`.
pub(crate) fn settings_for(forge: &ForgeServer, kind: ForgeKind, watches: &[(&str, Value)]) -> Settings {
    let base = ServerBase::new(forge.base_url()).unwrap();
    let server = Server {
        name: "test".to_owned(),
        base,
        kind: Some(kind),
        api_url: None,
        token_env: Some("FORGE_TOKEN".to_owned()),
    };
    let mut settings = settings(4);
    settings.servers = Servers::new(vec![server], None).unwrap();
    settings.variables = vec![Variable { name: "FORGE_TOKEN".to_owned(), value: TOKEN.into(), is_own: false }];
    settings.watches = watches_of(&settings, watches);
    settings
}

fn watches_of(settings: &Settings, watches: &[(&str, Value)]) -> Vec<Watch> {
    let watch = |(name, entry): &(&str, Value)| {
        let entry = serde_json::from_value(entry.clone()).unwrap();
        Watch::new(name, entry, &settings.servers.known()).unwrap()
    };
    watches.iter().map(watch).collect()
}

/// The settings of a watch: the usual ones of the project, and these.
fn entry(base: &str, own: &Value) -> Value {
    let repo = format!("{base}/{PROJECT}");
    // The default takes longer, and `checks.rs` tests it.
    let mut entry = json!({ "repo": repo, "label": "agent", "merge": "when-approved", "checks_grace": "30s" });
    entry.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    entry
}

impl Stage {
    /// Issues with the label `agent` are handed over, and merged once a trusted person has approved them.
    pub(crate) async fn new(kind: ForgeKind) -> Self {
        Self::with(kind, json!({})).await
    }

    /// The same with other settings of the watch.
    pub(crate) async fn with(kind: ForgeKind, own: Value) -> Self {
        let forge = Arc::new(forge_of(kind));
        let base = forge.base_url();
        let settings = settings_for(&forge, kind, &[("api", entry(&base, &own))]);
        let name = RepoRef { base: ServerBase::new(&base).unwrap(), project: ProjectPath::new(PROJECT).unwrap() };
        let mut world =
            World::with(settings, Repo { name, kind: Some(kind), source: format!("{base}/{PROJECT}.git") }).await;
        world.forge_limits = Limits {
            first_backoff: Duration::from_millis(1),
            conflict_recheck: Duration::from_millis(1),
            max_wait: Duration::from_secs(1),
            ..Limits::default()
        };
        let pushed = Arc::new(Mutex::new(Vec::new()));
        let project = Arc::new(Mutex::new(PROJECT.to_owned()));
        let stage = Self { kind, forge, world, project, pushed, reviewed: Mutex::default(), ahead: Mutex::default() };
        stage.let_agents_push();
        stage
    }

    /// Replaces the watches by these: names, and what is different from [`new`](Self::new).
    pub(crate) fn set_watches(&self, watches: &[(&str, Value)]) {
        let base = self.forge.base_url();
        let watches: Vec<_> = watches.iter().map(|(name, own)| (*name, entry(&base, own))).collect();
        self.world.change_settings(|settings| settings.watches = watches_of(settings, &watches));
    }

    /// Every run pushes a commit.
    pub(crate) fn let_agents_push(&self) {
        let (pushed, forge, project) = (Arc::clone(&self.pushed), Arc::clone(&self.forge), Arc::clone(&self.project));
        self.world.machine.set_agent(move |branch| {
            let mut pushed = pushed.lock().unwrap();
            let commit = format!("{:040x}", 0xabc_0000 + pushed.len());
            forge.push(&project.lock().unwrap(), branch, &commit);
            pushed.push(commit.clone());
            Some(commit)
        });
    }

    pub(crate) fn daemon(&self) -> Daemon {
        self.daemon_with(Fuse::after(usize::MAX))
    }

    /// A daemon that may also die before and after each request that changes something.
    pub(crate) fn daemon_with(&self, fuse: Fuse) -> Daemon {
        self.daemon_with_two(fuse.clone(), fuse)
    }

    /// The same with a second fuse, for the requests.
    pub(crate) fn daemon_with_two(&self, fuse: Fuse, requests: Fuse) -> Daemon {
        let daemon = self.world.daemon_with(fuse.clone());
        self.forge.set_gate(move || {
            let is_alive = requests.step();
            if !is_alive {
                // The daemon is one process.
                fuse.blow();
            }
            is_alive
        });
        daemon.set_time(START);
        daemon
    }

    pub(crate) fn project(&self) -> String {
        self.project.lock().unwrap().clone()
    }

    /// Moves the project to another path.
    pub(crate) fn rename(&self, path: &str) {
        self.forge.rename_project(&self.project(), path);
        *self.project.lock().unwrap() = path.to_owned();
    }

    /// An issue that is handed over. Returns its number.
    pub(crate) fn hand_over(&self) -> u64 {
        self.forge.issue(&self.project(), Issue::new("It is slow").body("Very.").author("kim").label("agent"))
    }

    /// Holds the first such request until the sender sends something. Returns whether it has arrived, too.
    pub(crate) fn hold(
        &self,
        is_meant: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> (Sender<()>, Arc<AtomicBool>) {
        let (release, held) = watch::channel(());
        let has_arrived = Arc::new(AtomicBool::new(false));
        let arrived = Arc::clone(&has_arrived);
        self.forge.fail_when(move |request| {
            (is_meant(request) && !arrived.swap(true, Ordering::SeqCst)).then(|| Failure::Held(held.clone()))
        });
        (release, has_arrived)
    }

    /// Waits until kugetsu knows the issue.
    pub(crate) async fn known(&self, daemon: &Daemon, reference: &IssueRef) {
        let is_known = async || daemon.store.issue(reference).await.unwrap().map(drop);
        self.until(daemon, "the issue", is_known).await;
    }

    /// Waits until `look` finds something. Whenever nothing happens, time passes.
    pub(crate) async fn until<T>(&self, daemon: &Daemon, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let wait = async {
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                self.pass(daemon, STEP).await;
            }
        };
        match tokio::time::timeout(LIMIT, wait).await {
            Ok(found) => found,
            Err(_) => panic!("{:?}: {what} did not happen: {}", self.kind, self.report(daemon).await),
        }
    }

    /// Lets everything happen that happens now, and then this time pass.
    pub(crate) async fn pass(&self, daemon: &Daemon, time: SignedDuration) {
        self.settle(daemon).await;
        let later = daemon.engine.clock().now() + time;
        daemon.set_time(later);
        self.forge.set_time((later + *self.ahead.lock().unwrap()).as_second());
    }

    /// Sets the server's clock, so that it is ahead of the machine's by this time.
    pub(crate) fn set_ahead(&self, now: Timestamp, ahead: SignedDuration) {
        *self.ahead.lock().unwrap() = ahead;
        self.forge.set_time((now + ahead).as_second());
    }

    /// Waits until nothing happens.
    pub(crate) async fn settle(&self, daemon: &Daemon) {
        let mut events = daemon.store.listen();
        loop {
            let before = self.forge.request_count();
            tokio::select! {
                _ = events.recv() => {}
                () = tokio::time::sleep(IDLE) => {
                    quiet().await;
                    let is_same = self.forge.request_count() == before && self.forge.requests_in_progress() == 0;
                    if is_same && matches!(events.try_recv(), Err(TryRecvError::Empty)) {
                        return;
                    }
                }
            }
        }
    }

    /// Lets so many hours pass in steps of half a minute. Returns the requests meanwhile.
    pub(crate) async fn hours(&self, daemon: &Daemon, hours: i64) -> Vec<ForgeRequest> {
        self.settle(daemon).await;
        let before = self.forge.request_count();
        self.pass_in_steps(daemon, SignedDuration::from_hours(hours)).await;
        self.forge.requests().split_off(before)
    }

    /// Lets this time pass in steps of half a minute, and what happens then happen.
    pub(crate) async fn pass_in_steps(&self, daemon: &Daemon, time: SignedDuration) {
        for _ in 0..time.as_secs() / STEP.as_secs() {
            self.pass(daemon, STEP).await;
        }
        self.settle(daemon).await;
    }

    /// Creates the webhook of the project, whose deliveries the test passes on.
    pub(crate) async fn create_hook(&self, daemon: &Daemon) {
        self.forge.set_permission(PROJECT, "robot", Permission::Admin);
        self.world.change_settings(|settings| settings.hooks.url = Some("http://127.0.0.1:1".to_owned()));
        let repo = format!("{}/{PROJECT}", self.forge.base_url());
        hooks::create(&daemon.engine, &RepoQuery { repo, cwd: "/".to_owned() }).await.unwrap();
    }

    pub(crate) async fn deliver(&self, daemon: &Daemon, delivery: &Delivery) -> Delivered {
        hooks::deliver(&daemon.engine, "test", |name| delivery.header(name), delivery.body.as_bytes()).await
    }

    /// The open or ended pull requests for an issue.
    pub(crate) fn pulls(&self, issue: u64) -> Vec<(u64, PullRequest)> {
        let all = self.forge.pull_requests_of(&self.project()).into_iter();
        all.filter(|(_, pull)| pull.head.starts_with(&format!("kugetsu/{issue}-"))).collect()
    }

    pub(crate) async fn pull_request(&self, daemon: &Daemon, issue: u64) -> u64 {
        self.until(daemon, "the pull request", async || Some(self.pulls(issue).first()?.0)).await
    }

    /// The checks of the pull request's head pass.
    pub(crate) fn pass_checks(&self, number: u64) {
        let head = self.forge.pull_request_of(&self.project(), number).sha;
        self.forge.set_check(&self.project(), &head, "test", CheckState::Success, None);
    }

    /// Waits until the pull request is merged.
    pub(crate) async fn merged(&self, daemon: &Daemon, number: u64) {
        let is_merged =
            async || (self.forge.pull_request_of(&self.project(), number).state == PrState::Merged).then_some(());
        self.until(daemon, "the merge", is_merged).await;
    }

    /// People and programs look at the head of the pull request, once: the first one fails, the second one gets a remark, and the third
    /// one is approved.
    pub(crate) fn review(&self, number: u64) {
        let head = self.forge.pull_request_of(&self.project(), number).sha;
        let mut reviewed = self.reviewed.lock().unwrap();
        if reviewed.contains(&head) {
            return;
        }
        reviewed.push(head.clone());
        let check = |state, log| self.forge.set_check(&self.project(), &head, "test", state, log);
        match self.pushed.lock().unwrap().iter().position(|pushed| *pushed == head) {
            Some(0) => check(CheckState::Failure, Some("step one\nerror: it broke\n")),
            Some(1) => {
                check(CheckState::Success, None);
                self.forge.review_thread(
                    &self.project(),
                    number,
                    "kim",
                    ("src/lib.rs", Some(1)),
                    "Please say more here.",
                );
                self.forge.review_thread(&self.project(), number, "kim", ("src/main.rs", Some(1)), "Here, too.");
            }
            _ => {
                check(CheckState::Success, None);
                self.forge.approve(&self.project(), number, "kim");
            }
        }
    }

    /// Plays the people until everything about the issue is over.
    pub(crate) async fn play(&self, daemon: &Daemon, issue: u64) {
        self.until(daemon, "the end of the issue", async || {
            let pulls = self.pulls(issue);
            for (number, _) in pulls.iter().filter(|(_, pull)| pull.state == PrState::Open) {
                self.review(*number);
            }
            let is_merged = pulls.iter().any(|(_, pull)| pull.state == PrState::Merged);
            let is_closed = self.forge.issue_of(&self.project(), Subject::Issue(issue)).closed;
            (is_merged && is_closed && self.is_over(daemon, issue).await).then_some(())
        })
        .await;
    }

    /// Whether nothing is to be done about an issue any more.
    pub(crate) async fn is_over(&self, daemon: &Daemon, issue: u64) -> bool {
        let Some(issue) = daemon.store.issue(&daemon.reference(issue)).await.unwrap() else { return false };
        let effects = daemon.store.effects_of(issue.id).await.unwrap();
        effects.iter().all(|effect| effect.failed) && issue.tasks.is_empty()
    }

    /// Checks that the story came to its only end.
    pub(crate) async fn check(&self, daemon: &Daemon, issue: u64) {
        let kind = self.kind;
        assert_eq!(self.pulls(issue).len(), 1, "{kind:?}: one pull request");
        let own = self.own_comments(issue);
        assert_eq!(own.len(), 1, "{kind:?}: one comment is edited: {own:?}");
        assert!(own[0].contains("is merged"), "{kind:?}: {own:?}");
        let once = ["comment", "delete_branch", "edit_issue", "merge", "open_pull_request"].map(|change| (change, 1));
        assert_eq!(self.once(), BTreeMap::from(once), "{kind:?}: {}", self.report(daemon).await);
        assert_eq!(self.pushed.lock().unwrap().len(), 3, "{kind:?}: three runs");
    }

    /// The changes that may happen once only.
    pub(crate) fn once(&self) -> BTreeMap<&'static str, usize> {
        // A text or a label that is written again is the same.
        let repeatable = ["edit_comment", "edit_pull_request", "create_label", "label"];
        self.forge.changes().into_iter().filter(|(change, _)| !repeatable.contains(change)).collect()
    }

    pub(crate) fn own_comments(&self, issue: u64) -> Vec<String> {
        let comments = self.forge.comments_of(&self.project(), Subject::Issue(issue)).into_iter();
        comments.filter(|comment| comment.author == "robot").map(|comment| comment.body).collect()
    }

    /// The reasons for the state of the issue.
    pub(crate) async fn why(&self, daemon: &Daemon, issue: u64) -> String {
        let reference = daemon.reference(issue).to_string();
        match why(&daemon.engine, &reference, Path::new("/")).await {
            Ok(why) => why.because.join("; "),
            Err(problem) => format!("{problem:?}"),
        }
    }

    /// The conditions of an issue that has no task.
    pub(crate) async fn explain(&self, daemon: &Daemon, issue: u64) -> WhyObject {
        let reference = daemon.reference(issue).to_string();
        explain(&daemon.engine, &reference, Path::new("/")).await.expect("an explanation")
    }

    /// Everything that explains a failed test.
    async fn report(&self, daemon: &Daemon) -> String {
        let mut report = format!("changes {:?}", self.forge.changes());
        for issue in daemon.all_issues().await {
            let found = daemon.store.issue_by_id(issue).await.unwrap();
            let effects = daemon.store.effects_of(issue).await.unwrap();
            report.push_str(&format!(
                "\n{}: {:?}\npull request {:?}\n{:?}\n{effects:?}",
                found.reference,
                daemon.events(issue).await,
                found.pr,
                found.follow
            ));
        }
        let watch = daemon.store.watch(self.world.repo.name.clone()).await;
        let requests: Vec<_> = self
            .forge
            .requests()
            .iter()
            .rev()
            .take(15)
            .map(|request| format!("{} {} {:?}", request.method, request.target, request.status))
            .collect();
        format!("{report}\n{watch:?}\n{requests:#?}")
    }
}
