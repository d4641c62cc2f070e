//! What a program can cost, estimated before it ever runs: sizes come from literals and from the bounds of declared data,
//! loops multiply. Mirrors cel-go's estimator in what it knows and what it does not, since the limits are set by it.

use super::size::Size;
use super::{REGEX_FACTOR, TEXT_FACTOR};
use crate::ast::{Expr, Fold, Id, Literal, Node, op};
use crate::check::Checked;
use crate::env::{Call, CostRange, Env, Ref};
use crate::eval::{LIST_COST, MAP_COST, STRUCT_COST};
use crate::library::Cost;
use crate::types::{Decl, Shape, Type};
use std::collections::HashMap;
use std::sync::Arc;

/// Estimates a checked tree.
pub(crate) fn estimate(env: &Env, root: &Node, checked: &Checked) -> CostRange {
    let mut e = Estimator { env, checked, sizes: HashMap::new(), decls: HashMap::new(), scope: Vec::new() };
    e.node(root)
}

/// What is known of a local variable.
struct Local {
    name: Arc<str>,
    decl: Option<Arc<Decl>>,
    size: Option<Size>,
}

struct Estimator<'e> {
    env: &'e Env,
    checked: &'e Checked,
    sizes: HashMap<Id, Size>,
    /// Declarations of nodes that are read from declared data.
    decls: HashMap<Id, Arc<Decl>>,
    scope: Vec<Local>,
}

fn is_scalar(ty: &Type) -> bool {
    matches!(ty, Type::Bool | Type::Double | Type::Duration | Type::Int | Type::Timestamp | Type::Uint)
}

/// The declaration of elements.
fn items(decl: &Decl) -> Option<Arc<Decl>> {
    match &decl.shape {
        Shape::List(of, _) | Shape::Map(of) => Some(Arc::clone(of)),
        _ => None,
    }
}

/// Whether a value is computed, not read from declared data: it has no path there. cel-go makes paths of what is taken out of such
/// values all the same, and Kubernetes, which skips the first part of a path, finds the whole data at their end.
fn is_pathless(node: &Node) -> bool {
    match &node.expr {
        Expr::Ident(_) | Expr::Select { .. } => false,
        Expr::Call { function, .. } => &**function != op::INDEX,
        _ => true,
    }
}

impl Estimator<'_> {
    /// The data that the program is about.
    fn root(&self) -> Option<Arc<Decl>> {
        self.env.variable("self").cloned()
    }

    fn ty(&self, node: &Node) -> &Type {
        &self.checked.types[node.id as usize]
    }

    fn size(&self, node: &Node) -> Size {
        if let Some(s) = self.sizes.get(&node.id) {
            return *s;
        }
        match &node.expr {
            Expr::Literal(Literal::Text(t)) => return Size::exactly(t.chars().count() as u64),
            Expr::Literal(Literal::Bytes(b)) => return Size::exactly(b.len() as u64),
            Expr::List(items) => return Size::exactly(items.len() as u64),
            Expr::Map(entries) => return Size::exactly(entries.len() as u64),
            _ => {}
        }
        match self.decls.get(&node.id) {
            Some(d) => Size::up_to(d.max),
            None if is_scalar(self.ty(node)) => Size::ONE,
            None => Size::UNKNOWN,
        }
    }

    fn node(&mut self, node: &Node) -> CostRange {
        match &node.expr {
            Expr::Literal(_) => CostRange::ZERO,
            Expr::Ident(name) => {
                if let Some(local) = self.scope.iter().rev().find(|l| l.name == *name) {
                    self.decls.extend(local.decl.clone().map(|d| (node.id, d)));
                    self.sizes.extend(local.size.map(|s| (node.id, s)));
                } else if let Some(d) = self.env.variable(name.trim_start_matches('.')) {
                    self.decls.insert(node.id, Arc::clone(d));
                }
                CostRange::ONE
            }
            Expr::Select { operand, field, test } => self.select(node, operand, field, *test),
            Expr::Call { target, function, args } => self.call(node, target.as_deref(), function, args),
            Expr::List(items) => items.iter().fold(CostRange::fixed(LIST_COST), |c, (n, _)| c.plus(self.node(n))),
            Expr::Map(entries) => {
                entries.iter().fold(CostRange::fixed(MAP_COST), |c, (k, v, _)| c.plus(self.node(k)).plus(self.node(v)))
            }
            Expr::Struct { fields, .. } => fields.iter().fold(CostRange::fixed(STRUCT_COST), |c, (_, n, _)| c.plus(self.node(n))),
            Expr::Fold(fold) => self.fold(node, fold),
        }
    }

    fn select(&mut self, node: &Node, operand: &Node, field: &str, test: bool) -> CostRange {
        let cost = self.node(operand);
        if test || matches!(self.checked.refs[node.id as usize], Ref::Variable(_)) {
            return cost;
        }
        if is_pathless(operand) {
            self.decls.extend(self.root().map(|d| (node.id, d)));
        } else {
            self.descend(node.id, operand.id, field);
        }
        match self.ty(operand) {
            Type::Map(_) | Type::Object(_) | Type::Param(_) => cost.plus(CostRange::ONE),
            _ => cost,
        }
    }

    fn descend(&mut self, id: Id, operand: Id, field: &str) {
        let Some(of) = self.decls.get(&operand) else { return };
        let found = match &of.shape {
            Shape::Object(o) => o.field(field),
            Shape::Map(of) => Some(Arc::clone(of)),
            _ => None,
        };
        self.decls.extend(found.map(|d| (id, d)));
    }

    fn call(&mut self, node: &Node, target: Option<&Node>, function: &str, args: &[Node]) -> CostRange {
        let costs: Vec<CostRange> = args.iter().map(|a| self.node(a)).collect();
        let mut sum = target.map_or(CostRange::ZERO, |t| self.node(t));
        match (function, args) {
            (op::AND | op::OR, [_, _]) => return CostRange { min: costs[0].min, max: costs[0].plus(costs[1]).max },
            (op::CONDITIONAL, [_, then, otherwise]) => {
                let size = self.size(then).or(self.size(otherwise));
                self.sizes.insert(node.id, size);
                return costs[0].plus(costs[1].or(costs[2]));
            }
            (op::OPT_SELECT, [operand, Node { expr: Expr::Literal(Literal::Text(field)), .. }]) => {
                self.descend(node.id, operand.id, field);
                return costs[0].plus(CostRange::ONE);
            }
            (op::INDEX | op::OPT_INDEX, [of, _]) => {
                let found = if is_pathless(of) { self.root() } else { self.decls.get(&of.id).and_then(|d| items(d)) };
                self.decls.extend(found.map(|d| (node.id, d)));
            }
            _ => {}
        }
        sum = costs.iter().fold(sum, |s, c| s.plus(*c));
        let Ref::Calls(calls) = &self.checked.refs[node.id as usize] else { return sum };
        let all: Vec<&Node> = target.into_iter().chain(args).collect();
        let mut own: Option<CostRange> = None;
        let mut result: Option<Size> = None;
        for call in calls {
            let (cost, size) = self.overload(*call, &all);
            own = Some(own.map_or(cost, |c| c.or(cost)));
            result = size.map(|s| result.map_or(s, |r| r.or(s))).or(result);
        }
        self.sizes.extend(result.map(|s| (node.id, s)));
        sum.plus(own.unwrap_or(CostRange::ZERO))
    }

    /// What one overload costs beside its arguments, and how large its result is.
    fn overload(&self, call: Call, args: &[&Node]) -> (CostRange, Option<Size>) {
        let size = |n: usize| args.get(n).map_or(Size::ONE, |a| self.size(a));
        let factor = |f: u64| TEXT_FACTOR * f as f64;
        match call.function.cost {
            Cost::Fixed(n) => (CostRange::fixed(n), None),
            Cost::Text(n, f, same) => (size(n).each(factor(f)), same.then(|| size(n))),
            Cost::Replace => {
                let (text, from, to) = (size(0), size(1), size(2));
                let max = match from.min {
                    0 => text.max.saturating_add(1).saturating_mul(to.max).saturating_add(text.max),
                    _ if to.max <= from.min => text.max,
                    n => text.max.div_ceil(n).saturating_mul(to.max),
                };
                (text.each(factor(2)), Some(Size::up_to(max)))
            }
            Cost::Split => (size(0).each(factor(2)), Some(Size::up_to(size(0).max))),
            Cost::Join => self.join(args),
            Cost::Regex => (self.regex(size(0), size(1)), Some(Size::up_to(size(0).max))),
            Cost::Pairs => {
                let both = size(0).times(size(args.len().saturating_sub(1)));
                (both.each(1.0).plus(CostRange::ONE), Some(size(0)))
            }
            Cost::List => (size(0).each(1.0), None),
            Cost::Standard => self.standard(call.overload.id, &size),
        }
    }

    fn join(&self, args: &[&Node]) -> (CostRange, Option<Size>) {
        let Some(list) = args.first() else { return (CostRange::ONE, None) };
        let count = self.size(list);
        let element = self.decls.get(&list.id).and_then(|d| items(d)).map_or(Size::UNKNOWN, |d| Size::up_to(d.max));
        let separator = args.get(1).map_or(Size::exactly(0), |a| self.size(a));
        let total = count.times(element).plus(count.times(separator));
        (total.each(TEXT_FACTOR), Some(total))
    }

    fn regex(&self, text: Size, pattern: Size) -> CostRange {
        text.plus(Size::ONE).each(TEXT_FACTOR).times(pattern.each(REGEX_FACTOR))
    }

    fn standard(&self, id: &str, size: &dyn Fn(usize) -> Size) -> (CostRange, Option<Size>) {
        match id {
            "string_format" => (size(0).each(TEXT_FACTOR), None),
            "string_to_bytes" => (size(0).each(TEXT_FACTOR), Some(Size { min: size(0).min, max: size(0).max.saturating_mul(4) })),
            "bytes_to_string" => (size(0).each(TEXT_FACTOR), Some(Size { min: size(0).min / 4, max: size(0).max })),
            "strings_quote" => {
                let s = size(0);
                let quoted = Size { min: s.min.saturating_add(2), max: s.max.saturating_mul(2).saturating_add(2) };
                (s.each(TEXT_FACTOR), Some(quoted))
            }
            "starts_with_string" | "ends_with_string" => (size(1).each(TEXT_FACTOR), None),
            "in_list" => (size(1).each(1.0), None),
            "matches" | "matches_string" => (self.regex(size(0), size(1)), None),
            "contains_string" => (size(0).each(TEXT_FACTOR).times(size(1).each(TEXT_FACTOR)), None),
            "add_string" | "add_bytes" => {
                let both = size(0).plus(size(1));
                (both.each(TEXT_FACTOR), Some(both))
            }
            "add_list" => (CostRange::ONE, Some(size(0).plus(size(1)))),
            "less_string" | "less_equals_string" | "greater_string" | "greater_equals_string" | "less_bytes" | "less_equals_bytes"
            | "greater_bytes" | "greater_equals_bytes" | "equals" | "not_equals" => {
                let most = size(0).max.min(size(1).max);
                (Size { min: u64::from(most > 0), max: most }.each(TEXT_FACTOR), None)
            }
            _ => (CostRange::ONE, None),
        }
    }

    fn fold(&mut self, node: &Node, fold: &Fold) -> CostRange {
        let mut sum = self.node(&fold.range).plus(self.node(&fold.init));
        let of = self.decls.get(&fold.range.id).cloned();
        let before = self.scope.len();
        let (decl, size) = (self.decls.get(&fold.init.id).cloned(), self.sizes.get(&fold.init.id).copied());
        let literal = matches!(fold.init.expr, Expr::Literal(Literal::Text(_) | Literal::Bytes(_)));
        let size = size.or_else(|| literal.then(|| self.size(&fold.init)));
        self.scope.push(Local { name: Arc::clone(&fold.accu), decl, size });
        let is_map = matches!(self.ty(&fold.range), Type::Map(_));
        let computed = is_pathless(&fold.range);
        let key = || if computed { self.root() } else { of.as_ref().map(|_| Arc::new(Decl::new(Shape::Text, 0, 2))) };
        let value = if computed { self.root() } else { of.as_ref().and_then(|d| items(d)) };
        let (first, second) = match (is_map, fold.var2.is_some()) {
            (true, _) => (key(), value),
            (false, true) => (None, value),
            (false, false) => (value, None),
        };
        self.scope.push(Local { name: Arc::clone(&fold.var), decl: first, size: None });
        if let Some(var2) = &fold.var2 {
            self.scope.push(Local { name: Arc::clone(var2), decl: second, size: None });
        }
        let turn = self.node(&fold.condition).plus(self.node(&fold.step));
        self.scope.truncate(before + 1);
        sum = sum.plus(self.node(&fold.result));
        self.scope.truncate(before);
        let count = self.size(&fold.range);
        match fold.init.expr {
            Expr::List(_) | Expr::Map(_) if &*fold.accu == op::RESULT => {
                self.sizes.insert(node.id, Size::up_to(count.max));
            }
            _ if &*fold.accu != op::RESULT => {
                // A binding is worth what its body is.
                self.sizes.extend(self.sizes.get(&fold.result.id).copied().map(|s| (node.id, s)));
                self.decls.extend(self.decls.get(&fold.result.id).cloned().map(|d| (node.id, d)));
            }
            _ => {}
        }
        sum.plus(count.of(turn))
    }
}
