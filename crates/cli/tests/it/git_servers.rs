//! `server`: adding, detecting, choosing and removing servers, and their tokens.

use kugetsu_testkit::{ForgeServer, GitServer, Repository};

use crate::world::{World, ended, script, shown};

/// Nothing listens on this port.
const UNREACHABLE: &str = "http://127.0.0.1:9";

#[track_caller]
fn fails(world: &World, args: &[&str], code: i32, parts: &[&str]) -> String {
    let output = world.attempt(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", shown(&output));
    let text = shown(&output);
    for part in parts {
        assert!(text.contains(part), "{args:?}: {part}: {text}");
    }
    text
}

fn config(world: &World) -> String {
    std::fs::read_to_string(world.home.kugetsu().join("config.toml")).unwrap_or_default()
}

#[test]
fn server_add_detects_the_kind_without_sending_a_token() {
    let world = World::bare();
    let all = [
        ("github", ForgeServer::github()),
        ("gitea", ForgeServer::gitea()),
        ("forgejo", ForgeServer::forgejo()),
        ("gitlab", ForgeServer::gitlab()),
    ];
    for name in ["GITHUB_TOKEN", "GITEA_TOKEN", "GITLAB_TOKEN"] {
        world.run(["env", "set", name, "not-to-be-sent-123"]);
    }
    for (kind, server) in &all {
        // The URL of the API is accepted as well.
        world.run(["server", "add", kind, &format!("{}/", server.api_url())]);
        let listed = world.json(["server", "list", "--json"]);
        let found = listed.as_array().unwrap().iter().find(|one| one["name"] == *kind).unwrap().clone();
        assert_eq!((&found["kind"], &found["url"]), (&(*kind).into(), &server.base_url().into()), "{found}");
        assert_eq!(found["api_url"], server.api_url());
        assert!(!server.requests().is_empty());
        for request in server.requests() {
            assert!(!format!("{request:?}").contains("not-to-be-sent"), "{request:?}");
        }
    }
    assert!(!config(&world).contains("\napi_url"), "the usual URL is not written: {}", config(&world));
}

#[test]
fn server_add_contacts_the_server_only_without_a_kind() {
    let world = World::bare();
    fails(&world, &["server", "add", "work", UNREACHABLE], 1, &["cannot reach", "--kind"]);
    assert!(!config(&world).contains("servers.work]\nurl"));
    let stdout = world.run(["server", "add", "work", UNREACHABLE, "--kind", "gitea"]);
    assert!(stdout.contains("GITEA_TOKEN"), "{stdout}");
    assert_eq!(world.run(["server", "get", "work"]), format!("{UNREACHABLE}\n"), "the address alone");
    // Adding it again changes only the given fields.
    world.run(["server", "add", "work", UNREACHABLE, "--token-env", "WORK_TOKEN"]);
    assert!(config(&world).contains("kind = \"gitea\"\ntoken_env = \"WORK_TOKEN\""), "{}", config(&world));
    let other = world.attempt(["server", "add", "again", UNREACHABLE, "--kind", "gitea"]);
    assert_eq!(other.status.code(), Some(0), "{}", shown(&other));
    assert!(shown(&other).contains("warning: ") && shown(&other).contains("work"), "{}", shown(&other));
}

#[test]
fn server_add_rejects_invalid_entries_and_prints_no_secret() {
    let world = World::bare();
    world.run(["server", "add", "work", UNREACHABLE, "--kind", "gitea"]);
    let before = config(&world);
    let url = "https://git.example.com";
    for (args, part) in [
        (vec!["work", url, "--kind", "gitea"], "config set servers.work.url"),
        (vec!["github.com", url, "--kind", "gitea"], "built in"),
        (vec!["a/b", url, "--kind", "gitea"], "invalid server name"),
        (vec!["local", url, "--kind", "gitea"], "invalid server name"),
        (vec!["--kind", "gitea", "--", "-x", url], "invalid server name"),
        (vec!["x", url, "--kind", "svn"], "forgejo"),
        (vec!["x", url, "--kind", "local"], "forgejo"),
        (vec!["x", "https://bot:topsecret@git.example.com", "--kind", "gitea"], "env set"),
        (vec!["x", "https://git.example.com/?token=topsecret", "--kind", "gitea"], "env set"),
        (vec!["x", "ssh://git.example.com", "--kind", "gitea"], "https://git.example.com"),
        (vec!["x", url, "--kind", "gitea", "--api-url", "https://topsecret@git.example.com/api"], "user"),
        (vec!["x", url, "--kind", "gitea", "--token-env", "topsecret123"], "WORK_TOKEN"),
        (vec!["x", url, "--kind", "gitea", "--token-env", "MY_WORD"], "TOKEN"),
    ] {
        let all: Vec<&str> = ["server", "add"].into_iter().chain(args).collect();
        let text = fails(&world, &all, 2, &[part]);
        assert!(!text.contains("topsecret"), "{text}");
    }
    assert_eq!(config(&world), before);
}

#[test]
fn server_list_shows_sources_and_no_tokens() {
    let world = World::bare();
    std::fs::create_dir_all(world.home.kugetsu()).unwrap();
    let old = "GIT_SERVERS=(old=https://old.example.com)\nDEFAULT_GIT_SERVER=old\n";
    std::fs::write(world.home.kugetsu().join("config"), old).unwrap();
    world.run(["server", "add", "work", UNREACHABLE, "--kind", "gitea", "--token-env", "WORK_TOKEN"]);
    world.run(["env", "set", "WORK_TOKEN", "never-shown-123"]);
    let list = world.json(["server", "list", "--json"]);
    let of = |name: &str| list.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
    assert!(of("work")["source"].as_str().unwrap().contains("config.toml:"), "{list}");
    assert_eq!((&of("work")["token_env"], &of("work")["token_set"]), (&"WORK_TOKEN".into(), &true.into()));
    assert!(of("old")["source"].as_str().unwrap().ends_with("config:1"), "{list}");
    assert_eq!((&of("old")["default"], &of("github.com")["default"]), (&true.into(), &false.into()));
    assert_eq!((&of("github.com")["source"], &of("github.com")["token_set"]), (&"built in".into(), &false.into()));
    let shown = world.run(["server", "list"]);
    assert!(shown.contains("WORK_TOKEN (set)") && shown.contains("GITHUB_TOKEN (not set)"), "{shown}");
    assert!(shown.contains("old (default)"), "{shown}");
    assert!(!format!("{shown}{list}").contains("never-shown"));
}

#[test]
fn default_server_can_be_changed_but_not_removed() {
    let world = World::bare();
    assert_eq!(world.run(["server", "default"]), "github.com\n");
    assert_eq!(world.run(["server", "get"]), "https://github.com\n");
    world.run(["server", "add", "work", UNREACHABLE, "--kind", "gitea"]);
    world.run(["server", "default", "work"]);
    assert_eq!(world.run(["server", "default"]), "work\n");
    assert_eq!(world.json(["server", "get", "--json"])["url"], UNREACHABLE);
    fails(&world, &["server", "remove", "work"], 2, &["default server", "kugetsu server default github.com"]);
    fails(&world, &["server", "default", "wrok"], 2, &["did you mean `work`"]);
    // Public servers are built in.
    world.run(["server", "default", "codeberg.org"]);
    assert_eq!(world.run(["server", "get"]), "https://codeberg.org\n");
    world.run(["server", "remove", "work"]);
    assert!(!config(&world).contains("[servers.work]\nurl"), "{}", config(&world));
    fails(&world, &["server", "remove", "work"], 2, &["no server"]);
    fails(&world, &["server", "remove", "gitlab.com"], 2, &["built in"]);
}

#[test]
fn server_of_the_script_can_be_overridden_but_not_removed() {
    let world = World::bare();
    std::fs::create_dir_all(world.home.kugetsu()).unwrap();
    let path = world.home.kugetsu().join("config");
    std::fs::write(&path, "GIT_SERVERS=([old]=https://old.example.com)\n").unwrap();
    let source = format!("{}:1", path.display());
    fails(&world, &["server", "remove", "old"], 2, &[&source, "config set servers.old.url"]);
    world.run(["config", "set", "servers.old.url", UNREACHABLE]);
    assert_eq!(world.run(["server", "get", "old"]), format!("{UNREACHABLE}\n"));
    let removed = world.attempt(["server", "remove", "old"]);
    assert_eq!(removed.status.code(), Some(0), "{}", shown(&removed));
    assert!(shown(&removed).contains("now in effect"), "{}", shown(&removed));
    assert_eq!(world.run(["server", "get", "old"]), "https://old.example.com\n");
}

/// A configured git server with the repository `acme/api`.
fn serve(world: &World, name: &str, token: &str, variable: &str) -> GitServer {
    let server = GitServer::start(token);
    server.add_repository_from("acme/api", &Repository::with_commit());
    let url = server.base_url();
    world.run(["server", "add", name, &url, "--kind", "gitea", "--token-env", variable]);
    world.run(["env", "set", variable, token]);
    server
}

#[test]
fn each_server_gets_only_its_own_token() {
    let world = World::new();
    world.run(["daemon", "start"]);
    let one = serve(&world, "one", "token-of-one-123", "ONE_TOKEN");
    let two = serve(&world, "two", "token-of-two-456", "TWO_TOKEN");
    // The variable of their kind belongs to neither.
    world.run(["env", "set", "GITEA_TOKEN", "token-of-the-kind-789"]);
    for server in [&one, &two] {
        let reference = format!("{}/acme/api/issues/1", server.base_url());
        let output =
            world.attempt(["start", &reference, &script(&["write a.txt a", "commit one"]), "--wait", "--json"]);
        let (run, code) = ended(&output);
        assert_eq!((code, &run["pushed"]), (0, &true.into()), "{run}");
    }
    world.run(["env", "rm", "TWO_TOKEN"]);
    two.add_repository_from("acme/other", &Repository::with_commit());
    let reference = format!("{}/acme/other/issues/2", two.base_url());
    let text = fails(&world, &["start", &reference, "again"], 2, &["env set TWO_TOKEN"]);
    assert!(!text.contains("token-of"), "{text}");
}

#[test]
fn server_remove_warns_of_issues_on_the_server() {
    let world = World::new();
    let server = serve(&world, "one", "token-of-one-123", "ONE_TOKEN");
    let reference = format!("{}/acme/api/issues/1", server.base_url());
    world.run(["start", &reference, &script(&["say hello"]), "--wait"]);
    world.run(["daemon", "stop"]);
    let removed = world.attempt(["server", "remove", "one"]);
    assert_eq!(removed.status.code(), Some(0), "{}", shown(&removed));
    assert!(shown(&removed).contains("issues of acme/api are on this server"), "{}", shown(&removed));
    assert!(config(&world).contains("[agents.scripted]"), "the rest stays: {}", config(&world));
}

#[test]
fn clone_location_follows_repos_json_host_default_github() {
    let mut world = World::new();
    // Keeps the test from contacting the real github.com.
    world.home.set("https_proxy", UNREACHABLE);
    let one = serve(&world, "one", "token-of-one-123", "ONE_TOKEN");
    let two = serve(&world, "two", "token-of-two-456", "TWO_TOKEN");
    let issue = |reference: &str| {
        let stdout = world.run(["start", reference, &script(&["say hello"]), "--wait", "--json"]);
        serde_json::from_str::<serde_json::Value>(&stdout).unwrap()["issue"].as_str().unwrap().to_owned()
    };
    let on = |server: &GitServer, number: u32| {
        format!("{}/acme/api#{number}", server.base_url().trim_start_matches("http://"))
    };
    fails(&world, &["start", "acme/api#1", "x"], 1, &["github.com/acme/api"]);
    world.run(["server", "default", "one"]);
    assert_eq!(issue("acme/api#2"), on(&one, 2));
    assert_eq!(issue(&on(&two, 3)), on(&two, 3), "the host wins over the default");
    let map = format!("{{\"acme/api\": \"{}\"}}", two.url("acme/api"));
    std::fs::write(world.home.kugetsu().join("repos.json"), map).unwrap();
    assert_eq!(issue("acme/api#4"), on(&two, 4), "repos.json wins over the default");
}

#[test]
fn unusual_api_url_is_kept() {
    let world = World::bare();
    for (name, typed, kept) in [
        ("a", "https://api.example.com/v1/", "https://api.example.com/v1"),
        ("b", " api.example.com/v1 ", "https://api.example.com/v1"),
        ("c", "https://c.example.com/api/v1/", "https://c.example.com/api/v1"),
    ] {
        let url = format!("https://{name}.example.com");
        world.run(["server", "add", name, &url, "--kind", "gitea", "--api-url", typed]);
        assert_eq!(world.json(["server", "get", name, "--json"])["api_url"], kept);
        assert_eq!(config(&world).contains(&format!("api_url = \"{kept}\"")), name != "c", "{}", config(&world));
    }
}

#[test]
fn no_private_host_is_shipped() {
    let world = World::bare();
    world.run(["init"]);
    let mut texts =
        vec![config(&world), world.run(["config", "list"]), world.run(["server", "list"]), world.run(["man"])];
    for file in ["env/default.env", "env/pm-agent.env", "base/context.md", "skills/pm/SKILL.md"] {
        texts.push(std::fs::read_to_string(world.home.kugetsu().join(file)).unwrap());
    }
    for topic in ["refs", "config", "env", "agents", "exit-codes"] {
        texts.push(world.run(["help", topic]));
    }
    for command in ["server", "config", "start", "env", "destroy", "delegate"] {
        texts.push(world.run([command, "--help"]));
    }
    for command in ["list", "add", "remove", "default", "get"] {
        texts.push(world.run(["server", command, "--help"]));
    }
    let public = ["github.com", "gitlab.com", "codeberg.org", "opencode.ai", "host", ""];
    let example = ["example.com", "example.co", "example.org", "example.net"];
    let mut found = 0;
    for text in &texts {
        for rest in text.split("://").skip(1) {
            let host =
                rest.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '[')).next().unwrap();
            let is_example = example.iter().any(|one| host == *one || host.ends_with(&format!(".{one}")));
            assert!(public.contains(&host) || is_example || host.starts_with('['), "{host:?} in {text}");
            found += 1;
        }
        for shape in ["10.0.", "192.168.", ".local:", ".lan", ".internal"] {
            assert!(!text.contains(shape), "{shape} in {text}");
        }
    }
    assert!(found > 10, "{found}");
}
