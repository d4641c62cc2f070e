//! What a refusal shows of lists and maps that a client gave empty. They are dropped before an object is judged, as nothing of
//! them is stored; kube-apiserver judges what was given, and shows `[]` and `{}`. Only what was refused is looked at again.

use kinds::{FieldErrors, Object};
use serde_json::Value;

/// The same errors about the object as it was given, unless others come of it. `given`: what it was before anything was dropped.
pub(crate) fn retold(found: FieldErrors, object: &Object, given: Option<&Object>, judge: impl Fn(&Object, &mut FieldErrors)) -> FieldErrors {
    let Some(given) = given.filter(|_| !found.is_empty()) else { return found };
    let mut tree = codec::to_value(object);
    if !give_back(&mut tree, &codec::to_value(given)) {
        return found;
    }
    let Ok(mut whole) = codec::from_value(&object.resource(), tree) else { return found };
    whole.meta_mut().managed_fields.clone_from(&object.meta().managed_fields);
    let mut again = FieldErrors::default();
    judge(&whole, &mut again);
    let alike = again.len() == found.len() && again.0.iter().zip(&found.0).all(|(a, b)| (a.wrong, &a.path) == (b.wrong, &b.path));
    if alike { again } else { found }
}

/// Puts back what is empty in `given` and missing in `tree`; whether there was any.
fn give_back(tree: &mut Value, given: &Value) -> bool {
    match (tree, given) {
        (Value::Object(tree), Value::Object(given)) => given.iter().fold(false, |changed, (name, value)| match tree.get_mut(name) {
            Some(inside) => give_back(inside, value) || changed,
            None if is_empty(value) => {
                tree.insert(name.clone(), value.clone());
                true
            }
            None => changed,
        }),
        (Value::Array(tree), Value::Array(given)) if tree.len() == given.len() => {
            tree.iter_mut().zip(given).fold(false, |changed, (t, g)| give_back(t, g) || changed)
        }
        _ => false,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinds::Path;
    use kinds::api::core::v1::ConfigMap;

    fn map(data: Option<std::collections::BTreeMap<String, String>>) -> Object {
        ConfigMap { data, ..ConfigMap::default() }.into()
    }

    #[test]
    fn what_was_given_empty_is_shown_empty() {
        let judge = |o: &Object, e: &mut FieldErrors| {
            let Object::ConfigMap(c) = o else { panic!("a config map") };
            let shown = if c.data.is_some() { "{}" } else { "null" };
            e.invalid(&Path::new("data"), kinds::field::Bare(shown.into()), "wrong");
        };
        let mut found = FieldErrors::default();
        judge(&map(None), &mut found);
        let told = |given: Option<&Object>| retold(found.clone(), &map(None), given, judge).0[0].value.clone();
        assert_eq!(told(Some(&map(Some([].into())))), "{}");
        assert_eq!(told(Some(&map(None))), "null");
        assert_eq!(told(None), "null");
    }

    #[test]
    fn a_judgement_that_comes_out_otherwise_does_not_count() {
        let judge = |o: &Object, e: &mut FieldErrors| {
            let Object::ConfigMap(c) = o else { panic!("a config map") };
            if c.data.is_none() {
                e.required(&Path::new("data"), "");
            }
        };
        let mut found = FieldErrors::default();
        judge(&map(None), &mut found);
        assert_eq!(retold(found.clone(), &map(None), Some(&map(Some([].into()))), judge), found);
    }
}
