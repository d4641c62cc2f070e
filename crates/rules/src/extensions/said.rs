//! Which keywords a schema sets, by the names that errors list them with and in the order of those lists.

use crate::read::{has, on};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray};

/// What may stand at the root of a schema whose objects have a status of their own.
pub(super) const AT_ROOT: &[&str] = &[
    "Description", "Type", "Format", "Title", "Maximum", "ExclusiveMaximum", "Minimum", "ExclusiveMinimum", "MaxLength", "MinLength",
    "Pattern", "MaxItems", "MinItems", "UniqueItems", "MultipleOf", "Required", "Items", "Properties", "ExternalDocs", "Example",
    "XPreserveUnknownFields", "XValidations",
];

/// The keywords that are set. An empty list or map is set, as is `false` where a keyword has no default.
pub(super) fn said(x: &JSONSchemaProps) -> Vec<&'static str> {
    let all = [
        ("ID", has(&x.id)),
        ("Schema", has(&x.schema)),
        ("Ref", x.ref_path.is_some()),
        ("Description", has(&x.description)),
        ("Type", has(&x.type_)),
        ("Nullable", on(x.nullable)),
        ("Format", has(&x.format)),
        ("Title", has(&x.title)),
        ("Default", default_of(x)),
        ("Maximum", x.maximum.is_some()),
        ("ExclusiveMaximum", on(x.exclusive_maximum)),
        ("Minimum", x.minimum.is_some()),
        ("ExclusiveMinimum", on(x.exclusive_minimum)),
        ("MaxLength", x.max_length.is_some()),
        ("MinLength", x.min_length.is_some()),
        ("Pattern", has(&x.pattern)),
        ("MaxItems", x.max_items.is_some()),
        ("MinItems", x.min_items.is_some()),
        ("UniqueItems", on(x.unique_items)),
        ("MultipleOf", x.multiple_of.is_some()),
        ("Enum", x.enum_.is_some()),
        ("MaxProperties", x.max_properties.is_some()),
        ("MinProperties", x.min_properties.is_some()),
        ("Required", x.required.is_some()),
        ("Items", x.items.is_some()),
        ("AllOf", x.all_of.is_some()),
        ("OneOf", x.one_of.is_some()),
        ("AnyOf", x.any_of.is_some()),
        ("Not", x.not.is_some()),
        ("Properties", x.properties.is_some()),
        ("AdditionalProperties", x.additional_properties.is_some()),
        ("PatternProperties", x.pattern_properties.is_some()),
        ("Dependencies", x.dependencies.is_some()),
        ("AdditionalItems", x.additional_items.is_some()),
        ("Definitions", x.definitions.is_some()),
        ("ExternalDocs", x.external_docs.is_some()),
        ("Example", x.example.as_ref().is_some_and(|v| !v.0.is_null())),
        ("XPreserveUnknownFields", x.x_kubernetes_preserve_unknown_fields.is_some()),
        ("XEmbeddedResource", on(x.x_kubernetes_embedded_resource)),
        ("XIntOrString", on(x.x_kubernetes_int_or_string)),
        ("XListMapKeys", x.x_kubernetes_list_map_keys.is_some()),
        ("XListType", x.x_kubernetes_list_type.is_some()),
        ("XMapType", x.x_kubernetes_map_type.is_some()),
        ("XValidations", x.x_kubernetes_validations.is_some()),
    ];
    all.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect()
}

/// Whether a schema has a default.
pub(super) fn default_of(x: &JSONSchemaProps) -> bool {
    x.default.as_ref().is_some_and(|d| !d.0.is_null())
}

/// The schema of the elements, when there is one for all.
pub(super) fn item(x: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match &x.items {
        Some(JSONSchemaPropsOrArray::Schema(i)) => Some(i),
        _ => None,
    }
}
