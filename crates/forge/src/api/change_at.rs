//! The change that an address names.

use kugetsu_domain::reference::ForgeKind;

use super::change::Change;
use super::error::ForgeError;
use super::forge::Forge;
use crate::address::{Address, What};

/// Asks for the change at `address`, as [`parse`](crate::parser::parse) has read it.
///
/// The address of an issue will do where issues and changes share their numbers, if a change has that number.
///
/// # Errors
/// The address is on another server or names something else than a change; or as [`Forge::change`].
pub async fn change_at(forge: &dyn Forge, address: &Address) -> Result<Change, ForgeError> {
    if address.base.as_ref().is_none_or(|base| base != forge.server()) {
        let server = forge.server().to_string();
        return Err(ForgeError::OtherServer { address: address.to_string(), server });
    }
    let not_a_change = || ForgeError::NotAChange { address: address.to_string() };
    match address.what {
        What::Change(number) => forge.change(&address.project, number).await,
        What::Issue(number) if forge.kind() != ForgeKind::GitLab => {
            let asked = forge.change(&address.project, number).await;
            asked.map_err(|error| if matches!(error, ForgeError::NotFound { .. }) { not_a_change() } else { error })
        }
        What::Issue(_) | What::Repo => Err(not_a_change()),
    }
}
