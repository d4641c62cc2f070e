//! Walking values by their shape: the set of fields a value states, what differs between two values, merging an applied
//! configuration into an object, and taking fields out of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::path::{Element, Scalar, same};
use super::set::{Node, Set};
use crate::{Form, Shape};

const NOTHING: &[Value] = &[];

/// How a value merges, with what the shape leaves open decided by the value.
pub(super) fn form(shape: Shape<'_>, value: &Value) -> Form {
    match shape.form() {
        Form::Deduced => match value {
            Value::Object(_) => Form::Granular,
            Value::Array(_) => Form::Atomic,
            _ => Form::Scalar,
        },
        stated => stated,
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(NOTHING, Vec::as_slice)
}

pub(super) fn child<'a>(shape: Shape<'a>, key: &str) -> Shape<'a> {
    shape.child(key).unwrap_or(Shape::Any)
}

/// What names an item of a list of that form.
pub(super) fn element(item: &Value, shape: Shape<'_>, form: Form) -> Element {
    if form == Form::Set {
        return Element::Value(Scalar(item.clone()));
    }
    let mut keys: Vec<(String, Scalar)> = Vec::new();
    for key in shape.keys() {
        let value = item.get(key).filter(|value| !value.is_null()).cloned().or_else(|| shape.key_default(key));
        keys.extend(value.map(|value| (key.to_owned(), Scalar(value))));
    }
    keys.sort();
    Element::Key(keys)
}

/// The fields that a value states.
pub fn field_set(value: &Value, shape: Shape<'_>) -> Set {
    stated(value, shape).below
}

fn stated(value: &Value, shape: Shape<'_>) -> Node {
    let mut node = Node::default();
    let form = form(shape, value);
    match (form, value) {
        (Form::Granular, Value::Object(map)) => {
            for (key, value) in map {
                let mut inner = stated(value, child(shape, key));
                let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                inner.member |= empty || !shape.declares(key);
                node.below.put(Element::Field(key.clone()), inner);
            }
        }
        (Form::Map | Form::Set, Value::Array(list)) => {
            for item in list {
                let mut inner = if form == Form::Map { stated(item, shape.element()) } else { Node::default() };
                inner.member = true;
                node.below.put(element(item, shape, form), inner);
            }
        }
        (Form::Granular | Form::Map | Form::Set, _) => {}
        _ => node.member = true,
    }
    node
}

/// What differs between two values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Fields that only the new one has.
    pub added: Set,
    /// Fields whose values differ.
    pub modified: Set,
    /// Fields that only the old one has.
    pub removed: Set,
}

impl Comparison {
    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// What was written: added and modified fields.
    pub fn written(&self) -> Set {
        let mut all = self.added.clone();
        all.unite(&self.modified);
        all
    }
}

/// Compares two values of one shape.
pub fn compare(old: &Value, new: &Value, shape: Shape<'_>) -> Comparison {
    let mut walk = Compare { path: Vec::new(), found: Comparison::default() };
    walk.values(Some(old), Some(new), shape);
    walk.found
}

struct Compare {
    path: Vec<Element>,
    found: Comparison,
}

impl Compare {
    fn at(&mut self, element: Element, old: Option<&Value>, new: Option<&Value>, shape: Shape<'_>) {
        self.path.push(element);
        self.values(old, new, shape);
        self.path.pop();
    }

    fn values(&mut self, old: Option<&Value>, new: Option<&Value>, shape: Shape<'_>) {
        if let (Some(old), Some(new)) = (old, new)
            && old == new
        {
            return;
        }
        let telling = new.filter(|value| !value.is_null()).or(old).unwrap_or(&Value::Null);
        let form = form(shape, telling);
        let nothing = |value: Option<&Value>| match value {
            Some(Value::Object(map)) => map.is_empty(),
            Some(Value::Array(list)) => list.is_empty(),
            other => other.is_none_or(Value::is_null),
        };
        if matches!(form, Form::Scalar | Form::Atomic | Form::Deduced) || nothing(old) && nothing(new) {
            return self.leaf(old, new);
        }
        match (old, new) {
            (None, Some(_)) => self.found.added.insert(&self.path),
            (Some(_), None) => self.found.removed.insert(&self.path),
            _ => {}
        }
        let (old, new) = (old.unwrap_or(&Value::Null), new.unwrap_or(&Value::Null));
        match form {
            Form::Granular => self.maps(old, new, shape),
            _ => self.lists(items(old), items(new), shape, form),
        }
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (None, Some(_)) => self.found.added.insert(&self.path),
            (Some(_), None) => self.found.removed.insert(&self.path),
            (Some(old), Some(new)) if !same(old, new) => self.found.modified.insert(&self.path),
            _ => {}
        }
    }

    fn maps(&mut self, old: &Value, new: &Value, shape: Shape<'_>) {
        let empty = Map::new();
        let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
        for (key, value) in old {
            let now = new.get(key);
            // Most members of most writes: no name of them needs to be made.
            if now != Some(value) {
                self.at(Element::Field(key.clone()), Some(value), now, child(shape, key));
            }
        }
        for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
            self.at(Element::Field(key.clone()), None, Some(value), child(shape, key));
        }
    }

    fn lists(&mut self, old: &[Value], new: &[Value], shape: Shape<'_>, form: Form) {
        let mut pairs: BTreeMap<Element, (Option<&Value>, Option<&Value>)> = BTreeMap::new();
        for item in old {
            pairs.entry(element(item, shape, form)).or_default().0.get_or_insert(item);
        }
        for item in new {
            pairs.entry(element(item, shape, form)).or_default().1.get_or_insert(item);
        }
        let inner = if form == Form::Set { Shape::Scalar } else { shape.element() };
        for (element, (old, new)) in pairs {
            self.at(element, old, new, inner);
        }
    }
}

/// Merges an applied configuration into an object.
pub fn merge(live: &Value, config: &Value, shape: Shape<'_>) -> Value {
    let form = form(shape, config);
    match (form, live, config) {
        (Form::Granular | Form::Map | Form::Set, _, Value::Null) => live.clone(),
        (Form::Granular, Value::Object(live), Value::Object(config)) => {
            let mut out = live.clone();
            for (key, value) in config {
                let merged = match live.get(key) {
                    Some(before) => merge(before, value, child(shape, key)),
                    None => value.clone(),
                };
                out.insert(key.clone(), merged);
            }
            Value::Object(out)
        }
        (Form::Map | Form::Set, Value::Array(live), Value::Array(config)) => Value::Array(merge_lists(live, config, shape, form)),
        _ => config.clone(),
    }
}

/// Items of the configuration in its order. Those that only the object has come before them, but not before an item that both
/// have and that precedes them in the object.
fn merge_lists(live: &[Value], config: &[Value], shape: Shape<'_>, form: Form) -> Vec<Value> {
    let mine: Vec<Element> = live.iter().map(|item| element(item, shape, form)).collect();
    let theirs: Vec<Element> = config.iter().map(|item| element(item, shape, form)).collect();
    // The first of an element counts.
    let places: BTreeMap<&Element, usize> = mine.iter().enumerate().rev().map(|(at, e)| (e, at)).collect();
    let stated: BTreeSet<&Element> = theirs.iter().collect();
    // From each item of the configuration on, the first that the object has too.
    let mut shared: Vec<Option<&Element>> = vec![None; theirs.len()];
    let mut last = None;
    for (at, e) in theirs.iter().enumerate().rev() {
        if places.contains_key(e) {
            last = Some(e);
        }
        shared[at] = last;
    }
    let mut out = Vec::with_capacity(live.len() + config.len());
    let mut next = 0;
    for (at, item) in config.iter().enumerate() {
        while let Some(own) = mine.get(next) {
            match () {
                () if !stated.contains(own) => out.push(live[next].clone()),
                () if Some(own) == shared[at] && *own != theirs[at] => break,
                () => {}
            }
            next += 1;
            if *own == theirs[at] {
                break;
            }
        }
        out.push(match places.get(&theirs[at]) {
            Some(place) if form == Form::Map => merge(&live[*place], item, shape.element()),
            _ => item.clone(),
        });
    }
    out.extend(live.iter().zip(&mine).skip(next).filter(|(_, e)| !stated.contains(e)).map(|(item, _)| item.clone()));
    out
}

/// Takes the members of a set out of a value. What becomes empty by that goes too, unless `kept` holds its path.
pub fn remove(value: &Value, gone: &Set, kept: &Set, shape: Shape<'_>) -> Value {
    if gone.is_empty() {
        return value.clone();
    }
    let form = form(shape, value);
    match (form, value) {
        (Form::Granular, Value::Object(map)) => {
            let left = map.iter().filter_map(|(key, value)| {
                let left = inner(value, &Element::Field(key.clone()), gone, kept, child(shape, key), &[])?;
                Some((key.clone(), left))
            });
            Value::Object(left.collect())
        }
        (Form::Map | Form::Set, Value::Array(list)) => {
            let keys = shape.keys();
            Value::Array(list.iter().filter_map(|item| inner(item, &element(item, shape, form), gone, kept, shape.element(), &keys)).collect())
        }
        _ => value.clone(),
    }
}

/// What is left of one field or item; an item that stays keeps its keys.
fn inner(value: &Value, at: &Element, gone: &Set, kept: &Set, shape: Shape<'_>, keys: &[&str]) -> Option<Value> {
    let Some(node) = gone.get(at) else { return Some(value.clone()) };
    if node.member {
        return None;
    }
    let nothing = Node::default();
    let keep = kept.get(at).unwrap_or(&nothing);
    let mut left = remove(value, &node.below, &keep.below, shape);
    let empty = match &left {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    if empty && !keep.member {
        return None;
    }
    for key in keys {
        if let (Some(value), Some(map)) = (value.get(*key), left.as_object_mut()) {
            map.entry(*key).or_insert_with(|| value.clone());
        }
    }
    Some(left)
}
