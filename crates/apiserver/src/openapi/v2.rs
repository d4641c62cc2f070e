//! `/openapi/v2`, joined out of compressed parts: what is built in, a part for each definition, and a part for each
//! aggregated server. A definition that comes or changes costs its own part alone, and the joining of the rest, which
//! compresses nothing: the parts are runs of one deflate stream (RFC 1951) whose checksums are combined (RFC 1952).

use super::{COMPRESSION, Reply, builtin, customs, document, fault, hash, negotiate, tree};
use crate::call::Call;
use bytes::Bytes;
use codec::openapi::{Foreign, Format, Parameters, Part, Served, Texts, v2_frame};
use flate2::{Compression, Crc, write::DeflateEncoder};
use kinds::ApiError;
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// So much compressed text of parts is kept; what does not fit is made anew each time.
const KEPT_BYTES: usize = 16 * 1024 * 1024;
/// So much is written before it is compressed.
const CHUNK_BYTES: usize = 16 * 1024;
/// Magic, deflate, no flags, no time, no hint, unknown system (RFC 1952, 2.3).
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// An empty last block (RFC 1951, 3.2.6).
const DEFLATE_END: [u8; 2] = [3, 0];

/// A run of a deflate stream that begins and ends on a byte and refers to nothing before it.
struct Run {
    bytes: Bytes,
    crc: Crc,
}

/// One part of the document.
struct Packed {
    paths: Run,
    definitions: Run,
    parameters: Parameters,
}

impl Packed {
    fn size(&self) -> usize {
        self.paths.bytes.len() + self.definitions.bytes.len()
    }
}

/// Parts by what they were made from.
type Parts = HashMap<(String, Format), Arc<Packed>>;

/// Locked while parts are made, so that they are made once.
static PARTS: LazyLock<Mutex<Parts>> = LazyLock::new(Mutex::default);

/// Compresses a run.
struct Pack {
    deflate: BufWriter<Summed>,
}

struct Summed {
    deflate: DeflateEncoder<Vec<u8>>,
    crc: Crc,
}

impl Write for Summed {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let written = self.deflate.write(text)?;
        self.crc.update(&text[..written]);
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.deflate.flush()
    }
}

impl Pack {
    fn new() -> Self {
        let deflate = DeflateEncoder::new(Vec::new(), Compression::new(COMPRESSION));
        Self { deflate: BufWriter::with_capacity(CHUNK_BYTES, Summed { deflate, crc: Crc::new() }) }
    }

    fn of(text: &[u8]) -> io::Result<Run> {
        let mut pack = Self::new();
        pack.deflate.write_all(text)?;
        pack.finish()
    }

    fn finish(mut self) -> io::Result<Run> {
        // A flush ends the block and fills up the byte.
        self.deflate.flush()?;
        let mut summed = self.deflate.into_inner().map_err(io::IntoInnerError::into_error)?;
        let mut bytes = std::mem::take(summed.deflate.get_mut());
        bytes.shrink_to_fit();
        Ok(Run { bytes: if summed.crc.amount() == 0 { Bytes::new() } else { bytes.into() }, crc: summed.crc })
    }
}

fn pack(served: &Served<'_>, part: &Part<'_>, texts: &Texts, format: Format) -> io::Result<Packed> {
    let (mut paths, mut definitions) = (Pack::new(), Pack::new());
    let parameters = served.write_v2(part, texts, format, (&mut paths.deflate, &mut definitions.deflate))?;
    Ok(Packed { paths: paths.finish()?, definitions: definitions.finish()?, parameters })
}

/// What a part of a definition is made from.
fn key_of(crd: &CustomResourceDefinition) -> String {
    format!("{} {}", crd.metadata.uid.as_deref().unwrap_or_default(), crd.metadata.generation.unwrap_or_default())
}

/// The parts in their order. Those of what is gone are forgotten.
fn parts(served: &Served<'_>, foreign: &[(String, Foreign)], format: Format) -> io::Result<Vec<Arc<Packed>>> {
    let mut kept = PARTS.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut texts, mut all, mut fresh) = (None, Vec::new(), Parts::new());
    let custom = served.customs.iter().map(|c| (key_of(c), Part::Custom(c)));
    let foreign = foreign.iter().map(|(key, f)| (key.clone(), Part::Foreign(f)));
    let (mut size, mut shared) = (0, Parameters::new());
    for (key, part) in std::iter::once((String::new(), Part::Builtin)).chain(custom).chain(foreign) {
        let key = (key, format);
        let packed = match kept.remove(&key) {
            Some(packed) => packed,
            None => {
                let mut packed = pack(served, &part, texts.get_or_insert_with(|| Texts::unpack(served.enums)), format)?;
                // Nearly all that custom resources refer to is there already.
                packed.parameters.retain(|name, _| !shared.contains_key(name));
                Arc::new(packed)
            }
        };
        if matches!(part, Part::Builtin) {
            shared.clone_from(&packed.parameters);
        }
        size += packed.size();
        if size <= KEPT_BYTES {
            fresh.insert(key, Arc::clone(&packed));
        }
        all.push(packed);
    }
    kept.retain(|(_, other), _| *other != format);
    kept.extend(fresh);
    Ok(all)
}

/// The whole document, compressed.
fn joined(parts: &[Arc<Packed>], format: Format) -> io::Result<Bytes> {
    let mut parameters = Parameters::new();
    for part in parts {
        for (name, parameter) in &part.parameters {
            parameters.entry(name.clone()).or_insert_with(|| parameter.clone());
        }
    }
    let [head, middle, tail] = v2_frame(format, &parameters);
    let (head, middle, tail) = (Pack::of(&head)?, Pack::of(&middle)?, Pack::of(&tail)?);
    let (paths, definitions) = (parts.iter().map(|p| &p.paths), parts.iter().map(|p| &p.definitions));
    let (mut out, mut crc) = (GZIP_HEAD.to_vec(), Crc::new());
    for run in std::iter::once(&head).chain(paths).chain([&middle]).chain(definitions).chain([&tail]) {
        out.extend_from_slice(&run.bytes);
        crc.combine(&run.crc);
    }
    out.extend_from_slice(&DEFLATE_END);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    Ok(out.into())
}

/// `/openapi/v2`.
pub(crate) fn v2(call: &Call) -> Result<Reply, ApiError> {
    let (format, media) = negotiate(call.request.headers(), super::V2_PROTOBUF)?;
    let (snapshot, customs) = customs(call);
    let tree = |c: &CustomResourceDefinition| tree(&snapshot, c);
    let served = Served { builtin, customs: &customs, tree: &tree, enums: super::enums(call) };
    let foreign = call.shared.aggregate.published();
    let word = foreign.iter().fold("v2".to_owned(), |word, (key, _)| word + " " + key);
    let hash = hash(&word, served.enums, customs.iter());
    let whole = || joined(&parts(&served, &foreign, format)?, format);
    document(call.request.headers(), &hash, media, super::aside(whole).map_err(fault)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use serde_json::{Value, json};
    use std::io::Read;

    fn crd(n: usize, generation: i64) -> Arc<CustomResourceDefinition> {
        let tree = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("xs.g{n}.io"), "uid": format!("uid-{n}"), "generation": generation },
            "spec": {
                "group": format!("g{n}.io"), "scope": "Namespaced", "names": { "plural": "xs", "kind": "X" },
                "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": {
                    "type": "object", "properties": { format!("at{generation}"): { "type": "string" } } } } }],
            },
        });
        let kinds::Object::CustomResourceDefinition(crd) =
            codec::from_value(&kinds::Kind::CustomResourceDefinition.into(), tree).expect("a definition")
        else {
            panic!("another kind")
        };
        crd
    }

    fn whole(customs: &[Arc<CustomResourceDefinition>]) -> Value {
        let tree = |c: &CustomResourceDefinition| codec::to_value(&kinds::Object::from(c.clone()));
        let served = Served { builtin, customs, tree: &tree, enums: true };
        let foreign = Foreign::read(
            br#"{"swagger":"2.0","paths":{"/apis/far.io/v1/ys":{"get":{}}},"definitions":{}}"#, "far.io", "v1",
        );
        let foreign = [("far".to_owned(), foreign.expect("a document"))];
        let packed = joined(&parts(&served, &foreign, Format::Json).expect("memory"), Format::Json).expect("memory");
        let mut text = String::new();
        // A decoder of one member: it checks the sum and the length of the whole.
        GzDecoder::new(&packed[..]).read_to_string(&mut text).expect("one gzip member");
        serde_json::from_str(&text).expect("JSON")
    }

    /// One test, as the parts are kept for the whole process.
    #[test]
    fn parts_are_joined_and_kept() {
        let customs = [crd(1, 1), crd(2, 1)];
        let first = whole(&customs);
        assert!(first["paths"]["/apis/apps/v1/deployments"].is_object() && first["paths"]["/apis/far.io/v1/ys"].is_object());
        assert!(first["definitions"]["io.g1.v1.X"]["properties"]["at1"].is_object());
        assert_eq!(first["definitions"].as_object().map(|d| d.keys().filter(|k| k.starts_with("io.g")).count()), Some(4));
        let kept = |key: &str| PARTS.lock().unwrap_or_else(PoisonError::into_inner).get(&(key.to_owned(), Format::Json)).map(Arc::as_ptr);
        let (base, one) = (kept(""), kept("uid-1 1"));
        assert!(base.is_some() && one.is_some());
        let second = whole(&[crd(1, 1), crd(2, 2)]);
        assert!(second["definitions"]["io.g2.v1.X"]["properties"]["at2"].is_object());
        assert_eq!((kept(""), kept("uid-1 1"), kept("uid-2 1")), (base, one, None));
        assert!(kept("uid-2 2").is_some());
        assert_eq!(whole(&[]).get("parameters"), first.get("parameters"));
    }
}
