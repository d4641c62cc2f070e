//! The variables of admission expressions: their types, and their values for one write.

use cel::{Asking, Decl, Env, EvalError, Lazy, Object, Opaque, Program, Question, Stage, Type, Value as Cel, Vars};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Values for one evaluation.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    pub object: &'a Value,
    pub old: &'a Value,
    pub request: &'a Value,
    pub params: &'a Value,
    pub namespace: &'a Value,
    pub authorizer: &'a dyn cel::Authorizer,
    /// What the request itself is about, for `authorizer.requestResource`.
    pub question: &'a Arc<Question>,
}

impl<'a> Given<'a> {
    /// The variables, but for `variables`.
    pub(super) fn vars(&self) -> Vars<'a> {
        let asking = |stage, question| Cel::Opaque(Opaque::Asking(Asking { stage, question, authorizer: self.authorizer }));
        Vars::new()
            .with("object", Cel::plain(self.object))
            .with("oldObject", Cel::plain(self.old))
            .with("request", Cel::plain(self.request))
            .with("params", Cel::plain(self.params))
            .with("namespaceObject", Cel::plain(self.namespace))
            .with("authorizer", asking(Stage::Authorizer, Arc::default()))
            .with("authorizer.requestResource", asking(Stage::Resource, Arc::clone(self.question)))
    }
}

/// What `authorizer.requestResource` asks about.
#[must_use]
pub(super) fn question(request: &Value) -> Arc<Question> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    Arc::new(Question {
        group: text(&request["resource"]["group"]),
        resource: text(&request["resource"]["resource"]),
        subresource: text(&request["subResource"]),
        namespace: text(&request["namespace"]),
        name: text(&request["name"]),
        ..Question::default()
    })
}

fn fields(name: &str, list: &[(&str, Type)]) -> Type {
    Type::Object(Arc::new(Object::new(name, list.iter().map(|(n, t)| ((*n).to_owned(), Decl::of(t.clone()))))))
}

fn request_type() -> Type {
    let text = || Type::Text;
    let kind = fields("kubernetes.GroupVersionKind", &[("group", text()), ("version", text()), ("kind", text())]);
    let resource = fields("kubernetes.GroupVersionResource", &[("group", text()), ("version", text()), ("resource", text())]);
    let user = fields("kubernetes.UserInfo", &[
        ("username", text()), ("uid", text()), ("groups", Type::list(text())), ("extra", Type::map(text(), Type::list(text()))),
    ]);
    fields("kubernetes.AdmissionRequest", &[
        ("kind", kind.clone()), ("resource", resource.clone()), ("subResource", text()), ("requestKind", kind),
        ("requestResource", resource), ("requestSubResource", text()), ("name", text()), ("namespace", text()),
        ("operation", text()), ("userInfo", user), ("dryRun", Type::Bool), ("options", Type::Dyn),
    ])
}

fn namespace_type() -> Type {
    let text = || Type::Text;
    let metadata = fields("kubernetes.NamespaceMetadata", &[
        ("name", text()), ("generateName", text()), ("namespace", text()), ("labels", Type::map(text(), text())),
        ("annotations", Type::map(text(), text())), ("UID", text()), ("uid", text()), ("creationTimestamp", Type::Timestamp),
        ("deletionGracePeriodSeconds", Type::Int), ("deletionTimestamp", Type::Timestamp), ("generation", Type::Int),
        ("resourceVersion", text()), ("finalizers", Type::list(text())),
    ]);
    let spec = fields("kubernetes.NamespaceSpec", &[("finalizers", Type::list(text()))]);
    let status = fields("kubernetes.NamespaceStatus", &[("phase", text())]);
    fields("kubernetes.Namespace", &[("metadata", metadata), ("spec", spec), ("status", status)])
}

/// The environment of admission expressions; `object` and `params` are declared where they are known.
pub(super) fn base(has_params: bool, object: Option<Arc<Decl>>, params: Option<Arc<Decl>>) -> Env {
    let any = || Arc::new(Decl::of(Type::Dyn));
    let object = object.unwrap_or_else(any);
    let env = Env::new()
        .with_decl("object", Arc::clone(&object))
        .with_decl("oldObject", object)
        .with("request", request_type())
        .with("namespaceObject", namespace_type())
        .with("authorizer", Type::Opaque("kubernetes.authorization.Authorizer"))
        .with("authorizer.requestResource", Type::Opaque("kubernetes.authorization.ResourceCheck"));
    if has_params { env.with_decl("params", params.unwrap_or_else(any)) } else { env }
}

/// `variables`: fields whose types are those of expressions.
pub(super) fn with_variables(env: &Env, known: &[(String, Type)]) -> Env {
    let list = known.iter().map(|(n, t)| (n.clone(), Decl::of(t.clone())));
    env.clone().with("variables", Type::Object(Arc::new(Object::new("kubernetes.variables", list))))
}

/// A named expression of a policy.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) program: Result<Program, String>,
}

/// `variables` of one evaluation: each is computed when it is first asked for, and kept.
pub(super) struct Variables<'a> {
    of: &'a [Variable],
    given: &'a Given<'a>,
    known: RefCell<BTreeMap<usize, Result<Cel<'a>, EvalError>>>,
}

impl<'a> Variables<'a> {
    pub(super) fn new(of: &'a [Variable], given: &'a Given<'a>) -> Self {
        Self { of, given, known: RefCell::default() }
    }

    /// All variables, `variables` included.
    pub(super) fn vars(&'a self) -> Vars<'a> {
        self.given.vars().with("variables", Cel::Lazy(self))
    }
}

impl<'a> Lazy<'a> for Variables<'a> {
    fn field(&'a self, name: &str, budget: u64) -> Result<(Cel<'a>, u64), EvalError> {
        let missing = || EvalError::Failed(format!("no such key: {name}"));
        let at = self.of.iter().position(|v| v.name == name).ok_or_else(missing)?;
        if let Some(known) = self.known.borrow().get(&at) {
            return known.clone().map(|v| (v, 0));
        }
        let program = self.of[at].program.as_ref().map_err(|e| EvalError::Failed(format!("composited variable {name:?} fails to compile: {e}")))?;
        let outcome = program.eval(&self.vars(), budget);
        let value = outcome.value.map_err(|e| match e {
            EvalError::Failed(why) => EvalError::Failed(format!("composited variable {name:?} fails to evaluate: {why}")),
            over => over,
        });
        self.known.borrow_mut().insert(at, value.clone());
        value.map(|v| (v, outcome.cost))
    }
}
