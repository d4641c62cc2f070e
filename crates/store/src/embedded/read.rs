//! Reading pairs: the index says where under the lock, the bytes are read outside it, and every record's checksum and
//! key are checked on the way.

use std::io;
use std::sync::Arc;

use base::Revision;
use bytes::Bytes;

use super::segment::Location;
use super::shared::{Shared, State};
use crate::api::{KeyValue, RangeError, RangeRequest, RangeResult};
use crate::core::index::Item;
use crate::disk::DiskFile;
use crate::disk::format::{RECORD_HEAD_BYTES, Record};

/// Where a pair lies, with a hold on its file: a rewrite of the segment does not disturb the reader.
pub(super) struct Place {
    file: Arc<dyn DiskFile>,
    segment: String,
    item: Item<Location>,
}

impl State {
    /// The place of an item that the index gave under this same lock.
    pub(super) fn place(&self, item: &Item<Location>) -> Place {
        let segment = self.segments.get(&item.at.segment).expect("the index names only segments of the table");
        Place { file: Arc::clone(&segment.file), segment: segment.name.clone(), item: *item }
    }

    /// The revision that a read looks at, if it can be read.
    fn readable(&self, at: Option<Revision>) -> Result<Revision, RangeError> {
        match at {
            None => Ok(self.visible),
            Some(at) if at > self.visible => Err(RangeError::Future { current: self.visible }),
            Some(at) if at < self.compacted => Err(RangeError::Compacted { compacted: self.compacted }),
            Some(at) => Ok(at),
        }
    }
}

/// A pair of a range before its value is read.
enum Pick {
    Whole(Place),
    Bare(KeyValue),
}

impl Shared {
    pub(super) fn get(&self, key: &[u8], at: Option<Revision>) -> Result<Option<KeyValue>, RangeError> {
        let place = {
            let state = self.open_state()?;
            let at = state.readable(at)?;
            state.index.at(key, at).map(|item| state.place(item))
        };
        place.map(|place| self.load(&place)).transpose()
    }

    pub(super) fn range(&self, request: &RangeRequest) -> Result<RangeResult, RangeError> {
        let limit = if request.limit == 0 { usize::MAX } else { request.limit };
        let (picks, revision, count) = {
            let state = self.open_state()?;
            let at = state.readable(request.at)?;
            let mut picks = Vec::new();
            let mut count = 0_u64;
            for (key, item) in state.index.range(&request.start, &request.end, at) {
                count += 1;
                if picks.len() < limit {
                    picks.push(if request.keys_only {
                        Pick::Bare(pair(key.clone(), Bytes::new(), item))
                    } else {
                        Pick::Whole(state.place(item))
                    });
                }
            }
            (picks, at, count)
        };
        let more = count > picks.len() as u64;
        let load = |pick| match pick {
            Pick::Whole(place) => self.load(&place),
            Pick::Bare(kv) => Ok(kv),
        };
        let kvs = picks.into_iter().map(load).collect::<Result<_, _>>()?;
        Ok(RangeResult { kvs, revision, more, count })
    }

    /// Reads a pair and checks that it is what was written. Damage ends the process, as the whole store is in doubt.
    pub(super) fn load(&self, place: &Place) -> Result<KeyValue, RangeError> {
        let Place { file, segment, item } = place;
        let mut bytes = vec![0; item.at.bytes as usize];
        let offset = u64::from(item.at.offset);
        file.read_at(&mut bytes, offset).map_err(|e| RangeError::Io(format!("{segment}: {e}")))?;
        let record = Record::decode(&bytes).and_then(|record| {
            let same = record.revision == item.revision && record.encoded_bytes() == bytes.len();
            if same { Ok(record.key.len()) } else { Err("another record stands in its place") }
        });
        match record {
            Ok(key_bytes) => {
                let bytes = Bytes::from(bytes);
                let value_at = RECORD_HEAD_BYTES + key_bytes;
                Ok(pair(bytes.slice(RECORD_HEAD_BYTES..value_at), bytes.slice(value_at..), item))
            }
            Err(what) => {
                self.fatal(&format!("{}: corrupt at offset {offset}: {what}", self.disk.path().join(segment).display()));
                Err(RangeError::Corrupt { file: segment.clone(), offset, what: what.into() })
            }
        }
    }
}

pub(super) fn pair<L>(key: Bytes, value: Bytes, item: &Item<L>) -> KeyValue {
    KeyValue {
        key,
        value,
        create_revision: item.created,
        mod_revision: item.revision,
        version: u64::from(item.version),
    }
}

/// An error of a scan, told as a reader is told.
pub(super) fn io_error(segment: &str, error: &io::Error) -> RangeError {
    RangeError::Io(format!("{segment}: {error}"))
}
