//! Running a program over values, counting what it costs on the way (a step of selection one, texts a tenth of their length,
//! …, as cel-go counts), and stopping when the budget is used up.

use crate::ast::{Expr, Fold, Literal, Node, op};
use crate::cost::actual;
use crate::env::{Call, Program, Ref};
use crate::error::EvalError;
use crate::library::operators::{append, look_up, missing, owned, show_key};
use crate::text::Text;
use crate::value::{List, Map, Struct, Value};
use std::sync::Arc;

/// What creating a list, a map or a struct costs.
pub(crate) const LIST_COST: u64 = 10;
pub(crate) const MAP_COST: u64 = 30;
pub(crate) const STRUCT_COST: u64 = 40;

/// Values for the variables of an environment.
#[derive(Clone, Debug, Default)]
pub struct Vars<'a>(Vec<(&'a str, Value<'a>)>);

impl<'a> Vars<'a> {
    /// No variables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    /// With a value for a variable.
    #[must_use]
    pub fn with(mut self, name: &'a str, value: Value<'a>) -> Self {
        self.0.push((name, value));
        self
    }
    fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.0.iter().rev().find(|(n, _)| *n == name).map(|(_, v)| v)
    }
}

/// What an evaluation came to.
#[derive(Clone, Debug)]
pub struct Outcome<'a> {
    pub value: Result<Value<'a>, EvalError>,
    /// What it cost.
    pub cost: u64,
}

impl Program {
    /// Runs the program with a budget.
    pub fn eval<'a>(&'a self, vars: &Vars<'a>, budget: u64) -> Outcome<'a> {
        let mut run = Run { program: self, vars, locals: Vec::new(), cost: 0, budget };
        let value = run.node(&self.root);
        Outcome { value, cost: run.cost }
    }
}

type Answer<'a> = Result<Value<'a>, EvalError>;

struct Run<'a, 'v> {
    program: &'a Program,
    vars: &'v Vars<'a>,
    locals: Vec<(&'a str, Answer<'a>)>,
    cost: u64,
    budget: u64,
}

/// Whether a node is read by selections from a variable: such a chain costs one a step.
fn is_attribute(node: &Node) -> bool {
    match &node.expr {
        Expr::Ident(_) | Expr::Select { test: false, .. } => true,
        Expr::Call { function, .. } => matches!(&**function, op::INDEX | op::OPT_INDEX | op::OPT_SELECT),
        _ => false,
    }
}

impl<'a> Run<'a, '_> {
    fn spend(&mut self, cost: u64) -> Result<(), EvalError> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.budget { Err(EvalError::OverBudget) } else { Ok(()) }
    }

    fn node(&mut self, node: &'a Node) -> Answer<'a> {
        match &node.expr {
            Expr::Literal(l) => Ok(literal(l)),
            Expr::Ident(name) => self.ident(node, name),
            Expr::Select { operand, field, test } => self.select(node, operand, field, *test),
            Expr::Call { target, function, args } => self.call(node, target.as_deref(), function, args),
            Expr::List(items) => self.list(items),
            Expr::Map(entries) => self.map(entries),
            Expr::Struct { name, fields } => self.structure(name, fields),
            Expr::Fold(fold) => self.fold(fold),
        }
    }

    fn ident(&mut self, node: &Node, name: &'a str) -> Answer<'a> {
        if let Ref::Kind(ty) = self.program.reference(node.id) {
            return Ok(Value::Kind(ty.clone()));
        }
        self.spend(1)?;
        if !name.starts_with('.')
            && let Some((_, v)) = self.locals.iter().rev().find(|(n, _)| *n == name)
        {
            return v.clone();
        }
        let found = self.vars.get(name.trim_start_matches('.')).cloned();
        found.ok_or_else(|| EvalError::new(format!("no such attribute(s): {name}")))
    }

    fn select(&mut self, node: &'a Node, operand: &'a Node, field: &'a str, test: bool) -> Answer<'a> {
        if let Ref::Kind(ty) = self.program.reference(node.id) {
            return Ok(Value::Kind(ty.clone()));
        }
        if let Ref::Variable(name) = self.program.reference(node.id) {
            self.spend(2)?;
            let found = self.vars.get(name).cloned();
            return found.ok_or_else(|| EvalError::new(format!("no such attribute(s): {name}")));
        }
        let of = self.node(operand)?;
        if test {
            return Ok(Value::Bool(self.field(&of, field)?.is_some_and(|v| !matches!(v, Value::Optional(None)))));
        }
        self.spend(if is_attribute(operand) { 1 } else { 2 })?;
        if let Value::Optional(_) = of {
            return self.optional_field(&of, field);
        }
        self.field(&of, field)?.ok_or_else(|| EvalError::new(format!("no such key: {field}")))
    }

    fn field(&mut self, of: &Value<'a>, field: &str) -> Result<Option<Value<'a>>, EvalError> {
        match of {
            Value::Map(map) => map.get_text(field).transpose(),
            Value::Struct(s) => Ok(s.fields.iter().find(|(k, _)| &**k == field).map(|(_, v)| v.clone())),
            Value::Optional(None) => Ok(None),
            Value::Optional(Some(inner)) => {
                let inner = (**inner).clone();
                self.field(&inner, field)
            }
            Value::Lazy(lazy) => {
                let (value, cost) = lazy.field(field, self.budget.saturating_sub(self.cost))?;
                self.spend(cost)?;
                Ok(Some(value))
            }
            Value::Null => Err(EvalError::new(format!("no such key: {field}"))),
            _ => Err(EvalError::overload()),
        }
    }

    fn optional_field(&mut self, of: &Value<'a>, field: &str) -> Answer<'a> {
        Ok(match self.field(of, field)? {
            Some(optional @ Value::Optional(_)) => optional,
            found => Value::Optional(found.map(Arc::new)),
        })
    }

    fn call(&mut self, node: &'a Node, target: Option<&'a Node>, function: &str, args: &'a [Node]) -> Answer<'a> {
        match (function, args) {
            (op::AND, [a, b]) => return self.logical(a, b, false),
            (op::OR, [a, b]) => return self.logical(a, b, true),
            (op::CONDITIONAL, [condition, then, otherwise]) => {
                return match self.node(condition)? {
                    Value::Bool(true) => self.node(then),
                    Value::Bool(false) => self.node(otherwise),
                    _ => Err(EvalError::overload()),
                };
            }
            (op::NOT_STRICTLY_FALSE, [a]) => {
                let v = self.node(a);
                self.spend(1)?;
                return match v {
                    Err(EvalError::OverBudget) => Err(EvalError::OverBudget),
                    Ok(Value::Bool(false)) => Ok(Value::Bool(false)),
                    _ => Ok(Value::Bool(true)),
                };
            }
            (op::OPT_SELECT, [a, b]) => {
                let of = self.node(a)?;
                self.spend(1)?;
                let Expr::Literal(Literal::Text(field)) = &b.expr else { return Err(EvalError::overload()) };
                return match of {
                    Value::Map(_) | Value::Optional(_) | Value::Struct(_) | Value::Lazy(_) => self.optional_field(&of, field),
                    Value::Null => Ok(Value::Optional(None)),
                    _ => Err(EvalError::overload()),
                };
            }
            (op::INDEX, [a, b]) => return self.index(a, b),
            (op::ADD, [a, b]) if is_accumulator(a) => return self.accumulate(b),
            (op::MAP_INSERT, [a, key, value]) if is_accumulator(a) => return self.insert(key, value),
            _ => {}
        }
        let mut given = Vec::with_capacity(args.len() + 1);
        for arg in target.into_iter().chain(args) {
            given.push(self.node(arg)?);
        }
        let Ref::Calls(calls) = self.program.reference(node.id) else { return Err(EvalError::overload()) };
        self.dispatch(calls, &given)
    }

    fn dispatch(&mut self, calls: &[Call], args: &[Value<'a>]) -> Answer<'a> {
        // What a call costs is spent before it runs: the estimate from its arguments bounds the work.
        self.spend(actual::call(calls, args))?;
        let mut last = EvalError::overload();
        let mut tried: Option<crate::library::Run> = None;
        for call in calls {
            if tried.is_some_and(|t| std::ptr::fn_addr_eq(t, call.function.run)) {
                continue;
            }
            tried = Some(call.function.run);
            match (call.function.run)(args) {
                Err(e) if e == EvalError::overload() => last = e,
                done => return done,
            }
        }
        Err(last)
    }

    /// `&&` (or `||`): a side that decides absorbs the other one's error.
    fn logical(&mut self, a: &'a Node, b: &'a Node, decides: bool) -> Answer<'a> {
        let left = self.node(a);
        match left {
            Ok(Value::Bool(v)) if v == decides => return Ok(Value::Bool(decides)),
            Err(EvalError::OverBudget) => return left,
            _ => {}
        }
        let right = self.node(b);
        match (left, right) {
            (_, Err(EvalError::OverBudget)) => Err(EvalError::OverBudget),
            (_, Ok(Value::Bool(v))) if v == decides => Ok(Value::Bool(decides)),
            (Err(e), _) => Err(e),
            (Ok(Value::Bool(_)), Ok(Value::Bool(_))) => Ok(Value::Bool(!decides)),
            (Ok(Value::Bool(_)), Err(e)) => Err(e),
            _ => Err(EvalError::overload()),
        }
    }

    fn index(&mut self, of: &'a Node, key: &'a Node) -> Answer<'a> {
        let value = self.node(of)?;
        let key = self.node(key)?;
        self.spend(if is_attribute(of) { 1 } else { 2 })?;
        match &value {
            Value::Optional(None) => Ok(Value::Optional(None)),
            Value::Optional(Some(inner)) => Ok(Value::Optional(look_up(inner, &key)?.map(Arc::new))),
            Value::Lazy(_) => self.field(&value, &show_key(&key))?.ok_or_else(|| missing(&value, &key)),
            other => look_up(other, &key)?.ok_or_else(|| missing(other, &key)),
        }
    }

    /// The accumulator, taken out of its place.
    fn take(&mut self) -> Answer<'a> {
        self.spend(1)?;
        let found = self.locals.iter_mut().rev().find(|(n, _)| *n == op::RESULT);
        found.map_or_else(|| Err(EvalError::overload()), |(_, v)| std::mem::replace(v, Ok(Value::Null)))
    }

    /// `@result + x`: lists grow in place.
    fn accumulate(&mut self, more: &'a Node) -> Answer<'a> {
        let more = self.node(more);
        let accu = self.take()?;
        let more = more?;
        match (accu, &more) {
            (Value::List(list), Value::List(more)) => {
                self.spend(1)?;
                Ok(append(list, more))
            }
            (Value::Int(a), Value::Int(b)) => {
                self.spend(1)?;
                Ok(Value::Int(a.saturating_add(*b)))
            }
            _ => Err(EvalError::overload()),
        }
    }

    fn insert(&mut self, key: &'a Node, value: &'a Node) -> Answer<'a> {
        let (k, v) = (self.node(key)?, self.node(value)?);
        self.spend(1)?;
        let Value::Map(map) = self.take()? else { return Err(EvalError::overload()) };
        let mut own = match map {
            Map::Own(own) => own,
            seen @ Map::Seen(..) => owned(&seen),
        };
        let place = k.key().ok_or_else(|| EvalError::new("unsupported key type"))?;
        if Arc::make_mut(&mut own).insert(place, (k.clone(), v)).is_some() {
            return Err(EvalError::new(format!("insert failed: key {} already exists", show_key(&k))));
        }
        Ok(Value::Map(Map::Own(own)))
    }

    fn list(&mut self, items: &'a [(Node, bool)]) -> Answer<'a> {
        let mut made = Vec::with_capacity(items.len());
        for (item, optional) in items {
            match self.node(item)? {
                Value::Optional(inner) if *optional => made.extend(inner.map(|v| (*v).clone())),
                v => made.push(v),
            }
        }
        self.spend(LIST_COST)?;
        Ok(Value::list(made))
    }

    fn map(&mut self, entries: &'a [(Node, Node, bool)]) -> Answer<'a> {
        let mut made = std::collections::BTreeMap::new();
        for (key, value, optional) in entries {
            let k = self.node(key)?;
            let v = match self.node(value)? {
                Value::Optional(None) if *optional => continue,
                Value::Optional(Some(inner)) if *optional => (*inner).clone(),
                v => v,
            };
            let place = k.key().ok_or_else(|| EvalError::new("unsupported key type"))?;
            if made.insert(place, (k.clone(), v)).is_some() {
                return Err(EvalError::new(format!("Failed with repeated key: {}", show_key(&k))));
            }
        }
        self.spend(MAP_COST)?;
        Ok(Value::Map(Map::Own(Arc::new(made))))
    }

    fn structure(&mut self, name: &Arc<str>, fields: &'a [(Arc<str>, Node, bool)]) -> Answer<'a> {
        let mut made = Vec::with_capacity(fields.len());
        for (field, value, optional) in fields {
            let v = match self.node(value)? {
                Value::Optional(None) if *optional => continue,
                Value::Optional(Some(inner)) if *optional => (*inner).clone(),
                v => v,
            };
            made.push((Arc::clone(field), v));
        }
        self.spend(STRUCT_COST)?;
        Ok(Value::Struct(Arc::new(Struct { name: name.trim_start_matches('.').into(), fields: made })))
    }

    fn fold(&mut self, fold: &'a Fold) -> Answer<'a> {
        let range = self.node(&fold.range)?;
        let init = self.node(&fold.init);
        if matches!(init, Err(EvalError::OverBudget)) {
            return init;
        }
        let base = self.locals.len();
        self.locals.push((&fold.accu, init));
        let done = match &range {
            Value::List(list) => self.over_list(fold, list),
            Value::Map(map) => self.over_map(fold, map),
            _ => Err(EvalError::overload()),
        };
        self.locals.truncate(base + 1);
        let result = done.and_then(|()| self.node(&fold.result));
        self.locals.truncate(base);
        result
    }

    fn over_list(&mut self, fold: &'a Fold, list: &List<'a>) -> Result<(), EvalError> {
        for i in 0..list.len() {
            let element = list.get(i).unwrap_or(Ok(Value::Null));
            let place = || Ok(Value::Int(i as i64));
            let (first, second) = if fold.var2.is_some() { (place(), Some(element)) } else { (element, None) };
            if !self.turn(fold, first, second)? {
                break;
            }
        }
        Ok(())
    }

    fn over_map(&mut self, fold: &'a Fold, map: &Map<'a>) -> Result<(), EvalError> {
        for (k, v) in map.iter() {
            if !self.turn(fold, Ok(k), fold.var2.is_some().then_some(Ok(v)))? {
                break;
            }
        }
        Ok(())
    }

    /// One turn of a loop; `false` when the loop is over.
    fn turn(&mut self, fold: &'a Fold, first: Answer<'a>, second: Option<Answer<'a>>) -> Result<bool, EvalError> {
        let base = self.locals.len();
        self.locals.push((&fold.var, first));
        if let (Some(name), Some(value)) = (&fold.var2, second) {
            self.locals.push((name, value));
        }
        let on = matches!(self.node(&fold.condition)?, Value::Bool(true));
        if on {
            let next = self.node(&fold.step);
            if matches!(next, Err(EvalError::OverBudget)) {
                return Err(EvalError::OverBudget);
            }
            self.locals[base - 1].1 = next;
        }
        self.locals.truncate(base);
        Ok(on)
    }
}

fn is_accumulator(node: &Node) -> bool {
    matches!(&node.expr, Expr::Ident(name) if &**name == op::RESULT)
}

fn literal<'a>(l: &Literal) -> Value<'a> {
    match l {
        Literal::Null => Value::Null,
        Literal::Bool(b) => Value::Bool(*b),
        Literal::Int(n) => Value::Int(*n),
        Literal::Uint(n) => Value::Uint(*n),
        Literal::Double(d) => Value::Double(*d),
        Literal::Text(t) => Value::Text(Text::Own(Arc::clone(t))),
        Literal::Bytes(b) => Value::Bytes(Arc::clone(b)),
    }
}
