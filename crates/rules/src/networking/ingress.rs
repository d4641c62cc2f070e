//! Ingresses and IngressClasses. Docs: "Ingress".

use crate::checks::{complain, port};
use crate::names::{self, NameRule};
use crate::read::{items, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, keep_spec, keep_status};
use kinds::api::core::v1::TypedLocalObjectReference;
use kinds::api::networking::v1::{
    HTTPIngressPath, Ingress, IngressBackend, IngressClass, IngressClassParametersReference, IngressRule, IngressSpec, IngressStatus,
};
use kinds::{FieldErrors, Kind, Path};

pub(crate) const ROW: Rules = Rules {
    prepare_create: edit!(Ingress, |i: &mut Ingress| {
        i.status = Some(IngressStatus { load_balancer: Some(Default::default()) });
        i.metadata.generation = Some(1);
    }),
    prepare_update: keep_status!(Ingress, Ingress),
    prepare_status_update: keep_spec!(Ingress, Ingress),
    validate: check!(Ingress, |i: &Ingress, e: &mut FieldErrors| {
        let both = i.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(OLD_CLASS))
            && i.spec.as_ref().is_some_and(|x| x.ingress_class_name.is_some());
        if both {
            let old = i.metadata.annotations.as_ref().map(|a| a[OLD_CLASS].clone()).unwrap_or_default();
            let new = i.spec.as_ref().map(|x| s(&x.ingress_class_name).to_owned()).unwrap_or_default();
            if old != new {
                let at = Path::new("metadata.annotations").child(OLD_CLASS);
                e.invalid(&at, &old, "must match `ingressClassName` when both are specified");
            }
        }
        validate(i, e);
    }),
    validate_update: check_with_old!(Ingress, |n: &Ingress, _: &Ingress, e: &mut FieldErrors| validate(n, e)),
    validate_status_update: check_with_old!(Ingress, |n: &Ingress, o: &Ingress, e: &mut FieldErrors| {
        crate::statuses::ingress(&n.status.clone().unwrap_or_default(), o.status.as_ref(), e);
    }),
    ..Rules::plain(Kind::Ingress, NameRule::DnsSubdomain)
};

const OLD_CLASS: &str = "kubernetes.io/ingress.class";
const PATH_TYPES: &[&str] = &["Exact", "ImplementationSpecific", "Prefix"];
const BAD_SEQUENCES: &[&str] = &["//", "/./", "/../", "%2f", "%2F"];
const BAD_SUFFIXES: &[&str] = &["/..", "/."];

fn validate(i: &Ingress, e: &mut FieldErrors) {
    let none = IngressSpec::default();
    let spec = i.spec.as_ref().unwrap_or(&none);
    let path = Path::new("spec");
    if items(&spec.rules).is_empty() && spec.default_backend.is_none() {
        let why = "either `defaultBackend` or `rules` must be specified";
        e.invalid(&path, crate::json::null(), why);
    }
    if let Some(b) = &spec.default_backend {
        backend(b, &path.child("defaultBackend"), e);
    }
    for (n, r) in items(&spec.rules).iter().enumerate() {
        rule(r, &path.child("rules").index(n), e);
    }
    for (n, t) in items(&spec.tls).iter().enumerate() {
        for (m, h) in items(&t.hosts).iter().enumerate() {
            host(h, &path.child("tls").index(n).child("hosts").index(m), e);
        }
        if let Some(name) = t.secret_name.as_deref().filter(|t| !t.is_empty()) {
            complain(&path.child("tls").index(n).child("secretName"), name, names::dns_subdomain(name), e);
        }
    }
    if let Some(c) = &spec.ingress_class_name {
        complain(&path.child("ingressClassName"), c, names::dns_subdomain(c), e);
    }
}

fn host(h: &str, at: &Path, e: &mut FieldErrors) {
    let why = if h.contains('*') { names::wildcard_subdomain(h) } else { names::dns_subdomain(h) };
    complain(at, h, why, e);
}

fn rule(r: &IngressRule, at: &Path, e: &mut FieldErrors) {
    let name = s(&r.host);
    if !name.is_empty() {
        if name.parse::<std::net::IpAddr>().is_ok() {
            e.invalid(&at.child("host"), name, "must be a DNS name, not an IP address");
        }
        host(name, &at.child("host"), e);
    }
    let Some(http) = &r.http else { return };
    if http.paths.is_empty() {
        e.required(&at.child("http").child("paths"), "");
    }
    for (i, p) in http.paths.iter().enumerate() {
        http_path(p, &at.child("http").child("paths").index(i), e);
    }
}

fn http_path(p: &HTTPIngressPath, at: &Path, e: &mut FieldErrors) {
    let text = s(&p.path);
    match p.path_type.as_str() {
        "" => {
            e.required(&at.child("pathType"), "pathType must be specified");
            return;
        }
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                e.invalid(&at.child("path"), text, "must be an absolute path");
            }
            for bad in BAD_SEQUENCES.iter().filter(|b| text.contains(**b)) {
                e.invalid(&at.child("path"), text, format!("must not contain '{bad}'"));
            }
            for bad in BAD_SUFFIXES.iter().filter(|b| text.ends_with(**b)) {
                e.invalid(&at.child("path"), text, format!("cannot end with '{bad}'"));
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                e.invalid(&at.child("path"), text, "must be an absolute path");
            }
        }
        other => e.not_supported(&at.child("pathType"), other, PATH_TYPES),
    }
    backend(&p.backend, &at.child("backend"), e);
}

fn backend(b: &IngressBackend, at: &Path, e: &mut FieldErrors) {
    match (&b.resource, &b.service) {
        (Some(_), Some(_)) => e.invalid(at, "", "cannot set both resource and service backends"),
        (Some(r), None) => resource(r, &at.child("resource"), e),
        (None, Some(svc)) => {
            let (whole, at) = (at, at.child("service"));
            if svc.name.is_empty() {
                e.required(&at.child("name"), "");
            } else {
                complain(&at.child("name"), &svc.name, names::dns_label(&svc.name), e);
            }
            let (name, number) = svc.port.as_ref().map_or(("", 0), |p| (s(&p.name), p.number.unwrap_or_default()));
            match (name.is_empty(), number == 0) {
                (false, false) => e.invalid(whole, "", "cannot set both port name & port number"),
                (false, true) => complain(&at.child("port").child("name"), name, names::port_name(name), e),
                (true, false) => port(number, &at.child("port").child("number"), e),
                (true, true) => e.required(whole, "port name or number is required"),
            }
        }
        (None, None) => e.invalid(at, "", "resource or service backend is required"),
    }
}

fn resource(r: &TypedLocalObjectReference, at: &Path, e: &mut FieldErrors) {
    if let Some(group) = &r.api_group {
        complain(&at.child("apiGroup"), group, names::dns_subdomain(group), e);
    }
    for (name, v) in [("kind", &r.kind), ("name", &r.name)] {
        if v.is_empty() {
            e.required(&at.child(name), "");
        }
    }
}

pub(crate) const CLASS_ROW: Rules = Rules {
    default: edit!(IngressClass, |c: &mut IngressClass| {
        if let Some(p) = c.spec.as_mut().and_then(|x| x.parameters.as_mut()) {
            p.scope.get_or_insert_with(|| "Cluster".into());
        }
    }),
    prepare_create: edit!(IngressClass, |c: &mut IngressClass| c.metadata.generation = Some(1)),
    prepare_update: edit_with_old!(IngressClass, |n: &mut IngressClass, o: &IngressClass| {
        let was = o.metadata.generation.unwrap_or_default();
        n.metadata.generation = Some(if n.spec == o.spec { was } else { was + 1 });
    }),
    validate: check!(IngressClass, class),
    validate_update: check_with_old!(IngressClass, |n: &IngressClass, o: &IngressClass, e: &mut FieldErrors| {
        let controller = |c: &IngressClass| c.spec.as_ref().map(|x| s(&x.controller).to_owned()).unwrap_or_default();
        crate::meta::immutable_text(&controller(n), &controller(o), &Path::new("spec.controller"), e);
        class(n, e);
    }),
    ..Rules::plain(Kind::IngressClass, NameRule::DnsSubdomain)
};

const CONTROLLER_MAX: usize = 250;

fn class(c: &IngressClass, e: &mut FieldErrors) {
    let none = Default::default();
    let spec = c.spec.as_ref().unwrap_or(&none);
    let (at, name) = (Path::new("spec.controller"), s(&spec.controller));
    if name.len() > CONTROLLER_MAX {
        e.too_long(&at, CONTROLLER_MAX);
    }
    if name.is_empty() {
        e.required(&at, "");
    } else {
        complain(&at, name, names::domain_prefixed(name), e);
    }
    if let Some(p) = &spec.parameters {
        parameters(p, &Path::new("spec.parameters"), e);
    }
}

fn parameters(p: &IngressClassParametersReference, at: &Path, e: &mut FieldErrors) {
    for (name, v) in [("kind", &p.kind), ("name", &p.name)] {
        if v.is_empty() {
            e.required(&at.child(name), "");
        }
    }
    if let Some(group) = &p.api_group {
        complain(&at.child("apiGroup"), group, names::dns_subdomain(group), e);
    }
    let at_namespace = at.child("namespace");
    match (p.scope.as_deref(), &p.namespace) {
        (None, _) => e.required(&at.child("scope"), ""),
        (Some("Namespace"), None) => e.required(&at_namespace, "`parameters.scope` is set to 'Namespace'"),
        (Some("Namespace"), Some(n)) => complain(&at_namespace, n, names::dns_label(n), e),
        (Some("Cluster"), Some(_)) => e.forbidden(&at_namespace, "`parameters.scope` is set to 'Cluster'"),
        (Some("Cluster"), None) => {}
        (Some(other), _) => e.not_supported(&at.child("scope"), other, &["Cluster", "Namespace"]),
    }
}
