//! Policies compiled, and kept as long as their entries stand in the snapshot.

use super::conditions::Conditions;
use super::environment::{Variable, base, with_variables};
use crate::read::items;
use cache::Entry;
use cel::{Decl, Env, Object as CelObject, Program, Type};
use kinds::Object;
use kinds::api::admissionregistration::v1::{MatchCondition, MutatingAdmissionPolicy, ValidatingAdmissionPolicy, Variable as Declared};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Compiles an expression that must come to one of some types.
pub(super) fn compile(env: &Env, source: &str, wanted: &[Type]) -> Result<Program, String> {
    let program = env.compile(source).map_err(|e| format!("compilation failed: {e}"))?;
    if wanted.contains(program.output()) {
        return Ok(program);
    }
    let name = |t: &Type| if *t == Type::Null { "null_type".to_owned() } else { t.to_string() };
    match wanted {
        [one] => Err(format!("must evaluate to {}", name(one))),
        several => Err(format!("must evaluate to one of [{}]", several.iter().map(name).collect::<Vec<_>>().join(" "))),
    }
}

/// A rule of a validating policy.
#[derive(Debug)]
pub(super) struct Validation {
    pub(super) expression: String,
    pub(super) program: Result<Program, String>,
    pub(super) message: String,
    pub(super) message_program: Option<Result<Program, String>>,
    pub(super) reason: String,
}

/// An annotation of a validating policy.
#[derive(Debug)]
pub(super) struct Annotation {
    pub(super) key: String,
    pub(super) program: Result<Program, String>,
}

/// How a mutation changes the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatchKind {
    Apply,
    Json,
}

/// A mutation.
#[derive(Debug)]
pub(super) struct Mutation {
    pub(super) kind: PatchKind,
    pub(super) expression: String,
    pub(super) program: Result<Program, String>,
}

/// A policy's expressions.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    pub(super) conditions: Option<Conditions>,
    pub(super) variables: Vec<Variable>,
    pub(super) validations: Vec<Validation>,
    pub(super) annotations: Vec<Annotation>,
    pub(super) mutations: Vec<Mutation>,
}

fn prepared(env: &Env, conditions: Option<&[MatchCondition]>, declared: Option<&[Declared]>) -> (Compiled, Env) {
    let mut known = Vec::new();
    let mut variables = Vec::new();
    for v in declared.unwrap_or_default() {
        if v.expression.trim().is_empty() {
            let program = Err("expression is not specified".to_owned());
            variables.push(Variable { name: v.name.clone(), program });
            continue;
        }
        let program = with_variables(env, &known).compile(&v.expression).map_err(|e| format!("compilation failed: {e}"));
        let ty = program.as_ref().map_or(Type::Dyn, |p| p.output().clone());
        known.push((v.name.clone(), ty));
        variables.push(Variable { name: v.name.clone(), program });
    }
    let conditions = conditions.filter(|c| !c.is_empty()).map(|c| Conditions::within(c, env));
    // Without variables there is nothing of that name.
    let env = if variables.is_empty() { env.clone() } else { with_variables(env, &known) };
    (Compiled { conditions, variables, ..Compiled::default() }, env)
}

/// Compiles a validating policy, with the object declared where its kind is known.
pub(super) fn validating(p: &ValidatingAdmissionPolicy, object: Option<Arc<Decl>>, params: Option<Arc<Decl>>) -> Compiled {
    let none = Default::default();
    let spec = p.spec.as_ref().unwrap_or(&none);
    let env = base(spec.param_kind.is_some(), object, params);
    let (mut c, env) = prepared(&env, spec.match_conditions.as_deref(), spec.variables.as_deref());
    for v in items(&spec.validations) {
        let message = v.message_expression.as_ref();
        c.validations.push(Validation {
            expression: v.expression.clone(),
            program: compile(&env, &v.expression, &[Type::Bool]),
            message: v.message.as_deref().unwrap_or_default().trim().to_owned(),
            message_program: message.map(|m| compile(&env, m, &[Type::Text])),
            reason: v.reason.clone().unwrap_or_default(),
        });
    }
    for a in items(&spec.audit_annotations) {
        let program = compile(&env, &a.value_expression, &[Type::Text, Type::Null]);
        c.annotations.push(Annotation { key: a.key.clone(), program });
    }
    c
}

/// What a JSON patch's operation is made of.
pub(super) fn json_patch_type() -> Arc<CelObject> {
    let field = |n: &str, t: Type| (n.to_owned(), Decl::of(t));
    let list = [field("op", Type::Text), field("path", Type::Text), field("from", Type::Text), field("value", Type::Dyn)];
    Arc::new(CelObject::new("JSONPatch", list))
}

/// Compiles a mutating policy.
pub(super) fn mutating(p: &MutatingAdmissionPolicy) -> Compiled {
    let none = Default::default();
    let spec = p.spec.as_ref().unwrap_or(&none);
    let patch = json_patch_type();
    let env = base(spec.param_kind.is_some(), None, None).with_struct(Arc::clone(&patch)).with_open("Object");
    let (mut c, env) = prepared(&env, spec.match_conditions.as_deref(), spec.variables.as_deref());
    let object = Type::Object(Arc::new(CelObject::new("Object", [])));
    for m in items(&spec.mutations) {
        let (kind, expression, wanted) = match m.patch_type.as_str() {
            "JSONPatch" => {
                let source = m.json_patch.as_ref().and_then(|j| j.expression.clone());
                (PatchKind::Json, source, Type::list(Type::Object(Arc::clone(&patch))))
            }
            _ => (PatchKind::Apply, m.apply_configuration.as_ref().and_then(|a| a.expression.clone()), object.clone()),
        };
        let expression = expression.unwrap_or_default();
        // A list that is empty in the source has no element type of its own.
        let empty = kind == PatchKind::Json;
        let mut allowed = vec![wanted];
        if empty {
            allowed.push(Type::list(Type::Dyn));
        }
        c.mutations.push(Mutation { kind, program: compile(&env, &expression, &allowed), expression });
    }
    c
}

/// Compiled policies kept at most; when there are more, all are let go.
const KEPT_MAX: usize = 1024;

/// The compiled policies of a cluster.
#[derive(Debug, Default)]
pub struct Programs(Mutex<HashMap<String, (Arc<Entry>, Arc<Compiled>)>>);

impl Programs {
    /// The expressions of a policy as its entry has them.
    pub(super) fn of(&self, entry: &Arc<Entry>) -> Arc<Compiled> {
        let name = format!("{}/{}", entry.object().kind_name(), entry.key.name);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, compiled)) = kept.get(&name)
            && Arc::ptr_eq(of, entry)
        {
            return Arc::clone(compiled);
        }
        let compiled = Arc::new(match entry.object() {
            Object::ValidatingAdmissionPolicy(p) => validating(p, None, None),
            Object::MutatingAdmissionPolicy(p) => mutating(p),
            _ => Compiled::default(),
        });
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(name, (Arc::clone(entry), Arc::clone(&compiled)));
        compiled
    }
}
