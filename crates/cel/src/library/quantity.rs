//! `quantity()`: Kubernetes' quantities compared and added.

use super::{Answer, Cost, Row, text};
use crate::error::EvalError;
use crate::opaque::Opaque;
use crate::value::Value;
use kinds::Quantity;
use std::cmp::Ordering;
use std::sync::Arc;

const Q: Cost = Cost::Fixed(1);

pub(super) const TABLE: &[Row] = &[
    Row { name: "quantity", cost: Cost::Text(0, 1, false), run: quantity, overloads: &[("string_to_quantity", "(string):kubernetes.Quantity")] },
    Row { name: "isQuantity", cost: Cost::Text(0, 1, false), run: is_quantity, overloads: &[("is_quantity_string", "(string):bool")] },
    Row { name: "sign", cost: Q, run: sign, overloads: &[("quantity_sign", "kubernetes.Quantity.():int")] },
    Row { name: "isGreaterThan", cost: Q, run: is_greater, overloads: &[("quantity_is_greater_than", "kubernetes.Quantity.(kubernetes.Quantity):bool")] },
    Row { name: "isLessThan", cost: Q, run: is_less, overloads: &[("quantity_is_less_than", "kubernetes.Quantity.(kubernetes.Quantity):bool")] },
    Row { name: "compareTo", cost: Q, run: compare_to, overloads: &[("quantity_compare_to", "kubernetes.Quantity.(kubernetes.Quantity):int")] },
    Row { name: "asApproximateFloat", cost: Q, run: as_float, overloads: &[("quantity_get_float", "kubernetes.Quantity.():double")] },
    Row { name: "asInteger", cost: Q, run: as_integer, overloads: &[("quantity_get_int", "kubernetes.Quantity.():int")] },
    Row { name: "isInteger", cost: Q, run: is_integer, overloads: &[("quantity_is_integer", "kubernetes.Quantity.():bool")] },
    Row { name: "add", cost: Q, run: add, overloads: &[
        ("quantity_add", "kubernetes.Quantity.(kubernetes.Quantity):kubernetes.Quantity"), ("quantity_add_int", "kubernetes.Quantity.(int):kubernetes.Quantity"),
    ] },
    Row { name: "sub", cost: Q, run: sub, overloads: &[
        ("quantity_sub", "kubernetes.Quantity.(kubernetes.Quantity):kubernetes.Quantity"), ("quantity_sub_int", "kubernetes.Quantity.(int):kubernetes.Quantity"),
    ] },
];

fn of(value: &Value) -> Result<Quantity, EvalError> {
    match value {
        Value::Opaque(Opaque::Quantity(q)) => Ok(**q),
        Value::Int(n) => Ok(Quantity::units(*n, kinds::quantity::Format::DecimalSi)),
        _ => Err(EvalError::overload()),
    }
}

fn made<'a>(q: Quantity) -> Answer<'a> {
    Ok(Value::Opaque(Opaque::Quantity(Arc::new(q))))
}

fn quantity<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match Quantity::parse(text(args, 0)?) {
        Ok(q) => made(q),
        Err(e) => Err(EvalError::new(e.to_string())),
    }
}
fn is_quantity<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(Quantity::parse(text(args, 0)?).is_ok()))
}
fn sign<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let q = of(&args[0])?;
    Ok(Value::Int(if q.is_negative() { -1 } else { i64::from(!q.is_zero()) }))
}
fn order(args: &[Value]) -> Result<Ordering, EvalError> {
    Ok(of(&args[0])?.cmp(&of(&args[1])?))
}
fn is_greater<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(order(args)?.is_gt()))
}
fn is_less<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(order(args)?.is_lt()))
}
fn compare_to<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Int(order(args)? as i64))
}
fn as_float<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Double(of(&args[0])?.as_f64()))
}
fn as_integer<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let q = of(&args[0])?;
    if q.is_integer() { Ok(Value::Int(q.value())) } else { Err(EvalError::new("cannot convert value to integer")) }
}
fn is_integer<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(of(&args[0])?.is_integer()))
}
fn add<'a>(args: &[Value<'a>]) -> Answer<'a> {
    made(of(&args[0])? + of(&args[1])?)
}
fn sub<'a>(args: &[Value<'a>]) -> Answer<'a> {
    made(of(&args[0])? - of(&args[1])?)
}
