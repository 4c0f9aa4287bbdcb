//! Whatever is typed: no panic, no secret in an error, and what was understood reads back the same.

use std::sync::LazyLock;

use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};
use kugetsu_forge::address::{Address, CurrentRepo, Target};
use kugetsu_forge::clone_url::CloneUrl;
use kugetsu_forge::known::KnownServer;
use kugetsu_forge::local::{is_path_like, local_name};
use kugetsu_forge::parser::parse;
use kugetsu_forge::servers::ServerAddress;
use proptest::prelude::*;

use crate::vectors;

/// Pieces that mean something to the parser.
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

fn contexts() -> Vec<Option<CurrentRepo>> {
    let context = |kind, base: &str, project: &str| {
        let (base, project) = (ServerBase::new(base).unwrap(), ProjectPath::new(project).unwrap());
        Some(CurrentRepo { kind, base, project })
    };
    vec![
        None,
        context(Some(ForgeKind::GitHub), "https://github.com", "acme/api"),
        context(Some(ForgeKind::GitLab), "https://gl.example.com:8443/gitlab", "group/sub/proj"),
        context(Some(ForgeKind::Forgejo), "https://elsewhere.example/forge", "acme/api"),
        context(None, "http://nowhere.example", "acme/api"),
        context(None, "https://elsewhere.example/sub", "a/b/c"),
        context(Some(ForgeKind::Local), "local", "demo"),
    ]
}

fn check(input: &str, context: Option<&CurrentRepo>) {
    match parse(input, &SERVERS, context) {
        Ok(address) => {
            let written = address.to_string();
            let mut back = parse(&written, &SERVERS, context);
            if let (Target::Repo, Ok(back)) = (address.target, &mut back) {
                // What serves a repository may have been told by an API's address; its page's does not tell.
                back.kind = back.kind.or(address.kind);
            }
            assert_eq!(back, Ok(Address { credentials_dropped: false, ..address }), "{input:?} -> {written:?}");
        }
        Err(error) => assert!(error.to_string().contains("owner/repo#12")),
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
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_address_reads_back_the_same(input in input(), context in prop::sample::select(contexts())) {
        check(&input, context.as_ref());
    }

    #[test]
    fn no_reader_panics_and_no_secret_is_kept(input in input()) {
        let bare = parse(&input, &SERVERS, None);
        let said = match &bare {
            Ok(address) => format!("{address} {address:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        let clone_url = CloneUrl::read(&input);
        let server = ServerAddress::read(&input);
        // The piece stands for a password only where an address begins with it, behind the scheme or without one.
        let begins = input.split_once("://").map_or(input.as_str(), |(_, rest)| rest).starts_with("user:SECRET@");
        if begins && !is_path_like(&input) && input.matches("SECRET").count() == 1 {
            let all = format!("{said} {clone_url:?} {server:?}");
            prop_assert!(!all.contains("SECRET"), "{}: {}", input, all);
        }
    }

    #[test]
    fn every_directory_gets_a_name_that_reads_back(directory in "/(\\PC{0,80}/)?\\PC{0,80}(\\.git){0,2}") {
        let name = local_name(directory.as_ref(), &[]).unwrap();
        let read = parse(&format!("local/{name}#1"), &[], None).unwrap();
        prop_assert_eq!(read.project, name);
    }
}
