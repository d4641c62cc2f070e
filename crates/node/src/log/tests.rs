//! The CRI format.

use super::parse::{line, lines};

#[test]
fn entries_are_read() {
    let l = line(b"2026-11-21T08:00:00.1Z stdout F hello world\n").unwrap();
    assert_eq!((l.time, l.stdout, l.partial, l.content), ("2026-11-21T08:00:00.1Z", true, false, &b"hello world\n"[..]));
    let p = line(b"2026-11-21T08:00:00.1Z stderr P half\n").unwrap();
    assert_eq!((p.stdout, p.partial, p.content), (false, true, &b"half"[..]));
    assert_eq!(lines(b"2026-11-21T08:00:00Z stdout F a\nnonsense\n2026-11-21T08:00:00Z stdout F cut").len(), 1);
}
