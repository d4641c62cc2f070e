//! StatefulSets. Docs: "StatefulSets"; KEP-1847 (claim retention), KEP-3335 (ordinals).

use crate::checks::{complain, int_or_percent, not_decremented, not_more_than_all, not_more_than_replicas, not_negative, not_negative_opt, scaled_value};
use crate::core::pod::{default, template, warnings};
use crate::names::{self, NameRule};
use crate::read::{fill, items, s};
use crate::table::{
    Rules, check, check_with_old, edit, edit_with_old, keep_spec_and_labels, warnings,
};
use kinds::api::apps::v1::{RollingUpdateStatefulSetStrategy, StatefulSet, StatefulSetSpec, StatefulSetStatus};
use kinds::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, PodTemplateSpec, Volume};
use kinds::field::Bare;
use kinds::{FieldErrors, IntOrString, Kind, Path};

pub(crate) const ROW: Rules = Rules {
    default: edit!(StatefulSet, default),
    prepare_create: edit!(StatefulSet, |d: &mut StatefulSet| {
        d.status = Some(StatefulSetStatus { available_replicas: Some(0), ..StatefulSetStatus::default() });
        d.metadata.generation = Some(1);
    }),
    prepare_update: edit_with_old!(StatefulSet, |n: &mut StatefulSet, o: &StatefulSet| {
        n.status.clone_from(&o.status);
        let was = o.metadata.generation.unwrap_or_default();
        n.metadata.generation = Some(if n.spec == o.spec { was } else { was + 1 });
    }),
    prepare_status_update: keep_spec_and_labels!(StatefulSet, StatefulSet),
    validate: check!(StatefulSet, |d: &StatefulSet, e: &mut FieldErrors| {
        validate(d, e);
        let name = d.metadata.name.as_deref().unwrap_or_default();
        for m in crate::names::dns_label(name) {
            if !name.is_empty() && crate::names::dns_subdomain(name).is_empty() {
                e.invalid(&Path::new("metadata.name"), name, m);
            }
        }
    }),
    validate_update: check_with_old!(StatefulSet, |n: &StatefulSet, o: &StatefulSet, e: &mut FieldErrors| {
        changed(n, o, e);
        only_mutable(n, o, e);
    }),
    validate_status_update: check_with_old!(StatefulSet, validate_status),
    warnings: warnings!(StatefulSet, |n: &StatefulSet, _: Option<&StatefulSet>| n.spec.as_ref().map(warn).unwrap_or_default()),
    ..Rules::plain(Kind::StatefulSet, NameRule::DnsSubdomain)
};

fn warn(spec: &StatefulSetSpec) -> Vec<String> {
    let mut all = warnings::template(&spec.template, &Path::new("spec.template"));
    if spec.revision_history_limit.is_some_and(|n| n < 0) {
        let why = "a negative value retains all historical revisions; a value >= 0 is recommended";
        all.push(format!("spec.revisionHistoryLimit: {why}"));
    }
    all
}

fn default(d: &mut StatefulSet) {
    let spec = d.spec.get_or_insert_default();
    fill(&mut spec.pod_management_policy, "OrderedReady");
    let u = spec.update_strategy.get_or_insert_default();
    let fresh = s(&u.type_).is_empty();
    if fresh {
        u.type_ = Some("RollingUpdate".into());
    }
    if s(&u.type_) == "RollingUpdate" {
        if fresh {
            u.rolling_update.get_or_insert_default();
        }
        if let Some(r) = &mut u.rolling_update {
            r.partition.get_or_insert(0);
        }
    }
    let r = spec.persistent_volume_claim_retention_policy.get_or_insert_default();
    fill(&mut r.when_deleted, "Retain");
    fill(&mut r.when_scaled, "Retain");
    spec.replicas.get_or_insert(1);
    spec.service_name.get_or_insert_default();
    if let Some(o) = &mut spec.ordinals {
        o.start.get_or_insert(0);
    }
    spec.revision_history_limit.get_or_insert(10);
    default::template(&mut spec.template);
    for c in spec.volume_claim_templates.iter_mut().flatten() {
        crate::core::pod::volume_default::claim(c.spec.get_or_insert_default());
        let status = c.status.get_or_insert_default();
        fill(&mut status.phase, "Pending");
    }
}

/// A changed set: what cannot change was judged before, and what was wrong with the pods may stay so.
fn changed(n: &StatefulSet, o: &StatefulSet, e: &mut FieldErrors) {
    let (mut before, mut now) = (FieldErrors::default(), FieldErrors::default());
    validate(o, &mut before);
    validate(n, &mut now);
    let of = |x: &kinds::field::FieldError, part: &str| x.path.to_string().starts_with(part);
    let fixed = ["spec.serviceName", "spec.volumeClaimTemplates"];
    let pods_were_wrong = before.0.iter().any(|x| !fixed.iter().any(|part| of(x, part)));
    now.0.retain(|x| !fixed.iter().any(|part| of(x, part)) && !(pods_were_wrong && of(x, "spec.template.spec")));
    e.extend(now);
}

fn validate(d: &StatefulSet, e: &mut FieldErrors) {
    let none = StatefulSetSpec::default();
    let spec = d.spec.as_ref().unwrap_or(&none);
    let path = Path::new("spec");
    match s(&spec.pod_management_policy) {
        "OrderedReady" | "Parallel" => {}
        "" => e.required(&path.child("podManagementPolicy"), ""),
        other => e.invalid(&path.child("podManagementPolicy"), other, "must be 'OrderedReady' or 'Parallel'"),
    }
    update_strategy(spec, &path.child("updateStrategy"), e);
    if let Some(r) = &spec.persistent_volume_claim_retention_policy {
        let at = path.child("persistentVolumeClaimRetentionPolicy");
        for (name, v) in [("whenDeleted", &r.when_deleted), ("whenScaled", &r.when_scaled)] {
            if !["Delete", "Retain"].contains(&s(v)) {
                e.not_supported(&at.child(name), s(v), &["Retain", "Delete"]);
            }
        }
    }
    not_negative_opt(spec.replicas, &path.child("replicas"), e);
    not_negative_opt(spec.min_ready_seconds, &path.child("minReadySeconds"), e);
    not_negative_opt(spec.ordinals.as_ref().and_then(|o| o.start), &path.child("ordinals").child("start"), e);
    let selector = template::selector(&spec.selector, "StatefulSet", &path.child("selector"), e);
    let none = Default::default();
    for (i, c) in items(&spec.volume_claim_templates).iter().enumerate() {
        let at = path.child("volumeClaimTemplates").index(i).child("spec");
        crate::core::claim::spec(c.spec.as_ref().unwrap_or(&none), &at, e);
    }
    template::of_running(&with_claims(spec), &selector, "StatefulSet", &path.child("template"), e);
    if let Some(m) = &spec.template.metadata {
        // Once more than for other workloads.
        crate::meta::labels(m.labels.as_ref(), &path.child("template").child("labels"), e);
        crate::meta::annotations(m.annotations.as_ref(), &path.child("template").child("annotations"), e);
    }
    if !s(&spec.service_name).is_empty() {
        let name = s(&spec.service_name);
        complain(&path.child("serviceName"), name, names::dns_label(name), e);
    }
}

/// The template that pods are made from: with a volume for each claim, instead of the template's own of that name.
fn with_claims(spec: &StatefulSetSpec) -> PodTemplateSpec {
    let mut template = spec.template.clone();
    let claims = items(&spec.volume_claim_templates);
    if claims.is_empty() {
        return template;
    }
    let volume = |c: &PersistentVolumeClaim| {
        let name = s(&c.metadata.name).to_owned();
        let source = PersistentVolumeClaimVolumeSource { claim_name: name.clone(), ..Default::default() };
        Volume { name, persistent_volume_claim: Some(source), ..Volume::default() }
    };
    let named = |c: &PersistentVolumeClaim| s(&c.metadata.name).to_owned();
    let once = claims.iter().enumerate().filter(|(i, c)| !claims[..*i].iter().any(|x| named(x) == named(c)));
    let mut volumes: Vec<Volume> = once.map(|(_, c)| volume(c)).collect();
    let pod = template.spec.get_or_insert_default();
    let own = pod.volumes.take().unwrap_or_default().into_iter().filter(|v| !claims.iter().any(|c| s(&c.metadata.name) == v.name));
    volumes.extend(own);
    pod.volumes = Some(volumes);
    template
}

fn shown(r: &RollingUpdateStatefulSetStrategy) -> String {
    let most = serde_json::to_string(&r.max_unavailable).unwrap_or_default();
    format!("{{\"Partition\":{},\"MaxUnavailable\":{most}}}", r.partition.unwrap_or_default())
}

fn update_strategy(spec: &StatefulSetSpec, path: &Path, e: &mut FieldErrors) {
    let Some(u) = &spec.update_strategy else { return };
    match s(&u.type_) {
        "" => e.required(path, ""),
        "OnDelete" => {
            if let Some(r) = &u.rolling_update {
                e.invalid(&path.child("rollingUpdate"), Bare(shown(r)), "only allowed for updateStrategy 'RollingUpdate'");
            }
        }
        "RollingUpdate" => {
            let at = path.child("rollingUpdate");
            let Some(r) = &u.rolling_update else { return };
            not_negative_opt(r.partition, &at.child("partition"), e);
            if let Some(m) = &r.max_unavailable {
                let at = at.child("maxUnavailable");
                int_or_percent(m, &at, e);
                match m {
                    _ if scaled_value(m, 100) != 0 => {}
                    IntOrString::Int(n) => e.invalid(&at, *n, "cannot be 0"),
                    IntOrString::String(text) => e.invalid(&at, text, "cannot be 0"),
                }
                not_more_than_all(m, &at, e);
            }
        }
        other => {
            let rolling = u.rolling_update.as_ref().map_or("null".to_owned(), |r| shown(r));
            let shown = format!("{{\"Type\":{other:?},\"RollingUpdate\":{rolling}}}");
            e.invalid(path, Bare(shown), "must be 'RollingUpdate' or 'OnDelete'");
        }
    }
}

const FIXED: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";

fn only_mutable(n: &StatefulSet, o: &StatefulSet, e: &mut FieldErrors) {
    let (Some(new), Some(old)) = (&n.spec, &o.spec) else { return };
    let mut m = new.clone();
    m.replicas = old.replicas;
    m.ordinals.clone_from(&old.ordinals);
    m.template.clone_from(&old.template);
    m.update_strategy.clone_from(&old.update_strategy);
    m.min_ready_seconds = old.min_ready_seconds;
    m.revision_history_limit = old.revision_history_limit;
    m.persistent_volume_claim_retention_policy.clone_from(&old.persistent_volume_claim_retention_policy);
    if s(&m.service_name) == s(&old.service_name) {
        m.service_name.clone_from(&old.service_name);
    }
    if items(&m.volume_claim_templates) == items(&old.volume_claim_templates) {
        // None and an empty list are one.
        m.volume_claim_templates.clone_from(&old.volume_claim_templates);
    }
    if m != *old {
        e.forbidden(&Path::new("spec"), FIXED);
    }
}

fn validate_status(n: &StatefulSet, o: &StatefulSet, e: &mut FieldErrors) {
    let none = StatefulSetStatus::default();
    let (new, old) = (n.status.as_ref().unwrap_or(&none), o.status.as_ref().unwrap_or(&none));
    let path = Path::new("status");
    let counts = [
        ("readyReplicas", new.ready_replicas),
        ("currentReplicas", new.current_replicas),
        ("updatedReplicas", new.updated_replicas),
        ("availableReplicas", new.available_replicas),
    ];
    not_negative_opt(Some(new.replicas), &path.child("replicas"), e);
    for (name, v) in counts {
        not_negative_opt(v, &path.child(name), e);
    }
    not_negative(new.observed_generation.unwrap_or_default(), &path.child("observedGeneration"), e);
    not_negative_opt(new.collision_count, &path.child("collisionCount"), e);
    not_more_than_replicas(&counts, new.replicas, &path, e);
    if new.available_replicas.unwrap_or_default() > new.ready_replicas.unwrap_or_default() {
        let v = new.available_replicas.unwrap_or_default();
        e.invalid(&path.child("availableReplicas"), v, "cannot be greater than status.readyReplicas");
    }
    not_decremented(new.collision_count, old.collision_count, &path.child("collisionCount"), e);
}
