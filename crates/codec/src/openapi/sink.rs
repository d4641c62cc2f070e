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

/// The v2 document.
pub(super) struct V2<'a> {
    format: Format,
    text: Text<'a>,
    /// Parameters that many operations share, by the names under which they are referred to.
    shared: BTreeMap<String, Value>,
}

impl<'a> V2<'a> {
    pub(super) fn begin(format: Format, out: &'a mut dyn Write) -> io::Result<Self> {
        match format {
            Format::Json => write!(out, "{{\"swagger\":\"2.0\",\"info\":{},\"paths\":{{", info())?,
            Format::Protobuf => out.write_all(&gnostic::v2(&json!({ "swagger": "2.0", "info": info() })))?,
        }
        Ok(Self { format, text: Text { out, defining: false, first: true }, shared: BTreeMap::new() })
    }

    pub(super) fn end(mut self) -> io::Result<()> {
        let parameters: Value = std::mem::take(&mut self.shared).into_iter().collect::<serde_json::Map<_, _>>().into();
        let security = json!([{ "BearerToken": [] }]);
        if self.format == Format::Protobuf {
            let tail = json!({ "parameters": parameters, "security": security, "securityDefinitions": bearer() });
            return self.text.out.write_all(&gnostic::v2(&tail));
        }
        self.text.define("},\"definitions\":{")?;
        let bearer = bearer();
        write!(self.text.out, "}},\"parameters\":{parameters},\"security\":{security},\"securityDefinitions\":{bearer}}}")
    }
}

impl Sink for V2<'_> {
    fn path(&mut self, name: &str, item: &Value) -> io::Result<()> {
        let item = swagger::path(item, &mut self.shared);
        match self.format {
            Format::Json => self.text.entry(name, &item),
            Format::Protobuf => self.text.out.write_all(&gnostic::v2(&json!({ "paths": { name: item } }))),
        }
    }

    fn definition(&mut self, name: &str, tree: &Value) -> io::Result<()> {
        let tree = swagger::definition(tree);
        if self.format == Format::Protobuf {
            return self.text.out.write_all(&gnostic::v2(&json!({ "definitions": { name: tree } })));
        }
        self.text.define("},\"definitions\":{")?;
        self.text.entry(name, &tree)
    }
}
