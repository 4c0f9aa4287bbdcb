//! git: is it there and new enough, and whose commits are they.

use kugetsu_git::command::{Git, MIN_VERSION};

use super::check::Check;

/// Version and identity.
pub(crate) async fn checks() -> Vec<Check> {
    let git = match Git::find().await {
        Ok(git) => git,
        Err(error) => {
            let repair = format!("install git {MIN_VERSION} or newer, for example: apt-get install git");
            return vec![Check::bad("git.version", "git", error.to_string(), repair)];
        }
    };
    let said = format!("{} is version {}", git.program().display(), git.version());
    let version = Check::ok("git.version", "git", said);
    let set = "git config --global user.name \"...\"; git config --global user.email \"...\"";
    let identity = match git.user().await {
        Ok((Some(name), Some(email))) => Check::ok("git.identity", "git", format!("commits are {name} <{email}>'s")),
        Ok(_) => {
            let said =
                "it knows no name and address of yours, so commits carry kugetsu's where the repository sets none";
            Check::warning("git.identity", "git", said, set)
        }
        Err(error) => Check::unknown("git.identity", "git", error.to_string()).repaired_by(set),
    };
    vec![version, identity]
}
