//! Rows of the rbac, policy, coordination and node groups.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Printer;
use super::cells::View;

pub(super) fn printer(kind: &str) -> Option<Printer> {
    Some(match kind {
        "RoleBinding" | "ClusterRoleBinding" => binding,
        "PodDisruptionBudget" => budget,
        "Lease" => |o, now| vec![o.name(), json!(o.text("/spec/holderIdentity")), o.age(now)],
        "LeaseCandidate" => |o, now| {
            let spec = |field: &str| json!(o.at("/spec").text(field));
            vec![o.name(), spec("/leaseName"), spec("/binaryVersion"), spec("/emulationVersion"), o.age(now)]
        },
        "RuntimeClass" => |o, now| vec![o.name(), json!(o.text("/handler")), o.age(now)],
        _ => return None,
    })
}

fn binding(binding: View<'_>, now: Timestamp) -> Vec<Value> {
    let of = |kind: &str| -> Vec<String> {
        let subjects = binding.list("/subjects").filter(|s| s.text("/kind") == kind);
        subjects.map(|s| if kind == "ServiceAccount" { format!("{}/{}", s.text("/namespace"), s.text("/name")) } else { s.text("/name").to_owned() }).collect()
    };
    vec![
        binding.name(),
        json!(format!("{}/{}", binding.text("/roleRef/kind"), binding.text("/roleRef/name"))),
        binding.age(now),
        json!(of("User").join(", ")),
        json!(of("Group").join(", ")),
        json!(of("ServiceAccount").join(", ")),
    ]
}

fn budget(budget: View<'_>, now: Timestamp) -> Vec<Value> {
    let limit = |pointer: &str| if budget.has(pointer) { budget.at(pointer).show() } else { "N/A".to_owned() };
    vec![budget.name(), json!(limit("/spec/minAvailable")), json!(limit("/spec/maxUnavailable")), json!(budget.int("/status/disruptionsAllowed")), budget.age(now)]
}
