//! Request bodies: bounded, in any of the media types, turned into JSON and then into objects.

use crate::call::Call;
use crate::server::Served;
use bytes::Bytes;
use codec::reader::Peek;
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
        _ => Err(ApiError::new(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json, \
             application/yaml, application/vnd.kubernetes.protobuf",
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
#[derive(Default)]
struct TypeMeta {
    api_version: String,
    kind: String,
}

/// What the two are read into, as Go prints the type.
const TYPE_META: &str =
    r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;

impl TypeMeta {
    fn read(json: &[u8]) -> Result<Self, String> {
        let failed = |e: &dyn std::fmt::Display| format!("couldn't get version/kind; json parse error: {e}");
        let mut reader = codec::reader::Reader::new(json);
        let root = reader.peek().map_err(|e| failed(&e))?;
        match root {
            Peek::Object => {}
            Peek::Null => return reader.null().and_then(|()| reader.finish()).map(|()| Self::default()).map_err(|e| failed(&e)),
            other => return Err(failed(&format!("json: cannot unmarshal {} into Go value of type {TYPE_META}", other.word()))),
        }
        let mut meta = Self::default();
        reader.open().map_err(|e| failed(&e))?;
        let mut first = true;
        while let Some(key) = reader.key(&mut first).map_err(|e| failed(&e))? {
            let slot = match &*key {
                "apiVersion" => &mut meta.api_version,
                "kind" => &mut meta.kind,
                _ => {
                    reader.skip().map_err(|e| failed(&e))?;
                    continue;
                }
            };
            match reader.peek().map_err(|e| failed(&e))? {
                Peek::String => *slot = reader.string().map_err(|e| failed(&e))?.into_owned(),
                Peek::Null => reader.null().map_err(|e| failed(&e))?,
                other => return Err(failed(&format!("json: cannot unmarshal {} into Go struct field .{key} of type string", other.word()))),
            }
        }
        reader.finish().map_err(|e| failed(&e))?;
        Ok(meta)
    }
}

/// A text whose version is `old`, in another one that has the same fields.
pub(crate) fn renamed(json: Bytes, old: &str, new: &str) -> Bytes {
    if !TypeMeta::read(&json).is_ok_and(|m| m.api_version == old) {
        return json;
    }
    let Ok(mut tree) = serde_json::from_slice::<serde_json::Value>(&json) else { return json };
    tree["apiVersion"] = new.into();
    serde_json::to_vec(&tree).map_or(json, Into::into)
}

/// Where kube-apiserver registers what a delete may carry; it names the place in its answers.
const OPTIONS_SCHEME: &str = "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27";

/// Whether the body of a delete is one.
pub(crate) fn check_delete_options(json: &[u8]) -> Result<(), ApiError> {
    const TYPE: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
    let TypeMeta { api_version, kind } = TypeMeta::read(json).map_err(ApiError::bad_request)?;
    if !["", "DeleteOptions"].contains(&kind.as_str()) {
        return Err(ApiError::bad_request(format!("no kind {kind:?} is registered for version {api_version:?} in scheme {OPTIONS_SCHEME:?}")));
    }
    let found = codec::strict::check(json, schema::types().by_name(TYPE)).map_err(|e| ApiError::bad_request(e.to_string()))?;
    found.shape.map_or(Ok(()), |shape| Err(ApiError::bad_request(shape)))
}

/// So many bytes of a body that nobody recognises are shown.
const SUMMARY_BYTES: usize = 30;

/// The beginning of a body: as it is where it looks like an object, else its bytes.
fn summary(data: &[u8]) -> String {
    let shown = &data[..data.len().min(SUMMARY_BYTES)];
    let text = match data.first() {
        None => return "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(shown).into_owned(),
        Some(_) => shown.iter().map(|b| format!("{b:02x}")).collect(),
    };
    if data.len() > SUMMARY_BYTES { format!("{text} ...") } else { text }
}

/// An object of the served resource from a body, with warnings about its fields.
pub(crate) fn object(call: &Call, served: &Served, json: &[u8]) -> Result<(Object, Vec<String>), ApiError> {
    let kind_name = served.kind.map_or_else(|| served.resource.kind_name().to_owned(), |k| k.info().kind.to_owned());
    let version = served.api_version();
    let bad = |why: String| {
        ApiError::bad_request(format!("{kind_name} in version {:?} cannot be handled as a {kind_name}: {why}", served.version))
    };
    let unknown = |why: String| {
        ApiError::bad_request(format!("the object provided is unrecognized (must be of type {kind_name}): {why} ({})", summary(json)))
    };
    let meta = TypeMeta::read(json).map_err(unknown)?;
    if served.definition.is_some() && meta.kind.is_empty() {
        let body = String::from_utf8_lossy(json);
        return Err(unknown(format!("Object 'Kind' is missing in '{body}'")));
    }
    check_type(&meta, served, &version, &kind_name)?;
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

/// Where kube-apiserver registers its types; it names the place in its answers.
const SCHEME: &str = "pkg/api/legacyscheme/scheme.go:30";

fn check_type(meta: &TypeMeta, served: &Served, version: &str, kind: &str) -> Result<(), ApiError> {
    let v = if meta.api_version.is_empty() { version } else { &meta.api_version };
    let k = if meta.kind.is_empty() { kind } else { &meta.kind };
    let (group, short) = v.split_once('/').unwrap_or(("", v));
    if v == version && k == kind {
        return Ok(());
    }
    let known = served.definition.is_none() && schema::types().by_gvk(group, short, k).is_some();
    let fits = k == kind && group == served.group;
    if served.definition.is_some() && k != kind {
        let mut errors = kinds::FieldErrors::default();
        errors.invalid(&Path::new("kind"), k, format!("must be {kind}"));
        return Err(ApiError::invalid(&served.group, k, "", &errors));
    }
    if fits && (known || served.definition.is_some()) {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({v}) does not match the expected API version ({version})"
        )));
    }
    let why = if known {
        let internal = if served.group.is_empty() { "core" } else { served.group.split('.').next().unwrap_or_default() };
        format!("converting ({short}.{k}) to ({internal}.{kind}): unknown conversion")
    } else {
        format!("no kind {k:?} is registered for version {v:?} in scheme {SCHEME:?}")
    };
    Err(ApiError::bad_request(format!("{k} in version {short:?} cannot be handled as a {kind}: {why}")))
}

fn strict(
    call: &Call,
    served: &Served,
    json: &[u8],
    bad: &dyn Fn(String) -> ApiError,
) -> Result<Vec<String>, ApiError> {
    let validation = validation(call)?;
    let ty = served.kind.and_then(codec::type_of);
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
