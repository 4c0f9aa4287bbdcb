//! Webhooks of a project.

use secrecy::SecretString;

/// A webhook as the server lists it, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    pub id: u64,
    /// The address that gets the deliveries.
    pub url: String,
    pub is_active: bool,
}

/// A webhook to create. It reports issues, comments, pull requests, reviews, pushes and the results of checks.
#[derive(Clone, Debug)]
pub struct NewHook {
    pub url: String,
    /// With which the server signs, or which it sends along.
    pub secret: SecretString,
}
