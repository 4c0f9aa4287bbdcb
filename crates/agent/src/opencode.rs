//! opencode's profile. Every quirk was measured with version 1.18.33.

use std::path::PathBuf;

use crate::profile::{Profile, Quirks};

/// What it is called.
pub(crate) const NAME: &str = "opencode";

/// The version that it was measured with.
const VERSION: &str = "1.18.33";

/// opencode's profile.
pub(crate) fn profile() -> Profile {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    Profile {
        name: NAME.to_owned(),
        program: PathBuf::from(NAME),
        args: words(&["acp"]),
        // An update in the middle of a run replaces the program that other runs are about to start.
        env: vec![("OPENCODE_DISABLE_AUTOUPDATE".to_owned(), "1".to_owned())],
        delete: Some(words(&["session", "delete", "{session}"])),
        attach: Some(words(&["--session", "{session}"])),
        record: Some(words(&["export", "{session}"])),
        login_files: vec!["opencode/auth.json"],
        config_directories: vec![NAME],
        tested_version: Some(VERSION),
        install_hint: "install it (https://opencode.ai, or `npm install -g opencode-ai`); kugetsu looks on the PATH, which `kugetsu env set PATH <value>` changes for agents".to_owned(),
        login_command: "opencode auth login".to_owned(),
        quirks: Quirks {
            slash_commands: true,
            asks_again_when_cut: true,
            reports_last_step: true,
            opencode_permission: true,
        },
    }
}
