//! LimitRanger: fills in requests and limits of containers, and keeps containers, pods and claims within bounds.
//!
//! Docs: "Limit Ranges".

use super::{aggregate, forbidden};
use crate::context::{Ctx, Operation, Request};
use crate::read::{amount, items};
use kinds::api::core::v1::{Container, LimitRange, LimitRangeItem, Pod, ResourceRequirements};
use kinds::pod::Amounts;
use kinds::{ApiError, Kind, Object, Quantity, QuantityText, Resource};
use std::collections::BTreeMap;
use std::sync::Arc;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";
type Map = BTreeMap<String, QuantityText>;

fn concerns(request: &Request) -> bool {
    request.operation == Operation::Create
        && request.subresource.is_empty()
        && (request.resource == Resource::from(Kind::Pod) || request.resource == Resource::from(Kind::PersistentVolumeClaim))
}

fn ranges<'a>(ctx: &'a Ctx<'_>, namespace: &'a str) -> impl Iterator<Item = &'a LimitRangeItem> {
    let all = ctx.snapshot.list::<LimitRange>(namespace);
    all.filter_map(|r| r.spec.as_ref()).flat_map(|s| s.limits.iter())
}

/// Gives containers the namespace's default requests and limits.
pub(super) fn mutate(ctx: &Ctx<'_>, request: &Request, object: &mut Object, _: Option<&Object>) -> Result<(), ApiError> {
    if !concerns(request) {
        return Ok(());
    }
    let Object::Pod(pod) = object else { return Ok(()) };
    for range in ctx.snapshot.list::<LimitRange>(&request.namespace) {
        let limits = range.spec.as_ref().map(|s| s.limits.as_slice()).unwrap_or_default();
        let own: Vec<_> = limits.iter().filter(|l| l.type_ == "Container").collect();
        if own.is_empty() {
            continue;
        }
        let pod = Arc::make_mut(pod);
        let mut notes = Vec::new();
        let spec = pod.spec.get_or_insert_default();
        for (list, word) in [
            (spec.containers.as_mut_slice(), "container"),
            (spec.init_containers.as_deref_mut().unwrap_or_default(), "init container"),
        ] {
            for c in list {
                for l in &own {
                    merge(c, l, word, &mut notes);
                }
            }
        }
        if !notes.is_empty() {
            let text = format!("LimitRanger plugin set: {}", notes.join("; "));
            pod.metadata.annotations.get_or_insert_default().insert(ANNOTATION.into(), text);
        }
    }
    Ok(())
}

fn merge(c: &mut Container, l: &LimitRangeItem, word: &str, notes: &mut Vec<String>) {
    let r = c.resources.get_or_insert_with(ResourceRequirements::default);
    let name = &c.name;
    let mut fill = |into: &mut Option<Map>, from: &Option<Map>, what: &str| {
        let mut set = Vec::new();
        for (k, v) in from.iter().flatten() {
            if !into.as_ref().is_some_and(|m| m.contains_key(k)) {
                into.get_or_insert_default().insert(k.clone(), v.clone());
                set.push(k.clone());
            }
        }
        if !set.is_empty() {
            notes.push(format!("{} {what} for {word} {name}", set.join(", ")));
        }
    };
    fill(&mut r.requests, &l.default_request, "request");
    fill(&mut r.limits, &l.default, "limit");
}

/// Checks bounds.
pub(super) fn validate(ctx: &Ctx<'_>, request: &Request, object: &Object, _: Option<&Object>) -> Result<(), ApiError> {
    if !concerns(request) {
        return Ok(());
    }
    let mut errors = Vec::new();
    for l in ranges(ctx, &request.namespace) {
        match (l.type_.as_str(), object) {
            ("Container", Object::Pod(p)) => containers(l, p, &mut errors),
            ("Pod", Object::Pod(p)) => {
                let Some(spec) = &p.spec else { continue };
                bounds(l, &kinds::pod::requests(spec), &kinds::pod::limits(spec), &mut errors);
            }
            ("PersistentVolumeClaim", Object::PersistentVolumeClaim(c)) => claim(l, c, &mut errors),
            _ => {}
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(forbidden(request, object, aggregate(errors))) }
}

fn containers(l: &LimitRangeItem, p: &Pod, errors: &mut Vec<String>) {
    let Some(spec) = &p.spec else { return };
    for c in spec.containers.iter().chain(items(&spec.init_containers)) {
        bounds(l, &kinds::pod::container_requests(c), &kinds::pod::container_limits(c), errors);
    }
}

fn bounds(l: &LimitRangeItem, requests: &Amounts, limits: &Amounts, errors: &mut Vec<String>) {
    let kind = &l.type_;
    for (k, v) in l.min.iter().flatten() {
        let (least, head) = (amount(v), format!("minimum {k} usage per {kind} is {}", v.0));
        match requests.get(k) {
            None => errors.push(format!("{head}.  No request is specified")),
            Some(r) if *r < least => errors.push(format!("{head}, but request is {r}")),
            Some(_) => {
                if let Some(m) = limits.get(k).filter(|m| **m < least) {
                    errors.push(format!("{head}, but limit is {m}"));
                }
            }
        }
    }
    for (k, v) in l.max.iter().flatten() {
        let (most, head) = (amount(v), format!("maximum {k} usage per {kind} is {}", v.0));
        match limits.get(k) {
            None => errors.push(format!("{head}.  No limit is specified")),
            Some(m) if *m > most => errors.push(format!("{head}, but limit is {m}")),
            Some(_) => {
                if let Some(r) = requests.get(k).filter(|r| **r > most) {
                    errors.push(format!("{head}, but request is {r}"));
                }
            }
        }
    }
    for (k, v) in l.max_limit_request_ratio.iter().flatten() {
        let head = format!("{k} max limit to request ratio per {kind} is {}", v.0);
        let zero = |q: Option<&Quantity>| q.is_none_or(Quantity::is_zero);
        if zero(requests.get(k)) {
            errors.push(format!("{head}, but no request is specified or request is 0"));
        } else if zero(limits.get(k)) {
            errors.push(format!("{head}, but no limit is specified or limit is 0"));
        } else {
            let ratio = limits[k].as_f64() / requests[k].as_f64();
            if ratio > amount(v).as_f64() {
                errors.push(format!("{head}, but provided ratio is {ratio:.6}"));
            }
        }
    }
}

fn claim(l: &LimitRangeItem, c: &kinds::api::core::v1::PersistentVolumeClaim, errors: &mut Vec<String>) {
    let requests = c.spec.as_ref().and_then(|x| x.resources.as_ref()).and_then(|r| r.requests.as_ref());
    let have: Amounts = requests.into_iter().flatten().map(|(k, v)| (k.clone(), amount(v))).collect();
    for (map, word, below) in [(&l.min, "minimum", true), (&l.max, "maximum", false)] {
        for (k, v) in map.iter().flatten() {
            let head = format!("{word} {k} usage per {} is {}", l.type_, v.0);
            match have.get(k) {
                None => errors.push(format!("{head}.  No request is specified")),
                Some(r) if (below && *r < amount(v)) || (!below && *r > amount(v)) => {
                    errors.push(format!("{head}, but request is {r}"));
                }
                Some(_) => {}
            }
        }
    }
}
