//! What two correct servers answer differently: ids, times, revisions, tokens, allocated addresses.

use serde_json::Value;

/// Members whose values are the server's own choice, wherever they stand.
const CHOSEN: &[&str] = &["uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "continue", "token", "remainingItemCount"];
/// Members that name an allocated address or port.
const ALLOCATED: &[&str] = &["clusterIP", "nodePort", "healthCheckNodePort"];

/// A volume whose name ends in drawn characters, and how many those are.
const TOKEN_VOLUME: &str = "kube-api-access-";
const DRAWN: usize = 5;

/// The tree with every such value replaced. What a column is for is told in words that do not carry over.
pub(crate) fn tree(mut value: Value) -> Value {
    if value["kind"] == "Table" {
        for column in value["columnDefinitions"].as_array_mut().into_iter().flatten() {
            column["description"] = "<words>".into();
        }
    }
    replace(&mut value, "");
    value
}

fn replace(value: &mut Value, name: &str) {
    match value {
        Value::Object(map) => {
            map.iter_mut().for_each(|(k, v)| replace(v, k));
            // Owners of a drawn volume name it in a key.
            if map.keys().any(|k| k.contains(TOKEN_VOLUME)) {
                *map = std::mem::take(map).into_iter().map(|(k, v)| (text(&k), v)).collect();
            }
        }
        Value::Array(list) if name == "clusterIPs" => list.iter_mut().for_each(|v| replace(v, "clusterIP")),
        Value::Array(list) if name == "managedFields" => {
            list.iter_mut().for_each(|v| replace(v, ""));
            // They stand by the second of their writes, and only then by name: where the second turned is chance.
            list.sort_by_cached_key(|v| ["manager", "operation", "subresource", "apiVersion"].map(|k| v[k].to_string()));
        }
        Value::Array(list) => {
            // Projected into the tokens of pods by builds of OpenShift alone.
            list.retain(|v| v["configMap"]["name"] != "openshift-service-ca.crt");
            list.iter_mut().for_each(|v| replace(v, ""));
        }
        Value::String(s) if CHOSEN.contains(&name) && !s.is_empty() => *value = "<chosen>".into(),
        Value::String(s) if name == "clusterIP" && s.starts_with("10.") => *value = "<allocated>".into(),
        Value::Number(n) if CHOSEN.contains(&name) || (ALLOCATED.contains(&name) && n.as_u64() != Some(0)) => *value = "<allocated>".into(),
        Value::String(s) => *s = text(s),
        _ => {}
    }
}

/// A text with ids and the present time replaced.
pub(crate) fn text(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    let stated = unprojected(s).or_else(|| embedded(s));
    let mut rest = stated.as_deref().unwrap_or(s);
    while let Some(c) = rest.chars().next() {
        let taken = if let Some(drawn) = rest.strip_prefix(TOKEN_VOLUME).filter(|d| d.len() >= DRAWN) {
            out.push_str(TOKEN_VOLUME);
            rest.len() - drawn.len() + DRAWN
        } else if is_uid(rest) {
            out.push_str("<uid>");
            36
        } else if is_time(rest) {
            out.push_str("<time>");
            rest.find('Z').map_or(20, |z| z + 1)
        } else if let Some(length) = allocated_address(rest).filter(|_| !out.ends_with(|c: char| c.is_ascii_digit() || c == '.')) {
            out.push_str("<allocated>");
            length
        } else if let Some(length) = own_address(rest) {
            out.push_str("<server>");
            length
        } else if let Some(length) = line_range(rest) {
            out.push_str("@@ <range> @@");
            length
        } else if let Some(length) = version(rest) {
            out.push_str(&rest[..length]);
            out.push_str("<version>");
            length + rest[length..].bytes().take_while(u8::is_ascii_digit).count()
        } else if let Some(length) = node_port(rest) {
            out.push_str(":<port>/");
            length
        } else {
            out.push(c);
            c.len_utf8()
        };
        rest = &rest[taken..];
    }
    out
}

/// A printed difference without the file that builds of OpenShift project into every pod: the last of its volume, eighteen lines.
fn unprojected(s: &str) -> Option<String> {
    const BEFORE: usize = 4;
    const AFTER: usize = 13;
    let mut lines: Vec<&str> = s.split('\n').collect();
    let at = lines.iter().position(|l| l.ends_with("\"openshift-service-ca.crt\","))?;
    if at <= BEFORE || at + AFTER >= lines.len() {
        return None;
    }
    lines.drain(at - BEFORE..=at + AFTER);
    let last = &mut lines[at - BEFORE - 1];
    *last = last.trim_end_matches(',');
    Some(lines.join("\n"))
}

/// What a quoted object in a message begins with.
const QUOTED: &str = "\"{\\\"";

/// A message that quotes a whole object, with that object's members sorted: their order is a known deviation, also here.
fn embedded(s: &str) -> Option<String> {
    let from = s.find(QUOTED)?;
    let mut escaped = false;
    let end = s[from + 1..].char_indices().find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    })?;
    let to = from + 1 + end.0 + 1;
    let inner: String = serde_json::from_str(&s[from..to]).ok()?;
    let object: Value = serde_json::from_str(&inner).ok()?;
    Some(format!("{}{}{}", &s[..from], tree(object), &s[to..]))
}

/// An address of the service range that the server drew: the corpus asks for those of 10.96 itself.
fn allocated_address(s: &str) -> Option<usize> {
    let tail = s.strip_prefix("10.")?;
    let end = tail.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(tail.len());
    let parts: Vec<u8> = tail[..end].split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    (parts.len() == 3 && (96..112).contains(&parts[0]) && (parts[0], parts[1]) != (96, 200) && (parts[0], parts[1]) != (96, 0)).then_some(end + 3)
}

/// The address that a server was given on this machine.
fn own_address(s: &str) -> Option<usize> {
    const HERE: &str = "127.0.0.1:";
    let port = s.strip_prefix(HERE)?.bytes().take_while(u8::is_ascii_digit).count();
    (port > 0).then_some(HERE.len() + port)
}

/// `@@ -7,9 +7,9 @@` of a printed difference: builds of OpenShift project one file more into each pod, so lines are counted from elsewhere.
fn line_range(s: &str) -> Option<usize> {
    let tail = s.strip_prefix("@@ -")?;
    let end = tail.find(|c: char| !c.is_ascii_digit() && !matches!(c, ',' | '+' | ' ' | '-'))?;
    tail[end..].starts_with("@@").then_some("@@ -".len() + end + 2)
}

/// How long the words are that a message tells an object's own version after.
fn version(s: &str) -> Option<usize> {
    ["ResourceVersion in record (", "ResourceVersion in object meta: "].iter().find(|words| s.starts_with(**words)).map(|words| words.len())
}

/// `:31234/` of a column that shows ports.
fn node_port(s: &str) -> Option<usize> {
    let tail = s.strip_prefix(":3")?;
    (tail.len() > 4 && tail.as_bytes()[..4].iter().all(u8::is_ascii_digit) && tail.as_bytes()[4] == b'/').then_some(7)
}

/// 8-4-4-4-12 hexadecimal digits.
fn is_uid(s: &str) -> bool {
    let bytes = s.as_bytes();
    bytes.len() >= 36
        && bytes[..36].iter().enumerate().all(|(i, b)| if [8, 13, 18, 23].contains(&i) { *b == b'-' } else { b.is_ascii_hexdigit() })
}

/// A time that the corpus does not contain: those are all before 2026 or far after.
fn is_time(s: &str) -> bool {
    let year = s.get(..4).and_then(|y| y.parse::<u32>().ok()).is_some_and(|y| (2026..2040).contains(&y));
    year && s.as_bytes().get(4) == Some(&b'-') && s.as_bytes().get(10) == Some(&b'T') && s.len() >= 20 && s[..s.len().min(32)].contains('Z')
}
