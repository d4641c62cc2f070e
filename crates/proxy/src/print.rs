//! The ruleset as an nft script: what `nft -f` takes, for people, goldens and comparison.

use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;

use crate::model::{Base, Family, Field, FieldType, Hook, Part, Rule, Ruleset, Set, SetKind, Side, Stmt, TABLE, Table, Verdict};

/// The packet mark that asks for masquerading: Kubernetes' bit 14.
const MARK: &str = "0x4000";

/// Prints a ruleset as a script.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a>(pub &'a Ruleset);

impl Display for Script<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (family, table) in &self.0.tables {
            print_table(f, *family, table)?;
        }
        Ok(())
    }
}

fn ip_word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

fn print_table(f: &mut Formatter<'_>, family: Family, table: &Table) -> fmt::Result {
    writeln!(f, "table {} {TABLE} {{", ip_word(family))?;
    for (name, set) in &table.sets {
        print_set(f, family, name, set)?;
    }
    for (name, chain) in &table.chains {
        writeln!(f, "\tchain {} {{", name)?;
        if let Some(Base { nat, hook, priority }) = chain.base {
            let kind = if nat { "nat" } else { "filter" };
            writeln!(f, "\t\ttype {kind} hook {} priority {priority}; policy accept;", hook_word(hook))?;
        }
        for rule in &chain.rules {
            writeln!(f, "\t\t{}", RuleText { family, rule })?;
        }
        writeln!(f, "\t}}")?;
    }
    writeln!(f, "}}")
}


fn hook_word(hook: Hook) -> &'static str {
    match hook {
        Hook::Prerouting => "prerouting",
        Hook::Input => "input",
        Hook::Forward => "forward",
        Hook::Output => "output",
        Hook::Postrouting => "postrouting",
    }
}

fn print_set(f: &mut Formatter<'_>, family: Family, name: &str, set: &Set) -> fmt::Result {
    let map = set.kind == SetKind::VerdictMap;
    writeln!(f, "\t{} {} {{", if map { "map" } else { "set" }, name)?;
    let types: Vec<&str> = set
        .key
        .iter()
        .map(|t| match (t, family) {
            (FieldType::Address, Family::V4) => "ipv4_addr",
            (FieldType::Address, Family::V6) => "ipv6_addr",
            (FieldType::Protocol, _) => "inet_proto",
            (FieldType::Port, _) => "inet_service",
        })
        .collect();
    writeln!(f, "\t\ttype {}{}", types.join(" . "), if map { " : verdict" } else { "" })?;
    if let SetKind::Affinity { timeout_s } = set.kind {
        writeln!(f, "\t\tflags dynamic,timeout\n\t\ttimeout {timeout_s}s")?;
    }
    if !set.elements.is_empty() {
        let all: Vec<String> = set
            .elements
            .iter()
            .map(|(key, e)| {
                let key: Vec<String> = key.iter().map(field).collect();
                let comment = e.comment.as_ref().map(|c| format!(" comment \"{c}\"")).unwrap_or_default();
                let verdict = e.verdict.as_ref().map(|v| format!(" : {}", verdict_text(v))).unwrap_or_default();
                format!("{}{comment}{verdict}", key.join(" . "))
            })
            .collect();
        writeln!(f, "\t\telements = {{ {} }}", all.join(",\n\t\t\t     "))?;
    }
    writeln!(f, "\t}}")
}

fn field(f: &Field) -> String {
    match f {
        Field::Address(ip) => ip.to_string(),
        Field::Protocol(p) => p.word().to_owned(),
        Field::Port(p) => p.to_string(),
    }
}

fn verdict_text(v: &Verdict) -> String {
    match v {
        Verdict::Drop => "drop".into(),
        Verdict::Return => "return".into(),
        Verdict::Goto(c) => format!("goto {}", c),
        Verdict::Jump(c) => format!("jump {}", c),
    }
}

struct RuleText<'a> {
    family: Family,
    rule: &'a Rule,
}

impl Display for RuleText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, stmt) in self.rule.stmts.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { " " }, stmt_text(self.family, stmt))?;
        }
        match self.rule.comment {
            Some(c) => write!(f, " comment \"{c}\""),
            None => Ok(()),
        }
    }
}

fn parts(family: Family, key: &[Part]) -> String {
    let ip = ip_word(family);
    let words: Vec<String> = key
        .iter()
        .map(|p| match p {
            Part::Source => format!("{ip} saddr"),
            Part::Destination => format!("{ip} daddr"),
            Part::Protocol => "meta l4proto".into(),
            Part::DestinationPort => "th dport".into(),
        })
        .collect();
    words.join(" . ")
}

fn side_word(side: Side) -> &'static str {
    match side {
        Side::Source => "saddr",
        Side::Destination => "daddr",
    }
}

fn not(negate: bool) -> &'static str {
    if negate { "!= " } else { "" }
}

fn stmt_text(family: Family, stmt: &Stmt) -> String {
    let ip = ip_word(family);
    match stmt {
        Stmt::CtNew => "ct state new".into(),
        Stmt::CtDnat => "ct status dnat".into(),
        Stmt::Net { side, net, negate } => {
            let net = if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() };
            format!("{ip} {} {}{net}", side_word(*side), not(*negate))
        }
        Stmt::Local { side, negate } => format!("fib {} type {}local", side_word(*side), not(*negate)),
        Stmt::In { key, set } => format!("{} @{set}", parts(family, key)),
        Stmt::Vmap { key, map } => format!("{} vmap @{map}", parts(family, key)),
        Stmt::MarkSet => format!("meta mark set meta mark | {MARK}"),
        Stmt::Marked => format!("meta mark & {MARK} != 0"),
        Stmt::MarkClear => "meta mark set meta mark & 0xffffbfff".into(),
        Stmt::Remember { set } => format!("update @{set} {{ {ip} saddr }}"),
        Stmt::Dnat { protocol, to } => format!("meta l4proto {} {}", protocol.word(), dnat(family, to)),
        Stmt::RandomGoto(chains) => {
            let all: Vec<String> = chains.iter().enumerate().map(|(i, c)| format!("{i} : goto {}", c)).collect();
            format!("numgen random mod {} vmap {{ {} }}", chains.len(), all.join(", "))
        }
        Stmt::Reset => "meta l4proto tcp reject with tcp reset".into(),
        Stmt::Reject => "reject".into(),
        Stmt::Masquerade => "masquerade fully-random".into(),
        Stmt::Verdict(v) => verdict_text(v),
    }
}

fn dnat(family: Family, to: &[(IpAddr, u16)]) -> String {
    match to {
        [(ip, port)] => match family {
            Family::V4 => format!("dnat to {ip}:{port}"),
            Family::V6 => format!("dnat to [{ip}]:{port}"),
        },
        many => {
            let all: Vec<String> = many.iter().enumerate().map(|(i, (ip, port))| format!("{i} : {ip} . {port}")).collect();
            let ip = ip_word(family);
            format!("dnat {ip} to numgen random mod {} map {{ {} }}", many.len(), all.join(", "))
        }
    }
}
