//! JSON patch (RFC 6902) with the limits and error texts of the API server.

use serde_json::Value;

use crate::PatchError;

/// Operations in one patch; more are refused with 413.
pub const MAX_OPERATIONS: usize = 10_000;

/// Applies a JSON patch document.
///
/// # Errors
/// A document that is no JSON patch, one with too many operations, or an operation that does not fit the object.
pub fn apply(target: &mut Value, patch: &[u8]) -> Result<(), PatchError> {
    let raw: Value = serde_json::from_slice(patch).map_err(|e| PatchError::Malformed(e.to_string()))?;
    let Value::Array(operations) = &raw else {
        let word = match raw {
            Value::Object(_) => "object",
            Value::String(_) => "string",
            Value::Number(_) => "number",
            _ => "bool",
        };
        let text = format!("error decoding patch: json: cannot unmarshal {word} into Go value of type []handlers.jsonPatchOp");
        return Err(PatchError::Malformed(text));
    };
    if operations.len() > MAX_OPERATIONS {
        let text = format!("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}", operations.len());
        return Err(PatchError::TooLarge(text));
    }
    for operation in operations {
        one(target, operation)?;
    }
    Ok(())
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
