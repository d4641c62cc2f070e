//! Root CA publisher: every namespace has a ConfigMap with the certificates that verify the API server.
//!
//! Docs: "Managing Service Accounts: bound service account token volume mechanism".

use crate::controller::{Controller, Ctx, Subject, Watches, every, itself};
use crate::plan::{Plan, Step};
use crate::serviceaccount::is_active;
use cache::{Change, Snapshot};
use kinds::api::core::v1::{ConfigMap, Namespace};
use kinds::{Kind, ObjectMeta};
use std::collections::BTreeMap;
use std::sync::Arc;

const NAME: &str = "kube-root-ca.crt";
const KEY: &str = "ca.crt";
const DESCRIPTION: (&str, &str) = (
    "kubernetes.io/description",
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the \
     internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes \
     clusters.",
);

/// The root CA publisher.
pub const CONTROLLER: Controller = Controller {
    name: "root_ca_cert_publisher",
    account: "root-ca-cert-publisher",
    component: "root-ca-certificate-publisher",
    watches: Watches::Kinds(&[Kind::Namespace, Kind::ConfigMap]),
    wakes,
    subjects: every::<Namespace>,
    plan,
};

fn wakes(change: &Change, _: &Snapshot) -> Vec<Subject> {
    if let Some(s) = itself(change, Kind::Namespace) {
        return vec![s];
    }
    let ours = change.key().name == NAME;
    ours.then(|| Subject::named(Kind::Namespace, "", change.key().namespace.clone())).into_iter().collect()
}

fn plan(snapshot: &Snapshot, subject: &Subject, ctx: &Ctx) -> Option<Plan> {
    let namespace = snapshot.find::<Namespace>(&subject.key).filter(|n| is_active(n))?;
    let name = namespace.metadata.name.clone()?;
    let map = snapshot.get::<ConfigMap>(&name, NAME);
    Some(decide(&name, map, &ctx.config.root_ca_pem))
}

/// What is to be done for one namespace.
#[must_use]
pub fn decide(namespace: &str, map: Option<&Arc<ConfigMap>>, pem: &str) -> Plan {
    let data = BTreeMap::from([(KEY.to_owned(), pem.to_owned())]);
    let note = (DESCRIPTION.0.to_owned(), DESCRIPTION.1.to_owned());
    let Some(map) = map else {
        let metadata = ObjectMeta {
            name: Some(NAME.to_owned()),
            namespace: Some(namespace.to_owned()),
            annotations: Some(BTreeMap::from([note])),
            ..ObjectMeta::default()
        };
        let map = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
        return Plan::because("the bundle is missing").step(Step::create(map).lenient());
    };
    let described = map.metadata.annotations.as_ref().and_then(|a| a.get(DESCRIPTION.0)).is_some_and(|d| *d == note.1);
    if map.data.as_ref() == Some(&data) && described {
        return Plan::because("it is there");
    }
    let mut map = ConfigMap::clone(map);
    map.data = Some(data);
    map.metadata.annotations.get_or_insert_default().insert(note.0, note.1);
    Plan::because("the bundle differs").step(Step::update(map))
}
