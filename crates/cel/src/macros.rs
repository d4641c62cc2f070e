//! Macros: calls that stand for loops and bindings. CEL specification, "Macros"; cel-go's extensions for two variables,
//! optional values, bindings and sorting by a key.

use crate::ast::{Expr, Fold, Literal, Node, op};
use crate::error::Issue;
use crate::parse::{Parser, qualified};
use std::sync::Arc;

type Made = Result<Node, Issue>;

/// A call without a receiver.
pub(crate) fn global(p: &mut Parser, at: u32, function: Arc<str>, mut args: Vec<Node>) -> Made {
    if &*function == "has" && args.len() == 1 {
        let arg = args.remove(0);
        return match arg.expr {
            Expr::Select { operand, field, test: false } => p.node(at, Expr::Select { operand, field, test: true }),
            _ => Err(Issue::new(arg.at, "invalid argument to has() macro")),
        };
    }
    p.node(at, Expr::Call { target: None, function, args })
}

/// A call with a receiver.
pub(crate) fn member(p: &mut Parser, at: u32, target: Node, function: Arc<str>, args: Vec<Node>) -> Made {
    let bind = &*function == "bind" && args.len() == 3 && matches!(&target.expr, Expr::Ident(n) if &**n == "cel");
    if bind {
        return binding(p, at, args);
    }
    let kind = (&*function, args.len());
    match kind {
        ("all" | "exists" | "exists_one" | "existsOne" | "filter" | "sortBy" | "optMap" | "optFlatMap", 2) => {}
        ("all" | "exists" | "exists_one" | "existsOne" | "map" | "transformList" | "transformMap" | "transformMapEntry", 3)
        | ("transformList" | "transformMap" | "transformMapEntry", 4)
        | ("map", 2) => {}
        _ => return p.node(at, Expr::Call { target: Some(Box::new(target)), function, args }),
    }
    let m = Macro { at, target };
    match kind {
        ("all", n) => m.judge(p, args, n - 1, Judge::All),
        ("exists", n) => m.judge(p, args, n - 1, Judge::Exists),
        ("exists_one" | "existsOne", n) => m.judge(p, args, n - 1, Judge::One),
        ("filter", _) => m.filter(p, args),
        ("map", _) => m.list(p, args, 1),
        ("transformList", _) => m.list(p, args, 2),
        ("transformMap", _) => m.map(p, args, false),
        ("transformMapEntry", _) => m.map(p, args, true),
        ("sortBy", _) => m.sort_by(p, args),
        _ => m.optional(p, args, kind.0 == "optFlatMap"),
    }
}

enum Judge {
    All,
    Exists,
    One,
}

struct Macro {
    at: u32,
    target: Node,
}

fn variable(node: &Node) -> Result<Arc<str>, Issue> {
    match &node.expr {
        Expr::Ident(name) if !name.starts_with('.') => {
            if &**name == op::RESULT {
                return Err(Issue::new(node.at, "iteration variable overwrites accumulator variable"));
            }
            Ok(Arc::clone(name))
        }
        _ => Err(Issue::new(node.at, "argument must be a simple name")),
    }
}

fn result() -> Arc<str> {
    op::RESULT.into()
}

fn accu(p: &mut Parser, at: u32) -> Made {
    p.node(at, Expr::Ident(result()))
}

fn literal(p: &mut Parser, at: u32, l: Literal) -> Made {
    p.node(at, Expr::Literal(l))
}

impl Macro {
    /// The variables (one or two) off the front of the arguments.
    fn variables(args: &mut Vec<Node>, count: usize) -> Result<(Arc<str>, Option<Arc<str>>), Issue> {
        let mut front = args.drain(..count);
        let first = front.next().map(|n| variable(&n)).transpose()?.expect("macros have a variable");
        let second = front.next().map(|n| variable(&n)).transpose()?;
        Ok((first, second))
    }

    fn fold(self, p: &mut Parser, (var, var2): (Arc<str>, Option<Arc<str>>), parts: [Node; 4]) -> Made {
        let [init, condition, step, result_node] = parts;
        let fold = Fold { range: self.target, var, var2, accu: result(), init, condition, step, result: result_node };
        p.node(self.at, Expr::Fold(Box::new(fold)))
    }

    fn judge(self, p: &mut Parser, mut args: Vec<Node>, variables: usize, how: Judge) -> Made {
        let at = self.at;
        let vars = Self::variables(&mut args, variables)?;
        let test = args.remove(0);
        let parts = match how {
            Judge::All => {
                let init = literal(p, at, Literal::Bool(true))?;
                let a = accu(p, at)?;
                let condition = p.call(at, op::NOT_STRICTLY_FALSE, vec![a])?;
                let a = accu(p, at)?;
                [init, condition, p.call(at, op::AND, vec![a, test])?, accu(p, at)?]
            }
            Judge::Exists => {
                let init = literal(p, at, Literal::Bool(false))?;
                let a = accu(p, at)?;
                let not = p.call(at, op::NOT, vec![a])?;
                let condition = p.call(at, op::NOT_STRICTLY_FALSE, vec![not])?;
                let a = accu(p, at)?;
                [init, condition, p.call(at, op::OR, vec![a, test])?, accu(p, at)?]
            }
            Judge::One => {
                let init = literal(p, at, Literal::Int(0))?;
                let condition = literal(p, at, Literal::Bool(true))?;
                let (a, one) = (accu(p, at)?, literal(p, at, Literal::Int(1))?);
                let more = p.call(at, op::ADD, vec![a, one])?;
                let same = accu(p, at)?;
                let step = p.call(at, op::CONDITIONAL, vec![test, more, same])?;
                let (a, one) = (accu(p, at)?, literal(p, at, Literal::Int(1))?);
                [init, condition, step, p.call(at, op::EQUALS, vec![a, one])?]
            }
        };
        self.fold(p, vars, parts)
    }

    fn filter(self, p: &mut Parser, mut args: Vec<Node>) -> Made {
        let at = self.at;
        let vars = Self::variables(&mut args, 1)?;
        let element = p.node(at, Expr::Ident(Arc::clone(&vars.0)))?;
        self.collect(p, vars, Some(args.remove(0)), element)
    }

    fn list(self, p: &mut Parser, mut args: Vec<Node>, variables: usize) -> Made {
        let vars = Self::variables(&mut args, variables)?;
        let element = args.pop().expect("an element is given");
        self.collect(p, vars, args.pop(), element)
    }

    /// `[]`, and each element that passes the test appended.
    fn collect(self, p: &mut Parser, vars: (Arc<str>, Option<Arc<str>>), test: Option<Node>, element: Node) -> Made {
        let at = self.at;
        let init = p.node(at, Expr::List(Vec::new()))?;
        let condition = literal(p, at, Literal::Bool(true))?;
        let a = accu(p, at)?;
        let one = p.node(at, Expr::List(vec![(element, false)]))?;
        let mut step = p.call(at, op::ADD, vec![a, one])?;
        if let Some(test) = test {
            let same = accu(p, at)?;
            step = p.call(at, op::CONDITIONAL, vec![test, step, same])?;
        }
        let end = accu(p, at)?;
        self.fold(p, vars, [init, condition, step, end])
    }

    fn map(self, p: &mut Parser, mut args: Vec<Node>, entries: bool) -> Made {
        let at = self.at;
        let vars = Self::variables(&mut args, 2)?;
        let value = args.pop().expect("a value is given");
        let init = p.node(at, Expr::Map(Vec::new()))?;
        let condition = literal(p, at, Literal::Bool(true))?;
        let a = accu(p, at)?;
        let parts = if entries {
            vec![a, value]
        } else {
            let key = p.node(at, Expr::Ident(Arc::clone(&vars.0)))?;
            vec![a, key, value]
        };
        let mut step = p.call(at, op::MAP_INSERT, parts)?;
        if let Some(test) = args.pop() {
            let same = accu(p, at)?;
            step = p.call(at, op::CONDITIONAL, vec![test, step, same])?;
        }
        let end = accu(p, at)?;
        self.fold(p, vars, [init, condition, step, end])
    }

    /// The list, bound to a name, sorted by the keys that its elements map to.
    fn sort_by(self, p: &mut Parser, args: Vec<Node>) -> Made {
        const INPUT: &str = "@__sortBy_input__";
        let at = self.at;
        let range = p.node(at, Expr::Ident(INPUT.into()))?;
        let keys = Macro { at, target: range }.list(p, args, 1)?;
        let list = p.node(at, Expr::Ident(INPUT.into()))?;
        let sorted = p.node(
            at,
            Expr::Call { target: Some(Box::new(list)), function: op::SORT_BY_KEYS.into(), args: vec![keys] },
        )?;
        bound(p, at, INPUT.into(), self.target, sorted)
    }

    fn optional(self, p: &mut Parser, args: Vec<Node>, flat: bool) -> Made {
        let at = self.at;
        let mut args = args.into_iter();
        let (name, body) = (args.next().expect("two arguments"), args.next().expect("two arguments"));
        let var = variable(&name)?;
        let call = |p: &mut Parser, target: Node, name: &str| {
            p.node(at, Expr::Call { target: Some(Box::new(target)), function: name.into(), args: Vec::new() })
        };
        let repeatable = matches!(self.target.expr, Expr::Ident(_) | Expr::Select { .. });
        let _ = repeatable;
        let held: Arc<str> = "@__opt_target__".into();
        let first = p.node(at, Expr::Ident(Arc::clone(&held)))?;
        let has = call(p, first, "hasValue")?;
        let second = p.node(at, Expr::Ident(Arc::clone(&held)))?;
        let value = call(p, second, "value")?;
        let mapped = bound(p, at, var, value, body)?;
        let some = if flat { mapped } else { p.call(at, "optional.of", vec![mapped])? };
        let none = p.call(at, "optional.none", Vec::new())?;
        let chosen = p.call(at, op::CONDITIONAL, vec![has, some, none])?;
        bound(p, at, held, self.target, chosen)
    }
}

fn binding(p: &mut Parser, at: u32, args: Vec<Node>) -> Made {
    let mut args = args.into_iter();
    let (name, value, body) =
        (args.next().expect("three arguments"), args.next().expect("three arguments"), args.next().expect("three arguments"));
    let Expr::Ident(var) = &name.expr else {
        return Err(Issue::new(name.at, "cel.bind() variable names must be simple identifiers"));
    };
    debug_assert!(qualified(&name).is_some());
    bound(p, at, Arc::clone(var), value, body)
}

/// A name for a value in a body: a loop over nothing.
fn bound(p: &mut Parser, at: u32, name: Arc<str>, value: Node, body: Node) -> Made {
    let range = p.node(at, Expr::List(Vec::new()))?;
    let condition = literal(p, at, Literal::Bool(false))?;
    let step = p.node(at, Expr::Ident(Arc::clone(&name)))?;
    let fold = Fold { range, var: "#unused".into(), var2: None, accu: name, init: value, condition, step, result: body };
    p.node(at, Expr::Fold(Box::new(fold)))
}
