//! Which of the wanted names a definition gets, and that it is then established.

use super::Seen;
use super::conditions::{self, CONFORMANT, ESTABLISHED, NAMES_ACCEPTED};
use crate::controller::Ctx;
use crate::plan::{Plan, Step};
use kinds::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionNames, CustomResourceDefinitionStatus,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The annotation by which groups of the Kubernetes project say who approved them.
const APPROVED: &str = "api-approved.kubernetes.io";

/// Names that other definitions of the group hold: resources (plurals, singulars, short names) and kinds.
#[derive(Default)]
struct Taken {
    resources: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

impl Taken {
    fn by(others: &[Arc<CustomResourceDefinition>]) -> Self {
        let mut taken = Self::default();
        for names in others.iter().filter_map(|d| d.status.as_ref()?.accepted_names.as_ref()) {
            let resources = [Some(&names.plural), names.singular.as_ref()].into_iter().flatten();
            taken.resources.extend(resources.chain(names.short_names.iter().flatten()).filter(|n| !n.is_empty()).cloned());
            let kinds = [Some(&names.kind), names.list_kind.as_ref()].into_iter().flatten();
            taken.kinds.extend(kinds.filter(|n| !n.is_empty()).cloned());
        }
        taken
    }
}

/// Accepts names and establishes.
pub(super) fn decide(seen: &Seen, ctx: &Ctx) -> Plan {
    let d = &seen.definition;
    let was = d.status.clone().unwrap_or_default();
    let (accepted, conflict) = accept(d, &Taken::by(&seen.others));
    let mut status = CustomResourceDefinitionStatus { accepted_names: Some(accepted), ..was.clone() };
    match &conflict {
        Some((reason, message)) => conditions::set(&mut status, ctx, NAMES_ACCEPTED, false, reason, message),
        None => conditions::set(&mut status, ctx, NAMES_ACCEPTED, true, "NoConflicts", "no conflicts found"),
    }
    if !conditions::is_true(d, ESTABLISHED) {
        let (reason, message) = match conflict {
            Some(_) => ("NotAccepted", "not all names are accepted"),
            None => ("InitialNamesAccepted", "the initial names have been accepted"),
        };
        conditions::set(&mut status, ctx, ESTABLISHED, conflict.is_none(), reason, message);
    }
    approval(d, &mut status, ctx);
    let changed = status != was;
    let next = CustomResourceDefinition { status: Some(status), ..CustomResourceDefinition::clone(d) };
    let why = if conflict.is_some() { "a name is taken" } else { "the names are free" };
    Plan::because(why).status(changed.then(|| Step::update_status(next).lenient()))
}

/// The names it gets, keeping what it had where a wanted one is taken; and the last conflict there is.
fn accept(d: &CustomResourceDefinition, taken: &Taken) -> (CustomResourceDefinitionNames, Option<(&'static str, String)>) {
    let wanted = &d.spec.names;
    let had = d.status.as_ref().and_then(|s| s.accepted_names.clone()).unwrap_or_default();
    let mut got = had.clone();
    let mut conflict = None;
    let in_use = |name: &str| format!("{name:?} is already in use");
    if taken.resources.contains(&wanted.plural) {
        conflict = Some(("PluralConflict", in_use(&wanted.plural)));
    } else {
        got.plural.clone_from(&wanted.plural);
    }
    match wanted.singular.as_ref().filter(|n| taken.resources.contains(*n)) {
        Some(n) => conflict = Some(("SingularConflict", in_use(n))),
        None => got.singular.clone_from(&wanted.singular),
    }
    let old_short = had.short_names.unwrap_or_default();
    let short: Vec<&String> = wanted.short_names.iter().flatten().collect();
    let clashes: Vec<String> =
        short.iter().filter(|n| !old_short.contains(n) && taken.resources.contains(**n)).map(|n| in_use(n)).collect();
    match clashes.len() {
        0 => got.short_names.clone_from(&wanted.short_names),
        1 => conflict = Some(("ShortNamesConflict", clashes[0].clone())),
        _ => conflict = Some(("ShortNamesConflict", format!("[{}]", clashes.join(", ")))),
    }
    if taken.kinds.contains(&wanted.kind) {
        conflict = Some(("KindConflict", in_use(&wanted.kind)));
    } else {
        got.kind.clone_from(&wanted.kind);
    }
    match wanted.list_kind.as_ref().filter(|n| taken.kinds.contains(*n)) {
        Some(n) => conflict = Some(("ListKindConflict", in_use(n))),
        None => got.list_kind.clone_from(&wanted.list_kind),
    }
    got.categories.clone_from(&wanted.categories);
    (got, conflict)
}

/// What the approval annotation of a protected group says.
fn approval(d: &CustomResourceDefinition, status: &mut CustomResourceDefinitionStatus, ctx: &Ctx) {
    let group = &d.spec.group;
    if !["k8s.io", "kubernetes.io"].iter().any(|p| group == p || group.ends_with(&format!(".{p}"))) {
        return;
    }
    let text = d.metadata.annotations.as_ref().and_then(|a| a.get(APPROVED)).map(String::as_str).unwrap_or_default();
    let see = "see https://github.com/kubernetes/enhancements/pull/1111";
    let (on, reason, message) = if text.is_empty() {
        (false, "MissingAnnotation", format!("protected groups must have approval annotation {APPROVED:?}, {see}"))
    } else if text.starts_with("unapproved") {
        (false, "UnapprovedAnnotation", format!("not approved: {text:?}"))
    } else if text.split_once("://").is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty()) {
        (true, "ApprovedAnnotation", format!("approved in {text}"))
    } else {
        let wanted = "with either a URL or a reason starting with \"unapproved\"";
        (false, "InvalidAnnotation", format!("protected groups must have approval annotation {APPROVED:?} {wanted}, {see}"))
    };
    conditions::set(status, ctx, CONFORMANT, on, reason, &message);
}
