//! The configuration of admission plugins (`--admission-control-config-file`): one file that names the plugins, with what each is
//! told in it or in a file of its own. Reference: "kube-apiserver Admission (v1)"; the configurations of PodSecurity,
//! ResourceQuota, PodNodeSelector, PodTolerationRestriction, EventRateLimit and ImagePolicyWebhook.

use crate::serving::webhook_client;
use anyhow::{Context, Result, anyhow, bail};
use apiserver::webhook::ImagePolicyOptions;
use kinds::api::core::v1::ScopedResourceSelectorRequirement;
use rules::AdmissionSettings;
use rules::admission::by_namespace::Tolerations;
use rules::admission::event_rate::{EventLimit, Shared};
use rules::admission::quota::LimitedResource;
use rules::admission::security::{Demand, Level, PodSecurity, Policy, Version};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the file says, plugin by plugin.
#[derive(Debug, Default)]
pub(crate) struct Plugins {
    pub(crate) settings: AdmissionSettings,
    pub(crate) images: Option<ImagePolicyOptions>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(default)]
    plugins: Vec<Plugin>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plugin {
    name: String,
    #[serde(default)]
    path: String,
    configuration: Option<Value>,
}

const FILE_VERSIONS: &[&str] = &["apiserver.config.k8s.io/v1", "apiserver.k8s.io/v1alpha1"];

/// Reads the file. `enabled` tells whether a plugin is switched on that does not run by default.
pub(crate) fn read(path: &Path, enabled: impl Fn(&str) -> bool) -> Result<Plugins> {
    let text = std::fs::read_to_string(path).map_err(|e| anyhow!("unable to read admission control configuration from {:?} [{e}]", path.display()))?;
    let tree = tree(&text).with_context(|| path.display().to_string())?;
    let mut plugins = Plugins::default();
    if tree.get("imagePolicy").is_some() || tree.get("podNodeSelectorPluginConfig").is_some() {
        // The form of old, in which a plugin's own file stood for the whole.
        for name in ["ImagePolicyWebhook", "PodNodeSelector"].into_iter().filter(|name| enabled(name)) {
            plugins.take(name, tree.clone())?;
        }
        return Ok(plugins);
    }
    let file: File = typed(tree, "AdmissionConfiguration", FILE_VERSIONS).with_context(|| path.display().to_string())?;
    let mut seen = BTreeSet::new();
    for plugin in file.plugins {
        let told = || format!("{}: plugin {:?}", path.display(), plugin.name);
        if !seen.insert(plugin.name.clone()) {
            // The first word counts.
            continue;
        }
        let configuration = match (plugin.configuration, plugin.path.as_str()) {
            (Some(tree), _) if !tree.is_null() => tree,
            (_, "") => continue,
            (_, other) => of_file(&path.parent().unwrap_or(Path::new(".")).join(other)).with_context(told)?,
        };
        plugins.take(&plugin.name, configuration).with_context(told)?;
    }
    Ok(plugins)
}

impl Plugins {
    fn take(&mut self, name: &str, tree: Value) -> Result<()> {
        match name {
            "PodSecurity" => self.settings.pod_security = pod_security(tree)?,
            "ResourceQuota" => self.settings.limited_resources = limited_resources(tree)?,
            "PodNodeSelector" => self.settings.node_selectors = node_selectors(tree)?,
            "PodTolerationRestriction" => self.settings.tolerations = tolerations(tree)?,
            "EventRateLimit" => self.settings.event_limits = event_limits(tree)?,
            "ImagePolicyWebhook" => self.images = Some(image_policy(tree)?),
            "ValidatingAdmissionWebhook" | "MutatingAdmissionWebhook" => {
                bail!("credentials for webhooks (WebhookAdmissionConfiguration) are not supported")
            }
            _ => tracing::warn!(plugin = name, "Admission plugin takes no configuration"),
        }
        Ok(())
    }
}

fn tree(text: &str) -> Result<Value> {
    Ok(codec::yaml::parse(text).map_err(|e| anyhow!("{e}"))?.value)
}

fn of_file(path: &PathBuf) -> Result<Value> {
    tree(&std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?)
}

/// A document of one of the versions of a kind.
fn typed<T: DeserializeOwned>(tree: Value, kind: &str, versions: &[&str]) -> Result<T> {
    let text = |key: &str| tree[key].as_str().unwrap_or_default();
    if text("kind") != kind || !versions.contains(&text("apiVersion")) {
        bail!("no kind {:?} is registered for version {:?}", text("kind"), text("apiVersion"));
    }
    Ok(serde_json::from_value(tree)?)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SecurityFile {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(default)]
    defaults: BTreeMap<String, String>,
    #[serde(default)]
    exemptions: Exemptions,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Exemptions {
    usernames: Vec<String>,
    namespaces: Vec<String>,
    runtime_classes: Vec<String>,
}

fn pod_security(tree: Value) -> Result<PodSecurity> {
    const VERSIONS: &[&str] = &[
        "pod-security.admission.config.k8s.io/v1",
        "pod-security.admission.config.k8s.io/v1beta1",
        "pod-security.admission.config.k8s.io/v1alpha1",
    ];
    let file: SecurityFile = typed(tree, "PodSecurityConfiguration", VERSIONS)?;
    let modes = ["enforce", "warn", "audit"];
    if let Some(other) = file.defaults.keys().find(|k| !modes.contains(&k.strip_suffix("-version").unwrap_or(k))) {
        bail!("unknown field \"defaults.{other}\"");
    }
    let demand = |mode: &str| -> Result<Demand> {
        let said = |key: &str| file.defaults.get(key).map(String::as_str).filter(|v| !v.is_empty());
        let version = format!("{mode}-version");
        let level = said(mode).map_or(Ok(Level::default()), Level::parse);
        let level = level.map_err(|why| anyhow!("defaults.{mode}: Invalid value: {:?}: {why}", said(mode).unwrap_or_default()))?;
        let minor = said(&version).map_or(Ok(Version::default()), Version::parse);
        let minor = minor.map_err(|why| anyhow!("defaults.{version}: Invalid value: {:?}: {why}", said(&version).unwrap_or_default()))?;
        Ok(Demand { level, version: minor })
    };
    let defaults = Policy { enforce: demand("enforce")?, audit: demand("audit")?, warn: demand("warn")? };
    let Exemptions { usernames, namespaces, runtime_classes } = file.exemptions;
    named("namespaces", &namespaces, |n| rules::names::dns_label(n).join(", "))?;
    named("runtimeClasses", &runtime_classes, |n| rules::names::dns_subdomain(n).join(", "))?;
    named("usernames", &usernames, |n| if n.is_empty() { "username must not be empty".to_owned() } else { String::new() })?;
    Ok(PodSecurity { defaults, usernames, namespaces, runtime_classes })
}

/// Names are valid, and stand once.
fn named(field: &str, names: &[String], wrong: impl Fn(&str) -> String) -> Result<()> {
    for (at, name) in names.iter().enumerate() {
        let why = wrong(name);
        if !why.is_empty() {
            bail!("exemptions.{field}[{at}]: Invalid value: {name:?}: {why}");
        }
        if names[..at].contains(name) {
            bail!("exemptions.{field}[{at}]: Duplicate value: {name:?}");
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct QuotaFile {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(default)]
    limited_resources: Vec<Limited>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Limited {
    #[serde(default)]
    api_group: String,
    #[serde(default)]
    resource: String,
    #[serde(default)]
    match_contains: Vec<String>,
    #[serde(default)]
    match_scopes: Vec<Scope>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Scope {
    scope_name: String,
    operator: String,
    values: Option<Vec<String>>,
}

fn limited_resources(tree: Value) -> Result<Vec<LimitedResource>> {
    let new = tree["kind"] == "ResourceQuotaConfiguration";
    let file: QuotaFile = if new {
        typed(tree, "ResourceQuotaConfiguration", &["apiserver.config.k8s.io/v1"])?
    } else {
        typed(tree, "Configuration", &["resourcequota.admission.k8s.io/v1beta1", "resourcequota.admission.k8s.io/v1alpha1"])?
    };
    let of = |(at, l): (usize, Limited)| {
        if l.resource.is_empty() {
            bail!("limitedResources[{at}].resource: Required value");
        }
        let scope = |s: Scope| ScopedResourceSelectorRequirement { scope_name: s.scope_name, operator: s.operator, values: s.values };
        let match_scopes = l.match_scopes.into_iter().map(scope).collect();
        Ok(LimitedResource { api_group: l.api_group, resource: l.resource, match_contains: l.match_contains, match_scopes })
    };
    file.limited_resources.into_iter().enumerate().map(of).collect()
}

fn node_selectors(mut tree: Value) -> Result<BTreeMap<String, String>> {
    Ok(serde_json::from_value(tree["podNodeSelectorPluginConfig"].take()).context("podNodeSelectorPluginConfig")?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TolerationsFile {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(default)]
    default: Value,
    #[serde(default)]
    whitelist: Value,
}

fn tolerations(tree: Value) -> Result<Tolerations> {
    let file: TolerationsFile = typed(tree, "Configuration", &["podtolerationrestriction.admission.k8s.io/v1alpha1"])?;
    Tolerations::read(&file.default, &file.whitelist).map_err(|e| anyhow!(e))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsFile {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(default)]
    limits: Vec<Limit>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[derive(Default)]
struct Limit {
    #[serde(rename = "type")]
    of: String,
    qps: i32,
    burst: i32,
    cache_size: i32,
}

fn event_limits(tree: Value) -> Result<Vec<EventLimit>> {
    let file: EventsFile = typed(tree, "Configuration", &["eventratelimit.admission.k8s.io/v1alpha1"])?;
    if file.limits.is_empty() {
        bail!("limits: Invalid value: []: must not be empty");
    }
    let of = |(at, l): (usize, Limit)| {
        let shared = Shared::parse(&l.of).with_context(|| {
            format!("limits[{at}].type: Unsupported value: {:?}: supported values: \"Namespace\", \"Server\", \"SourceAndObject\", \"User\"", l.of)
        })?;
        let positive = |field: &str, n: i32| match u32::try_from(n) {
            Ok(n) if n > 0 => Ok(n),
            _ => Err(anyhow!("limits[{at}].{field}: Invalid value: {n}: must be positive")),
        };
        let (burst, qps) = (positive("burst", l.burst)?, positive("qps", l.qps)?);
        let buckets = match (shared, usize::try_from(l.cache_size)) {
            (Shared::Server, _) => 0,
            (_, Ok(n)) => n,
            (_, Err(_)) => bail!("limits[{at}].cacheSize: Invalid value: {}: must not be negative", l.cache_size),
        };
        Ok(EventLimit { shared, qps, burst, buckets })
    };
    file.limits.into_iter().enumerate().map(of).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImagePolicyFile {
    image_policy: ImagePolicyText,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct ImagePolicyText {
    kube_config_file: PathBuf,
    #[serde(rename = "allowTTL")]
    allow_ttl: i64,
    #[serde(rename = "denyTTL")]
    deny_ttl: i64,
    retry_backoff: i64,
    default_allow: bool,
}

fn image_policy(tree: Value) -> Result<ImagePolicyOptions> {
    const MILLI: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);
    let file: ImagePolicyFile = serde_json::from_value(tree)?;
    let text = file.image_policy;
    Ok(ImagePolicyOptions {
        config: webhook_client(&text.kube_config_file)?,
        retry_backoff: span(text.retry_backoff, MILLI, (MILLI, 5 * MINUTE), 500 * MILLI)?,
        allow_ttl: span(text.allow_ttl, SECOND, (SECOND, 30 * MINUTE), 5 * MINUTE)?,
        deny_ttl: span(text.deny_ttl, SECOND, (SECOND, 30 * MINUTE), 30 * SECOND)?,
        default_allow: text.default_allow,
    })
}

/// A time in units: zero is the default, -1 none.
fn span(n: i64, unit: Duration, (least, most): (Duration, Duration), default: Duration) -> Result<Duration> {
    match u32::try_from(n) {
        _ if n == -1 => Ok(Duration::ZERO),
        Ok(0) => Ok(default),
        Ok(n) if (least..=most).contains(&unit.saturating_mul(n)) => Ok(unit * n),
        _ => bail!("valid value is between {least:?} and {most:?}, got {n} times {unit:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::Plugins;
    use serde_json::{Value, json};

    fn refused(name: &str, tree: Value) -> String {
        format!("{:#}", Plugins::default().take(name, tree).expect_err("a refusal"))
    }

    #[test]
    fn what_cannot_be_meant_is_told_by_its_path() {
        let security = |tree: Value| {
            let mut all = json!({ "apiVersion": "pod-security.admission.config.k8s.io/v1", "kind": "PodSecurityConfiguration" });
            all.as_object_mut().expect("an object").extend(tree.as_object().expect("an object").clone());
            refused("PodSecurity", all)
        };
        assert_eq!(security(json!({ "defaults": { "enforce": "strict" } })), r#"defaults.enforce: Invalid value: "strict": must be one of privileged, baseline, restricted"#);
        assert_eq!(security(json!({ "defaults": { "warn-version": "1.2" } })), r#"defaults.warn-version: Invalid value: "1.2": must be "latest" or "v1.x""#);
        assert_eq!(security(json!({ "exemptions": { "namespaces": ["a", "a"] } })), r#"exemptions.namespaces[1]: Duplicate value: "a""#);
        assert_eq!(security(json!({ "exemptions": { "usernames": [""] } })), r#"exemptions.usernames[0]: Invalid value: "": username must not be empty"#);
        let events = |limits: Value| refused("EventRateLimit", json!({ "apiVersion": "eventratelimit.admission.k8s.io/v1alpha1", "kind": "Configuration", "limits": limits }));
        assert_eq!(events(json!([])), "limits: Invalid value: []: must not be empty");
        assert_eq!(events(json!([{ "type": "Server", "qps": 1 }])), "limits[0].burst: Invalid value: 0: must be positive");
        let quota = json!({ "apiVersion": "apiserver.config.k8s.io/v1", "kind": "ResourceQuotaConfiguration", "limitedResources": [{}] });
        assert_eq!(refused("ResourceQuota", quota), "limitedResources[0].resource: Required value");
        assert_eq!(refused("ResourceQuota", json!({ "kind": "X", "apiVersion": "y" })), r#"no kind "X" is registered for version "y""#);
    }

    #[test]
    fn defaults_and_exemptions_are_taken() {
        let mut plugins = Plugins::default();
        let tree = json!({
            "apiVersion": "pod-security.admission.config.k8s.io/v1", "kind": "PodSecurityConfiguration",
            "defaults": { "enforce": "baseline", "enforce-version": "v1.30" }, "exemptions": { "namespaces": ["kube-system"] },
        });
        plugins.take("PodSecurity", tree).expect("a configuration");
        let security = &plugins.settings.pod_security;
        assert_eq!((security.defaults.enforce.to_string(), security.defaults.warn.to_string()), ("baseline:v1.30".to_owned(), "privileged:latest".to_owned()));
        assert_eq!(security.namespaces, ["kube-system"]);
    }
}
