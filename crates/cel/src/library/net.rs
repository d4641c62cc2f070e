//! IP addresses and CIDRs (KEP-2876's IP and CIDR libraries): only canonical spellings, no zones, no mapped addresses.

use super::{Answer, Cost, Row, text};
use crate::error::EvalError;
use crate::opaque::Opaque;
use crate::value::Value;
use ipnet::IpNet;
use std::net::IpAddr;

pub(super) const TABLE: &[Row] = &[
    Row { name: "ip", cost: Cost::Text(0, 1, false), run: ip, overloads: &[
        ("string_to_ip", "(string):net.IP"), ("cidr_ip", "net.CIDR.():net.IP"),
    ] },
    Row { name: "isIP", cost: Cost::Text(0, 1, false), run: is_ip, overloads: &[("is_ip", "(string):bool")] },
    Row { name: "ip.isCanonical", cost: Cost::Text(0, 2, false), run: is_canonical, overloads: &[("ip_is_canonical", "(string):bool")] },
    Row { name: "family", cost: Cost::Fixed(1), run: family, overloads: &[("family", "net.IP.():int")] },
    Row { name: "isUnspecified", cost: Cost::Fixed(1), run: is_unspecified, overloads: &[("is_unspecified", "net.IP.():bool")] },
    Row { name: "isLoopback", cost: Cost::Fixed(1), run: is_loopback, overloads: &[("is_loopback", "net.IP.():bool")] },
    Row { name: "isLinkLocalMulticast", cost: Cost::Fixed(1), run: is_link_local_multicast, overloads: &[("is_link_local_multicast", "net.IP.():bool")] },
    Row { name: "isLinkLocalUnicast", cost: Cost::Fixed(1), run: is_link_local_unicast, overloads: &[("is_link_local_unicast", "net.IP.():bool")] },
    Row { name: "isGlobalUnicast", cost: Cost::Fixed(1), run: is_global_unicast, overloads: &[("is_global_unicast", "net.IP.():bool")] },
    Row { name: "cidr", cost: Cost::Text(0, 1, false), run: cidr, overloads: &[("string_to_cidr", "(string):net.CIDR")] },
    Row { name: "isCIDR", cost: Cost::Text(0, 1, false), run: is_cidr, overloads: &[("is_cidr", "(string):bool")] },
    Row { name: "containsIP", cost: Cost::Fixed(1), run: contains_ip, overloads: &[
        ("cidr_contains_ip_string", "net.CIDR.(string):bool"), ("cidr_contains_ip_ip", "net.CIDR.(net.IP):bool"),
    ] },
    Row { name: "containsCIDR", cost: Cost::Fixed(1), run: contains_cidr, overloads: &[
        ("cidr_contains_cidr_string", "net.CIDR.(string):bool"), ("cidr_contains_cidr", "net.CIDR.(net.CIDR):bool"),
    ] },
    Row { name: "prefixLength", cost: Cost::Fixed(1), run: prefix_length, overloads: &[("cidr_prefix_length", "net.CIDR.():int")] },
    Row { name: "masked", cost: Cost::Fixed(1), run: masked, overloads: &[("cidr_masked", "net.CIDR.():net.CIDR")] },
];

fn parse_ip(s: &str) -> Result<IpAddr, EvalError> {
    let odd = |why: String| EvalError::new(format!("IP Address {s:?} parse error during conversion from string: {why}"));
    if s.contains('%') {
        return Err(odd(format!("IP address {s:?} with zone value is not allowed")));
    }
    match s.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_some() => Err(odd("IPv4-mapped IPv6 address is not allowed".into())),
        Ok(ip) => Ok(ip),
        Err(_) => Err(odd(format!("ParseAddr({s:?}): unable to parse IP"))),
    }
}

fn parse_cidr(s: &str) -> Result<Opaque<'static>, EvalError> {
    let odd = |why: String| EvalError::new(format!("network address parse error during conversion from string: {why}"));
    let (address, bits) = s.split_once('/').ok_or_else(|| odd(format!("netip.ParsePrefix({s:?}): no '/'")))?;
    let ip = parse_ip(address)?;
    let leading_zero = bits.len() > 1 && bits.starts_with('0');
    let bits = bits.parse::<u8>().ok().filter(|_| !leading_zero && !bits.starts_with('+'));
    let net = bits.and_then(|b| IpNet::new(ip, b).ok()).ok_or_else(|| odd(format!("netip.ParsePrefix({s:?}): bad bits after slash")))?;
    Ok(Opaque::Cidr(net, ip))
}

/// What `string()` makes of an address.
pub(super) fn show(o: &Opaque) -> Option<String> {
    match o {
        Opaque::Ip(ip) => Some(ip.to_string()),
        Opaque::Cidr(net, ip) => Some(format!("{ip}/{}", net.prefix_len())),
        _ => None,
    }
}

fn ip<'a>(args: &[Value<'a>]) -> Answer<'a> {
    match &args[0] {
        Value::Opaque(Opaque::Cidr(_, ip)) => Ok(Value::Opaque(Opaque::Ip(*ip))),
        _ => Ok(Value::Opaque(Opaque::Ip(parse_ip(text(args, 0)?)?))),
    }
}
fn is_ip<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(parse_ip(text(args, 0)?).is_ok()))
}
fn is_canonical<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let s = text(args, 0)?;
    Ok(Value::Bool(parse_ip(s)?.to_string() == s))
}

fn address(args: &[Value<'_>]) -> Result<IpAddr, EvalError> {
    match args.first() {
        Some(Value::Opaque(Opaque::Ip(ip))) => Ok(*ip),
        _ => Err(EvalError::overload()),
    }
}
fn family<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Int(if address(args)?.is_ipv4() { 4 } else { 6 }))
}
fn is_unspecified<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(address(args)?.is_unspecified()))
}
fn is_loopback<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(address(args)?.is_loopback()))
}
fn link_local_multicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v) => v.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v) => v.segments()[0] & 0xff0f == 0xff02,
    }
}
fn link_local_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v) => v.is_link_local(),
        IpAddr::V6(v) => v.is_unicast_link_local(),
    }
}
fn is_link_local_multicast<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(link_local_multicast(address(args)?)))
}
fn is_link_local_unicast<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(link_local_unicast(address(args)?)))
}
fn is_global_unicast<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let ip = address(args)?;
    let broadcast = matches!(ip, IpAddr::V4(v) if v.is_broadcast());
    Ok(Value::Bool(!(broadcast || ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || link_local_unicast(ip))))
}

fn cidr<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Opaque(parse_cidr(text(args, 0)?)?))
}
fn is_cidr<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Bool(parse_cidr(text(args, 0)?).is_ok()))
}
fn network(value: &Value<'_>) -> Result<(IpNet, IpAddr), EvalError> {
    match value {
        Value::Opaque(Opaque::Cidr(net, ip)) => Ok((*net, *ip)),
        Value::Text(t) => match parse_cidr(t)? {
            Opaque::Cidr(net, ip) => Ok((net, ip)),
            _ => Err(EvalError::overload()),
        },
        _ => Err(EvalError::overload()),
    }
}
fn contains_ip<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let ip = match &args[1] {
        Value::Opaque(Opaque::Ip(ip)) => *ip,
        _ => parse_ip(text(args, 1)?)?,
    };
    Ok(Value::Bool(network(&args[0])?.0.contains(&ip)))
}
fn contains_cidr<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let (outer, inner) = (network(&args[0])?.0, network(&args[1])?.0);
    Ok(Value::Bool(outer.contains(&inner.trunc())))
}
fn prefix_length<'a>(args: &[Value<'a>]) -> Answer<'a> {
    Ok(Value::Int(i64::from(network(&args[0])?.0.prefix_len())))
}
fn masked<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let net = network(&args[0])?.0.trunc();
    Ok(Value::Opaque(Opaque::Cidr(net, net.addr())))
}
