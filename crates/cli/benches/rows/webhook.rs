//! From the delivery of a webhook to the exec of the agent, on a warm daemon.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kugetsu_testkit::forge_server::issue::Issue;
use kugetsu_testkit::forge_server::permission::Permission;
use kugetsu_testkit::{ForgeServer, eventually};
use serde_json::Value;

use crate::latency::ratio;
use crate::report::{Report, ms};
use crate::setup::{Setup, median};

const TIMES: usize = 15;
const TOKEN: &str = "forge-token-123456";
const PROJECT: &str = "acme/api";
const SCRIPT: &str = "kugetsu-script: say hello";

pub(crate) fn measure(report: &mut Report) {
    let setup = Setup::new();
    let forge = ForgeServer::github();
    forge.token(TOKEN, "robot");
    forge.set_permission(PROJECT, "robot", Permission::Admin);
    forge.set_permission(PROJECT, "kim", Permission::Write);
    watch(&setup, &forge);

    let (mut from_webhook, mut from_start) = (Vec::new(), Vec::new());
    // The first of each is warming up: it creates mirrors.
    for turn in 0..=TIMES {
        let labeled = time_to_exec(&setup, || {
            forge.issue(PROJECT, Issue::new("Say hello").body(SCRIPT).author("kim").label("agent"));
        });
        let started = time_to_exec(&setup, || setup.run(&["start", ".", SCRIPT]));
        if turn > 0 {
            from_webhook.push(labeled);
            from_start.push(started);
        }
    }
    let (webhook, start) = (median(from_webhook), median(from_start));
    report.row(
        "from the label, over the webhook, to the agent's exec",
        ms(webhook),
        format!("{} from `kugetsu start` to the agent's exec; target: under 100 ms", ms(start)),
        Some(ratio(webhook, start)),
    );
}

/// Watches the repository, with a webhook and without polls.
fn watch(setup: &Setup, forge: &ForgeServer) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (address, base) = (format!("127.0.0.1:{port}"), forge.base_url());
    let path = setup.home.kugetsu().join("config.toml");
    let before = std::fs::read_to_string(&path).unwrap();
    let config = format!(
        "{before}\n[agents]\nmax = 100\n\n[servers.test]\nurl = \"{base}\"\nkind = \"github\"\n\n[watch.api]\n\
         repo = \"{base}/{PROJECT}\"\nlabel = \"agent\"\npoll = \"1d\"\nmax_open_prs = 100\nmax_running = 100\n\n[hooks]\n\
         listen = \"{address}\"\nurl = \"http://{address}\"\n"
    );
    setup.run(&["env", "set", "GITHUB_TOKEN", TOKEN]);
    std::fs::write(path, config).unwrap();
    eventually("the port of webhooks", || TcpStream::connect(&address).ok());
    setup.run(&["hook", "create", "api"]);
}

/// The time until the records of a new run say that the agent is being started.
fn time_to_exec(setup: &Setup, begin: impl FnOnce()) -> Duration {
    setup.await_no_run();
    let runs = || -> Vec<PathBuf> {
        let runs = std::fs::read_dir(setup.home.kugetsu().join("runs")).into_iter().flatten();
        runs.map(|entry| entry.unwrap().path().join("records.jsonl")).collect()
    };
    let before = runs();
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    begin();
    let exec = eventually("the start of the agent", || {
        let text =
            runs().iter().filter(|path| !before.contains(path)).find_map(|path| std::fs::read_to_string(path).ok())?;
        let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut starts =
            records.filter(|record| record["text"].as_str().is_some_and(|text| text.starts_with("starting ")));
        starts.next()?["at"].as_u64()
    });
    Duration::from_millis(exec).saturating_sub(started)
}
