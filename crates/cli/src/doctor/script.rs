//! What the shell script that came before kugetsu left in the home.

use kugetsu_engine::Home;

use super::check::Check;

/// What only the script made.
const OWN: [&str; 3] = ["index.json", "sessions", "queue"];

/// None where it left nothing.
pub(crate) fn check(home: &Home) -> Option<Check> {
    let mut left: Vec<&str> = OWN.into_iter().filter(|name| home.path().join(name).exists()).collect();
    if home.old_config().is_file() {
        left.push("config");
    }
    if left.is_empty() {
        return None;
    }
    let (shown, names) = (home.path().display().to_string(), left.join(", "));
    Some(if home.config().exists() {
        Check::ok("script", shown, format!("the script's {names} lie there; `kugetsu init` says what is taken over"))
    } else {
        Check::warning(
            "script",
            shown,
            format!("the script's {names} lie there"),
            "take over what can be: kugetsu init",
        )
    })
}
