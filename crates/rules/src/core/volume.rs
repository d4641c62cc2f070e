//! PersistentVolumes. Docs: "Persistent Volumes".

pub(crate) mod legacy;

use super::claim::access_modes;
use super::pod::placement::node_selector;
use super::pod::volumes::{csi_driver, host_path, nfs};
use crate::checks::{complain, one_of_opt, present};
use crate::names::{self, NameRule};
use crate::quantities::round_up_milli;
use crate::read::{amount, fill, has, items, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old};
use kinds::api::core::v1::{NodeSelector, PersistentVolume, PersistentVolumeSpec, PersistentVolumeStatus};
use kinds::field::Bare;
use kinds::{FieldErrors, Kind, Path};

pub(crate) const ROW: Rules = Rules {
    default: edit!(PersistentVolume, default),
    prepare_create: edit!(PersistentVolume, |v: &mut PersistentVolume| {
        v.status = Some(PersistentVolumeStatus { phase: Some("Pending".into()), ..Default::default() });
    }),
    prepare_update: edit_with_old!(PersistentVolume, |n: &mut PersistentVolume, o: &PersistentVolume| n.status.clone_from(&o.status)),
    prepare_status_update: Some(edit_with_old!(PersistentVolume, |n: &mut PersistentVolume, o: &PersistentVolume| {
        n.spec.clone_from(&o.spec);
        n.status.get_or_insert_default();
    })),
    validate: check!(PersistentVolume, validate),
    validate_update: check_with_old!(PersistentVolume, |n: &PersistentVolume, o: &PersistentVolume, e: &mut FieldErrors| {
        // All of it is looked at twice.
        for _ in 0..2 {
            crate::table::check_new(&n.clone().into(), e);
            validate(n, e);
        }
        kept(n, o, e);
    }),
    ..Rules::plain(Kind::PersistentVolume, NameRule::DnsSubdomain)
};

fn default(v: &mut PersistentVolume) {
    let status = v.status.get_or_insert_default();
    fill(&mut status.phase, "Pending");
    let spec = v.spec.get_or_insert_default();
    fill(&mut spec.persistent_volume_reclaim_policy, "Retain");
    spec.volume_mode.get_or_insert_with(|| "Filesystem".into());
    round_up_milli(&mut spec.capacity);
    if let Some(h) = &mut spec.host_path {
        h.type_.get_or_insert_default();
    }
    if let Some(i) = &mut spec.iscsi {
        fill(&mut i.iscsi_interface, "default");
    }
    if let Some(r) = &mut spec.rbd {
        fill(&mut r.pool, "rbd");
        fill(&mut r.user, "admin");
        fill(&mut r.keyring, "/etc/ceph/keyring");
    }
    if let Some(x) = &mut spec.scale_io {
        fill(&mut x.storage_mode, "ThinProvisioned");
        fill(&mut x.fs_type, "xfs");
    }
    if let Some(a) = &mut spec.azure_disk {
        super::pod::volume_default::azure_disk(a);
    }
}

fn sources(v: &PersistentVolumeSpec) -> Vec<&'static str> {
    let all = [
        (v.host_path.is_some(), "hostPath"),
        (v.gce_persistent_disk.is_some(), "gcePersistentDisk"),
        (v.aws_elastic_block_store.is_some(), "awsElasticBlockStore"),
        (v.glusterfs.is_some(), "glusterfs"),
        (v.flocker.is_some(), "flocker"),
        (v.nfs.is_some(), "nfs"),
        (v.rbd.is_some(), "rbd"),
        (v.quobyte.is_some(), "quobyte"),
        (v.cephfs.is_some(), "cephFS"),
        (v.iscsi.is_some(), "iscsi"),
        (v.cinder.is_some(), "cinder"),
        (v.fc.is_some(), "fc"),
        (v.flex_volume.is_some(), "flexVolume"),
        (v.azure_file.is_some(), "azureFile"),
        (v.vsphere_volume.is_some(), "vsphereVolume"),
        (v.photon_persistent_disk.is_some(), "photonPersistentDisk"),
        (v.portworx_volume.is_some(), "portworxVolume"),
        (v.azure_disk.is_some(), "azureDisk"),
        (v.scale_io.is_some(), "scaleIO"),
        (v.local.is_some(), "local"),
        (v.storageos.is_some(), "storageos"),
        (v.csi.is_some(), "csi"),
    ];
    all.into_iter().filter(|(set, _)| *set).map(|(_, n)| n).collect()
}

fn validate(v: &PersistentVolume, e: &mut FieldErrors) {
    let none = PersistentVolumeSpec::default();
    let spec = v.spec.as_ref().unwrap_or(&none);
    let path = Path::new("spec");
    if items(&spec.access_modes).is_empty() {
        e.required(&path.child("accessModes"), "");
    } else {
        access_modes(items(&spec.access_modes), &path.child("accessModes"), e);
    }
    capacity(spec, &path.child("capacity"), e);
    one_of_opt(&spec.persistent_volume_reclaim_policy, &["Delete", "Recycle", "Retain"], &path.child("persistentVolumeReclaimPolicy"), e);
    if let Some(n) = spec.node_affinity.as_ref() {
        match &n.required {
            Some(r) => {
                let at = path.child("nodeAffinity").child("required");
                node_selector(r, &at, e);
                affinity_values(r, &at, e);
            }
            None => e.required(&path.child("nodeAffinity").child("required"), "must specify required node constraints"),
        }
    }
    source(spec, &path, e);
    if let Some(name) = spec.volume_attributes_class_name.as_deref() {
        let at = path.child("volumeAttributesClassName");
        if name.is_empty() {
            e.required(&at, "an empty string is disallowed");
        } else {
            complain(&at, name, names::dns_subdomain(name), e);
        }
        if spec.csi.is_none() {
            e.required(&path.child("csi"), "has to be specified when using volumeAttributesClassName");
        }
    }
    if let Some(h) = &spec.host_path
        && h.path == "/"
        && s(&spec.persistent_volume_reclaim_policy) == "Recycle"
    {
        let at = path.child("persistentVolumeReclaimPolicy");
        e.forbidden(&at, "may not be 'recycle' for a hostPath mount of '/'");
    }
    if has(&spec.storage_class_name) {
        let name = s(&spec.storage_class_name);
        complain(&path.child("storageClassName"), name, names::dns_subdomain(name), e);
    }
    if let Some(m) = spec.volume_mode.as_deref().filter(|m| !["Block", "Filesystem"].contains(m)) {
        e.not_supported(&path.child("volumeMode"), m, &["Block", "Filesystem"]);
    }
}

/// The values that nodes' labels are compared with.
pub(crate) fn affinity_values(r: &NodeSelector, at: &Path, e: &mut FieldErrors) {
    for (i, t) in r.node_selector_terms.iter().enumerate() {
        for (j, x) in items(&t.match_expressions).iter().enumerate() {
            let at = at.child("nodeSelectorTerms").index(i).child("matchExpressions").index(j).child("values");
            for (k, v) in items(&x.values).iter().enumerate() {
                complain(&at.index(k), v, names::label_value(v), e);
            }
        }
    }
}

fn capacity(spec: &PersistentVolumeSpec, path: &Path, e: &mut FieldErrors) {
    let none = Default::default();
    let map = spec.capacity.as_ref().unwrap_or(&none);
    if map.is_empty() {
        e.required(path, "");
    }
    if !map.contains_key("storage") || map.len() > 1 {
        let shown: std::collections::BTreeMap<_, _> = map.iter().map(|(k, v)| (k.clone(), v.0.clone())).collect();
        let shown = if spec.capacity.is_none() { "null".to_owned() } else { serde_json::json!(shown).to_string() };
        e.not_supported(path, Bare(shown), &["storage"]);
    }
    for (k, q) in map {
        if amount(q).is_negative() {
            e.invalid(&path.key(k), Bare(amount(q).value().to_string()), "must be a valid resource quantity");
        }
        if amount(q).is_zero() || amount(q).is_negative() {
            e.invalid(&path.key(k), &q.0, "must be greater than zero");
        }
    }
}

fn source(spec: &PersistentVolumeSpec, path: &Path, e: &mut FieldErrors) {
    let all = sources(spec);
    if all.is_empty() {
        e.required(path, "must specify a volume type");
    }
    for (i, name) in all.iter().enumerate() {
        if *name == "flexVolume" {
            // It is looked at wherever it stands.
            present(spec.flex_volume.as_ref().map_or("", |x| &x.driver), &path.child("flexVolume").child("driver"), e);
        } else if i > 0 {
            e.forbidden(&path.child(name), "may not specify more than 1 volume type");
        } else if ["hostPath", "nfs", "local", "csi"].contains(name) {
            own_source(spec, path, e);
        } else {
            legacy::source(spec, path, e);
        }
    }
}

/// Sources that the node or a CSI driver serves.
fn own_source(spec: &PersistentVolumeSpec, path: &Path, e: &mut FieldErrors) {
    if let Some(h) = &spec.host_path {
        host_path(h, &path.child("hostPath"), e);
    } else if let Some(n) = &spec.nfs {
        nfs(&n.server, &n.path, &path.child("nfs"), e);
    } else if let Some(l) = &spec.local {
        let at = path.child("local");
        present(&l.path, &at.child("path"), e);
        crate::checks::no_backsteps(&l.path, &at.child("path"), e);
        if spec.node_affinity.is_none() {
            e.required(&path.child("nodeAffinity"), "Local volume requires node affinity");
        }
    } else if let Some(c) = &spec.csi {
        let at = path.child("csi");
        csi_driver(&c.driver, &at.child("driver"), e);
        present(&c.volume_handle, &at.child("volumeHandle"), e);
        for (name, secret) in [
            ("controllerPublishSecretRef", &c.controller_publish_secret_ref),
            ("controllerExpandSecretRef", &c.controller_expand_secret_ref),
            ("nodePublishSecretRef", &c.node_publish_secret_ref),
            ("nodeExpandSecretRef", &c.node_expand_secret_ref),
        ] {
            if let Some(r) = secret {
                secret_reference(s(&r.name), s(&r.namespace), &at.child(name), e);
            }
        }
    }
}

/// A secret somewhere in the cluster.
fn secret_reference(name: &str, namespace: &str, at: &Path, e: &mut FieldErrors) {
    for (field, value, why) in [("name", name, names::dns_subdomain(name)), ("namespace", namespace, names::dns_label(namespace))] {
        if value.is_empty() {
            e.required(&at.child(field), "");
        } else {
            complain(&at.child(field), value, why, e);
        }
    }
}

/// What holds the data stays; so does what a claim relies on.
fn kept(n: &PersistentVolume, o: &PersistentVolume, e: &mut FieldErrors) {
    let none = PersistentVolumeSpec::default();
    let (new, old) = (n.spec.as_ref().unwrap_or(&none), o.spec.as_ref().unwrap_or(&none));
    let mut source = source_alone(new);
    let before = source_alone(old);
    // Secrets for growing can be added.
    if let (Some(new), Some(old)) = (&mut source.csi, &before.csi)
        && old.controller_expand_secret_ref.is_none()
    {
        new.controller_expand_secret_ref = None;
    }
    if source != before {
        let whole = |spec| PersistentVolume { spec: Some(spec), ..Default::default() }.into();
        let why = "spec.persistentvolumesource is immutable after creation";
        let at = Path::new("spec.persistentvolumesource");
        e.forbidden_change(&at, ("PersistentVolumeSource", "/spec"), (whole(source), whole(before)), why);
    }
    if new.volume_mode != old.volume_mode {
        let shown = new.volume_mode.as_ref().map_or_else(crate::json::null, |m| Bare(format!("{m:?}")));
        e.invalid(&Path::new("volumeMode"), shown, crate::meta::IMMUTABLE);
    }
    if old.node_affinity.is_some() && !same_places(new, old) {
        let why = "field is immutable, except for updating from beta label to GA";
        e.invalid_part(&Path::new("nodeAffinity"), ("VolumeNodeAffinity", "/spec/nodeAffinity"), n.clone().into(), why);
    }
    if old.volume_attributes_class_name.is_some() && new.volume_attributes_class_name.is_none() {
        e.forbidden(&Path::new("spec.volumeAttributesClassName"), "update from non-nil value to nil is forbidden");
    }
}

/// Labels that became stable, and what they are called since.
const STABLE: &[(&str, &str)] = &[
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
];

/// Whether a volume is reached from the same nodes. A key may become the stable one of the same label; one that never was
/// beta passes as none.
fn same_places(new: &PersistentVolumeSpec, old: &PersistentVolumeSpec) -> bool {
    let (mut now, mut before) = (new.node_affinity.clone(), old.node_affinity.clone());
    let Some(terms) = now.as_mut().and_then(|a| a.required.as_mut()).map(|r| &mut r.node_selector_terms) else { return now == before };
    let old = before.as_mut().and_then(|a| a.required.as_mut()).map(|r| &mut r.node_selector_terms);
    for (term, old) in terms.iter_mut().zip(old.into_iter().flatten()) {
        for (list, old) in [(&mut term.match_expressions, &mut old.match_expressions), (&mut term.match_fields, &mut old.match_fields)] {
            for (r, old) in list.iter_mut().flatten().zip(old.iter_mut().flatten()) {
                let stable = STABLE.iter().find(|(beta, _)| *beta == old.key).map_or("", |(_, stable)| stable);
                if r.key == stable {
                    old.key.clone_from(&r.key);
                }
            }
        }
    }
    now == before
}

/// The spec without all that is no source.
fn source_alone(spec: &PersistentVolumeSpec) -> PersistentVolumeSpec {
    let mut m = spec.clone();
    (m.access_modes, m.capacity, m.claim_ref, m.mount_options) = (None, None, None, None);
    (m.node_affinity, m.persistent_volume_reclaim_policy, m.storage_class_name) = (None, None, None);
    (m.volume_attributes_class_name, m.volume_mode) = (None, None);
    m
}
