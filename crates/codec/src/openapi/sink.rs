//! Where the pieces of a document go: JSON text or protobuf, v3 or v2. In protobuf every piece is a fragment of its own,
//! since parsers join the fragments of one message (Protocol Buffers encoding: "Last One Wins", merging of messages).

use super::Format;
use super::gnostic;
use super::swagger;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Takes the pieces of a document: first all paths, then all definitions, both in v3 form.
pub(super) trait Sink {
    fn path(&mut self, name: &str, item: &Value) -> io::Result<()>;
    fn definition(&mut self, name: &str, tree: &Value) -> io::Result<()>;
}

fn info() -> Value {
    json!({ "title": "Kubernetes", "version": "unversioned" })
}

fn bearer() -> Value {
    json!({
        "BearerToken": { "description": "Bearer Token authentication", "in": "header", "name": "authorization", "type": "apiKey" },
    })
}

/// Writes the entries of JSON objects with the commas between them.
struct Text<'a> {
    out: &'a mut dyn Write,
    /// Whether definitions have begun, and whether an entry has been written in the object that is open.
    defining: bool,
    first: bool,
}

impl<'a> Text<'a> {
    fn entry(&mut self, name: &str, tree: &Value) -> io::Result<()> {
        if !std::mem::take(&mut self.first) {
            self.out.write_all(b",")?;
        }
        serde_json::to_writer(&mut *self.out, name)?;
        self.out.write_all(b":")?;
        serde_json::to_writer(&mut *self.out, tree)?;
        Ok(())
    }

    fn define(&mut self, between: &str) -> io::Result<()> {
        if !std::mem::replace(&mut self.defining, true) {
            self.first = true;
            self.out.write_all(between.as_bytes())?;
        }
        Ok(())
    }
}

/// A v3 document.
pub(super) struct V3<'a> {
    format: Format,
    text: Text<'a>,
}

impl<'a> V3<'a> {
    pub(super) fn begin(format: Format, out: &'a mut dyn Write) -> io::Result<Self> {
        match format {
            Format::Json => write!(out, "{{\"openapi\":\"3.0.0\",\"info\":{},\"paths\":{{", info())?,
            Format::Protobuf => out.write_all(&gnostic::v3(&json!({ "openapi": "3.0.0", "info": info() })))?,
        }
        Ok(Self { format, text: Text { out, defining: false, first: true } })
    }

    pub(super) fn end(self) -> io::Result<()> {
        if self.format == Format::Protobuf {
            let tail = json!({ "components": { "securitySchemes": bearer() } });
            return self.text.out.write_all(&gnostic::v3(&tail));
        }
        let before = if self.text.defining { "}" } else { "},\"components\":{" };
        let comma = if self.text.defining { "," } else { "" };
        write!(self.text.out, "{before}{comma}\"securitySchemes\":{}}}}}", bearer())
    }
}

impl Sink for V3<'_> {
    fn path(&mut self, name: &str, item: &Value) -> io::Result<()> {
        match self.format {
            Format::Json => self.text.entry(name, item),
            Format::Protobuf => self.text.out.write_all(&gnostic::v3(&json!({ "paths": { name: item } }))),
        }
    }

    fn definition(&mut self, name: &str, tree: &Value) -> io::Result<()> {
        if self.format == Format::Protobuf {
            return self.text.out.write_all(&gnostic::v3(&json!({ "components": { "schemas": { name: tree } } })));
        }
        self.text.define("},\"components\":{\"schemas\":{")?;
        self.text.entry(name, tree)
    }
}

/// A part of the v2 document: entries of its paths and of its definitions, with commas between them.
pub(super) struct V2<'a> {
    format: Format,
    paths: Text<'a>,
    definitions: Text<'a>,
    /// Parameters that many operations share, by the names under which they are referred to.
    pub(super) shared: BTreeMap<String, Value>,
}

impl<'a> V2<'a> {
    /// A part; one that is not the first begins with a comma.
    pub(super) fn part(format: Format, first: bool, paths: &'a mut dyn Write, definitions: &'a mut dyn Write) -> Self {
        let text = |out| Text { out, defining: false, first };
        Self { format, paths: text(paths), definitions: text(definitions), shared: BTreeMap::new() }
    }

    /// An entry of the paths that is in v2 form already.
    pub(super) fn put_path(&mut self, name: &str, item: &Value) -> io::Result<()> {
        match self.format {
            Format::Json => self.paths.entry(name, item),
            Format::Protobuf => self.paths.out.write_all(&gnostic::v2(&json!({ "paths": { name: item } }))),
        }
    }

    /// A definition that is in v2 form already.
    pub(super) fn put_definition(&mut self, name: &str, tree: &Value) -> io::Result<()> {
        match self.format {
            Format::Json => self.definitions.entry(name, tree),
            Format::Protobuf => self.definitions.out.write_all(&gnostic::v2(&json!({ "definitions": { name: tree } }))),
        }
    }
}

/// What stands around the parts of the v2 document: before the paths, before the definitions, and at the end.
pub(super) fn v2_frame(format: Format, parameters: &BTreeMap<String, Value>) -> [Vec<u8>; 3] {
    let security = json!([{ "BearerToken": [] }]);
    let parameters: Value = parameters.clone().into_iter().collect::<serde_json::Map<_, _>>().into();
    if format == Format::Protobuf {
        let tail = json!({ "parameters": parameters, "security": security, "securityDefinitions": bearer() });
        return [gnostic::v2(&json!({ "swagger": "2.0", "info": info() })), Vec::new(), gnostic::v2(&tail)];
    }
    let head = format!("{{\"swagger\":\"2.0\",\"info\":{},\"paths\":{{", info());
    let bearer = bearer();
    let tail = format!("}},\"parameters\":{parameters},\"security\":{security},\"securityDefinitions\":{bearer}}}");
    [head.into_bytes(), b"},\"definitions\":{".to_vec(), tail.into_bytes()]
}

impl Sink for V2<'_> {
    fn path(&mut self, name: &str, item: &Value) -> io::Result<()> {
        let item = swagger::path(item, &mut self.shared);
        self.put_path(name, &item)
    }

    fn definition(&mut self, name: &str, tree: &Value) -> io::Result<()> {
        self.put_definition(name, &swagger::definition(tree))
    }
}
