//! TLS towards pods and services (`https:` in proxy names): their certificates are nobody's that the cluster knows, so
//! they are not judged (docs: "Manually constructing apiserver proxy URLs"), and they are shown none.

use client::Anyone;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use std::sync::{Arc, LazyLock};

static TLS: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.expect("the provider has cipher suites for the default protocol versions");
    let trusting = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone::new(provider)));
    Arc::new(trusting.with_no_client_auth())
});

/// The client's side of TLS.
pub(crate) fn tls() -> Arc<ClientConfig> {
    Arc::clone(&TLS)
}
