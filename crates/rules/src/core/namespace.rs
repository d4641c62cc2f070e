//! Namespaces and ServiceAccounts. Docs: "Namespaces", "Service Accounts".

use crate::checks::complain;
use crate::names::{self, NameRule};
use crate::read::{items, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old};
use kinds::api::core::v1::{Namespace, NamespaceStatus, ServiceAccount};
use kinds::{FieldErrors, Kind, Object, Path};

pub(crate) const ROW: Rules = Rules {
    default: edit!(Namespace, default),
    prepare_create: edit!(Namespace, prepare_create),
    prepare_update: edit_with_old!(Namespace, |n: &mut Namespace, o: &Namespace| {
        n.spec = Some(kinds::api::core::v1::NamespaceSpec {
            finalizers: o.spec.as_ref().and_then(|s| s.finalizers.clone()),
        });
        n.status.clone_from(&o.status);
    }),
    prepare_status_update: Some(edit_with_old!(Namespace, |n: &mut Namespace, o: &Namespace| {
        n.spec.clone_from(&o.spec);
        n.status.get_or_insert_default();
    })),
    validate: check!(Namespace, |n: &Namespace, e: &mut FieldErrors| finalizers(n, e)),
    validate_status_update: check_with_old!(Namespace, validate_status),
    fields: |o: &Object| {
        let name = ("metadata.name", o.meta().name.clone().unwrap_or_default());
        let phase = match o {
            Object::Namespace(n) => n.status.as_ref().map(|x| s(&x.phase).to_owned()),
            _ => None,
        };
        vec![name, ("status.phase", phase.unwrap_or_default())]
    },
    ..Rules::plain(Kind::Namespace, NameRule::DnsLabel)
};

/// The label that every namespace has.
pub(crate) const NAME_LABEL: &str = "kubernetes.io/metadata.name";

fn default(n: &mut Namespace) {
    let status = n.status.get_or_insert_default();
    crate::read::fill(&mut status.phase, "Active");
    if let Some(name) = n.metadata.name.clone().filter(|n| !n.is_empty()) {
        n.metadata.labels.get_or_insert_default().insert(NAME_LABEL.into(), name);
    }
}

fn prepare_create(n: &mut Namespace) {
    n.status = Some(NamespaceStatus { phase: Some("Active".into()), ..Default::default() });
    // The registry may have resolved generateName since defaulting.
    default(n);
    let list = n.spec.get_or_insert_default().finalizers.get_or_insert_default();
    if !list.iter().any(|f| f == "kubernetes") {
        list.push("kubernetes".into());
    }
}

fn finalizers(n: &Namespace, e: &mut FieldErrors) {
    let spec = n.spec.as_ref();
    for f in items(&spec.and_then(|s| s.finalizers.clone())) {
        finalizer(f, &Path::new("spec.finalizers"), e);
    }
}

/// A finalizer of the core group: a standard one, or qualified.
pub(crate) fn finalizer(f: &str, path: &Path, e: &mut FieldErrors) {
    complain(path, f, names::qualified_name(f), e);
    const STANDARD: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];
    if !f.contains('/') && !STANDARD.contains(&f) {
        e.invalid(path, f, "name is neither a standard finalizer name nor is it fully qualified");
    }
}

fn validate_status(n: &Namespace, _: &Namespace, e: &mut FieldErrors) {
    let phase = n.status.as_ref().map_or("", |x| s(&x.phase));
    let path = Path::new("status.Phase");
    if n.metadata.deletion_timestamp.is_some() {
        if phase != "Terminating" {
            e.invalid(&path, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty");
        }
    } else if phase != "Active" {
        e.invalid(&path, phase, "may only be 'Active' if `deletionTimestamp` is empty");
    }
}

/// `namespaces/finalize`: only the finalizers in spec change.
pub fn prepare_finalize_update(n: &mut Namespace, o: &Namespace) {
    let finalizers = n.spec.take().and_then(|s| s.finalizers);
    let resource_version = n.metadata.resource_version.take();
    *n = o.clone();
    n.metadata.resource_version = resource_version;
    n.spec = Some(kinds::api::core::v1::NamespaceSpec { finalizers });
}

pub(crate) const ACCOUNT_ROW: Rules = Rules {
    prepare_create: edit!(ServiceAccount, clean),
    prepare_update: edit_with_old!(ServiceAccount, |n: &mut ServiceAccount, _: &ServiceAccount| clean(n)),
    ..Rules::plain(Kind::ServiceAccount, NameRule::DnsSubdomain)
};

/// Secrets of an account are names only.
fn clean(a: &mut ServiceAccount) {
    for r in a.secrets.iter_mut().flatten() {
        *r = kinds::api::core::v1::ObjectReference { name: r.name.take(), ..Default::default() };
    }
}
