//! A backup is what the store held at one revision, whole; a damaged or shortened one is told.

use super::{BackupError, Pages, Piece, REVISION_BUMP, Reader, Restore};
use base::Revision;
use bytes::Bytes;
use std::sync::Arc;
use store::{Embedded, Engine, Expect, MemoryDisk, Options, RangeRequest, Txn};

fn engine(begin: u64) -> Arc<dyn Engine> {
    let options = Options { begin: Revision(begin), ..Options::default() };
    Arc::new(Embedded::open_on(Arc::new(MemoryDisk::default()), options).expect("opens"))
}

async fn put(e: &Arc<dyn Engine>, key: String, value: &str) {
    e.commit(Txn::put(key, value.to_owned(), Expect::Any)).await.expect("committed");
}

async fn filled() -> Arc<dyn Engine> {
    let e = engine(0);
    for n in 0..1203 {
        put(&e, format!("/registry/configmaps/default/{n:05}"), "value").await;
    }
    put(&e, "/elsewhere".to_owned(), "not Kubernetes'").await;
    e
}

async fn everything(pages: &mut Pages) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(piece) = pages.next().await.expect("readable") {
        all.extend_from_slice(&piece);
    }
    all
}

fn pieces(bytes: &[u8], step: usize) -> Result<Vec<Piece>, BackupError> {
    let (mut reader, mut all) = (Reader::default(), Vec::new());
    for part in bytes.chunks(step) {
        reader.push(part);
        while let Some(piece) = reader.next()? {
            all.push(piece);
        }
    }
    reader.finish().map(|()| all)
}

#[tokio::test]
async fn what_is_written_meanwhile_is_no_part_of_it() {
    let e = filled().await;
    let mut pages = Pages::new(Arc::clone(&e));
    let mut bytes = pages.next().await.expect("readable").expect("a page").to_vec();
    put(&e, "/registry/configmaps/default/99999".to_owned(), "late").await;
    put(&e, "/registry/configmaps/default/01200".to_owned(), "changed").await;
    bytes.extend(everything(&mut pages).await);
    let all = pieces(&bytes, 7).expect("whole");
    assert_eq!(all.len(), 1204);
    assert_eq!(all[1203], Piece::End { pairs: 1203, revision: Revision(1204) });
    let of = |n: usize| Piece::Pair(format!("/registry/configmaps/default/{n:05}").into(), Bytes::from_static(b"value"));
    assert_eq!((&all[0], &all[1200]), (&of(0), &of(1200)));
}

#[tokio::test]
async fn a_restored_history_begins_behind_the_backup() {
    let bytes = everything(&mut Pages::new(filled().await)).await;
    let target = engine(1204 + REVISION_BUMP);
    let mut restore = Restore::new(Arc::clone(&target));
    assert!(restore.is_free().await.expect("readable"));
    for piece in pieces(&bytes, 4096).expect("whole") {
        if let Piece::Pair(key, value) = piece {
            restore.put(key, value).await.expect("taken");
        }
    }
    restore.flush().await.expect("taken");
    assert!(!restore.is_free().await.expect("readable"));
    let held = target.range(RangeRequest::prefix("/registry/")).await.expect("readable");
    assert_eq!(held.kvs.len(), 1203);
    assert!(held.kvs.iter().all(|kv| kv.mod_revision.0 > 1204 + REVISION_BUMP));
    assert_eq!(target.compacted(), Revision(1204 + REVISION_BUMP));
}

#[tokio::test]
async fn damage_is_told() {
    let bytes = everything(&mut Pages::new(filled().await)).await;
    assert_eq!(pieces(&bytes[..bytes.len() - 1], 512), Err(BackupError::CutOff));
    assert_eq!(pieces(&bytes[..bytes.len() / 2], 512), Err(BackupError::CutOff));
    assert_eq!(pieces(b"hello", 512), Err(BackupError::Damaged(0)));
    let mut longer = bytes.clone();
    longer.push(b'P');
    assert!(matches!(pieces(&longer, 512), Err(BackupError::Damaged(_))));
    let pair = 9 + "/registry/configmaps/default/00000".len() + "value".len();
    assert_eq!(pieces(&bytes[pair..], 512), Err(BackupError::Count { found: 1202, said: 1203 }));
}
