//! Reading the embedded table of types. The text is generated and checked by this crate's tests, so a line that does not
//! fit is a mistake of the build and stops the program.

use std::collections::HashMap;

use crate::field::{self, Emit, Field, Kind, NO_TYPE};
use crate::types::{Special, Type, Types};

/// Parses `data/types.txt`.
pub(crate) fn types(text: &'static str) -> Types {
    let mut table = Types { types: Vec::with_capacity(1300), fields: Vec::with_capacity(4400), flat: Vec::new(), gvks: Vec::new(), anywhere: Vec::new() };
    let mut references: Vec<&'static str> = Vec::with_capacity(4400);
    for line in text.lines() {
        if let Some(line) = line.strip_prefix('=') {
            open_type(&mut table, line);
        } else {
            let (parsed, reference) = parse_field(line);
            references.push(reference);
            table.fields.push(parsed);
            table.types.last_mut().expect("a type line comes first").count += 1;
        }
    }
    resolve(&mut table, &references);
    flatten(&mut table);
    index_gvks(&mut table);
    table
}

fn open_type(table: &mut Types, line: &'static str) {
    let (name, rest) = line.split_once('\t').unwrap_or((line, ""));
    let special = rest.split('\t').skip(1).find_map(|a| a.strip_prefix('S')).map(special);
    let index = small(table.types.len());
    table.types.push(Type { name, rest, first: small(table.fields.len()), count: 0, flat_first: 0, flat_count: 0, special, index });
}

fn small(n: usize) -> u16 {
    u16::try_from(n).expect("the table has fewer than 65,536 rows")
}

fn parse_field(line: &'static str) -> (Field, &'static str) {
    let (json, line) = cut(line);
    let (tag, line) = cut(line);
    let (kind, line) = cut(line);
    let (reference, rest) = cut(line);
    let (flags, attributes) = cut(rest);
    let (kind, item) = kinds(kind);
    let mut emit = Emit::Unknown;
    let mut bits = 0;
    for letter in flags.bytes() {
        match letter {
            b'P' => emit = Emit::Presence,
            b'N' => emit = Emit::Nonzero,
            b'A' => emit = Emit::Always,
            b'0' => emit = Emit::Null,
            b'!' => bits |= field::REQUIRED,
            b'I' => bits |= field::INLINE,
            b'X' => bits |= field::VALUE_ITEMS,
            b'u' => bits |= field::DISCRIMINATOR,
            b'm' => bits |= field::UNION_MEMBER,
            other => panic!("unknown flag {other}"),
        }
    }
    // The list type is the first attribute of a list that has one; one field of bytes is published as a list, too.
    if let (Kind::List | Kind::Bytes, Some(list)) = (kind, attributes.strip_prefix('L')) {
        bits |= match cut(list).0 {
            "a=" => field::LIST_ATOMIC,
            "s=" => field::LIST_SET,
            _ => field::LIST_MAP,
        };
    }
    let tag = tag.bytes().fold(0, |n, digit| n * 10 + u16::from(digit - b'0'));
    (Field { json, rest, reference: NO_TYPE, tag, kind, item, emit, bits }, reference)
}

/// The text up to the first tab, and what follows it. The columns are short: no search is quicker than a look at each byte.
fn cut(text: &'static str) -> (&'static str, &'static str) {
    match text.bytes().position(|byte| byte == b'\t') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, ""),
    }
}

fn kinds(code: &str) -> (Kind, Kind) {
    let item = match code.as_bytes().last() {
        Some(b's') => Kind::String,
        Some(b'i') => Kind::Int32,
        Some(b'l') => Kind::Int64,
        Some(b'b') => Kind::Bool,
        Some(b'd') => Kind::Double,
        Some(b'y') => Kind::Bytes,
        Some(b'e') => Kind::Enum,
        Some(b'o') => Kind::Object,
        _ => Kind::Any,
    };
    match code.as_bytes().first() {
        Some(b'[') => (Kind::List, item),
        Some(b'{') => (Kind::Map, item),
        _ => (item, item),
    }
}

fn special(name: &str) -> Special {
    match name {
        "time" => Special::Time,
        "microTime" => Special::MicroTime,
        "duration" => Special::Duration,
        "quantity" => Special::Quantity,
        "intOrString" => Special::IntOrString,
        "rawExtension" => Special::RawExtension,
        "rawJSON" => Special::RawJson,
        "fieldsV1" => Special::FieldsV1,
        "listWrapper" => Special::ListWrapper,
        "schemaOrArray" => Special::SchemaOrArray,
        "schemaOrBool" => Special::SchemaOrBool,
        "schemaOrStringArray" => Special::SchemaOrStringArray,
        "unknownEnvelope" => Special::UnknownEnvelope,
        "protoOnly" => Special::ProtoOnly,
        other => panic!("unknown special form {other}"),
    }
}

/// Finds the referenced types. Types of one package stand together, so a reference inside it is looked for there alone.
fn resolve(table: &mut Types, references: &[&'static str]) {
    let mut elsewhere: HashMap<&'static str, u16> = HashMap::new();
    let (mut package, mut neighbours) = ("", 0..0);
    for at in 0..table.types.len() {
        let name = table.types[at].name;
        let own = &name[..name.len() - table.types[at].short_name().len()];
        if own != package {
            package = own;
            let end = table.types[at..].partition_point(|t| t.name.starts_with(own));
            neighbours = at..at + end;
        }
        let (first, count) = (usize::from(table.types[at].first), usize::from(table.types[at].count));
        for index in first..first + count {
            let reference = references[index];
            if reference.is_empty() {
                continue;
            }
            let found = match reference.strip_prefix('.') {
                Some(short) => table.types[neighbours.clone()].binary_search_by(|t| t.name[package.len()..].cmp(short)).map(|i| small(neighbours.start + i)).ok(),
                None => elsewhere.get(reference).copied().or_else(|| {
                    let i = small(table.types.binary_search_by(|t| t.name.cmp(reference)).ok()?);
                    elsewhere.insert(reference, i);
                    Some(i)
                }),
            };
            table.fields[index].reference = found.unwrap_or_else(|| panic!("{reference} of {name} is not a type"));
        }
    }
}

fn flatten(table: &mut Types) {
    let mut own = Vec::new();
    for at in 0..table.types.len() {
        let first = table.flat.len();
        own.clear();
        collect(table, at, &mut own);
        own.sort_unstable_by_key(|&i| table.fields[usize::from(i)].json);
        table.flat.extend_from_slice(&own);
        table.types[at].flat_first = small(first);
        table.types[at].flat_count = small(table.flat.len() - first);
    }
}

fn collect(table: &Types, at: usize, into: &mut Vec<u16>) {
    let ty = &table.types[at];
    for index in ty.first..ty.first + ty.count {
        let field = &table.fields[usize::from(index)];
        if field.inline() {
            collect(table, usize::from(field.reference), into);
        } else if !field.json.is_empty() {
            into.push(index);
        }
    }
}

fn index_gvks(table: &mut Types) {
    let mut gvks = Vec::new();
    for ty in &table.types {
        if ty.any_group_version() {
            table.anywhere.push(ty.index);
        }
        gvks.extend(ty.gvks().map(|(group, version, kind)| (group, version, kind, ty.index)));
    }
    gvks.sort_unstable();
    table.gvks = gvks;
}
