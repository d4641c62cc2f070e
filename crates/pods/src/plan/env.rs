//! A container's environment: service links, `envFrom`, `env` with `$(VAR)` and `valueFrom`
//! (docs: "Define environment variables", "Discovering services").

use super::downward::{self, Addresses};
use crate::facts::{Facts, World};
use crate::roster;
use crate::text::expand;
use kinds::api::core::v1::{Container, EnvVar, Pod, Service};
use std::collections::BTreeMap;

/// Ordered variables.
pub type Env = Vec<(String, String)>;

fn variable_name(service: &str) -> String {
    service.replace('-', "_").to_uppercase()
}

fn service_variables(service: &Service, into: &mut BTreeMap<String, String>) {
    let (Some(name), Some(spec)) = (&service.metadata.name, &service.spec) else { return };
    let Some(ip) = spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty() && *ip != "None") else { return };
    if spec.type_.as_deref() == Some("ExternalName") {
        return;
    }
    let prefix = variable_name(name);
    let host = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    let ports: Vec<_> = spec.ports.iter().flatten().collect();
    let Some(first) = ports.first() else { return };
    into.insert(format!("{prefix}_SERVICE_HOST"), ip.to_owned());
    into.insert(format!("{prefix}_SERVICE_PORT"), first.port.to_string());
    for p in &ports {
        if let Some(n) = p.name.as_deref().filter(|n| !n.is_empty()) {
            into.insert(format!("{prefix}_SERVICE_PORT_{}", variable_name(n)), p.port.to_string());
        }
    }
    for (i, p) in ports.iter().enumerate() {
        let protocol = p.protocol.as_deref().unwrap_or("TCP");
        let url = format!("{}://{host}:{}", protocol.to_lowercase(), p.port);
        let stem = format!("{prefix}_PORT_{}_{protocol}", p.port);
        if i == 0 {
            into.insert(format!("{prefix}_PORT"), url.clone());
        }
        into.insert(stem.clone(), url);
        into.insert(format!("{stem}_PROTO"), protocol.to_lowercase());
        into.insert(format!("{stem}_PORT"), p.port.to_string());
        into.insert(format!("{stem}_ADDR"), ip.to_owned());
    }
}

/// Variables that name the services of the pod's namespace; of the default namespace only `kubernetes`.
fn services(pod: &Pod, world: &dyn World) -> BTreeMap<String, String> {
    let mut chosen: BTreeMap<String, std::sync::Arc<Service>> = BTreeMap::new();
    let master = world.services("default").into_iter().find(|s| s.metadata.name.as_deref() == Some("kubernetes"));
    if let Some(s) = master {
        chosen.insert("kubernetes".to_owned(), s);
    }
    if roster::spec(pod).enable_service_links.unwrap_or(true) {
        for s in world.services(roster::namespace(pod)) {
            chosen.insert(s.metadata.name.clone().unwrap_or_default(), s);
        }
    }
    let mut vars = BTreeMap::new();
    chosen.values().for_each(|s| service_variables(s, &mut vars));
    vars
}

fn from_sources(c: &Container, namespace: &str, world: &dyn World, into: &mut BTreeMap<String, String>) -> Result<(), String> {
    for source in c.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        if let Some(r) = &source.config_map_ref {
            match world.config_map(namespace, &r.name) {
                Some(m) => {
                    let data = m.data.iter().flatten();
                    into.extend(data.map(|(k, v)| (format!("{prefix}{k}"), v.clone())));
                }
                None if r.optional == Some(true) => {}
                None => return Err(format!("configmap \"{}\" not found", r.name)),
            }
        }
        if let Some(r) = &source.secret_ref {
            match world.secret(namespace, &r.name) {
                Some(s) => {
                    let data = s.data.iter().flatten();
                    into.extend(data.map(|(k, v)| (format!("{prefix}{k}"), String::from_utf8_lossy(&v.0).into_owned())));
                }
                None if r.optional == Some(true) => {}
                None => return Err(format!("secret \"{}\" not found", r.name)),
            }
        }
    }
    Ok(())
}

struct Scope<'a> {
    pod: &'a Pod,
    container: &'a Container,
    addresses: &'a Addresses<'a>,
    facts: &'a Facts,
    world: &'a dyn World,
}

fn value_from(var: &EnvVar, s: &Scope<'_>) -> Result<Option<String>, String> {
    let Some(from) = &var.value_from else { return Ok(Some(String::new())) };
    let namespace = roster::namespace(s.pod);
    if let Some(f) = &from.field_ref {
        return downward::field(f, s.pod, s.addresses, s.facts).map(Some);
    }
    if let Some(r) = &from.resource_field_ref {
        return downward::resource(r, s.pod, s.container, s.facts).map(Some);
    }
    if let Some(k) = &from.config_map_key_ref {
        let optional = k.optional == Some(true);
        let Some(m) = s.world.config_map(namespace, &k.name) else {
            return if optional { Ok(None) } else { Err(format!("configmap \"{}\" not found", k.name)) };
        };
        let found = m.data.as_ref().and_then(|d| d.get(&k.key)).cloned();
        return match found {
            None if !optional => Err(format!("couldn't find key {} in ConfigMap {namespace}/{}", k.key, k.name)),
            found => Ok(found),
        };
    }
    if let Some(k) = &from.secret_key_ref {
        let optional = k.optional == Some(true);
        let Some(m) = s.world.secret(namespace, &k.name) else {
            return if optional { Ok(None) } else { Err(format!("secret \"{}\" not found", k.name)) };
        };
        let found = m.data.as_ref().and_then(|d| d.get(&k.key)).map(|v| String::from_utf8_lossy(&v.0).into_owned());
        return match found {
            None if !optional => Err(format!("couldn't find key {} in Secret {namespace}/{}", k.key, k.name)),
            found => Ok(found),
        };
    }
    Ok(Some(String::new()))
}

/// The whole environment, in a stable order: services and sources first, then `env` as written.
///
/// # Errors
/// The message of a `CreateContainerConfigError`.
pub fn environment(
    pod: &Pod,
    container: &Container,
    addresses: &Addresses<'_>,
    facts: &Facts,
    world: &dyn World,
) -> Result<Env, String> {
    let scope = Scope { pod, container, addresses, facts, world };
    let links = services(pod, world);
    let mut known = BTreeMap::new();
    from_sources(container, roster::namespace(pod), world, &mut known)?;
    let mut env: Env = Vec::new();
    let mut put = |name: &str, value: String| match env.iter_mut().find(|(n, _)| n == name) {
        Some(slot) => slot.1 = value,
        None => env.push((name.to_owned(), value)),
    };
    known.iter().for_each(|(k, v)| put(k, v.clone()));
    // Variables may refer to services, but one that is defined here wins over a service's.
    let mut visible = links.clone();
    visible.extend(known);
    for var in container.env.iter().flatten() {
        let value = match &var.value {
            Some(v) if !v.is_empty() => Some(expand(v, &visible)),
            _ => value_from(var, &scope)?,
        };
        let Some(value) = value else { continue };
        visible.insert(var.name.clone(), value.clone());
        put(&var.name, value);
    }
    for (k, v) in links {
        if !env.iter().any(|(n, _)| *n == k) {
            env.push((k, v));
        }
    }
    Ok(env)
}
