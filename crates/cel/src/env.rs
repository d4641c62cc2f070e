//! What an expression may refer to: variables with their declarations, and types that it may construct. Cheap to make, cheap
//! to share; the functions are the same everywhere.

use crate::ast::{Expr, Id, Node};
use crate::check;
use crate::cost::estimate;
use crate::error::CompileError;
use crate::library::{Function, Overload};
use crate::parse;
use crate::types::{Decl, Object, Type};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An environment.
#[derive(Clone, Debug, Default)]
pub struct Env {
    variables: BTreeMap<Arc<str>, Arc<Decl>>,
    structs: BTreeMap<Arc<str>, Arc<Object>>,
    /// A type that, with every type below it (`Object.spec`), may be constructed of any fields.
    open: Option<Arc<str>>,
}

impl Env {
    /// An environment without variables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a variable of a type.
    #[must_use]
    pub fn with(self, name: &str, ty: Type) -> Self {
        self.with_decl(name, Arc::new(Decl::of(ty)))
    }

    /// With a variable of declared data.
    #[must_use]
    pub fn with_decl(mut self, name: &str, decl: Arc<Decl>) -> Self {
        self.variables.insert(name.into(), decl);
        self
    }

    /// With a type that may be constructed.
    #[must_use]
    pub fn with_struct(mut self, object: Arc<Object>) -> Self {
        self.structs.insert(Arc::clone(&object.name), object);
        self
    }

    /// With a type that may be constructed of any fields, and all types below its name.
    #[must_use]
    pub fn with_open(mut self, name: &str) -> Self {
        self.open = Some(name.into());
        self
    }

    /// The declaration of a variable.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&Arc<Decl>> {
        self.variables.get(name)
    }

    pub(crate) fn structure(&self, name: &str) -> Option<&Arc<Object>> {
        self.structs.get(name)
    }

    pub(crate) fn is_open(&self, name: &str) -> bool {
        self.open.as_deref().is_some_and(|o| name.strip_prefix(o).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }

    /// Parses and checks an expression, and estimates its cost.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(&self, source: &str) -> Result<Program, CompileError> {
        let (mut root, ids) = parse::parse(source)?;
        let checked = check::check(self, &mut root, ids).map_err(|issues| CompileError::new(source, issues))?;
        let cost = estimate::estimate(self, &root, &checked);
        let mut names = Vec::new();
        free_names(&root, &mut Vec::new(), &mut names);
        names.sort_unstable();
        names.dedup();
        Ok(Program { output: checked.types[root.id as usize].clone(), root, refs: checked.refs, cost, names })
    }
}

/// What a checked node refers to.
#[derive(Clone, Debug)]
pub(crate) enum Ref {
    None,
    /// A type as a value.
    Kind(Type),
    /// A variable whose name is several selections, e.g. `authorizer.requestResource`.
    Variable(Arc<str>),
    Calls(Vec<Call>),
}

/// One overload that a call may come to.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) function: &'static Function,
    pub(crate) overload: &'static Overload,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.function.name, self.overload.id)
    }
}

/// The least and the most that an evaluation can cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CostRange {
    pub min: u64,
    pub max: u64,
}

/// A compiled expression.
#[derive(Debug)]
pub struct Program {
    pub(crate) root: Node,
    pub(crate) refs: Vec<Ref>,
    output: Type,
    cost: CostRange,
    names: Vec<Arc<str>>,
}

impl Program {
    /// The type that it evaluates to.
    #[must_use]
    pub fn output(&self) -> &Type {
        &self.output
    }

    /// What an evaluation is estimated to cost.
    #[must_use]
    pub fn cost(&self) -> CostRange {
        self.cost
    }

    /// Whether it refers to a variable.
    #[must_use]
    pub fn uses(&self, variable: &str) -> bool {
        self.names.iter().any(|n| &**n == variable)
    }

    pub(crate) fn reference(&self, id: Id) -> &Ref {
        self.refs.get(id as usize).unwrap_or(&Ref::None)
    }
}

fn free_names(node: &Node, bound: &mut Vec<Arc<str>>, found: &mut Vec<Arc<str>>) {
    match &node.expr {
        Expr::Literal(_) => {}
        Expr::Ident(name) => {
            if !bound.contains(name) {
                found.push(name.trim_start_matches('.').into());
            }
        }
        Expr::Select { operand, .. } => free_names(operand, bound, found),
        Expr::Call { target, args, .. } => target.as_deref().into_iter().chain(args).for_each(|n| free_names(n, bound, found)),
        Expr::List(items) => items.iter().for_each(|(n, _)| free_names(n, bound, found)),
        Expr::Map(entries) => entries.iter().for_each(|(k, v, _)| {
            free_names(k, bound, found);
            free_names(v, bound, found);
        }),
        Expr::Struct { fields, .. } => fields.iter().for_each(|(_, n, _)| free_names(n, bound, found)),
        Expr::Fold(f) => {
            free_names(&f.range, bound, found);
            free_names(&f.init, bound, found);
            let before = bound.len();
            bound.push(Arc::clone(&f.accu));
            free_names(&f.result, bound, found);
            bound.push(Arc::clone(&f.var));
            bound.extend(f.var2.clone());
            free_names(&f.condition, bound, found);
            free_names(&f.step, bound, found);
            bound.truncate(before);
        }
    }
}
