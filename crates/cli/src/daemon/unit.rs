//! The daemon as a service of the user's own systemd.

use std::path::Path;

/// The unit's name.
pub(crate) const NAME: &str = "kugetsu.service";

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
        quoted(&format!("KUGETSU_HOME={}", home.display()), false),
        // A service has a short search path; agents are found by the one of the person who installed it.
        quoted(&format!("PATH={search_path}"), false),
    )
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
    fn c11_paths_mean_in_the_unit_what_they_are() {
        let text = text(Path::new("/opt/my tools/100%/k$x"), Path::new("/h/\"x\"\\y"), "/bin:/a b");
        assert!(text.contains("ExecStart=\"/opt/my tools/100%%/k$$x\" daemon run\n"), "{text}");
        assert!(text.contains("Environment=\"KUGETSU_HOME=/h/\\\"x\\\"\\\\y\"\n"), "{text}");
        assert!(text.contains("Environment=\"PATH=/bin:/a b\"\n"), "{text}");
        assert!(text.contains("KillMode=process\n"));
    }
}
