//! The daemon as a unit of the user's systemd.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kugetsu_process::{HOST_CGROUP, OneShot};

pub(crate) const NAME: &str = "kugetsu.service";
const SYSTEMCTL_TIMEOUT: Duration = Duration::from_secs(20);

/// The directory of the user's units (systemd.unit(5)). `None` if neither XDG_CONFIG_HOME nor HOME is set.
pub(crate) fn directory() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    Some(config?.join("systemd").join("user"))
}

/// Runs `systemctl --user` and returns its trimmed output.
///
/// # Errors
/// Its stderr if it failed, or why it could not be started.
pub(crate) async fn systemctl(arguments: &[&str]) -> Result<String, String> {
    let short = OneShot::new("systemctl").arg("--user").args(arguments).time_limit(SYSTEMCTL_TIMEOUT);
    let ended = kugetsu_process::run(short).await.map_err(|error| error.to_string())?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).trim().to_owned());
    }
    Err(String::from_utf8_lossy(&ended.stderr).trim().to_owned())
}

/// Renders the unit file (systemd.unit(5), systemd.service(5)).
pub(crate) fn text(program: &Path, home: &Path, search_path: &str) -> String {
    format!(
        "[Unit]\n\
         Description=kugetsu: coding agents on issues\n\
         \n\
         [Service]\n\
         ExecStart={} daemon run\n\
         Environment={}\n\
         Environment={}\n\
         # Stop only the daemon: runs continue and report to the next one.\n\
         KillMode=process\n\
         # Let the kernel limit what runs use (systemd 254).\n\
         Delegate=yes\n\
         DelegateSubgroup={HOST_CGROUP}\n\
         Restart=on-failure\n\
         RestartSec=2\n\
         \n\
         [Install]\n\
         WantedBy=default.target\n",
        quoted(&program.display().to_string(), true),
        home_setting(home),
        // systemd's own PATH is short; agents are looked up on the PATH of the user who installed the unit.
        quoted(&format!("PATH={search_path}"), false),
    )
}

/// The line of the unit file that names the home.
pub(crate) fn home_line(home: &Path) -> String {
    format!("Environment={}\n", home_setting(home))
}

fn home_setting(home: &Path) -> String {
    quoted(&format!("KUGETSU_HOME={}", home.display()), false)
}

/// The program that a unit file of ours starts. `None` if its path is escaped.
pub(crate) fn program(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=\""))?;
    let program = line.split('"').next()?;
    (!program.contains(['\\', '%', '$'])).then(|| program.to_owned())
}

/// Quotes and escapes a value for a unit file. `$` is special in commands only.
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
    fn paths_are_escaped_in_the_unit() {
        let text = text(Path::new("/opt/my tools/100%/k$x"), Path::new("/h/\"x\"\\y"), "/bin:/a b");
        assert!(text.contains("ExecStart=\"/opt/my tools/100%%/k$$x\" daemon run\n"), "{text}");
        assert!(text.contains("Environment=\"KUGETSU_HOME=/h/\\\"x\\\"\\\\y\"\n"), "{text}");
        assert!(text.contains("Environment=\"PATH=/bin:/a b\"\n"), "{text}");
        assert!(text.contains("KillMode=process\n"));
        assert!(text.contains("Delegate=yes\nDelegateSubgroup=kugetsu-host\n"));
        assert!(text.contains(&home_line(Path::new("/h/\"x\"\\y"))) && program(&text).is_none());
        assert_eq!(program(&super::text(Path::new("/opt/k"), Path::new("/h"), "/bin")).as_deref(), Some("/opt/k"));
    }
}
