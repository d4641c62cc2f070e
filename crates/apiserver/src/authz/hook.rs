//! A webhook authorizer: a `SubjectAccessReview` to a service; its answers are kept for a while. What fails is no opinion
//! or a refusal, as its failure policy says. Docs: "Webhook Mode"; KEP-3221.

use super::config::WebhookSettings;
use super::{Opinion, selectors};
use crate::authn;
use crate::expression::{About, Expression};
use client::{Client, Kubeconfig, Overrides};
use parking_lot::Mutex;
use rules::User;
use rules::rbac::Attributes;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Answers that are kept.
const CACHE_MAX: usize = 8192;
/// Larger questions are not kept.
const QUESTION_MAX_BYTES: usize = 10_000;
/// The longest timeout.
const TIMEOUT_MAX: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(3);
const ALLOWED_FOR: Duration = Duration::from_secs(300);
const REFUSED_FOR: Duration = Duration::from_secs(30);

/// The webhook.
pub(super) struct Hook {
    client: Client,
    version: String,
    timeout: Duration,
    allowed_for: Duration,
    refused_for: Duration,
    deny_on_failure: bool,
    conditions: Vec<Expression>,
    answers: Mutex<HashMap<String, (Instant, Opinion)>>,
}

impl Hook {
    pub(super) fn new(s: &WebhookSettings) -> Result<Self, String> {
        let file = s.connection_info.kube_config_file.as_deref().map(Path::new);
        let config = Kubeconfig::load(file).and_then(|k| k.config(&Overrides::default())).map_err(|e| e.to_string())?;
        let time = |text: &Option<String>, default: Duration| text.as_deref().map_or(Ok(default), crate::deadline::parse);
        let kept = |wanted: Option<bool>, ttl: Duration| if wanted == Some(false) { Duration::ZERO } else { ttl };
        let conditions = s.match_conditions.iter().map(|c| Expression::condition(&c.expression, About::Request));
        Ok(Self {
            client: Client::new(config).map_err(|e| e.to_string())?,
            version: s.subject_access_review_version.clone(),
            timeout: time(&s.timeout, TIMEOUT)?.min(TIMEOUT_MAX),
            allowed_for: kept(s.cache_authorized_requests, time(&s.authorized_ttl, ALLOWED_FOR)?),
            refused_for: kept(s.cache_unauthorized_requests, time(&s.unauthorized_ttl, REFUSED_FOR)?),
            deny_on_failure: s.failure_policy == "Deny",
            conditions: conditions.collect::<Result<_, _>>()?,
            answers: Mutex::default(),
        })
    }

    pub(super) async fn decide(&self, user: &User, a: &Attributes) -> Opinion {
        let spec = spec(user, a);
        match self.is_meant(&spec) {
            Ok(true) => {}
            Ok(false) => return Opinion::None(String::new()),
            Err(why) => return self.failed(&why),
        }
        let question = spec.to_string();
        let cacheable = question.len() <= QUESTION_MAX_BYTES;
        if let Some((_, opinion)) = self.answers.lock().get(&question).filter(|(until, _)| *until > Instant::now()) {
            return opinion.clone();
        }
        let review = json!({
            "kind": "SubjectAccessReview", "apiVersion": format!("authorization.k8s.io/{}", self.version),
            "metadata": {}, "spec": self.worded(spec), "status": { "allowed": false },
        });
        let answer = tokio::time::timeout(self.timeout, authn::hook::post(&self.client, &review, authn::hook::PAUSE)).await;
        let status = match answer {
            Ok(Ok(answer)) => answer["status"].clone(),
            Ok(Err(why)) => return self.failed(&why),
            Err(_) => return self.failed("context deadline exceeded"),
        };
        let reason = status["reason"].as_str().unwrap_or_default().to_owned();
        let (opinion, ttl) = match (status["allowed"] == true, status["denied"] == true) {
            (true, true) => return self.failed("webhook subject access review returned both allow and deny response"),
            (true, false) => (Opinion::Allow(reason), self.allowed_for),
            (false, true) => (Opinion::Deny(reason), self.refused_for),
            (false, false) => (Opinion::None(reason), self.refused_for),
        };
        if cacheable && !ttl.is_zero() {
            self.keep(question, opinion.clone(), ttl);
        }
        opinion
    }

    /// Whether all conditions hold: `false` wins over errors, as in admission.
    fn is_meant(&self, spec: &Value) -> Result<bool, String> {
        let mut failed = None;
        for c in &self.conditions {
            match c.is_true(spec) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(e) => failed = Some(e),
            }
        }
        failed.map_or(Ok(true), |e| Err(format!("evaluating match conditions: {e}")))
    }

    fn failed(&self, why: &str) -> Opinion {
        tracing::warn!(err = why, "Failed to make webhook authorizer request");
        if self.deny_on_failure { Opinion::Deny(String::new()) } else { Opinion::None(String::new()) }
    }

    fn keep(&self, question: String, opinion: Opinion, ttl: Duration) {
        let mut answers = self.answers.lock();
        let now = Instant::now();
        if answers.len() >= CACHE_MAX {
            answers.retain(|_, (until, _)| *until > now);
        }
        if answers.len() >= CACHE_MAX {
            answers.clear();
        }
        answers.insert(question, (now + ttl, opinion));
    }

    /// `v1beta1` calls the groups `group`.
    fn worded(&self, mut spec: Value) -> Value {
        if self.version == "v1beta1" {
            if let Some(groups) = spec.as_object_mut().and_then(|s| s.remove("groups")) {
                spec["group"] = groups;
            }
        }
        spec
    }
}

fn spec(user: &User, a: &Attributes) -> Value {
    let mut about = Map::new();
    let pairs: &[(&str, &String)] = if a.is_resource {
        &[
            ("namespace", &a.namespace), ("verb", &a.verb), ("group", &a.group), ("version", &a.version),
            ("resource", &a.resource), ("subresource", &a.subresource), ("name", &a.name),
        ]
    } else {
        &[("path", &a.path), ("verb", &a.verb)]
    };
    about.extend(pairs.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| ((*k).to_owned(), Value::from(v.as_str()))));
    for (key, narrowed) in [("fieldSelector", &a.fields), ("labelSelector", &a.labels)] {
        if !narrowed.is_empty() {
            about.insert(key.to_owned(), selectors::worded(narrowed));
        }
    }
    let mut spec = Map::new();
    spec.insert(if a.is_resource { "resourceAttributes" } else { "nonResourceAttributes" }.to_owned(), Value::Object(about));
    spec.insert("user".to_owned(), user.name.as_str().into());
    if !user.groups.is_empty() {
        spec.insert("groups".to_owned(), json!(user.groups));
    }
    if !user.uid.is_empty() {
        spec.insert("uid".to_owned(), user.uid.as_str().into());
    }
    if !user.extra.is_empty() {
        spec.insert("extra".to_owned(), json!(user.extra));
    }
    Value::Object(spec)
}
