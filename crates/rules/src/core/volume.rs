//! PersistentVolumes. Docs: "Persistent Volumes".

use super::claim::access_modes;
use super::pod::placement::node_selector;
use super::pod::resources::resource_amount;
use super::pod::volumes::{csi_driver, host_path, nfs};
use crate::checks::{complain, one_of_opt, present};
use crate::names::{self, NameRule};
use crate::quantities::round_up_milli;
use crate::read::{amount, fill, has, items, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old};
use kinds::api::core::v1::{PersistentVolume, PersistentVolumeSpec, PersistentVolumeStatus};
use kinds::field::Bare;
use kinds::{FieldErrors, Kind, Path};

pub(crate) const ROW: Rules = Rules {
    default: edit!(PersistentVolume, default),
    prepare_create: edit!(PersistentVolume, |v: &mut PersistentVolume| {
        v.status = Some(PersistentVolumeStatus { phase: Some("Pending".into()), ..Default::default() });
    }),
    prepare_update: edit_with_old!(PersistentVolume, |n: &mut PersistentVolume, o: &PersistentVolume| n.status.clone_from(&o.status)),
    prepare_status_update: Some(edit_with_old!(PersistentVolume, |n: &mut PersistentVolume, o: &PersistentVolume| n.spec.clone_from(&o.spec))),
    validate: check!(PersistentVolume, validate),
    validate_update: check_with_old!(PersistentVolume, |n: &PersistentVolume, o: &PersistentVolume, e: &mut FieldErrors| {
        validate(n, e);
        kept(n, o, e);
    }),
    ..Rules::plain(Kind::PersistentVolume, NameRule::DnsSubdomain)
};

fn default(v: &mut PersistentVolume) {
    let status = v.status.get_or_insert_default();
    fill(&mut status.phase, "Pending");
    let spec = v.spec.get_or_insert_default();
    fill(&mut spec.persistent_volume_reclaim_policy, "Retain");
    fill(&mut spec.volume_mode, "Filesystem");
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
            Some(r) => node_selector(r, &path.child("nodeAffinity").child("required"), e),
            None => e.required(&path.child("nodeAffinity").child("required"), "must specify required node constraints"),
        }
    }
    source(spec, &path, e);
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
    one_of_opt(&spec.volume_mode, &["Block", "Filesystem"], &path.child("volumeMode"), e);
}

fn capacity(spec: &PersistentVolumeSpec, path: &Path, e: &mut FieldErrors) {
    let none = Default::default();
    let map = spec.capacity.as_ref().unwrap_or(&none);
    if map.is_empty() {
        e.required(path, "");
    }
    if !map.contains_key("storage") || map.len() > 1 {
        let shown: std::collections::BTreeMap<_, _> = map.iter().map(|(k, v)| (k.clone(), v.0.clone())).collect();
        let shown = if map.is_empty() { "null".to_owned() } else { serde_json::json!(shown).to_string() };
        e.not_supported(path, Bare(shown), &["storage"]);
    }
    for (k, q) in map {
        resource_amount(k, q, &path.key(k), e);
        if amount(q).is_zero() {
            e.invalid(&path.key(k), &q.0, "must be greater than zero");
        }
    }
}

fn source(spec: &PersistentVolumeSpec, path: &Path, e: &mut FieldErrors) {
    let all = sources(spec);
    for extra in all.iter().skip(1) {
        e.forbidden(&path.child(extra), "may not specify more than 1 volume type");
    }
    match all.first() {
        None => e.required(path, "must specify a volume type"),
        Some(&"hostPath") => {
            if let Some(h) = &spec.host_path {
                host_path(h, &path.child("hostPath"), e);
            }
        }
        Some(&"nfs") => {
            if let Some(n) = &spec.nfs {
                nfs(&n.server, &n.path, &path.child("nfs"), e);
            }
        }
        Some(&"local") => {
            if let Some(l) = &spec.local {
                let at = path.child("local");
                present(&l.path, &at.child("path"), e);
                crate::checks::no_backsteps(&l.path, &at.child("path"), e);
            }
            if spec.node_affinity.is_none() {
                e.required(&path.child("nodeAffinity"), "Local volume requires node affinity");
            }
        }
        Some(&"csi") => {
            if let Some(c) = &spec.csi {
                csi_driver(&c.driver, &path.child("csi").child("driver"), e);
                present(&c.volume_handle, &path.child("csi").child("volumeHandle"), e);
            }
        }
        Some(_) => {}
    }
}

fn kept(n: &PersistentVolume, o: &PersistentVolume, e: &mut FieldErrors) {
    let none = PersistentVolumeSpec::default();
    let (new, old) = (n.spec.as_ref().unwrap_or(&none), o.spec.as_ref().unwrap_or(&none));
    let mut m = new.clone();
    m.access_modes.clone_from(&old.access_modes);
    m.capacity.clone_from(&old.capacity);
    m.claim_ref.clone_from(&old.claim_ref);
    m.mount_options.clone_from(&old.mount_options);
    m.node_affinity.clone_from(&old.node_affinity);
    m.persistent_volume_reclaim_policy.clone_from(&old.persistent_volume_reclaim_policy);
    m.storage_class_name.clone_from(&old.storage_class_name);
    m.volume_attributes_class_name.clone_from(&old.volume_attributes_class_name);
    m.volume_mode.clone_from(&old.volume_mode);
    if m != *old {
        let why = "spec.persistentvolumesource is immutable after creation";
        e.forbidden(&Path::new("spec.persistentvolumesource"), format!("{why}\n{}", crate::core::diff::lines(old, &m)));
    }
    crate::meta::immutable_text(s(&new.volume_mode), s(&old.volume_mode), &Path::new("spec.volumeMode"), e);
    if old.node_affinity.is_some() && new.node_affinity != old.node_affinity {
        e.invalid(&Path::new("spec.nodeAffinity"), Bare("{}".into()), "field is immutable, except for updating from beta label to GA");
    }
}
