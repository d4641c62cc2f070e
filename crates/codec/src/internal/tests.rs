//! What is shown of objects, against what kube-apiserver v1.36.2 answered.

use super::{LAYOUT, compact, diff, pretty, shown};
use serde_json::json;

#[test]
fn every_struct_inside_is_known() {
    for (name, fields) in LAYOUT.iter() {
        for f in fields.iter().filter(|f| !f.inside.is_empty() && f.inside != "LabelSelector" && f.inside != "ObjectMeta") {
            assert!(LAYOUT.contains_key(f.inside), "{name}.{}: {}", f.name, f.inside);
        }
    }
}

#[test]
fn all_fields_stand_in_the_order_of_the_structs() {
    let policy = json!({"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [1, 2]}}]});
    let want = r#"{"Rules":[{"Action":"Ignore","OnExitCodes":{"ContainerName":null,"Operator":"In","Values":[1,2]},"OnPodConditions":null}]}"#;
    assert_eq!(compact(&shown("batch.PodFailurePolicy", &policy)), want);
    let selector = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a<b", "operator": "Exists"}]}]}});
    let want = r#"{"Required":{"NodeSelectorTerms":[{"MatchExpressions":[{"Key":"a\u003cb","Operator":"Exists","Values":null}],"MatchFields":null}]}}"#;
    assert_eq!(compact(&shown("VolumeNodeAffinity", &selector)), want);
}

#[test]
fn fields_of_the_host_stand_in_the_security_context() {
    let spec = compact(&shown("PodSpec", &json!({"hostNetwork": true, "securityContext": {}, "containers": []})));
    for part in [r#""SecurityContext":{"HostNetwork":true,"HostPID":false,"HostIPC":false,"ShareProcessNamespace":null,"#, r#""Containers":[],"#, r#"{"Volumes":null,"#] {
        assert!(spec.contains(part), "{part}: {spec}");
    }
}

#[test]
fn a_claim_that_changed() {
    let claim = |class: &str| shown("PersistentVolumeClaimSpec", &json!({"accessModes": ["ReadWriteOnce"], "volumeAttributesClassName": class,
        "resources": {"requests": {"storage": "1Gi"}}, "volumeMode": "Filesystem"}));
    let told = diff::unified(&pretty(&claim("a")), &pretty(&claim("b")));
    let want = "@@ -14,5 +14,5 @@\n  \"VolumeMode\": \"Filesystem\",\n  \"DataSource\": null,\n  \"DataSourceRef\": null,\n- \"VolumeAttributesClassName\": \"a\"\n+ \"VolumeAttributesClassName\": \"b\"\n }\n";
    assert_eq!(told, want);
}

#[test]
fn changes_far_apart_are_told_apart() {
    let lines = |marks: &[usize]| (0..30).map(|i| if marks.contains(&i) { format!("x{i}\n") } else { format!("l{i}\n") }).collect::<String>();
    let told = diff::unified(&lines(&[]), &lines(&[2, 20]));
    assert_eq!(told.lines().filter(|l| l.starts_with("@@")).collect::<Vec<_>>(), ["@@ -1,6 +1,6 @@", "@@ -18,7 +18,7 @@"]);
    assert_eq!(diff::unified("a\n", "a\n"), "");
}
