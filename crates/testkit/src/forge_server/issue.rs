//! An issue on a forge server.

/// An issue; every field but the title has a default.
#[derive(Clone, Debug)]
pub struct Issue {
    pub title: String,
    /// The description; `None` is `null` on GitHub and GitLab, and empty on Gitea.
    pub body: Option<String>,
    pub closed: bool,
    /// The login of the author; `None` if the account was deleted.
    pub author: Option<String>,
    pub labels: Vec<String>,
}

impl Issue {
    /// An open issue by `kim`, without a description.
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), body: None, closed: false, author: Some("kim".to_owned()), labels: Vec::new() }
    }

    pub fn body(self, body: &str) -> Self {
        Self { body: Some(body.to_owned()), ..self }
    }

    pub fn label(mut self, name: &str) -> Self {
        self.labels.push(name.to_owned());
        self
    }

    pub fn author(self, login: &str) -> Self {
        Self { author: Some(login.to_owned()), ..self }
    }

    /// The account of the author was deleted.
    pub fn author_gone(self) -> Self {
        Self { author: None, ..self }
    }

    pub fn closed(self) -> Self {
        Self { closed: true, ..self }
    }
}
