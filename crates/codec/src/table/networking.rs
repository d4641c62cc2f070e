//! Rows of the networking and discovery groups.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Printer;
use super::cells::{View, load_balancer, or, selector, shortened};

pub(super) fn printer(kind: &str) -> Option<Printer> {
    Some(match kind {
        "Ingress" => ingress,
        "IngressClass" => |o, now| vec![o.name(), json!(o.text("/spec/controller")), json!(parameters(o)), o.age(now)],
        "NetworkPolicy" => |o, now| vec![o.name(), json!(selector(o.at("/spec/podSelector"))), o.age(now)],
        // The age is a cell without a column.
        "IPAddress" => |o, now| vec![o.name(), json!(parent(o)), o.age(now)],
        "ServiceCIDR" => |o, now| vec![o.name(), json!(o.joined("/spec/cidrs", ",", "")), o.age(now)],
        "EndpointSlice" => endpoint_slice,
        _ => return None,
    })
}

const SHOWN: usize = 3;

fn ingress(ingress: View<'_>, now: Timestamp) -> Vec<Value> {
    let hosts: Vec<String> = ingress.list("/spec/rules").map(|rule| rule.text("/host")).filter(|host| !host.is_empty()).map(str::to_owned).collect();
    let hosts = if hosts.is_empty() { "*".to_owned() } else { shortened(&hosts, SHOWN, "+ {} more...") };
    vec![
        ingress.name(),
        json!(ingress.text_or("/spec/ingressClassName", "<none>")),
        json!(hosts),
        json!(load_balancer(ingress.at("/status"))),
        json!(if ingress.count("/spec/tls") > 0 { "80, 443" } else { "80" }),
        ingress.age(now),
    ]
}

fn parameters(class: View<'_>) -> String {
    let parameters = class.at("/spec/parameters");
    if parameters.0.is_null() {
        return "<none>".to_owned();
    }
    match parameters.text("/apiGroup") {
        "" => format!("{}/{}", parameters.text("/kind"), parameters.text("/name")),
        group => format!("{}.{group}/{}", parameters.text("/kind"), parameters.text("/name")),
    }
}

fn parent(address: View<'_>) -> String {
    let parent = address.at("/spec/parentRef");
    if parent.0.is_null() {
        return "<none>".to_owned();
    }
    let mut text = parent.text("/resource").to_owned();
    if !parent.text("/group").is_empty() {
        text = format!("{text}.{}", parent.text("/group"));
    }
    let mut text = text.to_lowercase();
    for part in ["/namespace", "/name"] {
        if !parent.text(part).is_empty() {
            text = format!("{text}/{}", parent.text(part));
        }
    }
    text
}

fn endpoint_slice(slice: View<'_>, now: Timestamp) -> Vec<Value> {
    let ports: Vec<String> = slice.list("/ports").map(|port| if port.has("/port") { port.int("/port").to_string() } else { "*".to_owned() }).collect();
    let addresses: Vec<String> = slice.list("/endpoints").flat_map(|endpoint| endpoint.texts("/addresses")).map(str::to_owned).collect();
    vec![
        slice.name(),
        json!(slice.text("/addressType")),
        json!(or(shortened(&ports, SHOWN, "+ {} more..."), "<unset>")),
        json!(or(shortened(&addresses, SHOWN, "+ {} more..."), "<unset>")),
        slice.age(now),
    ]
}
