//! The profile of opencode. All quirks were measured with version 1.18.33.

use std::path::PathBuf;

use super::definition::{LostSession, Profile, Quirks};

pub(super) const NAME: &str = "opencode";
const TESTED_VERSION: &str = "1.18.33";
/// It reports every unknown session like this, and no other failure to continue one that was seen.
const LOST_SESSION: &[LostSession] =
    &[LostSession { message: "opencode service failure", detail: r#""service":"session""# }];

pub(super) fn profile() -> Profile {
    let strings = |strings: &[&str]| strings.iter().map(|&string| string.to_owned()).collect();
    Profile {
        name: NAME.to_owned(),
        program: PathBuf::from(NAME),
        args: strings(&["acp"]),
        // An update during a run would replace the program that other runs are about to start.
        env: vec![("OPENCODE_DISABLE_AUTOUPDATE".to_owned(), "1".to_owned())],
        delete: Some(strings(&["session", "delete", "{session}"])),
        attach: Some(strings(&["--session", "{session}"])),
        models: Some(strings(&["models"])),
        project_settings: vec!["opencode.json", "opencode.jsonc", ".opencode"],
        export: Some(strings(&["export", "{session}"])),
        login_files: vec!["opencode/auth.json"],
        config_directories: vec![NAME],
        tested_version: Some(TESTED_VERSION),
        install_hint:
            "install it with `npm install -g opencode-ai` (https://opencode.ai), or set the PATH of agents with \
                       `kugetsu env set PATH <value>`"
                .to_owned(),
        login_command: "opencode auth login".to_owned(),
        quirks: Quirks {
            slash_commands: true,
            retries_broken_answers: true,
            reports_last_step: true,
            serves_records: true,
            opencode_permission: true,
            lost_session: LOST_SESSION,
        },
    }
}
