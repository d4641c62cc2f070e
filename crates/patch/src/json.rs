//! JSON patch (RFC 6902) with the limits and error texts of the API server.

use serde_json::Value;

use crate::PatchError;

/// Operations in one patch; more are refused with 413.
pub const MAX_OPERATIONS: usize = 10_000;
/// What all copies of a patch may add together (kube-apiserver's limit): ten thousand copies of copies fill any memory.
pub const MAX_COPIED_BYTES: usize = 3 << 20;
/// Levels of objects and lists that a patch may lead to: as many as JSON is read with.
pub const MAX_DEPTH: usize = 127;

/// Applies a JSON patch document.
///
/// # Errors
/// A document that is no JSON patch, one with too many operations, or an operation that does not fit the object.
pub fn apply(target: &mut Value, patch: &[u8]) -> Result<(), PatchError> {
    let raw: Value = serde_json::from_slice(patch).map_err(|e| PatchError::Malformed(e.to_string()))?;
    let none = Vec::new();
    let operations = match &raw {
        Value::Array(operations) => operations,
        Value::Null => &none,
        Value::Object(_) => return Err(no_list("object")),
        Value::String(_) => return Err(no_list("string")),
        Value::Number(_) => return Err(no_list("number")),
        Value::Bool(_) => return Err(no_list("bool")),
    };
    if operations.len() > MAX_OPERATIONS {
        let text = format!("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}", operations.len());
        return Err(PatchError::TooLarge(text));
    }
    let mut copied = 0;
    for operation in operations {
        bounded(target, operation, &mut copied)?;
        one(target, operation)?;
    }
    Ok(())
}

fn no_list(word: &str) -> PatchError {
    let why = format!("json: cannot unmarshal {word} into Go value of type []handlers.jsonPatchOp");
    PatchError::Malformed(format!("error decoding patch: {why}"))
}

/// Refuses an operation that would make a small patch a large document (copies of copies), or one too deep to be read again.
fn bounded(target: &Value, operation: &Value, copied: &mut usize) -> Result<(), PatchError> {
    let word = |key: &str| operation[key].as_str().unwrap_or_default();
    let placed = match word("op") {
        "add" | "replace" => operation.get("value"),
        "move" | "copy" => target.pointer(word("from")),
        _ => None,
    };
    let Some(placed) = placed else { return Ok(()) };
    if word("op") == "copy" {
        *copied = copied.saturating_add(placed.to_string().len());
        if *copied > MAX_COPIED_BYTES {
            let why = format!("the accumulated size increase of copy is {copied}, exceeding the limit {MAX_COPIED_BYTES}");
            return Err(unprocessable(format!("Unable to complete the copy, {why}")));
        }
    }
    let above = word("path").matches('/').count();
    let fits = MAX_DEPTH.checked_sub(above).is_some_and(|left| nests_within(placed, left));
    if fits { Ok(()) } else { Err(unprocessable(format!("the patch leads to more than {MAX_DEPTH} levels"))) }
}

/// Whether a value has at most so many levels of objects and lists.
fn nests_within(value: &Value, levels: usize) -> bool {
    match value {
        Value::Object(map) => levels > 0 && map.values().all(|v| nests_within(v, levels - 1)),
        Value::Array(list) => levels > 0 && list.iter().all(|v| nests_within(v, levels - 1)),
        _ => true,
    }
}

fn unprocessable(text: impl Into<String>) -> PatchError {
    PatchError::Unprocessable(text.into())
}

fn one(target: &mut Value, operation: &Value) -> Result<(), PatchError> {
    let op = operation["op"].as_str().unwrap_or_default();
    let path = operation["path"].as_str().ok_or_else(|| unprocessable("operation missing path field"))?;
    let missing = |verb: &str| unprocessable(format!("{verb} operation does not apply: doc is missing path: {path}: missing value"));
    match op {
        "add" | "replace" | "test" if operation.get("value").is_none() && op != "test" => {
            return Err(unprocessable(format!("{op} operation does not apply: missing value")));
        }
        "test" => return test(target, path, operation.get("value").unwrap_or(&Value::Null)),
        "replace" | "remove" if target.pointer(path).is_none() => {
            return Err(match op {
                "replace" => unprocessable(format!("replace operation does not apply: doc is missing key: {path}: missing value")),
                _ => unprocessable(format!("remove operation does not apply: doc is missing key: {path}: missing value")),
            });
        }
        "move" | "copy" => {
            let from = operation["from"].as_str().ok_or_else(|| unprocessable("operation, missing from field"))?;
            if target.pointer(from).is_none() {
                return Err(unprocessable(format!("{op} operation does not apply: doc is missing from path: {from}: missing value")));
            }
        }
        "add" | "replace" | "remove" => {}
        other => return Err(unprocessable(format!("Unexpected kind: {other}"))),
    }
    let single: json_patch::PatchOperation = serde_json::from_value(operation.clone()).map_err(|e| PatchError::Malformed(e.to_string()))?;
    json_patch::patch(target, std::slice::from_ref(&single)).map_err(|_| missing(op))
}

fn test(target: &Value, path: &str, wanted: &Value) -> Result<(), PatchError> {
    match target.pointer(path) {
        Some(found) if found == wanted => Ok(()),
        None if wanted.is_null() => Ok(()),
        Some(_) => Err(PatchError::TestFailed(format!("testing value {path} failed: test failed"))),
        None => Err(PatchError::TestFailed(format!("testing path {path} failed: test failed"))),
    }
}
