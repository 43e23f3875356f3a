//! A run in which all clients are cut off and come back: what is published in which part of it.
//! Each part begins when the subject is told to go.

use crate::load::Load;

/// A part of a run's events.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Phase {
    /// Number of its first event.
    pub(crate) first: u64,
    /// Its events and their pace.
    pub(crate) load: Load,
}

/// The phases of a load. Usually it is one; where clients are cut off there are four: while all are
/// there, while they are away, from when they come back on, and one without events, at whose end a
/// subject says what it has counted since the third began.
pub(crate) fn phases(load: &Load) -> Vec<Phase> {
    let Load { events, away, live, spread_seconds, .. } = *load;
    if away == 0 {
        return vec![Phase { first: 0, load: load.clone() }];
    }
    let away_rate = match spread_seconds {
        0 => 0.0,
        seconds => away as f64 / seconds as f64,
    };
    let phase = |first, events, rate| Phase { first, load: Load { events, rate, ..load.clone() } };
    let all = events + away + live;
    vec![
        phase(0, events, 0.0),
        phase(events, away, away_rate),
        phase(events + away, live, load.rate),
        phase(all, 0, 0.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Settings;

    #[test]
    fn the_events_of_all_phases_follow_one_another() {
        let settings = Settings { events: Some(10), rate: Some(2.0), ..Settings::default() };
        let load = settings.load().unwrap();
        assert_eq!(phases(&load), [Phase { first: 0, load }]);
        let settings =
            Settings { away: Some(6), live: Some(5), spread_seconds: Some(3), ..settings };
        let phases = phases(&settings.load().unwrap());
        let told: Vec<_> =
            phases.iter().map(|phase| (phase.first, phase.load.events, phase.load.rate)).collect();
        assert_eq!(told, [(0, 10, 0.0), (10, 6, 2.0), (16, 5, 2.0), (21, 0, 0.0)]);
    }
}
