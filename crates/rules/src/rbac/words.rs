//! The words of a refusal.

use super::{Attributes, Verdict};
use crate::context::User;
use kinds::ApiError;
use kinds::error::Details;

/// The 403 that a denied request is answered with.
#[must_use]
pub fn forbidden(user: &User, a: &Attributes, verdict: &Verdict) -> ApiError {
    let mut text = if a.is_resource { resource_text(user, a) } else { path_text(user, a) };
    if !verdict.reason.is_empty() {
        text = format!("{text}: {}", verdict.reason);
    }
    let message = if a.is_resource {
        let resource = if a.group.is_empty() { a.resource.clone() } else { format!("{}.{}", a.resource, a.group) };
        let name = if a.name.is_empty() { String::new() } else { format!(" {:?}", a.name) };
        format!("{resource}{name} is forbidden: {text}")
    } else {
        format!("forbidden: {text}")
    };
    ApiError::new(403, "Forbidden", message).with_details(Details {
        name: a.name.clone(),
        group: a.group.clone(),
        kind: a.resource.clone(),
        ..Details::default()
    })
}

fn resource_text(user: &User, a: &Attributes) -> String {
    let resource = if a.subresource.is_empty() { a.resource.clone() } else { format!("{}/{}", a.resource, a.subresource) };
    let place = if a.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {:?}", a.namespace)
    };
    format!("User {:?} cannot {} resource {resource:?} in API group {:?} {place}", user.name, a.verb, a.group)
}

fn path_text(user: &User, a: &Attributes) -> String {
    format!("User {:?} cannot {} path {:?}", user.name, a.verb, a.path)
}
