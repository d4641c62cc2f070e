//! The embedded tables are whole and say what Kubernetes says in a few well-known places.

use crate::*;

#[test]
fn every_type_and_field_is_there() {
    let table = types();
    assert_eq!(table.iter().len(), 1256);
    assert_eq!(table.iter().map(|t| t.fields().len()).sum::<usize>(), 4341);
    assert_eq!(table.iter().filter(|t| t.openapi() == OpenApi::Defined).count(), 771);
}

#[test]
fn every_resource_has_its_types() {
    assert_eq!(resources().iter().len(), 95);
    assert_eq!(resources().iter().filter(|r| r.served_by_default).count(), 68);
    assert_eq!(resources().iter().map(|r| r.subresources.len()).sum::<usize>(), 55);
    for resource in resources().iter() {
        assert!(resource.ty().is_some(), "{} has no type", resource.plural);
        assert_eq!(resource.list_ty().is_some(), resource.verbs.contains(&"list"), "{}", resource.plural);
        let by_gvk = types().by_gvk(resource.group, resource.version, resource.kind);
        assert_eq!(by_gvk.map(Type::name), Some(resource.type_name));
        for sub in &resource.subresources {
            assert!(types().by_gvk(sub.group, sub.version, sub.kind).is_some(), "{}/{}", resource.plural, sub.name);
        }
    }
}

#[test]
fn a_deployment_reads_as_documented() {
    let deployment = types().by_gvk("apps", "v1", "Deployment").expect("served");
    assert!(deployment.type_meta() && deployment.has_proto());
    assert_eq!(deployment.proto().as_deref(), Some("k8s.io.api.apps.v1.Deployment"));
    let spec = deployment.field("spec").and_then(Field::ty).expect("spec");
    let replicas = spec.field("replicas").expect("replicas");
    assert_eq!((replicas.kind(), replicas.tag(), replicas.emit()), (Kind::Int32, 1, Emit::Presence));
    assert_eq!(replicas.server_default(), Some("1"));
    assert!(spec.field("selector").expect("selector").required());
    assert!(spec.field("strategy").expect("strategy").patch_retain_keys());
    assert!(spec.field("replica").is_none());
}

#[test]
fn inline_fields_are_found_through_the_parent() {
    let volume = types().by_name("io.k8s.api.core.v1.Volume").expect("a type");
    assert_eq!(volume.fields().len(), 2);
    assert!(volume.fields()[1].inline());
    assert!(volume.field("configMap").and_then(Field::ty).is_some());
    assert!(volume.json_fields().len() > 25);
    let names: Vec<_> = volume.json_fields().map(Field::json).collect();
    assert!(names.is_sorted());
}

#[test]
fn lists_carry_their_keys() {
    let service = types().by_name("io.k8s.api.core.v1.ServiceSpec").expect("a type");
    let ports = service.field("ports").expect("ports");
    assert_eq!(ports.list_type(), Some(ListType::Map));
    assert_eq!(ports.list_map_keys().collect::<Vec<_>>(), ["port", "protocol"]);
    assert_eq!(ports.patch_merge_key(), Some("port"));
    assert!(ports.patch_merge());
    assert_eq!(service.field("selector").expect("selector").map_type(), Some(MapType::Atomic));
    assert_eq!(service.field("clusterIPs").expect("list").list_type(), Some(ListType::Atomic));
    let kinds: Vec<_> = service.field("type").expect("type").enumeration().expect("enum").collect();
    assert_eq!(kinds, ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]);
    let meta = types().by_name("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta").expect("a type");
    assert_eq!(meta.field("finalizers").expect("list").list_type(), Some(ListType::Set));
}

#[test]
fn options_exist_in_every_group_version() {
    assert!(types().by_gvk("batch", "v1", "DeleteOptions").is_some());
    assert!(types().by_gvk("example.com", "v1", "CreateOptions").is_some());
    assert!(types().by_gvk("example.com", "v1", "Deployment").is_none());
}

#[test]
fn columns_features_and_bootstrap_objects() {
    let names: Vec<_> = columns("", "v1", "Pod").iter().map(|c| c.name).collect();
    assert_eq!(names[..5], ["Name", "Ready", "Status", "Restarts", "Age"]);
    assert_eq!(columns("example.com", "v1", "Thing").len(), 2);
    assert_eq!(features().len(), 242);
    assert!(features().iter().any(|f| f.name == "AllAlpha" && f.meta && !f.default));
    assert_eq!((bootstrap_rbac().count(), bootstrap_objects().count()), (147, 97));
}

#[test]
fn every_column_says_what_it_shows() {
    let lines = include_str!("../data/columns.txt").lines().filter_map(|line| line.strip_prefix('='));
    let mut kinds = lines.map(|line| line.split('\t').collect::<Vec<_>>()).peekable();
    assert!(kinds.peek().is_some());
    for kind in kinds {
        for column in columns(kind[0], kind[1], kind[2]) {
            assert!(column.description.ends_with('.'), "{kind:?} {}", column.name);
        }
    }
    assert_ne!(columns("", "v1", "Node")[1].description, columns("", "v1", "Pod")[2].description);
}

#[test]
fn special_types_are_marked() {
    let special = |name: &str| types().by_name(name).and_then(Type::special);
    assert_eq!(special("io.k8s.apimachinery.pkg.api.resource.Quantity"), Some(Special::Quantity));
    assert_eq!(special("io.k8s.apimachinery.pkg.util.intstr.IntOrString"), Some(Special::IntOrString));
    assert_eq!(types().iter().filter(|t| t.special().is_some()).count(), 25);
}

#[test]
fn the_index_is_small_and_quick() {
    let start = std::time::Instant::now();
    let table = crate::parse::types(include_str!("../data/types.txt"));
    println!("indexed in {:?}", start.elapsed());
    let bytes = table.types.capacity() * size_of::<Type>() + table.fields.capacity() * size_of::<Field>() + table.flat.capacity() * 2 + table.gvks.capacity() * 56;
    assert!(bytes < 512 << 10, "{bytes} bytes");
}

#[test]
fn bytes_may_be_published_as_a_list() {
    let spec = types().by_name("io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIServiceSpec").expect("a type");
    let bundle = spec.field("caBundle").expect("a field");
    assert_eq!((bundle.kind(), bundle.list_type()), (Kind::Bytes, Some(ListType::Atomic)));
}

#[test]
fn a_mask_holds_the_fields_of_any_type() {
    assert!(types().iter().all(|t| t.json_fields().len() <= 64));
    let source = types().by_name("io.k8s.api.core.v1.TypedLocalObjectReference").expect("a type");
    assert_eq!(source.field("apiGroup").map(Field::emit), Some(Emit::Null));
}
