//! The storage group. Docs: "Storage Classes", "CSI", "Volume Attributes Classes".

use crate::checks::{complain, one_of_opt, repeated};
use crate::core::pod::volumes::csi_driver;
use crate::meta::{self, IMMUTABLE};
use crate::names::{self, NameRule};
use crate::read::{items, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, warnings};
use kinds::api::storage::v1::{
    CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass,
};
use kinds::{FieldErrors, Kind, Path};
use std::collections::BTreeMap;

pub(crate) const CLASS_ROW: Rules = Rules {
    default: edit!(StorageClass, |c: &mut StorageClass| {
        c.reclaim_policy.get_or_insert_with(|| "Delete".into());
        c.volume_binding_mode.get_or_insert_with(|| "Immediate".into());
    }),
    validate: check!(StorageClass, class),
    validate_update: check_with_old!(StorageClass, |n: &StorageClass, o: &StorageClass, e: &mut FieldErrors| {
        class(n, e);
        let map = |c: &StorageClass| c.parameters.clone().unwrap_or_default();
        if map(n) != map(o) {
            let shown = n.parameters.as_ref().filter(|m| !m.is_empty()).map_or_else(crate::json::null, crate::json::map);
            e.invalid(&Path::new("parameters"), shown, IMMUTABLE);
        }
        meta::immutable_text(&n.provisioner, &o.provisioner, &Path::new("provisioner"), e);
        if n.reclaim_policy != o.reclaim_policy {
            e.invalid(&Path::new("reclaimPolicy"), s(&n.reclaim_policy), IMMUTABLE);
        }
        meta::immutable_text(s(&n.volume_binding_mode), s(&o.volume_binding_mode), &Path::new("volumeBindingMode"), e);
    }),
    ..Rules::plain(Kind::StorageClass, NameRule::DnsSubdomain)
};

const PARAMETERS_MAX: usize = 512;
const PARAMETERS_BYTES_MAX: usize = 256 * 1024;

fn parameters(map: Option<&BTreeMap<String, String>>, allow_empty: bool, path: &Path, e: &mut FieldErrors) {
    let none = BTreeMap::new();
    let map = map.unwrap_or(&none);
    if map.len() > PARAMETERS_MAX {
        e.too_long(path, PARAMETERS_MAX);
        return;
    }
    if map.is_empty() && !allow_empty {
        e.required(path, "must contain at least one key/value pair");
    }
    let mut bytes = 0;
    for (k, v) in map {
        if k.is_empty() {
            e.invalid(path, k, "field can not be empty.");
        }
        bytes += k.len() + v.len();
    }
    if bytes > PARAMETERS_BYTES_MAX {
        e.too_long(path, PARAMETERS_BYTES_MAX);
    }
}

fn provisioner(name: &str, path: &Path, e: &mut FieldErrors) {
    if name.is_empty() {
        e.required(path, "");
    } else {
        let name = name.to_lowercase();
        complain(path, &name, names::qualified_name(&name), e);
    }
}

fn class(c: &StorageClass, e: &mut FieldErrors) {
    provisioner(&c.provisioner, &Path::new("provisioner"), e);
    parameters(c.parameters.as_ref(), true, &Path::new("parameters"), e);
    // An empty one passes.
    one_of_opt(&c.reclaim_policy.clone().filter(|p| !p.is_empty()), &["Delete", "Retain"], &Path::new("reclaimPolicy"), e);
    match s(&c.volume_binding_mode) {
        m if !["Immediate", "WaitForFirstConsumer"].contains(&m) => {
            e.not_supported(&Path::new("volumeBindingMode"), m, &["Immediate", "WaitForFirstConsumer"]);
        }
        _ => {}
    }
    for (i, t) in items(&c.allowed_topologies).iter().enumerate() {
        let (terms, at) = (items(&c.allowed_topologies), Path::new("allowedTopologies").index(i).child("matchLabelExpressions"));
        let expressions = items(&t.match_label_expressions);
        if terms[..i].iter().any(|x| x == t) || (expressions.is_empty()) {
            e.duplicate(&at, "");
        }
        let again = repeated(expressions.iter().map(|x| &x.key));
        for (j, r) in expressions.iter().enumerate() {
            let at = at.index(j);
            if again[j] {
                e.duplicate(&at.child("key"), &r.key);
            }
            for (k, (v, _)) in r.values.iter().zip(repeated(&r.values)).enumerate().filter(|(_, (_, again))| *again) {
                e.duplicate(&at.child("values").index(k), v);
            }
            if r.values.is_empty() {
                e.required(&at.child("values"), "");
            }
            complain(&at.child("key"), &r.key, names::qualified_name(&r.key), e);
        }
    }
}

pub(crate) const DRIVER_ROW: Rules = Rules {
    default: edit!(CSIDriver, |d: &mut CSIDriver| {
        let x = &mut d.spec;
        x.attach_required.get_or_insert(true);
        x.pod_info_on_mount.get_or_insert(false);
        x.storage_capacity.get_or_insert(false);
        x.fs_group_policy.get_or_insert_with(|| "ReadWriteOnceWithFSType".into());
        if items(&x.volume_lifecycle_modes).is_empty() {
            x.volume_lifecycle_modes = Some(vec!["Persistent".into()]);
        }
        x.requires_republish.get_or_insert(false);
        x.se_linux_mount.get_or_insert(false);
    }),
    prepare_update: edit_with_old!(CSIDriver, |n: &mut CSIDriver, o: &CSIDriver| {
        // Counted from the first change on: a new driver has no generation.
        let was = o.metadata.generation;
        n.metadata.generation = if n.spec == o.spec { was } else { Some(was.unwrap_or_default() + 1) };
    }),
    validate: check!(CSIDriver, driver),
    warnings: warnings!(CSIDriver, |n: &CSIDriver, o: Option<&CSIDriver>| {
        let changed = o.is_none_or(|o| o.spec.token_requests != n.spec.token_requests);
        let leaks = changed && !items(&n.spec.token_requests).is_empty() && n.spec.service_account_token_in_secrets.is_none();
        leaks.then(|| TOKENS_LEAK.to_owned()).into_iter().collect()
    }),
    validate_update: check_with_old!(CSIDriver, |n: &CSIDriver, o: &CSIDriver, e: &mut FieldErrors| {
        driver(n, e);
        if n.spec.attach_required != o.spec.attach_required {
            e.invalid(&Path::new("spec.attachedRequired"), n.spec.attach_required.unwrap_or_default(), IMMUTABLE);
        }
        if n.spec.volume_lifecycle_modes != o.spec.volume_lifecycle_modes {
            let list = items(&n.spec.volume_lifecycle_modes);
            e.invalid(&Path::new("spec.volumeLifecycleModes"), crate::json::list(list), IMMUTABLE);
        }
    }),
    allow_unconditional_update: false,
    ..Rules::plain(Kind::CSIDriver, NameRule::DnsSubdomain)
};

const TOKENS_LEAK: &str = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes";

/// Tokens live at least this long, and at most 2^32 seconds.
const TOKEN_S_MIN: i64 = 600;
const TOKEN_S_MAX: i64 = 1 << 32;
const ALLOCATABLE_PERIOD_S_MIN: i64 = 10;

fn token_requests(d: &CSIDriver, path: &Path, e: &mut FieldErrors) {
    let list = items(&d.spec.token_requests);
    let again = repeated(list.iter().map(|t| &t.audience));
    for (i, t) in list.iter().enumerate() {
        let at = path.child("tokenRequests").index(i);
        if again[i] {
            e.duplicate(&at.child("audience"), &t.audience);
        }
        let at = at.child("expirationSeconds");
        match t.expiration_seconds {
            Some(n) if n < TOKEN_S_MIN => e.invalid(&at, n, "may not specify a duration less than 10 minutes"),
            Some(n) if n > TOKEN_S_MAX => e.invalid(&at, n, "may not specify a duration larger than 2^32 seconds"),
            _ => {}
        }
    }
    if let Some(on) = d.spec.service_account_token_in_secrets.filter(|_| list.is_empty()) {
        let why = "serviceAccountTokenInSecrets is set but no tokenRequests are specified";
        e.invalid(&path.child("serviceAccountTokenInSecrets"), on, why);
    }
}

fn driver(d: &CSIDriver, e: &mut FieldErrors) {
    csi_driver(s(&d.metadata.name), &Path::new("metadata.name"), e);
    let path = Path::new("spec");
    for m in items(&d.spec.volume_lifecycle_modes) {
        if !["Ephemeral", "Persistent"].contains(&m.as_str()) {
            e.not_supported(&path.child("volumeLifecycleModes"), m, &["Persistent", "Ephemeral"]);
        }
    }
    let policy = s(&d.spec.fs_group_policy);
    if !["File", "None", "ReadWriteOnceWithFSType"].contains(&policy) {
        e.not_supported(&path.child("fsGroupPolicy"), policy, &["File", "None", "ReadWriteOnceWithFSType"]);
    }
    token_requests(d, &path, e);
    if let Some(n) = d.spec.node_allocatable_update_period_seconds.filter(|n| *n < ALLOCATABLE_PERIOD_S_MIN) {
        let why = format!("must be greater than or equal to {ALLOCATABLE_PERIOD_S_MIN} seconds");
        e.invalid(&path.child("nodeAllocatableUpdatePeriodSeconds"), n, why);
    }
}

pub(crate) const NODE_ROW: Rules = Rules {
    validate: check!(CSINode, node),
    validate_update: check_with_old!(CSINode, |n: &CSINode, o: &CSINode, e: &mut FieldErrors| {
        node(n, e);
        for old in &o.spec.drivers {
            let same = n.spec.drivers.iter().find(|d| d.name == old.name);
            if same.is_some_and(|d| d.node_id != old.node_id || d.topology_keys != old.topology_keys) {
                let drivers = same.map(|d| kinds::api::storage::v1::CSINodeDriver { allocatable: None, ..d.clone() }).into_iter().collect();
                let alone = CSINode { spec: kinds::api::storage::v1::CSINodeSpec { drivers }, ..CSINode::default() };
                e.invalid_part(&Path::new("spec.drivers"), ("storage.CSINodeDriver", "/spec/drivers/0"), alone.into(), IMMUTABLE);
            }
        }
    }),
    allow_unconditional_update: false,
    ..Rules::plain(Kind::CSINode, NameRule::DnsSubdomain)
};

const NODE_ID_MAX: usize = 256;

/// The name of a driver where it must be there.
fn csi_driver_name(name: &str, at: &Path, e: &mut FieldErrors) {
    if name.is_empty() {
        e.required(at, "");
    } else {
        csi_driver(name, at, e);
    }
}

fn node(n: &CSINode, e: &mut FieldErrors) {
    let list = &n.spec.drivers;
    let again = repeated(list.iter().map(|d| &d.name));
    for (i, d) in list.iter().enumerate() {
        let at = Path::new("spec.drivers").index(i);
        csi_driver_name(&d.name, &at.child("name"), e);
        if d.node_id.is_empty() {
            e.required(&at.child("nodeID"), "");
        } else if d.node_id.len() > NODE_ID_MAX {
            e.invalid(&at.child("nodeID"), &d.node_id, format!("must be {NODE_ID_MAX} characters or less"));
        }
        if let Some(n) = d.allocatable.as_ref().and_then(|a| a.count).filter(|n| *n < 0) {
            e.invalid(&at.child("allocatable").child("count"), n, "must be greater than or equal to 0");
        }
        if again[i] {
            e.duplicate(&at.child("name"), &d.name);
        }
        let keys = items(&d.topology_keys);
        let twice = repeated(keys);
        for (j, k) in keys.iter().enumerate() {
            if k.is_empty() {
                e.required(&at, "");
            }
            if twice[j] {
                e.duplicate(&at, k);
            }
            complain(&at, k, names::qualified_name(k), e);
        }
    }
}

pub(crate) const CAPACITY_ROW: Rules = Rules {
    default: edit!(CSIStorageCapacity, |c: &mut CSIStorageCapacity| {
        crate::quantities::spell_opt(&mut c.capacity);
        crate::quantities::spell_opt(&mut c.maximum_volume_size);
    }),
    validate: check!(CSIStorageCapacity, capacity),
    validate_update: check_with_old!(CSIStorageCapacity, |n: &CSIStorageCapacity, o: &CSIStorageCapacity, e: &mut FieldErrors| {
        capacity(n, e);
        if n.node_topology != o.node_topology {
            e.invalid(&Path::new("nodeTopology"), n.node_topology.as_ref().map_or_else(crate::json::null, crate::json::selector), IMMUTABLE);
        }
        meta::immutable_text(&n.storage_class_name, &o.storage_class_name, &Path::new("storageClassName"), e);
    }),
    allow_unconditional_update: false,
    ..Rules::plain(Kind::CSIStorageCapacity, NameRule::DnsSubdomain)
};

fn capacity(c: &CSIStorageCapacity, e: &mut FieldErrors) {
    meta::label_selector(c.node_topology.as_ref(), meta::Values::Strict, &Path::new("nodeTopology"), e);
    complain(&Path::new("storageClassName"), &c.storage_class_name, names::dns_subdomain(&c.storage_class_name), e);
    if let Some(q) = &c.capacity {
        crate::checks::quantity_not_negative(q, &Path::new("capacity"), e);
    }
}

pub(crate) const ATTACHMENT_ROW: Rules = Rules {
    prepare_create: edit!(VolumeAttachment, |v: &mut VolumeAttachment| {
        v.status = Some(Default::default());
    }),
    prepare_update: edit_with_old!(VolumeAttachment, |n: &mut VolumeAttachment, o: &VolumeAttachment| n.status.clone_from(&o.status)),
    prepare_status_update: Some(edit_with_old!(VolumeAttachment, |n: &mut VolumeAttachment, o: &VolumeAttachment| {
        n.spec.clone_from(&o.spec);
    })),
    validate: check!(VolumeAttachment, attachment),
    validate_update: check_with_old!(VolumeAttachment, |n: &VolumeAttachment, o: &VolumeAttachment, e: &mut FieldErrors| {
        attachment(n, e);
        if n.spec != o.spec {
            e.invalid_part(&Path::new("spec"), ("storage.VolumeAttachmentSpec", "/spec"), n.clone().into(), IMMUTABLE);
        }
    }),
    allow_unconditional_update: false,
    ..Rules::plain(Kind::VolumeAttachment, NameRule::DnsSubdomain)
};

fn attachment(v: &VolumeAttachment, e: &mut FieldErrors) {
    let path = Path::new("spec");
    csi_driver_name(&v.spec.attacher, &path.child("attacher"), e);
    match (&v.spec.source.persistent_volume_name, &v.spec.source.inline_volume_spec) {
        (None, None) => e.required(&path.child("source"), "must specify exactly one of inlineVolumeSpec and persistentVolumeName"),
        (Some(_), Some(_)) => e.forbidden(&path.child("source"), "must specify exactly one of inlineVolumeSpec and persistentVolumeName"),
        (Some(n), None) => {
            let at = path.child("source").child("persistentVolumeName");
            if n.is_empty() {
                e.required(&at, "must specify non empty persistentVolumeName");
            }
            complain(&at, n, names::dns_subdomain(n), e);
        }
        _ => {}
    }
    complain(&path.child("nodeName"), &v.spec.node_name, names::dns_subdomain(&v.spec.node_name), e);
}

pub(crate) const ATTRIBUTES_ROW: Rules = Rules {
    validate: check!(VolumeAttributesClass, attributes),
    validate_update: check_with_old!(VolumeAttributesClass, |n: &VolumeAttributesClass, o: &VolumeAttributesClass, e: &mut FieldErrors| {
        if n.driver_name != o.driver_name {
            e.forbidden(&Path::new("driverName"), "updates to driverName are forbidden.");
        }
        if n.parameters != o.parameters {
            e.forbidden(&Path::new("parameters"), "updates to parameters are forbidden.");
        }
        attributes(n, e);
    }),
    ..Rules::plain(Kind::VolumeAttributesClass, NameRule::DnsSubdomain)
};

fn attributes(c: &VolumeAttributesClass, e: &mut FieldErrors) {
    provisioner(&c.driver_name, &Path::new("driverName"), e);
    parameters(c.parameters.as_ref(), false, &Path::new("parameters"), e);
}
