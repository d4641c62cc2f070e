//! Definitions as errors show them: kube-apiserver's own structs in JSON, every field by its Go name and in its order, unset or not.

use crate::read::{on, s};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinitionVersion, CustomResourceSubresources, JSONSchemaProps, JSONSchemaPropsOrArray,
    JSONSchemaPropsOrBool, JSONSchemaPropsOrStringArray, ValidationRule,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Members of a struct, written one after another.
struct Struct(String);

impl Struct {
    fn new() -> Self {
        Self("{".into())
    }
    fn raw(mut self, name: &str, json: &str) -> Self {
        let comma = if self.0.len() > 1 { "," } else { "" };
        let _ = write!(self.0, "{comma}\"{name}\":{json}");
        self
    }
    fn put(self, name: &str, value: impl Into<Value>) -> Self {
        let text = value.into().to_string();
        self.raw(name, &text)
    }
    fn text(self, name: &str, value: &Option<String>) -> Self {
        self.put(name, s(value))
    }
    fn number(self, name: &str, value: Option<f64>) -> Self {
        // A whole number has no point.
        self.raw(name, &or_null(value.map(|n| n.to_string())))
    }
    fn flag(self, name: &str, value: Option<bool>) -> Self {
        self.put(name, on(value))
    }
    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn or_null(text: Option<String>) -> String {
    text.unwrap_or_else(|| "null".into())
}

fn list<T>(list: Option<&Vec<T>>, one: impl Fn(&T) -> String) -> String {
    or_null(list.map(|l| format!("[{}]", l.iter().map(one).collect::<Vec<_>>().join(","))))
}

fn map<T>(map: Option<&BTreeMap<String, T>>, one: impl Fn(&T) -> String) -> String {
    or_null(map.map(|m| format!("{{{}}}", m.iter().map(|(k, v)| format!("{}:{}", json!(k), one(v))).collect::<Vec<_>>().join(","))))
}

fn value(v: Option<&Value>) -> String {
    or_null(v.map(ToString::to_string))
}

/// Versions; what all of them share is shown nowhere in them.
pub(super) fn versions(list: &[CustomResourceDefinitionVersion], [schema, subresources, columns, fields]: [bool; 4]) -> String {
    let one = |v: &CustomResourceDefinitionVersion| {
        let root = v.schema.as_ref().filter(|_| !schema).map(|s| {
            Struct::new().raw("OpenAPIV3Schema", &or_null(s.open_api_v3_schema.as_ref().map(self::schema_text))).end()
        });
        let sub = v.subresources.as_ref().filter(|_| !subresources).map(self::subresources);
        let columns = v.additional_printer_columns.as_ref().filter(|_| !columns);
        let fields = v.selectable_fields.as_ref().filter(|_| !fields);
        Struct::new()
            .put("Name", v.name.as_str())
            .put("Served", v.served)
            .put("Storage", v.storage)
            .flag("Deprecated", v.deprecated)
            .put("DeprecationWarning", v.deprecation_warning.as_deref())
            .raw("Schema", &or_null(root))
            .raw("Subresources", &or_null(sub))
            .raw("AdditionalPrinterColumns", &self::list(columns, column))
            .raw("SelectableFields", &self::list(fields, |f| Struct::new().put("JSONPath", f.json_path.as_str()).end()))
            .end()
    };
    escaped(&format!("[{}]", list.iter().map(one).collect::<Vec<_>>().join(",")))
}

fn column(c: &CustomResourceColumnDefinition) -> String {
    Struct::new()
        .put("Name", c.name.as_str())
        .put("Type", c.type_.as_str())
        .text("Format", &c.format)
        .text("Description", &c.description)
        .put("Priority", c.priority.unwrap_or_default())
        .put("JSONPath", c.json_path.as_str())
        .end()
}

fn subresources(x: &CustomResourceSubresources) -> String {
    let scale = x.scale.as_ref().map(|c| {
        Struct::new()
            .put("SpecReplicasPath", c.spec_replicas_path.as_str())
            .put("StatusReplicasPath", c.status_replicas_path.as_str())
            .put("LabelSelectorPath", c.label_selector_path.as_deref())
            .end()
    });
    Struct::new().raw("Status", if x.status.is_some() { "{}" } else { "null" }).raw("Scale", &or_null(scale)).end()
}

/// A schema.
pub(super) fn schema(x: &JSONSchemaProps) -> String {
    escaped(&schema_text(x))
}

fn schema_text(x: &JSONSchemaProps) -> String {
    let several = |l: &Option<Vec<JSONSchemaProps>>| list(l.as_ref(), schema_text);
    let named = |m: &Option<BTreeMap<String, JSONSchemaProps>>| map(m.as_ref(), schema_text);
    let docs = x.external_docs.as_ref().map(|d| Struct::new().text("Description", &d.description).text("URL", &d.url).end());
    let dependencies = map(x.dependencies.as_ref(), |d| match d {
        JSONSchemaPropsOrStringArray::Schema(s) => Struct::new().raw("Schema", &schema_text(s)).raw("Property", "null").end(),
        JSONSchemaPropsOrStringArray::Strings(l) => Struct::new().raw("Schema", "null").put("Property", l.clone()).end(),
    });
    Struct::new()
        .text("ID", &x.id)
        .text("Schema", &x.schema)
        .put("Ref", x.ref_path.as_deref())
        .text("Description", &x.description)
        .text("Type", &x.type_)
        .flag("Nullable", x.nullable)
        .text("Format", &x.format)
        .text("Title", &x.title)
        .raw("Default", &value(x.default.as_ref().map(|d| &d.0)))
        .number("Maximum", x.maximum)
        .flag("ExclusiveMaximum", x.exclusive_maximum)
        .number("Minimum", x.minimum)
        .flag("ExclusiveMinimum", x.exclusive_minimum)
        .put("MaxLength", x.max_length)
        .put("MinLength", x.min_length)
        .text("Pattern", &x.pattern)
        .put("MaxItems", x.max_items)
        .put("MinItems", x.min_items)
        .flag("UniqueItems", x.unique_items)
        .number("MultipleOf", x.multiple_of)
        .raw("Enum", &list(x.enum_.as_ref(), |v| v.0.to_string()))
        .put("MaxProperties", x.max_properties)
        .put("MinProperties", x.min_properties)
        .put("Required", x.required.clone())
        .raw("Items", &or_null(x.items.as_ref().map(item)))
        .raw("AllOf", &several(&x.all_of))
        .raw("OneOf", &several(&x.one_of))
        .raw("AnyOf", &several(&x.any_of))
        .raw("Not", &or_null(x.not.as_deref().map(schema_text)))
        .raw("Properties", &named(&x.properties))
        .raw("AdditionalProperties", &or_null(x.additional_properties.as_ref().map(additional)))
        .raw("PatternProperties", &named(&x.pattern_properties))
        .raw("Dependencies", &dependencies)
        .raw("AdditionalItems", &or_null(x.additional_items.as_ref().map(additional)))
        .raw("Definitions", &named(&x.definitions))
        .raw("ExternalDocs", &or_null(docs))
        .raw("Example", &value(x.example.as_ref().map(|d| &d.0)))
        .put("XPreserveUnknownFields", x.x_kubernetes_preserve_unknown_fields)
        .flag("XEmbeddedResource", x.x_kubernetes_embedded_resource)
        .flag("XIntOrString", x.x_kubernetes_int_or_string)
        .put("XListMapKeys", x.x_kubernetes_list_map_keys.clone())
        .put("XListType", x.x_kubernetes_list_type.as_deref())
        .put("XMapType", x.x_kubernetes_map_type.as_deref())
        .raw("XValidations", &list(x.x_kubernetes_validations.as_ref(), rule))
        .end()
}

fn item(x: &JSONSchemaPropsOrArray) -> String {
    match x {
        JSONSchemaPropsOrArray::Schema(s) => Struct::new().raw("Schema", &schema_text(s)).raw("JSONSchemas", "null").end(),
        JSONSchemaPropsOrArray::Schemas(l) => Struct::new().raw("Schema", "null").raw("JSONSchemas", &list(Some(l), schema_text)).end(),
    }
}

fn additional(x: &JSONSchemaPropsOrBool) -> String {
    match x {
        JSONSchemaPropsOrBool::Schema(s) => Struct::new().put("Allows", true).raw("Schema", &schema_text(s)).end(),
        JSONSchemaPropsOrBool::Bool(b) => Struct::new().put("Allows", *b).raw("Schema", "null").end(),
    }
}

fn rule(r: &ValidationRule) -> String {
    Struct::new()
        .put("Rule", r.rule.as_str())
        .text("Message", &r.message)
        .text("MessageExpression", &r.message_expression)
        .put("Reason", r.reason.as_deref())
        .text("FieldPath", &r.field_path)
        .put("OptionalOldSelf", r.optional_old_self)
        .end()
}

/// Go escapes in JSON what HTML gives a meaning.
fn escaped(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}
