//! The server of `cargo xtask demo`: a GitHub with one repository, a person who labels, reviews and approves, and a build server
//! that runs the repository's test. Prints its address and the token of kugetsu's account, one `NAME=value` per line and an empty
//! line at the end. When it gets a line on stdin, the person labels the issue. From then on it prints what happens, as `<who>`, a tab
//! and `<what>`, and ends after the cleanup.
#![allow(clippy::print_stdout, reason = "a command-line program")]
#![allow(clippy::unwrap_used, reason = "a demo that fails stops with a message")]

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use kugetsu_testkit::forge_server::check::CheckState;
use kugetsu_testkit::forge_server::issue::{Issue, Subject};
use kugetsu_testkit::forge_server::permission::Permission;
use kugetsu_testkit::forge_server::pull_request::{PrState, PullRequest};
use kugetsu_testkit::{ForgeServer, GitServer, Repository, eventually_within};

const PROJECT: &str = "acme/greeter";
const TOKEN: &str = "token-of-the-demo";
/// Each agent may have to be installed and started first.
const TIMEOUT: Duration = Duration::from_secs(300);

const FILES: &[(&str, &str)] = &[
    ("README.md", "# greeter\n\n`greet.sh NAME` prints a greeting.\n"),
    ("greet.sh", "echo \"hello, $2\"\n"),
    (
        "test.sh",
        "out=$(sh greet.sh moon)\necho \"greet.sh moon: $out\"\n[ \"$out\" = 'hello, moon' ] && exit 0\n\
         echo \"error: expected 'hello, moon'\"\nexit 1\n",
    ),
];

/// The agent's part in the three turns. Each is in the text that the agent gets.
const FIRST: &str = r#"[{"bash": {"command": "sed -i 's/hello, $2/hello $1/' greet.sh && git commit -qam 'Greet the given name'"}},
    {"say": "greet.sh took the name from its second argument. It greets the first one now."}]"#;
const SECOND: &str = r#"[{"bash": {"command": "sed -i 's/hello /hello, /' greet.sh && sh test.sh && git commit -qam 'Keep the comma'"}},
    {"say": "The comma is back, and test.sh passes."}]"#;
const THIRD: &str = r#"[{"bash": {"command": "sed -i 's/$1/${1:-world}/' greet.sh && echo 'Without a name it greets the world.' >> README.md && sh test.sh && git commit -qam 'Greet the world without a name'"}},
    {"say": "Without a name, greet.sh greets the world; the README says so."}]"#;

fn main() {
    let forge = ForgeServer::github();
    // Late, because kugetsu waits a minute for further remarks of a reviewer.
    forge.set_undated_time(Timestamp::now().as_second() - 1800);
    forge.token(TOKEN, "robot");
    forge.set_permission(PROJECT, "robot", Permission::Write);
    forge.set_permission(PROJECT, "kim", Permission::Write);
    let git = GitServer::start(TOKEN);
    let source = Repository::new();
    source.commit_files("A greeting", FILES);
    let repository = git.add_repository_from(PROJECT, &source);
    forge.serve_git(&git);
    println!("URL={}\nPROJECT={PROJECT}\nTOKEN={TOKEN}\n", forge.base_url());
    std::io::stdin().read_line(&mut String::new()).unwrap();
    play(&forge, &repository);
    count(&forge, &git);
}

fn play(forge: &ForgeServer, repository: &Repository) {
    let body = format!("`sh greet.sh moon` does not greet the moon.\n\n{}", script(FIRST));
    let issue = forge.issue(PROJECT, Issue::new("The greeting ignores the name").body(&body).author("kim"));
    forge.label(PROJECT, Subject::Issue(issue), "agent");
    report("kim", &format!("labels issue #{issue} `agent`: The greeting ignores the name"));

    let (number, pull) = eventually_within(TIMEOUT, "the pull request", || forge.pull_requests_of(PROJECT).pop());
    report("kugetsu", &format!("opens pull request #{number}: {}", pull.issue.title));
    assert!(!build(forge, repository, &pull.sha), "the first commit forgets the comma");

    let second = await_head(forge, number, &pull.sha);
    report("kugetsu", &format!("pushes {}", subject(repository, &second)));
    assert!(build(forge, repository, &second), "the second commit repairs it");
    let remarks = [
        (("README.md", 3), "What does it print without a name? Please say so here.".to_owned()),
        (("greet.sh", 1), format!("And please greet the world then.\n\n{}", script(THIRD))),
    ];
    for ((path, line), text) in remarks {
        forge.review_thread(PROJECT, number, "kim", (path, Some(line)), &text);
        report("kim", &format!("reviews {path}, line {line}: {}", text.lines().next().unwrap()));
    }

    let third = await_head(forge, number, &second);
    report("kugetsu", &format!("pushes {}", subject(repository, &third)));
    assert!(build(forge, repository, &third), "the third commit passes, too");
    forge.approve(PROJECT, number, "kim");
    report("kim", &format!("approves pull request #{number}"));

    eventually_within(TIMEOUT, "the merge", || {
        (forge.pull_request_of(PROJECT, number).state == PrState::Merged).then_some(())
    });
    report("kugetsu", &format!("merges pull request #{number}: {}", subject(repository, "main")));
    let branch = format!("refs/heads/{}", pull.head);
    let is_gone = || !repository.try_git(["rev-parse", "--verify", "--quiet", &branch]).status.success();
    eventually_within(TIMEOUT, "the removal of the branch", || is_gone().then_some(()));
    report("kugetsu", &format!("deletes the branch {}", pull.head));
    eventually_within(TIMEOUT, "the end of the issue", || {
        forge.issue_of(PROJECT, Subject::Issue(issue)).closed.then_some(())
    });
    report("kugetsu", &format!("closes issue #{issue}"));
    let comment = eventually_within(TIMEOUT, "the last comment", || {
        let comments = forge.comments_of(PROJECT, Subject::Issue(issue));
        comments.into_iter().find(|comment| comment.body.contains("is merged"))
    });
    report("kugetsu", &format!("comments on issue #{issue}: {}", comment.body.lines().next().unwrap()));
}

fn script(steps: &str) -> String {
    format!("kugetsu-script: {}", steps.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn report(who: &str, what: &str) {
    println!("{who}\t{what}");
    std::io::stdout().flush().unwrap();
}

fn await_head(forge: &ForgeServer, number: u64, old: &str) -> String {
    let head = |pull: PullRequest| (pull.sha != old).then_some(pull.sha);
    eventually_within(TIMEOUT, "another head", || head(forge.pull_request_of(PROJECT, number)))
}

/// A commit's hash and the first line of its message.
fn subject(repository: &Repository, commit: &str) -> String {
    repository.git(["log", "-1", "--format=%h %s", commit]).trim().to_owned()
}

/// Runs the test of a commit, and reports its result with its log.
fn build(forge: &ForgeServer, repository: &Repository, commit: &str) -> bool {
    let directory = tempfile::tempdir().unwrap();
    for name in ["greet.sh", "test.sh"] {
        std::fs::write(directory.path().join(name), repository.git(["show", &format!("{commit}:{name}")])).unwrap();
    }
    let output = Command::new("sh").arg("test.sh").current_dir(directory.path()).output().unwrap();
    let (passed, mut log) = (output.status.success(), String::from_utf8(output.stdout).unwrap());
    let last = log.lines().last().unwrap_or_default().to_owned();
    let state = if passed { CheckState::Success } else { CheckState::Failure };
    if !passed {
        log.push_str(&format!("{}\n", script(SECOND)));
    }
    forge.set_check(PROJECT, commit, "test", state, Some(&log));
    let result = if passed { "test is green" } else { "test is red" };
    report("ci", &format!("{result} at {}: {last}", &commit[..7]));
    passed
}

/// Prints the requests of each kind, most frequent first.
fn count(forge: &ForgeServer, git: &GitServer) {
    let mut kinds: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for request in forge.requests() {
        let entry = kinds.entry(format!("{} {}", request.method, kind(&request.target))).or_default();
        entry.0 += 1;
        entry.1 += usize::from(request.status == Some(304));
    }
    for request in git.requests().iter().filter(|request| request.method == "POST") {
        let service = request.target.rsplit('/').next().unwrap_or_default();
        kinds
            .entry(service.replace("git-upload-pack", "git fetch").replace("git-receive-pack", "git push"))
            .or_default()
            .0 += 1;
    }
    let mut sorted: Vec<_> = kinds.into_iter().collect();
    sorted.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    for (kind, (count, unchanged)) in sorted {
        let note = if unchanged > 0 { format!(" ({unchanged} unchanged)") } else { String::new() };
        report("requests", &format!("{count:>5}  {kind}{note}"));
    }
}

/// The path of a request without numbers, hashes and names.
fn kind(target: &str) -> String {
    let path = target.split('?').next().unwrap_or_default();
    let path = path.strip_prefix("/api/v3").unwrap_or(path).replacen(&format!("/repos/{PROJECT}"), "", 1);
    let mut parts = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let is_hash = part.len() == 40 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        parts.push(match parts.last().copied() {
            _ if is_hash => "<commit>",
            _ if part.bytes().all(|byte| byte.is_ascii_digit()) => "<number>",
            Some("collaborators") => "<user>",
            Some("labels") => "<label>",
            Some("heads") => {
                parts.push("<branch>");
                break;
            }
            _ => part,
        });
    }
    if parts.is_empty() { "the repository".to_owned() } else { parts.join("/") }
}
