//! `application/vnd.kubernetes.protobuf`: JSON to and from the protobuf form of every type that has one, driven by the
//! schema table. An object is `k8s\0` and a `runtime.Unknown` whose `raw` is the message; `apiVersion` and `kind` travel in
//! the envelope. Fields go in tag order and maps in key order, so objects encode to the same bytes as upstream's.

mod decode;
mod encode;
mod special;
#[cfg(test)]
mod tests;
mod wire;

use schema::Type;
use serde_json::Value;

use crate::reader::SyntaxError;

pub use decode::decode_message;
pub use encode::encode_message;

/// The bytes that open a stored or sent object.
pub const MAGIC: &[u8; 4] = b"k8s\0";
/// Nesting that is followed.
pub const MAX_DEPTH: u32 = 128;
/// Bytes of one message; larger ones are refused before they are read.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// Why something cannot be put into protobuf or read from it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtoError {
    /// The bytes do not open with [`MAGIC`].
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    NoMagic,
    /// Not a well-formed message.
    #[error("proto: {0}")]
    Malformed(&'static str),
    /// A value that does not fit its field.
    #[error("proto: {field}: {problem}")]
    Field { field: String, problem: &'static str },
    /// No such kind, or one without a protobuf form.
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    NoKind { api_version: String, kind: String },
    /// The JSON side is not JSON.
    #[error(transparent)]
    Json(#[from] SyntaxError),
}

impl ProtoError {
    pub(crate) fn field(name: &str, problem: &'static str) -> Self {
        Self::Field { field: name.to_owned(), problem }
    }
}

/// What an envelope holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// `v1`, `apps/v1`
    pub api_version: &'a str,
    /// Kind
    pub kind: &'a str,
    /// The message.
    pub raw: &'a [u8],
    /// Encoding of `raw`; empty for none.
    pub content_encoding: &'a str,
    /// Type of `raw`; empty for protobuf.
    pub content_type: &'a str,
}

impl<'a> Envelope<'a> {
    /// Opens an envelope.
    ///
    /// # Errors
    /// Bytes without the magic, or that are not a `runtime.Unknown`.
    pub fn open(bytes: &'a [u8]) -> Result<Self, ProtoError> {
        decode::envelope(bytes.strip_prefix(MAGIC).ok_or(ProtoError::NoMagic)?)
    }

    /// The type that its group, version and kind name.
    ///
    /// # Errors
    /// A kind that is not in the table.
    pub fn ty(&self) -> Result<&'static Type, ProtoError> {
        let (group, version) = self.api_version.split_once('/').unwrap_or(("", self.api_version));
        let found = schema::types().by_gvk(group, version, self.kind).filter(|ty| ty.has_proto());
        found.ok_or_else(|| ProtoError::NoKind { api_version: self.api_version.to_owned(), kind: self.kind.to_owned() })
    }

    /// The bytes of the envelope, magic included.
    pub fn seal(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.raw.len() + 64);
        out.extend_from_slice(MAGIC);
        wire::message(&mut out, 1, |out| {
            wire::string(out, 1, self.api_version);
            wire::string(out, 2, self.kind);
            Ok::<(), ProtoError>(())
        })
        .expect("writing strings cannot fail");
        wire::bytes(&mut out, 2, self.raw);
        wire::string(&mut out, 3, self.content_encoding);
        wire::string(&mut out, 4, self.content_type);
        out
    }
}

/// Encodes the JSON text of an object that states its `apiVersion` and `kind`.
///
/// # Errors
/// Text that is not JSON, a kind without protobuf form, values that do not fit.
pub fn encode(json: &[u8]) -> Result<Vec<u8>, ProtoError> {
    let (api_version, kind) = encode::type_meta(json)?;
    let envelope = Envelope { api_version: &api_version, kind: &kind, raw: &[], content_encoding: "", content_type: "" };
    let raw = encode_message(json, envelope.ty()?)?;
    Ok(Envelope { raw: &raw, ..envelope }.seal())
}

/// Decodes an enveloped object to JSON with its `apiVersion` and `kind`. An envelope that carries JSON is read too.
///
/// # Errors
/// Malformed bytes, unknown kinds.
pub fn decode(bytes: &[u8]) -> Result<Value, ProtoError> {
    let envelope = Envelope::open(bytes)?;
    if envelope.content_type == "application/json" {
        return serde_json::from_slice(envelope.raw).map_err(|_| ProtoError::Malformed("envelope does not carry JSON"));
    }
    let mut object = decode_message(envelope.raw, envelope.ty()?)?;
    object.insert("apiVersion".to_owned(), Value::from(envelope.api_version));
    object.insert("kind".to_owned(), Value::from(envelope.kind));
    Ok(Value::Object(object))
}

/// The same, with the object read as one of the version that `renamed` gives for the version it was written in, if any.
///
/// # Errors
/// As `decode`.
pub fn decode_as(bytes: &[u8], renamed: impl Fn(&str) -> Option<String>) -> Result<Value, ProtoError> {
    let envelope = Envelope::open(bytes)?;
    match renamed(envelope.api_version) {
        Some(api_version) => decode(&Envelope { api_version: &api_version, ..envelope }.seal()),
        None => decode(bytes),
    }
}

/// One frame of a protobuf watch stream: four bytes of length, then a WatchEvent whose object is an enveloped object.
pub fn watch_frame(kind: &str, enveloped: &[u8]) -> Vec<u8> {
    let mut event = Vec::with_capacity(enveloped.len() + 32);
    wire::string(&mut event, 1, kind);
    wire::message(&mut event, 2, |out| {
        wire::bytes(out, 1, enveloped);
        Ok::<(), ProtoError>(())
    })
    .expect("writing bytes cannot fail");
    let mut out = Vec::with_capacity(event.len() + 4);
    out.extend_from_slice(&u32::try_from(event.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&event);
    out
}

/// A watch frame: its length in bytes, the event's type, the enveloped object.
pub type WatchFrame<'a> = (usize, &'a str, &'a [u8]);

/// Takes a watch frame apart: its length in bytes, the event's type and the enveloped object; `None` if it is not whole yet.
///
/// # Errors
/// Malformed frames and frames over [`MAX_MESSAGE_BYTES`].
pub fn read_watch_frame(bytes: &[u8]) -> Result<Option<WatchFrame<'_>>, ProtoError> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > MAX_MESSAGE_BYTES {
        return Err(ProtoError::Malformed("frame too large"));
    }
    let Some(event) = rest.get(..length) else { return Ok(None) };
    let (kind, object) = decode::watch_event(event)?;
    Ok(Some((length + 4, kind, object)))
}
