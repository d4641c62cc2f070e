//! ImagePolicyWebhook: a service says whether the images of a pod may run. Docs: "Admission Control in Kubernetes:
//! ImagePolicyWebhook"; `imagepolicy.k8s.io/v1alpha1` ImageReview.

use crate::authn::hook::post;
use client::{Client, Config};
use kinds::api::core::v1::Pod;
use kinds::{ApiError, Kind};
use parking_lot::Mutex;
use registry::admit::Ask;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// Answers that are remembered.
const CACHE_MAX: usize = 1024;
/// What the audit log knows its words by.
const PREFIX: &str = "imagepolicywebhook.image-policy.k8s.io/";
/// Annotations of pods that the service is shown.
const SHOWN: &str = ".image-policy.k8s.io/";

/// Where the service is, and what happens without it.
#[derive(Clone, Debug)]
pub struct ImagePolicyOptions {
    pub config: Config,
    /// How long permissions and refusals are remembered.
    pub allow_ttl: Duration,
    pub deny_ttl: Duration,
    /// Before the first retry.
    pub retry_backoff: Duration,
    /// What happens when the service cannot be asked.
    pub default_allow: bool,
}

#[derive(Clone, Debug)]
struct Answer {
    allowed: bool,
    reason: String,
    annotations: BTreeMap<String, String>,
}

/// The service with what it said lately.
pub struct ImagePolicy {
    client: Client,
    options: ImagePolicyOptions,
    remembered: Mutex<HashMap<String, (Instant, Answer)>>,
}

impl ImagePolicy {
    /// A service that is asked from now on.
    ///
    /// # Errors
    /// A configuration that leads nowhere.
    pub fn new(options: ImagePolicyOptions) -> Result<Self, String> {
        let client = Client::new(options.config.clone()).map_err(|e| e.to_string())?;
        Ok(Self { client, options, remembered: Mutex::default() })
    }

    /// Judges a pod.
    pub(super) async fn judge(&self, ask: &Ask<'_>, pod: &Pod) -> Result<(), ApiError> {
        let refuse = |why: String| {
            let name = if ask.request.name.is_empty() { pod.metadata.name.clone().unwrap_or_default() } else { ask.request.name.clone() };
            Err(ApiError::forbidden(&Kind::Pod.into(), &name, why))
        };
        let note = |key: &str, value: &str| {
            if let Some(notes) = &ask.caller.notes {
                notes.annotate(format!("{PREFIX}{key}"), value);
            }
        };
        let spec = spec(pod, &ask.request.namespace, ask.request.subresource);
        let answer = match self.ask(&spec).await {
            Ok(answer) => answer,
            Err(why) if self.options.default_allow => {
                tracing::warn!(err = why, "Image policy could not be asked; the pod is let in");
                note("failed-open", "true");
                return Ok(());
            }
            Err(why) => return refuse(why),
        };
        answer.annotations.iter().for_each(|(key, value)| note(key, value));
        match (answer.allowed, answer.reason.as_str()) {
            (true, _) => Ok(()),
            (false, "") => refuse("one or more images rejected by webhook backend".to_owned()),
            (false, why) => refuse(format!("image policy webhook backend denied one or more images: {why}")),
        }
    }

    async fn ask(&self, spec: &Value) -> Result<Answer, String> {
        let key = spec.to_string();
        if let Some((_, answer)) = self.remembered.lock().get(&key).filter(|(until, _)| *until > Instant::now()) {
            return Ok(answer.clone());
        }
        let review = json!({ "kind": "ImageReview", "apiVersion": "imagepolicy.k8s.io/v1alpha1", "metadata": {}, "spec": spec, "status": { "allowed": false } });
        let said = post(&self.client, &review, self.options.retry_backoff).await?;
        let status = &said["status"];
        let annotations = status["auditAnnotations"].as_object().into_iter().flatten();
        let answer = Answer {
            allowed: status["allowed"] == true,
            reason: status["reason"].as_str().unwrap_or_default().to_owned(),
            annotations: annotations.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect(),
        };
        self.remember(key, answer.clone());
        Ok(answer)
    }

    fn remember(&self, key: String, answer: Answer) {
        let ttl = if answer.allowed { self.options.allow_ttl } else { self.options.deny_ttl };
        let (now, mut all) = (Instant::now(), self.remembered.lock());
        if all.len() >= CACHE_MAX {
            all.retain(|_, (until, _)| *until > now);
        }
        if all.len() < CACHE_MAX {
            all.insert(key, (now + ttl, answer));
        }
    }
}

/// What the service is shown of a pod.
fn spec(pod: &Pod, namespace: &str, subresource: &str) -> Value {
    let images: Vec<&Option<String>> = match &pod.spec {
        None => Vec::new(),
        Some(spec) if subresource.is_empty() => spec.containers.iter().chain(spec.init_containers.iter().flatten()).map(|c| &c.image).collect(),
        Some(spec) => spec.ephemeral_containers.iter().flatten().map(|c| &c.image).collect(),
    };
    let mut tree = json!({});
    if !images.is_empty() {
        let image = |i: &&Option<String>| i.as_ref().map_or_else(|| json!({}), |image| json!({ "image": image }));
        tree["containers"] = images.iter().map(image).collect();
    }
    let shown: BTreeMap<_, _> = pod.metadata.annotations.iter().flatten().filter(|(k, _)| k.contains(SHOWN)).collect();
    if !shown.is_empty() {
        tree["annotations"] = json!(shown);
    }
    if !namespace.is_empty() {
        tree["namespace"] = namespace.into();
    }
    tree
}
