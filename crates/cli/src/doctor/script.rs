//! What the shell script that came before kugetsu left in the home.

use kugetsu_api::home::Home;

use crate::setup::SCRIPTS_WORK;

use super::check::Check;

/// None where it left nothing.
pub(crate) fn check(home: &Home) -> Option<Check> {
    let shown = home.path().display().to_string();
    let left: Vec<&str> = SCRIPTS_WORK.into_iter().filter(|name| home.path().join(name).exists()).collect();
    if !left.is_empty() {
        return Some(Check::warning(
            "script",
            shown,
            format!("the script's {} were not taken over", left.join(", ")),
            "kugetsu init takes over what can be, and says what is left and why",
        ));
    }
    let settings = home.old_config().is_file();
    settings.then(|| Check::ok("script", shown, "the script's config is read, below config.toml"))
}
