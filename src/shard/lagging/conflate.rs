//! Conflation: of the events with one key only the newest matters.

use rustc_hash::FxHashMap;

/// Which of some events are left when each event with a key replaces the one before with the same
/// key: their indices, ascending, so that they are in the order of their last updates. Events
/// without a key are all left. Each event is looked at once.
pub(in crate::shard) fn conflate<'a>(keys: impl Iterator<Item = Option<&'a str>>) -> Vec<usize> {
    // Keys come from publishers, which can be trusted not to make them collide.
    let mut newest: FxHashMap<&str, usize> = FxHashMap::default();
    let mut is_left = Vec::with_capacity(keys.size_hint().0);
    for (nth, key) in keys.enumerate() {
        if let Some(before) = key.and_then(|key| newest.insert(key, nth)) {
            is_left[before] = false;
        }
        is_left.push(true);
    }
    (0..is_left.len()).filter(|&nth| is_left[nth]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: an event is left unless a later one has its key.
    fn model(keys: &[Option<&str>]) -> Vec<usize> {
        let is_left = |&nth: &usize| keys[nth].is_none() || !keys[nth + 1..].contains(&keys[nth]);
        (0..keys.len()).filter(is_left).collect()
    }

    #[test]
    fn the_newest_of_each_key_is_left_in_the_order_of_last_updates() {
        let keys = [Some("a"), Some("b"), None, Some("a"), None, Some("c"), Some("b")];
        assert_eq!(conflate(keys.into_iter()), [2, 3, 4, 5, 6]);
        assert_eq!(conflate(std::iter::empty()), [0; 0]);
    }

    #[test]
    fn what_is_left_is_as_the_model_says_for_random_keys() {
        let mut random = fastrand::Rng::with_seed(3);
        let names: Vec<String> = (0..20).map(|n| format!("key-{n}")).collect();
        for _ in 0..2_000 {
            let count = random.usize(1..=names.len());
            let keys: Vec<Option<&str>> = (0..random.usize(..80))
                .map(|_| random.bool().then(|| &*names[random.usize(..count)]))
                .collect();
            let left = conflate(keys.iter().copied());
            assert_eq!(left, model(&keys));
            let again: Vec<Option<&str>> = left.iter().map(|&nth| keys[nth]).collect();
            assert_eq!(conflate(again.into_iter()).len(), left.len(), "twice is once");
        }
    }
}
