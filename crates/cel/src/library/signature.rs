//! Signatures of overloads: `string.(int,int):string`, `(list<A>):A`.

use super::Overload;
use crate::types::Type;
use std::sync::Arc;

/// Reads a signature; the table is ours, so it is well formed.
pub(super) fn parse(id: &'static str, text: &'static str) -> Overload {
    let (left, result) = text.rsplit_once(':').expect("signatures have results");
    let (receiver, args) = left.split_once('(').expect("signatures have arguments");
    let args = args.strip_suffix(')').expect("arguments end");
    let receiver = receiver.strip_suffix('.');
    let types = receiver.into_iter().chain(split(args));
    let args: Vec<Type> = types.map(ty).collect();
    let result = ty(result);
    let params = args.iter().chain([&result]).map(last).max().unwrap_or_default();
    Overload { id, member: receiver.is_some(), args, result, params }
}

/// Parts between commas that stand in no brackets.
fn split(text: &'static str) -> Vec<&'static str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (i, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    if start < text.len() {
        parts.push(&text[start..]);
    }
    parts
}

fn ty(text: &'static str) -> Type {
    if let Some((name, inner)) = text.split_once('<') {
        let inner = split(inner.strip_suffix('>').expect("brackets close"));
        let mut parts = inner.into_iter().map(ty);
        let first = parts.next().expect("brackets hold something");
        return match name {
            "list" => Type::list(first),
            "opt" => Type::optional(first),
            "type" => Type::Kind(Arc::new(first)),
            _ => Type::map(first, parts.next().expect("maps have values")),
        };
    }
    match text {
        "dyn" => Type::Dyn,
        "null" => Type::Null,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::Text,
        "bytes" => Type::Bytes,
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        "A" => Type::Param(0),
        "B" => Type::Param(1),
        name => Type::Opaque(name),
    }
}

/// One more than the highest parameter of a type.
fn last(ty: &Type) -> u32 {
    match ty {
        Type::Param(n) => n + 1,
        Type::List(of) | Type::Optional(of) | Type::Kind(of) => last(of),
        Type::Map(kv) => last(&kv.0).max(last(&kv.1)),
        _ => 0,
    }
}
