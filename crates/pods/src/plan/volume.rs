//! The volumes of a pod as the hands make them: directories, tmpfs, checked host paths, written files
//! (docs: "Volumes"). Claims are followed to volumes that live on this node (`hostPath`, `local`).

use super::downward::Addresses;
use super::files::{FileEntry, Scope};
use crate::facts::{Facts, World};
use crate::roster;
use kinds::Quantity;
use kinds::api::core::v1::{EmptyDirVolumeSource, PersistentVolume, Pod, Volume};

/// How a volume comes to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeKind {
    /// A directory of the pod's own.
    EmptyDir,
    /// In memory, with the size of the mount.
    Memory { size_bytes: Option<i64> },
    /// A path of the node, of a type that is checked or created (`Directory`, `FileOrCreate`, …, or empty).
    HostPath { type_: String },
    /// The files of an image, to be read and not to be run (KEP-4639); pulled as the policy says.
    Image { reference: String, policy: Option<String> },
    /// Files, replaced together; in memory when they are secret.
    Files { files: Vec<FileEntry>, memory: bool },
}

/// One volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumePlan {
    pub name: String,
    /// The name that mount errors speak of: the persistent volume's behind a claim.
    pub shown: String,
    /// What mounts bind from.
    pub path: String,
    pub kind: VolumeKind,
    /// Files belong to this group, and it may read (and, in directories of the pod's own, write) them.
    pub fs_group: Option<i64>,
    /// Only to be mounted for reading.
    pub read_only: bool,
}

/// A volume that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeError {
    pub volume: String,
    pub message: String,
}

impl VolumeError {
    /// The event's text.
    #[must_use]
    pub fn text(&self) -> String {
        format!("MountVolume.SetUp failed for volume \"{}\" : {}", self.volume, self.message)
    }
}

fn memory_size(e: &EmptyDirVolumeSource, pod: &Pod, facts: &Facts) -> Option<i64> {
    let limit = e.size_limit.as_ref().and_then(|q| Quantity::parse(&q.0).ok()).map(|q| q.value()).filter(|b| *b > 0);
    let spec = roster::spec(pod);
    let pod_limit = super::resources::whole_pod(pod).memory_bytes;
    let all_limited = spec.containers.iter().all(|c| kinds::pod::container_limits(c).contains_key("memory"));
    let bound = pod_limit.filter(|_| all_limited).unwrap_or(facts.memory_bytes);
    Some(limit.map_or(bound, |l| l.min(bound))).filter(|b| *b > 0)
}

fn host_volume(name: &str, shown: &str, path: &str, type_: Option<&String>) -> VolumePlan {
    VolumePlan {
        name: name.to_owned(),
        shown: shown.to_owned(),
        path: path.to_owned(),
        kind: VolumeKind::HostPath { type_: type_.cloned().unwrap_or_default() },
        fs_group: None,
        read_only: false,
    }
}

fn persistent(v: &Volume, pv: &PersistentVolume, read_only: bool) -> Result<VolumePlan, String> {
    let name = pv.metadata.name.clone().unwrap_or_default();
    let spec = pv.spec.as_ref().ok_or("volume has no spec")?;
    let mut plan = match (&spec.host_path, &spec.local) {
        (Some(h), _) => host_volume(&v.name, &name, &h.path, h.type_.as_ref()),
        (_, Some(l)) => host_volume(&v.name, &name, &l.path, Some(&"Directory".to_owned())),
        _ => return Err("no volume plugin matched".to_owned()),
    };
    plan.read_only = read_only;
    Ok(plan)
}

fn claimed(v: &Volume, claim: &str, read_only: bool, pod: &Pod, world: &dyn World) -> Result<VolumePlan, String> {
    let found = world.claim(roster::namespace(pod), claim);
    let found = found.ok_or_else(|| format!("persistentvolumeclaim \"{claim}\" not found"))?;
    let bound = found.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Bound");
    let volume = found.spec.as_ref().and_then(|s| s.volume_name.clone()).filter(|n| bound && !n.is_empty());
    let volume = volume.ok_or("can't use an unbound claim")?;
    let pv = world.volume(&volume).ok_or_else(|| format!("persistentvolume \"{volume}\" not found"))?;
    persistent(v, &pv, read_only)
}

fn plan_one(v: &Volume, s: &Scope<'_>) -> Result<VolumePlan, String> {
    let (pod, facts) = (s.pod, s.facts);
    let fs_group = roster::spec(pod).security_context.as_ref().and_then(|c| c.fs_group);
    let below = |plugin: &str| format!("{}/volumes/kubernetes.io~{plugin}/{}", facts.pod_dir(roster::uid(pod)), v.name);
    let own = |plugin: &str, kind| VolumePlan {
        name: v.name.clone(),
        shown: v.name.clone(),
        path: below(plugin),
        kind,
        fs_group,
        read_only: false,
    };
    let written = |plugin, files, memory| own(plugin, VolumeKind::Files { files, memory });
    if let Some(e) = &v.empty_dir {
        let memory = e.medium.as_deref().is_some_and(|m| m == "Memory");
        let kind = if memory { VolumeKind::Memory { size_bytes: memory_size(e, pod, facts) } } else { VolumeKind::EmptyDir };
        return Ok(own("empty-dir", kind));
    }
    if let Some(h) = &v.host_path {
        return Ok(host_volume(&v.name, &v.name, &h.path, h.type_.as_ref()));
    }
    if let Some(c) = &v.config_map {
        let files = s.config_map(&c.name, c.items.as_ref(), c.default_mode, c.optional)?;
        return Ok(written("configmap", files, false));
    }
    if let Some(c) = &v.secret {
        let name = c.secret_name.clone().unwrap_or_default();
        let files = s.secret(&name, c.items.as_ref(), c.default_mode, c.optional)?;
        return Ok(written("secret", files, true));
    }
    if let Some(d) = &v.downward_api {
        let files = s.downward(d.items.as_deref().unwrap_or_default(), d.default_mode)?;
        return Ok(written("downward-api", files, false));
    }
    if let Some(p) = &v.projected {
        return Ok(written("projected", s.projected(p)?, true));
    }
    if let Some(i) = &v.image {
        let reference = crate::image::with_default_tag(i.reference.as_deref().unwrap_or_default())?;
        let kind = VolumeKind::Image { reference, policy: i.pull_policy.clone() };
        return Ok(VolumePlan { fs_group: None, read_only: true, ..own("image", kind) });
    }
    if let Some(c) = &v.persistent_volume_claim {
        return claimed(v, &c.claim_name, c.read_only == Some(true), pod, s.world);
    }
    if v.ephemeral.is_some() {
        return claimed(v, &format!("{}-{}", roster::name(pod), v.name), false, pod, s.world);
    }
    Err("no volume plugin matched".to_owned())
}

/// Every volume of the pod.
///
/// # Errors
/// The volumes that cannot be made yet.
pub fn plan(pod: &Pod, addresses: &Addresses<'_>, facts: &Facts, world: &dyn World) -> Result<Vec<VolumePlan>, Vec<VolumeError>> {
    let scope = Scope { pod, addresses, facts, world };
    let (mut plans, mut wrong) = (Vec::new(), Vec::new());
    for v in roster::spec(pod).volumes.iter().flatten() {
        match plan_one(v, &scope) {
            Ok(p) => plans.push(p),
            Err(message) => wrong.push(VolumeError { volume: v.name.clone(), message }),
        }
    }
    if wrong.is_empty() { Ok(plans) } else { Err(wrong) }
}

/// The ConfigMaps and Secrets whose change may matter to the pod's volumes: (is secret, name).
pub fn references(pod: &Pod) -> Vec<(bool, String)> {
    let mut names = Vec::new();
    for v in roster::spec(pod).volumes.iter().flatten() {
        names.extend(v.config_map.as_ref().map(|c| (false, c.name.clone())));
        names.extend(v.secret.as_ref().and_then(|c| Some((true, c.secret_name.clone()?))));
        for s in v.projected.iter().flat_map(|p| p.sources.iter().flatten()) {
            names.extend(s.config_map.as_ref().map(|c| (false, c.name.clone())));
            names.extend(s.secret.as_ref().map(|c| (true, c.name.clone())));
        }
    }
    let spec = roster::spec(pod);
    for c in spec.init_containers.iter().flatten().chain(&spec.containers) {
        for e in c.env.iter().flatten().filter_map(|e| e.value_from.as_ref()) {
            names.extend(e.config_map_key_ref.as_ref().map(|r| (false, r.name.clone())));
            names.extend(e.secret_key_ref.as_ref().map(|r| (true, r.name.clone())));
        }
        for e in c.env_from.iter().flatten() {
            names.extend(e.config_map_ref.as_ref().map(|r| (false, r.name.clone())));
            names.extend(e.secret_ref.as_ref().map(|r| (true, r.name.clone())));
        }
    }
    names.extend(spec.image_pull_secrets.iter().flatten().map(|s| (true, s.name.clone())));
    names.sort();
    names.dedup();
    names
}
