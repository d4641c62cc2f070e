//! Streams of lines, and watches made of them (docs: "Kubernetes API Concepts", efficient detection of changes).

use crate::Error;
use crate::error::from_status;
use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

/// The longest line that is taken; an object of a watch is far smaller.
const LINE_MAX_BYTES: usize = 64 << 20;

/// An answer, line by line or as it comes.
pub struct Lines {
    body: Incoming,
    buffer: BytesMut,
    scanned: usize,
}

impl Lines {
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body, buffer: BytesMut::new(), scanned: 0 }
    }

    /// The next bytes as they arrive; `None` at the end.
    ///
    /// # Errors
    /// A connection that broke.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if !self.buffer.is_empty() {
            self.scanned = 0;
            return Ok(Some(self.buffer.split().freeze()));
        }
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|e| Error::Answer(format!("unexpected EOF: {e}")))?;
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The next line with its newline (the last may lack it); `None` at the end.
    ///
    /// # Errors
    /// A connection that broke, a line without end.
    pub async fn line(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(at) = self.buffer[self.scanned..].iter().position(|b| *b == b'\n') {
                let line = self.buffer.split_to(self.scanned + at + 1).freeze();
                self.scanned = 0;
                return Ok(Some(line));
            }
            self.scanned = self.buffer.len();
            if self.scanned > LINE_MAX_BYTES {
                return Err(Error::Answer("a line of the answer is too long".to_owned()));
            }
            let Some(frame) = self.body.frame().await else {
                self.scanned = 0;
                let rest = self.buffer.split().freeze();
                return Ok((!rest.is_empty()).then_some(rest));
            };
            let frame = frame.map_err(|e| Error::Answer(format!("unexpected EOF: {e}")))?;
            if let Ok(mut data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
                data.advance(data.len());
            }
        }
    }
}

/// One event of a watch.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchEvent {
    /// `ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`.
    pub kind: String,
    pub object: Value,
}

/// A watch.
pub struct Watch {
    lines: Lines,
}

impl Watch {
    pub(crate) fn new(lines: Lines) -> Self {
        Self { lines }
    }

    /// The next event; `None` when the server ends the watch.
    ///
    /// # Errors
    /// An `ERROR` event, a broken connection, an event that is no JSON.
    pub async fn next(&mut self) -> Result<Option<WatchEvent>, Error> {
        let Some(line) = self.lines.line().await? else { return Ok(None) };
        let mut event: Value = serde_json::from_slice(&line).map_err(|e| Error::Answer(format!("unable to decode an event from the watch stream: {e}")))?;
        let object = event["object"].take();
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        if kind == "ERROR" {
            return Err(Error::Api(Box::new(from_status(&object, 500))));
        }
        Ok(Some(WatchEvent { kind, object }))
    }
}
