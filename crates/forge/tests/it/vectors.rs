//! The table of addresses: every form of every kind of forge, and inputs that must be refused.

use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};
use kugetsu_forge::references::address::{Address, CurrentRepo, Target};
use kugetsu_forge::references::local::is_path_like;
use kugetsu_forge::references::parser::parse;
use kugetsu_forge::references::server_index::KnownServer;
use serde_json::{Value, json};

/// The table as JSON.
pub(crate) fn table() -> Value {
    serde_json::from_str(include_str!("../data/url_vectors.json")).unwrap()
}

pub(crate) fn servers(table: &Value) -> Vec<KnownServer> {
    let server = |server: &Value| KnownServer { kind: kind(server), base: base(server) };
    table["servers"].as_array().unwrap().iter().map(server).collect()
}

pub(crate) fn current_repo(vector: &Value) -> Option<CurrentRepo> {
    let context = vector.get("context").filter(|context| !context.is_null())?;
    let project = ProjectPath::new(context["project"].as_str().unwrap()).unwrap();
    Some(CurrentRepo { kind: kind(context), base: base(context), project })
}

fn kind(value: &Value) -> Option<ForgeKind> {
    value["kind"].as_str().map(|name| ForgeKind::from_name(name).unwrap())
}

fn base(value: &Value) -> ServerBase {
    ServerBase::new(value["base"].as_str().unwrap()).unwrap()
}

/// An address as the table describes it.
fn described(address: &Address) -> Value {
    let (what, number) = match address.target {
        Target::Issue(number) => ("issue", Some(number)),
        Target::PullRequest(number) => ("pr", Some(number)),
        Target::Repo => ("repo", None),
    };
    json!({
        "kind": address.kind.map(ForgeKind::name),
        "base": address.base.as_ref().map(ServerBase::as_str),
        "project": address.project.as_str(),
        "type": what,
        "number": number,
        "comment": address.comment,
        "ssh_host": address.ssh.as_ref().map(|ssh| ssh.host.clone()),
        "ssh_port": address.ssh.as_ref().and_then(|ssh| ssh.port),
    })
}

#[test]
fn every_address_of_the_table_is_parsed_as_described() {
    let table = table();
    let servers = servers(&table);
    let vectors = table["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 80);
    let mut failures = Vec::new();
    for vector in vectors {
        let input = vector["input"].as_str().unwrap();
        let parsed = parse(input, &servers, current_repo(vector).as_ref());
        let expected = vector["parsed"].as_object();
        match (&parsed, expected) {
            (Err(_), None) => {}
            (Ok(address), Some(expected)) => {
                let mut required = described(address);
                for key in ["kind", "base", "project", "type", "number", "comment", "ssh_host", "ssh_port"] {
                    required[key] = expected.get(key).cloned().unwrap_or(Value::Null);
                }
                if described(address) != required {
                    failures.push(format!("{input}: {} instead of {required}", described(address)));
                }
                let secret = input.contains("SECRET");
                if address.credentials_dropped != (secret || input.contains('?'))
                    || format!("{address:?}").contains("SECRET")
                {
                    failures.push(format!("{input}: credentials are not dropped, or not reported"));
                }
            }
            (parsed, expected) => failures.push(format!("{input}: {parsed:?} instead of {expected:?}")),
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), vectors.len(), failures.join("\n"));
}

#[test]
fn a_path_is_not_parsed_as_an_address() {
    assert!(is_path_like("/srv/git/acme/api.git"));
    let error = parse("/srv/git/acme/api.git", &[], None).unwrap_err().to_string();
    assert!(error.contains("path on this machine"), "{error}");
}

#[test]
fn the_printed_short_form_can_be_parsed() {
    let servers = servers(&table());
    for (input, printed) in [
        ("https://github.com/acme/api/issues/12", "github.com/acme/api#12"),
        ("http://127.0.0.1:3000/shoko/kugetsu/issues/142", "127.0.0.1:3000/shoko/kugetsu#142"),
        ("https://code.example.org/git/acme/api/issues/7", "code.example.org/git/acme/api#7"),
        ("https://gl.example.com:8443/gitlab/a/b/c/d/-/issues/9", "gl.example.com:8443/gitlab/a/b/c/d#9"),
        ("https://unknown.example.net/forge/acme/api/issues/5", "unknown.example.net/forge/acme/api#5"),
        ("local/demo#1", "local/demo#1"),
    ] {
        let address = parse(input, &servers, None).unwrap();
        let short = address.issue().unwrap().to_string();
        assert_eq!(short, printed);
        assert_eq!(parse(&short, &servers, None).unwrap(), address, "{input}");
    }
}

#[test]
fn only_public_servers_are_known_without_configuration() {
    let kind = |input: &str| parse(input, &[], None).unwrap().kind;
    assert_eq!(kind("https://codeberg.org/a/b/issues/1"), Some(ForgeKind::Forgejo));
    assert_eq!(kind("gitlab.com/group/sub/proj#3"), Some(ForgeKind::GitLab));
    assert_eq!(kind("git@ssh.github.com:a/b.git"), Some(ForgeKind::GitHub));
    assert_eq!(kind("https://git.example.co/a/b/issues/1"), None);
}

#[test]
fn a_local_repository_completes_a_number_alone() {
    let local = CurrentRepo {
        kind: Some(ForgeKind::Local),
        base: ServerBase::local(),
        project: ProjectPath::new("demo").unwrap(),
    };
    let issue = parse("#3", &[], Some(&local)).unwrap().issue().unwrap();
    assert_eq!(issue.to_string(), "local/demo#3");
    assert_eq!(parse("acme/api#3", &[], Some(&local)).unwrap().base, None);
    assert!(parse("!3", &[], Some(&local)).is_err());
}

#[test]
fn invalid_addresses_are_refused_with_a_reason() {
    let servers = servers(&table());
    for (input, reason) in [
        ("", "empty"),
        ("#12", "only inside a clone"),
        ("acme#12", "does not contain a project"),
        ("acme/api#", "issue number is missing"),
        ("acme/api#0", "not an issue number"),
        ("acme/api#99999999999999999999", "not an issue number"),
        ("https://github.com/acme/api/issues/abc", "\"abc\" is not an issue number"),
        ("https://github.com/acme/api/issues", "missing"),
        ("https://github.com/acme/api/tree/main", "not the page of"),
        ("https://github.com/acme/api/merge_requests/3", "not the page of"),
        ("https://unknown.example.net/a/b/c", "kugetsu server add"),
        ("https://unknown.example.net/a/b/issues/abc", "\"abc\" is not an issue number"),
        ("https://gitlab.com/api/v4/projects/42/issues/1", "by an id"),
        ("acme/api!3 x", "space"),
        ("https://github.com/%2e%2e/api/issues/1", "`.` or `..`"),
        ("https://github.com/a%2Fb/c/issues/1", "percent-encoding"),
        ("https://github.com/a%ff/c/issues/1", "percent-encoding"),
        ("ftp://github.com/acme/api", "scheme"),
        ("-oProxyCommand=id:acme/api", "host"),
        ("ext::acme/api", "scheme"),
        ("local/a/b#1", "local/<name>"),
        ("https://bücher.example/a/b/issues/1", "xn--"),
        ("https://user:SECRET/x@github.com/acme/api/issues/1", "port"),
    ] {
        let error = parse(input, &servers, None).unwrap_err();
        let error = format!("{error} {}", error.hint().unwrap());
        assert!(error.contains(reason), "{input}: {error}");
        assert!(!error.contains("SECRET"), "{error}");
    }
}
