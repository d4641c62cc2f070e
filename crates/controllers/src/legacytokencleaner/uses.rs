//! The secrets that a pod names: to pull images, in the environment of its containers, in its volumes.

use kinds::api::core::v1::{Container, Pod, Volume};

/// Whether a pod names the secret.
pub(super) fn names(pod: &Pod, secret: &str) -> bool {
    let Some(spec) = &pod.spec else { return false };
    spec.image_pull_secrets.iter().flatten().any(|r| r.name == secret)
        || spec.containers.iter().chain(spec.init_containers.iter().flatten()).any(|c| of_container(c, secret))
        || spec.ephemeral_containers.iter().flatten().any(|c| {
            let plain = Container { env: c.env.clone(), env_from: c.env_from.clone(), ..Container::default() };
            of_container(&plain, secret)
        })
        || spec.volumes.iter().flatten().any(|v| of_volume(v, secret))
}

fn of_container(container: &Container, secret: &str) -> bool {
    let whole = container.env_from.iter().flatten().filter_map(|e| e.secret_ref.as_ref()).any(|r| r.name == secret);
    let sources = container.env.iter().flatten().filter_map(|e| e.value_from.as_ref()?.secret_key_ref.as_ref());
    whole || sources.into_iter().any(|r| r.name == secret)
}

fn of_volume(v: &Volume, secret: &str) -> bool {
    let projected = v.projected.iter().flat_map(|p| p.sources.iter().flatten()).filter_map(|s| s.secret.as_ref());
    let references = [
        v.cephfs.as_ref().and_then(|x| x.secret_ref.as_ref()),
        v.cinder.as_ref().and_then(|x| x.secret_ref.as_ref()),
        v.csi.as_ref().and_then(|x| x.node_publish_secret_ref.as_ref()),
        v.flex_volume.as_ref().and_then(|x| x.secret_ref.as_ref()),
        v.iscsi.as_ref().and_then(|x| x.secret_ref.as_ref()),
        v.rbd.as_ref().and_then(|x| x.secret_ref.as_ref()),
        v.scale_io.as_ref().map(|x| &x.secret_ref),
        v.storageos.as_ref().and_then(|x| x.secret_ref.as_ref()),
    ];
    v.secret.as_ref().is_some_and(|s| s.secret_name.as_deref() == Some(secret))
        || v.azure_file.as_ref().is_some_and(|s| s.secret_name == secret)
        || projected.into_iter().any(|s| s.name == secret)
        || references.into_iter().flatten().any(|r| r.name == secret)
}
