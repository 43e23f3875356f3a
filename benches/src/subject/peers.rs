//! The peers of the benchmark: other servers, known from a manifest that is kept as data.
//!
//! The manifest is JSON (`benches/peers/peers.json`): the directory that commands run in, relative
//! to the manifest's own, and for each peer what it is, its command, the files that are there when
//! it is installed, and the scenarios that it can do. `build/peers/missing/NAME`, if it is there,
//! says why it could not be installed.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Error;

/// The manifest that is read unless another is named, relative to the working directory.
const MANIFEST: &str = "benches/peers/peers.json";
/// Where `benches/peers/install` notes what it could not install, relative to the manifest's root.
const MISSING: &str = "build/peers/missing";
/// The name that means every peer of the manifest among the subjects.
pub(crate) const ALL: &str = "all-peers";

/// All peers that are known.
#[derive(Debug, Default)]
pub(crate) struct Manifest {
    root: PathBuf,
    peers: Vec<Peer>,
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestFile {
    #[serde(default)]
    root: PathBuf,
    peers: Vec<Peer>,
}

/// One server that can be a subject.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peer {
    /// What it is called among the subjects.
    pub(crate) name: String,
    /// The software that it shows.
    pub(crate) software: String,
    /// Its exact version; empty if it cannot be had.
    #[serde(default)]
    pub(crate) version: String,
    /// What of the software is used, and how.
    pub(crate) description: String,
    /// The shell command that starts it, in the manifest's root.
    #[serde(default)]
    pub(crate) command: String,
    /// The files that are there when it is installed, relative to the root.
    #[serde(default)]
    needs: Vec<PathBuf>,
    /// The scenarios that it can do, all their parts, or single ones as `SCENARIO/PART`.
    scenarios: Vec<String>,
    /// How many deliveries one run without pause may ask of it, so that it is over in less than
    /// a minute; `None` is no bound.
    #[serde(default)]
    flood_deliveries_max: Option<u64>,
    /// Why it cannot be installed; `None` if it can be.
    #[serde(default)]
    unavailable: Option<String>,
}

/// A peer among the subjects of a run, and its outcome, for the report.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Note {
    pub(crate) name: String,
    /// Software and version; empty for a peer that was given as a bare command.
    pub(crate) software: String,
    pub(crate) outcome: Outcome,
    /// Why it was not measured, or in which run it failed and how.
    pub(crate) reason: Option<String>,
}

/// Whether a peer was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    Measured,
    NotInstalled,
    /// It is installed, but cannot do this scenario.
    Unable,
    Failed,
}

/// Runs of peers failed, and are in the report; all else went well.
#[derive(Debug)]
pub(crate) struct PeersFailed(pub(crate) Vec<String>);

impl std::fmt::Display for PeersFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "runs failed, see the report: {}", self.0.join(", "))
    }
}

impl std::error::Error for PeersFailed {}

impl Manifest {
    /// Reads a manifest: the one that is named, or the usual one if it is there.
    pub(crate) fn load(named: Option<&Path>) -> Result<Self, Error> {
        let path = named.unwrap_or(Path::new(MANIFEST));
        if named.is_none() && !path.exists() {
            return Ok(Self::default());
        }
        let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
        let file: ManifestFile = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        // Absolute, so that commands find their files whatever their working directory is.
        let root = fs::canonicalize(Path::new(".").join(folder).join(file.root))
            .map_err(|error| wrong(&error))?;
        Ok(Self { root, peers: file.peers })
    }

    /// The directory that commands run in.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// All peers, in the manifest's order.
    pub(crate) fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// The peer of this name.
    pub(crate) fn peer(&self, name: &str) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.name == name)
    }

    /// Whether a peer can be measured in a scenario; if not, why.
    pub(crate) fn check(&self, peer: &Peer, scenario: &str) -> Result<(), (Outcome, String)> {
        let absent = |reason| Err((Outcome::NotInstalled, reason));
        if let Some(reason) = &peer.unavailable {
            return absent(reason.clone());
        }
        if let Some(file) = peer.needs.iter().find(|file| !self.root.join(file).exists()) {
            let note = fs::read_to_string(self.root.join(MISSING).join(&peer.name));
            return absent(note.map_or_else(
                |_| format!("{} is not there (see `make bench-peers`)", file.display()),
                |note| note.trim().to_owned(),
            ));
        }
        if !peer.can(scenario) {
            return Err((Outcome::Unable, format!("cannot do {scenario}")));
        }
        Ok(())
    }
}

impl Peer {
    /// The note of an outcome.
    pub(crate) fn note(&self, outcome: Outcome, reason: Option<String>) -> Note {
        let software = format!("{} {}", self.software, self.version).trim_end().to_owned();
        let software = format!("{software} ({})", self.description);
        Note { name: self.name.clone(), software, outcome, reason }
    }

    /// How many events to publish to `clients` clients in a run, when `events` are asked for.
    pub(crate) fn bounded_events(&self, events: u64, rate: f64, clients: usize) -> u64 {
        match self.flood_deliveries_max {
            Some(deliveries) if rate == 0.0 => events.min(deliveries / clients as u64).max(1),
            _ => events,
        }
    }

    fn can(&self, scenario: &str) -> bool {
        self.scenarios.iter().any(|known| {
            scenario
                .strip_prefix(known.as_str())
                .is_some_and(|part| part.is_empty() || part.starts_with('/'))
        })
    }
}

impl Note {
    /// A peer that no manifest describes, before its first run.
    pub(crate) fn bare(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            software: String::new(),
            outcome: Outcome::Measured,
            reason: None,
        }
    }

    /// The line that is printed.
    pub(crate) fn line(&self) -> String {
        let outcome = match self.outcome {
            Outcome::Measured => "measured",
            Outcome::NotInstalled => "not installed",
            Outcome::Unable => "left out",
            Outcome::Failed => "FAILED",
        };
        let parts = [self.software.as_str(), outcome, self.reason.as_deref().unwrap_or("")];
        let shown: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        format!("{}: {}", self.name, shown.join(": "))
    }
}

/// Puts off the failure of peers until the rest was done as well; all other errors end it at once.
pub(crate) fn put_off(result: Result<(), Error>) -> Result<Result<(), Error>, Error> {
    match result {
        Err(error) if !error.is::<PeersFailed>() => Err(error),
        result => Ok(result),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_floods_are_bounded() {
        let peer: Peer = serde_json::from_str(
            r#"{"name": "a", "software": "b", "description": "c", "scenarios": [],
                "flood_deliveries_max": 1000}"#,
        )
        .unwrap();
        let events = [(20, 0.0, 10), (200, 0.0, 10), (200, 0.0, 5000), (200, 4.0, 10)]
            .map(|(events, rate, clients)| peer.bounded_events(events, rate, clients));
        assert_eq!(events, [20, 100, 1, 200]);
    }

    #[test]
    fn a_scenario_is_known_by_its_name_or_as_a_part_of_it() {
        let peer: Peer = serde_json::from_str(
            r#"{"name": "a", "software": "b", "description": "c", "scenarios": ["unicast", "paced/few"]}"#,
        )
        .unwrap();
        let can = ["unicast", "unicast/paced", "unicasting", "paced", "paced/few", "paced/fewer"]
            .map(|name| peer.can(name));
        assert_eq!(can, [true, true, false, false, true, false]);
    }
}
