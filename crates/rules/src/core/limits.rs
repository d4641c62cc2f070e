//! LimitRanges. Docs: "Limit Ranges".

use crate::core::pod::resources::{container_resource_name, is_extended, is_huge_page, resource_name};
use crate::names::NameRule;
use crate::quantities::round_up_milli;
use crate::read::amount;
use crate::table::{Rules, check, check_with_old, edit};
use kinds::api::core::v1::{LimitRange, LimitRangeItem};
use kinds::{FieldErrors, Kind, Path, QuantityText};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const ROW: Rules = Rules {
    default: edit!(LimitRange, default),
    prepare_create: edit!(LimitRange, |r: &mut LimitRange| {
        // One without a name is called by its uid.
        if r.metadata.name.as_deref().is_none_or(str::is_empty) {
            r.metadata.name.clone_from(&r.metadata.uid);
        }
    }),
    allow_create_on_update: true,
    validate: check!(LimitRange, validate),
    validate_update: check_with_old!(LimitRange, |n: &LimitRange, _: &LimitRange, e: &mut FieldErrors| validate(n, e)),
    ..Rules::plain(Kind::LimitRange, NameRule::DnsSubdomain)
};

/// For containers, missing defaults follow from each other and from the bounds.
fn default(r: &mut LimitRange) {
    let Some(spec) = &mut r.spec else { return };
    for l in &mut spec.limits {
        for m in [&mut l.default, &mut l.default_request, &mut l.max, &mut l.min, &mut l.max_limit_request_ratio] {
            round_up_milli(m);
        }
        if l.type_ != "Container" {
            continue;
        }
        fill(&mut l.default, l.max.as_ref());
        let (default, min) = (l.default.clone(), l.min.clone());
        fill(&mut l.default_request, default.as_ref());
        // A lower bound without a default request is the default request.
        fill(&mut l.default_request, min.as_ref());
    }
}

fn fill(into: &mut Option<BTreeMap<String, QuantityText>>, from: Option<&BTreeMap<String, QuantityText>>) {
    let Some(from) = from.filter(|f| !f.is_empty()) else { return };
    let into = into.get_or_insert_default();
    for (k, v) in from {
        into.entry(k.clone()).or_insert_with(|| v.clone());
    }
}

fn validate(r: &LimitRange, e: &mut FieldErrors) {
    let Some(spec) = &r.spec else { return };
    let mut seen = BTreeSet::new();
    for (i, l) in spec.limits.iter().enumerate() {
        let at = Path::new("spec.limits").index(i);
        let why = crate::names::qualified_name(&l.type_);
        if why.is_empty() && !l.type_.contains('/') && !TYPES.contains(&l.type_.as_str()) {
            e.invalid(&at.child("type"), &l.type_, "must be a standard limit type or fully qualified");
        }
        for m in why {
            e.invalid(&at.child("type"), &l.type_, m);
        }
        if !seen.insert(&l.type_) {
            e.duplicate(&at.child("type"), &l.type_);
        }
        item(l, &at, e);
    }
}

/// What limits are for.
const TYPES: &[&str] = &["Pod", "Container", "PersistentVolumeClaim"];

fn item(l: &LimitRangeItem, at: &Path, e: &mut FieldErrors) {
    let of = |m: &Option<BTreeMap<String, QuantityText>>| m.clone().unwrap_or_default();
    let (max, min, default, request) = (of(&l.max), of(&l.min), of(&l.default), of(&l.default_request));
    let ratio = of(&l.max_limit_request_ratio);
    if l.type_ == "Pod" {
        if !default.is_empty() {
            e.forbidden(&at.child("default"), "may not be specified when `type` is 'Pod'");
        }
        if !request.is_empty() {
            e.forbidden(&at.child("defaultRequest"), "may not be specified when `type` is 'Pod'");
        }
    }
    if l.type_ == "PersistentVolumeClaim" && !max.contains_key("storage") && !min.contains_key("storage") {
        e.required(at, "either minimum or maximum storage value is required, but neither was provided");
    }
    for (name, map) in [("max", &max), ("min", &min), ("default", &default), ("defaultRequest", &request), ("maxLimitRequestRatio", &ratio)] {
        for k in map.keys() {
            let at = at.child(name).key(k);
            match l.type_.as_str() {
                "Container" | "Pod" => container_resource_name(k, &at, e),
                _ => drop(resource_name(k, &at, e)),
            }
        }
    }
    let keys: BTreeSet<&String> = max.keys().chain(min.keys()).chain(default.keys()).chain(request.keys()).chain(ratio.keys()).collect();
    for k in keys {
        let get = |m: &BTreeMap<String, QuantityText>| m.get(k).cloned();
        let over = |a: &Option<QuantityText>, b: &Option<QuantityText>| match (a, b) {
            (Some(a), Some(b)) => amount(a) > amount(b),
            _ => false,
        };
        let (lo, hi, d, rq) = (get(&min), get(&max), get(&default), get(&request));
        let words = |a: &str, x: &Option<QuantityText>, b: &str, y: &Option<QuantityText>| {
            let t = |q: &Option<QuantityText>| q.as_ref().map(|q| q.0.clone()).unwrap_or_default();
            format!("{a} value {} is greater than {b} value {}", t(x), t(y))
        };
        let shown = |q: &Option<QuantityText>| q.as_ref().map(|q| q.0.clone()).unwrap_or_default();
        for (field, a, b, an, bn) in [
            ("min", &lo, &hi, "min", "max"),
            ("defaultRequest", &lo, &rq, "min", "default request"),
            ("defaultRequest", &rq, &hi, "default request", "max"),
            ("defaultRequest", &rq, &d, "default request", "default limit"),
            ("default", &lo, &d, "min", "default"),
            ("default", &d, &hi, "default", "max"),
        ] {
            if over(a, b) {
                let value = if field == "default" { if an == "min" { &lo } else { &hi } } else if field == "min" { &lo } else { &rq };
                let at = if field == "default" { at.child("default").key(k) } else { at.child(field).key(k) };
                e.invalid(&at, shown(value), words(an, a, bn, b));
            }
        }
        if let Some(r) = ratio.get(k) {
            let at = at.child("maxLimitRequestRatio").key(k);
            if amount(r) < kinds::Quantity::milli(1000) {
                e.invalid(&at, &r.0, format!("ratio {} is less than 1", r.0));
            }
            if let Some(most) = most(&lo, &hi).filter(|most| plain(r) > *most) {
                e.invalid(&at, &r.0, format!("ratio {} is greater than max/min = {most:.6}", r.0));
            }
        }
        if (is_huge_page(k) || is_extended(k)) && d.is_some() && rq.is_some() && d.as_ref().map(amount) != rq.as_ref().map(amount) {
            let why = format!("default value {} must equal to defaultRequest value {} in {k}", shown(&d), shown(&rq));
            e.invalid(&at.child("defaultRequest").key(k), shown(&rq), why);
        }
    }
}

/// An amount as a number.
fn plain(q: &QuantityText) -> f64 {
    amount(q).as_f64()
}

/// The largest ratio that two bounds leave.
fn most(min: &Option<QuantityText>, max: &Option<QuantityText>) -> Option<f64> {
    match (min, max) {
        (Some(min), Some(max)) if plain(min) != 0.0 => Some(plain(max) / plain(min)),
        _ => None,
    }
}
