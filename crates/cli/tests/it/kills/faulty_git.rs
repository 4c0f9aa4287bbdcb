//! A `git` in front of the real one, of which single calls are killed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kugetsu_testkit::Home;

use super::random::Random;

/// A shell script. Each armed file makes one call die: the call that renames it first.
const SCRIPT: &str = r#"#!/bin/sh
for armed in "@FOLDER@"/armed-*; do
    if mv "$armed" "@FOLDER@/fired-$$" 2>/dev/null; then
        read -r moment pause < "@FOLDER@/fired-$$"
        echo "$*" >> "@FOLDER@/fired-$$"
        case $moment in
        during)
            exec 3<&0
            "@GIT@" "$@" <&3 3<&- &
            sleep "$pause"
            kill -9 $! ;;
        after)
            "@GIT@" "$@" ;;
        esac
        kill -9 $$
    fi
done
exec "@GIT@" "$@"
"#;

pub(super) struct FaultyGit {
    folder: PathBuf,
    armed: u32,
}

impl FaultyGit {
    /// Puts the script in front of the home's `PATH`.
    pub(super) fn install(home: &mut Home) -> Self {
        let folder = home.folder("faulty-git");
        let script = SCRIPT.replace("@FOLDER@", as_text(&folder));
        install(home, &folder, &script);
        Self { folder, armed: 0 }
    }

    /// Lets the next `count` calls die at random moments: before git starts, while it runs, or after it has succeeded.
    pub(super) fn arm(&mut self, count: u32, random: &mut Random) {
        for _ in 0..count {
            let moment = random.choose(&["before 0", "during 0.002", "during 0.02", "after 0"]).expect("a moment");
            let new = self.folder.join("new");
            fs::write(&new, format!("{moment}\n")).unwrap();
            self.armed += 1;
            fs::rename(new, self.folder.join(format!("armed-{}", self.armed))).unwrap();
        }
    }

    /// Lets all later calls live. Returns how many were killed since the last time.
    pub(super) fn disarm(&mut self) -> u32 {
        let mut killed = 0;
        for entry in fs::read_dir(&self.folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if name.starts_with("fired-") {
                let text = fs::read_to_string(&path).unwrap_or_default();
                eprintln!("  killed git: {}", text.replace('\n', " "));
                killed += 1;
            }
            // Another call may just have renamed an armed file.
            if name.starts_with("fired-") || name.starts_with("armed-") {
                let _renamed = fs::remove_file(&path);
            }
        }
        killed
    }
}

/// Writes a script as `git` into a folder, which comes first in the home's `PATH`. `@GIT@` becomes the real git.
pub(super) fn install(home: &mut Home, folder: &Path, script: &str) {
    let paths = std::env::var_os("PATH").expect("PATH");
    let git = std::env::split_paths(&paths).map(|path| path.join("git")).find(|path| path.is_file()).expect("git");
    let program = folder.join("git");
    fs::write(&program, script.replace("@GIT@", as_text(&git))).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    home.prepend_path(folder);
}

pub(super) fn as_text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}
