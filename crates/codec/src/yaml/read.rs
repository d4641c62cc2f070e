//! YAML documents to JSON values, with bounded aliases and depth.

use std::collections::HashMap;

use base64::Engine;
use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use serde_json::{Map, Value};

use super::resolve::{Plain, resolve, tagged};
use crate::reader::MAX_DEPTH;

/// Values that one stream may expand to, aliases counted each time they are used, and what is kept for them.
const MAX_NODES: usize = 2_000_000;
/// Bytes of scalars that aliases may repeat, those kept for them included.
const MAX_COPIED_BYTES: usize = 16 << 20;

/// YAML that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("yaml: {text}")]
pub struct YamlError {
    text: String,
}

/// One document of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its JSON value; `null` for an empty document.
    pub value: Value,
    /// Keys that stood twice in one mapping (`line 3: key "a" already set in map`); the last value is the one kept.
    pub duplicates: Vec<String>,
}

impl Document {
    /// The error with which a strict reader refuses the document, if there are duplicate keys.
    pub fn strict_error(&self) -> Option<String> {
        let lines = self.duplicates.join("\n  ");
        (!self.duplicates.is_empty()).then(|| format!("yaml: unmarshal errors:\n  {lines}"))
    }
}

/// The one document of a text; further ones are ignored.
///
/// # Errors
/// Text that is not YAML, or that JSON cannot express.
pub fn parse(text: &str) -> Result<Document, YamlError> {
    let mut stream = Stream::new(text);
    Ok(stream.document()?.unwrap_or(Document { value: Value::Null, duplicates: Vec::new() }))
}

/// Every document of a text, empty ones left out.
///
/// # Errors
/// The first document that cannot be read.
pub fn documents(text: &str) -> Result<Vec<Document>, YamlError> {
    let mut stream = Stream::new(text);
    let mut all = Vec::new();
    while let Some(document) = stream.document()? {
        if !document.value.is_null() {
            all.push(document);
        }
    }
    Ok(all)
}

struct Stream<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, (Value, Weight)>,
    duplicates: Vec<String>,
    /// Values and bytes of scalars that were read, with what aliases repeat.
    nodes: usize,
    bytes: usize,
    /// What is kept for aliases beside that, and the bytes that they repeat.
    kept_nodes: usize,
    copied_bytes: usize,
    /// The deepest level in the value that is being read.
    deepest: u32,
}

/// What repeating a value costs: its values, the bytes of its scalars, and the levels below it.
#[derive(Clone, Copy)]
struct Weight {
    nodes: usize,
    bytes: usize,
    levels: u32,
}

type Result<T, E = YamlError> = std::result::Result<T, E>;

fn error<T>(text: impl Into<String>) -> Result<T> {
    Err(YamlError { text: text.into() })
}

fn line(span: &Span) -> usize {
    span.start.line()
}

impl<'a> Stream<'a> {
    fn new(text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self {
            parser: Parser::new_from_str(text),
            anchors: HashMap::new(),
            duplicates: Vec::new(),
            nodes: 0,
            bytes: 0,
            kept_nodes: 0,
            copied_bytes: 0,
            deepest: 0,
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span)> {
        match self.parser.next() {
            Some(Ok((Event::Anchor(..), _))) => self.next(),
            Some(Ok(found)) => Ok(found),
            Some(Err(problem)) => Err(scan_error(&problem)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Result<Option<Document>> {
        loop {
            match self.next()?.0 {
                Event::StreamEnd => return Ok(None),
                Event::DocumentStart(..) => break,
                _ => {}
            }
        }
        self.anchors.clear();
        let (event, span) = self.next()?;
        let value = match event {
            Event::DocumentEnd => Value::Null,
            event => {
                let value = self.node(event, &span, MAX_DEPTH)?;
                while !matches!(self.next()?.0, Event::DocumentEnd | Event::StreamEnd) {}
                value
            }
        };
        Ok(Some(Document { value, duplicates: std::mem::take(&mut self.duplicates) }))
    }

    fn check(&self) -> Result<()> {
        let much = self.nodes + self.kept_nodes > MAX_NODES || self.copied_bytes > MAX_COPIED_BYTES;
        if much { error("document contains excessive aliasing") } else { Ok(()) }
    }

    /// The value of an anchor once more.
    fn alias(&mut self, anchor: usize, level: u32, span: &Span) -> Result<Value> {
        let Some((_, weight)) = self.anchors.get(&anchor) else {
            return error(format!("line {}: anchor value contains itself", line(span)));
        };
        let weight = *weight;
        self.nodes += weight.nodes;
        self.bytes += weight.bytes;
        self.copied_bytes += weight.bytes;
        self.check()?;
        if level + weight.levels >= MAX_DEPTH {
            return error(format!("line {}: exceeded max depth", line(span)));
        }
        self.deepest = self.deepest.max(level + weight.levels);
        Ok(self.anchors[&anchor].0.clone())
    }

    /// Keeps the value of an anchor.
    fn keep(&mut self, anchor: usize, value: &Value, weight: Weight) -> Result<()> {
        self.kept_nodes += weight.nodes;
        self.copied_bytes += weight.bytes;
        self.check()?;
        self.anchors.insert(anchor, (value.clone(), weight));
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: u32) -> Result<Value> {
        if depth == 0 {
            return error(format!("line {}: exceeded max depth", line(span)));
        }
        let (nodes, bytes, level) = (self.nodes, self.bytes, MAX_DEPTH - depth);
        let outer = std::mem::replace(&mut self.deepest, level);
        self.nodes += 1;
        self.check()?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.bytes += text.len();
                let tag = tag.as_deref().map(|tag| tag.to_string());
                (scalar(&text, style == ScalarStyle::Plain, tag.as_deref(), span)?, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.mapping(depth)?, anchor),
            Event::Alias(anchor) => (self.alias(anchor, level, span)?, 0),
            _ => return error(format!("line {}: did not find expected node content", line(span))),
        };
        if anchor != 0 {
            let weight = Weight { nodes: self.nodes - nodes, bytes: self.bytes - bytes, levels: self.deepest - level };
            self.keep(anchor, &value, weight)?;
        }
        self.deepest = self.deepest.max(outer);
        Ok(value)
    }

    fn sequence(&mut self, depth: u32) -> Result<Value> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(list)),
                (event, span) => list.push(self.node(event, &span, depth - 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: u32) -> Result<Value> {
        let mut map = Map::new();
        let mut merges = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.node(event, &span, depth - 1)?;
            let (event, value_span) = self.next()?;
            let value = self.node(event, &value_span, depth - 1)?;
            if merge {
                merges.push((value, line(&value_span)));
                continue;
            }
            let Some(key) = key_text(key) else {
                return error(format!("line {}: invalid map key", line(&span)));
            };
            if map.contains_key(&key) {
                self.duplicates.push(format!("line {}: key {key:?} already set in map", line(&span)));
            }
            map.insert(key, value);
        }
        for (value, line) in merges {
            merge_into(&mut map, value, line)?;
        }
        Ok(Value::Object(map))
    }
}

fn merge_into(map: &mut Map<String, Value>, value: Value, line: usize) -> Result<()> {
    match value {
        Value::Object(from) => {
            for (key, value) in from {
                map.entry(key).or_insert(value);
            }
            Ok(())
        }
        Value::Array(list) if list.iter().all(Value::is_object) => list.into_iter().try_for_each(|value| merge_into(map, value, line)),
        _ => error(format!("line {line}: map merge requires map or sequence of maps as the value")),
    }
}

fn key_text(key: Value) -> Option<String> {
    match key {
        Value::String(text) => Some(text),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(n) => Some(n.to_string()),
        Value::Null => Some("null".to_owned()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn scalar(text: &str, plain: bool, tag: Option<&str>, span: &Span) -> Result<Value> {
    if let Some(tag) = tag {
        let short = tag.rsplit([':', '!']).next().unwrap_or_default();
        if short == "binary" {
            let clean: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            let bytes = base64::engine::general_purpose::STANDARD.decode(clean).map_err(|_| YamlError { text: "!!binary value contains invalid base64 data".into() })?;
            return Ok(Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        }
        if short.is_empty() {
            return Ok(Value::String(text.to_owned()));
        }
        return match tagged(short, text) {
            Some(value) => Ok(value),
            None if ["bool", "int", "float"].contains(&short) => error(format!("line {}: cannot decode !!str `{text}` as a !!{short}", line(span))),
            None => Ok(Value::String(text.to_owned())),
        };
    }
    if !plain {
        return Ok(Value::String(text.to_owned()));
    }
    match resolve(text) {
        Plain::Null => Ok(Value::Null),
        Plain::Bool(flag) => Ok(Value::Bool(flag)),
        Plain::Number(n) => Ok(Value::Number(n)),
        Plain::NotFinite => error(format!("line {}: json: unsupported value: {text}", line(span))),
        Plain::Timestamp | Plain::Merge | Plain::String => Ok(Value::String(text.to_owned())),
    }
}

fn scan_error(problem: &ScanError) -> YamlError {
    YamlError { text: format!("line {}: {}", problem.marker().line(), problem.info()) }
}
