//! JSON values to YAML text exactly as `kubectl -o yaml` prints it.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::resolve::needs_quotes;

/// Column after which plain and quoted texts are folded at the next space.
const WIDTH: usize = 80;
/// Keys longer than this are written in the explicit form.
const SIMPLE_KEY: usize = 128;

/// A value as YAML, ending in a newline.
pub fn write(value: &Value) -> String {
    let mut out = String::new();
    write_into(&mut out, value);
    out
}

/// Appends a value as YAML, ending in a newline.
pub fn write_into(out: &mut String, value: &Value) {
    let mut writer = Writer { out, column: 0 };
    match value {
        Value::Object(map) if !map.is_empty() => writer.mapping(map, 0, false),
        Value::Array(list) if !list.is_empty() => writer.sequence(list, 0, false),
        // A block needs its indentation said when it begins with a blank, and readers differ in what that means without a parent;
        // and without one a line of it may look like the end of the document.
        Value::String(text) if text.contains('\n') && (text.starts_with([' ', '\n']) || text.split('\n').any(ends_block)) => {
            writer.double_quoted(text, 0, true);
            writer.newline();
        }
        other => {
            writer.leaf(other, 0);
            writer.newline();
        }
    }
}

/// Whether a line that is not indented would not be taken for one of the block.
fn ends_block(line: &str) -> bool {
    line.starts_with("---") || line.starts_with("...")
}

struct Writer<'a> {
    out: &'a mut String,
    column: usize,
}

impl Writer<'_> {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn character(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn newline(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    fn indent(&mut self, columns: usize) {
        for _ in self.column..columns {
            self.out.push(' ');
        }
        self.column = self.column.max(columns);
    }

    /// `started`: the first line's indentation is already written (after `- `).
    fn mapping(&mut self, map: &Map<String, Value>, indent: usize, mut started: bool) {
        let mut entries: Vec<(&String, &Value)> = map.iter().collect();
        entries.sort_by(|a, b| natural(a.0, b.0));
        for (key, value) in entries {
            if !std::mem::take(&mut started) {
                self.indent(indent);
            }
            if key.chars().count() > SIMPLE_KEY {
                self.put("? ");
                self.text(key, indent + 2, false);
                self.newline();
                self.indent(indent);
            } else {
                self.text(key, indent, true);
            }
            self.put(":");
            match value {
                Value::Object(inner) if !inner.is_empty() => {
                    self.newline();
                    self.mapping(inner, indent + 2, false);
                }
                Value::Array(list) if !list.is_empty() => {
                    self.newline();
                    self.sequence(list, indent, false);
                }
                leaf => {
                    self.put(" ");
                    self.leaf(leaf, indent + 2);
                    self.newline();
                }
            }
        }
    }

    fn sequence(&mut self, list: &[Value], indent: usize, mut started: bool) {
        for value in list {
            if !std::mem::take(&mut started) {
                self.indent(indent);
            }
            self.put("- ");
            match value {
                Value::Object(inner) if !inner.is_empty() => self.mapping(inner, indent + 2, true),
                Value::Array(inner) if !inner.is_empty() => self.sequence(inner, indent + 2, true),
                leaf => {
                    self.leaf(leaf, indent + 2);
                    self.newline();
                }
            }
        }
    }

    fn leaf(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Null => self.put("null"),
            Value::Bool(true) => self.put("true"),
            Value::Bool(false) => self.put("false"),
            Value::Number(n) => self.put(&number(n)),
            Value::String(text) => self.text(text, indent, false),
            Value::Array(_) => self.put("[]"),
            Value::Object(_) => self.put("{}"),
        }
    }

    fn text(&mut self, text: &str, indent: usize, key: bool) {
        let facts = Facts::of(text);
        if needs_quotes(text) {
            self.double_quoted(text, indent, key);
        } else if text.contains('\n') && !key && facts.block_allowed() {
            self.literal(text, indent);
        } else if facts.plain_allowed() {
            self.folded(text, indent, key, |writer, c| writer.character(c));
        } else if facts.single_quoted_allowed() && !(key && text.contains('\n')) {
            self.put("'");
            self.single_quoted(text, indent, key);
            self.put("'");
        } else {
            self.double_quoted(text, indent, key);
        }
    }

    /// Writes a text, broken at single spaces behind the width.
    fn folded(&mut self, text: &str, indent: usize, key: bool, mut each: impl FnMut(&mut Self, char)) {
        let mut after_space = false;
        let mut characters = text.chars().peekable();
        let mut first = true;
        while let Some(c) = characters.next() {
            let inner = !first && characters.peek().is_some();
            if c == ' ' && !key && !after_space && self.column > WIDTH && inner && characters.peek() != Some(&' ') {
                self.newline();
                self.indent(indent);
            } else {
                each(self, c);
            }
            after_space = c == ' ';
            first = false;
        }
    }

    fn single_quoted(&mut self, text: &str, indent: usize, key: bool) {
        self.folded(text, indent, key, |writer, c| match c {
            '\'' => writer.put("''"),
            other => writer.character(other),
        });
    }

    fn double_quoted(&mut self, text: &str, indent: usize, key: bool) {
        self.put("\"");
        let mut after_space = false;
        let mut characters = text.chars().peekable();
        let mut first = true;
        while let Some(c) = characters.next() {
            if c == ' ' && !key && !after_space && self.column > WIDTH && !first && characters.peek().is_some() {
                self.newline();
                self.indent(indent);
                if characters.peek() == Some(&' ') {
                    self.put("\\");
                }
            } else if printable(c) && c != '"' && c != '\\' && c != '\n' && c != '\u{feff}' {
                self.character(c);
            } else {
                self.put(&escape(c));
            }
            after_space = c == ' ';
            first = false;
        }
        self.put("\"");
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put("|");
        if text.starts_with([' ', '\n']) {
            self.put("2");
        }
        let body = text.strip_suffix('\n');
        match body {
            None => self.put("-"),
            Some(body) if body.is_empty() || body.ends_with('\n') => self.put("+"),
            Some(_) => {}
        }
        for line in body.unwrap_or(text).split('\n') {
            self.newline();
            if !line.is_empty() {
                self.indent(indent);
                self.put(line);
            }
        }
    }
}

/// What stands in a text, as far as it decides the style.
struct Facts {
    indicators: bool,
    special: bool,
    breaks: bool,
    edge_space: bool,
    trailing_space: bool,
    edge_break: bool,
    space_break: bool,
    break_space: bool,
}

impl Facts {
    fn of(text: &str) -> Self {
        let mut facts = Self {
            indicators: text.starts_with("---") || text.starts_with("..."),
            special: false,
            breaks: text.contains('\n'),
            edge_space: text.starts_with(' ') || text.ends_with(' '),
            trailing_space: text.ends_with(' '),
            edge_break: text.starts_with('\n') || text.ends_with('\n'),
            space_break: text.contains(" \n"),
            break_space: text.contains("\n "),
        };
        let mut before = None;
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            let followed = characters.peek().is_none_or(|next| matches!(next, ' ' | '\n' | '\t' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}'));
            match (c, before) {
                ('#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`', None) => facts.indicators = true,
                ('?' | ':' | '-', None) if followed => facts.indicators = true,
                (':', Some(_)) if followed => facts.indicators = true,
                ('#', Some(' ' | '\n' | '\t')) => facts.indicators = true,
                _ => {}
            }
            facts.special |= !printable(c);
            facts.breaks |= matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}');
            before = Some(c);
        }
        facts
    }

    fn plain_allowed(&self) -> bool {
        !(self.indicators || self.special || self.breaks || self.edge_space || self.edge_break || self.space_break || self.break_space)
    }

    fn single_quoted_allowed(&self) -> bool {
        !(self.special || self.space_break || self.break_space || self.breaks)
    }

    fn block_allowed(&self) -> bool {
        !(self.special || self.space_break || self.trailing_space)
    }
}

/// What the emitter writes unescaped; not tabs, and nothing beyond the basic plane.
fn printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && c != '\u{feff}'
}

fn escape(c: char) -> String {
    match c {
        '\0' => "\\0".to_owned(),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\t' => "\\t".to_owned(),
        '\n' => "\\n".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\r' => "\\r".to_owned(),
        '\u{1b}' => "\\e".to_owned(),
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\u{85}' => "\\N".to_owned(),
        '\u{a0}' => "\\_".to_owned(),
        '\u{2028}' => "\\L".to_owned(),
        '\u{2029}' => "\\P".to_owned(),
        c if u32::from(c) <= 0xff => format!("\\x{:02X}", u32::from(c)),
        c if u32::from(c) <= 0xffff => format!("\\u{:04X}", u32::from(c)),
        c => format!("\\U{:08X}", u32::from(c)),
    }
}

fn number(n: &serde_json::Number) -> String {
    match n.as_f64() {
        Some(float) if n.is_f64() => super::resolve::float(float).map_or_else(|| n.to_string(), |n| n.to_string()),
        _ => n.to_string(),
    }
}

/// The order of keys: letters behind other characters, runs of digits by their number.
fn natural(a: &str, b: &str) -> Ordering {
    let (left, right): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = left.iter().zip(&right).position(|(l, r)| l != r) else {
        return left.len().cmp(&right.len());
    };
    let (l, r) = (left[at], right[at]);
    match (l.is_alphabetic(), r.is_alphabetic()) {
        (true, true) => return l.cmp(&r),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // Zeros inside a longer number count as digits of it.
    let within = (l == '0' || r == '0') && left[..at].iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
    let run = |text: &[char]| {
        let digits: Vec<char> = text[at..].iter().take_while(|c| c.is_ascii_digit()).copied().collect();
        let value = digits.iter().fold(i64::from(within), |n, c| n.wrapping_mul(10).wrapping_add(i64::from(c.to_digit(10).unwrap_or(0))));
        (value, digits.len())
    };
    run(&left).cmp(&run(&right)).then(l.cmp(&r))
}
