//! Kinds that are asked and never stored: access reviews, token requests, bindings, scales. Their metadata is not
//! checked; their rows hold defaults and validation. Docs: API reference of authorization, authentication, autoscaling.

use crate::checks::{not_negative_opt, present};
use crate::names::NameRule;
use crate::read::{has, items, s};
use crate::table::Rules;
use kinds::api::authentication::v1::{TokenRequest, TokenReview};
use kinds::api::authorization::v1::{NonResourceAttributes, ResourceAttributes, SubjectAccessReviewSpec};
use kinds::api::autoscaling::v1::Scale;
use kinds::api::core::v1::Binding;
use kinds::field::Bare;
use kinds::{FieldErrors, Kind, Object, Path};
use std::sync::Arc;

#[cfg(test)]
mod tests;

const fn row(kind: Kind, validate: fn(&Object, &mut FieldErrors)) -> Rules {
    Rules { validate, ..Rules::plain(kind, NameRule::DnsSubdomain) }
}

/// A token lives an hour unless said otherwise, and at least ten minutes.
const TOKEN_S: i64 = 3600;
const TOKEN_S_MIN: i64 = 600;
const TOKEN_S_MAX: i64 = 1 << 32;

pub(crate) const TOKEN_ROW: Rules = Rules {
    default: |o| {
        if let Object::TokenRequest(t) = o {
            Arc::make_mut(t).spec.get_or_insert_default().expiration_seconds.get_or_insert(TOKEN_S);
        }
    },
    ..row(Kind::TokenRequest, |o, e| {
        if let Object::TokenRequest(t) = o {
            token(t, e);
        }
    })
};

fn token(t: &TokenRequest, e: &mut FieldErrors) {
    let at = Path::new("spec.expirationSeconds");
    let n = t.spec.as_ref().and_then(|x| x.expiration_seconds).unwrap_or_default();
    if n < TOKEN_S_MIN {
        e.invalid(&at, n, "may not specify a duration less than 10 minutes");
    }
    if n > TOKEN_S_MAX {
        e.invalid(&at, n, "may not specify a duration larger than 2^32 seconds");
    }
}

pub(crate) const REVIEW_ROW: Rules = row(Kind::TokenReview, |o, e| {
    if let Object::TokenReview(t) = o {
        token_review(t, e);
    }
});

fn token_review(t: &TokenReview, e: &mut FieldErrors) {
    present(&t.spec.token, &Path::new("spec.token"), e);
}

pub(crate) const BINDING_ROW: Rules = row(Kind::Binding, |o, e| {
    if let Object::Binding(b) = o {
        binding(b, e);
    }
});

fn binding(b: &Binding, e: &mut FieldErrors) {
    let kind = s(&b.target.kind);
    if !["", "Node"].contains(&kind) {
        e.not_supported(&Path::new("target.kind"), kind, &["Node", "<empty>"]);
    }
    present(s(&b.target.name), &Path::new("target.name"), e);
}

pub(crate) const SCALE_ROW: Rules = row(Kind::Scale, |o, e| {
    if let Object::Scale(x) = o {
        scale(x, e);
    }
});

fn scale(x: &Scale, e: &mut FieldErrors) {
    not_negative_opt(x.spec.as_ref().and_then(|s| s.replicas), &Path::new("spec.replicas"), e);
}

pub(crate) const ACCESS_ROW: Rules = row(Kind::SubjectAccessReview, |o, e| {
    if let Object::SubjectAccessReview(r) = o {
        access(&r.spec, e);
    }
});

pub(crate) const LOCAL_ACCESS_ROW: Rules = row(Kind::LocalSubjectAccessReview, |o, e| {
    let Object::LocalSubjectAccessReview(r) = o else { return };
    access(&r.spec, e);
    let inside = r.spec.resource_attributes.as_ref().map(|a| s(&a.namespace)).unwrap_or_default();
    let path = Path::new("spec");
    if inside != s(&r.metadata.namespace) {
        let why = "must match metadata.namespace";
        e.invalid(&path.child("resourceAttributes").child("namespace"), inside, why);
    }
    if r.spec.non_resource_attributes.is_some() {
        let why = "disallowed on this kind of request";
        e.invalid(&path.child("nonResourceAttributes"), Bare("{}".into()), why);
    }
});

pub(crate) const SELF_ACCESS_ROW: Rules = row(Kind::SelfSubjectAccessReview, |o, e| {
    if let Object::SelfSubjectAccessReview(r) = o {
        attributes(r.spec.resource_attributes.as_ref(), r.spec.non_resource_attributes.as_ref(), e);
    }
});

fn access(spec: &SubjectAccessReviewSpec, e: &mut FieldErrors) {
    attributes(spec.resource_attributes.as_ref(), spec.non_resource_attributes.as_ref(), e);
    if !has(&spec.user) && items(&spec.groups).is_empty() {
        e.invalid(&Path::new("spec.user"), "", "at least one of user or group must be specified");
    }
}

fn attributes(resource: Option<&ResourceAttributes>, path: Option<&NonResourceAttributes>, e: &mut FieldErrors) {
    let spec = Path::new("spec");
    match (resource, path) {
        (Some(_), Some(_)) => {
            let why = "cannot be specified in combination with resourceAttributes";
            e.invalid(&spec.child("nonResourceAttributes"), Bare("{}".into()), why);
        }
        (None, None) => {
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            e.invalid(&spec.child("resourceAttributes"), Bare("null".into()), why);
        }
        _ => {}
    }
}
