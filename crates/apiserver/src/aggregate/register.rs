//! APIServices of custom resources: each served version of a definition has one, made and removed with it.

use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kinds::kube_aggregator::pkg::apis::apiregistration::v1::{APIService, APIServiceSpec};
use kinds::{Object, ObjectMeta};
use std::collections::BTreeMap;
use cache::Snapshot;
use std::sync::Arc;

/// Says who keeps an APIService: `true` is this, `onstart` the bootstrap.
pub(super) const MANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";
/// The priority of groups of custom resources.
const GROUP_PRIORITY: i32 = 1000;
/// The priority of their versions: they are ordered by name.
const VERSION_PRIORITY: i32 = 100;

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) create: Vec<Object>,
    pub(super) delete: Vec<String>,
}

/// Compares the definitions with the APIServices that are there.
pub(super) fn plan(snapshot: &Snapshot) -> Work {
    let mut wanted = BTreeMap::new();
    for crd in snapshot.list::<CustomResourceDefinition>("") {
        for v in crd.spec.versions.iter().filter(|v| v.served) {
            wanted.insert(format!("{}.{}", v.name, crd.spec.group), (crd.spec.group.as_str(), v.name.as_str()));
        }
    }
    let mut work = Work::default();
    for have in snapshot.list::<APIService>("") {
        let name = have.metadata.name.as_deref().unwrap_or_default();
        if wanted.remove(name).is_none() && is_ours(have) {
            work.delete.push(name.to_owned());
        }
    }
    work.create = wanted.into_iter().map(|(name, gv)| service(name, gv)).collect();
    work
}

fn is_ours(service: &Arc<APIService>) -> bool {
    service.metadata.labels.as_ref().and_then(|l| l.get(MANAGED)).is_some_and(|v| v == "true")
}

fn service(name: String, (group, version): (&str, &str)) -> Object {
    let labels = [(MANAGED.to_owned(), "true".to_owned())].into();
    APIService {
        metadata: ObjectMeta { name: Some(name), labels: Some(labels), ..ObjectMeta::default() },
        spec: Some(APIServiceSpec {
            group: Some(group.to_owned()),
            version: Some(version.to_owned()),
            group_priority_minimum: GROUP_PRIORITY,
            version_priority: VERSION_PRIORITY,
            ..APIServiceSpec::default()
        }),
        status: None,
    }
    .into()
}
