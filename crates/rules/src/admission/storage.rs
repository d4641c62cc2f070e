//! DefaultStorageClass, StorageObjectInUseProtection and PersistentVolumeClaimResize.
//!
//! Docs: "Storage Classes: Default", "Storage Object in Use Protection", "Expanding Persistent Volumes Claims".

use super::forbidden;
use crate::context::{Ctx, Operation, Request};
use crate::read::{amount, on, s};
use kinds::api::core::v1::PersistentVolumeClaim;
use kinds::api::storage::v1::StorageClass;
use kinds::{ApiError, Object, ObjectMeta, Quantity};
use std::sync::Arc;

const DEFAULT: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

fn annotated(meta: &ObjectMeta, keys: &[&str]) -> bool {
    keys.iter().any(|k| meta.annotations.as_ref().and_then(|a| a.get(*k)).is_some_and(|v| v == "true"))
}

/// A claim without a class gets the default one: the newest, if there are several.
pub(super) fn default_class(ctx: &Ctx<'_>, request: &Request, object: &mut Object, _: Option<&Object>) -> Result<(), ApiError> {
    if request.operation != Operation::Create {
        return Ok(());
    }
    let Object::PersistentVolumeClaim(claim) = object else { return Ok(()) };
    let spec = claim.spec.as_ref();
    let named = spec.is_some_and(|x| x.storage_class_name.is_some());
    let old_style = claim.metadata.annotations.as_ref().is_some_and(|a| a.contains_key("volume.beta.kubernetes.io/storage-class"));
    if named || old_style {
        return Ok(());
    }
    let mut classes: Vec<_> =
        ctx.snapshot.list::<StorageClass>("").filter(|c| annotated(&c.metadata, &DEFAULT)).cloned().collect();
    classes.sort_by(|a, b| {
        let created = |c: &StorageClass| c.metadata.creation_timestamp.as_ref().map(|t| t.0);
        created(b).cmp(&created(a)).then_with(|| a.metadata.name.cmp(&b.metadata.name))
    });
    if let Some(c) = classes.first() {
        Arc::make_mut(claim).spec.get_or_insert_default().storage_class_name.clone_from(&c.metadata.name);
    }
    Ok(())
}

/// Claims and volumes go only when nothing uses them any more.
pub(super) fn protect(ctx: &Ctx<'_>, request: &Request, object: &mut Object, _: Option<&Object>) -> Result<(), ApiError> {
    if request.operation != Operation::Create || !request.subresource.is_empty() {
        return Ok(());
    }
    let finalizer = match object {
        Object::PersistentVolumeClaim(_) => "kubernetes.io/pvc-protection",
        Object::PersistentVolume(_) => "kubernetes.io/pv-protection",
        Object::VolumeAttributesClass(_) if ctx.gates.on("VolumeAttributesClass") => "kubernetes.io/vac-protection",
        _ => return Ok(()),
    };
    let list = object.meta_mut().finalizers.get_or_insert_default();
    if !list.iter().any(|f| f == finalizer) {
        list.push(finalizer.into());
    }
    Ok(())
}

fn requested(c: &PersistentVolumeClaim) -> Quantity {
    let requests = c.spec.as_ref().and_then(|x| x.resources.as_ref()).and_then(|r| r.requests.as_ref());
    requests.and_then(|r| r.get("storage")).map(amount).unwrap_or_default()
}

/// Only bound claims whose class allows it may grow.
pub(super) fn resize(ctx: &Ctx<'_>, request: &Request, object: &Object, old: Option<&Object>) -> Result<(), ApiError> {
    let (Object::PersistentVolumeClaim(new), Some(Object::PersistentVolumeClaim(old))) = (object, old) else { return Ok(()) };
    if request.operation != Operation::Update || !request.subresource.is_empty() || requested(new) <= requested(old) {
        return Ok(());
    }
    if old.status.as_ref().is_none_or(|x| s(&x.phase) != "Bound") {
        return Err(forbidden(request, object, "only bound persistent volume claims can be expanded"));
    }
    let class = old.spec.as_ref().map(|x| s(&x.storage_class_name)).unwrap_or_default();
    let grows = ctx.snapshot.get::<StorageClass>("", class).is_some_and(|c| on(c.allow_volume_expansion));
    if grows {
        return Ok(());
    }
    let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
    Err(forbidden(request, object, why))
}
