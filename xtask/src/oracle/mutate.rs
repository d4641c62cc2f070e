//! What can be wrong with an object, field by field: from a valid one and the schema table, every field taken away, turned
//! into another type, filled with values that rules object to, and every absent field put in.

use schema::{Field, Kind, Special, Type};
use serde_json::{Value, json};

/// Longer than any name may be.
const LONG: usize = 300;

/// A changed object and what was changed.
pub(crate) struct Mutant {
    /// The path without indices, e.g. `spec.ports[].port`.
    pub path: String,
    /// What was done, e.g. `removed`.
    pub change: String,
    pub object: Value,
}

/// All mutants of an object. `skip` names paths whose insides are someone else's business.
pub(crate) fn mutants(object: &Value, ty: &'static Type, skip: &[String]) -> Vec<Mutant> {
    let mut walk = Walk { object, skip, at: Vec::new(), out: Vec::new() };
    walk.fields(ty, true);
    walk.out
}

#[derive(Clone)]
enum Step {
    Key(String),
    Index(usize),
}

struct Walk<'a> {
    object: &'a Value,
    skip: &'a [String],
    at: Vec<Step>,
    out: Vec<Mutant>,
}

impl Walk<'_> {
    fn here(&self) -> Option<&Value> {
        self.at.iter().try_fold(self.object, |v, step| match step {
            Step::Key(k) => v.get(k),
            Step::Index(i) => v.get(i),
        })
    }

    fn path(&self) -> String {
        self.at.iter().fold(String::new(), |path, step| match step {
            Step::Key(k) if path.is_empty() => k.clone(),
            Step::Key(k) => format!("{path}.{k}"),
            Step::Index(_) => format!("{path}[]"),
        })
    }

    /// A copy of the object with another value here; `None` takes it away.
    fn put(&mut self, change: &str, value: Option<Value>) {
        let mut object = self.object.clone();
        let Some((last, before)) = self.at.split_last() else { return };
        let parent = before.iter().try_fold(&mut object, |v, step| match step {
            Step::Key(k) => v.get_mut(k),
            Step::Index(i) => v.get_mut(*i),
        });
        match (parent, last, value) {
            (Some(Value::Object(map)), Step::Key(k), Some(v)) => drop(map.insert(k.clone(), v)),
            (Some(Value::Object(map)), Step::Key(k), None) => drop(map.remove(k)),
            (Some(Value::Array(list)), Step::Index(i), Some(v)) => list[*i] = v,
            (Some(Value::Array(list)), Step::Index(i), None) => drop(list.remove(*i)),
            _ => return,
        }
        self.out.push(Mutant { path: self.path(), change: change.to_owned(), object });
    }

    fn fields(&mut self, ty: &'static Type, root: bool) {
        if self.skip.contains(&self.path()) {
            return;
        }
        let fields: Vec<&'static Field> = ty.json_fields().collect();
        for field in fields {
            let name = field.json();
            if root && ["metadata", "apiVersion", "kind"].contains(&name) {
                continue;
            }
            self.at.push(Step::Key(name.to_owned()));
            match self.here() {
                Some(_) => self.present(field),
                None => absent(field).into_iter().for_each(|(change, v)| self.put(&change, Some(v))),
            }
            self.at.pop();
        }
        self.at.push(Step::Key("bogusField".into()));
        self.put("unknown field", Some(json!("x")));
        self.at.pop();
    }

    fn present(&mut self, field: &'static Field) {
        self.put("removed", None);
        self.put("null", Some(Value::Null));
        let Some(value) = self.here().cloned() else { return };
        self.put("of another type", Some(if value.is_string() { json!(7) } else { json!("x") }));
        for (change, v) in replacements(field.kind(), field.ty(), &value) {
            self.put(&change, Some(v));
        }
        match field.kind() {
            Kind::Object => self.inside(field.ty()),
            Kind::List => self.elements(field, &value),
            Kind::Map => self.entries(field, &value),
            _ => {}
        }
    }

    fn inside(&mut self, ty: Option<&'static Type>) {
        if let Some(ty) = ty.filter(|t| t.special().is_none()) {
            self.fields(ty, false);
        }
    }

    fn elements(&mut self, field: &'static Field, value: &Value) {
        let Some(list) = value.as_array().filter(|l| !l.is_empty()) else { return };
        self.put("empty", Some(json!([])));
        let twice: Vec<Value> = list.iter().chain(list.first()).cloned().collect();
        self.put("first twice", Some(Value::Array(twice)));
        for (i, element) in list.iter().enumerate() {
            self.at.push(Step::Index(i));
            if i == 0 {
                self.put("of another type", Some(if element.is_string() { json!(7) } else { json!("x") }));
            }
            for (change, v) in replacements(field.item(), field.ty(), element) {
                self.put(&change, Some(v));
            }
            if field.item() == Kind::Object {
                self.inside(field.ty());
            }
            self.at.pop();
        }
    }

    fn entries(&mut self, field: &'static Field, value: &Value) {
        let Some(map) = value.as_object() else { return };
        self.put("empty", Some(json!({})));
        let sample = map.values().next().cloned().unwrap_or_else(|| json!("x"));
        let mut odd = map.clone();
        odd.insert("Bad Key!".into(), sample);
        self.put("bad key", Some(Value::Object(odd)));
        if let Some((key, v)) = map.iter().next() {
            self.at.push(Step::Key(key.clone()));
            for (change, v) in replacements(field.item(), field.ty(), v) {
                self.put(&change, Some(v));
            }
            self.at.pop();
        }
    }
}

/// Values that may be objected to where a valid one stands.
fn replacements(kind: Kind, ty: Option<&'static Type>, now: &Value) -> Vec<(String, Value)> {
    let mut out: Vec<Value> = match (kind, ty.and_then(Type::special)) {
        (Kind::Object, Some(special)) => special_values(special),
        (Kind::Object, None) => vec![json!({})],
        (Kind::String | Kind::Enum, _) => {
            return vec![
                ("empty".into(), json!("")),
                ("Bad_Value!".into(), json!("Bad_Value!")),
                ("too long".into(), json!("x".repeat(LONG))),
                ("other".into(), json!("other")),
            ];
        }
        (Kind::Int32, _) => [-1, 0, 1, 70000, i64::from(i32::MAX) + 1].iter().map(|n| json!(n)).collect(),
        (Kind::Int64, _) => [-1, 0, 1, i64::MAX].iter().map(|n| json!(n)).collect(),
        (Kind::Double, _) => vec![json!(-1), json!(0.5)],
        (Kind::Bool, _) => vec![json!(!now.as_bool().unwrap_or_default())],
        (Kind::Bytes, _) => vec![json!(""), json!("!!!"), json!("YQ==")],
        _ => Vec::new(),
    };
    out.retain(|v| v != now);
    out.into_iter().map(|v| (v.to_string(), v)).collect()
}

fn special_values(special: Special) -> Vec<Value> {
    match special {
        Special::Time | Special::MicroTime => vec![json!("2020-01-01T00:00:00Z"), json!("yesterday"), json!("")],
        Special::Duration => vec![json!("1x"), json!("-1s"), json!("0s"), json!("5m0s")],
        Special::Quantity => vec![json!("-1"), json!("0"), json!("1.5"), json!("12x"), json!(1), json!("100m"), json!("1Gi"), json!("1e3")],
        Special::IntOrString => vec![json!(-1), json!(0), json!(70000), json!("Bad_Value!"), json!("50%"), json!("150%"), json!("a-name")],
        _ => Vec::new(),
    }
}

/// Values for a field that is not there.
fn absent(field: &'static Field) -> Vec<(String, Value)> {
    let one = |kind: Kind| -> Vec<Value> {
        match kind {
            Kind::String | Kind::Enum => vec![json!("Bad_Value!"), json!("a-value")],
            Kind::Int32 | Kind::Int64 => vec![json!(-1), json!(1)],
            Kind::Double => vec![json!(-1)],
            Kind::Bool => vec![json!(true), json!(false)],
            Kind::Bytes => vec![json!("YQ==")],
            Kind::Object => match field.ty().and_then(Type::special) {
                Some(special) => special_values(special).into_iter().take(2).collect(),
                None => vec![json!({})],
            },
            Kind::Any => vec![json!({"a": 1})],
            Kind::List | Kind::Map => Vec::new(),
        }
    };
    let values: Vec<Value> = match field.kind() {
        Kind::List => one(field.item()).into_iter().map(|v| json!([v])).collect(),
        Kind::Map => one(field.item()).into_iter().flat_map(|v| [json!({"Bad Key!": v.clone()}), json!({"a-key": v})]).collect(),
        kind => one(kind),
    };
    let mut all: Vec<(String, Value)> = values.into_iter().map(|v| (format!("+{v}"), v)).collect();
    if let (Kind::Enum, Some(mut known)) = (field.kind(), field.enumeration())
        && let Some(value) = known.next()
    {
        all.push((format!("+{value}"), json!(value)));
    }
    all
}
