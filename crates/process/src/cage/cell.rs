//! One process's cage, ready to be used: all that takes memory is done before the fork.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::Command;

use super::bubblewrap::{self, Bubblewrap};
use super::confinement::Confinement;
use super::landlock::Landlock;
use super::layout::{BadCage, Caged};
use super::places::Places;

/// To be used once.
pub(crate) struct Cell {
    places: Places,
    walls: Walls,
}

enum Walls {
    Bubblewrap(Bubblewrap),
    Landlock(Landlock),
}

impl Cell {
    /// Looks at the paths and prepares what the kernel is to be told.
    ///
    /// # Errors
    /// [`BadCage`].
    pub(crate) fn build(caged: &Caged) -> Result<Self, BadCage> {
        let places = Places::look(&caged.cage)?;
        let system = |source: io::Error| BadCage::System { confinement: caged.confinement, source };
        let walls = match caged.confinement {
            Confinement::Bubblewrap => Walls::Bubblewrap(Bubblewrap::build().map_err(system)?),
            Confinement::Landlock => Walls::Landlock(Landlock::build(&places).map_err(system)?),
        };
        Ok(Self { places, walls })
    }

    /// The command that starts `program`, which was `found` there, in this cage and in `cwd`.
    ///
    /// # Errors
    /// [`BadCage::OutOfSight`].
    pub(crate) fn command(
        &self,
        program: &OsStr,
        found: &Path,
        args: &[OsString],
        cwd: &Path,
    ) -> Result<Command, BadCage> {
        let hidden_too = match &self.walls {
            Walls::Bubblewrap(_) => bubblewrap::private(),
            Walls::Landlock(_) => Vec::new(),
        };
        for path in [found, cwd] {
            if !self.places.shows(path, &hidden_too) {
                return Err(BadCage::OutOfSight { path: path.to_owned() });
            }
        }
        let mut command = match &self.walls {
            Walls::Bubblewrap(bubblewrap) => bubblewrap.command(&self.places, cwd, program),
            Walls::Landlock(_) => Command::new(program),
        };
        command.args(args);
        Ok(command)
    }

    /// Makes `command` shut itself in, as the last thing before it becomes its program.
    pub(crate) fn shut(self, command: &mut Command) {
        match self.walls {
            Walls::Bubblewrap(bubblewrap) => bubblewrap.hand_over(command),
            Walls::Landlock(landlock) => landlock.shut(command),
        }
    }
}
