//! The markers of processes: each belongs to one home, so that a copy of the home does not touch the processes of the original.

use std::io;

use kugetsu_api::home::Home;
use kugetsu_api::place::Place;
use kugetsu_domain::ids::RunId;
use kugetsu_process::{InvalidMarker, Marker};
use thiserror::Error;

/// Why a run's marker is not known.
#[derive(Debug, Error)]
pub enum MarkerError {
    #[error("could not read kugetsu's home: {0}")]
    Home(#[from] io::Error),
    #[error(transparent)]
    Invalid(#[from] InvalidMarker),
}

/// The marker of the processes of a run, or of another piece of work with a name of its own.
///
/// # Errors
/// The home cannot be read, or the name cannot be part of a marker.
pub fn marker(home: &Home, name: &str) -> Result<Marker, MarkerError> {
    Ok(Marker::new(format!("{name}{}", Place::of(home)?.suffix()))?)
}

/// The run of a marker's value, if it is one of this home's.
pub fn run_of(home: &Home, value: &str) -> Option<RunId> {
    value.strip_suffix(&Place::of(home).ok()?.suffix())?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marker_of_a_run_belongs_to_one_home() {
        let directory = tempfile::tempdir().unwrap();
        let [own, copy] = ["own", "copy"].map(|name| Home::new(directory.path().join(name)));
        for home in [&own, &copy] {
            std::fs::create_dir(home.path()).unwrap();
        }
        let run = RunId::new(uuid::Uuid::now_v7());
        let marker = marker(&own, &run.to_string()).unwrap();
        assert_eq!(run_of(&own, marker.id()), Some(run));
        assert_eq!(run_of(&copy, marker.id()), None);
        assert_eq!(run_of(&own, &run.to_string()), None);
    }
}
