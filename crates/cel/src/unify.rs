//! Which types fit which: assignment with type parameters bound on the way, as cel-go's checker does it.

use crate::types::Type;
use std::sync::Arc;

/// What type parameters are bound to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bindings {
    bound: Vec<Option<Type>>,
}

/// Types nested deeper than this do not fit anything (bindings could turn around on themselves).
const DEPTH_MAX: usize = 64;

impl Bindings {
    /// New parameters; the number of the first is returned.
    pub(crate) fn fresh(&mut self, count: u32) -> u32 {
        let first = self.bound.len() as u32;
        self.bound.extend((0..count).map(|_| None));
        first
    }

    /// A new parameter.
    pub(crate) fn variable(&mut self) -> Type {
        Type::Param(self.fresh(1))
    }

    fn find(&self, ty: &Type) -> Option<&Type> {
        match ty {
            Type::Param(n) => self.bound.get(*n as usize).and_then(Option::as_ref),
            _ => None,
        }
    }

    fn bind(&mut self, param: &Type, to: Type) {
        if let Type::Param(n) = param
            && let Some(slot) = self.bound.get_mut(*n as usize)
        {
            *slot = Some(to);
        }
    }

    /// Whether all of some types fit all of some others; nothing is bound when they do not.
    pub(crate) fn all_fit(&mut self, from: &[&Type], to: &[Type]) -> bool {
        let mut trial = self.clone();
        if from.len() == to.len() && from.iter().zip(to).all(|(a, b)| trial.assign(a, b, 0)) {
            *self = trial;
            return true;
        }
        false
    }

    /// Whether a type fits another.
    pub(crate) fn fits(&mut self, from: &Type, to: &Type) -> bool {
        self.all_fit(&[from], std::slice::from_ref(to))
    }

    fn assign(&mut self, a: &Type, b: &Type, depth: usize) -> bool {
        if depth > DEPTH_MAX {
            return false;
        }
        if matches!(b, Type::Param(_)) {
            let (valid, known) = self.substitutes(a, b, depth);
            if valid || known {
                return valid;
            }
        }
        if matches!(a, Type::Param(_)) {
            return self.substitutes(b, a, depth).0;
        }
        if a.is_dyn() || b.is_dyn() {
            return true;
        }
        match (a, b) {
            (Type::Null, Type::Null) => true,
            (Type::Null, other) | (other, Type::Null) => {
                matches!(other, Type::Object(_) | Type::Timestamp | Type::Duration | Type::Opaque(_))
            }
            (Type::List(x), Type::List(y)) | (Type::Optional(x), Type::Optional(y)) | (Type::Kind(x), Type::Kind(y)) => {
                self.assign(x, y, depth + 1)
            }
            (Type::Map(x), Type::Map(y)) => self.assign(&x.0, &y.0, depth + 1) && self.assign(&x.1, &y.1, depth + 1),
            _ => a == b,
        }
    }

    /// Whether a type may stand for a parameter, and whether the parameter already stood for something.
    fn substitutes(&mut self, ty: &Type, param: &Type, depth: usize) -> (bool, bool) {
        if ty == param {
            return (true, true);
        }
        if let Some(known) = self.find(param).cloned() {
            if *ty == known {
                return (true, true);
            }
            if self.assign(ty, &known, depth + 1) {
                let wider = most_general(ty, &known);
                if !self.mentions(param, &wider) {
                    self.bind(param, wider);
                }
                return (true, true);
            }
            return (false, true);
        }
        if self.mentions(param, ty) {
            return (false, false);
        }
        self.bind(param, ty.clone());
        (true, false)
    }

    fn mentions(&self, param: &Type, ty: &Type) -> bool {
        if ty == param {
            return true;
        }
        match ty {
            Type::Param(_) => self.find(ty).is_some_and(|t| self.mentions(param, t)),
            Type::List(x) | Type::Optional(x) | Type::Kind(x) => self.mentions(param, x),
            Type::Map(x) => self.mentions(param, &x.0) || self.mentions(param, &x.1),
            _ => false,
        }
    }

    /// A type with its parameters replaced; the unbound become `dyn` if asked.
    pub(crate) fn resolve(&self, ty: &Type, close: bool) -> Type {
        if let Some(known) = self.find(ty) {
            return self.resolve(known, close);
        }
        match ty {
            Type::Param(_) if close => Type::Dyn,
            Type::List(x) => Type::list(self.resolve(x, close)),
            Type::Optional(x) => Type::optional(self.resolve(x, close)),
            Type::Kind(x) => Type::Kind(Arc::new(self.resolve(x, close))),
            Type::Map(x) => Type::map(self.resolve(&x.0, close), self.resolve(&x.1, close)),
            other => other.clone(),
        }
    }

    /// The type of elements of both types, if there is one.
    pub(crate) fn join(&mut self, a: &Type, b: &Type) -> Option<Type> {
        self.fits(a, b).then(|| most_general(a, b))
    }
}

/// Parameters of an overload, numbered anew.
pub(crate) fn shift(ty: &Type, by: u32) -> Type {
    match ty {
        Type::Param(n) => Type::Param(n + by),
        Type::List(x) => Type::list(shift(x, by)),
        Type::Optional(x) => Type::optional(shift(x, by)),
        Type::Kind(x) => Type::Kind(Arc::new(shift(x, by))),
        Type::Map(x) => Type::map(shift(&x.0, by), shift(&x.1, by)),
        other => other.clone(),
    }
}

fn most_general(a: &Type, b: &Type) -> Type {
    if at_least_as_general(a, b) { a.clone() } else { b.clone() }
}

fn at_least_as_general(a: &Type, b: &Type) -> bool {
    if a.is_dyn() || matches!(a, Type::Param(_)) {
        return true;
    }
    match (a, b) {
        (_, Type::Dyn | Type::Error | Type::Param(_)) => false,
        (Type::Null, other) => *other == Type::Null,
        (_, Type::Null) => true,
        (Type::List(x), Type::List(y)) | (Type::Optional(x), Type::Optional(y)) => at_least_as_general(x, y),
        (Type::Map(x), Type::Map(y)) => at_least_as_general(&x.0, &y.0) && at_least_as_general(&x.1, &y.1),
        _ => a == b,
    }
}
