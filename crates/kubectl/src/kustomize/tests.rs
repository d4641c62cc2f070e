//! Kustomizations on a scratch directory: what is made of the fields that people use, and the hashes that Kustomize itself gives.

use super::build;
use std::path::PathBuf;

/// A directory that goes away again.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let dir = std::env::temp_dir().join(format!("kustomize-test-{name}-{}", std::process::id()));
        for (file, text) in files {
            let path = dir.join(file);
            std::fs::create_dir_all(path.parent().expect("a file lies in a directory")).expect("a scratch directory");
            std::fs::write(path, text).expect("a scratch file");
        }
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers:\n      - name: c\n        image: nginx:1\n        envFrom: [{configMapRef: {name: settings}}]\n";

#[test]
fn generated_names_end_with_kustomizes_own_hashes() {
    let scratch = Scratch::new("hash", &[("kustomization.yaml", "configMapGenerator:\n- name: gen\n  literals: [a=1, b=2]\nsecretGenerator:\n- name: sec\n  literals: [p=q]\nnamePrefix: pre-\nnameSuffix: -suf\n")]);
    let made = build(&scratch.0).expect("it builds");
    let names: Vec<&str> = made.iter().filter_map(|o| o["metadata"]["name"].as_str()).collect();
    assert_eq!(names, ["pre-gen-suf-7gdc49gk6d", "pre-sec-suf-hb2dth72f6"]);
}

#[test]
fn references_follow_names_through_bases() {
    let base = "resources: [web.yaml]\nnamePrefix: a-\nconfigMapGenerator:\n- name: settings\n  literals: [x=y]\nimages:\n- {name: nginx, newTag: '2'}\n";
    let over = "resources: [../base]\nnamespace: other\nreplicas:\n- {name: web, count: 3}\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: add, path: /metadata/annotations, value: {k: v}}\n";
    let scratch = Scratch::new("base", &[("base/kustomization.yaml", base), ("base/web.yaml", DEPLOYMENT), ("over/kustomization.yaml", over)]);
    let made = build(&scratch.0.join("over")).expect("it builds");
    let web = made.iter().find(|o| o["kind"] == "Deployment").expect("the Deployment");
    let settings = made.iter().find(|o| o["kind"] == "ConfigMap").expect("the ConfigMap");
    assert_eq!(web["metadata"]["name"], "a-web");
    assert_eq!(web["metadata"]["namespace"], "other");
    assert_eq!(web["metadata"]["annotations"]["k"], "v");
    assert_eq!(web["spec"]["replicas"], 3);
    let container = &web["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "nginx:2");
    assert_eq!(container["envFrom"][0]["configMapRef"]["name"], settings["metadata"]["name"]);
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let scratch = Scratch::new("foreign", &[("kustomization.yaml", "components: [x]\n")]);
    let e = build(&scratch.0).expect_err("components are not understood").message();
    assert!(e.contains("\"components\" is not supported"), "{e}");
    let scratch = Scratch::new("unknown", &[("kustomization.yaml", "nosuch: 1\n")]);
    assert_eq!(build(&scratch.0).expect_err("there is no such field").message(), "error: invalid Kustomization: json: unknown field \"nosuch\"");
}
