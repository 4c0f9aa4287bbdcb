//! The host: git and its identity, and the kernel features that end processes and restrict agents.

use kugetsu_engine::Settings;
use kugetsu_engine::schema::RunSandbox;
use kugetsu_git::command::{Git, GitError, MIN_VERSION};
use kugetsu_process::sandbox::{Backend, Helper, NoBackend, best_backend};
use kugetsu_process::{Controllers, Tracking};

use super::check::Check;

pub(crate) async fn git_checks() -> Vec<Check> {
    let git = match Git::find().await {
        Ok(git) => git,
        Err(error) => {
            let repair = match (&error, error.hint()) {
                (GitError::Missing | GitError::TooOld { .. }, _) | (_, None) => {
                    format!("install git {MIN_VERSION} or newer, for example: apt-get install git")
                }
                (_, Some(hint)) => hint,
            };
            return vec![Check::bad("git.version", "git", error.to_string(), repair)];
        }
    };
    let message = format!("version {} at {}", git.version(), git.program().display());
    let version = Check::ok("git.version", "git", message);
    let id = "git.identity";
    let repair = "git config --global user.name \"...\"; git config --global user.email \"...\"";
    let identity = match git.user().await {
        Ok((Some(name), Some(email))) => Check::ok(id, "git", format!("commits are authored by {name} <{email}>")),
        Ok(_) => {
            let message = "user.name and user.email are not set; commits are authored by kugetsu unless the repository \
                           sets them";
            Check::warning(id, "git", message, repair)
        }
        Err(error) => Check::unknown(id, "git", error.to_string()).with_repair(repair),
    };
    vec![version, identity]
}

/// `daemon` is its process id, if it is running.
pub(crate) async fn kernel_checks(settings: Option<&Settings>, daemon: Option<u32>) -> Vec<Check> {
    // Both try the features out, which blocks for some milliseconds.
    let probed = tokio::task::spawn_blocking(|| (Tracking::detect(), best_backend(&Helper::of_this_program()))).await;
    let (tracking, backend) = match probed {
        Ok(probed) => probed,
        Err(error) => return vec![Check::unknown("kernel.processes", "", error.to_string())],
    };
    let message = format!("processes of a run are ended with {tracking}");
    let processes = match tracking {
        Tracking::CgroupV2 | Tracking::Subreaper => Check::ok("kernel.processes", "", message),
        Tracking::Groups => Check::warning(
            "kernel.processes",
            "",
            format!("{message}; a process that hides can outlive its run"),
            "run the daemon in a cgroup of its own: kugetsu daemon install",
        ),
    };
    let in_sandbox = settings.is_some_and(|settings| settings.run.sandbox != RunSandbox::Off)
        && matches!(backend, Ok(Backend::Namespaces))
        && !nix::unistd::geteuid().is_root();
    let limits = limits_check(Controllers::of(daemon.unwrap_or_else(std::process::id)), in_sandbox);
    vec![processes, limits, sandbox_check(backend, settings)]
}

/// How the limits of runs hold. `in_sandbox` is whether the sandbox limits processes.
fn limits_check(controllers: Controllers, in_sandbox: bool) -> Check {
    let id = "kernel.limits";
    let held = |by_kernel: bool| if by_kernel { "limited by the kernel" } else { "measured by the runner" };
    let processes = match controllers.tasks {
        false if in_sandbox => "measured by the runner, with twice the limit held by the kernel in the sandbox",
        by_kernel => held(by_kernel),
    };
    let weights = if controllers.cpu { "shared by run.cpu_weight" } else { "not limited" };
    let memory = held(controllers.memory);
    let message = format!("of each run, memory is {memory}, processes are {processes}, and processors are {weights}");
    let check = Check::ok(id, "", message);
    if controllers.memory && controllers.tasks || !cfg!(target_os = "linux") {
        return check;
    }
    check.with_repair(
        "let the kernel limit them, with systemd 254: kugetsu daemon install; kugetsu daemon stop; systemctl --user start kugetsu; or \
         in a scope: kugetsu daemon stop; systemd-run --user --scope -p Delegate=yes kugetsu daemon run",
    )
}

fn with_sandbox(id: &'static str, backend: Backend, settings: Option<&Settings>) -> Check {
    if settings.is_some_and(|settings| settings.run.sandbox == RunSandbox::Off) {
        let message =
            "agents of issues run without a sandbox: run.sandbox is off, and they can read and change all your files";
        return Check::warning(id, "", message, "to run them in one: `kugetsu config unset run.sandbox`");
    }
    match backend {
        Backend::Namespaces | Backend::Bubblewrap => Check::ok(id, "", format!("agents are sandboxed by {backend}")),
        Backend::Landlock => {
            let message = format!("agents are sandboxed by {backend}, which cannot restrict their network");
            Check::warning(id, "", message, "install bubblewrap, or allow user namespaces")
        }
    }
}

fn sandbox_check(backend: Result<Backend, NoBackend>, settings: Option<&Settings>) -> Check {
    let id = "kernel.cage";
    let none = match backend {
        Ok(backend) => return with_sandbox(id, backend, settings),
        Err(none) => none,
    };
    let reasons: Vec<String> = none.tried.iter().map(|(backend, why)| format!("{backend}: {why}")).collect();
    let coordinator = settings.is_none_or(|settings| settings.pm.needs_sandbox());
    let agents = settings.map_or(RunSandbox::Best, |settings| settings.run.sandbox);
    let mut effects = vec![match agents {
        RunSandbox::Required => "no agent can start",
        RunSandbox::Best => "agents run without one",
        RunSandbox::Off => "run.sandbox is off",
    }];
    effects.push(match coordinator {
        true => "`kugetsu delegate` is refused",
        false => "pm.cage is off: only its instructions keep the coordinator from writing files",
    });
    let message = format!("no sandbox is available, so {}: {}", effects.join(", and "), reasons.join("; "));
    let mut repair = none.hint().unwrap_or_default();
    if coordinator {
        repair.push_str("; or turn the coordinator's sandbox off with `kugetsu config set pm.cage off`");
    }
    match agents {
        RunSandbox::Required => Check::bad(id, "", message, repair),
        RunSandbox::Best | RunSandbox::Off => Check::warning(id, "", message, repair),
    }
}
