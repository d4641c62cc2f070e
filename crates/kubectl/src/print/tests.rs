//! JSONPath, go-template, columns, the tab writer.

use super::columns::Columns;
use super::gotemplate::Template as Go;
use super::jsonpath::Template;
use super::tabwriter::{DESCRIBE, TABLE, align, align_with};
use serde_json::{Value, json};

fn pods() -> Value {
    json!({ "kind": "List", "items": [
        { "kind": "Pod", "metadata": { "name": "a", "labels": { "app": "web", "x.io/y": "z" } }, "spec": { "n": 3, "containers": [{ "name": "c1", "image": "i1" }, { "name": "c2", "image": "i2" }] }, "status": { "phase": "Running" } },
        { "kind": "Pod", "metadata": { "name": "b", "labels": {} }, "spec": { "n": 5, "containers": [{ "name": "d", "image": "i3" }] }, "status": { "phase": "Pending" } },
    ] })
}

#[test]
fn jsonpath_finds_what_kubectl_finds() {
    let cases = [
        ("{.items[*].metadata.name}", "a b"),
        ("{.items[0].metadata.labels.app}", "web"),
        ("{.items[0].metadata.labels.x\\.io/y}", "z"),
        ("{.items[0].metadata.labels['x\\.io/y']}", "z"),
        ("{.items[-1:].metadata.name}", "b"),
        ("{.items[-1].metadata.name}", "b"),
        ("{range .items[*]}{.metadata.name}{\"\\t\"}{.status.phase}{\"\\n\"}{end}", "a\tRunning\nb\tPending\n"),
        ("{.items[?(@.status.phase==\"Running\")].metadata.name}", "a"),
        ("{.items[?(@.spec.n>3)].metadata.name}", "b"),
        ("{.items[?(@.metadata.labels.app)].metadata.name}", "a"),
        ("{..image}", "i1 i2 i3"),
        ("{.items[*]['metadata.name', 'status.phase']}", ""),
        ("{.items[0].spec.containers[0:2:1].name}", "c1 c2"),
        ("{.items[0].spec['n','n']}", "3 3"),
        ("name: {.items[0].metadata.name}!", "name: a!"),
        ("{$.kind} {@.kind}", "List List"),
        ("{.items[0].missing}", ""),
        ("{.items[0].spec.containers[0]}", r#"{"image":"i1","name":"c1"}"#),
        ("{range .items[*]}{range .spec.containers[*]}{.name},{end};{end}", "c1,c2,;d,;"),
    ];
    for (template, expect) in cases {
        assert_eq!(Template::parse(template).map(|t| t.render(&pods())), Ok(expect.to_owned()), "{template}");
    }
    assert!(Template::parse("{.items[").is_err());
    assert!(Template::parse("{range .items[*]}x").is_err());
}

#[test]
fn go_templates_run() {
    let cases = [
        ("{{range .items}}{{.metadata.name}} {{end}}", "a b "),
        ("{{ (index .items 0).status.phase }}", "Running"),
        ("{{range $i, $p := .items}}{{if $i}},{{end}}{{$p.metadata.name}}{{end}}", "a,b"),
        ("{{- range .items -}}\n {{ .metadata.name }}\n{{- end -}}", "ab"),
        ("{{len .items}} {{printf \"%s-%03d\" .kind 7}}", "2 List-007"),
        ("{{with .nothing}}yes{{else}}no{{end}}", "no"),
        ("{{.nothing}}", "<no value>"),
        ("{{if and (eq .kind \"List\") (not .x)}}ok{{else if .y}}y{{end}}", "ok"),
        ("{{\"aGk=\" | base64decode}}", "hi"),
        ("{{$x := 1}}{{range .items}}{{$x = .spec.n}}{{end}}{{$x}}", "5"),
        ("{{range .items}}{{if eq .metadata.name \"b\"}}{{break}}{{end}}{{.metadata.name}}{{end}}", "a"),
        ("{{range $k, $v := (index .items 0).metadata.labels}}{{$k}}={{$v}};{{end}}", "app=web;x.io/y=z;"),
        ("{{/* note */}}{{index (index .items 0).metadata.labels \"app\"}}", "web"),
    ];
    for (template, expect) in cases {
        assert_eq!(Go::parse(template).and_then(|t| t.render(&pods())), Ok(expect.to_owned()), "{template}");
    }
    assert!(Go::parse("{{if .x}}").is_err());
    assert!(Go::parse("{{.x.y}}").and_then(|t| t.render(&json!({ "x": "s" }))).is_err());
}

#[test]
fn columns_line_up() {
    let columns = Columns::parse("NAME:.metadata.name,IMAGES:.spec.containers[*].image,X:.none").map_err(|e| e.message());
    assert_eq!(columns.map(|c| c.render(&pods())), Ok(Ok("NAME   IMAGES   X\na      i1,i2    <none>\nb      i3       <none>\n".to_owned())));
}

#[test]
fn tabs_are_elastic() {
    assert_eq!(align("a\tb\nccccccc\td\n", TABLE), "a         b\nccccccc   d\n");
    assert_eq!(align("Name:\tx\nLong Name:\ty\nplain\nq\tz\n", DESCRIBE), "Name:       x\nLong Name:  y\nplain\nq  z\n");
    let mut widths = Vec::new();
    align_with("a\tb\nccccccc\td\n", TABLE, &mut widths);
    assert_eq!(align_with("a\tb\n", TABLE, &mut widths), "a         b\n");
}
