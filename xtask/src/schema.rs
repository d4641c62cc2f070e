//! `cargo xtask schema --from DIR`: turns the fact tables (types, resources, columns, bootstrap objects, features) into the
//! dense, line-based tables under `crates/schema/data/` that the `schema` crate embeds. The format is described there.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Reads every fact table in `from` and writes the dense tables into `to`.
pub(crate) fn run(from: &Path, to: &Path) -> Result<()> {
    let out = |name: &str, text: String| -> Result<()> {
        let path = to.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    std::fs::create_dir_all(to)?;
    out("types.txt", types(&read(from, "types.json")?)?)?;
    out("resources.txt", resources(&read(from, "resources.json")?)?)?;
    out("columns.txt", columns(&read(from, "printer-columns.json")?)?)?;
    out("features.txt", features(&read(from, "features.json")?)?)?;
    out("rbac.jsonl", lines(&read(from, "bootstrap-rbac.json")?)?)?;
    out("objects.jsonl", lines(&read(from, "bootstrap-objects.json")?)?)
}

fn read(from: &Path, name: &str) -> Result<Vec<Value>> {
    let path = from.join(name);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("parsing {}", path.display()))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().map(|a| a.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

fn flag(value: &Value, key: &str) -> bool {
    value[key].as_bool().unwrap_or_default()
}

fn lines(rows: &[Value]) -> Result<String> {
    let mut out = String::new();
    for row in rows {
        writeln!(out, "{}", serde_json::to_string(row)?)?;
    }
    Ok(out)
}

fn types(rows: &[Value]) -> Result<String> {
    let mut rows: Vec<&Value> = rows.iter().collect();
    rows.sort_by_key(|row| text(row, "name"));
    let mut out = String::new();
    for row in rows {
        type_line(&mut out, row)?;
        let name = text(row, "name");
        let package = &name[..=name.rfind('.').context("a type name has a package")?];
        for field in row["fields"].as_array().into_iter().flatten() {
            let mut field = field.clone();
            if let Some((.., emit)) = OBSERVED_OTHERWISE.iter().find(|(ty, json, _)| (*ty, *json) == (name, text(&field, "json"))) {
                field["emit"] = (*emit).into();
            }
            if NULL_WHEN_UNSET.iter().any(|(ty, json)| name.ends_with(ty) && *json == text(&field, "json")) {
                field["emit"] = "null".into();
            }
            field_line(&mut out, &field, package).with_context(|| format!("field of {name}"))?;
        }
    }
    Ok(out)
}

/// Fields whose recorded class is wrong: a server fills them in, so they were never observed to be unset or empty.
const OBSERVED_OTHERWISE: &[(&str, &str, &str)] = &[
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceConversion", "webhook", "presence"),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.WebhookConversion", "conversionReviewVersions", "always"),
    ("io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec", "validationActions", "nonzero"),
    ("io.k8s.api.apps.v1.RollingUpdateDaemonSet", "maxSurge", "presence"),
    ("io.k8s.api.autoscaling.v1.ScaleSpec", "replicas", "nonzero"),
    ("io.k8s.api.core.v1.AzureDiskVolumeSource", "readOnly", "presence"),
    ("io.k8s.api.core.v1.FileKeySelector", "optional", "presence"),
];

/// Fields that may be unset and are printed nevertheless, as null: pointers of the Go structs that are not left out. The
/// types are named by their ends, for their fields are such in each version.
const NULL_WHEN_UNSET: &[(&str, &str)] = &[
    ("admissionregistration.v1.MutatingWebhook", "sideEffects"),
    ("admissionregistration.v1.ValidatingWebhook", "sideEffects"),
    (".DaemonSetSpec", "selector"),
    (".DeploymentSpec", "selector"),
    (".ReplicaSetSpec", "selector"),
    (".StatefulSetSpec", "selector"),
    ("authentication.v1.TokenRequestSpec", "boundObjectRef"),
    ("authentication.v1.TokenRequestSpec", "expirationSeconds"),
    (".CertificateSigningRequestSpec", "request"),
    ("core.v1.AzureFilePersistentVolumeSource", "secretNamespace"),
    ("core.v1.GRPCAction", "service"),
    ("core.v1.ScaleIOPersistentVolumeSource", "secretRef"),
    ("core.v1.ScaleIOVolumeSource", "secretRef"),
    ("core.v1.TypedLocalObjectReference", "apiGroup"),
    ("core.v1.TypedObjectReference", "apiGroup"),
    ("flowcontrol.v1.LimitedPriorityLevelConfiguration", "nominalConcurrencyShares"),
    ("networking.v1.HTTPIngressPath", "pathType"),
    (".IngressClassParametersReference", "scope"),
    (".CapacityRequestPolicy", "default"),
    ("scheduling.v1alpha2.PodGroupSpec", "podGroupTemplateRef"),
    ("scheduling.v1alpha2.PodGroupTemplate", "schedulingConstraints"),
    ("scheduling.v1alpha2.PodGroupTemplateReference", "workload"),
];

fn type_line(out: &mut String, row: &Value) -> Result<()> {
    let mut flags = String::new();
    match &row["openapi"] {
        Value::Bool(true) => flags.push('O'),
        Value::String(s) if s == "inlined" => flags.push('I'),
        _ => {}
    }
    for (key, letter) in [("typeMeta", 'M'), ("anyGroupVersion", 'Y'), ("union", 'U')] {
        if flag(row, key) {
            flags.push(letter);
        }
    }
    if row["proto"].is_string() {
        flags.push('P');
    }
    write!(out, "={}\t{flags}", text(row, "name"))?;
    match row["mapType"].as_str() {
        Some("atomic") => out.push_str("\tMa"),
        Some("granular") => out.push_str("\tMg"),
        _ => {}
    }
    if let Some(special) = row["special"].as_str() {
        write!(out, "\tS{special}")?;
    }
    if let Some(gvks) = row["gvks"].as_array() {
        let joined: Vec<String> = gvks.iter().map(|gvk| strings(gvk).join("/")).collect();
        write!(out, "\tG{}", joined.join(","))?;
    }
    for (key, letter) in [("schema", 'Z'), ("unions", 'N')] {
        if !row[key].is_null() {
            write!(out, "\t{letter}{}", serde_json::to_string(&row[key])?)?;
        }
    }
    out.push('\n');
    Ok(())
}

fn kind_code(name: &str) -> Result<char> {
    Ok(match name {
        "string" => 's',
        "int32" => 'i',
        "int64" => 'l',
        "bool" => 'b',
        "double" => 'd',
        "bytes" => 'y',
        "enum" => 'e',
        "object" => 'o',
        "any" => 'a',
        other => bail!("unknown kind {other}"),
    })
}

fn field_line(out: &mut String, field: &Value, package: &str) -> Result<()> {
    let kind = match text(field, "kind") {
        "list" => format!("[{}", kind_code(text(field, "item"))?),
        "map" => format!("{{{}", kind_code(text(field, "value"))?),
        plain => kind_code(plain)?.to_string(),
    };
    let mut flags = String::new();
    match text(field, "emit") {
        "presence" => flags.push('P'),
        "nonzero" => flags.push('N'),
        "always" => flags.push('A'),
        "null" => flags.push('0'),
        _ => {}
    }
    for (key, letter) in [("required", '!'), ("inline", 'I'), ("valueItems", 'X'), ("unionDiscriminator", 'u'), ("unionMember", 'm')] {
        if flag(field, key) {
            flags.push(letter);
        }
    }
    let reference = text(field, "ref");
    let reference = match reference.strip_prefix(package) {
        Some(rest) if !rest.contains('.') => format!(".{rest}"),
        _ => reference.to_owned(),
    };
    write!(out, "{}\t{}\t{kind}\t{reference}\t{flags}", text(field, "json"), field["tag"].as_u64().unwrap_or_default())?;
    field_attributes(out, field)?;
    out.push('\n');
    Ok(())
}

fn field_attributes(out: &mut String, field: &Value) -> Result<()> {
    match text(field, "listType") {
        "map" => write!(out, "\tL{}", strings(&field["listMapKeys"]).join(","))?,
        "set" => out.push_str("\tLs="),
        "atomic" => out.push_str("\tLa="),
        _ => {}
    }
    match text(field, "mapType") {
        "atomic" => out.push_str("\tMa"),
        "granular" => out.push_str("\tMg"),
        _ => {}
    }
    for (key, letter) in [("patchStrategy", 'S'), ("patchMergeKey", 'K'), ("format", 'F'), ("itemFormat", 'f'), ("valueFormat", 'v'), ("oneOf", 'O'), ("zeroOrOneOf", 'Z')] {
        if let Some(value) = field[key].as_str() {
            write!(out, "\t{letter}{value}")?;
        }
    }
    for (key, letter) in [("enum", 'E'), ("itemEnum", 'e'), ("valueEnum", 'w')] {
        if field[key].is_array() {
            write!(out, "\t{letter}{}", strings(&field[key]).join("|"))?;
        }
    }
    for (key, letter) in [("default", 'D'), ("serverDefault", 'V')] {
        if let Some(value) = field.get(key) {
            write!(out, "\t{letter}{}", serde_json::to_string(value)?)?;
        }
    }
    Ok(())
}

fn resources(rows: &[Value]) -> Result<String> {
    let mut out = String::new();
    for row in rows {
        let mut flags = String::new();
        for (key, letter) in [("namespaced", 'N'), ("servedByDefault", 'D'), ("preferredVersion", 'P')] {
            if flag(row, key) {
                flags.push(letter);
            }
        }
        let number = |key: &str| row[key].as_u64().map(|n| n.to_string()).unwrap_or_default();
        let aliases: Vec<String> = row["fieldSelectorAliases"].as_object().into_iter().flatten()
            .map(|(from, to)| format!("{from}={}", to.as_str().unwrap_or_default())).collect();
        let columns = [
            text(row, "group").to_owned(), text(row, "version").to_owned(), text(row, "plural").to_owned(),
            text(row, "singular").to_owned(), text(row, "kind").to_owned(), text(row, "type").to_owned(),
            text(row, "listType").to_owned(), flags, text(row, "stability").to_owned(), strings(&row["verbs"]).join(","),
            strings(&row["shortNames"]).join(","), strings(&row["categories"]).join(","),
            number("groupPriorityMinimum"), number("versionPriority"), strings(&row["storageVersion"]).join("/"),
            text(row, "storageVersionHash").to_owned(), strings(&row["fieldSelectors"]).join(","), aliases.join(","),
        ];
        writeln!(out, "={}", columns.join("\t"))?;
        for sub in row["subresources"].as_array().into_iter().flatten() {
            writeln!(out, "{}\t{}\t{}\t{}\t{}", text(sub, "name"), text(sub, "group"), text(sub, "version"), text(sub, "kind"), strings(&sub["verbs"]).join(","))?;
        }
    }
    Ok(out)
}

fn columns(rows: &[Value]) -> Result<String> {
    let mut out = String::new();
    for row in rows {
        writeln!(out, "={}\t{}\t{}", text(row, "group"), text(row, "version"), text(row, "kind"))?;
        for column in row["columns"].as_array().into_iter().flatten() {
            let priority = column["priority"].as_u64().unwrap_or_default();
            writeln!(out, "{}\t{}\t{}\t{priority}", text(column, "name"), text(column, "type"), text(column, "format"))?;
        }
    }
    Ok(out)
}

fn features(rows: &[Value]) -> Result<String> {
    let mut out = String::new();
    for row in rows {
        let letters = |value: &Value| {
            let mut letters = String::new();
            for (key, letter) in [("default", 'D'), ("locked", 'L'), ("meta", 'M')] {
                if flag(value, key) {
                    letters.push(letter);
                }
            }
            if text(value, "library") == "client" {
                letters.push('C');
            }
            letters
        };
        write!(out, "{}\t{}\t{}\t{}\t", text(row, "name"), letters(row), text(row, "stage"), text(row, "since"))?;
        let history: Vec<String> = row["history"].as_array().into_iter().flatten()
            .map(|h| format!("{}/{}/{}", text(h, "version"), text(h, "stage"), letters(h))).collect();
        writeln!(out, "{}", history.join(","))?;
    }
    Ok(out)
}
