//! The targets of pure crates: codec, kinds, patch, registry. Laws: nothing panics or hangs; what was read and written
//! again reads the same.

use kinds::{Kind, Quantity, Selector};
use patch::Shape;
use patch::apply::Writer;
use registry::Continue;
use serde_json::Value;
use std::sync::{Arc, LazyLock};

/// The kind that the first line names (`apps/v1/Deployment`) or the first byte picks, and the rest.
fn kind(data: &[u8]) -> Option<(Kind, &[u8])> {
    if let Some(at) = data.iter().position(|b| *b == b'\n')
        && let Some((version, name)) = std::str::from_utf8(&data[..at]).ok().and_then(|line| line.rsplit_once('/'))
        && let Some(kind) = Kind::from_api_version(version, name)
    {
        return Some((kind, &data[at + 1..]));
    }
    let (first, rest) = data.split_first()?;
    Some((Kind::ALL[usize::from(*first) % Kind::ALL.len()], rest))
}

fn shape(kind: Kind) -> Shape<'static> {
    let info = kind.info();
    Shape::of_kind(info.group, info.version, info.kind)
}

/// Documents between zero bytes.
fn documents<const N: usize>(data: &[u8]) -> Option<[Value; N]> {
    let parts: Vec<Value> = data.split(|b| *b == 0).take(N).map_while(|d| serde_json::from_slice(d).ok()).collect();
    parts.try_into().ok()
}

/// JSON of any kind: read, written, read again.
pub fn json(data: &[u8]) {
    let Some((kind, rest)) = kind(data) else { return };
    let Ok(object) = codec::decode(kind, rest) else { return };
    let once = codec::encode(&object);
    let again = codec::decode(kind, &once).expect("our own encoding is readable");
    assert_eq!(once, codec::encode(&again), "{kind:?} reads otherwise than it was written");
}

/// The strict pass, and the check of shapes.
pub fn strict(data: &[u8]) {
    let Some((kind, rest)) = kind(data) else { return };
    let ty = codec::type_of(kind);
    let _ = codec::strict::check(rest, ty);
}

/// A whole enveloped object.
pub fn protobuf(data: &[u8]) {
    let mut whole = codec::proto::MAGIC.to_vec();
    whole.extend_from_slice(data);
    for bytes in [data, &whole] {
        let Ok(tree) = codec::proto::decode(bytes) else { continue };
        let json = serde_json::to_vec(&tree).expect("a tree is JSON");
        // Not every tree fits: unknown enumerations of bytes may not come back. But nothing may panic.
        if let Ok(once) = codec::proto::encode(&json) {
            let again = codec::proto::decode(&once).expect("our own encoding is readable");
            let twice = codec::proto::encode(&serde_json::to_vec(&again).expect("a tree is JSON")).expect("it was encoded once");
            assert_eq!(once, twice, "protobuf is not stable");
        }
    }
}

/// The message of any kind, without its envelope.
pub fn message(data: &[u8]) {
    let Some((kind, rest)) = kind(data) else { return };
    let Some(ty) = codec::type_of(kind) else { return };
    let Ok(tree) = codec::proto::decode_message(rest, ty) else { return };
    let json = serde_json::to_vec(&Value::Object(tree)).expect("a tree is JSON");
    let _ = codec::decode(kind, &json);
    if let Ok(once) = codec::proto::encode_message(&json, ty) {
        let again = codec::proto::decode_message(&once, ty).expect("our own encoding is readable");
        let json = serde_json::to_vec(&Value::Object(again)).expect("a tree is JSON");
        assert_eq!(once, codec::proto::encode_message(&json, ty).expect("it was encoded once"), "{kind:?} is not stable");
    }
}

/// A frame of a watch.
pub fn watch_frame(data: &[u8]) {
    let mut framed = u32::try_from(data.len()).unwrap_or(0).to_be_bytes().to_vec();
    framed.extend_from_slice(data);
    for bytes in [data, &framed] {
        let _ = codec::proto::read_watch_frame(bytes);
    }
}

/// YAML documents.
pub fn yaml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = codec::yaml::documents(text);
    let Ok(document) = codec::yaml::parse(text) else { return };
    let written = codec::yaml::write(&document.value);
    let again = codec::yaml::parse(&written).unwrap_or_else(|e| panic!("our own YAML is unreadable: {e}\n{written}"));
    assert_eq!(again.value, document.value, "YAML reads otherwise than it was written:\n{written}");
}

/// Quantities.
pub fn quantity(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(q) = Quantity::parse(text) else { return };
    let _ = (q.value(), q.milli_value(), q.as_f64(), q.is_zero(), q.is_negative(), q.is_integer());
    let once = q.text().0;
    let again = Quantity::parse(&once).unwrap_or_else(|e| panic!("{text} is written {once}, which is no quantity: {e}"));
    assert_eq!(once, again.text().0, "{text} is not stable");
    assert_eq!(q.value(), again.value(), "{text} is written {once}, which is something else");
}

/// Label and field selectors.
pub fn selector(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = kinds::selector::parse_fields(text);
    let Ok(selector) = Selector::parse(text) else { return };
    let labels = [("app".to_owned(), "web".to_owned()), ("n".to_owned(), "3".to_owned())].into();
    let matches = selector.matches(Some(&labels));
    let shown = selector.to_string();
    let again = Selector::parse(&shown).unwrap_or_else(|e| panic!("{text:?} is shown as {shown:?}, which is no selector: {e}"));
    assert_eq!(matches, again.matches(Some(&labels)), "{text:?} is shown as {shown:?}, which means something else");
    assert_eq!(shown, again.to_string());
}

/// A schema with one of everything that expressions can look at.
const CEL_SCHEMA: &str = r#"{"type":"object","properties":{
    "s":{"type":"string"},"i":{"type":"integer"},"n":{"type":"number"},"b":{"type":"boolean"},"d":{"type":"string","format":"date-time"},
    "y":{"type":"string","format":"byte"},"x":{"x-kubernetes-int-or-string":true},"l":{"type":"array","items":{"type":"string"}},
    "o":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],
         "items":{"type":"object","properties":{"k":{"type":"string"},"v":{"type":"integer"}}}},
    "m":{"type":"object","additionalProperties":{"type":"string"}},"u":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}"#;
/// What it describes, where the input brings nothing of its own.
const CEL_DATA: &str = r#"{"s":"abc","i":7,"n":1.5,"b":true,"d":"2026-01-02T03:04:05Z","y":"YWJj","x":"50%","l":["a","b","a"],
    "o":[{"k":"a","v":1},{"k":"b","v":2}],"m":{"a":"1","b":"2"},"u":{"z":[1,"2",null]}}"#;
/// What an evaluation may cost here.
const CEL_BUDGET: u64 = 100_000;

/// CEL: parsed, checked, estimated and run over data (behind a zero byte) within its budget.
pub fn cel(data: &[u8]) {
    static DECLARED: LazyLock<Arc<cel::Decl>> = LazyLock::new(|| {
        let schema = serde_json::from_str(CEL_SCHEMA).expect("JSON");
        Arc::new(cel::structural::decl(&schema, false).expect("a declaration"))
    });
    let mut parts = data.splitn(2, |b| *b == 0);
    let Some(source) = parts.next().and_then(|p| std::str::from_utf8(p).ok()) else { return };
    let env = cel::Env::new().with_decl("self", Arc::clone(&DECLARED)).with("any", cel::Type::Dyn);
    let Ok(program) = env.compile(source) else { return };
    let own = parts.next().and_then(|p| serde_json::from_slice::<Value>(p).ok());
    let tree = own.unwrap_or_else(|| serde_json::from_str(CEL_DATA).expect("JSON"));
    let mut vars = cel::Vars::new().with("any", cel::Value::plain(&tree));
    if let Ok(seen) = cel::Value::seen(&tree, Some(&**DECLARED)) {
        vars = vars.with("self", seen);
    }
    let once = program.eval(&vars, CEL_BUDGET);
    let again = program.eval(&vars, CEL_BUDGET);
    assert_eq!((once.cost, once.value.is_ok()), (again.cost, again.value.is_ok()), "{source:?} does not come to the same twice");
}

/// Continue tokens.
pub fn continue_token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(token) = Continue::decode(text) else { return };
    assert_eq!(Continue::decode(&token.encode()).expect("our own token"), token);
}

/// RFC 6902: a document, a zero byte, a patch.
pub fn json_patch(data: &[u8]) {
    let Some(at) = data.iter().position(|b| *b == 0) else { return };
    let Ok(mut target) = serde_json::from_slice::<Value>(&data[..at]) else { return };
    let _ = patch::json::apply(&mut target, &data[at + 1..]);
}

/// RFC 7386, and the patches that `kubectl apply` makes.
pub fn merge_patch(data: &[u8]) {
    if let Some([from, to]) = documents::<2>(data) {
        let mut target = from.clone();
        patch::merge::apply(&mut target, to.clone());
        let mut once = target.clone();
        patch::merge::apply(&mut once, to.clone());
        assert_eq!(once, target, "a merge patch twice is the merge patch");
        if from.is_object() && to.is_object() && !holds_null(&to) {
            let mut made = from.clone();
            patch::merge::apply(&mut made, patch::merge::diff(&from, &to));
            assert_eq!(made, to, "the difference leads there");
        }
    }
    if let Some([original, modified, current]) = documents::<3>(data) {
        let _ = patch::merge::three_way(&original, &modified, &current);
    }
}

fn holds_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().any(holds_null),
        _ => false,
    }
}

/// Strategic merge patches of any kind.
pub fn strategic_patch(data: &[u8]) {
    let Some((kind, rest)) = kind(data) else { return };
    let shape = shape(kind);
    if let Some([from, to]) = documents::<2>(rest) {
        let mut target = from.clone();
        let _ = patch::strategic::apply(&mut target, to.clone(), shape);
        let _ = patch::strategic::diff(&from, &to, shape);
    }
    if let Some([original, modified, current]) = documents::<3>(rest) {
        let _ = patch::strategic::three_way(&original, &modified, &current, shape);
    }
}

/// Server-side apply of any kind: a configuration, and perhaps a live object.
pub fn apply_patch(data: &[u8]) {
    let Some((kind, rest)) = kind(data) else { return };
    let shape = shape(kind);
    let writer = |manager| Writer { manager, api_version: "v1", subresource: "", now: "2026-01-01T00:00:00Z", ignore: &[], versions: None };
    let (live, config) = match documents::<2>(rest) {
        Some([live, config]) => (Some(live), config),
        None => match documents::<1>(rest) {
            Some([config]) => (None, config),
            None => return,
        },
    };
    if !config.is_object() || live.as_ref().is_some_and(|l| !l.is_object()) {
        return;
    }
    let Ok(once) = patch::apply::apply(live.as_ref(), &config, shape, writer("a"), false) else { return };
    let again = patch::apply::apply(Some(&once), &config, shape, writer("a"), false);
    let again = again.unwrap_or_else(|_| panic!("what applied once does not apply again: {config}"));
    // Where nobody owns anything after the first, the second finds an object that was never tracked, and begins anew.
    if once["metadata"].get("managedFields").is_some() {
        assert_eq!(once, again, "applying again changes something");
    }
    let _ = patch::apply::apply(Some(&once), &config, shape, writer("b"), true);
}
