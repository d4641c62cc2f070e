//! IPAddresses and ServiceCIDRs. Docs: "Extend Service IP Ranges" (KEP-1880).

use crate::checks::complain;
use crate::meta::IMMUTABLE;
use crate::names::{self, NameRule};
use crate::read::{has, items, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, keep_spec, keep_status_alone};
use kinds::api::networking::v1::{IPAddress, ParentReference, ServiceCIDR};
use kinds::field::Bare;
use kinds::{FieldErrors, Kind, Path};

pub(crate) const ROW: Rules = Rules {
    validate: check!(IPAddress, validate),
    validate_update: check_with_old!(IPAddress, |n: &IPAddress, o: &IPAddress, e: &mut FieldErrors| {
        validate(n, e);
        let (is, was) = (&n.spec.parent_ref, &o.spec.parent_ref);
        if (s(&is.group), &is.resource, s(&is.namespace), &is.name) != (s(&was.group), &was.resource, s(&was.namespace), &was.name) {
            e.invalid(&Path::new("spec.parentRef"), parent(is), IMMUTABLE);
        }
    }),
    ..Rules::plain(Kind::IPAddress, NameRule::Own(|n, _| names::ip(n)))
};

/// A reference that says nothing is none.
fn parent(p: &ParentReference) -> Bare {
    if is_nothing(p) {
        return crate::json::null();
    }
    Bare(format!("{{\"Group\":{:?},\"Resource\":{:?},\"Namespace\":{:?},\"Name\":{:?}}}", s(&p.group), p.resource, s(&p.namespace), p.name))
}

fn is_nothing(p: &ParentReference) -> bool {
    p.resource.is_empty() && p.name.is_empty() && !has(&p.group) && !has(&p.namespace)
}

fn validate(a: &IPAddress, e: &mut FieldErrors) {
    let (p, at) = (&a.spec.parent_ref, Path::new("spec.parentRef"));
    if is_nothing(p) {
        e.required(&at, "");
        return;
    }
    if has(&p.group) {
        complain(&at.child("group"), s(&p.group), names::dns_subdomain(s(&p.group)), e);
    }
    if p.resource.is_empty() {
        e.required(&at.child("resource"), "");
    } else {
        complain(&at.child("resource"), &p.resource, names::path_segment(&p.resource), e);
    }
    if p.name.is_empty() {
        e.required(&at.child("name"), "");
    } else {
        complain(&at.child("name"), &p.name, names::path_segment(&p.name), e);
    }
    if has(&p.namespace) {
        complain(&at.child("namespace"), s(&p.namespace), names::path_segment(s(&p.namespace)), e);
    }
}

pub(crate) const CIDR_ROW: Rules = Rules {
    prepare_create: edit!(ServiceCIDR, |c: &mut ServiceCIDR| c.status = Some(Default::default())),
    prepare_update: keep_status_alone!(ServiceCIDR, ServiceCIDR),
    prepare_status_update: keep_spec!(ServiceCIDR, ServiceCIDR),
    validate: check!(ServiceCIDR, cidr),
    validate_update: check_with_old!(ServiceCIDR, |n: &ServiceCIDR, o: &ServiceCIDR, e: &mut FieldErrors| {
        ranges_kept(n, o, e);
    }),
    ..Rules::plain(Kind::ServiceCIDR, NameRule::DnsSubdomain)
};

/// A range stays; one of the other family can be added.
fn ranges_kept(n: &ServiceCIDR, o: &ServiceCIDR, e: &mut FieldErrors) {
    let list = |c: &ServiceCIDR| c.spec.as_ref().and_then(|x| x.cidrs.clone());
    let (new, old) = (list(n), list(o));
    let (is, was) = (items(&new), items(&old));
    let path = Path::new("spec.cidrs");
    let grown = was.len() == 1 && is.len() == 2;
    if is.len() != was.len() && !grown {
        let shown = new.as_ref().filter(|l| !l.is_empty()).map_or_else(crate::json::null, |l| crate::json::list(l));
        e.invalid(&path, shown, IMMUTABLE);
        return;
    }
    for (i, (a, _)) in is.iter().zip(was).enumerate().filter(|(_, (a, b))| a != b) {
        e.invalid(&path.index(i), a, IMMUTABLE);
    }
    if grown {
        cidr(n, e);
    }
}

fn cidr(c: &ServiceCIDR, e: &mut FieldErrors) {
    let list = c.spec.as_ref().map(|x| items(&x.cidrs).to_vec()).unwrap_or_default();
    let path = Path::new("spec.cidrs");
    if list.is_empty() {
        e.required(&path, "at least one CIDR required");
        return;
    }
    if list.len() > 2 {
        e.invalid(&path, crate::json::list(&list), "may only hold up to 2 values");
        return;
    }
    if list.len() == 2 && list[0].contains(':') == list[1].contains(':') {
        let why = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        e.invalid(&path, crate::json::list(&list), why);
    }
    for (i, x) in list.iter().enumerate() {
        complain(&path.index(i), x, names::cidr(x), e);
    }
}
