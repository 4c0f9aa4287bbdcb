//! The git server with the real git as its client.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use kugetsu_testkit::{GitServer, Home, Repository};

const PROJECT: &str = "owner/repo";

fn server_with_project() -> GitServer {
    let server = GitServer::start("s3cret");
    server.add_repository_from(PROJECT, &Repository::with_commit());
    server
}

fn clone(home: &Home, url: &str, name: &str) -> Output {
    home.run(home.command("git").args(["clone", "--quiet", url, name]))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn git_clones_and_pushes_with_the_token() {
    let (home, server) = (Home::new(), server_with_project());
    assert!(clone(&home, &server.url_with_token(PROJECT), "copy").status.success());
    let copy = Repository::open(home.user().join("copy"));
    copy.switch("side");
    copy.commit_files("Pushed", &[("a.txt", "a\n")]);
    copy.git(["push", "--quiet", "origin", "side"]);
    assert_eq!(server.repository(PROJECT).log("side"), ["Pushed", "First commit"]);
    let requests = server.requests();
    assert_eq!(requests.iter().filter(|request| request.is_push()).count(), 1);
    assert!(requests.iter().any(|request| request.is_fetch() && request.status == Some(200)));
}

#[test]
fn token_in_a_header_is_accepted() {
    let (home, server) = (Home::new(), server_with_project());
    let header = "http.extraHeader=Authorization: token s3cret";
    let mut command = home.command("git");
    command.args(["-c", header, "clone", "--quiet", &server.url(PROJECT), "copy"]);
    assert!(home.run(&mut command).status.success());
}

#[test]
fn requests_without_the_token_are_refused() {
    let (home, server) = (Home::new(), server_with_project());
    let output = clone(&home, &server.url(PROJECT), "copy");
    assert!(!output.status.success());
    assert!(!Path::new(&home.user().join("copy/README.md")).exists());
    assert!(server.requests().iter().all(|request| !request.authorized && request.status == Some(401)));
    server.set_token("another");
    let wrong = server.url_with_token(PROJECT).replace("another", "s3cret");
    assert!(stderr(&clone(&home, &wrong, "copy")).contains("Authentication failed"));
}

#[test]
fn push_can_be_refused() {
    let (home, server) = (Home::new(), server_with_project());
    assert!(clone(&home, &server.url_with_token(PROJECT), "copy").status.success());
    let copy = Repository::open(home.user().join("copy"));
    copy.commit("More");
    server.fail_next(1, 403);
    let output = copy.try_git(["push", "origin", "main"]);
    assert!(stderr(&output).contains("403"), "{}", stderr(&output));
    copy.git(["push", "--quiet", "origin", "main"]);
}

#[test]
fn transfer_can_be_cut() {
    let (home, server) = (Home::new(), server_with_project());
    server.drop_next(10);
    assert!(!clone(&home, &server.url_with_token(PROJECT), "copy").status.success());
}

#[test]
fn answers_can_hang_and_be_slow() {
    let (home, server) = (Home::new(), server_with_project());
    server.hang_next(1);
    let mut command = home.command("git");
    // git gives up after a second without data.
    command.args(["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=1"]);
    command.args(["clone", "--quiet", &server.url_with_token(PROJECT), "copy"]);
    let output = home.run(&mut command);
    assert!(stderr(&output).contains("too slow"), "{}", stderr(&output));
    assert_eq!(server.requests()[0].status, None);
    server.set_delay(Duration::from_millis(1));
    assert!(clone(&home, &server.url_with_token(PROJECT), "again").status.success());
}

#[test]
fn empty_repositories_and_other_default_branches_are_server_with_project() {
    let home = Home::new();
    let server = GitServer::start("s3cret");
    server.add_repository("owner/empty");
    assert!(clone(&home, &server.url_with_token("owner/empty"), "empty").status.success());
    let source = Repository::with_default_branch("trunk");
    source.commit("First");
    server.add_repository_from("group/sub/other", &source);
    assert!(clone(&home, &server.url_with_token("group/sub/other"), "other").status.success());
    assert_eq!(Repository::open(home.user().join("other")).current_branch(), "trunk");
}

#[test]
fn unknown_projects_are_not_found() {
    let (home, server) = (Home::new(), server_with_project());
    assert!(stderr(&clone(&home, &server.url_with_token("owner/none"), "copy")).contains("not found"));
}
