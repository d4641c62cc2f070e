//! The bootstrap objects of priority and fairness stay whole: mandatory ones always, suggested ones while their annotation
//! `apf.kubernetes.io/autoupdate-spec` says so; and schemas say whether their level exists.
//! Docs: "API Priority and Fairness: Maintenance of the Mandatory and Suggested Configuration Objects".

use crate::bootstrap::flow_objects;
use crate::registry::{Caller, Registry, rules_of, whole_seconds};
use cache::Snapshot;
use jiff::Timestamp;
use kinds::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use kinds::{ApiError, DeleteOptions, Kind, Object, ObjectKey, Patch, PatchKind, Target, WriteOptions};
use serde_json::json;
use std::sync::Arc;

/// `true`: the server owns the spec.
const AUTOUPDATE: &str = "apf.kubernetes.io/autoupdate-spec";
/// The manager that kube-apiserver writes these objects as.
const MANAGER: &str = "api-priority-and-fairness-config-producer-v1";
/// The one that it tells their status as.
const CONSUMER: &str = "api-priority-and-fairness-config-consumer-v1";

impl Registry {
    /// Creates, mends and removes bootstrap objects and tells schemas about their levels. Doing it again changes nothing.
    ///
    /// # Errors
    /// The first write that fails for another reason than a concurrent one.
    pub async fn keep_flow_objects(&self) -> Result<(), ApiError> {
        let caller = Caller::new("system:apiserver", &["system:masters"]);
        let options = WriteOptions { field_manager: MANAGER.to_owned(), ..WriteOptions::default() };
        let wanted = flow_objects();
        let snapshot = self.snapshot();
        for want in &wanted {
            let resource = want.resource();
            let target = Target::new(resource.clone(), want.key());
            let done = match snapshot.entry(&resource, &want.key()) {
                None => self.create(&caller, &target, want.clone(), &options).await.map(|_| ()),
                Some(have) => match mended(have.object(), want) {
                    Some(mended) => self.update(&caller, &target, mended, &options).await.map(|_| ()),
                    None => Ok(()),
                },
            };
            tolerate(done)?;
        }
        self.remove_unwanted(&caller, &snapshot, &wanted).await?;
        self.tell_dangling(&caller).await
    }

    async fn remove_unwanted(&self, caller: &Caller, snapshot: &Snapshot, wanted: &[Object]) -> Result<(), ApiError> {
        for kind in [Kind::FlowSchema, Kind::PriorityLevelConfiguration] {
            let Some(table) = snapshot.table(&kind.into()) else { continue };
            for have in table.iter().filter(|e| autoupdated(e.object()) == Some(true)) {
                if wanted.iter().any(|w| w.kind() == Some(kind) && w.key() == have.key) {
                    continue;
                }
                let target = Target::new(kind, have.key.clone());
                tolerate(self.delete(caller, &target, &DeleteOptions::default()).await.map(|_| ()))?;
            }
        }
        Ok(())
    }

    async fn tell_dangling(&self, caller: &Caller) -> Result<(), ApiError> {
        let snapshot = self.snapshot();
        let schemas: Vec<Arc<FlowSchema>> = snapshot.list::<FlowSchema>("").cloned().collect();
        for schema in schemas {
            let level = schema.spec.as_ref().map(|s| s.priority_level_configuration.name.clone()).unwrap_or_default();
            let found = snapshot.get::<PriorityLevelConfiguration>("", &level).is_some();
            let (status, reason, end) = if found { ("False", "Found", "and it exists") } else { ("True", "NotFound", "but there is no such object") };
            let conditions = schema.status.as_ref().and_then(|s| s.conditions.as_ref());
            let now = conditions.into_iter().flatten().find(|c| c.type_.as_deref() == Some("Dangling"));
            if now.is_some_and(|c| c.status.as_deref() == Some(status) && c.message.as_deref().is_some_and(|m| m.contains(&format!("{level:?}")))) {
                continue;
            }
            let name = schema.metadata.name.as_deref().unwrap_or_default();
            let told = dangling(name, status, reason, &format!("{level:?} {end}"), self.now());
            let mut target = Target::new(Kind::FlowSchema, ObjectKey::of(&schema.metadata));
            target.subresource = "status";
            let options = WriteOptions { field_manager: CONSUMER.to_owned(), force: true, ..WriteOptions::default() };
            tolerate(self.patch(caller, &target, &told, &options).await.map(|_| ()))?;
        }
        Ok(())
    }
}

/// The condition, as it is applied.
fn dangling(name: &str, status: &str, reason: &str, end: &str, now: Timestamp) -> Patch {
    let message = format!("This FlowSchema references the PriorityLevelConfiguration object named {end}");
    let time = whole_seconds(now).to_string();
    let condition = json!({"type": "Dangling", "status": status, "reason": reason, "message": message, "lastTransitionTime": time});
    let info = Kind::FlowSchema.info();
    let config = json!({
        "apiVersion": format!("{}/{}", info.group, info.version), "kind": info.kind, "metadata": {"name": name}, "status": {"conditions": [condition]},
    });
    Patch { kind: PatchKind::Apply, body: config.to_string().into_bytes() }
}

/// Another server or user was faster: the next round sees.
fn tolerate(done: Result<(), ApiError>) -> Result<(), ApiError> {
    match done {
        Err(e) if e.is_not_found() || e.is_already_exists() || e.code == 409 => Ok(()),
        other => other,
    }
}

fn autoupdated(object: &Object) -> Option<bool> {
    let value = object.meta().annotations.as_ref()?.get(AUTOUPDATE)?;
    match value.as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn is_mandatory(object: &Object) -> bool {
    matches!(object.meta().name.as_deref(), Some("exempt" | "catch-all"))
}

/// The object with the spec and annotation that it should have; `None` when it has them or belongs to a user.
fn mended(have: &Object, want: &Object) -> Option<Object> {
    let mandatory = is_mandatory(want);
    // Without the annotation an object of the first generation is still as the server made it.
    let ours = autoupdated(have).unwrap_or_else(|| have.meta().generation == Some(1));
    if !mandatory && !ours {
        return None;
    }
    let mut want = want.clone();
    (rules_of(&want.resource()).default)(&mut want);
    let wanted_note = if mandatory { "true" } else { if ours { "true" } else { "false" } };
    let mut next = have.clone();
    next.meta_mut().annotations.get_or_insert_default().insert(AUTOUPDATE.to_owned(), wanted_note.to_owned());
    let next = match (next, &want) {
        (Object::FlowSchema(n), Object::FlowSchema(w)) => {
            FlowSchema { spec: w.spec.clone(), ..FlowSchema::clone(&n) }.into()
        }
        (Object::PriorityLevelConfiguration(n), Object::PriorityLevelConfiguration(w)) => {
            let mut spec = w.spec.clone();
            // How many seats the exempt level lends is the administrator's choice.
            if let (Some(s), Some(h)) = (&mut spec, n.spec.as_ref().and_then(|s| s.exempt.clone())) {
                s.exempt = s.exempt.as_ref().map(|_| h);
            }
            PriorityLevelConfiguration { spec, ..PriorityLevelConfiguration::clone(&n) }.into()
        }
        _ => return None,
    };
    (codec::encode(&next) != codec::encode(have)).then_some(next)
}
