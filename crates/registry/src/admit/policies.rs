//! Admission policies on a write: what `rules::policies` says, carried out. The write is shown as JSON only when a policy
//! matches it, in the version that the policy's rule knows. KEP-3488, KEP-3962.

use super::{Admission, invocation};
use crate::fieldowners;
use kinds::{ApiError, Kind, Object, Resource};
use patch::{Form, PatchError, Shape};
use rules::policies::{self, Change, Gvk, Parts, Unchanged, Unturned, Wanted};
use serde_json::Value;

/// What conversion webhooks answered for one write.
type Turned = Vec<(Wanted, Value)>;

fn json_of(object: Option<&Object>) -> Value {
    object.map_or(Value::Null, codec::to_value)
}

/// A built-in object's tree as another kind of the same objects.
fn turned(tree: &Value, from: Kind, to: Kind) -> Result<Value, String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let mut object = codec::from_value(&from.into(), tree.clone()).map_err(|e| text(&e))?;
    if from != from.stored_as() {
        object = rules::convert::to_stored(object).map_err(|e| text(&e))?;
    }
    if to != to.stored_as() {
        object = rules::convert::to_served(to, object).map_err(|e| text(&e))?;
    }
    Ok(codec::to_value(&object))
}

fn turn(known: &Turned, tree: &Value, to: &Gvk, by_webhook: &dyn Fn(&Gvk) -> bool) -> Result<Value, Unturned> {
    let of = Gvk::of(tree);
    let kind = |g: &Gvk| Kind::from_gvk(&g.group, &g.version, &g.kind);
    match (kind(&of), kind(to)) {
        (Some(from), Some(to)) if from.stored_as() == to.stored_as() => turned(tree, from, to).map_err(Unturned::Failed),
        (None, None) if (&of.group, &of.kind) == (&to.group, &to.kind) => {
            if by_webhook(to) {
                let answered = known.iter().find(|(w, _)| w.to == *to && w.object == *tree);
                return answered.map(|(_, v)| v.clone()).ok_or(Unturned::Unknown);
            }
            let mut tree = tree.clone();
            tree["apiVersion"] = to.api_version().into();
            Ok(tree)
        }
        // A subresource's kind, or options: they are what they are.
        _ => Ok(tree.clone()),
    }
}

impl Admission<'_> {
    fn parts(&self, object: Option<&Object>, old: Option<&Object>) -> [Value; 3] {
        let shown = match &self.connect {
            Some(c) => c.options.clone(),
            None => json_of(object),
        };
        let whole = self.whole(old);
        [shown, json_of(whole.as_ref().or(old)), invocation::options(self.given)]
    }

    /// Whether there is a binding of that kind: without one, policies cost a look at a table.
    fn bound(&self, kind: Kind) -> bool {
        self.ctx.snapshot.table(&kind.into()).is_some_and(|t| !t.is_empty())
    }

    /// Asks a conversion webhook for what the policies wait for.
    async fn learn(&self, known: &mut Turned, wanted: Wanted) -> Result<(), ApiError> {
        let snapshot = self.ctx.snapshot;
        let resource = policies::resource_of(snapshot, &wanted.to).ok_or_else(|| ApiError::internal("a kind that is not served"))?;
        let object = codec::from_value(&resource, wanted.object.clone()).map_err(ApiError::internal)?;
        let turned = self.registry.convert_at(snapshot, &resource, vec![object], &wanted.to.api_version()).await?;
        known.push((wanted, json_of(turned.first())));
        Ok(())
    }

    fn by_webhook(&self, kind: &Gvk) -> bool {
        let resource = policies::resource_of(self.ctx.snapshot, kind);
        resource.is_some_and(|r| crate::conversion::by_webhook(self.ctx.snapshot, &r).is_some())
    }

    /// Lets the policies refuse.
    pub(super) async fn policies_validate(&self, object: Option<&Object>, old: Option<&Object>) -> Result<(), ApiError> {
        if !self.ctx.config.plugins.keeps("ValidatingAdmissionPolicy") || !self.bound(Kind::ValidatingAdmissionPolicyBinding) {
            return Ok(());
        }
        let mut known = Turned::new();
        let verdict = loop {
            let judged = {
                let ask = self.ask();
                let asked = ask.about(object, old);
                let turn = |tree: &Value, to: &Gvk| turn(&known, tree, to, &|k| self.by_webhook(k));
                policies::validate(&asked, &self.registry.policies, &Parts { make: &|| self.parts(object, old), turn: &turn })
            };
            match judged {
                Ok(verdict) => break verdict,
                Err(wanted) => self.learn(&mut known, *wanted).await?,
            }
        };
        if let Some(notes) = &self.caller.notes {
            verdict.warnings.into_iter().for_each(|w| notes.warn(w));
            verdict.annotations.into_iter().for_each(|(k, v)| notes.annotate(k, v));
        }
        verdict.denied.map_or(Ok(()), Err)
    }

    /// Lets the policies change the object.
    pub(super) async fn policies_mutate(&self, object: Object, old: Option<&Object>, again: bool) -> Result<Object, ApiError> {
        let on = self.ctx.config.plugins.keeps("MutatingAdmissionPolicy") && self.ctx.gates.on("MutatingAdmissionPolicy");
        if !on || !self.bound(Kind::MutatingAdmissionPolicyBinding) {
            return Ok(object);
        }
        let mut known = Turned::new();
        let next = loop {
            let done = {
                let ask = self.ask();
                let asked = ask.about(Some(&object), old);
                let turn = |tree: &Value, to: &Gvk| turn(&known, tree, to, &|k| self.by_webhook(k));
                let parts = Parts { make: &|| self.parts(Some(&object), old), turn: &turn };
                policies::mutate(&asked, &self.registry.policies, &parts, (&|tree, kind, change| self.changed(tree, kind, change), again))
            };
            match done {
                Ok(next) => break next,
                Err(Unchanged::Refused(e)) => return Err(e),
                Err(Unchanged::Wanted(wanted)) => self.learn(&mut known, *wanted).await?,
            }
        };
        let Some(tree) = next else { return Ok(object) };
        let resource = match object.kind() {
            Some(k) => Resource::Builtin(k),
            None => self.request.resource.clone(),
        };
        let mut object = codec::from_value(&resource, tree).map_err(ApiError::internal)?;
        (self.settle)(&mut object);
        Ok(object)
    }

    /// Carries out one change of an object of a kind.
    fn changed(&self, tree: &Value, kind: &Gvk, change: &Change) -> Result<Value, String> {
        let definition = self.registry.definition(self.ctx.snapshot, &self.request.resource);
        let version = definition.as_deref().map(|d| d.version(&kind.api_version()));
        let builtin = Kind::from_gvk(&kind.group, &kind.version, &kind.kind);
        changed(tree, change, fieldowners::shape(builtin, version))
    }
}

/// Carries out one change.
fn changed(tree: &Value, change: &Change, shape: Shape<'_>) -> Result<Value, String> {
    match change {
        Change::Json(operations) => {
            let mut next = tree.clone();
            match patch::json::apply(&mut next, operations.to_string().as_bytes()) {
                Ok(()) => Ok(next),
                // A patch with a test is a condition: where it does not hold, nothing changes.
                Err(PatchError::TestFailed(_)) => Ok(tree.clone()),
                Err(e) => Err(format!("JSON Patch: {e}")),
            }
        }
        Change::Apply(config) => {
            let mut found = Vec::new();
            atomics(config, shape, String::new(), &mut found);
            if !found.is_empty() {
                let list = found.join(", ");
                return Err(format!("error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {list}"));
            }
            Ok(patch::apply::merge(tree, config, shape))
        }
    }
}

/// Where a configuration sets something that can only be replaced as a whole. What stands in an element of a list belongs to
/// that element: a container is added with its arguments.
fn atomics(config: &Value, shape: Shape<'_>, path: String, found: &mut Vec<String>) {
    let whole = matches!(shape.form(), Form::Atomic) || (config.is_array() && shape.form() == Form::Deduced);
    match config {
        Value::Object(_) | Value::Array(_) if whole => found.push(path),
        Value::Object(map) => {
            for (key, v) in map {
                atomics(v, shape.child(key).unwrap_or(Shape::Any), format!("{path}.{key}"), found);
            }
        }
        _ => {}
    }
}
