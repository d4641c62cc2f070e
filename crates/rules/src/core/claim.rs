//! PersistentVolumeClaims. Docs: "Persistent Volumes"; KEP-284 (expansion), KEP-3751 (attributes classes).

use super::pod::resources::resource_amount;
use super::pod::volume_default;
use crate::checks::complain;
use crate::meta::{self, Values};
use crate::names::{self, NameRule};
use crate::quantities::round_up_milli;
use crate::read::{amount, fill, has, items, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old};
use kinds::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus};
use kinds::{FieldErrors, Kind, Path};

pub(crate) const ROW: Rules = Rules {
    default: edit!(PersistentVolumeClaim, |c: &mut PersistentVolumeClaim| {
        volume_default::claim(c.spec.get_or_insert_default());
        let status = c.status.get_or_insert_default();
        fill(&mut status.phase, "Pending");
        round_up_milli(&mut status.capacity);
        round_up_milli(&mut status.allocated_resources);
    }),
    prepare_create: edit!(PersistentVolumeClaim, |c: &mut PersistentVolumeClaim| {
        c.status = Some(PersistentVolumeClaimStatus { phase: Some("Pending".into()), ..Default::default() });
        volume_default::mirror_sources(c.spec.get_or_insert_default());
    }),
    prepare_update: edit_with_old!(PersistentVolumeClaim, |n: &mut PersistentVolumeClaim, o: &PersistentVolumeClaim| {
        n.status.clone_from(&o.status);
        volume_default::mirror_sources(n.spec.get_or_insert_default());
    }),
    prepare_status_update: Some(edit_with_old!(PersistentVolumeClaim, |n: &mut PersistentVolumeClaim, o: &PersistentVolumeClaim| {
        n.spec.clone_from(&o.spec);
        n.status.get_or_insert_default();
    })),
    validate: check!(PersistentVolumeClaim, validate),
    validate_update: check_with_old!(PersistentVolumeClaim, validate_update),
    validate_status_update: check_with_old!(PersistentVolumeClaim, |n: &PersistentVolumeClaim, _: &PersistentVolumeClaim, e: &mut FieldErrors| {
        for (k, q) in n.status.iter().flat_map(|s| s.capacity.iter().flatten()) {
            resource_amount(k, q, &Path::new("status.capacity").key(k), e);
        }
    }),
    ..Rules::plain(Kind::PersistentVolumeClaim, NameRule::DnsSubdomain)
};

/// How a volume can be mounted.
pub(crate) const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

fn validate(c: &PersistentVolumeClaim, e: &mut FieldErrors) {
    let none = PersistentVolumeClaimSpec::default();
    spec(c.spec.as_ref().unwrap_or(&none), &Path::new("spec"), e);
}

/// The access modes of claims and volumes.
pub(crate) fn access_modes(list: &[String], path: &Path, e: &mut FieldErrors) {
    if list.is_empty() {
        e.required(path, "at least 1 access mode is required");
    }
    let mut once = false;
    for m in list {
        if !ACCESS_MODES.contains(&m.as_str()) {
            e.not_supported(path, m, ACCESS_MODES);
        }
        once |= m == "ReadWriteOncePod";
    }
    if once && list.len() > 1 {
        e.forbidden(path, "may not use ReadWriteOncePod with other access modes");
    }
}

/// A claim's spec, also inside ephemeral volumes.
pub(crate) fn spec(c: &PersistentVolumeClaimSpec, path: &Path, e: &mut FieldErrors) {
    access_modes(items(&c.access_modes), &path.child("accessModes"), e);
    meta::label_selector(c.selector.as_ref(), Values::Strict, &path.child("selector"), e);
    let requests = c.resources.as_ref().and_then(|r| r.requests.as_ref());
    match requests.and_then(|r| r.get("storage")) {
        None => e.required(&path.child("resources").key("storage"), ""),
        Some(q) => {
            let at = path.child("resources").key("storage");
            if amount(q).is_negative() || amount(q).is_zero() {
                e.invalid(&at, &q.0, "must be greater than zero");
            }
        }
    }
    if has(&c.storage_class_name) {
        let name = s(&c.storage_class_name);
        complain(&path.child("storageClassName"), name, names::dns_subdomain(name), e);
    }
    if c.volume_mode.is_some() && !["Block", "Filesystem"].contains(&s(&c.volume_mode)) {
        e.not_supported(&path.child("volumeMode"), s(&c.volume_mode), &["Block", "Filesystem"]);
    }
    if let Some(d) = &c.data_source {
        source(&d.api_group, &d.kind, &d.name, &path.child("dataSource"), e);
    }
    if let Some(d) = &c.data_source_ref {
        source(&d.api_group, &d.kind, &d.name, &path.child("dataSourceRef"), e);
    }
    if has(&c.volume_attributes_class_name) {
        let name = s(&c.volume_attributes_class_name);
        complain(&path.child("volumeAttributesClassName"), name, names::dns_subdomain(name), e);
    }
}

fn source(group: &Option<String>, kind: &str, name: &str, path: &Path, e: &mut FieldErrors) {
    if name.is_empty() {
        e.required(&path.child("name"), "");
    }
    if kind.is_empty() {
        e.required(&path.child("kind"), "");
    }
    if s(group).is_empty() && kind != "PersistentVolumeClaim" {
        e.invalid(path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
    }
    if has(group) {
        complain(&path.child("apiGroup"), s(group), names::dns_subdomain(s(group)), e);
    }
}

fn validate_update(n: &PersistentVolumeClaim, o: &PersistentVolumeClaim, e: &mut FieldErrors) {
    validate(n, e);
    let none = PersistentVolumeClaimSpec::default();
    let (new, old) = (n.spec.as_ref().unwrap_or(&none), o.spec.as_ref().unwrap_or(&none));
    let path = Path::new("spec");
    let mut m = new.clone();
    // Binding sets the volume's name once.
    if !has(&old.volume_name) && has(&m.volume_name) {
        m.volume_name.clone_from(&old.volume_name);
    }
    // A claim that named no class can be given the default one before it is bound.
    if old.storage_class_name.is_none() && !has(&old.volume_name) {
        m.storage_class_name.clone_from(&old.storage_class_name);
    }
    m.volume_attributes_class_name.clone_from(&old.volume_attributes_class_name);
    let bound = o.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Bound"));
    let size = |c: &PersistentVolumeClaimSpec| c.resources.as_ref().and_then(|r| r.requests.as_ref()).and_then(|r| r.get("storage")).map(amount);
    if bound && let (Some(was), Some(is)) = (size(old), size(new)) {
        let status = o.status.as_ref().and_then(|s| s.capacity.as_ref()).and_then(|c| c.get("storage")).map(amount);
        if is < was && status.is_some_and(|c| is <= c) {
            e.forbidden(&path.child("resources").child("requests").child("storage"), "field can not be less than status.capacity");
        }
        if let Some(a) = m.resources.as_mut().and_then(|r| r.requests.as_mut()) {
            let before = old.resources.as_ref().and_then(|r| r.requests.as_ref()).and_then(|r| r.get("storage")).cloned();
            if let Some(b) = before {
                a.insert("storage".into(), b);
            }
        }
    }
    if m != *old {
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        e.forbidden(&path, format!("{why}\n{}", crate::core::diff::lines(old, &m)));
    }
}
