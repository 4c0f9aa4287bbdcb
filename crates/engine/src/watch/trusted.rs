//! Trust in a user, as the server reports it.

use kugetsu_domain::reference::ProjectPath;
use kugetsu_domain::watch::trust::Trust;
use kugetsu_forge::error::ForgeError;
use kugetsu_forge::forge::Forge;

/// Returns whether the policy trusts `login`; `None` if the token may not ask for what others may do, which is no trust. A list of
/// names costs no request.
///
/// # Errors
/// The request failed.
pub(crate) async fn is_trusted(
    trust: &Trust,
    forge: &dyn Forge,
    project: &ProjectPath,
    login: &str,
) -> Result<Option<bool>, ForgeError> {
    if let Trust::Names(_) = trust {
        return Ok(Some(trust.includes(login, None)));
    }
    match forge.permission(project, login).await {
        Ok(permission) => Ok(Some(trust.includes(login, Some(permission)))),
        Err(error @ ForgeError::Forbidden { .. }) => {
            tracing::warn!(login, project = %project, %error, "a user whose permission cannot be read is not trusted");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
