//! Sets of paths, and their JSON form FieldsV1 (`f:`, `k:`, `v:`, `i:`, and `.` for a path that has members below it too).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Map, Value};

use super::path::{Element, Scalar};

/// Nesting of a field set that is read.
const MAX_DEPTH: u32 = 128;

/// A set of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    items: BTreeMap<Element, Node>,
}

/// What the set holds at and below one element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Whether the path itself is in the set.
    pub member: bool,
    /// The paths below it.
    pub below: Set,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }
}

impl Set {
    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// What it holds at an element.
    pub fn get(&self, element: &Element) -> Option<&Node> {
        self.items.get(element)
    }

    /// The first elements of its paths, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Element, &Node)> {
        self.items.iter()
    }

    /// Adds a path.
    pub fn insert(&mut self, path: &[Element]) {
        if let Some((first, rest)) = path.split_first() {
            let node = self.at(first);
            if rest.is_empty() {
                node.member = true;
            } else {
                node.below.insert(rest);
            }
        }
    }

    /// The node at an element, made if need be; the element is copied only then.
    fn at(&mut self, element: &Element) -> &mut Node {
        if !self.items.contains_key(element) {
            self.items.insert(element.clone(), Node::default());
        }
        self.items.get_mut(element).expect("it was there or has been put there")
    }

    /// Puts a node at an element, unless it holds nothing.
    pub(super) fn put(&mut self, element: Element, node: Node) {
        if node.is_empty() {
            return;
        }
        match self.items.entry(element) {
            Entry::Vacant(place) => drop(place.insert(node)),
            Entry::Occupied(here) => {
                let here = here.into_mut();
                here.member |= node.member;
                here.below.unite(&node.below);
            }
        }
    }

    /// Whether the path is in the set.
    pub fn has(&self, path: &[Element]) -> bool {
        match path.split_first() {
            Some((first, [])) => self.items.get(first).is_some_and(|node| node.member),
            Some((first, rest)) => self.items.get(first).is_some_and(|node| node.below.has(rest)),
            None => false,
        }
    }

    /// Adds every path of another set.
    pub fn unite(&mut self, other: &Set) {
        for (element, node) in &other.items {
            match self.items.get_mut(element) {
                Some(here) => {
                    here.member |= node.member;
                    here.below.unite(&node.below);
                }
                None => drop(self.items.insert(element.clone(), node.clone())),
            }
        }
    }

    fn combine(&self, other: &Set, keep: impl Fn(bool, bool) -> bool + Copy) -> Set {
        let nothing = Node::default();
        let mut out = Set::default();
        for (element, node) in &self.items {
            let theirs = other.items.get(element).unwrap_or(&nothing);
            out.put(element.clone(), Node { member: keep(node.member, theirs.member), below: node.below.combine(&theirs.below, keep) });
        }
        out
    }

    /// The paths that are not in another set.
    #[must_use]
    pub fn without(&self, other: &Set) -> Set {
        self.combine(other, |mine, theirs| mine && !theirs)
    }

    /// The paths that are in both sets.
    #[must_use]
    pub fn shared(&self, other: &Set) -> Set {
        self.combine(other, |mine, theirs| mine && theirs)
    }

    /// The set without any path that is in another set, or below one that is.
    #[must_use]
    pub fn without_below(&self, other: &Set) -> Set {
        let mut out = Set::default();
        for (element, node) in &self.items {
            match other.items.get(element) {
                Some(theirs) if theirs.member => {}
                Some(theirs) => out.put(element.clone(), Node { member: node.member, below: node.below.without_below(&theirs.below) }),
                None => out.put(element.clone(), node.clone()),
            }
        }
        out
    }

    /// Members of which another set knows neither the path nor anything below it.
    #[must_use]
    pub(super) fn orphans(&self, owned: &Set) -> Set {
        let mut out = Set::default();
        for (element, node) in &self.items {
            match owned.items.get(element) {
                Some(theirs) => out.put(element.clone(), Node { member: false, below: node.below.orphans(&theirs.below) }),
                None => out.put(element.clone(), node.clone()),
            }
        }
        out
    }

    /// Every path, in order.
    pub fn paths(&self) -> Vec<Vec<Element>> {
        let mut all = Vec::new();
        self.collect(&mut Vec::new(), &mut all);
        all
    }

    fn collect(&self, prefix: &mut Vec<Element>, all: &mut Vec<Vec<Element>>) {
        for (element, node) in &self.items {
            prefix.push(element.clone());
            if node.member {
                all.push(prefix.clone());
            }
            node.below.collect(prefix, all);
            prefix.pop();
        }
    }

    /// The FieldsV1 form.
    pub fn to_fields_v1(&self) -> Value {
        let mut map = Map::new();
        for (element, node) in &self.items {
            let mut below = node.below.to_fields_v1();
            if node.member && !node.below.is_empty() {
                below["."] = Value::Object(Map::new());
            }
            map.insert(element_text(element), below);
        }
        Value::Object(map)
    }

    /// From the FieldsV1 form; `None` if it is none.
    pub fn from_fields_v1(fields: &Value) -> Option<Self> {
        read(fields, MAX_DEPTH).map(|node| node.below)
    }
}

fn read(fields: &Value, depth: u32) -> Option<Node> {
    let mut node = Node::default();
    let map = fields.as_object().filter(|_| depth > 0)?;
    for (name, value) in map {
        if name == "." {
            node.member = true;
            continue;
        }
        let mut below = read(value, depth - 1)?;
        below.member |= value.as_object().is_some_and(Map::is_empty);
        // Elements of kinds that are not known are left out, as upstream does.
        if let Some(element) = element_of(name)? {
            node.below.put(element, below);
        }
    }
    Some(node)
}

fn element_text(element: &Element) -> String {
    match element {
        Element::Field(name) => format!("f:{name}"),
        Element::Key(keys) => {
            let map: Map<String, Value> = keys.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
            format!("k:{}", Value::Object(map))
        }
        Element::Value(value) => format!("v:{}", value.0),
        Element::Index(index) => format!("i:{index}"),
    }
}

/// `None`: malformed; `Some(None)`: of an unknown kind.
fn element_of(text: &str) -> Option<Option<Element>> {
    let (kind, rest) = text.split_once(':')?;
    Some(Some(match kind {
        "f" => Element::Field(rest.to_owned()),
        "v" => Element::Value(Scalar(serde_json::from_str(rest).ok()?)),
        "i" => Element::Index(rest.parse().ok()?),
        "k" => {
            let map: Map<String, Value> = serde_json::from_str(rest).ok()?;
            Element::Key(map.into_iter().map(|(name, value)| (name, Scalar(value))).collect())
        }
        _ => return Some(None),
    }))
}
