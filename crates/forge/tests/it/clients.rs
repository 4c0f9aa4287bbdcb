//! Clients of forges that other people wrote, against the testkit's servers: the same servers that our client is tested with
//! have to answer them as they expect. The drivers in the tests' data print what each client got.

use std::path::Path;
use std::process::Command;

use kugetsu_testkit::ForgeServer;
use kugetsu_testkit::forge_server::check::CheckState;
use kugetsu_testkit::forge_server::permission::Permission;
use kugetsu_testkit::peer::program::program;

/// The head of pull requests of projects without a repository.
const HEAD: &str = "6dcb09b5b57875f334f61aebed695e2e4193db5e";
const ROBOT: &str = "token-of-robot";
const KIM: &str = "token-of-kim";

/// A project with two labels, two users, and a passed and a failed check at the head.
fn prepared(forge: ForgeServer) -> ForgeServer {
    for (token, login) in [(ROBOT, "robot"), (KIM, "kim")] {
        forge.token(token, login);
        forge.set_permission("acme/api", login, Permission::Admin);
    }
    forge.create_label("acme/api", "agent");
    forge.create_label("acme/api", "bug");
    forge.set_check("acme/api", HEAD, "lint", CheckState::Success, None);
    forge.set_check("acme/api", HEAD, "test", CheckState::Failure, Some("error: it broke\n"));
    forge
}

/// Runs a driver with the arguments and both tokens, and compares what it prints.
fn drive(interpreter: &Path, driver: &str, args: &[&str], expected: &str) {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(interpreter);
    command.arg(format!("{}/tests/data/clients/{driver}", env!("CARGO_MANIFEST_DIR"))).args(args);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let output = command.args([ROBOT, KIM]).env_clear().env("PATH", path).env("HOME", home.path()).output().unwrap();
    let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(printed.trim(), expected.trim(), "{driver} {args:?}: {} {errors}", output.status);
    assert!(output.status.success(), "{errors}");
}

#[test]
fn needs_gh_github_serves_its_own_client() {
    let Some(gh) = program("KUGETSU_GH") else { return };
    assert!(gh.ends_with("gh"), "the driver runs the gh on PATH");
    let forge = prepared(ForgeServer::github());
    let expected = r#"
user robot
project acme/api main true
permission admin admin
issue It is slow Very. open kim ["agent"]
labeled It is slow
labeled It is slower
comment robot Done.
labels ["urgent"]
HTTP 422
found Make it quick open quick main
pull request Quicker false true ["kim"]
review kim CHANGES_REQUESTED Please say more.
remark a.txt 1 kim Why?
statuses success ["lint success"]
check run test completed failure
log error: it broke
HTTP 409
merge true
merged true closed
closed closed
hook true https://kugetsu.example.org/hooks/1 ["issues"]
"#;
    drive(Path::new("sh"), "with_gh.sh", &[&forge.api_url()], expected);
}

#[test]
fn needs_clients_github_serves_pygithub() {
    let Some(python) = program("KUGETSU_CLIENTS") else { return };
    let forge = prepared(ForgeServer::github());
    let expected = "
user robot
project acme/api main True True False
permission admin
issue It is slow Very. open robot ['agent']
labeled ['It is slow']
comments [('robot', 'Done.')]
labels ['urgent']
assignees ['kim']
pull request Make it quick open False True quick main robot
found [True]
refused 422 A pull request already exists for acme:quick.
requested ['kim']
reviews [('kim', 'CHANGES_REQUESTED', 'Please say more.')]
threads [('a.txt', 1, 'kim', 'Why?')]
statuses success [('lint', 'success')]
check runs [('test', 'completed', 'failure', 'github-actions')]
moved 409 Head branch was modified. Review and try the merge again.
merge True
merged True closed
closed closed
hooks [(True, True, 'https://kugetsu.example.org/hooks/1', ['issues'])]
";
    drive(&python, "with_pygithub.py", &[&forge.api_url()], expected);
}

#[test]
fn needs_clients_gitlab_serves_python_gitlab() {
    let Some(python) = program("KUGETSU_CLIENTS") else { return };
    let forge = prepared(ForgeServer::gitlab());
    let expected = "
user robot
project acme/api main False merge
issue It is slow Very. opened robot ['agent']
labeled ['It is slow']
notes [('robot', 'Done.')]
labels ['urgent']
assignees ['kim']
merge request Draft: Make it quick opened True quick main
found [True]
refused 409 ['Another open merge request already exists for this source branch: !1']
ready False
threads [('a.txt', 1, 'kim', 'Why?', False)]
approvals ['kim']
statuses [('lint', 'success'), ('test', 'failed')]
log error: it broke
moved 409 SHA does not match HEAD of source branch
merged merged
closed closed
hooks [(True, 'https://kugetsu.example.org/hooks/1', True)]
";
    drive(&python, "with_python_gitlab.py", &[&forge.base_url()], expected);
}

#[test]
fn needs_clients_gitea_and_forgejo_serve_pyforgejo() {
    let Some(python) = program("KUGETSU_CLIENTS") else { return };
    let expected = "
user robot
project acme/api main True False
permission admin
issue It is slow Very. open robot ['urgent']
labeled ['It is slow']
comments [('robot', 'Done.')]
labels ['bug']
assignees ['kim']
pull request WIP: Make it quick open True False quick main robot
found ['quick']
refused 409
ready False
reviews [('kim', 'REQUEST_CHANGES', 'Please say more.', False), ('kim', 'APPROVED', '', False)]
remarks [('a.txt', 1, 'kim', 'Why?')]
statuses failure [('lint', 'success'), ('test', 'failure')]
moved 409 head out of date
merged True closed True
closed closed
hooks [(True, True, 'https://kugetsu.example.org/hooks/1', ['issues'])]
";
    let forges = [ForgeServer::gitea(), ForgeServer::forgejo()].map(prepared);
    let [gitea, forgejo] = forges.each_ref().map(ForgeServer::base_url);
    drive(&python, "with_pyforgejo.py", &[&gitea, &forgejo], &format!("{}\n{}", expected.trim(), expected.trim()));
}

#[test]
fn needs_clients_every_kind_serves_livery() {
    let Some(python) = program("KUGETSU_CLIENTS") else { return };
    // GitLab's combined status has the jobs only, and GitHub refuses a second pull request with another status.
    for (forge, kind, checks, refused) in [
        (ForgeServer::github(), "github", "failure 2", 422),
        (ForgeServer::gitea(), "gitea", "failure 2", 409),
        (ForgeServer::forgejo(), "gitea", "failure 2", 409),
        (ForgeServer::gitlab(), "gitlab", "failure 1", 409),
    ] {
        let forge = prepared(forge);
        let expected = format!(
            "user robot
project acme api main False
issue It is slow Very. open ('agent',)
comments [('robot', 'I look.')]
labeled ['It is very slow']
pull request Make it quick open False quick main robot
found True
edited Fixes all. ('bug',)
reviews []
checks {checks}
refused {refused}
merged closed True True
closed closed []
"
        );
        drive(&python, "with_livery.py", &[kind, &forge.base_url()], &expected);
    }
}
