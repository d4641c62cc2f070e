//! Defaults of volumes and of the claim templates inside them.

use super::default::{divisor, field_ref};
use crate::quantities::spell_opt;
use crate::read::fill;
use kinds::api::core::v1::{
    AzureDiskVolumeSource, DownwardAPIVolumeFile, EmptyDirVolumeSource, PersistentVolumeClaimSpec, Volume,
};

/// `0644`: the mode of projected files.
const FILE_MODE: i32 = 0o644;
/// The lifetime of a projected service account token.
pub(crate) const TOKEN_S: i64 = 3600;

/// Defaults of one volume.
pub(crate) fn volume(v: &mut Volume) {
    if no_source(v) {
        v.empty_dir = Some(EmptyDirVolumeSource::default());
    }
    if let Some(e) = &mut v.empty_dir {
        spell_opt(&mut e.size_limit);
    }
    if let Some(c) = &mut v.config_map {
        c.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(x) = &mut v.secret {
        x.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(d) = &mut v.downward_api {
        d.default_mode.get_or_insert(FILE_MODE);
        d.items.iter_mut().flatten().for_each(downward);
    }
    if let Some(p) = &mut v.projected {
        p.default_mode.get_or_insert(FILE_MODE);
        for x in p.sources.iter_mut().flatten() {
            if let Some(t) = &mut x.service_account_token {
                t.expiration_seconds.get_or_insert(TOKEN_S);
            }
            if let Some(d) = &mut x.downward_api {
                d.items.iter_mut().flatten().for_each(downward);
            }
        }
    }
    if let Some(h) = &mut v.host_path {
        h.type_.get_or_insert_default();
    }
    if let Some(i) = &mut v.image {
        let policy = if super::default::is_latest(i.reference.as_deref().unwrap_or_default()) { "Always" } else { "IfNotPresent" };
        fill(&mut i.pull_policy, policy);
    }
    if let Some(e) = &mut v.ephemeral
        && let Some(t) = &mut e.volume_claim_template
    {
        t.metadata.get_or_insert_default();
        claim(&mut t.spec);
    }
    remote(v);
}

fn remote(v: &mut Volume) {
    if let Some(i) = &mut v.iscsi {
        fill(&mut i.iscsi_interface, "default");
    }
    if let Some(r) = &mut v.rbd {
        fill(&mut r.pool, "rbd");
        fill(&mut r.user, "admin");
        fill(&mut r.keyring, "/etc/ceph/keyring");
    }
    if let Some(x) = &mut v.scale_io {
        fill(&mut x.storage_mode, "ThinProvisioned");
        fill(&mut x.fs_type, "xfs");
    }
    v.azure_disk.iter_mut().for_each(azure_disk);
}

pub(crate) fn azure_disk(a: &mut AzureDiskVolumeSource) {
    fill(&mut a.caching_mode, "ReadWrite");
    fill(&mut a.kind, "Shared");
    fill(&mut a.fs_type, "ext4");
    a.read_only.get_or_insert(false);
}

fn downward(f: &mut DownwardAPIVolumeFile) {
    f.field_ref.iter_mut().for_each(field_ref);
    if let Some(r) = &mut f.resource_field_ref {
        divisor(&mut r.divisor);
    }
}

/// Defaults of a claim's spec.
pub(crate) fn claim(spec: &mut PersistentVolumeClaimSpec) {
    spec.volume_mode.get_or_insert_with(|| "Filesystem".into());
    let r = spec.resources.get_or_insert_default();
    crate::quantities::round_up_milli(&mut r.requests);
    crate::quantities::round_up_milli(&mut r.limits);
}

/// `dataSource` and `dataSourceRef` mirror each other as long as no namespace is named.
pub(crate) fn mirror_sources(spec: &mut PersistentVolumeClaimSpec) {
    use kinds::api::core::v1::{TypedLocalObjectReference, TypedObjectReference};
    match (&spec.data_source, &spec.data_source_ref) {
        (Some(d), None) => {
            spec.data_source_ref = Some(TypedObjectReference {
                api_group: d.api_group.clone(),
                kind: d.kind.clone(),
                name: d.name.clone(),
                namespace: None,
            });
        }
        (None, Some(r)) if r.namespace.as_deref().unwrap_or_default().is_empty() => {
            spec.data_source = Some(TypedLocalObjectReference {
                api_group: r.api_group.clone(),
                kind: r.kind.clone(),
                name: r.name.clone(),
            });
        }
        _ => {}
    }
}

/// How many sources a volume names.
pub(crate) fn source_count(v: &Volume) -> usize {
    [
        v.aws_elastic_block_store.is_some(),
        v.azure_disk.is_some(),
        v.azure_file.is_some(),
        v.cephfs.is_some(),
        v.cinder.is_some(),
        v.config_map.is_some(),
        v.csi.is_some(),
        v.downward_api.is_some(),
        v.empty_dir.is_some(),
        v.ephemeral.is_some(),
        v.fc.is_some(),
        v.flex_volume.is_some(),
        v.flocker.is_some(),
        v.gce_persistent_disk.is_some(),
        v.git_repo.is_some(),
        v.glusterfs.is_some(),
        v.host_path.is_some(),
        v.image.is_some(),
        v.iscsi.is_some(),
        v.nfs.is_some(),
        v.persistent_volume_claim.is_some(),
        v.photon_persistent_disk.is_some(),
        v.portworx_volume.is_some(),
        v.projected.is_some(),
        v.quobyte.is_some(),
        v.rbd.is_some(),
        v.scale_io.is_some(),
        v.secret.is_some(),
        v.storageos.is_some(),
        v.vsphere_volume.is_some(),
    ]
    .into_iter()
    .filter(|b| *b)
    .count()
}

fn no_source(v: &Volume) -> bool {
    source_count(v) == 0
}
