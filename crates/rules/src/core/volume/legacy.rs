//! Volumes of the storage systems whose drivers once were in the tree: the drivers are gone, the fields that they must have are
//! still asked for. API reference "PersistentVolumeSpec v1 core".

use crate::checks::{complain, present};
use crate::names;
use crate::read::{items, s};
use kinds::api::core::v1::PersistentVolumeSpec;
use kinds::{FieldErrors, Path};

/// What such a source must say. Of several, only the first is looked at.
pub(super) fn source(v: &PersistentVolumeSpec, path: &Path, e: &mut FieldErrors) {
    if let Some(x) = &v.gce_persistent_disk {
        present(&x.pd_name, &path.child("persistentDisk").child("pdName"), e);
    } else if let Some(x) = &v.aws_elastic_block_store {
        present(&x.volume_id, &path.child("awsElasticBlockStore").child("volumeID"), e);
    } else if let Some(x) = &v.glusterfs {
        present(&x.endpoints, &path.child("glusterfs").child("endpoints"), e);
        present(&x.path, &path.child("glusterfs").child("path"), e);
    } else if let Some(x) = &v.flocker {
        flocker(s(&x.dataset_name), s(&x.dataset_uuid), &path.child("flocker"), e);
    } else if let Some(x) = &v.rbd {
        listed(&x.monitors, &path.child("rbd").child("monitors"), e);
        present(&x.image, &path.child("rbd").child("image"), e);
    } else if let Some(x) = &v.quobyte {
        quobyte(&x.registry, &x.volume, &path.child("quobyte"), e);
    } else if let Some(x) = &v.cephfs {
        listed(&x.monitors, &path.child("cephfs").child("monitors"), e);
    } else if let Some(x) = &v.iscsi {
        present(&x.target_portal, &path.child("iscsi").child("targetPortal"), e);
        present(&x.iqn, &path.child("iscsi").child("iqn"), e);
    } else if let Some(x) = &v.cinder {
        present(&x.volume_id, &path.child("cinder").child("volumeID"), e);
    } else if let Some(x) = &v.fc {
        if items(&x.target_wwns).is_empty() && items(&x.wwids).is_empty() {
            e.required(&path.child("fc").child("targetWWNs"), "must specify either targetWWNs or wwids, but not both");
        }
    } else {
        hosted(v, path, e);
    }
}

/// Those of cloud and appliance vendors.
fn hosted(v: &PersistentVolumeSpec, path: &Path, e: &mut FieldErrors) {
    if let Some(x) = &v.azure_file {
        present(&x.secret_name, &path.child("azureFile").child("secretName"), e);
        present(&x.share_name, &path.child("azureFile").child("shareName"), e);
    } else if let Some(x) = &v.vsphere_volume {
        present(&x.volume_path, &path.child("vsphereVolume").child("volumePath"), e);
    } else if let Some(x) = &v.photon_persistent_disk {
        present(&x.pd_id, &path.child("photonPersistentDisk").child("pdID"), e);
    } else if let Some(x) = &v.portworx_volume {
        present(&x.volume_id, &path.child("portworxVolume").child("volumeID"), e);
    } else if let Some(x) = &v.azure_disk {
        azure_disk(&x.disk_name, &x.disk_uri, s(&x.kind), &path.child("azureDisk"), e);
    } else if let Some(x) = &v.scale_io {
        scale_io(&x.gateway, &x.system, s(&x.volume_name), &path.child("scaleIO"), e);
    } else if let Some(x) = &v.storageos {
        let at = path.child("storageos");
        storage_os((s(&x.volume_name), s(&x.volume_namespace)), &at, e);
        if let Some(r) = &x.secret_ref {
            present(s(&r.name), &at.child("secretRef").child("name"), e);
            present(s(&r.namespace), &at.child("secretRef").child("namespace"), e);
        }
    }
}

/// A StorageOS volume and the namespace that it is in there.
pub(crate) fn storage_os((name, namespace): (&str, &str), at: &Path, e: &mut FieldErrors) {
    if name.is_empty() {
        e.required(&at.child("volumeName"), "");
    } else {
        complain(&at.child("volumeName"), name, names::dns_label(name), e);
    }
    if !namespace.is_empty() {
        complain(&at.child("volumeNamespace"), namespace, names::dns_label(namespace), e);
    }
}

fn listed(list: &[String], at: &Path, e: &mut FieldErrors) {
    if list.is_empty() {
        e.required(at, "");
    }
}

/// A Flocker dataset, by name or by id.
pub(crate) fn flocker(name: &str, id: &str, at: &Path, e: &mut FieldErrors) {
    if name.is_empty() && id.is_empty() {
        e.required(at, "one of datasetName and datasetUUID is required");
    } else if !name.is_empty() && !id.is_empty() {
        e.invalid(at, "resource", "datasetName and datasetUUID can not be specified simultaneously");
    } else if name.contains('/') {
        e.invalid(&at.child("datasetName"), name, "must not contain '/'");
    }
}

/// A Quobyte volume behind a registry.
pub(crate) fn quobyte(registry: &str, volume: &str, at: &Path, e: &mut FieldErrors) {
    if registry.is_empty() {
        e.required(&at.child("registry"), "must be a host:port pair or multiple pairs separated by commas");
    } else if registry.split(',').any(|pair| pair.rsplit_once(':').is_none()) {
        e.invalid(&at.child("registry"), registry, "must be a host:port pair or multiple pairs separated by commas");
    }
    present(volume, &at.child("volume"), e);
}

/// An Azure disk: its kind says how its address begins.
pub(crate) fn azure_disk(name: &str, uri: &str, kind: &str, at: &Path, e: &mut FieldErrors) {
    const BLOB: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
    const MANAGED: &str = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
    present(name, &at.child("diskName"), e);
    present(uri, &at.child("diskURI"), e);
    if kind == "Managed" {
        if !uri.starts_with("/subscriptions") {
            e.not_supported(&at.child("diskURI"), uri, &[MANAGED]);
        }
    } else if !uri.starts_with("https://") {
        e.not_supported(&at.child("diskURI"), uri, &[BLOB]);
    }
}

/// A ScaleIO volume.
pub(crate) fn scale_io(gateway: &str, system: &str, volume: &str, at: &Path, e: &mut FieldErrors) {
    present(gateway, &at.child("gateway"), e);
    present(system, &at.child("system"), e);
    present(volume, &at.child("volumeName"), e);
}

/// A logical unit.
pub(crate) fn lun(n: i32, at: &Path, e: &mut FieldErrors) {
    if !(0..=255).contains(&n) {
        e.invalid(at, n, "must be between 0 and 255, inclusive");
    }
}

/// The name of an iSCSI node: RFC 3721 `iqn.…`, `eui.…` or `naa.…`.
pub(crate) fn iscsi_name(name: &str, at: &Path, e: &mut FieldErrors) {
    const FORMS: &[(&str, &str)] = &[
        ("iqn", r"iqn\.\d{4}-\d{2}\.([[:alnum:]-.]+)(:[^,;*&$|\s]+)$"),
        ("eui", r"^eui.[[:alnum:]]{16}$"),
        ("naa", r"^naa.[[:alnum:]]{32}$"),
    ];
    match FORMS.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        None => e.invalid(at, name, "must be valid format starting with iqn, eui, or naa"),
        Some((_, form)) if !regex::Regex::new(form).is_ok_and(|r| r.is_match(name)) => e.invalid(at, name, "must be valid format"),
        Some(_) => {}
    }
}
