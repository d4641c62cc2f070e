//! The API described by itself: OpenAPI v3, a document a group-version (`/openapi/v3/apis/apps/v1`), and the one OpenAPI v2
//! document (`/openapi/v2`), each as JSON and as gnostic's protobuf. Everything is generated from the table of types, the
//! table of resources and the established CustomResourceDefinitions when it is asked for, and written piece by piece, so
//! that no document ever stands in memory as a tree. Docs: "Kubernetes API Concepts: OpenAPI", KEP-2896, KEP-2885.

mod custom;
mod definition;
mod document;
mod foreign;
mod gnostic;
mod names;
mod operation;
mod options;
mod routes;
mod sink;
mod swagger;
mod text;
#[cfg(test)]
mod tests;

pub use foreign::Foreign;

use serde_json::Value;
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

/// Changes whenever a generated document of the built-in kinds could have changed.
pub const REVISION: &str = env!("OPENAPI_REVISION");

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// JSON text.
    Json,
    /// gnostic's protobuf messages.
    Protobuf,
}

/// What is described: the built-in resources that are served, and the established definitions.
pub struct Served<'a> {
    /// Whether a built-in resource is served.
    pub builtin: fn(&schema::Resource) -> bool,
    /// Established definitions, in a stable order.
    pub customs: &'a [Arc<CustomResourceDefinition>],
    /// A definition as JSON with its schemas, which `customs` may leave out.
    pub tree: &'a dyn Fn(&CustomResourceDefinition) -> Value,
    /// Whether the values of enumerations are told (feature gate `OpenAPIEnums`).
    pub enums: bool,
}

/// A part of the v2 document.
pub enum Part<'a> {
    /// What is built in.
    Builtin,
    /// A custom resource.
    Custom(&'a CustomResourceDefinition),
    /// What another server publishes.
    Foreign(&'a Foreign),
}

/// The sentences of all documents, unpacked.
pub struct Texts(text::Descriptions);

impl Texts {
    /// Unpacks them, which takes a while: once for all parts that are to be written.
    #[must_use]
    pub fn unpack(enums: bool) -> Self {
        Self(text::Descriptions::unpack(enums))
    }
}

/// Parameters that operations of the v2 document share, by name.
pub type Parameters = BTreeMap<String, Value>;

/// Where the entries of paths and of definitions go.
pub type Pair<'a> = (&'a mut dyn Write, &'a mut dyn Write);

/// What stands around the parts of the v2 document: before the paths, between them and the definitions, and at the end.
#[must_use]
pub fn v2_frame(format: Format, parameters: &Parameters) -> [Vec<u8>; 3] {
    sink::v2_frame(format, parameters)
}

impl Served<'_> {
    /// The paths of all v3 documents, sorted, without the leading slash: `api/v1`, `apis/apps/v1`, `version`.
    #[must_use]
    pub fn index(&self) -> Vec<String> {
        document::index(self)
    }

    /// Writes the v3 document of a path out of the index; `false` when there is none.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_v3(&self, path: &str, format: Format, out: &mut dyn Write) -> io::Result<bool> {
        document::write_v3(self, path, format, out)
    }

    /// Writes a part of the v2 document: entries of its paths and of its definitions. Returns the parameters that they
    /// refer to. Each part is made from its own thing alone, so that parts can be kept; that of the built-in kinds stands first.
    ///
    /// # Errors
    /// What the outputs say.
    pub fn write_v2(&self, part: &Part<'_>, texts: &Texts, format: Format, out: Pair<'_>) -> io::Result<Parameters> {
        document::write_v2(self, part, &texts.0, format, out)
    }

    /// The definitions that stand in the document of that path.
    pub fn customs_of<'s>(&'s self, path: &str) -> impl Iterator<Item = &'s Arc<CustomResourceDefinition>> {
        let (group, version) = path.strip_prefix("apis/").and_then(|p| p.split_once('/')).unwrap_or_default();
        let (group, version) = (group.to_owned(), version.to_owned());
        self.customs.iter().filter(move |c| {
            c.spec.group == group && c.spec.versions.iter().any(|v| v.served && v.name == version)
        })
    }
}
