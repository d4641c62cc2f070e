//! What a fresh control plane creates for itself, and keeps whole at every start: namespaces, RBAC defaults
//! (auto-reconciliation), flow schemas, API services, the `kubernetes` Service. The objects are facts of the spec tables.

use crate::registry::{Caller, Registry, rules_of};
use futures_util::stream::{self, StreamExt};
use kinds::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject};
use kinds::{ApiError, Kind, Object, Resource, Target, WriteOptions};
use serde_json::Value;

use store::Expect;

/// Creates at the same time; they share group commits.
const AT_ONCE: usize = 64;
/// The annotation that lets a default role be reconciled.
const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// What stands for the `${…}` of the table.
#[derive(Clone, Debug)]
pub struct Values {
    pub service_cidr: String,
    pub service_cidr_first_ip: String,
    pub advertise_address: String,
    pub apiserver_port: u16,
    pub client_ca_pem: String,
    pub requestheader_ca_pem: String,
    /// `YYYY-MM-DD`.
    pub date: String,
}

impl Values {
    fn fill(&self, text: &str) -> String {
        let quoted = |s: &str| serde_json::to_string(s).map(|q| q[1..q.len() - 1].to_owned()).unwrap_or_default();
        text.replace("\"${APISERVER_PORT}\"", &self.apiserver_port.to_string())
            .replace("${SERVICE_CIDR}", &self.service_cidr)
            .replace("${SERVICE_CIDR_FIRST_IP}", &self.service_cidr_first_ip)
            .replace("${ADVERTISE_ADDRESS}", &self.advertise_address)
            .replace("${CLIENT_CA_PEM}", &quoted(&self.client_ca_pem))
            .replace("${REQUESTHEADER_CA_PEM}", &quoted(&self.requestheader_ca_pem))
            .replace("${DATE}", &self.date)
    }
}

impl Registry {
    /// Creates what is missing and mends RBAC defaults that lost a rule or subject.
    ///
    /// # Errors
    /// The first write that fails, or a table that is no valid object.
    pub async fn bootstrap(&self, values: &Values) -> Result<(), ApiError> {
        let objects = desired(values, &crate::fieldowners::stamp(self.now()), &self.settings.gates)?;
        // Namespaces first: the rest lives in them.
        let (namespaces, rest): (Vec<_>, Vec<_>) =
            objects.into_iter().partition(|o| o.kind() == Some(Kind::Namespace));
        for group in [namespaces, rest] {
            let outcomes = stream::iter(group).map(|o| self.ensure(o)).buffer_unordered(AT_ONCE);
            outcomes.collect::<Vec<_>>().await.into_iter().collect::<Result<Vec<()>, _>>()?;
        }
        Ok(())
    }

    async fn ensure(&self, mut object: Object) -> Result<(), ApiError> {
        let resource = object.resource();
        let key = object.key();
        if let Some(have) = self.snapshot().entry(&resource, &key).cloned() {
            return self.mend(&resource, have.object(), object).await;
        }
        (rules_of(&resource).default)(&mut object);
        self.fill_metadata(&mut object);
        if object.meta().generation.is_none() && has_generation(&object) {
            object.meta_mut().generation = Some(1);
        }
        match self.put(&resource, object, Expect::Absent).await {
            Err(e) if e.is_already_exists() => Ok(()),
            done => done.map(|_| ()),
        }
    }

    async fn mend(&self, resource: &Resource, have: &Object, want: Object) -> Result<(), ApiError> {
        let kept = have.meta().annotations.as_ref().and_then(|a| a.get(AUTOUPDATE)).is_none_or(|v| v == "true");
        let Some(mended) = kept.then(|| reconcile(have, &want)).flatten() else { return Ok(()) };
        let target = Target::new(resource.clone(), have.key());
        let caller = Caller::new("system:apiserver", &["system:masters"]);
        self.update(&caller, &target, mended, &WriteOptions::default()).await.map(|_| ())
    }
}

fn has_generation(object: &Object) -> bool {
    matches!(object.kind(), Some(Kind::FlowSchema | Kind::PriorityLevelConfiguration | Kind::PriorityClass))
}

/// What default roles may only with a gate that is on by default: the gate, the role, the resource or path, and a verb.
const UNGATED: [(&str, &str, &str, &str); 6] = [
    ("DRAExtendedResource", "system:kube-scheduler", "resourceclaims", "create"),
    ("DRAResourceClaimGranularStatusAuthorization", "system:kube-scheduler", "resourceclaims/binding", "patch"),
    ("DRAResourceClaimGranularStatusAuthorization", "system:controller:resource-claim-controller", "resourceclaims/binding", "patch"),
    ("KubeletServiceAccountTokenForCredentialProviders", "system:node", "serviceaccounts", "get"),
    ("ComponentFlagz", "system:monitoring", "/flagz", "get"),
    ("ComponentStatusz", "system:monitoring", "/statusz", "get"),
];
/// The role that is there with the gate alone, which is on by default.
const EVICTION_GATE: (&str, &str) = ("DRADeviceTaints", "system:controller:device-taint-eviction-controller");

/// A row of the table as the gates have it; `None` where it is not to be.
fn gated(mut row: Value, gates: &rules::Gates) -> Option<Value> {
    let names = row["gates"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let name = row["object"]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if !names.into_iter().all(|g| gates.on(g)) || (name == EVICTION_GATE.1 && !gates.on(EVICTION_GATE.0)) {
        return None;
    }
    let more: Vec<Value> = row["gatedRules"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let more = more.into_iter().filter(|r| r["gate"].as_str().is_some_and(|g| gates.on(g))).map(|mut r| r["rule"].take());
    let role = row.get_mut("object").and_then(|o| o.get_mut("rules")).and_then(Value::as_array_mut);
    if let Some(rules) = role {
        rules.extend(more);
        for (_, _, what, verb) in UNGATED.iter().filter(|(gate, role, ..)| *role == name && !gates.on(gate)) {
            let may = |r: &Value, list: &str, word: &str| r[list].as_array().is_some_and(|l| l.iter().any(|x| x == word));
            rules.retain(|r| !(may(r, "resources", what) && may(r, "verbs", verb) && r["resources"].as_array().is_some_and(|l| l.len() == 1)));
            for paths in rules.iter_mut().filter_map(|r| r["nonResourceURLs"].as_array_mut()) {
                paths.retain(|p| p != what);
            }
        }
    }
    Some(row)
}

fn desired(values: &Values, now: &str, gates: &rules::Gates) -> Result<Vec<Object>, ApiError> {
    let mut all = Vec::new();
    for line in schema::bootstrap_objects().chain(schema::bootstrap_rbac()) {
        let row: Value = serde_json::from_str(&values.fill(line)).map_err(ApiError::internal)?;
        let Some(row) = gated(row, gates) else { continue };
        // Addresses come with the services that they stand for.
        let ours = row["createdBy"].as_str().is_none_or(|c| c == "kube-apiserver");
        let object = &row["object"];
        if !ours || object["kind"] == "Lease" || object["kind"] == "IPAddress" {
            continue;
        }
        let (version, kind) = (object["apiVersion"].as_str().unwrap_or_default(), object["kind"].as_str().unwrap_or_default());
        let kind = Kind::from_api_version(version, kind).ok_or_else(|| ApiError::internal(format!("no kind {version} {kind}")))?;
        let object = with_times(object.clone(), now);
        all.push(codec::from_value(&kind.into(), object).map_err(ApiError::internal)?);
    }
    Ok(all)
}

/// The bootstrap FlowSchemas and PriorityLevelConfigurations, without times and uids.
#[must_use]
pub fn flow_objects() -> Vec<Object> {
    let mut all = Vec::new();
    for line in schema::bootstrap_objects().filter(|l| l.contains("flowcontrol.apiserver.k8s.io/v1")) {
        let Ok(mut row) = serde_json::from_str::<Value>(line) else { continue };
        let mut object = row["object"].take();
        let kind = match object["kind"].as_str() {
            Some("FlowSchema") => Kind::FlowSchema,
            Some("PriorityLevelConfiguration") => Kind::PriorityLevelConfiguration,
            _ => continue,
        };
        object["status"] = Value::Object(serde_json::Map::new());
        all.extend(codec::from_value(&kind.into(), object).ok());
    }
    all
}

/// The table leaves out what differs from cluster to cluster: the times of conditions, and their messages.
fn with_times(mut object: Value, now: &str) -> Value {
    for c in object.pointer_mut("/status/conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        c["lastTransitionTime"] = now.into();
        if c["reason"] == "Local" {
            c["message"] = "Local APIServices are always available".into();
        } else if c.get("message").is_none() {
            c["message"] = "".into();
        }
    }
    object
}

/// The object with every default rule or subject that it lost; `None` when it has them all.
fn reconcile(have: &Object, want: &Object) -> Option<Object> {
    match (have, want) {
        (Object::ClusterRole(h), Object::ClusterRole(w)) => {
            if h.aggregation_rule.is_some() {
                return None;
            }
            let rules = union(h.rules.as_deref(), w.rules.as_deref(), covers)?;
            Some(ClusterRole { rules: Some(rules), ..ClusterRole::clone(h) }.into())
        }
        (Object::Role(h), Object::Role(w)) => {
            let rules = union(h.rules.as_deref(), w.rules.as_deref(), covers)?;
            Some(Role { rules: Some(rules), ..Role::clone(h) }.into())
        }
        (Object::ClusterRoleBinding(h), Object::ClusterRoleBinding(w)) => {
            let subjects = union(h.subjects.as_deref(), w.subjects.as_deref(), same)?;
            Some(ClusterRoleBinding { subjects: Some(subjects), ..ClusterRoleBinding::clone(h) }.into())
        }
        (Object::RoleBinding(h), Object::RoleBinding(w)) => {
            let subjects = union(h.subjects.as_deref(), w.subjects.as_deref(), same)?;
            Some(RoleBinding { subjects: Some(subjects), ..RoleBinding::clone(h) }.into())
        }
        _ => None,
    }
}

fn union<T: Clone>(have: Option<&[T]>, want: Option<&[T]>, has: fn(&T, &T) -> bool) -> Option<Vec<T>> {
    let have = have.unwrap_or_default();
    let missing: Vec<T> =
        want.unwrap_or_default().iter().filter(|w| !have.iter().any(|h| has(h, w))).cloned().collect();
    (!missing.is_empty()).then(|| have.iter().cloned().chain(missing).collect())
}

fn same(a: &Subject, b: &Subject) -> bool {
    (&a.kind, &a.name, a.namespace.as_deref().unwrap_or_default()) == (&b.kind, &b.name, b.namespace.as_deref().unwrap_or_default())
}

fn covers(have: &PolicyRule, want: &PolicyRule) -> bool {
    let all = |h: Option<&Vec<String>>, w: Option<&Vec<String>>| {
        let h = h.map_or(&[][..], Vec::as_slice);
        w.into_iter().flatten().all(|x| h.contains(x) || h.iter().any(|y| y == "*"))
    };
    let names = |r: &PolicyRule| r.resource_names.clone().unwrap_or_default();
    all(Some(&have.verbs), Some(&want.verbs))
        && all(have.api_groups.as_ref(), want.api_groups.as_ref())
        && all(have.resources.as_ref(), want.resources.as_ref())
        && all(have.non_resource_urls.as_ref(), want.non_resource_urls.as_ref())
        && (names(have).is_empty() || names(have) == names(want))
}

