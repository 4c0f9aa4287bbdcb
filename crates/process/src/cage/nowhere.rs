//! Systems other than Linux have no means for a cage.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use super::confinement::{Confinement, NoCage};
use super::layout::{BadCage, Caged};

/// The strongest means there is here. None.
///
/// # Errors
/// [`NoCage`], always.
pub fn best() -> Result<Confinement, NoCage> {
    Err(none())
}

/// Whether a means can be had here. None can.
///
/// # Errors
/// Always.
pub fn can_be_had(_confinement: Confinement) -> Result<(), String> {
    Err("needs Linux".to_owned())
}

fn none() -> NoCage {
    let tried = Confinement::ALL.map(|means| (means, "needs Linux".to_owned())).into();
    NoCage { tried, repair: "Use a Linux machine for what must run in a cage.".to_owned() }
}

/// Never made.
pub(crate) struct Cell(Infallible);

impl Cell {
    pub(crate) fn build(_caged: &Caged) -> Result<Self, BadCage> {
        Err(none().into())
    }

    pub(crate) fn command(&self, _: &OsStr, _: &Path, _: &[OsString], _: &Path) -> Result<Command, BadCage> {
        match self.0 {}
    }

    pub(crate) fn shut(self, _command: &mut Command) {
        match self.0 {}
    }
}
