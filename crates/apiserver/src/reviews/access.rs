//! Access reviews: what is asked is checked, and put to the authorizers as a request would be.
//! Docs: "Authorization: Checking API access"; KEP-4601 for selectors.

use crate::authz::selectors;
use crate::server::Shared;
use kinds::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReviewSpec, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use kinds::field::Bare;
use kinds::{ApiError, FieldErrors, Path};
use rules::User;
use rules::rbac::Attributes;

const GROUP: &str = "authorization.k8s.io";

/// Whether somebody may; `errors` are what was found before.
pub(super) async fn of_anyone(
    shared: &Shared,
    spec: &SubjectAccessReviewSpec,
    before: FieldErrors,
) -> Result<SubjectAccessReviewStatus, ApiError> {
    let mut errors = FieldErrors::default();
    let nobody = spec.user.as_deref().is_none_or(str::is_empty) && spec.groups.as_ref().is_none_or(Vec::is_empty);
    check_one(spec.resource_attributes.as_ref(), spec.non_resource_attributes.as_ref(), &mut errors);
    if nobody {
        errors.invalid(&Path::new("spec.user"), "", "at least one of user or group must be specified");
    }
    check_selectors(spec.resource_attributes.as_ref(), &mut errors);
    errors.extend(before);
    if !errors.is_empty() {
        // Nobody says what is refused.
        return Err(ApiError::invalid(GROUP, "", "", &errors));
    }
    let user = User {
        name: spec.user.clone().unwrap_or_default(),
        uid: spec.uid.clone().unwrap_or_default(),
        groups: spec.groups.clone().unwrap_or_default(),
        extra: spec.extra.clone().unwrap_or_default(),
    };
    Ok(verdict(shared, &user, &attributes(spec.resource_attributes.as_ref(), spec.non_resource_attributes.as_ref())).await)
}

/// Whether the one who asks may.
pub(super) async fn of_oneself(shared: &Shared, user: &User, spec: &SelfSubjectAccessReviewSpec) -> Result<SubjectAccessReviewStatus, ApiError> {
    let (resource, path) = (spec.resource_attributes.as_ref(), spec.non_resource_attributes.as_ref());
    let mut errors = FieldErrors::default();
    check_one(resource, path, &mut errors);
    check_selectors(resource, &mut errors);
    if !errors.is_empty() {
        return Err(ApiError::invalid(GROUP, "", "", &errors));
    }
    Ok(verdict(shared, user, &attributes(resource, path)).await)
}

/// What a review of one namespace may not ask.
pub(super) fn check_local(spec: &SubjectAccessReviewSpec, namespace: &str) -> FieldErrors {
    let mut errors = FieldErrors::default();
    if let Some(r) = &spec.resource_attributes {
        let asked = r.namespace.as_deref().unwrap_or_default();
        if asked != namespace {
            errors.invalid(&Path::new("spec.resourceAttributes.namespace"), asked, "must match metadata.namespace");
        }
    }
    if let Some(n) = &spec.non_resource_attributes {
        errors.invalid(&Path::new("spec.nonResourceAttributes"), shown(n), "disallowed on this kind of request");
    }
    errors
}

fn shown(n: &NonResourceAttributes) -> Bare {
    let text = |s: &Option<String>| s.clone().unwrap_or_default();
    Bare(format!("{{\"Path\":{:?},\"Verb\":{:?}}}", text(&n.path), text(&n.verb)))
}

fn check_one(resource: Option<&ResourceAttributes>, path: Option<&NonResourceAttributes>, errors: &mut FieldErrors) {
    match (resource, path) {
        (Some(_), Some(n)) => {
            errors.invalid(&Path::new("spec.nonResourceAttributes"), shown(n), "cannot be specified in combination with resourceAttributes");
        }
        (None, None) => {
            let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            errors.invalid(&Path::new("spec.resourceAttributes"), Bare("null".into()), detail);
        }
        _ => {}
    }
}

fn check_selectors(resource: Option<&ResourceAttributes>, errors: &mut FieldErrors) {
    if let Some(r) = resource {
        selectors::check(r, &Path::new("spec.resourceAttributes"), errors);
    }
}

fn attributes(resource: Option<&ResourceAttributes>, path: Option<&NonResourceAttributes>) -> Attributes {
    let text = |s: &Option<String>| s.clone().unwrap_or_default();
    if let Some(r) = resource {
        let (fields, labels) = selectors::of_review(r);
        return Attributes {
            verb: text(&r.verb),
            group: text(&r.group),
            version: text(&r.version),
            resource: text(&r.resource),
            subresource: text(&r.subresource),
            namespace: text(&r.namespace),
            name: text(&r.name),
            path: String::new(),
            is_resource: true,
            fields,
            labels,
        };
    }
    let (verb, path) = path.map(|n| (text(&n.verb), text(&n.path))).unwrap_or_default();
    Attributes { verb, path, ..Attributes::default() }
}

async fn verdict(shared: &Shared, user: &User, asked: &Attributes) -> SubjectAccessReviewStatus {
    let v = shared.authz.decide(&shared.registry.snapshot(), user, asked).await;
    SubjectAccessReviewStatus {
        allowed: v.allowed,
        denied: v.denied.then_some(true),
        reason: (!v.reason.is_empty()).then(|| v.reason.clone()),
        ..SubjectAccessReviewStatus::default()
    }
}
