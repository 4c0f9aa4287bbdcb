//! The quarantine: `quarantine/<time>/{runs,worktrees,gates}/<name>` in the home, with the reason in `reason.txt`. Nothing in
//! kugetsu uses or removes what is there, except `kugetsu db rebuild`, which moves it back.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kugetsu_api::home::Home;

use super::kind::Kind;
use super::unknown::{self, OWNED, Unknown};

/// A thing in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quarantined {
    pub path: PathBuf,
    pub kind: Kind,
    /// Its name in its directory of the home.
    pub name: String,
}

/// Returns everything in quarantine.
pub fn list(home: &Home) -> io::Result<Vec<Quarantined>> {
    let mut all = Vec::new();
    for time in unknown::list(&home.quarantine())? {
        let inner = Home::new(home.quarantine().join(time));
        for kind in Kind::ALL {
            for name in unknown::list(&kind.directory(&inner))? {
                let path = kind.directory(&inner).join(&name);
                let is_record = kind == Kind::Relay && (name.ends_with(OWNED) || !path.is_dir());
                if !is_record {
                    all.push(Quarantined { path, kind, name });
                }
            }
        }
    }
    Ok(all)
}

/// Moves into quarantine what is not in use. One that cannot be moved is logged and stays. Returns the others.
pub(crate) fn add(home: &Home, unknown: &[Unknown], reason: &str, now: Timestamp) -> Vec<Quarantined> {
    let mut moved = Vec::new();
    if unknown.iter().all(|one| one.in_use) {
        return moved;
    }
    // Laid out like a home.
    let inner = match create(home, reason, now) {
        Ok(inner) => inner,
        Err(error) => {
            tracing::error!(path = %home.quarantine().display(), %error, "could not make the quarantine");
            return moved;
        }
    };
    for one in unknown.iter().filter(|one| !one.in_use) {
        let (from, to) = (one.kind.directory(home), one.kind.directory(&inner));
        match move_one(&from, &to, one) {
            Ok(()) => moved.push(Quarantined { path: to.join(&one.name), kind: one.kind, name: one.name.clone() }),
            Err(error) => {
                tracing::error!(path = %from.join(&one.name).display(), %error, "could not be moved into quarantine");
            }
        }
    }
    moved
}

fn create(home: &Home, reason: &str, now: Timestamp) -> io::Result<Home> {
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700);
    builder.recursive(true).create(home.quarantine())?;
    builder.recursive(false);
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let names = std::iter::once(time.clone()).chain((2..).map(|n| format!("{time}-{n}")));
    for name in names {
        let path = home.quarantine().join(name);
        match builder.create(&path) {
            Ok(()) => {
                fs::write(path.join("reason.txt"), format!("{reason}\n"))?;
                return Ok(Home::new(path));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

/// Moves a thing from one directory to another: a relay with the record that kugetsu made it.
fn move_one(from: &Path, to: &Path, one: &Unknown) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    let mut names = vec![one.name.clone()];
    if one.kind == Kind::Relay {
        names.push(format!("{}{OWNED}", one.name));
    }
    for name in names {
        match fs::rename(from.join(&name), to.join(&name)) {
            // A worktree can outlive its relay, and the record the other way around.
            Err(error) if error.kind() == io::ErrorKind::NotFound && one.kind == Kind::Relay => {}
            moved => moved?,
        }
    }
    Ok(())
}
