//! A pull reader over raw JSON text: no tree, no allocation but for escaped strings. It accepts and refuses what Go's
//! `encoding/json` does (RFC 8259, invalid UTF-8 and lone surrogates become U+FFFD) and words its errors the same way,
//! because clients of the API see them.

use memchr::memchr2;
use std::borrow::Cow;

/// Nesting that is read; the same limit as serde_json's.
pub const MAX_DEPTH: u32 = 128;

/// Text that is not JSON, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// The text ends inside a value.
    #[error("unexpected end of JSON input")]
    End,
    /// A character that cannot stand there.
    #[error("invalid character {0} {1}")]
    Character(String, &'static str),
    /// More than [`MAX_DEPTH`] levels.
    #[error("exceeded max depth")]
    Depth,
}

/// What kind of value comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peek {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// `-` or a digit
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

impl Peek {
    /// Go's word for it in `cannot unmarshal X`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Null => "null",
        }
    }
}

/// The reader: a position in the text.
#[derive(Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
}

type Result<T> = std::result::Result<T, SyntaxError>;

impl<'a> Reader<'a> {
    /// A reader at the start of a text.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn refuse<T>(&self, context: &'static str) -> Result<T> {
        match self.bytes.get(self.at) {
            None => Err(SyntaxError::End),
            Some(b'\'') => Err(SyntaxError::Character(r"'\''".into(), context)),
            Some(b'"') => Err(SyntaxError::Character(r#"'"'"#.into(), context)),
            Some(&c) => Err(SyntaxError::Character(quoted(c), context)),
        }
    }

    /// The kind of the next value, without taking it.
    pub fn peek(&mut self) -> Result<Peek> {
        self.space();
        match self.bytes.get(self.at) {
            Some(b'{') => Ok(Peek::Object),
            Some(b'[') => Ok(Peek::Array),
            Some(b'"') => Ok(Peek::String),
            Some(b'-' | b'0'..=b'9') => Ok(Peek::Number),
            Some(b't' | b'f') => Ok(Peek::Bool),
            Some(b'n') => Ok(Peek::Null),
            _ => self.refuse("looking for beginning of value"),
        }
    }

    /// Enters the object or array that [`Reader::peek`] announced.
    pub fn open(&mut self) -> Result<()> {
        self.depth += 1;
        self.at += 1;
        if self.depth > MAX_DEPTH { Err(SyntaxError::Depth) } else { Ok(()) }
    }

    /// The next key of the open object (its value comes next), or `None` at its end. `first` starts as true.
    pub fn key(&mut self, first: &mut bool) -> Result<Option<Cow<'a, str>>> {
        self.space();
        match (self.bytes.get(self.at), *first) {
            (Some(b'}'), _) => {
                self.at += 1;
                self.depth -= 1;
                return Ok(None);
            }
            (Some(b','), false) => {
                self.at += 1;
                self.space();
            }
            (_, false) => return self.refuse("after object key:value pair"),
            (_, true) => *first = false,
        }
        if self.bytes.get(self.at) != Some(&b'"') {
            return self.refuse("looking for beginning of object key string");
        }
        let key = self.string()?;
        self.space();
        if self.bytes.get(self.at) != Some(&b':') {
            return self.refuse("after object key");
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// Whether another element of the open array comes next. `first` starts as true.
    pub fn element(&mut self, first: &mut bool) -> Result<bool> {
        self.space();
        match (self.bytes.get(self.at), *first) {
            (Some(b']'), _) => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            (Some(b','), false) => {
                self.at += 1;
                self.space();
                if self.bytes.get(self.at) == Some(&b']') { self.refuse("looking for beginning of value") } else { Ok(true) }
            }
            (_, false) => self.refuse("after array element"),
            (_, true) => {
                *first = false;
                Ok(true)
            }
        }
    }

    /// Takes a string.
    pub fn string(&mut self) -> Result<Cow<'a, str>> {
        Ok(match self.plain_string()? {
            Ok(text) => String::from_utf8_lossy(text),
            Err(start) => Cow::Owned(self.escaped(start)?),
        })
    }

    /// Takes a string without escapes; or where it starts, if it has one, which is next then.
    fn plain_string(&mut self) -> Result<std::result::Result<&'a [u8], usize>> {
        let start = self.at + 1;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let end = memchr2(b'"', b'\\', rest);
        let text = &rest[..end.unwrap_or(rest.len())];
        self.at = start + text.len();
        if let Some(control) = control(text) {
            self.at = start + control;
            return self.refuse("in string literal");
        }
        match rest.get(text.len()) {
            None => Err(SyntaxError::End),
            Some(b'"') => {
                self.at += 1;
                Ok(Ok(text))
            }
            Some(_) => Ok(Err(start)),
        }
    }

    /// Passes over a string.
    fn skip_string(&mut self) -> Result<()> {
        if let Err(start) = self.plain_string()? {
            self.escaped(start)?;
        }
        Ok(())
    }

    fn escaped(&mut self, start: usize) -> Result<String> {
        let mut out = self.bytes[start..self.at].to_vec();
        loop {
            match self.bytes.get(self.at) {
                None => return Err(SyntaxError::End),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(match String::from_utf8(out) {
                        Ok(text) => text,
                        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
                    });
                }
                Some(b'\\') => {
                    self.at += 1;
                    let c = self.escape()?;
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(0..=0x1f) => return self.refuse("in string literal"),
                Some(&c) => {
                    out.push(c);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        let c = match self.bytes.get(self.at) {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(&c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return self.refuse("in string escape code"),
        };
        self.at += 1;
        Ok(c)
    }

    fn unicode(&mut self) -> Result<char> {
        let high = self.hex4()?;
        if (0xd800..0xdc00).contains(&high) && self.bytes[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let low = self.hex4()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Result<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.bytes.get(self.at).and_then(|&c| char::from(c).to_digit(16));
            match digit {
                Some(digit) => code = code * 16 + digit,
                None => return self.refuse("in \\u hexadecimal character escape"),
            }
            self.at += 1;
        }
        Ok(code)
    }

    /// Takes a number, as it is written.
    pub fn number(&mut self) -> Result<&'a str> {
        let start = self.at;
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.refuse("in numeric literal"),
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.some_digits("after decimal point in numeric literal")?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.some_digits("in exponent of numeric literal")?;
        }
        Ok(std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or_default())
    }

    fn digits(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self, context: &'static str) -> Result<()> {
        if !self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            return self.refuse(context);
        }
        self.digits();
        Ok(())
    }

    /// Takes `true` or `false`.
    pub fn bool(&mut self) -> Result<bool> {
        if self.bytes.get(self.at) == Some(&b't') {
            self.literal(b"true", &["", "in literal true (expecting 'r')", "in literal true (expecting 'u')", "in literal true (expecting 'e')"])?;
            return Ok(true);
        }
        self.literal(
            b"false",
            &["", "in literal false (expecting 'a')", "in literal false (expecting 'l')", "in literal false (expecting 's')", "in literal false (expecting 'e')"],
        )?;
        Ok(false)
    }

    /// Takes `null`.
    pub fn null(&mut self) -> Result<()> {
        self.literal(b"null", &["", "in literal null (expecting 'u')", "in literal null (expecting 'l')", "in literal null (expecting 'l')"])
    }

    fn literal(&mut self, word: &[u8], contexts: &[&'static str]) -> Result<()> {
        for (c, context) in word.iter().zip(contexts) {
            if self.bytes.get(self.at) != Some(c) {
                return self.refuse(context);
            }
            self.at += 1;
        }
        Ok(())
    }

    /// Takes the next value whatever it is and returns its text.
    pub fn skip(&mut self) -> Result<&'a [u8]> {
        let kind = self.peek()?;
        let start = self.at;
        match kind {
            Peek::Object => {
                self.open()?;
                let mut first = true;
                while self.key(&mut first)?.is_some() {
                    self.skip()?;
                }
            }
            Peek::Array => {
                self.open()?;
                let mut first = true;
                while self.element(&mut first)? {
                    self.skip()?;
                }
            }
            Peek::String => self.skip_string()?,
            Peek::Number => drop(self.number()?),
            Peek::Bool => drop(self.bool()?),
            Peek::Null => self.null()?,
        }
        Ok(&self.bytes[start..self.at])
    }

    /// Checks that nothing but white space is left.
    pub fn finish(&mut self) -> Result<()> {
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { self.refuse("after top-level value") }
    }
}

/// Where the first control character is.
fn control(text: &[u8]) -> Option<usize> {
    // Without a way out of it the loop looks at many bytes at once.
    let clean = text.iter().fold(true, |clean, b| clean & (*b > 0x1f));
    if clean { None } else { text.iter().position(|b| *b <= 0x1f) }
}

fn quoted(c: u8) -> String {
    match c {
        b'\n' => r"'\n'".into(),
        b'\t' => r"'\t'".into(),
        b'\r' => r"'\r'".into(),
        b'\\' => r"'\\'".into(),
        0x20..=0x7e => format!("'{}'", char::from(c)),
        0x80.. => format!("'{}'", char::from(c)),
        _ => format!(r"'\x{c:02x}'"),
    }
}
