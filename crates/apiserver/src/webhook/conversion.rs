//! Conversion webhooks: objects go out in one `ConversionReview`, come back in the desired version, and keep everything of
//! their metadata but labels and annotations. API reference: apiextensions.k8s.io/v1 ConversionReview.

use super::admission::Webhooks;
use super::place::{PORT, Place};
use cache::Snapshot;
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, WebhookConversion};
use kinds::{ApiError, Object};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A conversion may take this long (kube-apiserver's time).
const TIMEOUT: Duration = Duration::from_secs(30);
/// Objects of one question; more are asked in turn.
const OBJECTS_MAX: usize = 500;

fn failure(text: String) -> ApiError {
    ApiError::new(500, "", text)
}

/// `group/version, Kind=kind`.
fn gvk(api_version: &str, kind: &str) -> String {
    format!("{api_version}, Kind={kind}")
}

impl Webhooks {
    /// Turns objects into another version, as many and in the same order.
    pub(super) async fn convert_objects(
        &self,
        snapshot: &Snapshot,
        crd: &CustomResourceDefinition,
        objects: Vec<Object>,
        to: &str,
    ) -> Result<Vec<Object>, ApiError> {
        let mut all = Vec::with_capacity(objects.len());
        for some in objects.chunks(OBJECTS_MAX) {
            let begun = Instant::now();
            let done = self.convert_some(snapshot, crd, some, to).await;
            self.metrics.converted(done.as_ref().err().map(|(kind, _)| *kind), begun.elapsed());
            all.extend(done.map_err(|(_, e)| e)?);
        }
        Ok(all)
    }

    async fn convert_some(
        &self,
        snapshot: &Snapshot,
        crd: &CustomResourceDefinition,
        objects: &[Object],
        to: &str,
    ) -> Result<Vec<Object>, (&'static str, ApiError)> {
        let Some(first) = objects.first() else { return Ok(Vec::new()) };
        let about = gvk(&first.api_version(), first.kind_name());
        let failed = |kind, why: &str| (kind, failure(format!("conversion webhook for {about} failed: {why}")));
        let none = WebhookConversion::default();
        let webhook = crd.spec.conversion.as_ref().and_then(|c| c.webhook.as_ref()).unwrap_or(&none);
        let version = webhook.conversion_review_versions.iter().find(|v| matches!(v.as_str(), "v1" | "v1beta1"));
        let version = version.ok_or_else(|| failed("conversion_webhook_call_failure", "no supported conversion review versions"))?;
        let place = place_of(snapshot, webhook).map_err(|e| failed("conversion_webhook_call_failure", &e))?;
        let uid = self.ids.uid();
        let trees: Vec<Value> = objects.iter().map(codec::to_value).collect();
        let body = json!({
            "kind": "ConversionReview", "apiVersion": format!("apiextensions.k8s.io/{version}"),
            "request": { "uid": uid, "desiredAPIVersion": to, "objects": trees },
        });
        let body = serde_json::to_vec(&body).map_err(|e| failed("conversion_webhook_call_failure", &e.to_string()))?;
        let answer = self.caller.post(&place, body, TIMEOUT).await;
        let answer = answer.map_err(|e| failed("conversion_webhook_call_failure", &e.to_string()))?;
        let kind = "conversion_webhook_malformed_response_failure";
        let turned = converted(version, &uid, &answer).map_err(|e| failed(kind, &e))?;
        if turned.len() != objects.len() {
            let (got, wanted) = (turned.len(), objects.len());
            let text = format!("conversion webhook for {about} returned {got} objects, expected {wanted}");
            return Err(("conversion_webhook_partial_response_failure", failure(text)));
        }
        let pairs = objects.iter().zip(turned).enumerate();
        let checked = pairs.map(|(i, (before, after))| {
            one(before, after, to).map_err(|(what, e)| {
                let at = if objects.len() == 1 { String::new() } else { format!(" at index {i}") };
                let text = format!("conversion webhook for {about} returned invalid {what}{at}: {e}");
                ("conversion_webhook_invalid_converted_object_failure", failure(text))
            })
        });
        checked.collect()
    }
}

fn place_of(snapshot: &Snapshot, webhook: &WebhookConversion) -> Result<Place, String> {
    let Some(client) = &webhook.client_config else { return Err("no client configuration".to_owned()) };
    let bundle = client.ca_bundle.as_ref().map_or(&[][..], |b| &b.0);
    let mut place = match (&client.service, &client.url) {
        (Some(s), _) => {
            let at = (s.namespace.as_str(), s.name.as_str(), s.port.unwrap_or(PORT));
            Place::of_service(snapshot, at, s.path.as_deref().unwrap_or_default(), bundle)?
        }
        (None, Some(url)) => Place::of_url(url, bundle)?,
        (None, None) => return Err("no client configuration".to_owned()),
    };
    place.ask("timeout", &format!("{}s", TIMEOUT.as_secs()));
    Ok(place)
}

/// The objects of an answer.
fn converted(version: &str, uid: &str, bytes: &[u8]) -> Result<Vec<Value>, String> {
    let mut review: Value = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text(&review["apiVersion"]), text(&review["kind"]));
    let wanted = format!("apiextensions.k8s.io/{version}");
    let silent = version == "v1beta1" && api_version.is_empty() && kind.is_empty();
    if !silent && (api_version != wanted || kind != "ConversionReview") {
        return Err(format!("expected webhook response of {}, got {}", gvk(&wanted, "ConversionReview"), gvk(&api_version, &kind)));
    }
    if !review["response"].is_object() {
        return Err("no response provided".to_owned());
    }
    let response = &mut review["response"];
    let given = text(&response["uid"]);
    if version == "v1" && given != uid {
        return Err(format!("expected response.uid={uid:?}, got {given:?}"));
    }
    let status = text(&response["result"]["status"]);
    if status != "Success" {
        let message = text(&response["result"]["message"]);
        return Err(if message.is_empty() { format!("response.result.status was '{status}', not 'Success'") } else { message });
    }
    match response["convertedObjects"].take() {
        Value::Array(all) => Ok(all),
        _ => Ok(Vec::new()),
    }
}

/// One converted object: the same one, in the desired version.
fn one(before: &Object, mut tree: Value, to: &str) -> Result<Object, (&'static str, String)> {
    const OBJECT: &str = "converted object";
    let was = before.meta();
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let got = text(&tree["apiVersion"]);
    if got != to {
        return Err((OBJECT, format!("invalid groupVersion (expected {to}, received {got})")));
    }
    let kind = text(&tree["kind"]);
    if kind != before.kind_name() {
        return Err((OBJECT, format!("invalid kind (expected {}, received {kind})", before.kind_name())));
    }
    for (what, field, old) in
        [("name", "name", &was.name), ("namespace", "namespace", &was.namespace), ("UID", "uid", &was.uid)]
    {
        let (old, new) = (old.as_deref().unwrap_or_default(), text(&tree["metadata"][field]));
        if old != new {
            return Err((OBJECT, format!("must have the same {what}: {old} != {new}")));
        }
    }
    let (labels, annotations) = (tree["metadata"]["labels"].take(), tree["metadata"]["annotations"].take());
    if let Some(map) = tree.as_object_mut() {
        map.insert("metadata".to_owned(), json!({ "labels": labels, "annotations": annotations }));
    }
    let turned = codec::from_value(&before.resource(), tree).map_err(|e| ("metadata in object", e.to_string()))?;
    let Object::Dynamic(mut turned) = turned else { return Err((OBJECT, "not an object".to_owned())) };
    let new = Arc::make_mut(&mut turned);
    let (labels, annotations) = (new.metadata.labels.take(), new.metadata.annotations.take());
    new.metadata = was.clone();
    new.metadata.labels = labels.filter(|l| !l.is_empty());
    new.metadata.annotations = annotations.filter(|a| !a.is_empty());
    Ok(Object::Dynamic(turned))
}
