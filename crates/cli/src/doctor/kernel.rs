//! What the kernel gives: by what means processes are ended, and a cage for the coordinator.

use kugetsu_engine::Settings;
use kugetsu_process::{Tracking, sandbox};

use super::check::Check;

/// Both are tried, which blocks for some milliseconds.
pub(crate) async fn checks(settings: Option<&Settings>) -> Vec<Check> {
    let tried = tokio::task::spawn_blocking(|| (Tracking::detect(), sandbox::best_backend())).await;
    let (means, cage) = match tried {
        Ok(tried) => tried,
        Err(error) => return vec![Check::unknown("kernel.processes", "", error.to_string())],
    };
    let said = format!("processes of a run are ended by {means}");
    let processes = match means {
        Tracking::CgroupV2 | Tracking::Subreaper => Check::ok("kernel.processes", "", said),
        Tracking::Groups => Check::warning(
            "kernel.processes",
            "",
            format!("{said}; one that hides well could outlive its run"),
            "run the daemon where it has a cgroup of its own: kugetsu daemon install",
        ),
    };
    let id = "kernel.cage";
    let cage = match cage {
        Ok(means) => Check::ok(id, "", format!("the coordinator is kept from writing by {means}")),
        Err(_) if settings.is_some_and(|settings| !settings.pm_cage) => {
            let said =
                "there is none here, and pm.cage is off: nothing but its rules keeps the coordinator from writing";
            Check::warning(id, "", said, "where there is one again: kugetsu config set pm.cage required")
        }
        Err(none) => {
            let tried: Vec<String> = none.tried.iter().map(|(means, why)| format!("{means}: {why}")).collect();
            let said = format!("there is none for the coordinator, so `delegate` cannot work: {}", tried.join("; "));
            Check::warning(
                id,
                "",
                said,
                format!("{}; or do without: kugetsu config set pm.cage off", none.hint().unwrap_or_default()),
            )
        }
    };
    vec![processes, cage]
}
