//! Reading the embedded table of types. The text is generated and checked by this crate's tests, so a line that does not
//! fit is a mistake of the build and stops the program.

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
    let mut columns = line.splitn(5, '\t');
    let mut next = || columns.next().expect("a field line has five columns");
    let (json, tag, kind, reference, rest) = (next(), next(), next(), next(), next());
    let (flags, attributes) = rest.split_once('\t').unwrap_or((rest, ""));
    let (kind, item) = kinds(kind);
    let mut emit = Emit::Unknown;
    let mut bits = 0;
    for letter in flags.bytes() {
        match letter {
            b'P' => emit = Emit::Presence,
            b'N' => emit = Emit::Nonzero,
            b'A' => emit = Emit::Always,
            b'!' => bits |= field::REQUIRED,
            b'I' => bits |= field::INLINE,
            b'X' => bits |= field::VALUE_ITEMS,
            b'u' => bits |= field::DISCRIMINATOR,
            b'm' => bits |= field::UNION_MEMBER,
            other => panic!("unknown flag {other}"),
        }
    }
    if let Some(list) = attributes.split('\t').find_map(|a| a.strip_prefix('L')) {
        bits |= match list {
            "a=" => field::LIST_ATOMIC,
            "s=" => field::LIST_SET,
            _ => field::LIST_MAP,
        };
    }
    let tag = tag.parse().expect("a tag is a number");
    (Field { json, rest, reference: NO_TYPE, tag, kind, item, emit, bits }, reference)
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

fn resolve(table: &mut Types, references: &[&'static str]) {
    let mut found = vec![NO_TYPE; references.len()];
    for ty in &table.types {
        let package = &ty.name[..ty.name.len() - ty.short_name().len()];
        for at in usize::from(ty.first)..usize::from(ty.first) + usize::from(ty.count) {
            let reference = references[at];
            if reference.is_empty() {
                continue;
            }
            let index = match reference.strip_prefix('.') {
                Some(short) => table.types.binary_search_by(|t| compare(t.name, package, short)),
                None => table.types.binary_search_by(|t| t.name.cmp(reference)),
            };
            found[at] = small(index.unwrap_or_else(|_| panic!("{reference} of {} is not a type", ty.name)));
        }
    }
    for (field, reference) in table.fields.iter_mut().zip(found) {
        field.reference = reference;
    }
}

/// Orders `name` against `package` followed by `short` without joining them.
fn compare(name: &str, package: &str, short: &str) -> std::cmp::Ordering {
    let (name, package) = (name.as_bytes(), package.as_bytes());
    let split = name.len().min(package.len());
    name[..split].cmp(&package[..split]).then_with(|| if split < package.len() { std::cmp::Ordering::Less } else { name[split..].cmp(short.as_bytes()) })
}

fn flatten(table: &mut Types) {
    for at in 0..table.types.len() {
        let first = table.flat.len();
        let mut own = Vec::new();
        collect(table, at, &mut own);
        own.sort_unstable_by_key(|&i| table.fields[usize::from(i)].json);
        table.flat.extend(own);
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
