//! Walks one after the other in streams, and the streams of a file apart.

use super::coder::{Interval, Writer};
use super::format::Stream;
use crate::foundation::fault::Fault;

/// The most events that a file may make walk together, in multiples of what is best.
pub(super) const MOST_TOGETHER: usize = 4;

/// A stream ends after the walk that brings it to this size.
const STREAM_BYTES: usize = 16 << 10;

/// The streams of a file that is being written.
#[derive(Default)]
pub(super) struct Streams {
    writer: Writer,
    /// Events in the stream that is being written.
    events: usize,
    ended: Vec<Stream>,
    payload: Vec<u8>,
}

impl Streams {
    /// Adds what events that walked together put into a stream, which ends with the walk that makes it large enough.
    pub(super) fn push(&mut self, events: usize, intervals: Vec<Interval>) {
        intervals.into_iter().for_each(|interval| self.writer.push(interval));
        self.events += events;
        if self.writer.len() >= STREAM_BYTES {
            self.end();
        }
    }

    fn end(&mut self) {
        let bytes = self.writer.take();
        self.ended.push(Stream { events: std::mem::take(&mut self.events), bytes: bytes.len() });
        self.payload.extend(bytes);
    }

    /// What there is in each, and their bytes.
    pub(super) fn finish(mut self) -> (Vec<Stream>, Vec<u8>) {
        if self.events > 0 {
            self.end();
        }
        (self.ended, self.payload)
    }
}

/// The events and the bytes of each stream, of which an event takes so many bits at least: what is certain costs
/// something too.
pub(super) fn apart<'a>(
    streams: &[Stream],
    payload: &'a [u8],
    least_bits: f64,
) -> Result<Vec<(usize, &'a [u8])>, Fault> {
    let mut rest = payload;
    let mut own = |stream: &Stream| {
        let (bytes, after) = rest.split_at(stream.bytes);
        rest = after;
        // Two words are slack for the coder's own.
        let fits = least_bits * stream.events as f64 <= 8.0 * (stream.bytes + 8) as f64;
        if fits { Ok((stream.events, bytes)) } else { Err(Fault::Damaged("header")) }
    };
    streams.iter().map(&mut own).collect()
}
