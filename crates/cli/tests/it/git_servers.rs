//! `server`: servers are named, found out, chosen and forgotten, and each gets its own token only.

use kugetsu_testkit::{ForgeServer, GitServer, Repository};

use crate::world::{World, ended, script, shown};

/// Nothing listens there.
const NOBODY: &str = "http://127.0.0.1:9";

#[track_caller]
fn refused(world: &World, words: &[&str], code: i32, said: &[&str]) -> String {
    let output = world.attempt(words);
    assert_eq!(output.status.code(), Some(code), "{words:?}: {}", shown(&output));
    let text = shown(&output);
    for word in said {
        assert!(text.contains(word), "{words:?}: {word}: {text}");
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
        // The address of the API is what people paste as well.
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
    assert!(!config(&world).contains("\napi_url"), "the usual place needs no words: {}", config(&world));
}

#[test]
fn server_add_contacts_the_server_only_without_a_kind() {
    let world = World::bare();
    refused(&world, &["server", "add", "work", NOBODY], 1, &["cannot reach", "--kind"]);
    assert!(!config(&world).contains("servers.work]\nurl"));
    let said = world.run(["server", "add", "work", NOBODY, "--kind", "gitea"]);
    assert!(said.contains("GITEA_TOKEN"), "{said}");
    assert_eq!(world.run(["server", "get", "work"]), format!("{NOBODY}\n"), "the address alone");
    // The same once more changes what is said, and only that.
    world.run(["server", "add", "work", NOBODY, "--token-env", "WORK_TOKEN"]);
    assert!(config(&world).contains("kind = \"gitea\"\ntoken_env = \"WORK_TOKEN\""), "{}", config(&world));
    let other = world.attempt(["server", "add", "again", NOBODY, "--kind", "gitea"]);
    assert_eq!(other.status.code(), Some(0), "{}", shown(&other));
    assert!(shown(&other).contains("warning: ") && shown(&other).contains("work"), "{}", shown(&other));
}

#[test]
fn server_add_rejects_invalid_entries_and_prints_no_secret() {
    let world = World::bare();
    world.run(["server", "add", "work", NOBODY, "--kind", "gitea"]);
    let before = config(&world);
    let url = "https://git.example.com";
    for (words, said) in [
        (vec!["work", url, "--kind", "gitea"], "config set servers.work.url"),
        (vec!["github.com", url, "--kind", "gitea"], "built in"),
        (vec!["a/b", url, "--kind", "gitea"], "cannot be called"),
        (vec!["local", url, "--kind", "gitea"], "cannot be called"),
        (vec!["--kind", "gitea", "--", "-x", url], "cannot be called"),
        (vec!["x", url, "--kind", "svn"], "forgejo"),
        (vec!["x", url, "--kind", "local"], "forgejo"),
        (vec!["x", "https://bot:topsecret@git.example.com", "--kind", "gitea"], "env set"),
        (vec!["x", "https://git.example.com/?token=topsecret", "--kind", "gitea"], "env set"),
        (vec!["x", "ssh://git.example.com", "--kind", "gitea"], "https://git.example.com"),
        (vec!["x", url, "--kind", "gitea", "--api-url", "https://topsecret@git.example.com/api"], "user"),
        (vec!["x", url, "--kind", "gitea", "--token-env", "topsecret123"], "WORK_TOKEN"),
        (vec!["x", url, "--kind", "gitea", "--token-env", "MY_WORD"], "TOKEN"),
    ] {
        let all: Vec<&str> = ["server", "add"].into_iter().chain(words).collect();
        let text = refused(&world, &all, 2, &[said]);
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
    world.run(["server", "add", "work", NOBODY, "--kind", "gitea", "--token-env", "WORK_TOKEN"]);
    world.run(["env", "set", "WORK_TOKEN", "never-shown-123"]);
    let list = world.json(["server", "list", "--json"]);
    let of = |name: &str| list.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
    assert!(of("work")["source"].as_str().unwrap().contains("config.toml:"), "{list}");
    assert_eq!((&of("work")["token_env"], &of("work")["token_set"]), (&"WORK_TOKEN".into(), &true.into()));
    assert!(of("old")["source"].as_str().unwrap().ends_with("config:1"), "{list}");
    assert_eq!((&of("old")["default"], &of("github.com")["default"]), (&true.into(), &false.into()));
    assert_eq!((&of("github.com")["source"], &of("github.com")["token_set"]), (&"built in".into(), &false.into()));
    let shown = world.run(["server", "list"]);
    assert!(shown.contains("WORK_TOKEN set") && shown.contains("GITHUB_TOKEN not set"), "{shown}");
    assert!(shown.contains("old (default)"), "{shown}");
    assert!(!format!("{shown}{list}").contains("never-shown"));
}

#[test]
fn default_server_can_be_changed_but_not_removed() {
    let world = World::bare();
    assert_eq!(world.run(["server", "default"]), "github.com\n");
    assert_eq!(world.run(["server", "get"]), "https://github.com\n");
    world.run(["server", "add", "work", NOBODY, "--kind", "gitea"]);
    world.run(["server", "default", "work"]);
    assert_eq!(world.run(["server", "default"]), "work\n");
    assert_eq!(world.json(["server", "get", "--json"])["url"], NOBODY);
    refused(&world, &["server", "remove", "work"], 2, &["default server", "kugetsu server default github.com"]);
    refused(&world, &["server", "default", "wrok"], 2, &["did you mean work"]);
    // A public one needs no name in the settings.
    world.run(["server", "default", "codeberg.org"]);
    assert_eq!(world.run(["server", "get"]), "https://codeberg.org\n");
    world.run(["server", "remove", "work"]);
    assert!(!config(&world).contains("[servers.work]\nurl"), "{}", config(&world));
    refused(&world, &["server", "remove", "work"], 2, &["there is no server"]);
    refused(&world, &["server", "remove", "gitlab.com"], 2, &["built in"]);
}

#[test]
fn server_of_the_script_can_be_overridden_but_not_removed() {
    let world = World::bare();
    std::fs::create_dir_all(world.home.kugetsu()).unwrap();
    let path = world.home.kugetsu().join("config");
    std::fs::write(&path, "GIT_SERVERS=([old]=https://old.example.com)\n").unwrap();
    let place = format!("{}:1", path.display());
    refused(&world, &["server", "remove", "old"], 2, &[&place, "config set servers.old.url"]);
    world.run(["config", "set", "servers.old.url", NOBODY]);
    assert_eq!(world.run(["server", "get", "old"]), format!("{NOBODY}\n"));
    let removed = world.attempt(["server", "remove", "old"]);
    assert_eq!(removed.status.code(), Some(0), "{}", shown(&removed));
    assert!(shown(&removed).contains("counts again"), "{}", shown(&removed));
    assert_eq!(world.run(["server", "get", "old"]), "https://old.example.com\n");
}

/// A git server with `acme/api`, named in the settings.
fn serving(world: &World, name: &str, token: &str, variable: &str) -> GitServer {
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
    let one = serving(&world, "one", "token-of-one-123", "ONE_TOKEN");
    let two = serving(&world, "two", "token-of-two-456", "TWO_TOKEN");
    // Theirs is the kind's variable too, which is for neither of them.
    world.run(["env", "set", "GITEA_TOKEN", "token-of-nobody-789"]);
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
    let text = refused(&world, &["start", &reference, "again"], 2, &["env set TWO_TOKEN"]);
    assert!(!text.contains("token-of"), "{text}");
}

#[test]
fn server_remove_warns_of_issues_on_the_server() {
    let world = World::new();
    let server = serving(&world, "one", "token-of-one-123", "ONE_TOKEN");
    let reference = format!("{}/acme/api/issues/1", server.base_url());
    world.run(["start", &reference, &script(&["say hello"]), "--wait"]);
    world.run(["daemon", "stop"]);
    let removed = world.attempt(["server", "remove", "one"]);
    assert_eq!(removed.status.code(), Some(0), "{}", shown(&removed));
    assert!(shown(&removed).contains("issues of acme/api are on it"), "{}", shown(&removed));
    assert!(config(&world).contains("[agents.scripted]"), "the rest stays: {}", config(&world));
}

#[test]
fn clone_location_follows_repos_json_host_default_github() {
    let mut world = World::new();
    // Nobody reaches the real one from here.
    world.home.set("https_proxy", NOBODY);
    let one = serving(&world, "one", "token-of-one-123", "ONE_TOKEN");
    let two = serving(&world, "two", "token-of-two-456", "TWO_TOKEN");
    let issue = |reference: &str| {
        let said = world.run(["start", reference, &script(&["say hello"]), "--wait", "--json"]);
        serde_json::from_str::<serde_json::Value>(&said).unwrap()["issue"].as_str().unwrap().to_owned()
    };
    let on = |server: &GitServer, number: u32| {
        format!("{}/acme/api#{number}", server.base_url().trim_start_matches("http://"))
    };
    refused(&world, &["start", "acme/api#1", "x"], 1, &["github.com/acme/api"]);
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
