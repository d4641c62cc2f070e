//! Rows of the storage groups.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Printer;
use super::cells::{View, or};

pub(super) fn printer(kind: &str) -> Option<Printer> {
    Some(match kind {
        "StorageClass" => storage_class,
        "VolumeAttributesClass" => |o, now| vec![o.name(), json!(o.text("/driverName")), o.age(now)],
        "VolumeAttachment" => |o, now| {
            let spec = |field: &str| json!(o.at("/spec").text(field));
            vec![o.name(), spec("/attacher"), spec("/source/persistentVolumeName"), spec("/nodeName"), json!(o.flag("/status/attached")), o.age(now)]
        },
        "CSINode" => |o, now| vec![o.name(), json!(o.count("/spec/drivers")), o.age(now)],
        "CSIDriver" => driver,
        "StorageVersionMigration" => |o, _| {
            let state = ["Succeeded", "Failed", "Running"].into_iter().find(|kind| o.condition_is_true("/status/conditions", kind));
            let resource = o.at("/spec/resource");
            let name = match resource.text("/group") {
                "" => resource.text("/resource").to_owned(),
                group => format!("{}.{group}", resource.text("/resource")),
            };
            vec![o.name(), json!(name), json!(state.unwrap_or_default())]
        },
        _ => return None,
    })
}

fn storage_class(class: View<'_>, now: Timestamp) -> Vec<Value> {
    let default_marks = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
    let default = class.entries("/metadata/annotations").any(|(key, value)| default_marks.contains(&key) && value.text("") == "true");
    let name = class.text("/metadata/name");
    vec![
        json!(if default { format!("{name} (default)") } else { name.to_owned() }),
        json!(class.text("/provisioner")),
        json!(class.text_or("/reclaimPolicy", "Delete")),
        json!(class.text_or("/volumeBindingMode", "Immediate")),
        json!(class.flag("/allowVolumeExpansion")),
        class.age(now),
    ]
}

fn driver(driver: View<'_>, now: Timestamp) -> Vec<Value> {
    let attach = driver.at("/spec/attachRequired").0.as_bool().unwrap_or(true);
    let tokens: Vec<&str> = driver.list("/spec/tokenRequests").map(|t| t.text("/audience")).collect();
    let tokens = if driver.has("/spec/tokenRequests") { tokens.join(",") } else { String::new() };
    vec![
        driver.name(),
        json!(attach),
        json!(driver.flag("/spec/podInfoOnMount")),
        json!(driver.flag("/spec/storageCapacity")),
        json!(or(tokens, "<unset>")),
        json!(driver.flag("/spec/requiresRepublish")),
        json!(driver.joined("/spec/volumeLifecycleModes", ",", "<none>")),
        driver.age(now),
    ]
}
