//! Filters in a tree of their levels, to find those that match a topic without comparing each.
//!
//! ```text
//!   orders/+/status   orders/+/#   orders/42        orders
//!                                                   /    \
//!                                                  +      42
//!                                                /   \
//!                                           status    #
//! ```
//!
//! A topic is matched from the root down: each node's child with the name of the topic's next level
//! matches, and so do the children `+` and `#`. Neither wildcard can be a level of a topic, so the
//! three are always different children.
//!
//! Filters come from clients, and a filter of 256 bytes may have 257 levels. With a node for each
//! level it would take a hundred times as much memory as it has bytes. So there is a node only
//! where a filter ends or two filters differ, which has all levels since its parent: fewer than two
//! nodes for each filter, for any filters.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Bound;

use super::pattern::{may_begin_with_wildcard, Filter, Levels, ALL_BELOW, ONE_LEVEL};
use crate::topic::Topic;

/// A map from filters to values that knows which filters match a topic.
pub(crate) struct FilterTree<V> {
    /// Has no level and no filter.
    root: Node<V>,
    len: usize,
}

struct Node<V> {
    /// The levels that it adds to those of its parent, as in the text of a filter.
    levels: Box<str>,
    /// The filter that ends here.
    here: Option<(Filter, V)>,
    /// By their first level. A tree allocates and frees a little at a time, however many children
    /// there are; a hash table that grows would move all of them at once, while publishers wait.
    children: BTreeMap<Box<str>, Node<V>>,
}

impl<V> Default for FilterTree<V> {
    fn default() -> FilterTree<V> {
        FilterTree { root: Node::new(""), len: 0 }
    }
}

impl<V> FilterTree<V> {
    /// How many filters there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[cfg(test)]
    pub(crate) fn get(&self, filter: &Filter) -> Option<&V> {
        let mut node = &self.root;
        let mut rest = Some(filter.as_str());
        while let Some(levels) = rest {
            node = node.children.get(first(levels))?;
            rest = node.behind(levels)?;
        }
        node.here.as_ref().map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, filter: &Filter) -> Option<&mut V> {
        let mut node = &mut self.root;
        let mut rest = Some(filter.as_str());
        while let Some(levels) = rest {
            node = node.children.get_mut(first(levels))?;
            rest = node.behind(levels)?;
        }
        node.here.as_mut().map(|(_, value)| value)
    }

    /// The value of a filter, which is added if there is none.
    pub(crate) fn get_or_insert_with(
        &mut self,
        filter: &Filter,
        make: impl FnOnce() -> V,
    ) -> &mut V {
        let mut node = &mut self.root;
        let mut rest = Some(filter.as_str());
        while let Some(levels) = rest {
            node = node.children.entry(first(levels).into()).or_insert_with(|| Node::new(levels));
            let shared = shared(&node.levels, levels);
            node.split(shared);
            rest = levels.get(shared + 1..);
        }
        let (_, value) = node.here.get_or_insert_with(|| {
            self.len += 1;
            (filter.clone(), make())
        });
        value
    }

    pub(crate) fn remove(&mut self, filter: &Filter) -> Option<V> {
        let (_, value) = self.root.remove(Some(filter.as_str()))?;
        self.len -= 1;
        Some(value)
    }

    /// Visits each filter that matches a topic once, in no order.
    ///
    /// Visits those nodes only whose levels match the first levels of the topic, and looks up three
    /// children of each.
    pub(crate) fn for_each_match(&self, topic: &Topic, mut visit: impl FnMut(&Filter, &V)) {
        let levels = Levels::of(topic.as_str());
        let mut open: Vec<_> = self.root.matching(levels, may_begin_with_wildcard(topic)).collect();
        while let Some((node, rest)) = open.pop() {
            if let (true, Some((filter, value))) = (rest.is_empty(), &node.here) {
                visit(filter, value);
            }
            open.extend(node.matching(rest, true));
        }
    }

    /// Visits the filters behind one of them, or all, until a visit returns false. They come in the
    /// order of their levels: so a walk that goes on behind the last filter it has visited misses
    /// none and visits none twice, whatever is added and removed meanwhile.
    pub(crate) fn for_each_after(
        &self,
        after: Option<&Filter>,
        mut visit: impl FnMut(&Filter, &V) -> bool,
    ) {
        match after {
            None => self.root.visit(&mut visit),
            Some(filter) => self.root.visit_after(Some(filter.as_str()), &mut visit),
        };
    }
}

impl<V> Node<V> {
    fn new(levels: &str) -> Node<V> {
        Node { levels: levels.into(), here: None, children: BTreeMap::new() }
    }

    /// The levels of a filter that are left after the node's; `None` if it does not begin with all
    /// of the node's.
    fn behind<'f>(&self, levels: &'f str) -> Option<Option<&'f str>> {
        let shared = shared(&self.levels, levels);
        (shared == self.levels.len()).then(|| levels.get(shared + 1..))
    }

    /// The children that match the next levels of a topic, each with the levels that are left.
    fn matching<'n, 't>(
        &'n self,
        rest: Levels<'t>,
        wildcards: bool,
    ) -> impl Iterator<Item = (&'n Node<V>, Levels<'t>)> + use<'n, 't, V> {
        let name = { rest }.next();
        let one_level = name.and(wildcards.then_some(ONE_LEVEL));
        let all_below = wildcards.then_some(ALL_BELOW);
        [name, one_level, all_below].into_iter().flatten().filter_map(move |key| {
            let child = self.children.get(key)?;
            Some((child, rest.past(&child.levels)?))
        })
    }

    /// Visits the node's filter and those below, until a visit returns false. False then.
    fn visit(&self, visit: &mut impl FnMut(&Filter, &V) -> bool) -> bool {
        self.here.as_ref().is_none_or(|(filter, value)| visit(filter, value))
            && self.children.values().all(|child| child.visit(visit))
    }

    /// Does so for the filters behind one that has all levels of the node, and then those of
    /// `rest`.
    fn visit_after(&self, rest: Option<&str>, visit: &mut impl FnMut(&Filter, &V) -> bool) -> bool {
        let Some(levels) = rest else {
            return self.children.values().all(|child| child.visit(visit));
        };
        let name = first(levels);
        let same = self.children.get(name).is_none_or(|child| {
            let shared = shared(&child.levels, levels);
            match (child.levels.get(shared + 1..), levels.get(shared + 1..)) {
                (None, rest) => child.visit_after(rest, visit),
                (Some(below), Some(rest)) if first(below) < first(rest) => true,
                (Some(_), _) => child.visit(visit),
            }
        });
        let behind = (Bound::Excluded(name), Bound::Unbounded);
        same && self.children.range::<str, _>(behind).all(|(_, child)| child.visit(visit))
    }

    /// Splits the node at a byte: it keeps the levels before, and a new child has the others.
    fn split(&mut self, at: usize) {
        let Some(levels) = self.levels.get(at + 1..) else { return };
        let below = Node {
            levels: levels.into(),
            here: self.here.take(),
            children: mem::take(&mut self.children),
        };
        self.children.insert(first(levels).into(), below);
        self.levels = self.levels[..at].into();
    }

    /// The reverse of [`Node::split`]: replaces the node by its only child.
    fn join(&mut self) {
        if let Some(mut only) = mem::take(&mut self.children).into_values().next() {
            only.levels = format!("{}/{}", self.levels, only.levels).into();
            *self = only;
        }
    }

    fn remove(&mut self, rest: Option<&str>) -> Option<(Filter, V)> {
        let Some(levels) = rest else { return self.here.take() };
        let name = first(levels);
        let child = self.children.get_mut(name)?;
        let removed = child.remove(child.behind(levels)?)?;
        match (&child.here, child.children.len()) {
            (None, 0) => {
                self.children.remove(name);
            }
            (None, 1) => child.join(),
            _ => {}
        }
        Some(removed)
    }
}

fn first(levels: &str) -> &str {
    levels.split('/').next().unwrap_or_default()
}

/// How many bytes are in the whole levels that two texts have in common. The first level has to be
/// the same.
fn shared(a: &str, b: &str) -> usize {
    let same = a.split('/').zip(b.split('/')).take_while(|(a, b)| a == b);
    same.map(|(level, _)| level.len() + "/".len()).sum::<usize>() - "/".len()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::super::tests::{matches_naively, texts_of, CASES};
    use super::*;

    impl<V> Node<V> {
        /// How many nodes are below; checks that each is needed.
        fn count(&self) -> usize {
            let below = self.children.iter().map(|(key, node)| {
                assert_eq!(&**key, first(&node.levels));
                assert!(node.here.is_some() || node.children.len() > 1, "{:?}", node.levels);
                1 + node.count()
            });
            below.sum()
        }
    }

    impl<V: Copy + Ord> FilterTree<V> {
        fn matches(&self, topic: &Topic) -> Vec<(Filter, V)> {
            let mut matches = Vec::new();
            self.for_each_match(topic, |filter, &value| matches.push((filter.clone(), value)));
            matches.sort();
            matches
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(Filter),
        Replace(Index),
        Remove(Index),
        RemoveAny(Filter),
        Match(Topic),
    }

    fn filters() -> impl Strategy<Value = Filter> {
        texts_of("\\+|#|a|b|é|\\$|").prop_map(|text| Filter::new(&text).unwrap())
    }

    fn topics() -> impl Strategy<Value = Topic> {
        texts_of("a|b|é|\\$|").prop_map(|text| Topic::new(&text).unwrap())
    }

    fn steps() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => filters().prop_map(Step::Insert),
            1 => any::<Index>().prop_map(Step::Replace),
            2 => any::<Index>().prop_map(Step::Remove),
            1 => filters().prop_map(Step::RemoveAny),
            4 => topics().prop_map(Step::Match),
        ]
    }

    /// A tree, and a model of it.
    #[derive(Default)]
    struct Pair {
        tree: FilterTree<usize>,
        model: BTreeMap<Filter, usize>,
    }

    impl Pair {
        /// Any filter of the model.
        fn any(&self, index: Index) -> Option<Filter> {
            let nth = index.index(self.model.len().max(1));
            self.model.keys().nth(nth).cloned()
        }

        fn step(&mut self, step: Step, number: usize) {
            match step {
                Step::Insert(filter) => {
                    let value = *self.tree.get_or_insert_with(&filter, || number);
                    assert_eq!(value, *self.model.entry(filter).or_insert(number));
                }
                Step::Replace(index) => {
                    if let Some(filter) = self.any(index) {
                        *self.tree.get_mut(&filter).unwrap() = number;
                        self.model.insert(filter, number);
                    }
                }
                Step::Remove(index) => {
                    if let Some(filter) = self.any(index) {
                        self.remove(&filter);
                    }
                }
                Step::RemoveAny(filter) => self.remove(&filter),
                Step::Match(topic) => {
                    let asked = self.model.iter().map(|(filter, &value)| (filter.clone(), value));
                    let asked = asked.filter(|(f, _)| matches_naively(f.as_str(), topic.as_str()));
                    assert_eq!(self.tree.matches(&topic), asked.collect::<Vec<_>>(), "{topic}");
                }
            }
        }

        fn remove(&mut self, filter: &Filter) {
            assert_eq!(self.tree.remove(filter), self.model.remove(filter), "{filter}");
            assert_eq!(self.tree.get(filter), None);
            assert_eq!(self.tree.get_mut(filter), None);
        }

        fn check(&self) {
            assert_eq!(self.tree.len(), self.model.len());
            assert_eq!(self.tree.is_empty(), self.model.is_empty());
            assert!(self.tree.root.count() < (2 * self.model.len()).max(1));
            for (filter, value) in &self.model {
                assert_eq!(self.tree.get(filter), Some(value), "{filter}");
            }
            self.check_walk();
        }

        /// A walk in parts comes by each filter once, in the order of their levels.
        fn check_walk(&self) {
            let mut walked: Vec<Filter> = Vec::new();
            loop {
                let (before, after) = (walked.len(), walked.last().cloned());
                self.tree.for_each_after(after.as_ref(), |filter, value| {
                    assert_eq!(self.model.get(filter), Some(value));
                    walked.push(filter.clone());
                    walked.len() < before + 3
                });
                if walked.len() < before + 3 {
                    break;
                }
            }
            assert_eq!(walked.len(), self.model.len());
            let levels = |filter: &Filter| -> Vec<String> {
                filter.as_str().split('/').map(str::to_owned).collect()
            };
            assert!(walked.is_sorted_by_key(levels), "{walked:?}");
            // Behind a filter that is not there, too.
            for gone in self.model.keys().filter_map(|filter| {
                Filter::new(&format!("{}/b", filter.as_str().trim_end_matches("/#"))).ok()
            }) {
                let mut rest = Vec::new();
                self.tree.for_each_after(Some(&gone), |filter, _| {
                    rest.push(filter.clone());
                    true
                });
                let from = walked.partition_point(|filter| levels(filter) <= levels(&gone));
                assert_eq!(rest, walked[from..], "behind {gone}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: CASES,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn the_tree_finds_the_filters_that_match_and_has_no_superfluous_nodes(
            steps in proptest::collection::vec(steps(), 1..100),
            order in any::<Index>(),
        ) {
            let mut pair = Pair::default();
            for (number, step) in steps.into_iter().enumerate() {
                pair.step(step, number);
                pair.check();
            }
            while let Some(filter) = pair.any(order) {
                pair.remove(&filter);
                pair.check();
            }
            prop_assert!(pair.tree.is_empty());
            prop_assert_eq!(pair.tree.root.count(), 0);
        }
    }

    #[test]
    fn filters_of_257_levels_have_a_node_each_and_one_where_they_differ() {
        let mut tree = FilterTree::default();
        let long = |end: &str| Filter::new(&format!("{}{end}", "/".repeat(255))).unwrap();
        for end in ["/", "a", "+", "#"] {
            tree.get_or_insert_with(&long(end), || 0);
        }
        assert_eq!((tree.len(), tree.root.count()), (4, 5));
        let slashes = |count| Topic::new(&"/".repeat(count)).unwrap();
        let found = |count| tree.matches(&slashes(count)).into_iter().map(|(filter, _)| filter);
        assert_eq!(found(256).collect::<Vec<_>>(), [long("#"), long("/")]);
        assert_eq!(found(255).collect::<Vec<_>>(), [long("#"), long("+")]);
        assert_eq!(found(254).collect::<Vec<_>>(), [long("#")]);
        assert_eq!(found(253).count(), 0);
    }
}
