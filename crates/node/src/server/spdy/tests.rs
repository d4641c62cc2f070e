//! The dictionary, frames, and a connection that a client opens.

use super::frame::{self, Frame};
use super::headers::{Headers, Packer, Unpacker, dictionary};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

/// The identity that zlib streams of SPDY/3 name their dictionary by.
#[test]
fn the_dictionary_is_the_one_that_everybody_has() {
    let d = dictionary();
    let (mut a, mut b) = (1u32, 0u32);
    for byte in &d {
        a = (a + u32::from(*byte)) % 65521;
        b = (b + a) % 65521;
    }
    assert_eq!((d.len(), format!("{:08x}", b << 16 | a)), (1423, "e3c6a7c2".to_owned()));
}

#[test]
fn header_blocks_share_one_compression() {
    let (mut packer, mut unpacker) = (Packer::new(), Unpacker::new());
    for n in 0..20 {
        let headers: Headers = [("streamtype".to_owned(), "data".to_owned()), ("port".to_owned(), n.to_string())].into();
        let block = Bytes::from(packer.block(&headers));
        assert_eq!(unpacker.headers(&block).unwrap(), headers);
    }
}

#[tokio::test]
async fn streams_are_opened_answered_and_ended() {
    let (mut client, server) = duplex(1 << 16);
    let mut opened = super::serve(server);
    let mut packer = Packer::new();
    let mut out = BytesMut::new();
    frame::syn(1, &packer.block(&[("streamType".to_owned(), "stdin".to_owned())].into()), &mut out);
    frame::data(1, b"hello", true, &mut out);
    client.write_all(&out).await.unwrap();
    let mut stream = opened.recv().await.unwrap();
    assert_eq!(stream.headers["streamtype"], "stdin");
    assert_eq!(stream.bytes.recv().await.unwrap(), "hello");
    assert!(stream.bytes.recv().await.is_none());
    assert!(stream.out.send("bye".into()).await);
    stream.out.finish().await;
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    while frames.len() < 3 {
        client.read_buf(&mut buffer).await.unwrap();
        while let Some(f) = frame::read(&mut buffer).unwrap() {
            frames.push(f);
        }
    }
    assert_eq!(frames[1], Frame::Data { stream: 1, fin: false, bytes: "bye".into() });
    assert_eq!(frames[2], Frame::Data { stream: 1, fin: true, bytes: Bytes::new() });
    drop(client);
    assert!(opened.recv().await.is_none());
}
