//! A write's parts as JSON, in the kind that a policy's rule matched (`matchPolicy: Equivalent`). What only a conversion
//! webhook can turn is asked for, and the policies are judged again with its answer.
//! Docs: "Match constraints"; "Versions in CustomResourceDefinitions".

use super::matching::Gvk;
use serde_json::Value;

/// What was not turned.
#[derive(Clone, Debug, PartialEq)]
pub enum Unturned {
    /// Somebody has to be asked first.
    Unknown,
    Failed(String),
}

/// Where the parts of a write come from.
pub struct Parts<'p> {
    /// The object, the one that was, and the options. Called when a policy matches, and once.
    pub make: &'p dyn Fn() -> [Value; 3],
    /// A tree in another kind of the same objects.
    pub turn: &'p dyn Fn(&Value, &Gvk) -> Result<Value, Unturned>,
}

/// A tree that has to be turned before the policies can be judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub object: Value,
    pub to: Gvk,
}

/// Why something was not turned: it has to be asked for, or it failed.
pub(super) enum Missing {
    Wanted(Box<Wanted>),
    Failed(String),
}

impl Parts<'_> {
    /// A tree as `to`; what is null stays so.
    pub(super) fn turned(&self, tree: &Value, to: &Gvk) -> Result<Value, Missing> {
        if tree.is_null() || Gvk::of(tree) == *to {
            return Ok(tree.clone());
        }
        (self.turn)(tree, to).map_err(|e| match e {
            Unturned::Unknown => Missing::Wanted(Box::new(Wanted { object: tree.clone(), to: to.clone() })),
            Unturned::Failed(why) => Missing::Failed(why),
        })
    }
}
