//! Circles in a graph of names.

use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Graph = BTreeMap<String, BTreeSet<String>>;

/// The largest sets of nodes that all reach each other, without the sets of one node.
pub(crate) fn circles(graph: &Graph) -> BTreeSet<BTreeSet<String>> {
    let reachable: BTreeMap<&String, BTreeSet<&String>> =
        graph.keys().map(|node| (node, reachable_from(node, graph))).collect();
    let is_mutual =
        |a: &String, b: &String| reachable[a].contains(b) && reachable.get(b).is_some_and(|from_b| from_b.contains(a));
    let sets = graph.keys().map(|node| graph.keys().filter(|other| is_mutual(node, other)).cloned().collect());
    sets.filter(|set: &BTreeSet<String>| set.len() > 1).collect()
}

fn reachable_from<'a>(start: &String, graph: &'a Graph) -> BTreeSet<&'a String> {
    let mut found = BTreeSet::new();
    let mut left: Vec<&String> = graph[start].iter().collect();
    while let Some(node) = left.pop() {
        if found.insert(node) {
            left.extend(graph.get(node).into_iter().flatten());
        }
    }
    found
}

#[test]
fn circles_of_any_length_are_found() {
    let mut graph = Graph::new();
    for (from, to) in [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "f"), ("f", "e"), ("g", "g")] {
        graph.entry(from.to_owned()).or_default().insert(to.to_owned());
    }
    let sets: Vec<String> = circles(&graph).iter().map(|set| set.iter().cloned().collect::<String>()).collect();
    assert_eq!(sets, ["abc", "ef"]);
}
