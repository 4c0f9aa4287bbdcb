//! A large home: thousands of queued tasks and as many finished ones, each for an issue of its own. Measures commands that
//! read them, and the daemon's memory after that.

use jiff::Timestamp;
use kugetsu_domain::flow::Event;
use kugetsu_domain::ids::{IssueId, RunId, TaskId};
use kugetsu_domain::issue::Worktree;
use kugetsu_domain::reference::{ProjectPath, RepoRef, ServerBase};
use kugetsu_domain::run::{Outcome, Usage, Verdict};
use kugetsu_domain::task::{Task, TaskKind};
use kugetsu_store::open::open;
use kugetsu_store::store::Store;
use kugetsu_store::view::Repo;
use kugetsu_store::write::{Enqueue, Precondition};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::idle::{mib, resident};
use crate::latency::measure_reads;
use crate::report::Report;
use crate::setup::Setup;

const FINISHED: u64 = 20_000;
const QUEUED: u64 = 20_000;
/// Writes at the same time.
const WRITERS: u64 = 64;

pub(crate) fn measure(report: &mut Report) {
    let setup = Setup::new();
    setup.run(&["config", "set", "agents.max", "0"]);
    setup.run(&["daemon", "stop"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let opened = open(&setup.home.kugetsu().join("state/kugetsu.db")).unwrap();
        fill(&opened.store).await;
        drop(opened.store);
        opened.closed.await.unwrap();
    });
    setup.run(&["status"]);
    let daemon = setup.process("daemon run");
    let before = resident(daemon);
    let middle = format!("acme/api#{}", FINISHED + QUEUED / 2);
    let reads: [&[&str]; 5] =
        [&["status"], &["list"], &["queue", "list"], &["why", &middle], &["queue", "show", &middle]];
    measure_reads(&setup, report, &reads, &format!("{QUEUED} queued and {FINISHED} finished tasks"));
    let after = resident(daemon);
    report.row(
        &format!("memory of the daemon after reading {QUEUED} queued and {FINISHED} finished tasks"),
        mib(after),
        format!("{} before; target: under 60 MiB", mib(before)),
        Some(after as f64 / before as f64),
    );
}

async fn fill(store: &Store) {
    let mut writers = JoinSet::new();
    for first in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            for number in (1 + first..=FINISHED + QUEUED).step_by(WRITERS as usize) {
                let (issue, task) = queue(&store, number).await;
                if number <= FINISHED {
                    finish(&store, issue, task).await;
                }
            }
        });
    }
    writers.join_all().await;
}

async fn queue(store: &Store, number: u64) -> (IssueId, TaskId) {
    let base = ServerBase::new("https://github.com").unwrap();
    let source = "https://github.com/acme/api.git".to_owned();
    let message = format!("Fix the flaky test of module {number}, and explain in the commit why it was flaky.");
    let id = TaskId::new(Uuid::now_v7());
    let enqueue = Enqueue {
        repo: Repo { name: RepoRef { base, project: ProjectPath::new("acme/api").unwrap() }, kind: None, source },
        number: Some(number),
        used_numbers: 0,
        new_issue: IssueId::new(Uuid::now_v7()),
        title: format!("The test of module {number} is flaky"),
        pr_url: None,
        watch: None,
        task: Task::queued(id, TaskKind::Start, "scripted".to_owned(), message, Timestamp::now()),
        precondition: Precondition::Idle,
        interrupt: false,
    };
    (store.enqueue(enqueue, Timestamp::now()).await.unwrap().issue.id, id)
}

async fn finish(store: &Store, issue: IssueId, task: TaskId) {
    let apply = async |event| store.apply(issue, event, Timestamp::now()).await.unwrap().issue;
    let claimed = apply(Event::TaskClaimed { task, run: RunId::new(Uuid::now_v7()) }).await;
    let lease = claimed.lease().unwrap();
    let worktree = Worktree {
        directory: format!("github.com-acme-api-{}", claimed.reference.number),
        branch: format!("kugetsu/{}-flaky-test", claimed.reference.number),
        base_branch: Some("main".to_owned()),
        base_sha: Some("0".repeat(40)),
    };
    apply(Event::WorktreeReady { lease, worktree }).await;
    apply(Event::SessionOpened { lease, session: format!("ses_{task}"), model: None }).await;
    let outcome = Outcome {
        verdict: Verdict::Done,
        reason: "the agent ended its turn; no commits".into(),
        head_sha: Some("1".repeat(40)),
        commits: 0,
        pushed: false,
        usage: Usage { cost_usd: Some(0.25), input_tokens: Some(12_000), output_tokens: Some(800) },
    };
    apply(Event::RunEnded { lease, outcome }).await;
}
