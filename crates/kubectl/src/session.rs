//! What every command needs: flags that all share, the client, the namespace, and what the server serves.

use crate::discovery::{Discovery, Mapping};
use crate::failure::{Failure, Outcome};
use crate::flags::Given;
use crate::print::tell;
use client::{Client, Kubeconfig, Overrides};
use serde_json::Value;
use std::path::PathBuf;
use tokio::sync::OnceCell;

/// One run of the program against one server.
pub(crate) struct Session {
    pub(crate) client: Client,
    /// Namespace of the flag or of the context.
    pub(crate) namespace: String,
    /// Whether `-n` was given.
    pub(crate) namespace_given: bool,
    discovery: OnceCell<Discovery>,
}

/// What the server warned of and no command has shown yet is shown when it ends.
impl Drop for Session {
    fn drop(&mut self) {
        self.show_warnings();
    }
}

/// The flags that say where the server is.
pub(crate) fn overrides(given: &Given<'_>) -> Outcome<Overrides> {
    let text = |name: &str| given.text(name).filter(|t| !t.is_empty()).map(str::to_owned);
    let path = |name: &str| text(name).map(PathBuf::from);
    given.number("v")?;
    let timeout = match given.text("request-timeout") {
        None => None,
        Some(t) if t.bytes().all(|b| b.is_ascii_digit()) => t.parse().ok().map(std::time::Duration::from_secs),
        Some(_) => Some(given.duration("request-timeout").ok().flatten().ok_or_else(|| Failure::text("Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a corresponding time unit (e.g. 1s | 2m | 3h)"))?),
    };
    Ok(Overrides {
        kubeconfig: path("kubeconfig"),
        context: text("context"),
        cluster: text("cluster"),
        // The bindings' own --user names a subject.
        user: text("user").filter(|_| !given.command.ends_with("rolebinding") && given.command != "set subject"),
        server: text("server"),
        token: text("token"),
        username: text("username"),
        password: text("password"),
        namespace: text("namespace"),
        certificate_authority: path("certificate-authority"),
        client_certificate: path("client-certificate"),
        client_key: path("client-key"),
        insecure: given.text("insecure-skip-tls-verify").map(|_| given.on("insecure-skip-tls-verify")),
        tls_server_name: text("tls-server-name"),
        impersonate: text("as"),
        impersonate_groups: given.list("as-group").into_iter().map(str::to_owned).collect(),
        impersonate_uid: text("as-uid"),
        timeout: timeout.filter(|t| !t.is_zero()),
    })
}

impl Session {
    /// Reads kubeconfig and flags.
    pub(crate) fn open(given: &Given<'_>) -> Outcome<Self> {
        let overrides = overrides(given)?;
        let config = Kubeconfig::load(overrides.kubeconfig.as_deref())?.config(&overrides)?;
        let namespace = config.namespace.clone();
        Ok(Self { client: Client::new(config)?, namespace, namespace_given: overrides.namespace.is_some(), discovery: OnceCell::new() })
    }

    /// What the server serves, asked once.
    pub(crate) async fn discovery(&self) -> Outcome<&Discovery> {
        Ok(self.discovery.get_or_try_init(|| Discovery::fetch(&self.client)).await?)
    }

    /// The resource that a word names.
    pub(crate) async fn mapping(&self, word: &str) -> Outcome<Mapping> {
        let found = self.discovery().await?.find(word).cloned();
        found.ok_or_else(|| {
            let shown = if word.matches('.').count() > 1 { word.split('.').next().unwrap_or(word) } else { word };
            Failure::text(format!("the server doesn't have a resource type \"{shown}\""))
        })
    }

    /// The resource of a manifest's object.
    pub(crate) async fn mapping_of(&self, object: &Value, source: &str) -> Outcome<Mapping> {
        let (version, kind) = (object["apiVersion"].as_str().unwrap_or_default(), object["kind"].as_str().unwrap_or_default());
        let found = self.discovery().await?.by_kind(version, kind).cloned();
        found.ok_or_else(|| {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            Failure::text(format!(
                "resource mapping not found for name: \"{name}\" namespace: \"{}\" from \"{source}\": no matches for kind \"{kind}\" in version \"{version}\"\nensure CRDs are installed first",
                object["metadata"]["namespace"].as_str().unwrap_or_default()
            ))
        })
    }

    /// Prints the warnings that the server sent.
    pub(crate) fn show_warnings(&self) {
        for warning in self.client.take_warnings() {
            tell(&format!("Warning: {warning}"));
        }
    }

    /// The namespace of a manifest's object, which must agree with `-n`.
    pub(crate) fn namespace_of(&self, object: &Value, mapping: &Mapping) -> Outcome<String> {
        if !mapping.namespaced {
            return Ok(String::new());
        }
        match object["metadata"]["namespace"].as_str().filter(|n| !n.is_empty()) {
            Some(own) if self.namespace_given && own != self.namespace => Err(Failure::text(format!(
                "the namespace from the provided object \"{own}\" does not match the namespace \"{}\". You must pass '--namespace={own}' to perform this operation.",
                self.namespace
            ))),
            Some(own) => Ok(own.to_owned()),
            None => Ok(self.namespace.clone()),
        }
    }
}
