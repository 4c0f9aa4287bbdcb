//! Any input: no panic, no secret in an error, and a parsed address survives being printed and parsed again.

use std::sync::LazyLock;

use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};
use kugetsu_forge::references::address::{Address, CurrentRepo, Target};
use kugetsu_forge::references::clone_url::CloneUrl;
use kugetsu_forge::references::local::{is_path_like, local_name};
use kugetsu_forge::references::parser::parse;
use kugetsu_forge::references::server_index::KnownServer;
use kugetsu_forge::servers::ServerAddress;
use proptest::prelude::*;

use crate::vectors;

/// Pieces with a meaning for the parser.
const PIECES: [&str; 48] = [
    "https://",
    "http://",
    "ssh://",
    "git://",
    "git@",
    "user:SECRET@",
    "github.com",
    "gitlab.com",
    "127.0.0.1:3000",
    "code.example.org",
    "nokind.example",
    "unknown.example.net",
    "www.",
    "api.github.com",
    ":443",
    ":80",
    ":8443",
    "/",
    "/",
    "/",
    "/",
    "acme",
    "api",
    "git",
    "gitlab",
    "sub",
    "issues",
    "pull",
    "pulls",
    "merge_requests",
    "work_items",
    "/-/",
    "/api/v1/repos/",
    "/api/v3/repos/",
    "/api/v4/projects/",
    "%2F",
    "%2e",
    ".git",
    "#",
    "!",
    "12",
    "3",
    "?x=1",
    "#issuecomment-7",
    "#note_8",
    "[::1]",
    "local/",
    ":",
];

static SERVERS: LazyLock<Vec<KnownServer>> = LazyLock::new(|| {
    let mut servers = vectors::servers(&vectors::table());
    for base in ["https://nokind.example", "http://nokind.example:81/acme", "https://www.WWW.example:443"] {
        servers.push(KnownServer { kind: None, base: ServerBase::new(base).unwrap() });
    }
    servers
});

fn current_repos() -> Vec<Option<CurrentRepo>> {
    let current = |kind, base: &str, project: &str| {
        let (base, project) = (ServerBase::new(base).unwrap(), ProjectPath::new(project).unwrap());
        Some(CurrentRepo { kind, base, project })
    };
    vec![
        None,
        current(Some(ForgeKind::GitHub), "https://github.com", "acme/api"),
        current(Some(ForgeKind::GitLab), "https://gl.example.com:8443/gitlab", "group/sub/proj"),
        current(Some(ForgeKind::Forgejo), "https://elsewhere.example/forge", "acme/api"),
        current(None, "http://nowhere.example", "acme/api"),
        current(None, "https://elsewhere.example/sub", "a/b/c"),
        current(Some(ForgeKind::Local), "local", "demo"),
    ]
}

fn check(input: &str, current: Option<&CurrentRepo>) {
    match parse(input, &SERVERS, current) {
        Ok(address) => {
            let written = address.to_string();
            let mut back = parse(&written, &SERVERS, current);
            if let (Target::Repo, Ok(back)) = (address.target, &mut back) {
                // The address of an API shows the kind of a repository's server; that of its page does not.
                back.kind = back.kind.or(address.kind);
            }
            assert_eq!(back, Ok(Address { credentials_dropped: false, ..address }), "{input:?} -> {written:?}");
        }
        Err(error) => assert!(error.hint().is_some(), "{error}"),
    }
}

fn input() -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..12).prop_map(|parts| parts.concat());
    let table: Vec<String> = vectors::table()["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|vector| vector["input"].as_str().unwrap().to_owned())
        .collect();
    let mutated =
        (prop::sample::select(table), any::<prop::sample::Index>(), 0..4_usize, prop::sample::select(PIECES.to_vec()))
            .prop_map(|(input, at, cut, piece)| {
                let chars: Vec<char> = input.chars().collect();
                let at = at.index(chars.len() + 1);
                let end = (at + cut).min(chars.len());
                chars[..at].iter().collect::<String>() + piece + &chars[end..].iter().collect::<String>()
            });
    prop_oneof![
        2 => ".{0,40}",
        2 => "[a-z.:/@#!?%\\[\\]0-9-]{0,40}",
        8 => pieces,
        8 => mutated,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn every_address_survives_printing_and_parsing(input in input(), current in prop::sample::select(current_repos())) {
        check(&input, current.as_ref());
    }

    #[test]
    fn no_parser_panics_or_keeps_a_secret(input in input()) {
        let bare = parse(&input, &SERVERS, None);
        let shown = match &bare {
            Ok(address) => format!("{address} {address:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        let clone_url = CloneUrl::parse(&input);
        let server = ServerAddress::parse(&input);
        // The piece is a password only at the beginning of an address, with or without a scheme.
        let has_password = input.split_once("://").map_or(input.as_str(), |(_, rest)| rest).starts_with("user:SECRET@");
        if has_password && !is_path_like(&input) && input.matches("SECRET").count() == 1 {
            let all = format!("{shown} {clone_url:?} {server:?}");
            prop_assert!(!all.contains("SECRET"), "{}: {}", input, all);
        }
    }

    #[test]
    fn every_directory_gets_a_name_that_can_be_parsed(directory in "/(\\PC{0,80}/)?\\PC{0,80}(\\.git){0,2}") {
        let name = local_name(directory.as_ref(), &[]).unwrap();
        let address = parse(&format!("local/{name}#1"), &[], None).unwrap();
        prop_assert_eq!(address.project, name);
    }
}
