//! Copies pushed branches into an emulator, which has neither the git protocol nor the same commits.

use std::collections::BTreeMap;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kugetsu_testkit::Repository;
use kugetsu_testkit::peer::client::Client;
use serde_json::json;

use super::stage::REPO;

/// Repeats each push with requests of GitHub's API. The emulator's commits have other hashes than the pushed ones.
pub(super) struct Mirror {
    pub(super) client: Client,
    /// The repository that was pushed to.
    pub(super) repository: Repository,
    /// Whether a pushed branch leaves its pull requests at the old commit, so that their update is requested.
    pub(super) leaves_pull_requests: bool,
    /// The commits that were copied, by branch.
    pub(super) copied: Mutex<BTreeMap<String, String>>,
}

impl Mirror {
    pub(super) fn copy(&self) {
        let mut copied = self.copied.lock().unwrap();
        let refs = self.repository.git(["for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads"]);
        for (commit, branch) in refs.lines().filter_map(|line| line.split_once(' ')) {
            if branch == "main" || copied.get(branch).is_some_and(|known| known == commit) {
                continue;
            }
            let before = copied.insert(branch.to_owned(), commit.to_owned());
            if before.is_none() {
                let main = self.client.get(&format!("{REPO}/git/ref/heads/main"))["object"]["sha"].clone();
                let new = json!({"ref": format!("refs/heads/{branch}"), "sha": main});
                self.client.post(&format!("{REPO}/git/refs"), &new);
            }
            self.copy_files(branch, before.as_deref().unwrap_or("main"), commit);
            if self.leaves_pull_requests && before.is_some() {
                self.update_pull_requests(branch);
            }
        }
    }

    fn copy_files(&self, branch: &str, before: &str, commit: &str) {
        for path in self.repository.git(["diff", "--name-only", before, commit]).lines() {
            let content = self.repository.git(["show", &format!("{commit}:{path}")]);
            let message = self.repository.git(["log", "-1", "--format=%s", commit]);
            let mut file = json!({"message": message.trim(), "content": STANDARD.encode(content), "branch": branch});
            let target = format!("{REPO}/contents/{path}");
            let (status, old) = self.client.send("GET", &format!("{target}?ref={branch}"), None);
            if status == 200 {
                file["sha"] = old["sha"].clone();
            }
            self.client.put(&target, &file);
        }
    }

    fn update_pull_requests(&self, branch: &str) {
        let pulls = self.client.get(&format!("{REPO}/pulls?state=open"));
        for pull in pulls.as_array().unwrap().iter().filter(|pull| pull["head"]["ref"] == branch) {
            self.client.put(&format!("{REPO}/pulls/{}/update-branch", pull["number"]), &json!({}));
        }
    }
}
