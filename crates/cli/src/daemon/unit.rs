//! The daemon as a service of the user's own systemd.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kugetsu_process::OneShot;

/// The unit's name.
pub(crate) const NAME: &str = "kugetsu.service";
/// How long systemctl may take.
const SYSTEMCTL_LIMIT: Duration = Duration::from_secs(20);

/// Where the user's own units are (systemd.unit(5)); none where nobody says where the user's home is.
pub(crate) fn directory() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    Some(config?.join("systemd").join("user"))
}

/// What `systemctl --user` says to this.
///
/// # Errors
/// Why it did not work, in its words.
pub(crate) async fn systemctl(arguments: &[&str]) -> Result<String, String> {
    let short = OneShot::new("systemctl").arg("--user").args(arguments).time_limit(SYSTEMCTL_LIMIT);
    let ended = kugetsu_process::run(short).await.map_err(|error| error.to_string())?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).trim().to_owned());
    }
    Err(String::from_utf8_lossy(&ended.stderr).trim().to_owned())
}

/// The text of the unit (systemd.unit(5), systemd.service(5)).
pub(crate) fn text(program: &Path, home: &Path, search_path: &str) -> String {
    format!(
        "[Unit]\n\
         Description=kugetsu: coding agents on issues\n\
         \n\
         [Service]\n\
         ExecStart={} daemon run\n\
         Environment={}\n\
         Environment={}\n\
         # Only the daemon is ended: runs go on and report when it is back.\n\
         KillMode=process\n\
         Restart=on-failure\n\
         RestartSec=2\n\
         \n\
         [Install]\n\
         WantedBy=default.target\n",
        quoted(&program.display().to_string(), true),
        home_setting(home),
        // A service has a short search path; agents are found by the one of the person who installed it.
        quoted(&format!("PATH={search_path}"), false),
    )
}

/// The line of the unit that says whose daemon it is.
pub(crate) fn home_line(home: &Path) -> String {
    format!("Environment={}\n", home_setting(home))
}

fn home_setting(home: &Path) -> String {
    quoted(&format!("KUGETSU_HOME={}", home.display()), false)
}

/// The program that a unit of ours starts; none where its path needed escaping, which is not undone here.
pub(crate) fn program(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=\""))?;
    let program = line.split('"').next()?;
    (!program.contains(['\\', '%', '$'])).then(|| program.to_owned())
}

/// In quotes, with everything escaped that a unit file gives a meaning (`$` has one in commands only).
fn quoted(text: &str, command: bool) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '%' => out.push_str("%%"),
            '$' if command => out.push_str("$$"),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_in_the_unit_what_they_are() {
        let text = text(Path::new("/opt/my tools/100%/k$x"), Path::new("/h/\"x\"\\y"), "/bin:/a b");
        assert!(text.contains("ExecStart=\"/opt/my tools/100%%/k$$x\" daemon run\n"), "{text}");
        assert!(text.contains("Environment=\"KUGETSU_HOME=/h/\\\"x\\\"\\\\y\"\n"), "{text}");
        assert!(text.contains("Environment=\"PATH=/bin:/a b\"\n"), "{text}");
        assert!(text.contains("KillMode=process\n"));
        assert!(text.contains(&home_line(Path::new("/h/\"x\"\\y"))) && program(&text).is_none());
        assert_eq!(program(&super::text(Path::new("/opt/k"), Path::new("/h"), "/bin")).as_deref(), Some("/opt/k"));
    }
}
