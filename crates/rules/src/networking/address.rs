//! IPAddresses and ServiceCIDRs. Docs: "Extend Service IP Ranges" (KEP-1880).

use crate::checks::complain;
use crate::meta::IMMUTABLE;
use crate::names::{self, NameRule};
use crate::read::{has, items, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, keep_spec, keep_status_alone};
use kinds::api::networking::v1::{IPAddress, ServiceCIDR};
use kinds::field::Bare;
use kinds::{FieldErrors, Kind, Path};

pub(crate) const ROW: Rules = Rules {
    validate: check!(IPAddress, validate),
    validate_update: check_with_old!(IPAddress, |n: &IPAddress, o: &IPAddress, e: &mut FieldErrors| {
        if n.spec != o.spec {
            let p = &n.spec.parent_ref;
            let shown = format!(
                "{{\"Group\":{:?},\"Resource\":{:?},\"Namespace\":{:?},\"Name\":{:?}}}",
                s(&p.group), p.resource, s(&p.namespace), p.name
            );
            e.invalid(&Path::new("spec.parentRef"), Bare(shown), IMMUTABLE);
        }
    }),
    ..Rules::plain(Kind::IPAddress, NameRule::Own(|n, _| names::ip(n)))
};

fn validate(a: &IPAddress, e: &mut FieldErrors) {
    let (p, at) = (&a.spec.parent_ref, Path::new("spec.parentRef"));
    if p.resource.is_empty() && p.name.is_empty() && !has(&p.group) && !has(&p.namespace) {
        e.required(&at, "");
        return;
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
    if has(&p.group) {
        complain(&at.child("group"), s(&p.group), names::dns_subdomain(s(&p.group)), e);
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
        if n.spec != o.spec {
            let list = n.spec.as_ref().map(|x| items(&x.cidrs).to_vec()).unwrap_or_default();
            e.invalid(&Path::new("spec.cidrs"), crate::json::list(&list), IMMUTABLE);
        }
    }),
    ..Rules::plain(Kind::ServiceCIDR, NameRule::DnsSubdomain)
};

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
