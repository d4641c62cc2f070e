//! Transactions against the real kernel, in namespaces of their own.

use super::*;
use crate::netns::NetNs;

fn in_namespace(test: &str, f: impl FnOnce() + Send) {
    if !crate::testing::is_able(test) {
        return;
    }
    let dir = tempfile::tempdir().expect("a scratch directory");
    let path = dir.path().join("ns");
    let ns = NetNs::create(&path).expect("namespace");
    let done = ns.run(f);
    NetNs::delete(&path).expect("delete");
    done.expect("the test inside the namespace");
}

#[test]
fn a_transaction_is_all_or_nothing() {
    in_namespace("a_transaction_is_all_or_nothing", || {
        let mut t = Transaction::new(Family::Ip, "t");
        t.push(Op::AddTable).push(Op::AddChain(Chain { name: "c".into(), base: None, comment: None }));
        apply(&t).expect("apply");
        let mut bad = Transaction::new(Family::Ip, "t");
        bad.push(Op::AddChain(Chain { name: "d".into(), base: None, comment: None }));
        bad.push(Op::AddElements("nowhere".into(), vec![Element::key(vec![1, 2, 3, 4])]));
        bad.push(Op::AddChain(Chain { name: "e".into(), base: None, comment: None }));
        let error = apply(&bad).expect_err("no such set");
        assert!(error.to_string().contains("add elements t nowhere"), "{error}");
        let now = list(Family::Ip, "t").expect("list").expect("there");
        assert_eq!(now.chains.keys().collect::<Vec<_>>(), ["c"]);
    });
}

/// The kernel's hash table grows and shrinks in the background of what it was told; a listing that meets that can name an element
/// twice or pass over one. So the listing is asked until it is what it must become.
fn settles(set: &str, expected: &[Element]) -> bool {
    (0..1_000).any(|_| {
        let mut now = list_elements(Family::Ip, "t", set).expect("list");
        now.sort_by(|a, b| a.key.cmp(&b.key));
        now == expected
    })
}

#[test]
fn ten_thousand_elements_in_one_transaction() {
    in_namespace("ten_thousand_elements_in_one_transaction", || {
        let mut t = Transaction::new(Family::Ip, "t");
        t.push(Op::AddTable).push(Op::AddChain(Chain { name: "c".into(), base: None, comment: None }));
        t.push(Op::AddSet(Set::verdicts("m", &[DataType::Ipv4, DataType::Proto, DataType::Port])));
        let elements: Vec<Element> = (0..10_000u32)
            .map(|i| {
                let mut key = i.to_be_bytes().to_vec();
                key.extend_from_slice(&[6, 0, 0, 0, 0, 80, 0, 0]);
                Element::verdict(key, Verdict::Goto("c".into())).with_comment("ns/service:port")
            })
            .collect();
        t.push(Op::AddElements("m".into(), elements.clone()));
        let cost = apply(&t).expect("apply");
        eprintln!("10,000 elements: {cost:?}");
        assert!(settles("m", &elements), "the elements as listed never were those that were added");
        let mut t = Transaction::new(Family::Ip, "t");
        t.push(Op::DeleteElements("m".into(), elements[1..].iter().map(|e| Element::key(e.key.clone())).collect()));
        apply(&t).expect("delete");
        assert!(settles("m", &elements[..1]), "more or less is left than the one that was not deleted");
        let mut t = Transaction::new(Family::Ip, "t");
        t.push(Op::FlushSet("m".into())).push(Op::DeleteSet("m".into())).push(Op::DeleteChain("c".into()));
        apply(&t).expect("clean");
        assert_eq!(list(Family::Ip, "t").expect("list"), Some(Listing::default()));
    });
}

/// Every expression of ours is accepted by the kernel.
#[test]
fn the_kernel_takes_every_expression() {
    in_namespace("the_kernel_takes_every_expression", || {
        let r = Reg(0);
        let affinity = Set { timeout_ms: Some(10_800_000), ..Set::keys("s", &[DataType::Ipv4]) };
        let exprs: Vec<(ChainKind, Vec<Expr>)> = vec![
            (ChainKind::Filter, vec![Expr::Counter, Expr::Limit { rate: 5, per: LimitUnit::Second, burst: 5 }]),
            (ChainKind::Filter, vec![Expr::load(Load::Ipv4Src, r), Expr::Dynset { op: DynsetOp::Update, set: "s".into(), key: r, timeout_ms: Some(1000) }]),
            (ChainKind::Filter, vec![Expr::Reject(Reject::TcpReset, Family::Ip)].into_iter().collect()),
            (ChainKind::Filter, vec![Expr::Reject(Reject::PortUnreachable, Family::Ip)]),
            (ChainKind::Filter, vec![Expr::Ct(CtKey::OriginalIpv4Dst, r), Expr::Ct(CtKey::OriginalProtoDst, Reg(1))]),
            (ChainKind::Filter, Expr::ct_dnat()),
            (ChainKind::Filter, Expr::address_is_local(Fib::DestinationType, true)),
            (ChainKind::Filter, vec![
                Expr::Meta(MetaKey::Mark, r),
                Expr::Bitwise { reg: r, mask: 0xffff_bfffu32.to_ne_bytes().to_vec(), xor: 0x4000u32.to_ne_bytes().to_vec() },
                Expr::SetMark(r),
            ]),
            (ChainKind::Filter, Expr::oif_name(CmpOp::Neq, "lo")),
            (ChainKind::Nat, vec![Expr::Immediate(r, vec![0, 80]), Expr::Redirect(Some(r))]),
            (ChainKind::Nat, vec![
                Expr::Random { modulus: 2, dreg: r },
                Expr::Lookup {
                    set: SetRef::Anonymous(
                        Set::map("__map%d", &[DataType::Integer], &[DataType::Ipv4, DataType::Port]),
                        (0..2u32).map(|i| Element::data(i.to_ne_bytes().to_vec(), vec![10, 0, 0, 1, 0, 80, 0, 0])).collect(),
                    ),
                    key: r,
                    target: Target::Reg(Reg(1)),
                },
                Expr::Nat(NatKind::Dnat, Family::Ip, NatTarget { addr: Reg(1), port: Some(Reg(2)) }),
            ]),
        ];
        for (i, (kind, exprs)) in exprs.into_iter().enumerate() {
            let mut t = Transaction::new(Family::Ip, "t");
            let chain = format!("c{i}");
            let base = Some(BaseChain { kind, hook: Hook::Output, priority: 0 });
            t.push(Op::AddTable).push(Op::AddSet(affinity.clone()));
            // A TCP reset needs a rule that sees TCP only.
            let mut all = Vec::new();
            if exprs == [Expr::Reject(Reject::TcpReset, Family::Ip)] {
                all.extend([Expr::Meta(MetaKey::L4Proto, r), Expr::Cmp(CmpOp::Eq, r, vec![6])]);
            }
            all.extend(exprs);
            t.push(Op::AddChain(Chain { name: chain.clone(), base, comment: Some("x".into()) }));
            t.push(Op::AddRule(Rule { chain, exprs: all.clone(), comment: Some("why".into()) }));
            apply(&t).unwrap_or_else(|e| panic!("{all:?}: {e}"));
        }
        let now = list(Family::Ip, "t").expect("list").expect("there");
        assert_eq!(now.chains["c0"][0].comment.as_deref(), Some("why"));
        assert_eq!(now.sets, ["s"]);
    });
}

#[test]
fn a_foreign_policy_is_seen() {
    in_namespace("a_foreign_policy_is_seen", || {
        let mut t = Transaction::new(Family::Ip, "filter");
        let base = Some(BaseChain { kind: ChainKind::Filter, hook: Hook::Forward, priority: 0 });
        t.push(Op::AddTable).push(Op::AddChain(Chain { name: "FORWARD".into(), base, comment: None }));
        apply(&t).expect("apply");
        assert_eq!(policy(Family::Ip, "filter", "FORWARD").expect("list"), Some(Verdict::Accept));
        assert_eq!(policy(Family::Ip, "filter", "OTHER").expect("list"), None);
    });
}
