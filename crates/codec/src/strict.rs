//! The strict pass over the JSON of a write request (`fieldValidation=Strict|Warn`, KEP-2885): unknown and duplicate
//! fields with Kubernetes' exact paths, in the order of the text, together with the first value of a wrong JSON type.
//! One streaming pass against the schema table; field names are case-sensitive, as in Kubernetes' own JSON decoder.

use schema::{Field, Kind, Special, Type};

use crate::reader::{Peek, Reader, SyntaxError};
use crate::validate_shape::{self, Place, Problem};

/// Findings that are kept; more are dropped.
pub const MAX_FINDINGS: usize = 100;

/// What the pass found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// `unknown field "spec.foo"`, `duplicate field "spec.replicas"`, in the order of the text.
    pub strict: Vec<String>,
    /// The first value of a wrong JSON type, in Go's words.
    pub shape: Option<String>,
}

impl Findings {
    /// `strict decoding error: …`, if there is any strict finding.
    pub fn strict_message(&self) -> Option<String> {
        if self.strict.is_empty() { None } else { Some(format!("strict decoding error: {}", self.strict.join(", "))) }
    }
}

/// Checks the JSON text of an object of type `ty`; without a type (custom resources) only duplicates are found.
///
/// # Errors
/// Text that is not JSON.
pub fn check(json: &[u8], ty: Option<&'static Type>) -> Result<Findings, SyntaxError> {
    let mut pass = Pass { reader: Reader::new(json), path: String::new(), found: Findings::default(), place: Place::default(), muted: 0 };
    match ty {
        Some(ty) => pass.message(ty)?,
        None => pass.untyped()?,
    }
    pass.reader.finish()?;
    Ok(pass.found)
}

pub(crate) struct Pass<'a> {
    pub(crate) reader: Reader<'a>,
    /// Where the pass is, as strict findings write it.
    path: String,
    pub(crate) found: Findings,
    /// Where the pass is, as type errors write it.
    pub(crate) place: Place,
    /// Above 0: inside a type that Kubernetes decodes without the strict checks.
    muted: u32,
}

type Done = Result<(), SyntaxError>;

impl Pass<'_> {
    fn report(&mut self, what: &str, field: &str) {
        if self.muted > 0 || self.found.strict.len() >= MAX_FINDINGS {
            return;
        }
        let dot = if self.path.is_empty() { "" } else { "." };
        let text = format!("{what} field \"{}{dot}{field}\"", self.path);
        if !self.found.strict.contains(&text) {
            self.found.strict.push(text);
        }
    }

    fn at_key(&mut self, key: &str, then: impl FnOnce(&mut Self) -> Done) -> Done {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        let done = then(self);
        self.path.truncate(length);
        done
    }

    fn at_index(&mut self, index: usize, then: impl FnOnce(&mut Self) -> Done) -> Done {
        let length = self.path.len();
        self.path.push_str(&format!("[{index}]"));
        let done = then(self);
        self.path.truncate(length);
        done
    }

    /// A value of a message type.
    fn message(&mut self, ty: &'static Type) -> Done {
        if let Some(special) = ty.special() {
            return self.special(ty, special);
        }
        match self.reader.peek()? {
            Peek::Null => self.reader.null(),
            Peek::Object => self.fields(ty),
            other => self.mismatch(other.word(), &validate_shape::type_name(ty)),
        }
    }

    fn fields(&mut self, ty: &'static Type) -> Done {
        self.reader.open()?;
        let mut first = true;
        let mut seen = Seen::default();
        while let Some(key) = self.reader.key(&mut first)? {
            if seen.again(&key) {
                self.report("duplicate", &key);
            }
            match ty.field(&key) {
                Some(field) => {
                    self.place.enter(ty, field.json());
                    self.at_key(field.json(), |pass| pass.field(field))?;
                    self.place.leave();
                }
                None if ty.type_meta() && (key == "apiVersion" || key == "kind") => {
                    let name = if key == "kind" { "kind" } else { "apiVersion" };
                    self.place.enter(ty, name);
                    self.scalar(Kind::String, "string")?;
                    self.place.leave();
                }
                None => {
                    self.report("unknown", &key);
                    self.reader.skip()?;
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &'static Field) -> Done {
        match field.kind() {
            Kind::List => match self.reader.peek()? {
                Peek::Null => self.reader.null(),
                Peek::Array => self.elements(|pass| pass.item(field)),
                other => self.mismatch(other.word(), &validate_shape::field_type(self.place.holder(), field)),
            },
            Kind::Map => match self.reader.peek()? {
                Peek::Null => self.reader.null(),
                Peek::Object => self.entries(|pass| pass.item(field)),
                other => self.mismatch(other.word(), &validate_shape::field_type(self.place.holder(), field)),
            },
            _ => self.item(field),
        }
    }

    fn item(&mut self, field: &'static Field) -> Done {
        match (field.item(), field.ty()) {
            (Kind::Object, Some(ty)) => self.message(ty),
            (Kind::Any | Kind::Object, _) => self.untyped(),
            (Kind::Bytes, _) => self.bytes(),
            (kind, _) => {
                self.scalar_of(kind, field)
            }
        }
    }

    fn elements(&mut self, mut each: impl FnMut(&mut Self) -> Done) -> Done {
        self.reader.open()?;
        let (mut first, mut index) = (true, 0);
        while self.reader.element(&mut first)? {
            self.at_index(index, &mut each)?;
            index += 1;
        }
        Ok(())
    }

    fn entries(&mut self, mut each: impl FnMut(&mut Self) -> Done) -> Done {
        self.reader.open()?;
        let mut first = true;
        let mut seen = Seen::default();
        while let Some(key) = self.reader.key(&mut first)? {
            if seen.again(&key) {
                self.report("duplicate", &key);
            }
            self.at_key(&key, &mut each)?;
        }
        Ok(())
    }

    /// Any JSON: only duplicates matter.
    fn untyped(&mut self) -> Done {
        match self.reader.peek()? {
            Peek::Object => self.entries(Self::untyped),
            Peek::Array => self.elements(Self::untyped),
            _ => self.reader.skip().map(drop),
        }
    }

    fn special(&mut self, ty: &'static Type, special: Special) -> Done {
        let kind = self.reader.peek()?;
        if kind == Peek::Null {
            return self.reader.null();
        }
        match special {
            Special::ListWrapper if kind == Peek::Array => self.elements(|pass| pass.scalar(Kind::String, "string")),
            Special::ListWrapper => self.mismatch(kind.word(), &validate_shape::type_name(ty)),
            Special::SchemaOrArray | Special::SchemaOrBool | Special::SchemaOrStringArray => {
                self.muted += 1;
                let inner = ty.fields().iter().find_map(Field::ty);
                let done = match (kind, inner) {
                    (Peek::Object, Some(inner)) => self.message(inner),
                    (Peek::Array, Some(inner)) if special == Special::SchemaOrArray => self.elements(|pass| pass.message(inner)),
                    _ => self.reader.skip().map(drop),
                };
                self.muted -= 1;
                done
            }
            Special::RawExtension | Special::RawJson | Special::FieldsV1 | Special::UnknownEnvelope | Special::ProtoOnly => self.reader.skip().map(drop),
            Special::Time | Special::MicroTime | Special::Duration | Special::Quantity | Special::IntOrString => {
                let text = self.reader.skip()?;
                match validate_shape::special_problem(special, kind, text) {
                    Some(Problem::Text(problem)) => drop(self.found.shape.get_or_insert(problem)),
                    Some(Problem::Mismatch(word, name)) => self.note(&word, name),
                    None => {}
                }
                Ok(())
            }
        }
    }

    fn bytes(&mut self) -> Done {
        match self.reader.peek()? {
            Peek::Null => self.reader.null(),
            Peek::String => {
                let text = self.reader.string()?;
                if let Some(problem) = validate_shape::base64_problem(&text) {
                    self.found.shape.get_or_insert(problem);
                }
                Ok(())
            }
            other => self.mismatch(other.word(), "[]uint8"),
        }
    }

    /// A scalar of a field; its Go type is looked up only if it does not fit.
    fn scalar_of(&mut self, kind: Kind, field: &'static Field) -> Done {
        let before = self.reader.clone();
        let shape = self.found.shape.take();
        self.scalar(kind, "")?;
        if let Some(first) = shape {
            self.found.shape = Some(first);
        } else if self.found.shape.take().is_some() {
            self.reader = before;
            self.scalar(kind, validate_shape::scalar_type(self.place.holder(), field))?;
        }
        Ok(())
    }

    fn scalar(&mut self, kind: Kind, name: &str) -> Done {
        let peek = self.reader.peek()?;
        match (kind, peek) {
            (_, Peek::Null) => self.reader.null(),
            (Kind::String | Kind::Enum, Peek::String) => self.reader.string().map(drop),
            (Kind::Bool, Peek::Bool) => self.reader.bool().map(drop),
            (Kind::Double, Peek::Number) => self.reader.number().map(drop),
            (Kind::Int32 | Kind::Int64, Peek::Number) => {
                let text = self.reader.number()?;
                let fits = if kind == Kind::Int32 { text.parse::<i32>().is_ok() } else { text.parse::<i64>().is_ok() };
                if !fits {
                    self.note(&format!("number {text}"), name);
                }
                Ok(())
            }
            (_, other) => self.mismatch(other.word(), name),
        }
    }

    fn mismatch(&mut self, word: &str, name: &str) -> Done {
        self.note(word, name);
        self.reader.skip().map(drop)
    }

    fn note(&mut self, word: &str, name: &str) {
        if self.found.shape.is_none() {
            self.found.shape = Some(self.place.message(word, name));
        }
    }
}

/// The keys of one object. Small objects are searched in line, large ones by hash.
#[derive(Default)]
struct Seen {
    few: Vec<String>,
    many: std::collections::HashSet<String>,
}

/// Objects with more keys than this are searched by hash.
const FEW_KEYS: usize = 16;

impl Seen {
    fn again(&mut self, key: &str) -> bool {
        if self.few.iter().any(|k| k == key) || self.many.contains(key) {
            return true;
        }
        if self.few.len() < FEW_KEYS {
            self.few.push(key.to_owned());
        } else {
            self.many.insert(key.to_owned());
        }
        false
    }
}
