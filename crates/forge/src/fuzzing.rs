//! Entry points for the fuzz targets in `fuzz/`. They panic where a property is violated.
#![expect(clippy::expect_used, reason = "a violated property must stop the fuzzer")]

use std::sync::LazyLock;

use kugetsu_domain::reference::{ForgeKind, ProjectPath, ServerBase};

use crate::references::address::{Address, CurrentRepo, Target};
use crate::references::clone_url::CloneUrl;
use crate::references::mentions::mentions;
use crate::references::parser::parse;
use crate::references::server_index::KnownServer;

static SERVERS: LazyLock<Vec<KnownServer>> = LazyLock::new(|| {
    let server = |kind, base| KnownServer { kind, base: ServerBase::new(base).expect("a base address") };
    vec![
        server(Some(ForgeKind::GitHub), "https://github.com"),
        server(Some(ForgeKind::GitLab), "https://gl.example.com:8443/gitlab"),
        server(Some(ForgeKind::Forgejo), "https://code.example.org"),
        server(None, "http://nokind.example:81/acme"),
    ]
});

static CONTEXTS: LazyLock<Vec<Option<CurrentRepo>>> = LazyLock::new(|| {
    let context = |kind, base, project| CurrentRepo {
        kind,
        base: ServerBase::new(base).expect("a base address"),
        project: ProjectPath::new(project).expect("a project"),
    };
    vec![
        None,
        Some(context(Some(ForgeKind::GitLab), "https://gl.example.com:8443/gitlab", "group/sub/project")),
        Some(context(Some(ForgeKind::Local), "local", "demo")),
    ]
});

/// Reads text as a reference, as a clone URL and as prose. A reference must read back as the same when it is written.
pub fn references(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for context in CONTEXTS.iter() {
        if let Ok(address) = parse(&text, &SERVERS, context.as_ref()) {
            let written = address.to_string();
            let mut again = parse(&written, &SERVERS, context.as_ref()).expect("a written address");
            if address.target == Target::Repo {
                // An API's address shows the kind of server; the page of a repository may not.
                again.kind = again.kind.or(address.kind);
            }
            assert_eq!(again, Address { credentials_dropped: false, ..address }, "{written}");
        }
        for mention in mentions(&text, &SERVERS, context.as_ref()) {
            let _ = format!("{mention:?}");
        }
    }
    if let Ok(url) = CloneUrl::parse(&text) {
        // git would take it for an option.
        assert!(!url.as_str().starts_with('-'), "{url}");
        assert!(!url.as_str().contains(char::is_control), "{url:?}");
        let again = CloneUrl::parse(url.as_str()).expect("a written clone URL");
        assert_eq!(again.as_str(), url.as_str());
        assert!(!again.credentials_dropped(), "{url}");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn corpus_of_references_passes() {
        kugetsu_testkit::corpus::replay("references", super::references);
    }
}
