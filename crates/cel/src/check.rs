//! The type checker: every node gets a type, every call the overloads that it may come to. CEL specification, "Gradual type
//! checking"; messages are cel-go's.

use crate::ast::{Expr, Fold, Id, Literal, Node, op};
use crate::env::{Call, Env, Ref};
use crate::error::Issue;
use crate::library;
use crate::parse::qualified;
use crate::time;
use crate::types::Type;
use crate::unify::{Bindings, shift};
use std::sync::Arc;

/// Types and references by node.
pub(crate) struct Checked {
    pub(crate) types: Vec<Type>,
    pub(crate) refs: Vec<Ref>,
}

/// Checks a tree; calls of qualified functions (`optional.of`) lose their receiver on the way.
pub(crate) fn check(env: &Env, root: &mut Node, ids: Id) -> Result<Checked, Vec<Issue>> {
    let size = ids as usize + 1;
    let mut c = Checker {
        env,
        types: vec![Type::Error; size],
        refs: vec![Ref::None; size],
        scope: Vec::new(),
        bindings: Bindings::default(),
        issues: Vec::new(),
        mixed: false,
    };
    c.node(root);
    if !c.issues.is_empty() {
        return Err(c.issues);
    }
    let types = c.types.iter().map(|t| c.bindings.resolve(t, true)).collect();
    Ok(Checked { types, refs: c.refs })
}

struct Checker<'e> {
    env: &'e Env,
    types: Vec<Type>,
    refs: Vec<Ref>,
    scope: Vec<(Arc<str>, Type)>,
    bindings: Bindings,
    issues: Vec<Issue>,
    /// Whether lists may hold anything: the arguments of `format`.
    mixed: bool,
}

/// The type that a name stands for as a value.
fn named_type(name: &str) -> Option<Type> {
    Some(match name {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::Text,
        "bytes" => Type::Bytes,
        "list" => Type::list(Type::Dyn),
        "map" => Type::map(Type::Dyn, Type::Dyn),
        "null_type" => Type::Null,
        "dyn" => Type::Dyn,
        "type" => Type::Kind(Arc::new(Type::Dyn)),
        "google.protobuf.Timestamp" => Type::Timestamp,
        "google.protobuf.Duration" => Type::Duration,
        "optional_type" => Type::optional(Type::Dyn),
        "kubernetes.Quantity" => Type::Opaque("kubernetes.Quantity"),
        "kubernetes.URL" => Type::Opaque("kubernetes.URL"),
        "kubernetes.Semver" => Type::Opaque("kubernetes.Semver"),
        "net.IP" => Type::Opaque("net.IP"),
        "net.CIDR" => Type::Opaque("net.CIDR"),
        _ => return None,
    })
}

fn undeclared(name: &str) -> String {
    format!("undeclared reference to '{name}' (in container '')")
}

impl Checker<'_> {
    fn fail(&mut self, at: u32, text: String) -> Type {
        self.issues.push(Issue::new(at, text));
        Type::Error
    }

    fn node(&mut self, node: &mut Node) -> Type {
        let (id, at) = (node.id as usize, node.at);
        let ty = match &mut node.expr {
            Expr::Literal(l) => literal(l),
            Expr::Ident(name) => {
                let name = Arc::clone(name);
                self.ident(id, at, &name)
            }
            Expr::Select { .. } => self.select(node),
            Expr::Call { .. } => self.call(node),
            Expr::List(items) => self.list(items),
            Expr::Map(entries) => self.map(entries),
            Expr::Struct { name, fields } => {
                let name = Arc::clone(name);
                self.structure(at, &name, fields)
            }
            Expr::Fold(fold) => self.fold(fold),
        };
        self.types[id] = ty.clone();
        ty
    }

    fn find(&self, name: &str) -> Option<Type> {
        let (global, name) = (name.starts_with('.'), name.trim_start_matches('.'));
        let local = self.scope.iter().rev().find(|(n, _)| !global && &**n == name).map(|(_, t)| t.clone());
        local.or_else(|| self.env.variable(name).map(|d| d.ty()))
    }

    fn ident(&mut self, id: usize, at: u32, name: &str) -> Type {
        if let Some(ty) = self.find(name) {
            return ty;
        }
        match named_type(name.trim_start_matches('.')) {
            Some(ty) => {
                self.refs[id] = Ref::Kind(ty.clone());
                Type::Kind(Arc::new(ty))
            }
            None => self.fail(at, undeclared(name)),
        }
    }

    /// A type by a name of several parts, unless its first part is a variable.
    fn qualified_type(&self, node: &Node) -> Option<Type> {
        let name = qualified(node)?;
        let first = name.split('.').next()?;
        if self.find(first).is_some() { None } else { named_type(&name) }
    }

    /// A variable whose name has several parts.
    fn qualified_variable(&self, node: &Node) -> Option<(Arc<str>, Type)> {
        let name = qualified(node)?;
        let first = name.split('.').next()?;
        if self.scope.iter().any(|(n, _)| &**n == first) {
            return None;
        }
        let ty = self.env.variable(&name)?.ty();
        Some((name, ty))
    }

    fn select(&mut self, node: &mut Node) -> Type {
        if let Some(ty) = self.qualified_type(node) {
            self.refs[node.id as usize] = Ref::Kind(ty.clone());
            return Type::Kind(Arc::new(ty));
        }
        if let Some((name, ty)) = self.qualified_variable(node) {
            self.refs[node.id as usize] = Ref::Variable(name);
            return ty;
        }
        let at = node.at;
        let Expr::Select { operand, field, test } = &mut node.expr else { return Type::Error };
        let of = self.node(operand);
        let of = self.bindings.resolve(&of, false);
        let (ty, optional) = match &of {
            Type::Optional(inner) => (self.field(at, inner, field), true),
            other => (self.field(at, other, field), false),
        };
        if *test {
            return Type::Bool;
        }
        if optional { Type::optional(ty) } else { ty }
    }

    fn field(&mut self, at: u32, of: &Type, field: &str) -> Type {
        match of {
            Type::Map(kv) => kv.1.clone(),
            Type::Object(o) => match o.field(field) {
                Some(d) => d.ty(),
                None => self.fail(at, format!("undefined field '{field}'")),
            },
            Type::Param(_) => {
                self.bindings.fits(&Type::Dyn, of);
                Type::Dyn
            }
            t if t.is_dyn() => Type::Dyn,
            other => self.fail(at, format!("type '{other}' does not support field selection")),
        }
    }

    fn call(&mut self, node: &mut Node) -> Type {
        let (id, at) = (node.id as usize, node.at);
        let Expr::Call { target, function, args } = &mut node.expr else { return Type::Error };
        if &**function == op::OPT_SELECT {
            return self.optional_select(id, args);
        }
        // `optional.of(x)` is a function of that whole name, and no member of a variable `optional`.
        if let Some(prefix) = target.as_deref().and_then(qualified) {
            let whole = format!("{}.{function}", prefix.trim_start_matches('.'));
            if !library::functions(&whole).is_empty() {
                *function = whole.into();
                *target = None;
            }
        }
        let name = Arc::clone(function);
        let name = name.trim_start_matches('.');
        let mut types = Vec::with_capacity(args.len() + 1);
        if let Some(target) = target {
            types.push(self.node(target));
        }
        let before = std::mem::replace(&mut self.mixed, name == "format");
        for arg in args.iter_mut() {
            types.push(self.node(arg));
        }
        self.mixed = before;
        self.literals(name, target.is_some(), args);
        if library::functions(name).is_empty() {
            return self.fail(at, undeclared(name));
        }
        self.overloads(id, at, name, target.is_some(), &types)
    }

    fn overloads(&mut self, id: usize, at: u32, name: &str, member: bool, given: &[Type]) -> Type {
        let given: Vec<Type> = given.iter().map(|t| self.bindings.resolve(t, false)).collect();
        let mut calls = Vec::new();
        let mut result: Option<Type> = None;
        for function in library::functions(name) {
            for overload in &function.overloads {
                if overload.member != member || overload.args.len() != given.len() {
                    continue;
                }
                let base = self.bindings.fresh(overload.params);
                let wanted: Vec<Type> = overload.args.iter().map(|t| shift(t, base)).collect();
                let from: Vec<&Type> = given.iter().collect();
                if !self.bindings.all_fit(&from, &wanted) {
                    continue;
                }
                calls.push(Call { function, overload });
                let ty = self.bindings.resolve(&shift(&overload.result, base), false);
                result = Some(match result {
                    None => ty,
                    Some(r) if r == ty => r,
                    Some(_) => Type::Dyn,
                });
            }
        }
        let Some(result) = result else {
            let shown: Vec<String> = given.iter().map(|t| self.bindings.resolve(t, true).to_string()).collect();
            let text = match (member, shown.split_first()) {
                (true, Some((target, rest))) => format!("{target}.({})", rest.join(", ")),
                _ => format!("({})", shown.join(", ")),
            };
            return self.fail(at, format!("found no matching overload for '{name}' applied to '{text}'"));
        };
        self.refs[id] = Ref::Calls(calls);
        result
    }

    fn optional_select(&mut self, id: usize, args: &mut [Node]) -> Type {
        let [operand, field] = args else { return Type::Error };
        let of = self.node(operand);
        let Expr::Literal(Literal::Text(name)) = &field.expr else { return Type::Error };
        let of = self.bindings.resolve(&of, false);
        let inner = if let Type::Optional(inner) = &of { &**inner } else { &of };
        let ty = self.field(field.at, inner, name);
        self.types[field.id as usize] = Type::Text;
        let _ = id;
        Type::optional(ty)
    }

    /// Literals that a function would refuse when it runs.
    fn literals(&mut self, name: &str, member: bool, args: &[Node]) {
        let place = usize::from(name == "matches" && !member);
        let Some(Node { at, expr: Expr::Literal(Literal::Text(text)), .. }) = args.get(place) else { return };
        let fine = match name {
            "matches" => library::regexes::compile(text).is_ok(),
            "duration" => time::parse_duration(text).is_some(),
            "timestamp" => time::parse_timestamp(text).is_some(),
            _ => return,
        };
        if !fine {
            self.fail(*at, format!("invalid {name} argument"));
        }
    }

    /// The type of an element and those before it.
    fn joined(&mut self, at: u32, before: Option<Type>, next: Type) -> Type {
        let Some(before) = before else { return next };
        if let Some(ty) = self.bindings.join(&before, &next) {
            return ty;
        }
        if self.mixed {
            return Type::Dyn;
        }
        let (a, b) = (self.bindings.resolve(&before, true), self.bindings.resolve(&next, true));
        self.fail(at, format!("expected type '{a}' but found '{b}'"));
        before
    }

    fn unwrapped(&mut self, at: u32, ty: Type, optional: bool) -> Type {
        if !optional {
            return ty;
        }
        match self.bindings.resolve(&ty, false) {
            Type::Optional(inner) => (*inner).clone(),
            t if t.is_dyn() => Type::Dyn,
            other => self.fail(at, format!("expected type 'optional_type({other})' but found '{other}'")),
        }
    }

    fn list(&mut self, items: &mut [(Node, bool)]) -> Type {
        let mut of = None;
        for (item, optional) in items.iter_mut() {
            let ty = self.node(item);
            let ty = self.unwrapped(item.at, ty, *optional);
            of = Some(self.joined(item.at, of, ty));
        }
        Type::list(of.unwrap_or_else(|| self.bindings.variable()))
    }

    fn map(&mut self, entries: &mut [(Node, Node, bool)]) -> Type {
        let (mut keys, mut values) = (None, None);
        for (key, value, optional) in entries.iter_mut() {
            let k = self.node(key);
            keys = Some(self.joined(key.at, keys, k));
            let v = self.node(value);
            let v = self.unwrapped(value.at, v, *optional);
            values = Some(self.joined(value.at, values, v));
        }
        let key = keys.unwrap_or_else(|| self.bindings.variable());
        Type::map(key, values.unwrap_or_else(|| self.bindings.variable()))
    }

    fn structure(&mut self, at: u32, name: &str, fields: &mut [(Arc<str>, Node, bool)]) -> Type {
        let name = name.trim_start_matches('.');
        if self.env.is_open(name) {
            for (_, value, _) in fields.iter_mut() {
                self.node(value);
            }
            return Type::Object(Arc::new(crate::types::Object::of_table(name, Box::new(AnyField))));
        }
        let Some(object) = self.env.structure(name).cloned() else { return self.fail(at, undeclared(name)) };
        for (field, value, optional) in fields.iter_mut() {
            let given = self.node(value);
            let given = self.unwrapped(value.at, given, *optional);
            let Some(decl) = object.field(field) else {
                self.fail(value.at, format!("undefined field '{field}'"));
                continue;
            };
            let wanted = decl.ty();
            if !self.bindings.fits(&given, &wanted) {
                let given = self.bindings.resolve(&given, true);
                self.fail(value.at, format!("expected type of field '{field}' is '{wanted}' but provided type is '{given}'"));
            }
        }
        Type::Object(object)
    }

    fn fold(&mut self, fold: &mut Fold) -> Type {
        let range = self.node(&mut fold.range);
        let init = self.node(&mut fold.init);
        let range = self.bindings.resolve(&range, false);
        let (first, second) = match &range {
            Type::List(of) if fold.var2.is_some() => (Type::Int, (**of).clone()),
            Type::List(of) => ((**of).clone(), Type::Error),
            Type::Map(kv) => kv.as_ref().clone(),
            Type::Param(_) => {
                self.bindings.fits(&Type::Dyn, &range);
                (Type::Dyn, Type::Dyn)
            }
            t if t.is_dyn() => (Type::Dyn, Type::Dyn),
            other => {
                let text = format!("expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)");
                (self.fail(fold.range.at, text), Type::Error)
            }
        };
        let before = self.scope.len();
        self.scope.push((Arc::clone(&fold.accu), init.clone()));
        self.scope.push((Arc::clone(&fold.var), first));
        if let Some(var2) = &fold.var2 {
            self.scope.push((Arc::clone(var2), second));
        }
        let condition = self.node(&mut fold.condition);
        self.expect(fold.condition.at, &condition, &Type::Bool);
        let step = self.node(&mut fold.step);
        self.expect(fold.step.at, &step, &init);
        self.scope.truncate(before + 1);
        let result = self.node(&mut fold.result);
        self.scope.truncate(before);
        self.bindings.resolve(&result, false)
    }

    fn expect(&mut self, at: u32, found: &Type, wanted: &Type) {
        if !self.bindings.fits(found, wanted) {
            let (w, f) = (self.bindings.resolve(wanted, true), self.bindings.resolve(found, true));
            self.fail(at, format!("expected type '{w}' but found '{f}'"));
        }
    }
}

/// Fields of a type that may be constructed of anything.
struct AnyField;

impl crate::types::Lookup for AnyField {
    fn field(&self, _: &str) -> Option<Arc<crate::types::Decl>> {
        Some(Arc::new(crate::types::Decl::of(Type::Dyn)))
    }
}

fn literal(l: &Literal) -> Type {
    match l {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::Text(_) => Type::Text,
        Literal::Bytes(_) => Type::Bytes,
    }
}
