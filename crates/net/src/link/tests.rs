//! Overlay devices and their entries, in a namespace of their own.

use super::*;
use crate::netns::NetNs;

#[test]
fn an_overlay_device_and_its_entries() {
    let test = "an_overlay_device_and_its_entries";
    if !crate::testing::is_able(test) {
        return;
    }
    if let Some(m) = crate::probe().into_iter().find(|m| m.what == "vxlan") {
        println!("SKIP {test}: {}", m.why);
        return;
    }
    let dir = tempfile::tempdir().expect("a scratch directory");
    let path = dir.path().join("ns");
    let ns = NetNs::create(&path).expect("namespace");
    ns.run(|| {
        let mut r = Rtnl::open().expect("open");
        let local = "127.0.0.1".parse().expect("ip");
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        r.add_vxlan(&Vxlan { name: "x0", vni: 7, port: 4789, underlay: None, local, mac, mtu: 1450 }).expect("vxlan");
        let x = r.link("x0").expect("look up").expect("there");
        assert_eq!((x.kind.as_str(), x.mac, x.mtu, x.up), ("vxlan", Some(mac), 1450, true));
        let (peer, node) = (Mac([2, 0, 0, 0, 0, 2]), "192.0.2.1".parse().expect("ip"));
        r.set_forwarding(x.index, peer, node).expect("set");
        r.set_forwarding(x.index, peer, node).expect("set again");
        let via = Some("10.244.1.0".parse().expect("ip"));
        r.set_neighbour(x.index, "10.244.1.0".parse().expect("ip"), peer).expect("neighbour");
        let route = Route { dst: "10.244.1.0/24".parse().expect("net"), via, index: x.index, src: None, onlink: true };
        r.set_route(&route).expect("route");
        assert!(r.routes(false).expect("list").contains(&route));
        r.delete_route(&route).expect("delete");
        r.delete_route(&route).expect("delete again");
        r.delete_forwarding(x.index, peer, node).expect("delete");
        r.delete_forwarding(x.index, peer, node).expect("delete again");
        r.delete_link("x0").expect("delete");
        r.delete_link("x0").expect("delete again");
        assert_eq!(r.link("x0").expect("look up"), None);
        assert!(r.add_holder("much-too-long-a-name").is_err());
    })
    .expect("enter");
    NetNs::delete(&path).expect("delete");
    NetNs::delete(&path).expect("delete again");
}
