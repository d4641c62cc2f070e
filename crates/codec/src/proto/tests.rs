//! Round trips, upstream's golden files where they are at hand (TIMONEL_GOLDEN), and bytes that are no message.

use std::path::Path;

use serde_json::{Value, json};

use super::{Envelope, MAGIC, ProtoError, decode, encode, read_watch_frame, watch_frame};

fn encoded(value: &Value) -> Vec<u8> {
    encode(value.to_string().as_bytes()).expect("encodes")
}

#[test]
fn a_deployment_goes_there_and_back() {
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "labels": {"b": "2", "a": "1"}},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"a": "1"}}, "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}, "type": "RollingUpdate"},
            "template": {"metadata": {}, "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "100m"}}, "env": [{"name": "x"}]}],
                "volumes": [{"name": "v", "configMap": {"name": "m", "defaultMode": 420}}]}}},
        "status": {}});
    let bytes = encoded(&object);
    assert_eq!(&bytes[..4], MAGIC);
    assert_eq!(decode(&bytes).expect("decodes"), object);
}

#[test]
fn what_the_go_structs_always_print_is_there() {
    let bytes = encoded(&json!({"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "a"}}]}));
    let list = decode(&bytes).expect("decodes");
    assert_eq!(list["items"][0]["spec"]["containers"], Value::Null);
    assert_eq!(list["items"][0]["metadata"], json!({"name": "a"}));
    assert_eq!(list["metadata"], json!({}));
}

#[test]
fn options_and_statuses_have_a_form() {
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "propagationPolicy": "Foreground", "preconditions": {"uid": "u"}});
    assert_eq!(decode(&encoded(&options)).expect("decodes"), options);
    let status = json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "message": "m", "reason": "NotFound", "code": 404, "details": {"name": "n", "kind": "pods"}});
    assert_eq!(decode(&encoded(&status)).expect("decodes"), status);
}

#[test]
fn watch_frames() {
    let object = encoded(&json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}));
    let frame = watch_frame("ADDED", &object);
    assert_eq!(read_watch_frame(&frame[..frame.len() - 1]), Ok(None));
    assert_eq!(read_watch_frame(&frame), Ok(Some((frame.len(), "ADDED", object.as_slice()))));
    assert!(read_watch_frame(&[0xff; 8]).is_err());
}

#[test]
fn errors_are_told() {
    assert_eq!(decode(b"{}"), Err(ProtoError::NoMagic));
    let unknown = Envelope { api_version: "example.com/v1", kind: "Foo", raw: &[], content_encoding: "", content_type: "" }.seal();
    assert_eq!(decode(&unknown).expect_err("no kind").to_string(), r#"no kind "Foo" is registered for version "example.com/v1""#);
    assert!(encode(br#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":1}}"#).is_err());
    assert!(encode(br#"{"apiVersion":"v1","kind":"Pod","#).is_err());
}

/// Every `*.json` of a directory of upstream's golden files, with the `*.pb` of the same name; what does not match.
fn golden(directory: &Path, failures: &mut Vec<String>) -> usize {
    let entries = std::fs::read_dir(directory).expect("a directory").flatten().map(|entry| entry.path());
    let whole = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "json") && !path.to_string_lossy().contains(".after_roundtrip.");
    let files: Vec<_> = entries.filter(whole).collect();
    // Upstream calls the files of the version that it is `HEAD`, those of older ones by their versions.
    let older = directory.file_name().is_some_and(|name| name.to_string_lossy().starts_with("v1."));
    for path in &files {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        // A watch event travels without an envelope's kind; its frames have a test of their own. Options are not stored.
        if name.contains("WatchEvent") || (older && name.contains("ListOptions")) {
            continue;
        }
        let done = if older { stored_by_another_version(path) } else { golden_file(path) };
        match done {
            // A version that v1.36 does not know any more either.
            Err(problem) if older && problem.contains(" is registered for version ") => eprintln!("{name}: {problem}"),
            Err(problem) => failures.push(format!("{name}: {problem}")),
            Ok(()) => {}
        }
    }
    files.len()
}

/// What upstream makes of a file of an older version when it reads it and writes it again; the file itself where that says nothing.
fn after_roundtrip(path: &Path, extension: &str) -> std::path::PathBuf {
    let after = path.with_extension(format!("after_roundtrip.{extension}"));
    if after.exists() { after } else { path.with_extension(extension) }
}

/// An object that another version stored: read, it is what upstream reads, and written again what upstream writes.
fn stored_by_another_version(path: &Path) -> Result<(), String> {
    let bytes = std::fs::read(path.with_extension("pb")).expect("its protobuf");
    let expect: Value = serde_json::from_slice(&std::fs::read(after_roundtrip(path, "json")).expect("a file")).expect("JSON");
    let decoded = decode(&bytes).map_err(|e| e.to_string())?;
    let mut lost = Vec::new();
    differences(&strip_nested_type_meta(expect.clone()), &strip_nested_type_meta(decoded), "", &mut lost);
    if !lost.is_empty() {
        return Err(format!("decodes to other JSON at {lost:?}"));
    }
    let again = encode(expect.to_string().as_bytes()).map_err(|e| e.to_string())?;
    if again != std::fs::read(after_roundtrip(path, "pb")).expect("its protobuf") {
        return Err("encodes to other bytes".into());
    }
    Ok(())
}

fn golden_file(path: &Path) -> Result<(), String> {
    let text = std::fs::read(path).expect("a file");
    let expect: Value = serde_json::from_slice(&text).expect("JSON");
    let bytes = std::fs::read(path.with_extension("pb")).expect("its protobuf");
    let decoded = decode(&bytes).map_err(|e| e.to_string())?;
    let again = encode(&text).map_err(|e| e.to_string())?;
    if again != bytes {
        let at = again.iter().zip(&bytes).position(|(a, b)| a != b).unwrap_or(again.len().min(bytes.len()));
        let window = |all: &[u8]| String::from_utf8_lossy(&all[at.saturating_sub(60)..(at + 60).min(all.len())]).into_owned();
        return Err(format!("encodes to other bytes at {at}\nours:   {:?}\ntheirs: {:?}", window(&again), window(&bytes)));
    }
    if strip_nested_type_meta(decoded.clone()) != strip_nested_type_meta(expect.clone()) {
        return Err(format!("decodes to other JSON {decoded}"));
    }
    let shape = Envelope::open(&bytes).and_then(|e| e.ty()).map_err(|e| e.to_string())?;
    let found = crate::strict::check(&text, Some(shape)).expect("JSON");
    if found != crate::strict::Findings::default() {
        return Err(format!("{found:?}"));
    }
    let yaml = std::fs::read_to_string(path.with_extension("yaml")).expect("its YAML");
    if crate::yaml::parse(&yaml).map_err(|e| e.to_string())?.value != expect {
        return Err("its YAML reads otherwise".into());
    }
    if crate::yaml::write(&expect) != yaml {
        let ours = crate::yaml::write(&expect);
        let line = ours.lines().zip(yaml.lines()).find(|(a, b)| a != b);
        return Err(format!("its YAML is written otherwise: {line:?}"));
    }
    let (group, version) = expect["apiVersion"].as_str().map(|v| v.split_once('/').unwrap_or(("", v))).unwrap_or_default();
    // A budget with a null time in a map has no typed form; everything else must survive its own.
    let kind = kinds::Kind::from_gvk(group, version, expect["kind"].as_str().unwrap_or_default());
    if let Some(kind) = kind.filter(|kind| *kind != kinds::Kind::PodDisruptionBudget) {
        let typed = strip_nested_type_meta(crate::to_value(&crate::decode(kind, &text).map_err(|e| e.to_string())?));
        let mut lost = Vec::new();
        differences(&strip_nested_type_meta(expect), &typed, "", &mut lost);
        if !lost.is_empty() {
            return Err(format!("the typed form differs at {lost:?}"));
        }
    }
    Ok(())
}

fn differences(expect: &Value, found: &Value, path: &str, out: &mut Vec<String>) {
    match (expect, found) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                differences(value, b.get(key).unwrap_or(&Value::Null), &format!("{path}.{key}"), out);
            }
            out.extend(b.keys().filter(|key| !a.contains_key(*key)).map(|key| format!("+{path}.{key}")));
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a.iter().zip(b).for_each(|(a, b)| differences(a, b, &format!("{path}[]"), out)),
        (a, b) if a != b => out.push(format!("{path}: {a} / {b}").chars().take(120).collect()),
        _ => {}
    }
}

/// Kinds nested in others lose their type in protobuf.
fn strip_nested_type_meta(mut object: Value) -> Value {
    if let Some(templates) = object.pointer_mut("/spec/volumeClaimTemplates").and_then(Value::as_array_mut) {
        for template in templates.iter_mut().filter_map(Value::as_object_mut) {
            template.remove("apiVersion");
            template.remove("kind");
        }
    }
    object
}

#[test]
fn upstream_golden_files() {
    let Ok(directories) = std::env::var("TIMONEL_GOLDEN") else {
        println!("SKIP codec upstream_golden_files: TIMONEL_GOLDEN names no directories of golden files");
        return;
    };
    let mut failures = Vec::new();
    let checked: usize = directories.split(':').map(|directory| golden(Path::new(directory), &mut failures)).sum();
    eprintln!("{checked} golden objects");
    assert!(checked > 0);
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

mod laws {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for kind in ["Pod", "Deployment", "CustomResourceDefinition", "Event"] {
                let group = match kind { "Deployment" => "apps", "CustomResourceDefinition" => "apiextensions.k8s.io", _ => "" };
                let ty = schema::types().by_gvk(group, "v1", kind).expect("a type");
                let _ = super::super::decode_message(&bytes, ty);
            }
            let mut enveloped = MAGIC.to_vec();
            enveloped.extend(bytes);
            let _ = decode(&enveloped);
        }

        #[test]
        fn broken_objects_never_panic(at in 0usize..400, byte in any::<u8>(), cut in 0usize..400) {
            let mut bytes = encoded(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "creationTimestamp": "2024-01-01T00:00:00Z"},
                "spec": {"containers": [{"name": "c", "image": "i", "livenessProbe": {"httpGet": {"port": 80}}}], "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}]}}));
            if let Some(b) = bytes.get_mut(at) { *b = byte; }
            let cut = cut.min(bytes.len());
            let _ = decode(&bytes);
            let _ = decode(&bytes[..cut]);
        }
    }
}
