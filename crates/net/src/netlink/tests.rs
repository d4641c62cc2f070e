//! Writing and reading of messages and attributes.

use super::*;

#[test]
fn attributes_nest_and_pad() {
    let mut w = Writer::new();
    w.message(7, 5, 9).raw(&[1, 2]).str(3, "ab").nest(4, |w| {
        w.be32(1, 0x0102_0304);
    });
    w.finish();
    let all: Vec<_> = Messages(w.bytes()).collect();
    assert_eq!(all.len(), 1);
    let m = all[0];
    assert_eq!((m.kind, m.flags, m.seq), (7, 5, 9));
    let payload = &m.payload[4..];
    assert_eq!(Attrs::get(payload, 3).map(text).as_deref(), Some("ab"));
    let inner = Attrs::get(payload, 4).expect("nested attribute");
    assert_eq!(Attrs::get(inner, 1).and_then(be_u32), Some(0x0102_0304));
}

#[test]
fn truncated_input_ends_quietly() {
    let mut w = Writer::new();
    w.message(7, 5, 9).str(3, "abcdef");
    w.finish();
    for cut in 0..w.bytes().len() {
        assert_eq!(Messages(&w.bytes()[..cut]).count(), 0);
    }
    assert_eq!(Attrs(&[255, 0, 1, 0, 9]).count(), 0);
}
