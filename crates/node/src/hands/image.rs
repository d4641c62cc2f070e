//! Looking for images and pulling them, with the credentials of the pod's pull secrets.

use super::{Hands, failed};
use crate::translate::image_facts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pods::Outcome;
use runtime::cri::Auth;
use serde_json::Value;
use std::time::Instant;

/// The registry that an image name points at.
fn registry_of(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains('.') || host.contains(':') || host == "localhost" => host,
        _ => "index.docker.io",
    }
}

fn credentials(entry: &Value) -> Option<Auth> {
    let text = |k: &str| entry.get(k).and_then(Value::as_str).map(str::to_owned);
    if let Some(token) = text("registrytoken") {
        return Some(Auth { token: Some(token), ..Auth::default() });
    }
    if let (Some(username), Some(password)) = (text("username"), text("password")) {
        return Some(Auth { username, password, token: None });
    }
    let decoded = STANDARD.decode(text("auth")?).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some(Auth { username: username.to_owned(), password: password.to_owned(), token: None })
}

/// The credentials that a `.dockerconfigjson` (or `.dockercfg`) document has for an image: the longest matching key.
pub(crate) fn auth_for(image: &str, documents: &[Vec<u8>]) -> Option<Auth> {
    let registry = registry_of(image);
    let mut best: Option<(usize, Auth)> = None;
    for document in documents {
        let Ok(json) = serde_json::from_slice::<Value>(document) else { continue };
        let auths = json.get("auths").unwrap_or(&json);
        for (key, entry) in auths.as_object().into_iter().flatten() {
            let key = key.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
            let key = key.trim_end_matches("/v1").trim_end_matches("/v2");
            let docker = registry == "index.docker.io" && matches!(key, "docker.io" | "index.docker.io" | "registry-1.docker.io");
            let matches = docker || image.starts_with(&format!("{key}/")) || key == registry;
            if let Some(auth) = credentials(entry).filter(|_| matches)
                && best.as_ref().is_none_or(|(n, _)| key.len() > *n)
            {
                best = Some((key.len(), auth));
            }
        }
    }
    best.map(|(_, a)| a)
}

impl Hands {
    pub(crate) async fn find_image(&self, image: &str) -> Outcome {
        match self.runtime.image(image).await {
            Ok(found) => Outcome::Image(found.map(|i| image_facts(&i, image))),
            Err(e) => failed(&e),
        }
    }

    pub(crate) async fn pull_image(&self, image: &str, secrets: &[Vec<u8>]) -> Outcome {
        let began = Instant::now();
        if let Err(e) = self.runtime.pull_image(image, auth_for(image, secrets)).await {
            return failed(&e);
        }
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        match self.runtime.image(image).await {
            Ok(Some(i)) => Outcome::Pulled { image: image_facts(&i, image), took_ms, waited_ms: took_ms },
            Ok(None) => Outcome::Failed(pods::Failure::new("the pulled image was not found")),
            Err(e) => failed(&e),
        }
    }
}
