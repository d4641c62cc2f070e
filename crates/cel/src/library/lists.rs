//! Functions of lists: Kubernetes' (`isSorted`, `sum`, `min`, `max`, `indexOf`, `lastIndexOf`), cel-go's lists extension
//! (version 3), sets, and `math.greatest`/`least`.

use super::{Answer, Cost, Cost::Standard, Row, int};
use crate::error::EvalError;
use crate::value::{List, Value};
use std::cmp::Ordering;

pub(super) const TABLE: &[Row] = &[
    Row { name: "isSorted", cost: Cost::List, run: is_sorted, overloads: &[("list_is_sorted", "list<A>.():bool")] },
    Row { name: "sum", cost: Cost::List, run: sum, overloads: &[("list_sum", "list<A>.():A")] },
    Row { name: "min", cost: Cost::List, run: min, overloads: &[("list_min", "list<A>.():A")] },
    Row { name: "max", cost: Cost::List, run: max, overloads: &[("list_max", "list<A>.():A")] },
    Row { name: "indexOf", cost: Cost::List, run: index_of, overloads: &[("list_index_of", "list<A>.(A):int")] },
    Row { name: "lastIndexOf", cost: Cost::List, run: last_index_of, overloads: &[("list_last_index_of", "list<A>.(A):int")] },
    Row { name: "slice", cost: Cost::List, run: slice, overloads: &[("list_slice", "list<A>.(int,int):list<A>")] },
    Row { name: "flatten", cost: Cost::List, run: flatten, overloads: &[
        ("list_flatten", "list<list<A>>.():list<A>"), ("list_flatten_int", "list<dyn>.(int):list<dyn>"),
    ] },
    Row { name: "distinct", cost: Cost::Pairs, run: distinct, overloads: &[("list_distinct", "list<A>.():list<A>")] },
    Row { name: "reverse", cost: Cost::List, run: reverse, overloads: &[("list_reverse", "list<A>.():list<A>")] },
    Row { name: "sort", cost: Cost::Pairs, run: sort, overloads: &[("list_sort", "list<A>.():list<A>")] },
    Row { name: "@sortByAssociatedKeys", cost: Cost::Pairs, run: sort_by, overloads: &[("list_sort_by_keys", "list<A>.(list<B>):list<A>")] },
    Row { name: "lists.range", cost: Standard, run: range, overloads: &[("lists_range", "(int):list<int>")] },
    Row { name: "sets.contains", cost: Cost::Pairs, run: set_contains, overloads: &[("list_sets_contains_list", "(list<A>,list<A>):bool")] },
    Row { name: "sets.equivalent", cost: Cost::Pairs, run: equivalent, overloads: &[("list_sets_equivalent_list", "(list<A>,list<A>):bool")] },
    Row { name: "sets.intersects", cost: Cost::Pairs, run: intersects, overloads: &[("list_sets_intersects_list", "(list<A>,list<A>):bool")] },
    Row { name: "math.greatest", cost: Standard, run: greatest, overloads: &[
        ("math_@max_list", "(list<A>):A"), ("math_@max_1", "(A):A"), ("math_@max_2", "(A,A):A"), ("math_@max_3", "(A,A,A):A"),
    ] },
    Row { name: "math.least", cost: Standard, run: least, overloads: &[
        ("math_@min_list", "(list<A>):A"), ("math_@min_1", "(A):A"), ("math_@min_2", "(A,A):A"), ("math_@min_3", "(A,A,A):A"),
    ] },
];

/// Elements that `lists.range` makes at most.
const RANGE_MAX: i64 = 1_000_000;

fn list<'v, 'a>(args: &'v [Value<'a>], n: usize) -> Result<&'v List<'a>, EvalError> {
    match args.get(n) {
        Some(Value::List(l)) => Ok(l),
        _ => Err(EvalError::overload()),
    }
}

fn compare<'a>(a: &Value<'a>, b: &Value<'a>) -> Result<Ordering, EvalError> {
    a.order(b).ok_or_else(EvalError::overload)
}

fn is_sorted<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let items: Vec<Value> = list(args, 0)?.iter().collect();
    for pair in items.windows(2) {
        if compare(&pair[0], &pair[1])?.is_gt() {
            return Ok(Value::Bool(false));
        }
    }
    Ok(Value::Bool(true))
}

fn sum<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let mut items = list(args, 0)?.iter();
    let Some(mut total) = items.next() else { return Ok(Value::Int(0)) };
    let plus = super::functions("_+_").first().map(|f| f.run).ok_or_else(EvalError::overload)?;
    for v in items {
        total = plus(&[total, v])?;
    }
    Ok(total)
}

fn extreme<'a>(items: impl Iterator<Item = Value<'a>>, name: &str, wanted: Ordering) -> Answer<'a> {
    let mut best: Option<Value> = None;
    for v in items {
        best = Some(match best {
            Some(b) if compare(&v, &b)? != wanted => b,
            _ => v,
        });
    }
    best.ok_or_else(|| EvalError::new(format!("{name} called on empty list")))
}

fn min<'a>(args: &[Value<'a>]) -> Answer<'a> {
    extreme(list(args, 0)?.iter(), "min", Ordering::Less)
}
fn max<'a>(args: &[Value<'a>]) -> Answer<'a> {
    extreme(list(args, 0)?.iter(), "max", Ordering::Greater)
}

fn several<'a>(args: &[Value<'a>]) -> Vec<Value<'a>> {
    match args {
        [Value::List(l)] => l.iter().collect(),
        other => other.to_vec(),
    }
}

fn greatest<'a>(args: &[Value<'a>]) -> Answer<'a> {
    extreme(several(args).into_iter(), "math.@max", Ordering::Greater)
}
fn least<'a>(args: &[Value<'a>]) -> Answer<'a> {
    extreme(several(args).into_iter(), "math.@min", Ordering::Less)
}

fn index_of<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Int(list(args, 0)?.iter().position(|v| v.equals(&args[1])).map_or(-1, |i| i as i64)))
}
fn last_index_of<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let items: Vec<Value> = list(args, 0)?.iter().collect();
    Ok(Value::Int(items.iter().rposition(|v| v.equals(&args[1])).map_or(-1, |i| i as i64)))
}

fn slice<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let items: Vec<Value> = list(args, 0)?.iter().collect();
    let (from, to) = (int(args, 1)?, int(args, 2)?);
    let odd = |why: &str| EvalError::new(format!("cannot slice({from}, {to}), {why}"));
    let (Ok(f), Ok(t)) = (usize::try_from(from), usize::try_from(to)) else { return Err(odd("negative indexes not supported")) };
    if f > t {
        return Err(odd("start index must be less than or equal to end index"));
    }
    if t > items.len() {
        return Err(EvalError::new(format!("cannot slice({from}, {to}), list is length {}", items.len())));
    }
    Ok(Value::list(items[f..t].to_vec()))
}

fn flatten<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let depth = if args.len() > 1 { int(args, 1)? } else { 1 };
    if depth < 0 {
        return Err(EvalError::new("level must be non-negative"));
    }
    let mut out = Vec::new();
    spread(list(args, 0)?, depth, &mut out);
    Ok(Value::list(out))
}

fn spread<'a>(from: &List<'a>, depth: i64, out: &mut Vec<Value<'a>>) {
    for v in from.iter() {
        match v {
            Value::List(inner) if depth > 0 => spread(&inner, depth - 1, out),
            other => out.push(other),
        }
    }
}

fn distinct<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let mut out: Vec<Value> = Vec::new();
    for v in list(args, 0)?.iter() {
        if !out.iter().any(|o| o.equals(&v)) {
            out.push(v);
        }
    }
    Ok(Value::list(out))
}

fn reverse<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let mut items: Vec<Value> = list(args, 0)?.iter().collect();
    items.reverse();
    Ok(Value::list(items))
}

fn sorted<'a>(items: Vec<Value<'a>>, keys: Vec<Value<'a>>) -> Answer<'a> {
    if items.len() != keys.len() {
        return Err(EvalError::new("expected a list of the same size as the associated keys list"));
    }
    if let Some(first) = keys.first() {
        for k in &keys {
            compare(first, k).map_err(|_| EvalError::new("list elements must be comparable"))?;
        }
    }
    let mut both: Vec<(Value, Value)> = keys.into_iter().zip(items).collect();
    both.sort_by(|a, b| a.0.order(&b.0).unwrap_or(Ordering::Equal));
    Ok(Value::list(both.into_iter().map(|(_, v)| v).collect()))
}

fn sort<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let items: Vec<Value> = list(args, 0)?.iter().collect();
    sorted(items.clone(), items)
}
fn sort_by<'a>(args: &[Value<'a>]) -> Answer<'a> {
    sorted(list(args, 0)?.iter().collect(), list(args, 1)?.iter().collect())
}

fn range<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let n = int(args, 0)?;
    if n > RANGE_MAX {
        return Err(EvalError::new(format!("lists.range() size exceeds limit: {RANGE_MAX}")));
    }
    Ok(Value::list((0..n).map(Value::Int).collect()))
}

fn all_in<'a>(a: &List<'a>, b: &List<'a>) -> bool {
    let others: Vec<Value> = b.iter().collect();
    a.iter().all(|v| others.iter().any(|o| o.equals(&v)))
}
fn set_contains<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(all_in(list(args, 1)?, list(args, 0)?)))
}
fn equivalent<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (a, b) = (list(args, 0)?, list(args, 1)?);
    Ok(Value::Bool(all_in(a, b) && all_in(b, a)))
}
fn intersects<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let others: Vec<Value> = list(args, 1)?.iter().collect();
    Ok(Value::Bool(list(args, 0)?.iter().any(|v| others.iter().any(|o| o.equals(&v)))))
}
