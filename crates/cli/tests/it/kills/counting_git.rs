//! A `git` in front of the real one that counts its calls, of which one is killed.

use std::fs;
use std::path::PathBuf;

use kugetsu_testkit::Home;

use super::faulty_git::{as_text, install};

/// A shell script. Each call appends its pid to a file; its line is its number. Only builtins, because every call runs it.
const SCRIPT: &str = r#"#!/bin/sh
if [ -e "@FOLDER@/counts" ]; then
    echo $$ >> "@FOLDER@/calls"
    number=0
    while read -r pid; do
        number=$((number + 1))
        [ "$pid" != $$ ] || own=$number
    done < "@FOLDER@/calls"
    if [ "$own" = "@CALL@" ] && mv "@FOLDER@/armed" "@FOLDER@/fired" 2>/dev/null; then
        echo "$*" >> "@FOLDER@/fired"
        case "@MOMENT@" in
        during)
            exec 3<&0
            "@GIT@" "$@" <&3 3<&- &
            sleep "@PAUSE@"
            kill -9 $! ;;
        after)
            "@GIT@" "$@" ;;
        esac
        kill -9 $$
    fi
fi
exec "@GIT@" "$@"
"#;

pub(super) struct CountingGit {
    folder: PathBuf,
}

impl CountingGit {
    /// Puts the script in front of the home's `PATH`. `call` is the number of the call that dies, counted from 1; `death`
    /// is the moment of its death with a pause in seconds.
    pub(super) fn install(home: &mut Home, (call, death): (u64, &str)) -> Self {
        let folder = home.folder("counting-git");
        let (moment, pause) = death.split_once(' ').expect("a moment and a pause");
        let script = SCRIPT
            .replace("@FOLDER@", as_text(&folder))
            .replace("@CALL@", &call.to_string())
            .replace("@MOMENT@", moment)
            .replace("@PAUSE@", pause);
        install(home, &folder, &script);
        for file in ["counts", "armed"] {
            fs::write(folder.join(file), "").unwrap();
        }
        Self { folder }
    }

    /// Counts and kills no more calls. Returns how many there were.
    pub(super) fn disarm(&self) -> u64 {
        fs::remove_file(self.folder.join("counts")).unwrap();
        let _fired = fs::remove_file(self.folder.join("armed"));
        if let Ok(killed) = fs::read_to_string(self.folder.join("fired")) {
            eprintln!("  killed git: {}", killed.trim());
        }
        let calls = fs::read_to_string(self.folder.join("calls")).unwrap_or_default();
        calls.lines().count().try_into().expect("a number of calls")
    }
}
