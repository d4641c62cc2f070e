//! Dynamic resource allocation: claims, templates, classes and slices of devices.
//! Docs: "Dynamic Resource Allocation" (KEP-4381).

use crate::checks::{complain, one_of, repeated};
use crate::meta::IMMUTABLE;
use crate::names::{self, NameRule};
use crate::quantities::spell;
use crate::read::{fill, has, items, on, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, meta_fields};
use kinds::api::core::v1::NodeSelector;
use kinds::api::resource::v1::{
    AllocatedDeviceStatus, Device, DeviceClaim, DeviceClass, DeviceRequest, DeviceSelector, DeviceToleration, ExactDeviceRequest, OpaqueDeviceConfiguration,
    ResourceClaim, ResourceClaimStatus, ResourceClaimTemplate, ResourceSlice, ResourceSliceSpec,
};
use kinds::field::Bare;
use kinds::{FieldErrors, Kind, Object, Path};
use std::collections::BTreeSet;

pub mod authority;
mod selector;
mod shown;
#[cfg(test)]
mod tests;

const REQUESTS_MAX: usize = 32;
const DEVICES_MAX: usize = 128;
const SELECTORS_MAX: usize = 32;
const RESERVED_MAX: usize = 256;

/// What drivers said of devices goes with their allocation.
fn forget_deallocated(new: &mut ResourceClaim, old: &ResourceClaim) {
    fn allocated(c: &ResourceClaim) -> BTreeSet<(&str, &str, &str, &str)> {
        let devices = c.status.as_ref().and_then(|s| s.allocation.as_ref()?.devices.as_ref());
        let results = devices.map(|d| items(&d.results)).unwrap_or_default();
        results.iter().map(|r| (r.driver.as_str(), r.pool.as_str(), r.device.as_str(), s(&r.share_id))).collect()
    }
    let (before, now) = (allocated(old), allocated(new));
    let gone = |d: &AllocatedDeviceStatus| {
        let key = (d.driver.as_str(), d.pool.as_str(), d.device.as_str(), s(&d.share_id));
        before.contains(&key) && !now.contains(&key)
    };
    let said = new.status.as_ref().map(|st| items(&st.devices)).unwrap_or_default();
    if !said.iter().any(gone) {
        return;
    }
    let kept: Vec<_> = said.iter().filter(|d| !gone(d)).cloned().collect();
    if let Some(st) = &mut new.status {
        st.devices = Some(kept).filter(|k| !k.is_empty());
    }
}

pub(crate) const CLAIM_ROW: Rules = Rules {
    default: edit!(ResourceClaim, |c: &mut ResourceClaim| claim_defaults(c.spec.devices.as_mut())),
    prepare_create: edit!(ResourceClaim, |c: &mut ResourceClaim| c.status = Some(ResourceClaimStatus::default())),
    prepare_update: edit_with_old!(ResourceClaim, |n: &mut ResourceClaim, o: &ResourceClaim| n.status.clone_from(&o.status)),
    prepare_status_update: Some(edit_with_old!(ResourceClaim, |n: &mut ResourceClaim, o: &ResourceClaim| {
        n.spec.clone_from(&o.spec);
        // Nobody holds on to a claim that is not allocated.
        if let Some(st) = n.status.as_mut().filter(|st| st.allocation.is_none()) {
            st.reserved_for = st.reserved_for.take().filter(|r| !r.is_empty());
        }
        forget_deallocated(n, o);
    })),
    validate: check!(ResourceClaim, |c: &ResourceClaim, e: &mut FieldErrors| claim(c.spec.devices.as_ref(), &Path::new("spec"), e)),
    validate_update: check_with_old!(ResourceClaim, |n: &ResourceClaim, o: &ResourceClaim, e: &mut FieldErrors| {
        if n.spec != o.spec {
            e.invalid(&Path::new("spec"), shown::claim(&n.spec), IMMUTABLE);
        }
    }),
    validate_status_update: check_with_old!(ResourceClaim, status),
    ..Rules::plain(Kind::ResourceClaim, NameRule::DnsSubdomain)
};

pub(crate) const TEMPLATE_ROW: Rules = Rules {
    default: edit!(ResourceClaimTemplate, |t: &mut ResourceClaimTemplate| claim_defaults(t.spec.spec.devices.as_mut())),
    validate: check!(ResourceClaimTemplate, template),
    validate_update: check_with_old!(ResourceClaimTemplate, |n: &ResourceClaimTemplate, o: &ResourceClaimTemplate, e: &mut FieldErrors| {
        template(n, e);
        if n.spec != o.spec {
            e.invalid(&Path::new("spec"), shown::template(&n.spec), IMMUTABLE);
        }
    }),
    ..Rules::plain(Kind::ResourceClaimTemplate, NameRule::DnsSubdomain)
};

fn template(t: &ResourceClaimTemplate, e: &mut FieldErrors) {
    if let Some(meta) = &t.spec.metadata {
        crate::meta::template(meta, &Path::new("spec.metadata"), e);
    }
    claim(t.spec.spec.devices.as_ref(), &Path::new("spec.spec"), e);
}

pub(crate) const CLASS_ROW: Rules = Rules {
    prepare_create: edit!(DeviceClass, |c: &mut DeviceClass| c.metadata.generation = Some(1)),
    prepare_update: edit_with_old!(DeviceClass, |n: &mut DeviceClass, o: &DeviceClass| {
        let was = o.metadata.generation.unwrap_or_default();
        n.metadata.generation = Some(if n.spec == o.spec { was } else { was + 1 });
    }),
    validate: check!(DeviceClass, class),
    validate_update: check_with_old!(DeviceClass, |n: &DeviceClass, _: &DeviceClass, e: &mut FieldErrors| class(n, e)),
    ..Rules::plain(Kind::DeviceClass, NameRule::DnsSubdomain)
};

pub(crate) const SLICE_ROW: Rules = Rules {
    default: edit!(ResourceSlice, |x: &mut ResourceSlice| {
        for d in x.spec.devices.iter_mut().flatten() {
            d.capacity.iter_mut().flatten().for_each(|(_, c)| spell(&mut c.value));
            for m in d.node_allocatable_resource_mappings.iter_mut().flatten().map(|(_, m)| m) {
                spell(m.allocation_multiplier.get_or_insert_with(|| kinds::QuantityText("1".into())));
            }
        }
        for c in x.spec.shared_counters.iter_mut().flatten() {
            c.counters.values_mut().for_each(|c| spell(&mut c.value));
        }
    }),
    prepare_create: edit!(ResourceSlice, |x: &mut ResourceSlice| x.metadata.generation = Some(1)),
    prepare_update: edit_with_old!(ResourceSlice, |n: &mut ResourceSlice, o: &ResourceSlice| {
        let was = o.metadata.generation.unwrap_or_default();
        n.metadata.generation = Some(if n.spec == o.spec { was } else { was + 1 });
    }),
    validate: check!(ResourceSlice, |x: &ResourceSlice, e: &mut FieldErrors| slice(x, None, e)),
    validate_update: check_with_old!(ResourceSlice, |n: &ResourceSlice, o: &ResourceSlice, e: &mut FieldErrors| {
        slice(n, Some(o), e);
    }),
    fields: |o: &Object| {
        let mut all = vec![meta_fields(o).swap_remove(0)];
        if let Object::ResourceSlice(x) = o {
            all.push(("spec.nodeName", s(&x.spec.node_name).to_owned()));
            all.push(("spec.driver", x.spec.driver.clone()));
        }
        all
    },
    ..Rules::plain(Kind::ResourceSlice, NameRule::DnsSubdomain)
};

fn claim_defaults(c: Option<&mut DeviceClaim>) {
    for r in c.into_iter().flat_map(|c| c.requests.iter_mut().flatten()) {
        if let Some(x) = &mut r.exactly {
            fill(&mut x.allocation_mode, "ExactCount");
            if s(&x.allocation_mode) == "ExactCount" && x.count.unwrap_or_default() == 0 {
                x.count = Some(1);
            }
            tolerations(&mut x.tolerations);
        }
        for x in r.first_available.iter_mut().flatten() {
            fill(&mut x.allocation_mode, "ExactCount");
            if s(&x.allocation_mode) == "ExactCount" && x.count.unwrap_or_default() == 0 {
                x.count = Some(1);
            }
            tolerations(&mut x.tolerations);
        }
    }
}

fn tolerations(list: &mut Option<Vec<kinds::api::resource::v1::DeviceToleration>>) {
    for t in list.iter_mut().flatten() {
        fill(&mut t.operator, "Equal");
    }
}

fn claim(c: Option<&DeviceClaim>, path: &Path, e: &mut FieldErrors) {
    let Some(c) = c else { return };
    let path = path.child("devices");
    let requests = items(&c.requests);
    if requests.len() > REQUESTS_MAX {
        e.too_many(&path.child("requests"), requests.len(), REQUESTS_MAX);
    }
    let mut names = BTreeSet::new();
    for (i, r) in requests.iter().enumerate() {
        let at = path.child("requests").index(i);
        request(r, &at, e);
        if !names.insert(r.name.as_str()) {
            e.duplicate(&at, &r.name);
        }
    }
    for (i, x) in items(&c.constraints).iter().enumerate() {
        let at = path.child("constraints").index(i);
        named_requests(items(&x.requests), requests, &at.child("requests"), e);
        match (&x.match_attribute, &x.distinct_attribute) {
            (None, None) => e.required(&at, "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set"),
            (Some(a), None) => attribute(a, &at.child("matchAttribute"), e),
            (None, Some(a)) => attribute(a, &at.child("distinctAttribute"), e),
            (Some(_), Some(_)) => e.invalid(&at, "", "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set"),
        }
    }
    for (i, x) in items(&c.config).iter().enumerate() {
        let at = path.child("config").index(i);
        named_requests(items(&x.requests), requests, &at.child("requests"), e);
        opaque(x.opaque.as_ref(), &at, e);
    }
}

/// Requests by name, with `request/subrequest` for the alternatives of one.
fn named_requests(list: &[String], known: &[DeviceRequest], at: &Path, e: &mut FieldErrors) {
    const UNKNOWN: &str = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
    let again = repeated(list);
    for (j, n) in list.iter().enumerate() {
        let at = at.index(j);
        if again[j] {
            e.duplicate(&at, n);
        }
        for part in n.split('/') {
            complain(&at, part, names::dns_label(part), e);
        }
        let found = known.iter().any(|r| match n.split_once('/') {
            Some((request, sub)) => r.name == request && items(&r.first_available).iter().any(|s| s.name == sub),
            None => r.name == *n,
        });
        if !found {
            e.invalid(&at, n, UNKNOWN);
        }
    }
}

const DOMAIN_MAX: usize = 63;
const IDENTIFIER_MAX: usize = 32;

/// `domain/identifier`, in full.
fn attribute(name: &str, at: &Path, e: &mut FieldErrors) {
    match name.split_once('/') {
        Some((domain, id)) => {
            driver(domain, at, e);
            identifier(id, at, e);
        }
        None => {
            identifier(name, at, e);
            e.invalid(at, name, "a fully qualified name must be a domain and a name separated by a slash");
        }
    }
}

fn identifier(id: &str, at: &Path, e: &mut FieldErrors) {
    if id.len() > IDENTIFIER_MAX {
        e.too_long(at, IDENTIFIER_MAX);
    }
    complain(at, id, names::c_identifier(id), e);
}

/// The name of an attribute or capacity of a device: the domain may be left out.
fn device_key(name: &str, at: &Path, e: &mut FieldErrors) {
    match name.split_once('/') {
        Some((domain, id)) => {
            driver(domain, at, e);
            identifier(id, at, e);
        }
        None => identifier(name, at, e),
    }
}

/// What only a driver understands.
fn opaque(o: Option<&OpaqueDeviceConfiguration>, at: &Path, e: &mut FieldErrors) {
    let at = at.child("opaque");
    let Some(o) = o else {
        e.required(&at, "");
        return;
    };
    driver(&o.driver, &at.child("driver"), e);
    let at = at.child("parameters");
    if o.parameters.0.is_null() {
        e.required(&at, "");
    } else if !o.parameters.0.is_object() {
        e.invalid(&at, "<value omitted>", "must be a valid JSON object");
    }
}

fn request(r: &DeviceRequest, at: &Path, e: &mut FieldErrors) {
    complain(&at.child("name"), &r.name, names::dns_label(&r.name), e);
    match (&r.exactly, items(&r.first_available)) {
        (None, []) => e.required(at, "exactly one of `exactly` or `firstAvailable` is required"),
        (Some(_), [_, ..]) => e.invalid(at, crate::json::null(), "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"),
        (Some(x), []) => exactly(x, &at.child("exactly"), e),
        (None, list) => {
            let again = repeated(list.iter().map(|x| &x.name));
            for (i, x) in list.iter().enumerate() {
                let at = at.child("firstAvailable").index(i);
                complain(&at.child("name"), &x.name, names::dns_label(&x.name), e);
                if again[i] {
                    e.duplicate(&at, &x.name);
                }
                tolerated(items(&x.tolerations), &at.child("tolerations"), e);
                class_name(&x.device_class_name, &at, e);
                selectors(items(&x.selectors), &at.child("selectors"), e);
                mode(&x.allocation_mode, x.count, &at, e);
            }
        }
    }
}

fn exactly(x: &ExactDeviceRequest, at: &Path, e: &mut FieldErrors) {
    class_name(&x.device_class_name, at, e);
    selectors(items(&x.selectors), &at.child("selectors"), e);
    mode(&x.allocation_mode, x.count, at, e);
    tolerated(items(&x.tolerations), &at.child("tolerations"), e);
}

fn tolerated(list: &[DeviceToleration], at: &Path, e: &mut FieldErrors) {
    for (i, t) in list.iter().enumerate() {
        let at = at.index(i);
        if has(&t.key) {
            complain(&at.child("key"), s(&t.key), names::qualified_name(s(&t.key)), e);
        }
        match s(&t.operator) {
            "Exists" if has(&t.value) => e.invalid(&at.child("value"), s(&t.value), "must be empty for operator `Exists`"),
            "Exists" => {}
            "Equal" => complain(&at.child("value"), s(&t.value), names::label_value(s(&t.value)), e),
            "" => e.required(&at.child("operator"), ""),
            other => e.not_supported(&at.child("operator"), other, &["Equal", "Exists"]),
        }
        if has(&t.effect) && !EFFECTS.contains(&s(&t.effect)) {
            e.not_supported(&at.child("effect"), s(&t.effect), EFFECTS);
        }
    }
}

/// What a taint of a device does.
const EFFECTS: &[&str] = &["NoExecute", "NoSchedule", "None"];

fn class_name(name: &str, at: &Path, e: &mut FieldErrors) {
    if name.is_empty() {
        e.required(&at.child("deviceClassName"), "");
    } else {
        complain(&at.child("deviceClassName"), name, names::dns_subdomain(name), e);
    }
}

fn mode(mode: &Option<String>, count: Option<i64>, at: &Path, e: &mut FieldErrors) {
    let n = count.unwrap_or_default();
    match s(mode) {
        "All" if n != 0 => {
            e.invalid(&at.child("count"), n, "must not be specified when allocationMode is 'All'");
        }
        "ExactCount" if n <= 0 => e.invalid(&at.child("count"), n, "must be greater than zero"),
        "All" | "ExactCount" => {}
        other => e.not_supported(&at.child("allocationMode"), other, &["All", "ExactCount"]),
    }
}

fn selectors(list: &[DeviceSelector], at: &Path, e: &mut FieldErrors) {
    if list.len() > SELECTORS_MAX {
        e.too_many(at, list.len(), SELECTORS_MAX);
    }
    for (i, x) in list.iter().enumerate() {
        match &x.cel {
            None => e.required(&at.index(i).child("cel"), ""),
            Some(c) => selector::check(&c.expression, &at.index(i).child("cel").child("expression"), e),
        }
    }
}

fn class(c: &DeviceClass, e: &mut FieldErrors) {
    selectors(items(&c.spec.selectors), &Path::new("spec.selectors"), e);
    for (i, x) in items(&c.spec.config).iter().enumerate() {
        let at = Path::new("spec.config").index(i);
        opaque(x.opaque.as_ref(), &at, e);
    }
    if c.spec.extended_resource_name.is_some() && !crate::core::pod::resources::is_extended(s(&c.spec.extended_resource_name)) {
        let at = Path::new("spec.extendedResourceName");
        e.invalid(&at, s(&c.spec.extended_resource_name), "must be a valid extended resource name");
    }
}

fn driver(name: &str, at: &Path, e: &mut FieldErrors) {
    if name.is_empty() {
        e.required(at, "");
        return;
    }
    if name.len() > DOMAIN_MAX {
        e.too_long(at, DOMAIN_MAX);
    }
    complain(at, name, names::dns_subdomain(name), e);
}

/// A slice, new or changed from `old`.
fn slice(x: &ResourceSlice, old: Option<&ResourceSlice>, e: &mut FieldErrors) {
    let (spec, path) = (&x.spec, Path::new("spec"));
    driver(&spec.driver, &path.child("driver"), e);
    let pool = &spec.pool.name;
    if pool.is_empty() {
        e.required(&path.child("pool").child("name"), "");
    } else {
        if pool.len() > names::SUBDOMAIN_MAX {
            e.too_long(&path.child("pool").child("name"), names::SUBDOMAIN_MAX);
        }
        for part in pool.split('/') {
            complain(&path.child("pool").child("name"), part, names::dns_subdomain(part), e);
        }
    }
    if spec.pool.resource_slice_count <= 0 {
        let at = path.child("pool").child("resourceSliceCount");
        e.invalid(&at, spec.pool.resource_slice_count, "must be greater than zero");
    }
    if spec.pool.generation < 0 {
        e.invalid(&path.child("pool").child("generation"), spec.pool.generation, "must be greater than or equal to zero");
    }
    if let Some(old) = old {
        crate::meta::immutable_text(pool, &old.spec.pool.name, &path.child("pool").child("name"), e);
        crate::meta::immutable_text(&spec.driver, &old.spec.driver, &path.child("driver"), e);
        if spec.node_name != old.spec.node_name {
            let shown = spec.node_name.as_ref().map_or_else(crate::json::null, |n| kinds::field::Bare(format!("{n:?}")));
            e.invalid(&path.child("nodeName"), shown, IMMUTABLE);
        }
    }
    places(spec, &path, e);
    if !items(&spec.shared_counters).is_empty() && !items(&spec.devices).is_empty() {
        e.invalid(&path, "", "only one of `sharedCounters` or `devices` is allowed");
    }
    for (i, c) in items(&spec.shared_counters).iter().enumerate() {
        let at = path.child("sharedCounters").index(i);
        if c.name.is_empty() {
            e.required(&at.child("name"), "");
        } else {
            complain(&at.child("name"), &c.name, names::dns_label(&c.name), e);
        }
        if c.counters.is_empty() {
            e.required(&at.child("counters"), "");
        }
    }
    let devices = items(&spec.devices);
    if devices.len() > DEVICES_MAX {
        e.too_many(&path.child("devices"), devices.len(), DEVICES_MAX);
    }
    let mut seen = BTreeSet::new();
    for (i, d) in devices.iter().enumerate() {
        let at = path.child("devices").index(i);
        complain(&at.child("name"), &d.name, names::dns_label(&d.name), e);
        if !seen.insert(&d.name) {
            e.duplicate(&at, &d.name);
        }
        device(d, spec, &at, e);
        for (j, t) in items(&d.taints).iter().enumerate() {
            let at = at.child("taints").index(j);
            complain(&at.child("key"), &t.key, names::qualified_name(&t.key), e);
            one_of(&t.effect, EFFECTS, &at.child("effect"), e);
        }
    }
}

/// Where the devices of a slice are: at one node, at chosen ones, at all, or as each device says.
fn places(spec: &ResourceSliceSpec, path: &Path, e: &mut FieldErrors) {
    for (name, flag) in [("allNodes", spec.all_nodes), ("perDeviceNodeSelection", spec.per_device_node_selection)] {
        if flag == Some(false) {
            e.invalid(&path.child(name), false, "must be either unset or set to true");
        }
    }
    if let Some(name) = &spec.node_name {
        if name.is_empty() {
            e.invalid(&path.child("nodeName"), "", "must be either unset or set to a non-empty string");
        } else {
            complain(&path.child("nodeName"), name, names::dns_subdomain(name), e);
        }
    }
    if let Some(x) = &spec.node_selector {
        one_term(x, &path.child("nodeSelector"), e);
    }
    let set: Vec<&str> = [
        (has(&spec.node_name), "`nodeName`"),
        (spec.node_selector.is_some(), "`nodeSelector`"),
        (on(spec.all_nodes), "`allNodes`"),
        (on(spec.per_device_node_selection), "`perDeviceNodeSelection`"),
    ]
    .into_iter()
    .filter_map(|(set, name)| set.then_some(name))
    .collect();
    let why = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match set.len() {
        0 => e.required(path, why),
        1 => {}
        _ => e.invalid(path, format!("{{{}}}", set.join(", ")), format!("{why}, but multiple fields are set")),
    }
}

fn one_term(x: &NodeSelector, at: &Path, e: &mut FieldErrors) {
    let at = at.child("nodeSelectorTerms");
    let n = x.node_selector_terms.len();
    if n == 0 {
        e.required(&at, "must have at least one node selector term");
    }
    if n != 1 {
        e.invalid(&at, crate::json::null(), "must have exactly one node selector term");
    }
}

/// One device: where it is, what it is like, what it draws from.
fn device(d: &Device, spec: &ResourceSliceSpec, at: &Path, e: &mut FieldErrors) {
    let placed = d.node_name.is_some() || d.node_selector.is_some() || d.all_nodes.is_some();
    if on(spec.per_device_node_selection) && !placed {
        e.required(at, "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec");
    } else if !on(spec.per_device_node_selection) && placed {
        e.invalid(at, crate::json::null(), "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec");
    }
    for (k, v) in d.attributes.iter().flatten() {
        let at = at.child("attributes");
        device_key(k, &at, e);
        let n = [v.int.is_some(), v.bool.is_some(), v.string.is_some(), v.version.is_some()].into_iter().filter(|x| *x).count();
        if n != 1 {
            e.invalid(&at.key(k), "", "exactly one value must be specified");
        }
    }
    for k in d.capacity.iter().flatten().map(|(k, _)| k) {
        device_key(k, &at.child("capacity"), e);
    }
    for (i, c) in items(&d.consumes_counters).iter().enumerate() {
        let at = at.child("consumesCounters").index(i);
        if c.counter_set.is_empty() {
            e.required(&at.child("counterSet"), "");
        }
        if c.counters.is_empty() {
            e.required(&at.child("counters"), "");
        }
    }
    let (bound, failed) = (items(&d.binding_conditions), items(&d.binding_failure_conditions));
    for (name, list) in [("bindingConditions", bound), ("bindingFailureConditions", failed)] {
        for (i, c) in list.iter().enumerate() {
            complain(&at.child(name).index(i), c, names::qualified_name(c), e);
        }
    }
    if !bound.is_empty() && failed.is_empty() {
        e.invalid(&at.child("bindingFailureConditions"), crate::json::null(), "bindingFailureConditions are required to use bindingConditions");
    } else if bound.is_empty() && !failed.is_empty() {
        e.invalid(&at.child("bindingConditions"), crate::json::null(), "bindingConditions are required to use bindingFailureConditions");
    }
}

fn status(n: &ResourceClaim, o: &ResourceClaim, e: &mut FieldErrors) {
    let none = ResourceClaimStatus::default();
    let (new, old) = (n.status.as_ref().unwrap_or(&none), o.status.as_ref().unwrap_or(&none));
    let path = Path::new("status");
    let holders = items(&new.reserved_for);
    if holders.len() > RESERVED_MAX {
        e.too_many(&path.child("reservedFor"), holders.len(), RESERVED_MAX);
    }
    let again = repeated(holders.iter().map(|r| &r.uid));
    for (i, r) in holders.iter().enumerate() {
        let at = path.child("reservedFor").index(i);
        for (name, value) in [("resource", &r.resource), ("name", &r.name), ("uid", &r.uid)] {
            crate::checks::present(value, &at.child(name), e);
        }
        if again[i] {
            e.duplicate(&path.child("reservedFor").index(i).child("uid"), &r.uid);
        }
    }
    if !holders.is_empty() && new.allocation.is_none() {
        e.forbidden(&path.child("reservedFor"), "may not be specified when `allocated` is not set");
    }
    if old.allocation.is_some() && new.allocation.is_some() && old.allocation != new.allocation {
        e.invalid(&path.child("allocation"), Bare("{}".into()), IMMUTABLE);
    }
}
