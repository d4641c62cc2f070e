//! Subresources that write a part of an object: binding, eviction, finalize, approval, ephemeral containers,
//! resize. Each keeps everything of the stored object but its own part.

use crate::modify::Next;
use crate::registry::{Answer, Caller, Registry};
use cache::Entry;
use kinds::error::Details;
use kinds::api::core::v1::{Binding, Pod, PodCondition};
use kinds::api::policy::v1::{Eviction, PodDisruptionBudget};
use kinds::{ApiError, DeleteOptions, Kind, Object, ObjectKey, Resource, Selector, Target, Time, Typed, WriteOptions};
use std::sync::Arc;

/// Puts only the subresource's part of `object` over the stored one.
pub(crate) fn keep_all_but(subresource: &str, object: &mut Object, old: &Object) {
    if subresource == "binding" {
        // Worked out here from the stored pod: there is nothing of the client's to keep out.
        return;
    }
    let mut next = old.clone();
    // The resource version (checked) and the field owners (computed) travel with the request.
    let given = object.meta();
    let (version, owners) = (given.resource_version.clone(), given.managed_fields.clone());
    match (&mut next, &*object) {
        (Object::Pod(n), Object::Pod(o)) => pod_part(subresource, Arc::make_mut(n), o),
        (Object::Namespace(n), Object::Namespace(o)) if subresource == "finalize" => {
            let n = Arc::make_mut(n);
            n.spec.get_or_insert_default().finalizers = o.spec.as_ref().and_then(|s| s.finalizers.clone());
            n.metadata.finalizers.clone_from(&o.metadata.finalizers);
        }
        (Object::CertificateSigningRequest(n), Object::CertificateSigningRequest(o)) if subresource == "approval" => {
            let conditions = o.status.as_ref().and_then(|s| s.conditions.clone());
            let n = Arc::make_mut(n);
            n.status.get_or_insert_default().conditions = conditions;
            // Labels and annotations may be written along with the verdict.
            n.metadata.labels.clone_from(&o.metadata.labels);
            n.metadata.annotations.clone_from(&o.metadata.annotations);
        }
        _ => {}
    }
    let meta = next.meta_mut();
    meta.resource_version = version;
    meta.managed_fields = owners;
    *object = next;
}

fn pod_part(subresource: &str, next: &mut Pod, given: &Pod) {
    let (Some(n), Some(g)) = (next.spec.as_mut(), given.spec.as_ref()) else { return };
    let before = n.clone();
    match subresource {
        "ephemeralcontainers" => n.ephemeral_containers.clone_from(&g.ephemeral_containers),
        "resize" => {
            n.resources.clone_from(&g.resources);
            let (inits, given) = (n.init_containers.iter_mut().flatten(), g.init_containers.iter().flatten());
            for (c, from) in n.containers.iter_mut().zip(&g.containers).chain(inits.zip(given)) {
                c.resources.clone_from(&from.resources);
                c.resize_policy.clone_from(&from.resize_policy);
            }
        }
        _ => {}
    }
    if *n != before {
        next.metadata.generation = next.metadata.generation.map(|g| g + 1);
    }
}

impl Registry {
    /// Binds a pod to a node.
    ///
    /// # Errors
    /// `Conflict` when it is bound or being deleted already.
    pub async fn bind(
        &self,
        caller: &Caller,
        key: &ObjectKey,
        binding: &Binding,
        options: &WriteOptions,
    ) -> Result<Answer, ApiError> {
        let target = Target::new(Kind::Pod, key.clone()).sub("binding");
        let shown = self.admit_posted(caller, &target, Object::from(binding.clone()), options).await?;
        let Object::Binding(binding) = &shown else { return Err(ApiError::internal("a binding became something else")) };
        let now = crate::registry::whole_seconds(self.clock.now());
        let gates = &self.settings.gates;
        let parts = (gates.on("ClearingNominatedNodeNameAfterBinding"), gates.on("PodTopologyLabelsAdmission"));
        let next = |old: &Entry| bound(old, binding, Time(now), parts);
        self.modify(caller, &target, options, Next::Unowned(&next)).await
    }

    /// Evicts a pod, unless a disruption budget forbids it. Docs: "API-initiated Eviction".
    ///
    /// # Errors
    /// 429 when the budget is used up.
    pub async fn evict(&self, caller: &Caller, key: &ObjectKey, eviction: &Eviction, dry_run: bool) -> Result<(), ApiError> {
        let target = Target::new(Kind::Pod, key.clone());
        let dry_run = dry_run || eviction.delete_options.as_ref().is_some_and(|o| o.dry_run.as_ref().is_some_and(|d| !d.is_empty()));
        let write = WriteOptions { dry_run, ..WriteOptions::default() };
        let posted = Object::from(eviction.clone());
        let shown = self.admit_posted(caller, &target.clone().sub("eviction"), posted, &write).await?;
        let Object::Eviction(eviction) = &shown else { return Err(ApiError::internal("an eviction became something else")) };
        let mut options = eviction.delete_options.clone().unwrap_or_default();
        if dry_run {
            options.dry_run = Some(vec!["All".to_owned()]);
        }
        let snapshot = self.snapshot();
        let pod = snapshot.find::<Pod>(key).ok_or_else(|| ApiError::not_found(&Kind::Pod.into(), &key.name))?;
        let free = kinds::pod::is_terminal(pod)
            || kinds::pod::phase(pod) == "Pending"
            || pod.metadata.deletion_timestamp.is_some();
        if !free {
            self.use_budget(caller, &snapshot, pod, &options).await?;
        }
        if !dry_run {
            let now = Time(crate::registry::whole_seconds(self.clock.now()));
            let next = move |old: &Entry| Ok(disrupted(old, &now));
            self.modify(caller, &target.clone().sub("status"), &WriteOptions::default(), Next::Unowned(&next)).await?;
        }
        self.delete_admitted(caller, &target, &options, false).await.map(|_| ())
    }

    async fn use_budget(
        &self,
        caller: &Caller,
        snapshot: &cache::Snapshot,
        pod: &Pod,
        options: &DeleteOptions,
    ) -> Result<(), ApiError> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let budgets: Vec<_> = snapshot
            .list::<PodDisruptionBudget>(namespace)
            .filter(|b| {
                let selector = b.spec.as_ref().and_then(|s| s.selector.as_ref());
                Selector::from_label_selector(selector).matches(pod.metadata.labels.as_ref())
            })
            .collect();
        let budget = match budgets[..] {
            [] => return Ok(()),
            [one] => one,
            _ => {
                return Err(ApiError::internal(
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                ));
            }
        };
        let always = budget.spec.as_ref().and_then(|s| s.unhealthy_pod_eviction_policy.as_deref()) == Some("AlwaysAllow");
        if always && !kinds::pod::is_ready(pod) {
            return Ok(());
        }
        let name = pod.metadata.name.clone().unwrap_or_default();
        let now = Time(crate::registry::whole_seconds(self.clock.now()));
        let next = move |old: &Entry| spend(old, &name, &now);
        let target = Target::new(Kind::PodDisruptionBudget, ObjectKey::of(&budget.metadata)).sub("status");
        let write = WriteOptions { dry_run: options.dry_run.is_some(), ..WriteOptions::default() };
        self.modify(caller, &target, &write, Next::Unowned(&next)).await.map(|_| ())
    }
}

fn bound(old: &Entry, binding: &Binding, now: Time, (clears, labels): (bool, bool)) -> Result<Object, ApiError> {
    let resource = Resource::from(Kind::Pod);
    // What is wrong with the binding is told of the subresource.
    let conflict = |why: String| {
        let text = format!("Operation cannot be fulfilled on pods/binding {:?}: {why}", old.key.name);
        let details = Details { name: old.key.name.to_string(), kind: "pods/binding".to_owned(), ..Details::default() };
        Err(ApiError::new(409, "Conflict", text).with_details(details))
    };
    let Object::Pod(pod) = old.object() else { return Err(ApiError::not_found(&resource, &old.key.name)) };
    let mut pod = Pod::clone(pod);
    if binding.metadata.uid.as_ref().is_some_and(|u| !u.is_empty() && Some(u) != pod.metadata.uid.as_ref()) {
        let (want, have) = (binding.metadata.uid.clone().unwrap_or_default(), old.uid());
        return Err(ApiError::conflict(&resource, &old.key.name, format!("Precondition failed: UID in precondition: {want}, UID in object meta: {have}")));
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return conflict(format!("pod {} is being deleted, cannot be assigned to a host", old.key.name));
    }
    let spec = pod.spec.get_or_insert_default();
    if let Some(node) = spec.node_name.as_ref().filter(|n| !n.is_empty()) {
        return conflict(format!("pod {} is already assigned to node {node:?}", old.key.name));
    }
    if spec.scheduling_gates.as_ref().is_some_and(|g| !g.is_empty()) {
        return conflict(format!("pod {} has non-empty .spec.schedulingGates", old.key.name));
    }
    spec.node_name.clone_from(&binding.target.name);
    for (k, v) in binding.metadata.annotations.iter().flatten() {
        pod.metadata.annotations.get_or_insert_default().insert(k.clone(), v.clone());
    }
    for (k, v) in binding.metadata.labels.iter().flatten().filter(|_| labels) {
        pod.metadata.labels.get_or_insert_default().insert(k.clone(), v.clone());
    }
    let status = pod.status.get_or_insert_default();
    if clears {
        // What was hoped for is over.
        status.nominated_node_name = None;
    }
    let conditions = status.conditions.get_or_insert_default();
    conditions.retain(|c| c.type_ != "PodScheduled");
    conditions.push(PodCondition {
        type_: "PodScheduled".into(),
        status: "True".into(),
        last_transition_time: Some(now),
        ..PodCondition::default()
    });
    Ok(pod.into())
}

/// The pod with the condition that says why it goes.
fn disrupted(old: &Entry, now: &Time) -> Object {
    let Object::Pod(pod) = old.object() else { return old.object().clone() };
    let mut pod = Pod::clone(pod);
    let conditions = pod.status.get_or_insert_default().conditions.get_or_insert_default();
    let before = conditions.iter().find(|c| c.type_ == "DisruptionTarget" && c.status == "True");
    let since = before.and_then(|c| c.last_transition_time.clone()).unwrap_or_else(|| now.clone());
    conditions.retain(|c| c.type_ != "DisruptionTarget");
    conditions.push(PodCondition {
        type_: "DisruptionTarget".into(),
        status: "True".into(),
        reason: Some("EvictionByEvictionAPI".into()),
        message: Some("Eviction API: evicting".into()),
        last_transition_time: Some(since),
        ..PodCondition::default()
    });
    pod.into()
}

fn spend(old: &Entry, pod: &str, now: &Time) -> Result<Object, ApiError> {
    let resource = Resource::from(Kind::PodDisruptionBudget);
    let mut budget = old
        .object()
        .typed::<PodDisruptionBudget>()
        .map(|b| PodDisruptionBudget::clone(b))
        .ok_or_else(|| ApiError::not_found(&resource, &old.key.name))?;
    let generation = budget.meta().generation.unwrap_or(0);
    let status = budget.status.get_or_insert_default();
    if status.observed_generation.unwrap_or(0) < generation {
        let text = "Cannot evict pod as it would violate the pod's disruption budget.";
        let why = format!("The disruption budget {} is still being processed by the server.", old.key.name);
        return Err(over_budget(text, why).retry_after(10));
    }
    let allowed = status.disruptions_allowed.unwrap_or(0);
    if allowed <= 0 {
        let text = "Cannot evict pod as it would violate the pod's disruption budget.";
        let why = format!(
            "The disruption budget {} needs {} healthy pods and has {} currently",
            old.key.name,
            status.desired_healthy.unwrap_or(0),
            status.current_healthy.unwrap_or(0)
        );
        return Err(over_budget(text, why));
    }
    status.disruptions_allowed = Some(allowed - 1);
    status.disrupted_pods.get_or_insert_default().insert(pod.to_owned(), now.clone());
    Ok(budget.into())
}

fn over_budget(text: &str, why: String) -> ApiError {
    let cause = kinds::error::Cause { reason: "DisruptionBudget".into(), message: why, field: String::new() };
    ApiError::new(429, "TooManyRequests", text)
        .with_details(kinds::error::Details { causes: vec![cause], ..kinds::error::Details::default() })
}
