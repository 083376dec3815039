//! The file of a table: a header, then the streams.

use super::lattice;
use crate::foundation::fault::Fault;
use crate::parts::walker::Arithmetic;
use crate::tasks::codec::format::{
    Fields, MAGIC, Stream, have_events, write_end, write_streams, write_varint,
};

const VERSION: u8 = 2;

/// The most cells of a table: a limit of what a file may claim before anything is allocated for it.
pub(super) const MOST_CELLS: u64 = 1 << 30;

/// The longest label in the header.
const MOST_LABEL: u64 = 1 << 24;

/// What the file of a table says of itself.
///
/// | field | bytes |
/// |---|---|
/// | magic, `89 43 48 52` | 4 |
/// | version of the format, 2 | 1 |
/// | what computed the conditionals ([`Arithmetic`]) | 1 |
/// | digest of the model | 8 |
/// | columns, rows, rows that walk together, number of streams | a varint each |
/// | of each stream: its rows, its bytes | a varint each |
/// | number of real columns; of each what its numbers are multiples of or numbers of: 0 to 15 for 10^−k, 16 for all f32, 17 for all f64 | a varint; 1 each |
/// | number of labels that training never saw | a varint |
/// | of each: the column; 0 where it is a missing cell, or one more than its bytes; its bytes in UTF-8 | a varint each; the bytes |
/// | digest of the cells | 16 |
/// | digest of all streams | 8 |
/// | digest of the header up to here | 4 |
/// | the streams, each whole words of 32 bits, little-endian | the rest |
///
/// Varints and digests are those of a [`Header`](super::super::Header). The digest of the cells is of 8 bytes for each
/// in row order, little-endian: the bits of a number, those of NaN where it is missing; the index of a label; of a label
/// that training never saw the number of those it saw, plus its place among those of its column above, from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableHeader {
    /// What computed the conditionals.
    pub arithmetic: Arithmetic,
    /// Number of columns.
    pub columns: usize,
    /// Number of rows.
    pub rows: usize,
    pub(super) model: [u8; 8],
    pub(super) together: usize,
    pub(super) streams: Vec<Stream>,
    /// Of each real column: the code of its lattice.
    pub(super) lattices: Vec<u8>,
    /// Labels that training never saw, each with its column; `None` is a missing cell. By columns, and in the order of
    /// their places.
    pub(super) others: Vec<(usize, Option<String>)>,
    pub(super) content: [u8; 16],
}

impl TableHeader {
    /// The whole file.
    pub(super) fn write(&self, payload: &[u8]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend([VERSION, self.arithmetic.code()]);
        out.extend(self.model);
        for value in [self.columns, self.rows, self.together, self.streams.len()] {
            write_varint(&mut out, value);
        }
        write_streams(&mut out, &self.streams);
        write_varint(&mut out, self.lattices.len());
        out.extend(&self.lattices);
        write_varint(&mut out, self.others.len());
        for (column, label) in &self.others {
            write_varint(&mut out, *column);
            write_varint(&mut out, label.as_ref().map_or(0, |label| label.len() + 1));
            out.extend(label.iter().flat_map(|label| label.bytes()));
        }
        out.extend(self.content);
        write_end(&mut out, payload);
        out
    }

    /// Reads a file's header and checks the whole file against its digests.
    ///
    /// Takes memory for the streams, the lattices and the labels alone, at most some times the file's own length.
    ///
    /// # Errors
    /// When the file is no such file, of another version, incomplete or altered.
    pub fn read(file: &[u8]) -> Result<Self, Fault> {
        Self::read_with_payload(file).map(|(header, _)| header)
    }

    /// The header, and the bytes of the streams.
    pub(super) fn read_with_payload(file: &[u8]) -> Result<(Self, &[u8]), Fault> {
        let mut fields = Fields { file, at: 0 };
        if fields.bytes::<4>().ok() != Some(MAGIC) {
            return Err(Fault::Foreign);
        }
        let [version, arithmetic] = fields.bytes()?;
        if version != VERSION {
            return Err(Fault::Version { found: version, expected: VERSION });
        }
        let model = fields.bytes()?;
        let columns = fields.varint(MOST_CELLS)?;
        let rows = fields.varint(MOST_CELLS)?;
        let together = fields.varint(MOST_CELLS)?;
        // Everything that is counted takes a byte of the header at least.
        let most = file.len() as u64;
        let streams = fields.varint(most)?;
        let streams = fields.streams(streams, MOST_CELLS)?;
        let mut lattices = Vec::new();
        for _ in 0..fields.varint(most)? {
            let [code] = fields.bytes()?;
            lattices.push(code);
        }
        let mut others = Vec::new();
        for _ in 0..fields.varint(most)? {
            let column = fields.varint(MOST_CELLS)?;
            let label = match fields.varint(MOST_LABEL)? {
                0 => None,
                length => Some(fields.text(length - 1)?),
            };
            others.push((column, label));
        }
        let content = fields.bytes()?;
        let payload_digest = fields.end_of_header()?;
        let arithmetic = Arithmetic::of_code(arithmetic).ok_or(Fault::Damaged("header"))?;
        let payload = fields.payload(&streams, payload_digest)?;
        let header =
            Self { arithmetic, columns, rows, model, together, streams, lattices, others, content };
        header.check_sizes()?;
        Ok((header, payload))
    }

    /// What digests cannot tell: that the numbers belong together and stay within the limits.
    fn check_sizes(&self) -> Result<(), Fault> {
        let values = (self.columns as u64).saturating_mul(self.rows as u64);
        if values > MOST_CELLS {
            return Err(Fault::TooLarge { values, most: MOST_CELLS });
        }
        let known = self.lattices.iter().all(|&code| code < lattice::CODES);
        let in_order = self.others.is_sorted_by_key(|(column, _)| *column)
            && self.others.iter().all(|&(column, _)| column < self.columns);
        let sound = have_events(&self.streams, self.rows) && known && in_order;
        if sound && self.columns > 0 && self.together > 0 {
            return Ok(());
        }
        Err(Fault::Damaged("header"))
    }
}

impl Fields<'_> {
    fn text(&mut self, length: usize) -> Result<String, Fault> {
        let bytes = self.file[self.at..].get(..length).ok_or(Fault::Truncated)?;
        self.at += length;
        String::from_utf8(bytes.to_vec()).map_err(|_| Fault::Damaged("header"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> TableHeader {
        TableHeader {
            arithmetic: Arithmetic::Tensors { backend: "flex", isa: "avx2" },
            columns: 5,
            rows: 1000,
            model: *b"12345678",
            together: 256,
            streams: vec![Stream { events: 900, bytes: 8 }, Stream { events: 100, bytes: 4 }],
            lattices: vec![3, 17],
            others: vec![(1, None), (1, Some("ünseen".into())), (4, Some(String::new()))],
            content: *b"0123456789abcdef",
        }
    }

    #[test]
    fn a_header_comes_back() {
        let payload = [7; 12];
        let file = header().write(&payload);
        assert_eq!(TableHeader::read_with_payload(&file), Ok((header(), &payload[..])));
        let bare = TableHeader { lattices: vec![], others: vec![], ..header() };
        // Five of them for the streams.
        assert_eq!(bare.write(&payload).len() - payload.len(), 50 + 5);
    }

    #[test]
    fn a_cut_or_longer_file_is_an_error() {
        let file = header().write(&[7; 12]);
        for cut in 0..file.len() {
            let fault = TableHeader::read(&file[..cut]).unwrap_err();
            assert_eq!(fault, if cut < 4 { Fault::Foreign } else { Fault::Truncated }, "{cut}");
        }
        let longer = [&file[..], &[0]].concat();
        assert_eq!(TableHeader::read(&longer), Err(Fault::Longer));
        let symbols = [&MAGIC[..], &[1; 90]].concat();
        assert_eq!(TableHeader::read(&symbols), Err(Fault::Version { found: 1, expected: 2 }));
    }

    #[test]
    fn sizes_beyond_the_limits_are_refused() {
        let refuse = |change: &dyn Fn(&mut TableHeader)| {
            let mut header = header();
            change(&mut header);
            TableHeader::read(&header.write(&[7; 12])).unwrap_err()
        };
        let large = refuse(&|h| {
            (h.columns, h.rows, h.streams[0].events) = (1 << 12, 1 << 20, (1 << 20) - 100);
        });
        assert!(matches!(large, Fault::TooLarge { .. }), "{large:?}");
        for fault in [
            refuse(&|h| (h.columns, h.others) = (0, vec![])),
            refuse(&|h| h.together = 0),
            refuse(&|h| h.rows = 9),
            refuse(&|h| h.streams = vec![Stream { events: 0, bytes: 4 }; 3]),
            refuse(&|h| (h.streams[0].bytes, h.streams[1].bytes) = (7, 5)),
            refuse(&|h| h.lattices[0] = 18),
            refuse(&|h| h.others[2].0 = 5),
            refuse(&|h| h.others[2].0 = 0),
        ] {
            assert!(matches!(fault, Fault::Damaged("header")), "{fault:?}");
        }
        assert_eq!(refuse(&|h| h.streams[0].bytes = usize::MAX >> 9), Fault::Truncated);
    }
}
