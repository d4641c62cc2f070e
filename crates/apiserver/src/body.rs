//! Request bodies: bounded, in any of the media types, turned into JSON and then into objects.

use crate::call::Call;
use crate::server::Served;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kinds::{ApiError, Object, Path};
use registry::FieldValidation;

/// Largest request body (kube-apiserver's limit).
pub(crate) const BODY_MAX_BYTES: usize = 3 * 1024 * 1024;

/// Reads the body whole.
pub(crate) async fn read(call: &mut Call) -> Result<Bytes, ApiError> {
    let body = Limited::new(call.request.body_mut(), BODY_MAX_BYTES);
    match body.collect().await {
        Ok(b) => {
            let bytes = b.to_bytes();
            if let Some(trail) = &call.trail {
                // What is created or replaced is told once it is understood.
                let raw = matches!(call.info.verb, "patch" | "delete" | "deletecollection");
                trail.request(call.request.headers(), &bytes, raw);
            }
            Ok(bytes)
        }
        Err(e) if e.downcast_ref::<LengthLimitError>().is_some() => Err(ApiError::too_large(BODY_MAX_BYTES)),
        Err(e) => Err(ApiError::bad_request(format!("reading the request body: {e}"))),
    }
}

/// The media type of a request body, without parameters.
pub(crate) fn media(headers: &HeaderMap) -> &str {
    let text = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim()
}

/// A body as JSON.
pub(crate) fn to_json(headers: &HeaderMap, body: Bytes) -> Result<Bytes, ApiError> {
    match media(headers) {
        "" | "application/json" | "*/*" => Ok(body),
        "application/yaml" | "application/x-yaml" => {
            let text = std::str::from_utf8(&body).map_err(|e| ApiError::bad_request(e.to_string()))?;
            let tree = codec::yaml::parse(text).map_err(|e| ApiError::bad_request(e.to_string()))?.value;
            Ok(serde_json::to_vec(&tree).map_err(ApiError::internal)?.into())
        }
        "application/vnd.kubernetes.protobuf" => {
            let tree = codec::proto::decode(&body).map_err(|e| ApiError::bad_request(e.to_string()))?;
            Ok(serde_json::to_vec(&tree).map_err(ApiError::internal)?.into())
        }
        other => Err(ApiError::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: application/json, \
                 application/yaml, application/vnd.kubernetes.protobuf (got {other:?})"
            ),
        )),
    }
}

/// What `fieldValidation` asks for.
pub(crate) fn validation(call: &Call) -> Result<FieldValidation, ApiError> {
    match call.info.param("fieldValidation") {
        None | Some("" | "Warn") => Ok(FieldValidation::Warn),
        Some("Ignore") => Ok(FieldValidation::Ignore),
        Some("Strict") => Ok(FieldValidation::Strict),
        Some(other) => Err(ApiError::invalid_options(crate::resource::options_kind(call), |e| {
            e.not_supported(&Path::new("fieldValidation"), other, &["", "Ignore", "Strict", "Warn"]);
        })),
    }
}

/// `apiVersion` and `kind` of a JSON text.
#[derive(serde::Deserialize, Default)]
struct TypeMeta {
    #[serde(default, rename = "apiVersion")]
    api_version: Option<String>,
    #[serde(default)]
    kind: Option<String>,
}

/// An object of the served resource from a body, with warnings about its fields.
pub(crate) fn object(call: &Call, served: &Served, json: &[u8]) -> Result<(Object, Vec<String>), ApiError> {
    let kind_name = served.kind.map_or_else(|| served.resource.kind_name().to_owned(), |k| k.info().kind.to_owned());
    let version = served.api_version();
    let bad = |why: String| {
        ApiError::bad_request(format!("{kind_name} in version {:?} cannot be handled as a {kind_name}: {why}", served.version))
    };
    let meta: TypeMeta = serde_json::from_slice(json).map_err(|e| bad(e.to_string()))?;
    check_type(&meta, &version, &kind_name)?;
    let warnings = strict(call, served, json, &bad)?;
    let object = match served.kind {
        Some(kind) => codec::decode(kind, json).map_err(|e| bad(e.to_string()))?,
        None => dynamic(served, json, &version, &kind_name).map_err(|e| bad(e.to_string()))?,
    };
    Ok((object, warnings))
}

fn dynamic(served: &Served, json: &[u8], version: &str, kind: &str) -> Result<Object, codec::DecodeError> {
    let mut object = codec::decode_dynamic(&served.resource, json)?;
    if let Object::Dynamic(d) = &mut object {
        let d = std::sync::Arc::make_mut(d);
        d.api_version = version.to_owned();
        d.kind = kind.to_owned();
    }
    Ok(object)
}

fn check_type(meta: &TypeMeta, version: &str, kind: &str) -> Result<(), ApiError> {
    let (v, k) = (meta.api_version.as_deref().unwrap_or_default(), meta.kind.as_deref().unwrap_or_default());
    if !v.is_empty() && v != version {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({v}) does not match the expected API version ({version})"
        )));
    }
    if !k.is_empty() && k != kind {
        return Err(ApiError::bad_request(format!(
            "{k} in version {:?} cannot be handled as a {kind}: converting ({v}.{k}) to ({version}.{kind}): unknown conversion",
            version.rsplit('/').next().unwrap_or_default()
        )));
    }
    Ok(())
}

fn strict(
    call: &Call,
    served: &Served,
    json: &[u8],
    bad: &dyn Fn(String) -> ApiError,
) -> Result<Vec<String>, ApiError> {
    let validation = validation(call)?;
    let ty = served.kind.and_then(|k| {
        let i = k.info();
        schema::types().by_gvk(i.group, i.version, i.kind)
    });
    let mut found = codec::strict::check(json, ty).map_err(|e| bad(e.to_string()))?;
    if served.definition.is_some() && validation != FieldValidation::Ignore {
        let tree = serde_json::from_slice(json).map_err(|e| bad(e.to_string()))?;
        found.strict.extend(call.shared.registry.unknown_fields(&served.resource, &served.version, &tree));
    }
    if let Some(shape) = found.shape {
        return Err(bad(shape));
    }
    match validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(found.strict),
        FieldValidation::Strict if found.strict.is_empty() => Ok(Vec::new()),
        FieldValidation::Strict => Err(bad(format!("strict decoding error: {}", found.strict.join(", ")))),
    }
}
