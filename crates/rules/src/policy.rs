//! PodDisruptionBudgets, PriorityClasses and RuntimeClasses. Docs: "Disruptions", "Pod Priority", "Runtime Class".

use crate::checks::{complain, int_or_percent, not_more_than_all, not_negative_opt, one_of_opt};
use crate::core::pod::placement;
use crate::core::pod::resources::{container_resource_name, resource_amount};
use crate::meta::{self, IMMUTABLE, Values};
use crate::names::{self, NameRule};
use crate::quantities::round_up_milli;
use crate::read::{items, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, keep_spec, keep_status};
use kinds::api::core::v1::Toleration;
use kinds::api::node::v1::{RuntimeClass, Scheduling};
use kinds::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus};
use kinds::api::scheduling::v1::PriorityClass;
use kinds::field::Bare;
use kinds::{FieldErrors, Kind, Path};

pub(crate) const BUDGET_ROW: Rules = Rules {
    prepare_create: edit!(PodDisruptionBudget, |b: &mut PodDisruptionBudget| {
        b.status = Some(PodDisruptionBudgetStatus {
            current_healthy: Some(0),
            desired_healthy: Some(0),
            disruptions_allowed: Some(0),
            expected_pods: Some(0),
            ..PodDisruptionBudgetStatus::default()
        });
        b.metadata.generation = Some(1);
    }),
    prepare_update: keep_status!(PodDisruptionBudget, PodDisruptionBudget),
    prepare_status_update: keep_spec!(PodDisruptionBudget, PodDisruptionBudget),
    validate: check!(PodDisruptionBudget, budget),
    validate_update: check_with_old!(PodDisruptionBudget, |n: &PodDisruptionBudget, _: &PodDisruptionBudget, e: &mut FieldErrors| budget(n, e)),
    validate_status_update: check_with_old!(PodDisruptionBudget, |n: &PodDisruptionBudget, _: &PodDisruptionBudget, e: &mut FieldErrors| {
        let none = PodDisruptionBudgetStatus::default();
        let st = n.status.as_ref().unwrap_or(&none);
        let path = Path::new("status");
        crate::statuses::conditions(items(&st.conditions), &path.child("conditions"), e);
        for (name, v) in [
            ("disruptionsAllowed", st.disruptions_allowed),
            ("currentHealthy", st.current_healthy),
            ("desiredHealthy", st.desired_healthy),
            ("expectedPods", st.expected_pods),
        ] {
            not_negative_opt(v, &path.child(name), e);
        }
    }),
    allow_unconditional_update: false,
    ..Rules::plain(Kind::PodDisruptionBudget, NameRule::DnsSubdomain)
};

fn budget(b: &PodDisruptionBudget, e: &mut FieldErrors) {
    let none = PodDisruptionBudgetSpec::default();
    let spec = b.spec.as_ref().unwrap_or(&none);
    let path = Path::new("spec");
    if spec.min_available.is_some() && spec.max_unavailable.is_some() {
        let number = |v: &Option<kinds::IntOrString>| serde_json::to_string(v).unwrap_or_default();
        let shown = format!(
            "{{\"MinAvailable\":{},\"Selector\":{},\"MaxUnavailable\":{},\"UnhealthyPodEvictionPolicy\":{}}}",
            number(&spec.min_available),
            spec.selector.as_ref().map_or_else(|| "null".to_owned(), |l| crate::json::selector(l).0),
            number(&spec.max_unavailable),
            serde_json::json!(spec.unhealthy_pod_eviction_policy),
        );
        e.invalid(&path, Bare(shown), "minAvailable and maxUnavailable cannot be both set");
    }
    for (name, v) in [("minAvailable", &spec.min_available), ("maxUnavailable", &spec.max_unavailable)] {
        if let Some(v) = v {
            int_or_percent(v, &path.child(name), e);
            not_more_than_all(v, &path.child(name), e);
        }
    }
    meta::label_selector(spec.selector.as_ref(), Values::Strict, &path.child("selector"), e);
    one_of_opt(&spec.unhealthy_pod_eviction_policy, &["AlwaysAllow", "IfHealthyBudget"], &path.child("unhealthyPodEvictionPolicy"), e);
}

pub(crate) const PRIORITY_ROW: Rules = Rules {
    default: edit!(PriorityClass, |c: &mut PriorityClass| {
        c.preemption_policy.get_or_insert_with(|| "PreemptLowerPriority".into());
    }),
    prepare_create: edit!(PriorityClass, |c: &mut PriorityClass| c.metadata.generation = Some(1)),
    prepare_update: edit_with_old!(PriorityClass, |n: &mut PriorityClass, o: &PriorityClass| {
        n.metadata.generation = o.metadata.generation;
    }),
    validate: check!(PriorityClass, priority),
    validate_update: check_with_old!(PriorityClass, |n: &PriorityClass, o: &PriorityClass, e: &mut FieldErrors| {
        if n.value != o.value {
            e.forbidden(&Path::new("value"), "may not be changed in an update.");
        }
        if n.preemption_policy != o.preemption_policy {
            e.invalid(&Path::new("preemptionPolicy"), s(&n.preemption_policy), IMMUTABLE);
        }
    }),
    ..Rules::plain(Kind::PriorityClass, NameRule::DnsSubdomain)
};

/// The highest value that users may define.
const USER_PRIORITY_MAX: i32 = 1_000_000_000;
const SYSTEM_CLASSES: &[(&str, i32)] = &[("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

fn priority(c: &PriorityClass, e: &mut FieldErrors) {
    let (name, value) = (s(&c.metadata.name), c.value.unwrap_or_default());
    if name.starts_with("system-") {
        let known = SYSTEM_CLASSES.iter().find(|(n, _)| *n == name);
        let ok = known.is_some_and(|(_, v)| *v == value) && c.global_default != Some(true);
        if !ok {
            let why = match known {
                Some((_, v)) if *v != value => format!("value of {name} PriorityClass must be {v}"),
                Some(_) => format!("globalDefault of {name} PriorityClass must be false"),
                None => format!("{name} is not a known system priority class"),
            };
            let why = format!("priority class names with 'system-' prefix are reserved for system use only. error: {why}");
            e.forbidden(&Path::new("metadata.name"), why);
        }
    } else if value > USER_PRIORITY_MAX {
        let why = format!("maximum allowed value of a user defined priority is {USER_PRIORITY_MAX}");
        e.forbidden(&Path::new("value"), why);
    }
    if let Some(p) = &c.preemption_policy {
        crate::checks::one_of(p, crate::core::pod::spec::PREEMPTION, &Path::new("preemptionPolicy"), e);
    }
}

pub(crate) const RUNTIME_ROW: Rules = Rules {
    default: edit!(RuntimeClass, |c: &mut RuntimeClass| {
        if let Some(o) = &mut c.overhead {
            round_up_milli(&mut o.pod_fixed);
        }
    }),
    validate: check!(RuntimeClass, runtime),
    validate_update: check_with_old!(RuntimeClass, |n: &RuntimeClass, o: &RuntimeClass, e: &mut FieldErrors| {
        runtime(n, e);
        meta::immutable_text(&n.handler, &o.handler, &Path::new("handler"), e);
    }),
    allow_unconditional_update: false,
    allow_create_on_update: true,
    ..Rules::plain(Kind::RuntimeClass, NameRule::DnsSubdomain)
};

fn runtime(c: &RuntimeClass, e: &mut FieldErrors) {
    if c.handler.is_empty() {
        e.required(&Path::new("handler"), "");
    } else {
        complain(&Path::new("handler"), &c.handler, names::dns_label(&c.handler), e);
    }
    for (k, q) in c.overhead.iter().flat_map(|o| o.pod_fixed.iter().flatten()) {
        let at = Path::new("overhead.limits").key(k);
        container_resource_name(k, &at, e);
        resource_amount(k, q, &at, e);
    }
    if let Some(x) = &c.scheduling {
        meta::labels(x.node_selector.as_ref(), &Path::new("scheduling.nodeSelector"), e);
        let at = Path::new("scheduling.tolerations");
        placement::tolerations(items(&x.tolerations), &at, e);
        let list = items(&x.tolerations);
        for (i, t) in list.iter().enumerate() {
            let key = |t: &Toleration| Toleration { toleration_seconds: None, ..t.clone() };
            if list[..i].iter().any(|before| key(before) == key(t)) {
                let shown = RuntimeClass { scheduling: Some(Scheduling { tolerations: Some(vec![t.clone()]), ..Scheduling::default() }), ..RuntimeClass::default() };
                e.duplicate_part(&at.index(i), ("Toleration", "/scheduling/tolerations/0"), shown.into());
            }
        }
    }
}
