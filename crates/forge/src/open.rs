//! Opens the API of a server, and looks up what an address names there.

use std::sync::Arc;

use crate::error::ForgeError;
use crate::forge::Forge;
use crate::http::base_url::BaseUrl;
use crate::http::budget::Purpose;
use crate::http::client::Client;
use crate::http::credentials::Credentials;
use crate::http::transport::Transport;
use crate::kinds::table::dialect;
use crate::pull_request::PullRequest;
use crate::references::address::{Address, Target};
use crate::servers::Server;

/// Opens the API of `server`. No request is sent yet.
///
/// # Errors
/// [`ForgeError::NoKind`], [`ForgeError::NoApi`], or [`ForgeError::Address`] if the address of the API is not usable.
pub fn open(transport: &Transport, server: &Server, credentials: Credentials) -> Result<Arc<dyn Forge>, ForgeError> {
    open_for(Purpose::Interactive, transport, server, credentials)
}

/// Opens the API for background work. Its calls fail with [`ForgeError::RateLimited`], without a request, when less
/// than a tenth of the server's rate limit is left: the rest is for people.
///
/// # Errors
/// Those of [`open`].
pub fn open_in_background(
    transport: &Transport,
    server: &Server,
    credentials: Credentials,
) -> Result<Arc<dyn Forge>, ForgeError> {
    open_for(Purpose::Background, transport, server, credentials)
}

fn open_for(
    purpose: Purpose,
    transport: &Transport,
    server: &Server,
    credentials: Credentials,
) -> Result<Arc<dyn Forge>, ForgeError> {
    let name = || server.base.to_string();
    let kind = server.kind.ok_or_else(|| ForgeError::NoKind { server: name() })?;
    let (Some(dialect), Some(api)) = (dialect(kind), server.api()) else {
        return Err(ForgeError::NoApi { server: name() });
    };
    let base = BaseUrl::parse(&api, server.base.as_str())?;
    let client = Client::new(transport, base, credentials, &dialect.http, purpose);
    Ok((dialect.connect)(server.base.clone(), client))
}

/// Gets the pull request at `address`. If the server numbers issues and pull requests together, the address of an issue
/// will do too.
///
/// # Errors
/// [`ForgeError::OtherServer`] or [`ForgeError::NotAPullRequest`], or those of [`Forge::pull_request`].
pub async fn pull_request_at(forge: &dyn Forge, address: &Address) -> Result<PullRequest, ForgeError> {
    if address.base.as_ref() != Some(forge.server()) {
        let server = forge.server().to_string();
        return Err(ForgeError::OtherServer { address: address.to_string(), server });
    }
    let has_shared_numbers = || dialect(forge.kind()).is_some_and(|dialect| dialect.pages.shared_numbers);
    let not_a_pull_request = || ForgeError::NotAPullRequest { address: address.to_string() };
    match address.target {
        Target::PullRequest(number) => forge.pull_request(&address.project, number).await,
        Target::Issue(number) if has_shared_numbers() => {
            forge.pull_request(&address.project, number).await.map_err(|error| match error {
                ForgeError::NotFound { .. } => not_a_pull_request(),
                error => error,
            })
        }
        Target::Issue(_) | Target::Repo => Err(not_a_pull_request()),
    }
}
