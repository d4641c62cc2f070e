//! Source text into tokens. CEL specification, "Lexis": numbers, strings in all their quotings, bytes, identifiers.

use crate::error::Issue;
use std::sync::Arc;

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Int(i64),
    /// An integer that only fits with a minus before it.
    IntMin,
    Uint(u64),
    Double(f64),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
    Ident(Arc<str>),
    /// Punctuation and operators.
    Sign(&'static str),
    End,
}

const SIGNS: &[&str] = &[
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "(", ")", "[", "]", "{", "}", ".", ",", "?", ":", "+", "-", "*", "/", "%", "!",
];

/// A token with where it begins and ends.
pub(crate) struct Placed {
    pub(crate) token: Token,
    pub(crate) at: u32,
    pub(crate) end: u32,
}

/// Cuts a source into tokens; the last one is [`Token::End`].
pub(crate) fn tokens(source: &str) -> Result<Vec<Placed>, Issue> {
    let mut lexer = Lexer { source, at: 0 };
    let mut found = Vec::new();
    loop {
        lexer.skip();
        let at = lexer.at;
        let token = lexer.next()?;
        let end = token == Token::End;
        found.push(Placed { token, at: at as u32, end: lexer.at as u32 });
        if end {
            return Ok(found);
        }
    }
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
            self.at += rest.len() - trimmed.len();
            if !trimmed.starts_with("//") {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn fail<T>(&self, text: impl Into<String>) -> Result<T, Issue> {
        Err(Issue::new(self.at as u32, text))
    }

    fn next(&mut self) -> Result<Token, Issue> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        if first.is_ascii_digit() || (first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
            return self.number();
        }
        if let Some(token) = self.quoted()? {
            return Ok(token);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            self.at += end;
            return Ok(Token::Ident(rest[..end].into()));
        }
        match SIGNS.iter().find(|s| rest.starts_with(**s)) {
            Some(sign) => {
                self.at += sign.len();
                Ok(Token::Sign(sign))
            }
            None => self.fail(format!("Syntax error: token recognition error at: '{first}'")),
        }
    }

    fn number(&mut self) -> Result<Token, Issue> {
        let rest = self.rest();
        let hex = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X"));
        if let Some(hex) = hex {
            let len = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
            return self.whole(&hex[..len], 16, 2 + len);
        }
        let digits = |s: &str| s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
        let mut end = digits(rest);
        let mut float = false;
        if rest[end..].starts_with('.') && rest[end + 1..].starts_with(|c: char| c.is_ascii_digit()) {
            float = true;
            end += 1 + digits(&rest[end + 1..]);
        }
        if let Some(tail) = rest[end..].strip_prefix(['e', 'E']) {
            let sign = usize::from(tail.starts_with(['+', '-']));
            let exponent = digits(&tail[sign..]);
            if exponent > 0 {
                float = true;
                end += 1 + sign + exponent;
            }
        }
        if !float {
            return self.whole(&rest[..end], 10, end);
        }
        match rest[..end].parse::<f64>() {
            Ok(n) => {
                self.at += end;
                Ok(Token::Double(n))
            }
            Err(_) => self.fail("invalid double literal"),
        }
    }

    fn whole(&mut self, digits: &str, radix: u32, length: usize) -> Result<Token, Issue> {
        if self.rest()[length..].starts_with(['u', 'U']) {
            let Ok(n) = u64::from_str_radix(digits, radix) else { return self.fail("invalid uint literal") };
            self.at += length + 1;
            return Ok(Token::Uint(n));
        }
        let token = match u64::from_str_radix(digits, radix).map(|n| (n, i64::try_from(n))) {
            Ok((_, Ok(n))) => Token::Int(n),
            Ok((n, _)) if n == i64::MIN.unsigned_abs() => Token::IntMin,
            _ => return self.fail("invalid int literal"),
        };
        self.at += length;
        Ok(token)
    }

    /// A text or bytes literal, if one begins here.
    fn quoted(&mut self) -> Result<Option<Token>, Issue> {
        let rest = self.rest();
        let prefix = rest.bytes().take(3).position(|b| b == b'"' || b == b'\'').map(|n| &rest[..n]);
        let Some(prefix) = prefix.filter(|p| p.chars().all(|c| "rRbB".contains(c))) else { return Ok(None) };
        let lower = prefix.to_ascii_lowercase();
        let (raw, bytes) = (lower.contains('r'), lower.contains('b'));
        if lower == "rr" || lower == "bb" {
            return Ok(None);
        }
        let body = &rest[prefix.len()..];
        let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|q| body.starts_with(q)).unwrap_or("\"");
        let inner = &body[quote.len()..];
        let Some(length) = closing(inner, quote, raw) else {
            let shown: String = rest.chars().take_while(|c| *c != '\n').collect();
            return self.fail(format!("Syntax error: token recognition error at: '{shown}'"));
        };
        let text = &inner[..length];
        let token = match unescape(text, raw, bytes) {
            Some(out) if bytes => Token::Bytes(out.into()),
            Some(out) => match String::from_utf8(out) {
                Ok(s) => Token::Text(s.into()),
                Err(_) => return self.fail("invalid string literal"),
            },
            None => return self.fail("Syntax error: invalid escape sequence"),
        };
        self.at += prefix.len() + 2 * quote.len() + length;
        Ok(Some(token))
    }
}

/// How long the inside of a literal is.
fn closing(inner: &str, quote: &str, raw: bool) -> Option<usize> {
    let mut skip = false;
    for (i, c) in inner.char_indices() {
        if skip {
            skip = false;
            continue;
        }
        if !raw && c == '\\' {
            skip = true;
        } else if inner[i..].starts_with(quote) {
            return Some(i);
        } else if quote.len() == 1 && (c == '\n' || c == '\r') {
            return None;
        }
    }
    None
}

fn unescape(text: &str, raw: bool, bytes: bool) -> Option<Vec<u8>> {
    if raw {
        return Some(text.as_bytes().to_vec());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            out.extend(c.to_string().as_bytes());
            continue;
        }
        let e = rest.chars().next()?;
        rest = &rest[e.len_utf8()..];
        let (digits, radix) = match e {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' | '\'' | '"' | '`' | '?' => {
                out.push(match e {
                    'a' => 7,
                    'b' => 8,
                    'f' => 12,
                    'n' => 10,
                    'r' => 13,
                    't' => 9,
                    'v' => 11,
                    other => other as u8,
                });
                continue;
            }
            'x' | 'X' => (2, 16),
            'u' if !bytes => (4, 16),
            'U' if !bytes => (8, 16),
            '0'..='3' => {
                let code = u32::from_str_radix(&format!("{e}{}", rest.get(..2)?), 8).ok()?;
                rest = &rest[2..];
                push(&mut out, code, bytes)?;
                continue;
            }
            _ => return None,
        };
        let code = u32::from_str_radix(rest.get(..digits)?, radix).ok()?;
        rest = &rest[digits..];
        push(&mut out, code, bytes)?;
    }
    Some(out)
}

fn push(out: &mut Vec<u8>, code: u32, bytes: bool) -> Option<()> {
    if bytes {
        out.push(u8::try_from(code).ok()?);
    } else {
        out.extend(char::from_u32(code)?.to_string().as_bytes());
    }
    Some(())
}
