//! From one ruleset to another: as few operations as there are changes, in an order that the kernel accepts.

use std::collections::BTreeMap;

use crate::model::{Base, Chain, Entry, Family, FieldType, Key, Rule, Ruleset, Set, SetKind, Table};

/// One change of the table of a family. Within a transaction they take effect together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    AddTable,
    DeleteTable,
    AddSet { name: String, kind: SetKind, key: Vec<FieldType> },
    DeleteSet(String),
    AddChain { name: String, base: Option<Base> },
    FlushChain(String),
    DeleteChain(String),
    AddRule { chain: String, rule: Rule },
    AddElements { set: String, elements: Vec<(Key, Entry)> },
    DeleteElements { set: String, keys: Vec<Key> },
}

/// The changes of each family.
pub type Ops = BTreeMap<Family, Vec<Op>>;

/// Everything from nothing, whatever was there before.
#[must_use]
pub fn rebuild(new: &Ruleset) -> Ops {
    let mut all = diff(&Ruleset::default(), new);
    for ops in all.values_mut() {
        // Making it first lets it be deleted even where there is none.
        ops.splice(0..0, [Op::AddTable, Op::DeleteTable]);
    }
    all
}

/// The operations that turn `old` into `new`; empty when they are equal.
#[must_use]
pub fn diff(old: &Ruleset, new: &Ruleset) -> Ops {
    let mut all = Ops::new();
    let nothing = Table::default();
    for (family, table) in &new.tables {
        let mut ops = Vec::new();
        if !old.tables.contains_key(family) {
            ops.push(Op::AddTable);
        }
        tables(&mut ops, old.tables.get(family).unwrap_or(&nothing), table);
        all.insert(*family, ops);
    }
    for family in old.tables.keys().filter(|f| !new.tables.contains_key(f)) {
        all.insert(*family, vec![Op::DeleteTable]);
    }
    all.retain(|_, ops| !ops.is_empty());
    all
}

fn tables(ops: &mut Vec<Op>, old: &Table, new: &Table) {
    // What rules and elements refer to is made first, and deleted last.
    for (name, set) in &new.sets {
        if old.sets.get(name).is_none_or(|o| !same_set(o, set)) {
            ops.push(Op::AddSet { name: name.clone(), kind: set.kind, key: set.key.clone() });
        }
    }
    for (name, chain) in &new.chains {
        if !old.chains.contains_key(name) {
            ops.push(Op::AddChain { name: name.clone(), base: chain.base });
        }
    }
    for (name, chain) in &new.chains {
        rules(ops, name, old.chains.get(name), chain);
    }
    for (name, set) in &new.sets {
        elements(ops, name, old.sets.get(name), set);
    }
    for name in old.chains.keys().filter(|n| !new.chains.contains_key(*n)) {
        ops.push(Op::FlushChain(name.clone()));
    }
    for name in old.chains.keys().filter(|n| !new.chains.contains_key(*n)) {
        ops.push(Op::DeleteChain(name.clone()));
    }
    for name in old.sets.keys().filter(|n| !new.sets.contains_key(*n)) {
        ops.push(Op::DeleteSet(name.clone()));
    }
}

fn same_set(a: &Set, b: &Set) -> bool {
    a.kind == b.kind && a.key == b.key
}

fn rules(ops: &mut Vec<Op>, name: &str, old: Option<&Chain>, new: &Chain) {
    if old == Some(new) {
        return;
    }
    if old.is_some_and(|o| !o.rules.is_empty()) {
        ops.push(Op::FlushChain(name.into()));
    }
    ops.extend(new.rules.iter().map(|rule| Op::AddRule { chain: name.into(), rule: rule.clone() }));
}

fn elements(ops: &mut Vec<Op>, name: &str, old: Option<&Set>, new: &Set) {
    let nothing = BTreeMap::new();
    let old = old.map_or(&nothing, |s| &s.elements);
    // A changed element is deleted and added: the kernel has no replacing.
    let gone = old.iter().filter(|(k, e)| new.elements.get(*k) != Some(*e)).map(|(k, _)| k.clone());
    let keys: Vec<Key> = gone.collect();
    let came = new.elements.iter().filter(|(k, e)| old.get(*k) != Some(*e)).map(|(k, e)| (k.clone(), e.clone()));
    let elements: Vec<(Key, Entry)> = came.collect();
    if !keys.is_empty() {
        ops.push(Op::DeleteElements { set: name.into(), keys });
    }
    if !elements.is_empty() {
        ops.push(Op::AddElements { set: name.into(), elements });
    }
}
