//! Names that other objects mention follow their objects: ConfigMaps and Secrets in pods, Services of Ingresses and StatefulSets,
//! accounts and roles of bindings, claims of volumes, targets of autoscalers.

use super::Resource;
use serde_json::Value;

/// A field that names an object: the kind that it means, and the end of its path.
const FIELDS: &[(&str, &[&str])] = &[
    ("ConfigMap", &["configMap", "name"]),
    ("ConfigMap", &["configMapRef", "name"]),
    ("ConfigMap", &["configMapKeyRef", "name"]),
    ("Secret", &["secret", "secretName"]),
    ("Secret", &["secret", "name"]),
    ("Secret", &["secretRef", "name"]),
    ("Secret", &["secretKeyRef", "name"]),
    ("Secret", &["imagePullSecrets", "name"]),
    ("Secret", &["secrets", "name"]),
    ("Secret", &["tls", "secretName"]),
    ("Service", &["service", "name"]),
    ("Service", &["spec", "serviceName"]),
    ("ServiceAccount", &["spec", "serviceAccountName"]),
    ("PersistentVolumeClaim", &["persistentVolumeClaim", "claimName"]),
    ("PriorityClass", &["spec", "priorityClassName"]),
    ("StorageClass", &["spec", "storageClassName"]),
    ("IngressClass", &["spec", "ingressClassName"]),
];

/// Old and new names of one kind.
type Renamed = (String, Vec<String>, String);

/// Rewrites every reference.
pub(super) fn follow(resources: &mut [Resource]) {
    let renamed: Vec<Renamed> = resources.iter().filter(|r| r.names.len() > 1).map(|r| (r.kind().to_owned(), r.names.clone(), r.name().to_owned())).collect();
    if renamed.is_empty() {
        return;
    }
    for r in resources {
        let kind = r.kind().to_owned();
        if let Some(map) = r.object.as_object_mut() {
            for (key, child) in map.iter_mut().filter(|(k, _)| !matches!(k.as_str(), "metadata" | "data")) {
                walk(child, key, &kind, &renamed);
            }
        }
    }
}

fn new_name<'a>(renamed: &'a [Renamed], kind: &str, name: &Value) -> Option<&'a str> {
    let name = name.as_str()?;
    renamed.iter().find(|(k, names, _)| k == kind && names.iter().any(|n| n == name)).map(|(_, _, new)| new.as_str())
}

fn walk(value: &mut Value, key: &str, top: &str, renamed: &[Renamed]) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|child| walk(child, key, top, renamed)),
        Value::Object(map) => {
            for (kind, path) in FIELDS.iter().filter(|(_, p)| p[0] == key) {
                if let Some(new) = map.get(path[1]).and_then(|old| new_name(renamed, kind, old)) {
                    map.insert(path[1].to_owned(), new.into());
                }
            }
            if matches!(key, "scaleTargetRef" | "roleRef" | "subjects" | "targetRef") {
                let kind = map.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
                if let Some(new) = map.get("name").and_then(|old| new_name(renamed, &kind, old)) {
                    map.insert("name".to_owned(), new.into());
                }
            }
            map.iter_mut().for_each(|(k, child)| walk(child, k, top, renamed));
        }
        _ => {}
    }
}
