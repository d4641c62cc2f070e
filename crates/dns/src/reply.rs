//! Messages: answers with the question's own spelling, failures, the start of authority, and cutting to size.

use hickory_proto::op::{Edns, Message, Metadata, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record};

use crate::question::Zone;

/// What we take in one datagram, told to clients that ask.
const OUR_PAYLOAD_BYTES: u16 = 4096;
/// What clients without EDNS take.
const PLAIN_PAYLOAD_BYTES: u16 = 512;

/// An answer to `query` without content.
pub(crate) fn start(query: &Message) -> Message {
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata = Metadata::response_from_request(&query.metadata);
    reply.metadata.recursion_available = true;
    reply.add_queries(query.queries.iter().cloned());
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(OUR_PAYLOAD_BYTES);
        reply.set_edns(edns);
    }
    reply
}

/// A failure, without content.
#[must_use]
pub fn failure(query: &Message, code: ResponseCode) -> Message {
    let mut reply = start(query);
    reply.metadata.response_code = code;
    if let Some(edns) = &mut reply.edns {
        edns.set_rcode_high((u16::from(code) >> 4) as u8);
    }
    reply
}

/// The zone's start of authority. Its serial is the image's revision.
pub(crate) fn soa(zone: &Zone, revision: u64) -> Option<Record> {
    let (server, master) = (zone.name(&["ns", "dns"])?, zone.name(&["hostmaster"])?);
    let soa = SOA::new(server, master, revision as u32, 7200, 1800, 86400, zone.config.ttl);
    Some(Record::from_rdata(zone.apex.clone(), zone.config.ttl, RData::SOA(soa)))
}

/// Makes an authoritative denial: the name is not there, or has nothing of that type.
pub(crate) fn deny(mut reply: Message, zone: &Zone, revision: u64, code: ResponseCode) -> Message {
    reply.metadata.authoritative = true;
    reply.metadata.response_code = code;
    reply.authorities.extend(soa(zone, revision));
    reply
}

/// A record of an answer.
pub(crate) fn record(owner: &Name, zone: &Zone, data: RData) -> Record {
    Record::from_rdata(owner.clone(), zone.config.ttl, data)
}

/// Encodes an answer for a datagram: what does not fit is left out, additional records first, and told by the TC bit. Over TCP
/// (`datagram` false) everything fits.
///
/// # Errors
/// What could not be encoded.
pub fn fit(query: &Message, reply: &Message, datagram: bool) -> Result<Vec<u8>, String> {
    let whole = reply.to_vec().map_err(|e| e.to_string())?;
    let asked = query.edns.as_ref().map_or(PLAIN_PAYLOAD_BYTES, |e| e.max_payload().clamp(PLAIN_PAYLOAD_BYTES, OUR_PAYLOAD_BYTES));
    let limit = if datagram { usize::from(asked) } else { usize::from(u16::MAX) };
    if whole.len() <= limit {
        return Ok(whole);
    }
    let mut cut = reply.clone();
    cut.additionals.clear();
    let fits = |m: &Message| m.to_vec().is_ok_and(|v| v.len() <= limit);
    if !fits(&cut) {
        cut.metadata.truncation = true;
        cut.authorities.clear();
        let answers = std::mem::take(&mut cut.answers);
        // The largest number of answers that fits: sizes grow with the number, so it can be halved towards.
        let (mut low, mut high) = (0, answers.len());
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            cut.answers = answers[..middle].to_vec();
            if fits(&cut) { low = middle } else { high = middle - 1 }
        }
        cut.answers = answers[..low].to_vec();
    }
    cut.to_vec().map_err(|e| e.to_string())
}
