//! CEL in the server's own configuration: claim mappings, user validation, match conditions. Compiled when the file is
//! read, run over JSON for each request. Docs: "Authenticating: AuthenticationConfiguration", "Authorization: webhook mode".

use cel::{Decl, Env, Object, Program, Type, Value, Vars};
use serde_json::Value as Json;
use std::sync::Arc;

/// What one expression may cost.
const BUDGET: u64 = 1_000_000;

/// What an expression is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About {
    /// The claims of a token, whatever they are.
    Claims,
    /// The user that they were mapped to.
    User,
    /// A question to a webhook authorizer: the spec of a `SubjectAccessReview`.
    Request,
}

impl About {
    fn name(self) -> &'static str {
        match self {
            Self::Claims => "claims",
            Self::User => "user",
            Self::Request => "request",
        }
    }

    fn decl(self) -> Arc<Decl> {
        Arc::new(Decl::of(match self {
            Self::Claims => Type::map(Type::Text, Type::Dyn),
            Self::User => user(),
            Self::Request => review(),
        }))
    }
}

/// A compiled expression.
pub(crate) struct Expression {
    program: Program,
    about: About,
    decl: Arc<Decl>,
}

impl Expression {
    /// Compiles an expression of any type.
    ///
    /// # Errors
    /// What is wrong with it, as the compiler says it.
    pub(crate) fn compile(source: &str, about: About) -> Result<Self, String> {
        let decl = about.decl();
        let env = Env::new().with_decl(about.name(), Arc::clone(&decl));
        let program = env.compile(source).map_err(|e| format!("compilation failed: {e}"))?;
        Ok(Self { program, about, decl })
    }

    /// Compiles an expression that decides.
    ///
    /// # Errors
    /// What is wrong with it, or that it is of another type.
    pub(crate) fn condition(source: &str, about: About) -> Result<Self, String> {
        let this = Self::compile(source, about)?;
        if *this.program.output() == Type::Bool { Ok(this) } else { Err("must evaluate to bool".to_owned()) }
    }

    /// Runs it.
    ///
    /// # Errors
    /// What the evaluation says.
    pub(crate) fn run(&self, value: &Json) -> Result<Json, String> {
        let seen = Value::seen(value, Some(&self.decl)).map_err(|e| e.to_string())?;
        let vars = Vars::new().with(self.about.name(), seen);
        let value = self.program.eval(&vars, BUDGET).value.map_err(|e| e.to_string())?;
        value.to_json().map_err(|e| e.to_string())
    }

    /// Whether it is true.
    ///
    /// # Errors
    /// The evaluation's, or a result that is no boolean.
    pub(crate) fn is_true(&self, value: &Json) -> Result<bool, String> {
        self.run(value)?.as_bool().ok_or_else(|| "the expression did not return a boolean".to_owned())
    }
}

fn object(name: &str, fields: &[(&str, Type)]) -> Type {
    Type::Object(Arc::new(Object::new(name, fields.iter().map(|(n, t)| ((*n).to_owned(), Decl::of(t.clone()))))))
}

fn texts() -> Type {
    Type::list(Type::Text)
}

fn extra() -> Type {
    Type::map(Type::Text, texts())
}

fn user() -> Type {
    object("kubernetes.UserInfo", &[("username", Type::Text), ("uid", Type::Text), ("groups", texts()), ("extra", extra())])
}

fn review() -> Type {
    let requirement = |name: &str| {
        let one = object(name, &[("key", Type::Text), ("operator", Type::Text), ("values", texts())]);
        Type::list(one)
    };
    let selector = |name: &str, of: &str| object(name, &[("rawSelector", Type::Text), ("requirements", requirement(of))]);
    let resource = object(
        "kubernetes.ResourceAttributes",
        &[
            ("namespace", Type::Text),
            ("verb", Type::Text),
            ("group", Type::Text),
            ("version", Type::Text),
            ("resource", Type::Text),
            ("subresource", Type::Text),
            ("name", Type::Text),
            ("fieldSelector", selector("kubernetes.FieldSelectorAttributes", "kubernetes.FieldSelectorRequirement")),
            ("labelSelector", selector("kubernetes.LabelSelectorAttributes", "kubernetes.LabelSelectorRequirement")),
        ],
    );
    let path = object("kubernetes.NonResourceAttributes", &[("path", Type::Text), ("verb", Type::Text)]);
    object(
        "kubernetes.SubjectAccessReviewSpec",
        &[
            ("resourceAttributes", resource),
            ("nonResourceAttributes", path),
            ("user", Type::Text),
            ("groups", texts()),
            ("extra", extra()),
            ("uid", Type::Text),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn expressions() {
        let run = |source: &str, about, value: Json| Expression::compile(source, about).and_then(|e| e.run(&value));
        assert_eq!(run("'x:' + claims.sub", About::Claims, json!({ "sub": "joe" })), Ok(json!("x:joe")));
        assert_eq!(run("claims.?roles.orValue([])", About::Claims, json!({})), Ok(json!([])));
        assert!(run("claims.sub", About::Claims, json!({})).is_err_and(|e| e.contains("no such key: sub")));
        assert!(Expression::compile("claims.", About::Claims).is_err_and(|e| e.starts_with("compilation failed: ")));
        assert!(Expression::condition("claims.x", About::Claims).is_err_and(|e| e == "must evaluate to bool"));
        let user = json!({ "username": "u", "groups": ["g"], "extra": { "k": ["v"] } });
        assert_eq!(run("user.groups.exists(g, g == 'g') && user.extra['k'][0] == 'v'", About::User, user), Ok(json!(true)));
        assert!(Expression::compile("user.nothing", About::User).is_err());
        let about = json!({ "user": "u", "resourceAttributes": { "namespace": "a", "verb": "get" } });
        for (source, want) in [
            ("request.resourceAttributes.namespace == 'a'", true),
            ("has(request.nonResourceAttributes)", false),
            ("request.user.startsWith('u') && !('x' in request.?groups.orValue([]))", true),
        ] {
            assert_eq!(Expression::condition(source, About::Request).and_then(|e| e.is_true(&about)), Ok(want), "{source}");
        }
    }
}
