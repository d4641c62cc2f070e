//! How objects of a definition are converted between its versions. Docs: "Versions in CustomResourceDefinitions", "Webhook
//! conversion".

use crate::checks::{complain, one_of};
use crate::names;
use crate::webhooks::config::{service, url};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceConversion, WebhookClientConfig};
use kinds::field::Bare;
use kinds::{FieldErrors, Path};
use serde_json::json;

/// Versions of `ConversionReview` that this server sends.
const REVIEWS: &[&str] = &["v1", "v1beta1"];

pub(super) fn validate(x: &CustomResourceConversion, path: &Path, e: &mut FieldErrors) {
    one_of(&x.strategy, &["None", "Webhook"], &path.child("strategy"), e);
    let at = path.child("webhookClientConfig");
    let client = x.webhook.as_ref().and_then(|w| w.client_config.as_ref());
    let versions = x.webhook.as_ref().map(|w| w.conversion_review_versions.as_slice()).unwrap_or_default();
    if x.strategy != "Webhook" {
        const UNASKED: &str = "should not be set when strategy is not set to Webhook";
        if client.is_some() {
            e.forbidden(&at, UNASKED);
        }
        if !versions.is_empty() {
            e.forbidden(&path.child("conversionReviewVersions"), UNASKED);
        }
        return;
    }
    match client {
        None => e.required(&at, "required when strategy is set to Webhook"),
        Some(c) => reached(c, &at, e),
    }
    reviews(versions, &path.child("conversionReviewVersions"), e);
}

fn reached(c: &WebhookClientConfig, at: &Path, e: &mut FieldErrors) {
    match (&c.url, &c.service) {
        (Some(u), None) => url(u, &at.child("url"), e),
        (None, Some(x)) => service((&x.namespace, &x.name), x.path.as_deref(), x.port, &at.child("service"), e),
        _ => e.required(at, "exactly one of url or service is required"),
    }
}

fn reviews(versions: &[String], at: &Path, e: &mut FieldErrors) {
    if versions.is_empty() {
        return e.required(at, "");
    }
    for (i, v) in versions.iter().enumerate() {
        if versions[..i].contains(v) {
            e.invalid(&at.index(i), v, "duplicate version");
        } else {
            complain(&at.index(i), v, names::dns1035_label(v), e);
        }
    }
    if !versions.iter().any(|v| REVIEWS.contains(&v.as_str())) {
        e.invalid(at, Bare(json!(versions).to_string()), format!("must include at least one of {}", REVIEWS.join(", ")));
    }
}
