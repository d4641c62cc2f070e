//! The Common Expression Language as Kubernetes speaks it: a parser, a type checker over declared data, an evaluator that
//! looks at JSON where it lies, Kubernetes' libraries, and the cost model. Specification: github.com/google/cel-spec; docs:
//! "Common Expression Language in Kubernetes"; messages and costs are cel-go's (v0.26), as clients and limits know them.
//!
//! ```text
//!  source --parse--> tree (macros expanded) --check(Env)--> types, overloads --estimate--> Program --eval(Vars, budget)--> Value
//! ```
//!
//! Everything is a function of its arguments. Why not the `cel-core` crate: messages, overloads (`1.0 == 1`), costs, views of
//! JSON without copies and a bounded stack all needed another checker and evaluator than it has; a parser alone is small.

mod ast;
pub mod builtin;
mod check;
pub mod cost;
mod env;
mod error;
mod eval;
mod lex;
mod library;
mod macros;
mod opaque;
mod parse;
pub mod structural;
#[cfg(test)]
mod tests;
mod text;
mod time;
pub mod types;
mod unify;
mod value;

pub use env::{CostRange, Env, Program};
pub use error::{CompileError, EvalError, Issue};
pub use eval::{Outcome, Vars};
pub use opaque::{Asking, Authorizer, Decision, Opaque, Question, Stage};
pub use text::Text;
pub use types::{Decl, ListKind, Object, Shape, Type, escape, unescape};
pub use value::{Key, Lazy, List, Map, Struct, Value};
