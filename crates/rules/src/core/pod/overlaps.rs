//! Files of one volume that hide each other: two at one path, or one below another. They are warned of.

use crate::read::{items, s};
use kinds::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Volume, VolumeProjection};

/// A file and where it comes from; empty where the volume has one source.
type File = (String, String);

fn shown((path, source): &File) -> String {
    if source.is_empty() { format!("{path:?}") } else { format!("{path:?} ({source})") }
}

/// Whether one stands where the other does, or inside of it.
fn collide(a: &str, b: &str) -> bool {
    let below = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
    a == b || below(a, b) || below(b, a)
}

fn keys(list: &[KeyToPath], source: &str) -> Vec<File> {
    list.iter().map(|k| (k.path.clone(), source.to_owned())).collect()
}

fn fields(list: &[DownwardAPIVolumeFile], source: &str) -> Vec<File> {
    list.iter().map(|f| (f.path.clone(), source.to_owned())).collect()
}

fn projection(p: &VolumeProjection) -> Vec<File> {
    if let Some(c) = p.config_map.as_ref().filter(|c| c.items.is_some()) {
        return keys(items(&c.items), &format!("ConfigMap {:?}", c.name));
    }
    if let Some(c) = p.secret.as_ref().filter(|c| c.items.is_some()) {
        return keys(items(&c.items), &format!("Secret {:?}", c.name));
    }
    if let Some(d) = p.downward_api.as_ref().filter(|d| d.items.is_some()) {
        return fields(items(&d.items), "DownwardAPI");
    }
    if let Some(t) = &p.service_account_token {
        return vec![(t.path.clone(), "ServiceAccountToken".into())];
    }
    if let Some(b) = &p.cluster_trust_bundle {
        let name = b.name.as_ref().or(b.signer_name.as_ref()).cloned().unwrap_or_default();
        return vec![(b.path.clone(), format!("ClusterTrustBundle {name:?}"))];
    }
    let Some(c) = &p.pod_certificate else { return Vec::new() };
    let kinds = [("chain", &c.certificate_chain_path), ("key", &c.key_path), ("credential bundle", &c.credential_bundle_path)];
    kinds.into_iter().filter(|(_, p)| !s(p).is_empty()).map(|(kind, p)| (s(p).to_owned(), format!("PodCertificate {kind}"))).collect()
}

/// What is said of files that hide each other, and of projections of nothing.
pub(super) fn warn(v: &Volume, all: &mut Vec<String>) {
    let mut told = |of: &str, files: Vec<File>, seen: &mut Vec<File>| {
        for (path, source) in files {
            let file = (path.trim_end_matches('/').to_owned(), source);
            for other in seen.iter().filter(|other| collide(&other.0, &file.0)) {
                all.push(format!("volume {:?} ({of}): overlapping paths: {} with {}", v.name, shown(&file), shown(other)));
            }
            seen.push(file);
        }
    };
    if let Some(c) = &v.config_map {
        told(&format!("ConfigMap {:?}", c.name), keys(items(&c.items), ""), &mut Vec::new());
    }
    if let Some(c) = &v.secret {
        told(&format!("Secret {:?}", s(&c.secret_name)), keys(items(&c.items), ""), &mut Vec::new());
    }
    if let Some(d) = &v.downward_api {
        told("DownwardAPI", fields(items(&d.items), ""), &mut Vec::new());
    }
    let mut seen = Vec::new();
    for p in v.projected.iter().flat_map(|p| items(&p.sources)) {
        told("Projected", projection(p), &mut seen);
    }
    let none = VolumeProjection::default();
    if v.projected.as_ref().is_some_and(|p| items(&p.sources).contains(&none)) {
        all.push(format!("volume {:?} (Projected) has no sources provided", v.name));
    }
}
