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

use super::read::{Ask, read};
use std::io::Write;
use std::path::Path;
use tokio::sync::{mpsc, oneshot};

fn entry(n: u32) -> String {
    format!("2026-11-21T08:00:{n:02}.000000000Z stdout F line {n}\n")
}

async fn all(log: &Path, ask: Ask) -> String {
    let (sink, mut got) = mpsc::channel(16);
    let reader = tokio::spawn(read(log.to_owned(), ask, sink, std::future::pending()));
    let mut text = Vec::new();
    while let Some(b) = got.recv().await {
        text.extend_from_slice(&b);
    }
    reader.await.unwrap();
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn tails_reach_into_rotated_files() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("0.log");
    std::fs::write(dir.path().join("0.log.20261121-080000"), format!("{}{}", entry(1), entry(2))).unwrap();
    std::fs::write(&log, format!("{}{}", entry(3), entry(4))).unwrap();
    let tail = |n| Ask { tail_lines: Some(n), ..Ask::default() };
    assert_eq!(all(&log, tail(1)).await, "line 4\n");
    assert_eq!(all(&log, tail(3)).await, "line 2\nline 3\nline 4\n");
    assert_eq!(all(&log, tail(0)).await, "");
    assert_eq!(all(&log, Ask::default()).await, "line 1\nline 2\nline 3\nline 4\n");
    assert_eq!(all(&log, Ask { limit_bytes: Some(9), ..Ask::default() }).await, "line 1\nli");
    let since = Some("2026-11-21T08:00:04Z".parse().unwrap());
    let stamped = all(&log, Ask { since, timestamps: true, ..Ask::default() }).await;
    assert_eq!(stamped, "2026-11-21T08:00:04.000000000Z line 4\n");
}

#[tokio::test]
async fn following_survives_rotation_and_ends_with_the_container() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("0.log");
    std::fs::write(&log, entry(1)).unwrap();
    let (sink, mut got) = mpsc::channel(16);
    let (end, ended) = oneshot::channel::<()>();
    let ask = Ask { follow: true, ..Ask::default() };
    let reader = tokio::spawn(read(log.clone(), ask, sink, async move {
        let _ = ended.await;
    }));
    assert_eq!(got.recv().await.unwrap(), "line 1\n");
    std::fs::OpenOptions::new().append(true).open(&log).unwrap().write_all(entry(2).as_bytes()).unwrap();
    assert_eq!(got.recv().await.unwrap(), "line 2\n");
    std::fs::rename(&log, dir.path().join("0.log.20261121-080000")).unwrap();
    std::fs::write(&log, entry(3)).unwrap();
    assert_eq!(got.recv().await.unwrap(), "line 3\n");
    end.send(()).unwrap();
    assert!(got.recv().await.is_none());
    reader.await.unwrap();
}
