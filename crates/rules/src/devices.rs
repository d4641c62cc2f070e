//! Dynamic resource allocation: claims, templates, classes and slices of devices.
//! Docs: "Dynamic Resource Allocation" (KEP-4381).

use crate::checks::{complain, one_of, present};
use crate::meta::IMMUTABLE;
use crate::names::{self, NameRule};
use crate::quantities::spell;
use crate::read::{fill, has, items, on, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, meta_fields};
use kinds::api::resource::v1::{
    DeviceClaim, DeviceClass, DeviceRequest, DeviceSelector, ExactDeviceRequest, ResourceClaim, ResourceClaimStatus,
    ResourceClaimTemplate, ResourceSlice,
};
use kinds::field::Bare;
use kinds::{FieldErrors, Kind, Object, Path};
use std::collections::BTreeSet;

#[cfg(test)]
mod tests;

const REQUESTS_MAX: usize = 32;
const DEVICES_MAX: usize = 128;
const SELECTORS_MAX: usize = 32;
const RESERVED_MAX: usize = 256;

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
    })),
    validate: check!(ResourceClaim, |c: &ResourceClaim, e: &mut FieldErrors| claim(c.spec.devices.as_ref(), &Path::new("spec"), e)),
    validate_update: check_with_old!(ResourceClaim, |n: &ResourceClaim, o: &ResourceClaim, e: &mut FieldErrors| {
        if n.spec != o.spec {
            e.invalid(&Path::new("spec"), Bare("{}".into()), IMMUTABLE);
        }
        claim(n.spec.devices.as_ref(), &Path::new("spec"), e);
    }),
    validate_status_update: check_with_old!(ResourceClaim, status),
    ..Rules::plain(Kind::ResourceClaim, NameRule::DnsSubdomain)
};

pub(crate) const TEMPLATE_ROW: Rules = Rules {
    default: edit!(ResourceClaimTemplate, |t: &mut ResourceClaimTemplate| claim_defaults(t.spec.spec.devices.as_mut())),
    validate: check!(ResourceClaimTemplate, |t: &ResourceClaimTemplate, e: &mut FieldErrors| {
        claim(t.spec.spec.devices.as_ref(), &Path::new("spec.spec"), e);
    }),
    validate_update: check_with_old!(ResourceClaimTemplate, |n: &ResourceClaimTemplate, o: &ResourceClaimTemplate, e: &mut FieldErrors| {
        if n.spec != o.spec {
            e.invalid(&Path::new("spec"), Bare("{}".into()), IMMUTABLE);
        }
    }),
    ..Rules::plain(Kind::ResourceClaimTemplate, NameRule::DnsSubdomain)
};

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
    validate: check!(ResourceSlice, slice),
    validate_update: check_with_old!(ResourceSlice, |n: &ResourceSlice, o: &ResourceSlice, e: &mut FieldErrors| {
        slice(n, e);
        let path = Path::new("spec");
        crate::meta::immutable_text(&n.spec.driver, &o.spec.driver, &path.child("driver"), e);
        crate::meta::immutable_text(&n.spec.pool.name, &o.spec.pool.name, &path.child("pool").child("name"), e);
        crate::meta::immutable_text(s(&n.spec.node_name), s(&o.spec.node_name), &path.child("nodeName"), e);
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
        for (j, n) in items(&x.requests).iter().enumerate() {
            if !names.contains(n.split('/').next().unwrap_or(n)) {
                let why = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
                e.invalid(&at.child("requests").index(j), n, why);
            }
        }
        if x.match_attribute.is_none() && x.distinct_attribute.is_none() {
            e.required(&at, "exactly one of `distinctAttribute` or `matchAttribute` is required");
        }
    }
}

fn request(r: &DeviceRequest, at: &Path, e: &mut FieldErrors) {
    if r.name.is_empty() {
        e.required(&at.child("name"), "");
    } else {
        complain(&at.child("name"), &r.name, names::dns_label(&r.name), e);
    }
    match (&r.exactly, items(&r.first_available)) {
        (None, []) => e.required(at, "exactly one of `exactly` or `firstAvailable` is required"),
        (Some(_), [_, ..]) => e.invalid(at, Bare("{}".into()), "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"),
        (Some(x), []) => exactly(x, &at.child("exactly"), e),
        (None, list) => {
            for (i, x) in list.iter().enumerate() {
                let at = at.child("firstAvailable").index(i);
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
}

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
            Some(c) => present(&c.expression, &at.index(i).child("cel").child("expression"), e),
        }
    }
}

fn class(c: &DeviceClass, e: &mut FieldErrors) {
    selectors(items(&c.spec.selectors), &Path::new("spec.selectors"), e);
    for (i, x) in items(&c.spec.config).iter().enumerate() {
        let at = Path::new("spec.config").index(i);
        match &x.opaque {
            None => e.required(&at.child("opaque"), ""),
            Some(o) => driver(&o.driver, &at.child("opaque").child("driver"), e),
        }
    }
    if has(&c.spec.extended_resource_name) && !crate::core::pod::resources::is_extended(s(&c.spec.extended_resource_name)) {
        let at = Path::new("spec.extendedResourceName");
        e.invalid(&at, s(&c.spec.extended_resource_name), "must be a valid extended resource name");
    }
}

fn driver(name: &str, at: &Path, e: &mut FieldErrors) {
    const DRIVER_MAX: usize = 63;
    if name.is_empty() {
        e.required(at, "");
    }
    if name.len() > DRIVER_MAX {
        e.too_long(at, DRIVER_MAX);
    }
    complain(at, name, names::dns_subdomain(name), e);
}

fn slice(x: &ResourceSlice, e: &mut FieldErrors) {
    let (spec, path) = (&x.spec, Path::new("spec"));
    driver(&spec.driver, &path.child("driver"), e);
    if spec.pool.name.is_empty() {
        e.required(&path.child("pool").child("name"), "");
    }
    if spec.pool.resource_slice_count <= 0 {
        let at = path.child("pool").child("resourceSliceCount");
        e.invalid(&at, spec.pool.resource_slice_count, "must be greater than zero");
    }
    if spec.pool.generation < 0 {
        e.invalid(&path.child("pool").child("generation"), spec.pool.generation, "must be greater than or equal to zero");
    }
    let places = [has(&spec.node_name), spec.node_selector.is_some(), on(spec.all_nodes), on(spec.per_device_node_selection)];
    let why = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match places.iter().filter(|p| **p).count() {
        0 => e.required(&path, why),
        1 => {}
        _ => e.invalid(&path, Bare("{}".into()), format!("{why}, but multiple fields are set")),
    }
    let devices = items(&spec.devices);
    if devices.len() > DEVICES_MAX {
        e.too_many(&path.child("devices"), devices.len(), DEVICES_MAX);
    }
    let mut seen = BTreeSet::new();
    for (i, d) in devices.iter().enumerate() {
        let at = path.child("devices").index(i);
        if d.name.is_empty() {
            e.required(&at.child("name"), "");
        } else {
            complain(&at.child("name"), &d.name, names::dns_label(&d.name), e);
        }
        if !seen.insert(&d.name) {
            e.duplicate(&at.child("name"), &d.name);
        }
        for (j, t) in items(&d.taints).iter().enumerate() {
            let at = at.child("taints").index(j);
            complain(&at.child("key"), &t.key, names::qualified_name(&t.key), e);
            one_of(&t.effect, &["NoExecute", "NoSchedule", "None"], &at.child("effect"), e);
        }
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
    for (i, r) in holders.iter().enumerate() {
        if holders[..i].iter().any(|x| x.uid == r.uid) {
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
