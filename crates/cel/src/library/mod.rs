//! The functions that expressions may call: the standard library, cel-go's extensions and Kubernetes' own. One row a
//! function: its name, what its cost goes by, what runs it, and its overloads as short signatures
//! (`string.(int,int):string` takes a receiver, `(string):int` does not). Docs: "Common Expression Language in Kubernetes".
//!
//! The table is read on first use: who has no expressions pays nothing for it.

pub(crate) mod authz;
pub(crate) mod convert;
pub(crate) mod format;
pub(crate) mod lists;
pub(crate) mod net;
pub(crate) mod operators;
pub(crate) mod optional;
pub(crate) mod printf;
pub(crate) mod quantity;
pub(crate) mod regexes;
pub(crate) mod semantic;
mod signature;
pub(crate) mod strings;
pub(crate) mod url;

use crate::error::EvalError;
use crate::types::Type;
use crate::value::Value;
use std::collections::HashMap;
use std::sync::LazyLock;

/// What a function comes to.
pub(crate) type Answer<'a> = Result<Value<'a>, EvalError>;
/// A function: its arguments, the receiver first.
pub(crate) type Run = for<'a> fn(&[Value<'a>]) -> Answer<'a>;

/// What the cost of a call goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    /// What the language's own rules say of the overload.
    Standard,
    /// The same for every call.
    Fixed(u64),
    /// A tenth of the size of the argument at that place, times a factor; whether the result is as large.
    Text(usize, u64, bool),
    Replace,
    Split,
    Join,
    Regex,
    /// Every element of the one against every element of the other.
    Pairs,
    /// Each element of the list, once.
    List,
}

/// A row of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) cost: Cost,
    pub(crate) run: Run,
    /// The name of each overload with its signature.
    pub(crate) overloads: &'static [(&'static str, &'static str)],
}

/// An overload, read.
#[derive(Debug)]
pub(crate) struct Overload {
    pub(crate) id: &'static str,
    pub(crate) member: bool,
    pub(crate) args: Vec<Type>,
    pub(crate) result: Type,
    /// How many type parameters it has.
    pub(crate) params: u32,
}

/// A function, read.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) cost: Cost,
    pub(crate) run: Run,
    pub(crate) overloads: Vec<Overload>,
}

static FUNCTIONS: LazyLock<HashMap<&'static str, Vec<Function>>> = LazyLock::new(|| {
    let tables = [
        operators::TABLE, convert::TABLE, strings::TABLE, lists::TABLE, regexes::TABLE, url::TABLE, net::TABLE, quantity::TABLE,
        semantic::TABLE, format::TABLE, authz::TABLE, optional::TABLE,
    ];
    let mut found: HashMap<&'static str, Vec<Function>> = HashMap::new();
    for row in tables.into_iter().flatten() {
        let overloads = row.overloads.iter().map(|(id, text)| signature::parse(id, text)).collect();
        found.entry(row.name).or_default().push(Function { name: row.name, cost: row.cost, run: row.run, overloads });
    }
    found
});

/// The functions of a name: libraries may each add overloads to one.
pub(crate) fn functions(name: &str) -> &'static [Function] {
    FUNCTIONS.get(name).map(Vec::as_slice).unwrap_or_default()
}

/// The `n`th argument as a text.
pub(crate) fn text<'v>(args: &'v [Value<'_>], n: usize) -> Result<&'v str, EvalError> {
    args.get(n).and_then(Value::as_text).ok_or_else(EvalError::overload)
}

/// The `n`th argument as an integer.
pub(crate) fn int(args: &[Value<'_>], n: usize) -> Result<i64, EvalError> {
    match args.get(n) {
        Some(Value::Int(i)) => Ok(*i),
        _ => Err(EvalError::overload()),
    }
}
