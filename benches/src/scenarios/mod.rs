//! The scenarios' definitions: data, read from `benches/scenarios.json` or a file like it.
//!
//! A definition has two sizes, `full` for figures and `small` for tests. A size is a set of
//! parameters ([`Settings`]), and may have parts, which are run in turn and have parameters of
//! their own beside or instead of the common ones. What a command line gives comes last, and goes
//! to the parts that have such a parameter.

pub(crate) mod alone;
pub(crate) mod connections;
pub(crate) mod publish_call;
pub(crate) mod reconnect;
pub(crate) mod restart;
pub(crate) mod run;
pub(crate) mod session;
pub(crate) mod sinks;
pub(crate) mod streaming;
pub(crate) mod topics;
pub(crate) mod two_topics;

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::load::{Load, Settings};
use crate::Error;

const BUILT_IN: &str = include_str!("../../scenarios.json");

/// All definitions, in the order of their file.
pub(crate) struct Catalog(Vec<Definition>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    name: String,
    /// One line.
    about: String,
    kind: Kind,
    /// Which figures are compared from part to part.
    #[serde(default)]
    across: Vec<String>,
    full: SizeDefinition,
    small: SizeDefinition,
}

/// How a scenario is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Events flow to clients.
    Stream,
    /// Clients connect, once.
    Connect,
    /// Clients are there, and nothing happens.
    IdleMemory,
    /// Clients come and go.
    Churn,
    /// All clients are cut off, and come back with the id that they had.
    Reconnect,
    /// Deliveries to connections without sockets; subjects are numbers of connections.
    Sinks,
    /// The same with a topic for each; subjects are numbers of topics.
    TopicsSinks,
    /// Calls of `publish`; subjects are languages.
    PublishCall,
}

#[derive(Deserialize)]
struct SizeDefinition {
    #[serde(default)]
    parts: Vec<PartDefinition>,
    #[serde(flatten)]
    common: Map<String, Value>,
}

#[derive(Deserialize)]
struct PartDefinition {
    part: String,
    /// The part that this one is compared with.
    beside: Option<String>,
    #[serde(flatten)]
    own: Map<String, Value>,
}

/// How much of a scenario is run.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Size {
    /// For figures: minutes
    #[default]
    Full,
    /// For tests: seconds
    Small,
}

/// A scenario that can be run.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) across: Vec<String>,
    /// How often each subject of each part is run.
    pub(crate) repeat: usize,
    pub(crate) parts: Vec<Part>,
}

/// One part of it; there is at least one.
#[derive(Debug)]
pub(crate) struct Part {
    /// `None` for the only one.
    pub(crate) name: Option<String>,
    /// Name of the part that this one is compared with.
    pub(crate) beside: Option<String>,
    pub(crate) subjects: Vec<String>,
    /// Whether the system decides on which core each process runs.
    pub(crate) unpinned: bool,
    /// How often each peer is run, if that is less often than others.
    pub(crate) peer_repeat: Option<usize>,
    pub(crate) load: Load,
    /// What is none of the load's.
    pub(crate) settings: Settings,
    /// All that was set, for the report.
    pub(crate) parameters: Map<String, Value>,
}

impl Catalog {
    /// Reads a file of definitions, or those that are built in.
    ///
    /// # Errors
    ///
    /// When there is no such file, or one of its definitions could not be run.
    pub(crate) fn read(file: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = file else { return Self::parse(BUILT_IN) };
        let named = |error: Error| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| named(error.into()))?;
        Ok(Self::parse(&text).map_err(named)?)
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let catalog = Self(serde_json::from_str(text)?);
        for (index, definition) in catalog.0.iter().enumerate() {
            if catalog.0[..index].iter().any(|other| other.name == definition.name) {
                return Err(format!("two scenarios are called {:?}", definition.name).into());
            }
            for size in [Size::Full, Size::Small] {
                definition.resolve(size, &[], &Settings::default())?;
            }
        }
        Ok(catalog)
    }

    /// A scenario by its name; of its parts those that are named, or all.
    ///
    /// # Errors
    ///
    /// When there is none of that name, or it cannot be run with what `overrides` asks for.
    pub(crate) fn scenario(
        &self,
        name: &str,
        size: Size,
        parts: &[String],
        overrides: &Settings,
    ) -> Result<Scenario, Error> {
        let Some(definition) = self.0.iter().find(|definition| definition.name == name) else {
            let names: Vec<&str> = self.0.iter().map(|d| d.name.as_str()).collect();
            return Err(format!("no scenario {name:?}; there are {}", names.join(", ")).into());
        };
        definition.resolve(size, parts, overrides)
    }

    /// Every scenario of a size with its line of description.
    pub(crate) fn all(&self, size: Size) -> Result<Vec<(&str, Scenario)>, Error> {
        let resolved =
            |definition: &Definition| definition.resolve(size, &[], &Settings::default());
        self.0.iter().map(|d| Ok((d.about.as_str(), resolved(d)?))).collect()
    }
}

impl Scenario {
    /// One that is in no file: a single part without subjects.
    pub(crate) fn alone(name: &str, settings: &Settings) -> Result<Self, Error> {
        let (part, repeat) = Part::new(None, settings.to_map())?;
        let (name, across) = (name.to_owned(), Vec::new());
        Ok(Self { name, kind: Kind::Stream, across, repeat, parts: vec![part] })
    }
}

impl Definition {
    fn resolve(
        &self,
        size: Size,
        names: &[String],
        overrides: &Settings,
    ) -> Result<Scenario, Error> {
        let (size_name, definition) = match size {
            Size::Full => ("full", &self.full),
            Size::Small => ("small", &self.small),
        };
        let whose = |what: &str, error: Error| format!("{}, {size_name}{what}: {error}", self.name);
        let mut parts = definition.parts(names).map_err(|error| whose("", error))?;
        override_in(&mut parts, overrides).map_err(|error| whose("", error))?;
        let mut repeat = 1;
        let mut resolved: Vec<Part> = Vec::new();
        for (part, settings) in parts {
            let named = part.map_or_else(String::new, |part| format!(", part {:?}", part.part));
            let (made, times) = Part::new(part, settings).map_err(|error| whose(&named, error))?;
            let before =
                |name: &str| resolved.iter().any(|part| part.name.as_deref() == Some(name));
            if made.name.as_deref().is_some_and(before) {
                return Err(whose(&named, "two parts have this name".into()).into());
            }
            if let (Some(beside), true) = (&made.beside, names.is_empty()) {
                if !before(beside) {
                    let error = format!("beside {beside:?}, which is no part before it");
                    return Err(whose(&named, error.into()).into());
                }
            }
            repeat = repeat.max(times);
            resolved.push(made);
        }
        let across = self.across.clone();
        Ok(Scenario { name: self.name.clone(), kind: self.kind, across, repeat, parts: resolved })
    }
}

type Chosen<'a> = Vec<(Option<&'a PartDefinition>, Map<String, Value>)>;

impl SizeDefinition {
    /// The parts of these names with all their parameters, or all parts.
    fn parts(&self, names: &[String]) -> Result<Chosen<'_>, Error> {
        let known = |name: &String| self.parts.iter().any(|part| part.part == *name);
        if let Some(unknown) = names.iter().find(|name| !known(name)) {
            let parts: Vec<&str> = self.parts.iter().map(|part| part.part.as_str()).collect();
            return Err(format!("no part {unknown:?}; there are {parts:?}").into());
        }
        if self.parts.is_empty() {
            return Ok(vec![(None, self.common.clone())]);
        }
        let chosen = |part: &&PartDefinition| names.is_empty() || names.contains(&part.part);
        let whole = |part: &PartDefinition| {
            let mut map = self.common.clone();
            map.extend(part.own.clone());
            map
        };
        Ok(self.parts.iter().filter(chosen).map(|part| (Some(part), whole(part))).collect())
    }
}

/// Sets what was asked for in all parts that have such a parameter.
fn override_in(parts: &mut Chosen, overrides: &Settings) -> Result<(), Error> {
    const OF_ALL: [&str; 4] = ["repeat", "peer_repeat", "subjects", "shards"];
    for (name, value) in overrides.to_map() {
        let name = name.as_str();
        let mut before: Option<Value> = None;
        let mut count = 0;
        for (_, settings) in parts.iter_mut() {
            if !settings.contains_key(name) && !OF_ALL.contains(&name) {
                continue;
            }
            let replaced = settings.insert(name.to_owned(), value.clone());
            let varies = before.is_some() && replaced.is_some() && before != replaced;
            if varies && !OF_ALL.contains(&name) {
                let how = "pick one with --part, or give a definition of your own with --scenarios";
                return Err(format!("{name} differs from part to part: {how}").into());
            }
            before = before.or(replaced);
            count += 1;
        }
        if count == 0 {
            return Err(format!("there is no parameter {name} here").into());
        }
    }
    Ok(())
}

impl Part {
    /// A part, and how often it is to be run.
    fn new(
        definition: Option<&PartDefinition>,
        settings: Map<String, Value>,
    ) -> Result<(Self, usize), Error> {
        let settings = Settings::from_map(settings)?;
        let load = settings.load()?;
        let repeat = settings.repeat.unwrap_or(1);
        let mut parameters = settings.to_map();
        parameters.remove("subjects");
        if load.events > 0 {
            parameters.insert("events".to_owned(), load.events.into());
        }
        let part = Self {
            name: definition.map(|definition| definition.part.clone()),
            beside: definition.and_then(|definition| definition.beside.clone()),
            subjects: settings.subjects.clone().unwrap_or_default(),
            unpinned: settings.unpinned.unwrap_or(false),
            peer_repeat: settings.peer_repeat,
            load,
            parameters,
            settings,
        };
        Ok((part, repeat))
    }

    /// Its parameters as one line.
    pub(crate) fn parameters_line(&self) -> String {
        let words = self.parameters.iter().map(|(name, value)| format!("{name} {value}"));
        words.collect::<Vec<_>>().join("  ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(scenario: &str) -> Result<Catalog, String> {
        Catalog::parse(&format!("[{scenario}]")).map_err(|error| error.to_string())
    }

    const TWO: &str = r#"{"name": "two", "about": "a", "kind": "stream",
        "full": {"repeat": 3, "clients": 10, "bytes": 64, "subjects": ["fanfare"], "parts": [
            {"part": "paced", "rate": 4, "seconds": 5},
            {"part": "flood", "beside": "paced", "events": 7, "subjects": ["floor-b"]}]},
        "small": {"clients": 2, "events": 1}}"#;

    #[test]
    fn the_definitions_that_are_built_in_can_be_run() {
        let catalog = Catalog::read(None).unwrap();
        for size in [Size::Full, Size::Small] {
            for (about, scenario) in catalog.all(size).unwrap() {
                assert!(!about.is_empty() && !scenario.parts.is_empty());
                for part in &scenario.parts {
                    assert!(!part.subjects.is_empty(), "{}: {part:?}", scenario.name);
                }
            }
        }
    }

    #[test]
    fn a_part_has_the_common_parameters_and_its_own() {
        let scenario =
            catalog(TWO).unwrap().scenario("two", Size::Full, &[], &Settings::default()).unwrap();
        assert_eq!(scenario.repeat, 3);
        let [paced, flood] = &scenario.parts[..] else { panic!("{scenario:?}") };
        assert_eq!((paced.load.events, paced.load.rate, paced.load.clients), (20, 4.0, 10));
        assert_eq!((flood.load.events, flood.load.rate, flood.load.bytes), (7, 0.0, 64));
        assert_eq!(
            (&paced.subjects[..], &flood.subjects[..]),
            (&["fanfare".to_owned()][..], &["floor-b".to_owned()][..])
        );
        assert_eq!(flood.beside.as_deref(), Some("paced"));
    }

    #[test]
    fn what_the_command_line_gives_goes_where_there_is_such_a_parameter() {
        let catalog = catalog(TWO).unwrap();
        let overrides = Settings {
            rate: Some(8.0),
            clients: Some(3),
            subjects: Some(vec!["x".to_owned()]),
            ..Settings::default()
        };
        let scenario = catalog.scenario("two", Size::Full, &[], &overrides).unwrap();
        let [paced, flood] = &scenario.parts[..] else { panic!("{scenario:?}") };
        assert_eq!((paced.load.rate, paced.load.events, paced.load.clients), (8.0, 40, 3));
        assert_eq!((flood.load.rate, flood.load.events, flood.load.clients), (0.0, 7, 3));
        assert_eq!((&paced.subjects, &flood.subjects), (&flood.subjects, &paced.subjects));

        let part = ["paced".to_owned()];
        let overrides = Settings { seconds: Some(9), ..Settings::default() };
        let scenario = catalog.scenario("two", Size::Full, &part, &overrides).unwrap();
        assert_eq!((scenario.parts.len(), scenario.parts[0].load.events), (1, 36));
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let catalog_two = catalog(TWO).unwrap();
        let error = |overrides: Settings, part: &[&str]| {
            let part: Vec<String> = part.iter().map(|part| (*part).to_owned()).collect();
            catalog_two.scenario("two", Size::Full, &part, &overrides).unwrap_err().to_string()
        };
        let slow = Settings { slow: Some(1), ..Settings::default() };
        assert!(error(slow, &[]).contains("no parameter slow"));
        assert!(error(Settings::default(), &["x"]).contains("no part \"x\""));
        let none = catalog_two.scenario("x", Size::Full, &[], &Settings::default()).unwrap_err();
        assert!(none.to_string().contains("there are two"));

        for (from, to, message) in [
            ("\"seconds\": 5", "\"secs\": 5", "two, full, part \"paced\": unknown field `secs`"),
            ("\"events\": 7", "\"events\": 0", "part \"flood\": events must be 1 to"),
            ("\"beside\": \"paced\"", "\"beside\": \"x\"", "beside \"x\", which is no part"),
            ("\"part\": \"flood\"", "\"part\": \"paced\"", "two parts have this name"),
            ("\"about\"", "\"abuot\"", "unknown field `abuot`"),
            ("\"kind\": \"stream\"", "\"kind\": \"steam\"", "unknown variant `steam`"),
        ] {
            let error = catalog(&TWO.replace(from, to)).err().unwrap();
            assert!(error.contains(message), "{error}");
        }
        let error = catalog(&format!("{TWO}, {TWO}")).err().unwrap();
        assert!(error.contains("two scenarios are called"), "{error}");
    }

    #[test]
    fn a_parameter_that_the_parts_are_about_is_not_overridden() {
        let swept = TWO.replace("\"rate\": 4", "\"clients\": 5, \"rate\": 4");
        let overrides = Settings { clients: Some(3), ..Settings::default() };
        let catalog = catalog(&swept).unwrap();
        let error = catalog.scenario("two", Size::Full, &[], &overrides).unwrap_err().to_string();
        assert!(error.contains("clients differs from part to part"), "{error}");
    }
}
