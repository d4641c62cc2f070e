//! Rows of custom resources: `additionalPrinterColumns` of their definition, read by simple JSONPaths (docs: "Extend the
//! Kubernetes API with CustomResourceDefinitions", additional printer columns).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cells::View;
use super::human;

/// The columns of a custom resource, with their paths taken apart.
#[derive(Clone, Debug)]
pub struct CustomColumns {
    columns: Vec<Column>,
}

#[derive(Clone, Debug)]
struct Column {
    definition: Value,
    kind: String,
    path: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    Where(Vec<Step>, String),
}

impl CustomColumns {
    /// From the `additionalPrinterColumns` of a version; without any there is an Age column.
    ///
    /// # Errors
    /// A JSONPath that is not understood.
    pub fn new(additional: &[Value]) -> Result<Self, String> {
        let age = json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": schema::column_description("Age")});
        let listed = if additional.is_empty() { std::slice::from_ref(&age) } else { additional };
        let mut columns = vec![Column {
            definition: json!({"name": "Name", "type": "string", "format": "name", "description": schema::column_description("Name"), "priority": 0}),
            kind: "string".to_owned(),
            path: vec![Step::Field("metadata".to_owned()), Step::Field("name".to_owned())],
        }];
        for column in listed {
            let view = View(column);
            let path = parse(view.text("/jsonPath"))?;
            let description = match view.text("/description") {
                "" => format!("Custom resource definition column (in JSONPath format): {}", view.text("/jsonPath")),
                told => told.to_owned(),
            };
            columns.push(Column {
                definition: json!({"name": view.text("/name"), "type": view.text("/type"), "format": view.text("/format"),
                    "description": description, "priority": view.int("/priority")}),
                kind: view.text("/type").to_owned(),
                path,
            });
        }
        Ok(Self { columns })
    }

    /// The `columnDefinitions`.
    pub fn definitions(&self) -> Value {
        self.columns.iter().map(|column| column.definition.clone()).collect()
    }

    /// The cells of an object.
    pub fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        self.columns.iter().map(|column| cell(column, object, now)).collect()
    }
}

fn cell(column: &Column, object: &Value, now: Timestamp) -> Value {
    let found = walk(object, &column.path);
    let Some(first) = found.first() else { return Value::Null };
    match (column.kind.as_str(), *first) {
        (_, Value::Null) => Value::Null,
        ("integer", Value::Number(n)) => n.as_i64().map_or_else(|| n.as_f64().map_or(Value::Null, |f| json!(f as i64)), |n| json!(n)),
        ("number", Value::Number(n)) => json!(n),
        ("boolean", Value::Bool(flag)) => json!(flag),
        ("date", Value::String(time)) => json!(human::since(time, now).replace("<unknown>", "<invalid>")),
        ("string", _) => json!(found.iter().map(|value| View(value).show()).collect::<Vec<_>>().join(" ")),
        _ => Value::Null,
    }
}

fn walk<'a>(value: &'a Value, path: &[Step]) -> Vec<&'a Value> {
    let Some((step, rest)) = path.split_first() else { return vec![value] };
    match step {
        Step::Field(name) => value.get(name).map(|inner| walk(inner, rest)).unwrap_or_default(),
        Step::Index(index) => {
            let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let at = if *index < 0 { i64::try_from(list.len()).unwrap_or(0) + index } else { *index };
            usize::try_from(at).ok().and_then(|at| list.get(at)).map(|inner| walk(inner, rest)).unwrap_or_default()
        }
        Step::All => match value {
            Value::Array(list) => list.iter().flat_map(|inner| walk(inner, rest)).collect(),
            Value::Object(map) => map.values().flat_map(|inner| walk(inner, rest)).collect(),
            _ => Vec::new(),
        },
        Step::Where(path, wanted) => {
            let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let fits = |inner: &&Value| walk(inner, path).first().is_some_and(|found| View(found).show() == *wanted);
            list.iter().filter(fits).flat_map(|inner| walk(inner, rest)).collect()
        }
    }
}

fn parse(text: &str) -> Result<Vec<Step>, String> {
    let mut rest = text.trim().trim_start_matches('{').trim_end_matches('}');
    rest = rest.strip_prefix('$').unwrap_or(rest);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let end = inner.find(']').ok_or_else(|| format!("unterminated array in {text:?}"))?;
            steps.push(bracket(&inner[..end])?);
            rest = &inner[end + 1..];
        } else if let Some(inner) = rest.strip_prefix('.') {
            let (name, after) = identifier(inner);
            if !name.is_empty() {
                steps.push(if name == "*" { Step::All } else { Step::Field(name) });
            }
            if after.len() == rest.len() - 1 && !after.is_empty() && !after.starts_with('[') {
                return Err(format!("unrecognized path {text:?}"));
            }
            rest = after;
        } else {
            return Err(format!("unrecognized character in path {text:?}"));
        }
    }
    Ok(steps)
}

/// A field name, in which `\.` stands for a dot.
fn identifier(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => name.extend(characters.next().map(|(_, c)| c)),
            '.' | '[' => return (name, &text[at..]),
            _ => name.push(c),
        }
    }
    (name, "")
}

fn bracket(text: &str) -> Result<Step, String> {
    let text = text.trim();
    if text == "*" {
        return Ok(Step::All);
    }
    if let Ok(index) = text.parse() {
        return Ok(Step::Index(index));
    }
    if let Some(name) = quoted(text) {
        return Ok(Step::Field(name));
    }
    let filter = text.strip_prefix("?(").and_then(|t| t.strip_suffix(')')).and_then(|t| t.split_once("=="));
    let (left, right) = filter.ok_or_else(|| format!("unrecognized array subscript {text:?}"))?;
    let path = parse(left.trim().trim_start_matches('@'))?;
    let right = right.trim();
    Ok(Step::Where(path, quoted(right).unwrap_or_else(|| right.to_owned())))
}

fn quoted(text: &str) -> Option<String> {
    ['"', '\''].iter().find_map(|q| text.strip_prefix(*q)?.strip_suffix(*q)).map(str::to_owned)
}
