//! Volumes of a pod: exactly one source each, and that source well-formed.

use super::env;
use crate::checks::{complain, descending_path, file_mode, local_path, no_backsteps, not_negative, one_of_opt, present};
use crate::core::volume::legacy;
use crate::names;
use crate::read::{amount, has, items, on, s};
use kinds::api::core::v1::{
    DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, PodSpec, ProjectedVolumeSource, Volume,
};
use kinds::{FieldErrors, Path};
use std::collections::BTreeSet;

const HOST_PATH_TYPES: &[&str] =
    &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

/// All volumes. Gives the places of those with which something is wrong: for containers they are not there.
pub(super) fn volumes(spec: &PodSpec, path: &Path, e: &mut FieldErrors) -> Vec<usize> {
    let (mut seen, mut unsound) = (BTreeSet::new(), Vec::new());
    for (i, v) in items(&spec.volumes).iter().enumerate() {
        let (at, before) = (path.index(i), e.len());
        source(v, &at, e);
        if v.name.is_empty() {
            e.required(&at.child("name"), "");
        } else {
            complain(&at.child("name"), &v.name, names::dns_label(&v.name), e);
        }
        if seen.contains(&v.name) {
            e.duplicate(&at.child("name"), &v.name);
        }
        if e.len() > before {
            unsound.push(i);
        } else {
            seen.insert(&v.name);
        }
    }
    unsound
}

/// Checks each source that is set and may be: `field, "name", check;`.
macro_rules! each {
    ($v:ident, $at:ident, $first:ident, $e:ident; $($field:ident, $name:literal, $check:expr;)*) => {
        $(if let Some(x) = &$v.$field && $first($name, $e) {
            #[allow(clippy::redundant_closure_call)]
            ($check)(x, &$at.child($name), &mut *$e);
        })*
    };
}

fn source(v: &Volume, at: &Path, e: &mut FieldErrors) {
    let mut n = 0;
    let mut first = |name: &str, e: &mut FieldErrors| {
        n += 1;
        if n > 1 {
            // Upstream spells some otherwise here.
            let name = match name {
                "persistentDisk" => "gcePersistentDisk",
                "cephfs" => "cephFS",
                "downwardAPI" => "downwarAPI",
                other => other,
            };
            e.forbidden(&at.child(name), "may not specify more than 1 volume type");
        }
        n == 1
    };
    early(v, at, &mut first, e);
    late(v, at, &mut first, e);
    if n == 0 {
        e.required(at, "must specify a volume type");
    }
}

/// Counts a source, and says whether it is the first one.
type First<'a> = &'a mut dyn FnMut(&str, &mut FieldErrors) -> bool;

/// The first half of the sources, in the order in which one of two is refused.
fn early(v: &Volume, at: &Path, first: First<'_>, e: &mut FieldErrors) {
    each! { v, at, first, e;
        empty_dir, "emptyDir", |x: &kinds::api::core::v1::EmptyDirVolumeSource, p: &Path, e: &mut FieldErrors| {
            if x.size_limit.as_ref().is_some_and(|q| amount(q).is_negative()) {
                e.forbidden(&p.child("sizeLimit"), "SizeLimit field must be a valid resource quantity");
            }
        };
        host_path, "hostPath", host_path;
        git_repo, "gitRepo", |x: &kinds::api::core::v1::GitRepoVolumeSource, p: &Path, e: &mut FieldErrors| {
            present(&x.repository, &p.child("repository"), e);
            descending_path(s(&x.directory), &p.child("directory"), e);
        };
        gce_persistent_disk, "persistentDisk", |x: &kinds::api::core::v1::GCEPersistentDiskVolumeSource, p: &Path, e: &mut FieldErrors| present(&x.pd_name, &p.child("pdName"), e);
        aws_elastic_block_store, "awsElasticBlockStore", |x: &kinds::api::core::v1::AWSElasticBlockStoreVolumeSource, p: &Path, e: &mut FieldErrors| present(&x.volume_id, &p.child("volumeID"), e);
        secret, "secret", |x: &kinds::api::core::v1::SecretVolumeSource, p: &Path, e: &mut FieldErrors| {
            present(s(&x.secret_name), &p.child("secretName"), e);
            file_mode(x.default_mode, &p.child("defaultMode"), e);
            keys(items(&x.items), &p.child("items"), e);
        };
        nfs, "nfs", |x: &kinds::api::core::v1::NFSVolumeSource, p: &Path, e: &mut FieldErrors| nfs(&x.server, &x.path, p, e);
        iscsi, "iscsi", |x: &kinds::api::core::v1::ISCSIVolumeSource, p: &Path, e: &mut FieldErrors| {
            present(&x.target_portal, &p.child("targetPortal"), e);
            present(&x.iqn, &p.child("iqn"), e);
            if !x.iqn.is_empty() {
                legacy::iscsi_name(&x.iqn, &p.child("iqn"), e);
            }
            legacy::lun(x.lun, &p.child("lun"), e);
            if (on(x.chap_auth_discovery) || on(x.chap_auth_session)) && x.secret_ref.is_none() {
                e.required(&p.child("secretRef"), "");
            }
            if let Some(name) = &x.initiator_name {
                legacy::iscsi_name(name, &p.child("initiatorname"), e);
            }
        };
        glusterfs, "glusterfs", |x: &kinds::api::core::v1::GlusterfsVolumeSource, p: &Path, e: &mut FieldErrors| {
            present(&x.endpoints, &p.child("endpoints"), e);
            present(&x.path, &p.child("path"), e);
        };
        flocker, "flocker", |x: &kinds::api::core::v1::FlockerVolumeSource, p: &Path, e: &mut FieldErrors| legacy::flocker(s(&x.dataset_name), s(&x.dataset_uuid), p, e);
        persistent_volume_claim, "persistentVolumeClaim", |x: &kinds::api::core::v1::PersistentVolumeClaimVolumeSource, p: &Path, e: &mut FieldErrors| {
            present(&x.claim_name, &p.child("claimName"), e);
        };
        rbd, "rbd", |x: &kinds::api::core::v1::RBDVolumeSource, p: &Path, e: &mut FieldErrors| {
            if x.monitors.is_empty() { e.required(&p.child("monitors"), ""); }
            present(&x.image, &p.child("image"), e);
        };
        cinder, "cinder", |x: &kinds::api::core::v1::CinderVolumeSource, p: &Path, e: &mut FieldErrors| present(&x.volume_id, &p.child("volumeID"), e);
        cephfs, "cephfs", |x: &kinds::api::core::v1::CephFSVolumeSource, p: &Path, e: &mut FieldErrors| {
            if x.monitors.is_empty() { e.required(&p.child("monitors"), ""); }
        };
        quobyte, "quobyte", |x: &kinds::api::core::v1::QuobyteVolumeSource, p: &Path, e: &mut FieldErrors| legacy::quobyte(&x.registry, &x.volume, p, e);
    }
}

/// The other half.
fn late(v: &Volume, at: &Path, first: First<'_>, e: &mut FieldErrors) {
    each! { v, at, first, e;
        downward_api, "downwardAPI", |x: &kinds::api::core::v1::DownwardAPIVolumeSource, p: &Path, e: &mut FieldErrors| {
            file_mode(x.default_mode, &p.child("defaultMode"), e);
            for f in items(&x.items) {
                downward(f, p, e);
            }
        };
        fc, "fc", |x: &kinds::api::core::v1::FCVolumeSource, p: &Path, e: &mut FieldErrors| {
            let (targets, ids) = (items(&x.target_wwns), items(&x.wwids));
            if targets.is_empty() && ids.is_empty() {
                e.required(&p.child("targetWWNs"), "must specify either targetWWNs or wwids, but not both");
            }
            if !targets.is_empty() && !ids.is_empty() {
                e.invalid(&p.child("targetWWNs"), crate::json::list(targets), "targetWWNs and wwids can not be specified simultaneously");
            }
            match x.lun {
                None if !targets.is_empty() => e.required(&p.child("lun"), "lun is required if targetWWNs is specified"),
                Some(n) if !targets.is_empty() => legacy::lun(n, &p.child("lun"), e),
                _ => {}
            }
        };
        flex_volume, "flexVolume", |x: &kinds::api::core::v1::FlexVolumeSource, p: &Path, e: &mut FieldErrors| present(&x.driver, &p.child("driver"), e);
        config_map, "configMap", |x: &kinds::api::core::v1::ConfigMapVolumeSource, p: &Path, e: &mut FieldErrors| {
            present(&x.name, &p.child("name"), e);
            file_mode(x.default_mode, &p.child("defaultMode"), e);
            keys(items(&x.items), &p.child("items"), e);
        };
        azure_file, "azureFile", |x: &kinds::api::core::v1::AzureFileVolumeSource, p: &Path, e: &mut FieldErrors| {
            present(&x.secret_name, &p.child("secretName"), e);
            present(&x.share_name, &p.child("shareName"), e);
        };
        vsphere_volume, "vsphereVolume", |x: &kinds::api::core::v1::VsphereVirtualDiskVolumeSource, p: &Path, e: &mut FieldErrors| present(&x.volume_path, &p.child("volumePath"), e);
        photon_persistent_disk, "photonPersistentDisk", |x: &kinds::api::core::v1::PhotonPersistentDiskVolumeSource, p: &Path, e: &mut FieldErrors| present(&x.pd_id, &p.child("pdID"), e);
        portworx_volume, "portworxVolume", |x: &kinds::api::core::v1::PortworxVolumeSource, p: &Path, e: &mut FieldErrors| present(&x.volume_id, &p.child("volumeID"), e);
        azure_disk, "azureDisk", |x: &kinds::api::core::v1::AzureDiskVolumeSource, p: &Path, e: &mut FieldErrors| {
            legacy::azure_disk(&x.disk_name, &x.disk_uri, s(&x.kind), p, e);
        };
        storageos, "storageos", |x: &kinds::api::core::v1::StorageOSVolumeSource, p: &Path, e: &mut FieldErrors| {
            legacy::storage_os((s(&x.volume_name), s(&x.volume_namespace)), p, e);
            if let Some(r) = &x.secret_ref {
                present(&r.name, &p.child("secretRef").child("name"), e);
            }
        };
        projected, "projected", projected;
        scale_io, "scaleIO", |x: &kinds::api::core::v1::ScaleIOVolumeSource, p: &Path, e: &mut FieldErrors| legacy::scale_io(&x.gateway, &x.system, s(&x.volume_name), p, e);
        csi, "csi", |x: &kinds::api::core::v1::CSIVolumeSource, p: &Path, e: &mut FieldErrors| {
            csi_driver(&x.driver, &p.child("driver"), e);
            if let Some(r) = &x.node_publish_secret_ref {
                present(&r.name, &p.child("nodePublishSecretRef").child("name"), e);
                if !r.name.is_empty() {
                    complain(&p.child("name"), &r.name, names::dns_subdomain(&r.name), e);
                }
            }
        };
        ephemeral, "ephemeral", |x: &kinds::api::core::v1::EphemeralVolumeSource, p: &Path, e: &mut FieldErrors| {
            match &x.volume_claim_template {
                None => e.required(&p.child("volumeClaimTemplate"), ""),
                Some(t) => {
                    let at = p.child("volumeClaimTemplate");
                    if let Some(m) = &t.metadata {
                        crate::meta::template(m, &at.child("metadata"), e);
                    }
                    crate::core::claim::spec(&t.spec, &at.child("spec"), e);
                }
            }
        };
        image, "image", |x: &kinds::api::core::v1::ImageVolumeSource, p: &Path, e: &mut FieldErrors| {
            present(s(&x.reference), &p.child("reference"), e);
            one_of_opt(&x.pull_policy, &["Always", "IfNotPresent", "Never"], &p.child("pullPolicy"), e);
        };
    }
}

/// An NFS export.
pub(crate) fn nfs(server: &str, export: &str, p: &Path, e: &mut FieldErrors) {
    present(server, &p.child("server"), e);
    present(export, &p.child("path"), e);
    if !export.starts_with('/') {
        e.invalid(&p.child("path"), export, "must be an absolute path");
    }
}

/// A directory or file of the node.
pub(crate) fn host_path(x: &HostPathVolumeSource, p: &Path, e: &mut FieldErrors) {
    if x.path.is_empty() {
        e.required(&p.child("path"), "");
        return;
    }
    no_backsteps(&x.path, &p.child("path"), e);
    if let Some(t) = x.type_.as_deref().filter(|t| !HOST_PATH_TYPES.contains(t)) {
        e.not_supported(&p.child("type"), t, HOST_PATH_TYPES);
    }
}

/// The name of a CSI driver.
pub(crate) fn csi_driver(name: &str, path: &Path, e: &mut FieldErrors) {
    if name.is_empty() {
        e.required(path, "");
        return;
    }
    if name.len() > 63 {
        e.too_long(path, 63);
    }
    complain(path, name, names::dns_subdomain(&name.to_lowercase()), e);
}

fn keys(list: &[KeyToPath], path: &Path, e: &mut FieldErrors) {
    for (i, k) in list.iter().enumerate() {
        let at = path.index(i);
        present(&k.key, &at.child("key"), e);
        if k.path.is_empty() {
            e.required(&at.child("path"), "");
        } else {
            local_path(&k.path, &at.child("path"), e);
        }
        file_mode(k.mode, &at.child("mode"), e);
    }
}

fn downward(f: &DownwardAPIVolumeFile, p: &Path, e: &mut FieldErrors) {
    if f.path.is_empty() {
        e.required(&p.child("path"), "");
    }
    local_path(&f.path, &p.child("path"), e);
    match (&f.field_ref, &f.resource_field_ref) {
        (Some(r), other) => {
            env::field(r, env::FILE_FIELDS, &p.child("fieldRef"), e);
            if other.is_some() {
                e.invalid(p, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
            }
        }
        (None, Some(r)) => env::resource(r, true, &p.child("resourceFieldRef"), e),
        (None, None) => e.required(p, "one of fieldRef and resourceFieldRef is required"),
    }
    file_mode(f.mode, &p.child("mode"), e);
}

/// The shortest and the longest life of a projected token.
const TOKEN_S_MIN: i64 = 600;
const TOKEN_S_MAX: i64 = 1 << 32;

fn projected(x: &ProjectedVolumeSource, path: &Path, e: &mut FieldErrors) {
    file_mode(x.default_mode, &path.child("defaultMode"), e);
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for (i, src) in items(&x.sources).iter().enumerate() {
        let at = path.child("sources").index(i);
        // Two files of one path are told of the whole volume, by the name of their source.
        let mut claim = |p: &str, shown: &str, e: &mut FieldErrors| {
            if !p.is_empty() && !taken.insert(p.to_owned()) {
                e.invalid(path, shown, "conflicting duplicate paths");
            }
        };
        if let Some(c) = &src.secret {
            let at = at.child("secret");
            present(&c.name, &at.child("name"), e);
            keys(items(&c.items), &at.child("items"), e);
            items(&c.items).iter().for_each(|k| claim(&k.path, &c.name, e));
        }
        if let Some(c) = &src.config_map {
            let at = at.child("configMap");
            present(&c.name, &at.child("name"), e);
            keys(items(&c.items), &at.child("items"), e);
            items(&c.items).iter().for_each(|k| claim(&k.path, &c.name, e));
        }
        if let Some(d) = &src.downward_api {
            for f in items(&d.items) {
                downward(f, &at.child("downwardAPI"), e);
                claim(&f.path, &f.path, e);
            }
        }
        if let Some(t) = &src.service_account_token {
            let at = at.child("serviceAccountToken");
            let life = t.expiration_seconds.unwrap_or_default();
            if life < TOKEN_S_MIN {
                e.invalid(&at.child("expirationSeconds"), life, "may not specify a duration less than 10 minutes");
            }
            if life > TOKEN_S_MAX {
                e.invalid(&at.child("expirationSeconds"), life, "may not specify a duration larger than 2^32 seconds");
            }
            if t.path.is_empty() {
                e.required(&path.child("path"), "");
            } else {
                local_path(&t.path, &path.child("path"), e);
            }
        }
        if let Some(t) = &src.cluster_trust_bundle {
            let at = at.child("clusterTrustBundle");
            if has(&t.name) == has(&t.signer_name) {
                let why = if has(&t.name) { "only one of name and signerName may be used" } else { "either name or signerName must be specified" };
                if has(&t.name) { e.invalid(&at, "", why) } else { e.required(&at, why) }
            }
            present(&t.path, &at.child("path"), e);
            claim(&t.path, &t.path, e);
        }
        if let Some(c) = &src.pod_certificate {
            let at = at.child("podCertificate");
            present(&c.signer_name, &at.child("signerName"), e);
            crate::checks::one_of(
                &c.key_type,
                &["ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519", "RSA3072", "RSA4096"],
                &at.child("keyType"),
                e,
            );
            not_negative(i64::from(c.max_expiration_seconds.unwrap_or_default()), &at.child("maxExpirationSeconds"), e);
            for p in [&c.credential_bundle_path, &c.key_path, &c.certificate_chain_path] {
                claim(s(p), s(p), e);
            }
        }
        let given = [
            src.secret.is_some(), src.config_map.is_some(), src.downward_api.is_some(), src.service_account_token.is_some(),
            src.cluster_trust_bundle.is_some(), src.pod_certificate.is_some(),
        ];
        if given.into_iter().filter(|set| *set).count() > 1 {
            e.forbidden(&at, "may not specify more than 1 volume type per source");
        }
    }
}
