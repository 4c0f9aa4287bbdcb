//! An issue on a forge server.

/// An issue as a test makes it; everything but the title has a default.
#[derive(Clone, Debug)]
pub struct Issue {
    /// One line.
    pub title: String,
    /// The description; none is `null` on GitHub and GitLab, and empty on Gitea.
    pub body: Option<String>,
    /// Whether it is closed.
    pub closed: bool,
    /// Who opened it; none where the account is gone.
    pub author: Option<String>,
    /// Names of labels.
    pub labels: Vec<String>,
}

impl Issue {
    /// An open issue by `kim`, without a description.
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), body: None, closed: false, author: Some("kim".to_owned()), labels: Vec::new() }
    }

    /// With a description.
    pub fn body(self, body: &str) -> Self {
        Self { body: Some(body.to_owned()), ..self }
    }

    /// With one more label.
    pub fn label(mut self, name: &str) -> Self {
        self.labels.push(name.to_owned());
        self
    }

    /// Opened by somebody else.
    pub fn author(self, login: &str) -> Self {
        Self { author: Some(login.to_owned()), ..self }
    }

    /// Opened by somebody whose account is gone.
    pub fn author_gone(self) -> Self {
        Self { author: None, ..self }
    }

    /// Closed.
    pub fn closed(self) -> Self {
        Self { closed: true, ..self }
    }
}
