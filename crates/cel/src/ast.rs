//! The abstract syntax of an expression, macros expanded: literals, names, selections, calls, literals of lists, maps and
//! structs, and the one loop (the comprehension). CEL specification, "Abstract syntax".

use std::sync::Arc;

/// A node's number within its expression.
pub(crate) type Id = u32;

/// A literal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
}

/// A node with its place in the source (in bytes).
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) id: Id,
    pub(crate) at: u32,
    /// How many nodes lie on the longest way down, this one included.
    pub(crate) depth: u16,
    pub(crate) expr: Expr,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Expr {
    Literal(Literal),
    Ident(Arc<str>),
    Select { operand: Box<Node>, field: Arc<str>, test: bool },
    Call { target: Option<Box<Node>>, function: Arc<str>, args: Vec<Node> },
    /// Elements, each with whether it is an optional one.
    List(Vec<(Node, bool)>),
    Map(Vec<(Node, Node, bool)>),
    Struct { name: Arc<str>, fields: Vec<(Arc<str>, Node, bool)> },
    Fold(Box<Fold>),
}

/// A loop: every macro over a range is one.
#[derive(Clone, Debug)]
pub(crate) struct Fold {
    pub(crate) range: Node,
    pub(crate) var: Arc<str>,
    /// The second variable, of the two-variable macros.
    pub(crate) var2: Option<Arc<str>>,
    pub(crate) accu: Arc<str>,
    pub(crate) init: Node,
    pub(crate) condition: Node,
    pub(crate) step: Node,
    pub(crate) result: Node,
}

impl Expr {
    /// The longest way down below a node of this kind.
    pub(crate) fn depth_below(&self) -> u16 {
        let max = |nodes: &[&Node]| nodes.iter().map(|n| n.depth).max().unwrap_or_default();
        match self {
            Self::Literal(_) | Self::Ident(_) => 0,
            Self::Select { operand, .. } => operand.depth,
            Self::Call { target, args, .. } => args.iter().chain(target.as_deref()).map(|n| n.depth).max().unwrap_or_default(),
            Self::List(items) => items.iter().map(|(n, _)| n.depth).max().unwrap_or_default(),
            Self::Map(entries) => entries.iter().map(|(k, v, _)| k.depth.max(v.depth)).max().unwrap_or_default(),
            Self::Struct { fields, .. } => fields.iter().map(|(_, n, _)| n.depth).max().unwrap_or_default(),
            Self::Fold(f) => max(&[&f.range, &f.init, &f.condition, &f.step, &f.result]),
        }
    }
}

/// Names of operators, as functions.
pub(crate) mod op {
    pub(crate) const AND: &str = "_&&_";
    pub(crate) const OR: &str = "_||_";
    pub(crate) const NOT: &str = "!_";
    pub(crate) const NEGATE: &str = "-_";
    pub(crate) const CONDITIONAL: &str = "_?_:_";
    pub(crate) const INDEX: &str = "_[_]";
    pub(crate) const OPT_INDEX: &str = "_[?_]";
    pub(crate) const OPT_SELECT: &str = "_?._";
    pub(crate) const EQUALS: &str = "_==_";
    pub(crate) const NOT_EQUALS: &str = "_!=_";
    pub(crate) const IN: &str = "@in";
    pub(crate) const ADD: &str = "_+_";
    pub(crate) const NOT_STRICTLY_FALSE: &str = "@not_strictly_false";
    pub(crate) const MAP_INSERT: &str = "cel.@mapInsert";
    pub(crate) const SORT_BY_KEYS: &str = "@sortByAssociatedKeys";
    /// The hidden accumulator of a loop.
    pub(crate) const RESULT: &str = "@result";
}
