//! The log format and the framing.

use std::time::{Duration, UNIX_EPOCH};

use super::log::{Log, MAX_PIECE_BYTES, Stream, timestamp};
use super::wire;

fn lines(feed: impl FnOnce(&mut Log)) -> Vec<(String, String, String)> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("web/0.log");
    let mut log = Log::open(path.clone()).expect("opens");
    feed(&mut log);
    let text = std::fs::read_to_string(path).expect("the log");
    text.lines()
        .map(|line| {
            let parts: Vec<&str> = line.splitn(4, ' ').collect();
            assert!(parts[0].ends_with('Z') && parts[0].len() == 30, "{line}");
            (parts[1].to_owned(), parts[2].to_owned(), parts[3].to_owned())
        })
        .collect()
}

#[test]
fn lines_are_whole_or_marked() {
    let got = lines(|log| {
        log.take(Stream::Stdout, b"one\ntw");
        log.take(Stream::Stderr, b"err\n\n");
        log.take(Stream::Stdout, b"o\nrest");
        log.finish(Stream::Stdout);
        log.finish(Stream::Stderr);
    });
    let expect = [
        ("stdout", "F", "one"),
        ("stderr", "F", "err"),
        ("stderr", "F", ""),
        ("stdout", "F", "two"),
        ("stdout", "P", "rest"),
    ];
    assert_eq!(got, expect.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
}

#[test]
fn long_lines_are_cut_at_16_kib() {
    let long = vec![b'x'; 2 * MAX_PIECE_BYTES + 5];
    let got = lines(|log| {
        for chunk in long.chunks(7000) {
            log.take(Stream::Stdout, chunk);
        }
        log.take(Stream::Stdout, b"\n");
        log.take(Stream::Stdout, &[&vec![b'y'; MAX_PIECE_BYTES][..], b"\n"].concat());
    });
    let shape: Vec<(&str, usize)> = got.iter().map(|(_, tag, text)| (tag.as_str(), text.len())).collect();
    assert_eq!(shape, [("P", MAX_PIECE_BYTES), ("P", MAX_PIECE_BYTES), ("F", 5), ("F", MAX_PIECE_BYTES)]);
}

#[test]
fn a_reopened_log_is_a_new_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("0.log");
    let mut log = Log::open(path.clone()).expect("opens");
    log.take(Stream::Stdout, b"old\n");
    std::fs::rename(&path, dir.path().join("0.log.1")).expect("moved");
    log.reopen().expect("reopens");
    log.take(Stream::Stdout, b"new\n");
    assert!(std::fs::read_to_string(&path).expect("the new one").ends_with(" stdout F new\n"));
}

#[test]
fn times_are_rfc_3339() {
    let at = |seconds, nanos| timestamp(UNIX_EPOCH + Duration::new(seconds, nanos));
    assert_eq!(at(0, 0), "1970-01-01T00:00:00.000000000Z");
    assert_eq!(at(1_709_210_096, 5), "2024-02-29T12:34:56.000000005Z");
    assert_eq!(at(4_102_444_799, 999_999_999), "2099-12-31T23:59:59.999999999Z");
}

#[test]
fn packets_carry_descriptors() {
    use std::os::fd::AsRawFd;
    let (a, b) = wire::pair().expect("a pair");
    wire::send(&a, b"hello", &[a.as_raw_fd()]).expect("sent");
    let mut buffer = [0; 64];
    let (length, descriptors) = wire::receive(&b, &mut buffer).expect("received");
    assert_eq!((&buffer[..length], descriptors.len()), (&b"hello"[..], 1));
}

#[test]
fn the_shim_is_recognised_by_name_or_argument() {
    assert!(super::is_shim(["/usr/bin/timonel-shim"].iter()));
    assert!(super::is_shim(["timonel", "timonel-shim"].iter()));
    assert!(!super::is_shim(["timonel", "up"].iter()));
}
