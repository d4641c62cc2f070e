//! Requests to an aggregated server go on as they are, watches and upgraded connections included, in the name of who asks.

use super::headers::identify;
use super::{Aggregator, is_available};
use crate::call::Call;
use crate::kubelet::forward;
use crate::respond::{self, Reply};
use crate::webhook::caller::dial;
use crate::webhook::place::join;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use kinds::ApiError;
use kinds::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsConnector;

/// A document of another server may take this long.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers with what the server of that APIService answers.
pub(crate) async fn proxy(mut call: Call, service: &APIService) -> Result<Reply, ApiError> {
    if !is_available(service) {
        return Ok(unavailable());
    }
    let layer = call.shared.aggregate.clone();
    let snapshot = call.shared.registry.snapshot();
    let path = call.request.uri().path_and_query().map_or("/", |p| p.as_str()).to_owned();
    let spec = service.spec.clone().unwrap_or_default();
    let Ok(place) = layer.place(&snapshot, &spec, "/") else { return Ok(unavailable()) };
    let Ok(addresses) = &place.dial else { return Ok(unavailable()) };
    let config = layer.caller.config(&place.trust, place.identity.as_ref()).map_err(ApiError::internal)?;
    // Connections may be upgraded, which only HTTP/1.1 knows.
    let mut config = ClientConfig::clone(&config);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let failed = |e: &dyn std::fmt::Display| ApiError::new(503, "", format!("error trying to reach service: {e}"));
    let mut why = "no addresses".to_owned();
    for (host, port) in addresses {
        let tcp = match dial(host, *port).await {
            Ok(tcp) => tcp,
            Err(e) => {
                why = e;
                continue;
            }
        };
        let name = ServerName::try_from(place.server_name.clone()).map_err(ApiError::internal)?;
        let tls = match TlsConnector::from(config).connect(name, tcp).await {
            Ok(tls) => tls,
            Err(e) => return Ok(text(&failed(&crate::webhook::trust::words(&e, &place.server_name)))),
        };
        let uri = path.parse().map_err(|e| ApiError::bad_request(format!("{e}")))?;
        let user = Arc::clone(&call.caller.user);
        identify(call.request.headers_mut(), &user, call.shared.registry.settings().gates.on("RemoteRequestHeaderUID"));
        let authority = join(&place.server_name, place.url.port_or_known_default().unwrap_or(443));
        let done = forward(tls, (call.request, call.trail), uri, &authority, &failed).await;
        return Ok(done.unwrap_or_else(|e| text(&e)));
    }
    Ok(text(&failed(&why)))
}

fn unavailable() -> Reply {
    respond::text(503, "service unavailable\n")
}

fn text(e: &ApiError) -> Reply {
    respond::text(e.code, format!("{}\n", e.message))
}

/// A document of an aggregated server: its OpenAPI of a group-version.
pub(crate) async fn document(call: &Call, service: &APIService, path: &str) -> Result<Reply, ApiError> {
    let layer: &Aggregator = &call.shared.aggregate;
    let snapshot = call.shared.registry.snapshot();
    let spec = service.spec.clone().unwrap_or_default();
    let place = layer.place(&snapshot, &spec, path).map_err(ApiError::unavailable)?;
    let mut headers: HeaderMap = super::run::ours();
    for k in [header::ACCEPT, header::IF_NONE_MATCH] {
        if let Some(v) = call.request.headers().get(&k) {
            headers.insert(k, v.clone());
        }
    }
    let answer = layer.caller.get(&place, headers, DOCUMENT_TIMEOUT).await.map_err(|e| ApiError::unavailable(e.to_string()))?;
    let media = answer.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("application/json");
    let mut reply = respond::with_media(answer.code, answer.body.clone().into(), media);
    let kept: [HeaderName; 4] = [header::ETAG, header::CACHE_CONTROL, header::EXPIRES, header::VARY];
    for k in kept {
        let value: Option<&HeaderValue> = answer.headers.get(&k);
        if let Some(v) = value {
            reply.headers_mut().insert(k, v.clone());
        }
    }
    Ok(reply)
}
