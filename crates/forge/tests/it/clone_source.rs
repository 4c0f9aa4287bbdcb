//! Where repositories are cloned from: `repos.json`, the server of the address, the default server, github.com.

use kugetsu_domain::reference::{ForgeKind, ServerBase};
use kugetsu_forge::clone_source::{CloneSource, CloneSourceError, clone_source};
use kugetsu_forge::references::parser::parse;
use kugetsu_forge::repositories::Repositories;
use kugetsu_forge::servers::{Server, Servers};

fn servers(default: Option<&str>) -> Servers {
    let server = |name: &str, base: &str, kind| Server {
        name: name.to_owned(),
        base: ServerBase::new(base).unwrap(),
        kind,
        api_url: None,
        token_env: None,
    };
    let list = vec![
        server("home", "http://127.0.0.1:3000", Some(ForgeKind::Gitea)),
        server("work", "https://code.example.org/git", Some(ForgeKind::GitLab)),
        server("new", "https://new.example.org", None),
    ];
    Servers::new(list, default).unwrap()
}

fn find(input: &str, repos: &str, servers: &Servers) -> Result<CloneSource, CloneSourceError> {
    let (repositories, errors) = Repositories::parse(repos, &servers.known()).unwrap();
    assert_eq!(errors, []);
    clone_source(&parse(input, &servers.known(), None).unwrap(), &repositories, servers)
}

#[track_caller]
fn check(input: &str, repos: &str, default: Option<&str>, expected: (&str, Option<ForgeKind>, &str)) {
    let found = find(input, repos, &servers(default)).unwrap();
    let actual = (found.repo.to_string(), found.kind, found.clone_url.to_string());
    assert_eq!((actual.0.as_str(), actual.1, actual.2.as_str()), expected, "{input}");
}

#[test]
fn a_bare_address_is_on_the_default_server_or_on_github() {
    let (gitea, github) = (Some(ForgeKind::Gitea), Some(ForgeKind::GitHub));
    check("a/b#1", "", Some("home"), ("127.0.0.1:3000/a/b", gitea, "http://127.0.0.1:3000/a/b.git"));
    check("a/b#1", "", Some("new"), ("new.example.org/a/b", None, "https://new.example.org/a/b.git"));
    check("a/b#1", "", None, ("github.com/a/b", github, "https://github.com/a/b.git"));
    check(
        "a/b/c#1",
        "",
        Some("work"),
        ("code.example.org/git/a/b/c", Some(ForgeKind::GitLab), "https://code.example.org/git/a/b/c.git"),
    );
}

#[test]
fn an_address_with_a_host_stays_on_it() {
    let unknown = ("git.example.co/a/b", None, "https://git.example.co/a/b.git");
    check("git.example.co/a/b#1", "", Some("home"), unknown);
    let home = ("127.0.0.1:3000/a/b", Some(ForgeKind::Gitea), "http://127.0.0.1:3000/a/b.git");
    check("127.0.0.1:3000/a/b#1", "", Some("work"), home);
}

#[test]
fn repos_json_comes_first_and_an_entry_with_a_host_wins() {
    let repos =
        r#"{"a/b": "git@alias:a/b.git", "git.example.co/a/b": "https://mirror.example/b.git", "x/y": "/srv/y"}"#;
    check("a/b#1", repos, Some("new"), ("new.example.org/a/b", None, "git@alias:a/b.git"));
    check("git.example.co/a/b#1", repos, None, ("git.example.co/a/b", None, "https://mirror.example/b.git"));
    check("x/y#1", repos, None, ("github.com/x/y", Some(ForgeKind::GitHub), "/srv/y"));
}

#[test]
fn a_bare_address_is_on_the_server_that_its_entry_clones_from() {
    let repos = r#"{"a/b": "http://127.0.0.1:3000/a/b.git", "local/demo": "/srv/demo"}"#;
    let home = ("127.0.0.1:3000/a/b", Some(ForgeKind::Gitea), "http://127.0.0.1:3000/a/b.git");
    check("a/b#1", repos, Some("new"), home);
    check("local/demo#1", repos, None, ("local/demo", Some(ForgeKind::Local), "/srv/demo"));
}

#[test]
fn an_ssh_address_is_cloned_over_ssh() {
    let github = Some(ForgeKind::GitHub);
    check("git@github.com:a/b.git", "", None, ("github.com/a/b", github, "git@github.com:a/b.git"));
    let repos = r#"{"a/b": "https://git.example.co/a/b.git"}"#;
    check("alias:a/b", repos, Some("home"), ("git.example.co/a/b", None, "https://git.example.co/a/b.git"));
}

#[test]
fn a_hint_explains_what_to_write_if_no_source_is_found() {
    let servers = servers(Some("home"));
    for (input, hint) in [
        ("git@git.example.co:a/b.git", "https://git.example.co"),
        ("a/b/c!3", "write the host before"),
        ("local/demo#1", "kugetsu start ."),
    ] {
        let error = find(input, "", &servers).unwrap_err();
        assert!(error.hint().unwrap().contains(hint), "{input}: {error}");
    }
}

#[test]
fn without_a_default_server_a_bare_address_is_on_github() {
    let found = find("a/b#1", "", &Servers::default()).unwrap();
    assert_eq!(found.clone_url.as_str(), "https://github.com/a/b.git");
}

#[test]
fn credentials_are_dropped_from_the_clone_url_and_reported() {
    let repos = r#"{"a/b": "https://bot:SECRET@git.example.co/a/b.git"}"#;
    let found = find("a/b#1", repos, &Servers::default()).unwrap();
    assert!(found.clone_url.credentials_dropped());
    assert!(!format!("{found:?}").contains("SECRET"));
    let servers = servers(None);
    let address = parse("https://bot:SECRET@git.example.co/a/b/issues/1", &servers.known(), None).unwrap();
    assert!(address.credentials_dropped);
    let found = clone_source(&address, &Repositories::default(), &servers).unwrap();
    assert_eq!(found.clone_url.as_str(), "https://git.example.co/a/b.git");
}
