//! PersistentVolumeClaims. Docs: "Persistent Volumes"; KEP-284 (expansion), KEP-3751 (attributes classes).

use super::pod::resources::resource_amount;
use super::pod::volume_default;
use crate::checks::complain;
use crate::meta::{self, Values};
use crate::names::{self, NameRule};
use crate::quantities::round_up_milli;
use crate::read::{amount, fill, has, items, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, warnings};
use kinds::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus, TypedLocalObjectReference};
use kinds::field::Bare;
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
        drop_unknown_source(c.spec.get_or_insert_default());
        volume_default::mirror_sources(c.spec.get_or_insert_default());
    }),
    prepare_update: edit_with_old!(PersistentVolumeClaim, |n: &mut PersistentVolumeClaim, o: &PersistentVolumeClaim| {
        n.status.clone_from(&o.status);
        if o.spec.as_ref().is_none_or(|o| o.data_source.is_none() && o.data_source_ref.is_none()) {
            drop_unknown_source(n.spec.get_or_insert_default());
        }
        volume_default::mirror_sources(n.spec.get_or_insert_default());
    }),
    prepare_status_update: Some(edit_with_old!(PersistentVolumeClaim, |n: &mut PersistentVolumeClaim, o: &PersistentVolumeClaim| {
        n.spec.clone_from(&o.spec);
        n.status.get_or_insert_default();
    })),
    validate: check!(PersistentVolumeClaim, validate),
    validate_update: check_with_old!(PersistentVolumeClaim, validate_update),
    validate_status_update: check_with_old!(PersistentVolumeClaim, validate_status),
    warnings: warnings!(PersistentVolumeClaim, |n: &PersistentVolumeClaim, o: Option<&PersistentVolumeClaim>| {
        let of = |c: &PersistentVolumeClaim| c.spec.as_ref().map(|c| warnings(c, &Path::new("spec"))).unwrap_or_default();
        if o.is_some_and(|o| o.spec == n.spec) { Vec::new() } else { of(n) }
    }),
    ..Rules::plain(Kind::PersistentVolumeClaim, NameRule::DnsSubdomain)
};

/// A data source that is neither claim nor snapshot says nothing, as before there were others; `dataSourceRef` is judged.
fn drop_unknown_source(spec: &mut PersistentVolumeClaimSpec) {
    let known = |d: &TypedLocalObjectReference| {
        matches!((d.kind.as_str(), s(&d.api_group)), ("PersistentVolumeClaim", "") | ("VolumeSnapshot", "snapshot.storage.k8s.io"))
    };
    if !spec.data_source.as_ref().is_some_and(known) {
        spec.data_source = None;
    }
}

/// What is said of a claim's amounts: nothing holds a part of a byte.
pub(crate) fn warnings(spec: &PersistentVolumeClaimSpec, path: &Path) -> Vec<String> {
    let Some(r) = &spec.resources else { return Vec::new() };
    let mut all = Vec::new();
    for (name, map) in [("requests", &r.requests), ("limits", &r.limits)] {
        let Some(q) = map.as_ref().and_then(|m| m.get("storage")).filter(|q| !amount(q).is_integer()) else { continue };
        let at = path.child("resources").child(name).key("storage");
        all.push(format!("{at}: fractional byte value {:?} is invalid, must be an integer", q.0));
    }
    all
}

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
    let (mut once, mut other) = (false, false);
    for m in list {
        let known = ACCESS_MODES.contains(&m.as_str());
        if !known {
            e.not_supported(path, m, ACCESS_MODES);
        }
        once |= m == "ReadWriteOncePod";
        other |= known && m != "ReadWriteOncePod";
    }
    if once && other {
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
        let at = path.child("dataSourceRef");
        source(&d.api_group, &d.kind, &d.name, &at, e);
        if has(&d.namespace) {
            complain(&at.child("namespace"), s(&d.namespace), names::dns_label(s(&d.namespace)), e);
        }
        if let Some(old) = &c.data_source {
            let same = old.api_group == d.api_group && old.kind == d.kind && old.name == d.name;
            // The value is the path of the other field, of which nothing is shown.
            if has(&d.namespace) {
                e.invalid(path, Bare("{}".into()), "may not be specified when dataSourceRef.namespace is specified");
            } else if !same {
                e.invalid(path, Bare("{}".into()), "must match dataSourceRef");
            }
        }
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

/// What once named the class of a claim.
const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

fn validate_update(n: &PersistentVolumeClaim, o: &PersistentVolumeClaim, e: &mut FieldErrors) {
    crate::table::check_new(&n.clone().into(), e);
    validate(n, e);
    let none = PersistentVolumeClaimSpec::default();
    let (new, old) = (n.spec.as_ref().unwrap_or(&none), o.spec.as_ref().unwrap_or(&none));
    let path = Path::new("spec");
    let (mut m, mut before) = (new.clone(), old.clone());
    // Binding sets the volume's name once.
    if !has(&old.volume_name) {
        before.volume_name.clone_from(&new.volume_name);
    }
    class_kept(n, o, &mut m, e);
    if n.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Bound")) {
        let was = old.resources.as_ref().and_then(|r| r.requests.as_ref()).and_then(|r| r.get("storage")).cloned();
        if let (Some(a), Some(was)) = (m.resources.as_mut().and_then(|r| r.requests.as_mut()), was) {
            a.insert("storage".into(), was);
        }
        m.volume_attributes_class_name.clone_from(&old.volume_attributes_class_name);
    }
    if m != before {
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        let whole = |spec| PersistentVolumeClaim { spec: Some(spec), ..Default::default() }.into();
        e.forbidden_change(&path, ("PersistentVolumeClaimSpec", "/spec"), (whole(m), whole(before)), why);
    }
    size_kept(new, old, o.status.as_ref(), &path.child("resources").child("requests").child("storage"), e);
    if new.volume_mode != old.volume_mode {
        let shown = new.volume_mode.as_ref().map_or_else(crate::json::null, |m| Bare(format!("{m:?}")));
        e.invalid(&Path::new("volumeMode"), shown, meta::IMMUTABLE);
    }
    let applied = o.status.as_ref().is_some_and(|s| s.current_volume_attributes_class_name.is_some());
    if applied && new.volume_attributes_class_name != old.volume_attributes_class_name {
        let at = path.child("volumeAttributesClassName");
        match new.volume_attributes_class_name.as_deref() {
            None => e.forbidden(&at, "update to nil is forbidden when status.currentVolumeAttributesClassName is not nil"),
            Some("") => e.forbidden(&at, "update to empty string is forbidden when status.currentVolumeAttributesClassName is not nil"),
            Some(_) => {}
        }
    }
}

/// A claim that named no class can be given one; an annotation that named it can become the field.
fn class_kept(n: &PersistentVolumeClaim, o: &PersistentVolumeClaim, m: &mut PersistentVolumeClaimSpec, e: &mut FieldErrors) {
    let named = |c: &PersistentVolumeClaim| c.metadata.annotations.as_ref().and_then(|a| a.get(BETA_CLASS)).cloned();
    let (is, was) = (named(n), named(o));
    let fresh = o.spec.as_ref().is_none_or(|s| s.storage_class_name.is_none());
    let given = m.storage_class_name.clone();
    if was.is_some() && fresh && given == was && (is.is_none() || is == was) {
        m.storage_class_name = None;
        return;
    }
    if is.clone().unwrap_or_default() != was.clone().unwrap_or_default() {
        let at = Path::new("metadata.annotations").child(BETA_CLASS);
        e.invalid(&at, is.unwrap_or_default(), meta::IMMUTABLE);
    }
    if fresh && given.is_some() && (was.is_none() || given == was) {
        m.storage_class_name = None;
    }
}

/// A claim shrinks only back to what it has (KEP-1790).
fn size_kept(new: &PersistentVolumeClaimSpec, old: &PersistentVolumeClaimSpec, status: Option<&PersistentVolumeClaimStatus>, at: &Path, e: &mut FieldErrors) {
    let size = |c: &PersistentVolumeClaimSpec| {
        c.resources.as_ref().and_then(|r| r.requests.as_ref()).and_then(|r| r.get("storage")).map(amount).unwrap_or_default()
    };
    let real = status.and_then(|s| s.capacity.as_ref()).and_then(|c| c.get("storage")).map(amount).unwrap_or_default();
    if size(new) < size(old) && size(new) <= real {
        e.forbidden(at, "field can not be less than status.capacity");
    }
}

const STORAGE: &str = "storage";
const RESIZE_STATUSES: &[&str] = &[
    "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible", "NodeResizePending",
];

/// An update of the status.
fn validate_status(n: &PersistentVolumeClaim, _: &PersistentVolumeClaim, e: &mut FieldErrors) {
    let none = PersistentVolumeClaimStatus::default();
    let status = n.status.as_ref().unwrap_or(&none);
    let path = Path::new("status");
    for (k, q) in status.capacity.iter().flatten() {
        basic_amount(q, &path.child("capacity").key(k), e);
    }
    let at = path.child("allocatedResourceStatuses");
    for (k, v) in status.allocated_resource_statuses.iter().flatten() {
        resource_key(k, &at, e);
        if !RESIZE_STATUSES.contains(&v.as_str()) {
            e.not_supported(&at, k, RESIZE_STATUSES);
        }
    }
    let at = path.child("allocatedResources");
    for (k, q) in status.allocated_resources.iter().flatten() {
        if resource_key(k, &at, e) && basic_amount(q, &at.key(k), e) {
            resource_amount(STORAGE, q, &at.key(k), e);
        }
    }
}

fn basic_amount(q: &kinds::QuantityText, at: &Path, e: &mut FieldErrors) -> bool {
    let n = amount(q).value();
    if n < 0 {
        e.invalid(at, n, "must be a valid resource quantity");
    }
    n >= 0
}

/// `storage`, or a name that is not Kubernetes' own.
fn resource_key(k: &str, at: &Path, e: &mut FieldErrors) -> bool {
    let why = names::qualified_name(k);
    let bad = !why.is_empty();
    complain(at, k, why, e);
    let foreign = !super::pod::resources::is_native(k);
    if !bad && !foreign && k != STORAGE {
        e.not_supported(at, k, &[STORAGE]);
    }
    !bad && (foreign || k == STORAGE)
}
