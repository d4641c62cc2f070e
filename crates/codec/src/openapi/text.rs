//! Descriptions of types and fields, packed by the build script out of the documentation of `k8s-openapi`. They are
//! unpacked for the time of one document and forgotten again.

use flate2::read::DeflateDecoder;
use std::collections::HashMap;
use std::io::Read;

/// What `apiVersion` and `kind` mean is written only where a type has them as plain fields.
const TYPE_META_OWNER: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
const WATCH_EVENT: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent";

/// The unpacked text with an index of its types.
pub(super) struct Descriptions {
    text: String,
    types: HashMap<u64, (u32, u32)>,
    /// Whether definitions tell the values of enumerations.
    pub(super) enums: bool,
}

fn key(name: &str) -> u64 {
    // FNV-1a: a stable hash is enough, a collision would only show a wrong sentence and is excluded by a test.
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

fn small(n: usize) -> u32 {
    u32::try_from(n).expect("the text is smaller than 4 GiB")
}

impl Descriptions {
    /// Unpacks the text.
    pub(super) fn unpack(enums: bool) -> Self {
        let packed: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.deflate"));
        let mut text = String::new();
        DeflateDecoder::new(packed).read_to_string(&mut text).expect("the build script packed UTF-8");
        let mut types = HashMap::new();
        let mut open: Option<(u64, usize)> = None;
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            if let Some(name) = line.strip_prefix('=') {
                if let Some((name, from)) = open.replace((key(name.trim_end()), at + line.len())) {
                    types.insert(name, (small(from), small(at)));
                }
            }
            at += line.len();
        }
        if let Some((name, from)) = open {
            types.insert(name, (small(from), small(at)));
        }
        Self { text, types, enums }
    }

    /// How many types are described.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.types.len()
    }

    fn line(&self, ty: &str, field: &str) -> Option<String> {
        let (from, to) = *self.types.get(&key(ty))?;
        let lines = self.text[from as usize..to as usize].lines();
        let found = lines.filter_map(|l| l.split_once('\t')).find(|(name, _)| *name == field)?.1;
        Some(found.replace('\x01', "\n"))
    }

    /// About a type.
    pub(super) fn of_type(&self, ty: &str) -> Option<String> {
        self.line(ty, "").or_else(|| {
            let short = ty.rsplit('.').next()?;
            let item = short.strip_suffix("List").filter(|i| !i.is_empty())?;
            Some(format!("{short} is a list of {item} objects."))
        })
    }

    /// About a field.
    pub(super) fn of_field(&self, ty: &str, field: &str) -> Option<String> {
        self.line(ty, field).or_else(|| match field {
            "apiVersion" | "kind" => self.line(TYPE_META_OWNER, field),
            "object" if ty == WATCH_EVENT => {
                Some("The object after the change, before it for DELETED, or a Status for ERROR.".to_owned())
            }
            _ if !ty.ends_with("List") => None,
            "items" => Some("The objects of the list.".to_owned()),
            "metadata" => Some("The list's own metadata: its resource version and where it continues.".to_owned()),
            _ => None,
        })
    }
}
