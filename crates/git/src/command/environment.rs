//! The environment of every git process: the user's own settings count, but nothing may redirect git, prompt or trace.

use std::ffi::OsString;

use kugetsu_domain::git_variables::is_inherited;

/// Allowed transports. `ext::` and other remote helpers, which run programs, are not among them.
pub(crate) const PROTOCOLS: &str = "https:http:ssh:git:file";

/// Settings of every git process, whatever the user's or a repository's config says.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    // Worktrees borrow the mirror's objects, so none may be pruned or repacked while they use it.
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    // Both run programs that a repository's config names.
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    // Trusts a cache that an agent could have forged.
    ("core.untrackedCache", "false"),
    // A passphrase cannot be typed.
    ("commit.gpgSign", "false"),
    ("tag.gpgSign", "false"),
    ("tag.forceSignAnnotated", "false"),
    ("push.gpgSign", "false"),
    ("push.followTags", "false"),
    ("push.recurseSubmodules", "no"),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("submodule.recurse", "false"),
    ("advice.detachedHead", "false"),
    ("core.quotePath", "true"),
    // Ends a transfer from a server that has stopped sending: less than 100 bytes a second for a minute.
    ("http.lowSpeedLimit", "100"),
    ("http.lowSpeedTime", "60"),
];

/// An ssh that never prompts and never waits for a dead host.
pub(crate) const SSH: &str = "ssh -oBatchMode=yes -oConnectTimeout=30 -oServerAliveInterval=15 -oServerAliveCountMax=4";

/// The changes that turn the `inherited` variables into an environment for git. `None` removes a variable.
pub(crate) fn changes(inherited: impl Iterator<Item = OsString>) -> Vec<(OsString, Option<OsString>)> {
    let mut changes: Vec<_> =
        inherited.filter(|name| !is_inherited(name.as_encoded_bytes())).map(|name| (name, None)).collect();
    let set = |name: &str, value: &str| (OsString::from(name), Some(OsString::from(value)));
    changes.extend([
        // Causes are recognized by git's English messages.
        set("LC_ALL", "C"),
        set("LANGUAGE", ""),
        // The user's credential helpers still work; only a prompt, which would wait for ever, is off.
        set("GIT_TERMINAL_PROMPT", "0"),
        set("GIT_ASKPASS", ""),
        set("SSH_ASKPASS_REQUIRE", "never"),
        set("GCM_INTERACTIVE", "never"),
        set("GIT_ALLOW_PROTOCOL", PROTOCOLS),
        // The refs of worktrees are read as files (`untrusted::reader`).
        set("GIT_DEFAULT_REF_FORMAT", "files"),
        set("GIT_EDITOR", "true"),
        set("GIT_PAGER", "cat"),
        (OsString::from("SSH_ASKPASS"), None),
    ]);
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_redirect_git_are_removed() {
        let names =
            ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_TRACE", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "HOME"];
        let changes = changes(names.iter().map(OsString::from));
        let removed: Vec<_> =
            changes.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name.clone()).collect();
        assert_eq!(
            removed,
            ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_TRACE", "SSH_ASKPASS"].map(OsString::from)
        );
    }
}
