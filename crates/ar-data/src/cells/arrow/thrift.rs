//! The little of Thrift's compact protocol that it takes to know what a Parquet file states of its sizes.
//!
//! The decoder of the file takes the numbers in here as they are: it takes memory for as many children as a node of
//! the schema says it has, follows nested nodes as deep as they go, and takes memory for as many bytes as a page
//! says it becomes. So they are read here first.
//!
//! # References
//!
//! Apache Thrift, "Thrift compact protocol encoding"; Apache Parquet, `parquet.thrift`.

use std::io::{self, Read};

/// Nesting beyond which a file is not followed; Arrow's own schemas end there too.
const DEEPEST: usize = 64;

/// Types of a field.
const STRUCT: u8 = 12;
const I32: u8 = 5;

/// What the header of a page says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PageHeader {
    /// Bytes of the header itself.
    pub(super) bytes: u64,
    pub(super) kind: PageKind,
    /// Bytes of the page in the file.
    pub(super) stored: u64,
    /// Bytes of the page in memory.
    pub(super) content: u64,
    /// Bytes at its start that are levels and are stored as they are.
    pub(super) levels: u64,
    pub(super) values: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum PageKind {
    #[default]
    Data,
    Index,
    Dictionary,
}

impl PageHeader {
    /// Reads a header, which ends somewhere in `from`.
    pub(super) fn read(from: impl Read) -> io::Result<Self> {
        let mut input = Compact { read: from, bytes: 0 };
        let mut header = Self::default();
        let (mut stored, mut content) = (None, None);
        let mut last = 0;
        while let Some((id, kind)) = input.field(&mut last)? {
            match (id, kind) {
                (1, I32) => {
                    header.kind = match input.signed()? {
                        1 => PageKind::Index,
                        2 => PageKind::Dictionary,
                        _ => PageKind::Data,
                    };
                }
                (2, I32) => content = Some(input.size()?),
                (3, I32) => stored = Some(input.size()?),
                // The headers of each kind of page begin with the number of its values.
                (5 | 7 | 8, STRUCT) => input.page(id == 8, &mut header)?,
                _ => input.skip(kind, DEEPEST)?,
            }
        }
        let missing = || broken("a page without a size");
        header.stored = stored.ok_or_else(missing)?;
        header.content = content.ok_or_else(missing)?;
        header.bytes = input.bytes;
        Ok(header)
    }
}

/// Checks that the schema in the metadata of a file has no more children than nodes and is not too deep.
pub(super) fn check_schema(metadata: &[u8]) -> io::Result<()> {
    const SCHEMA: i16 = 2;
    const LIST: u8 = 9;
    let mut input = Compact { read: metadata, bytes: 0 };
    let mut last = 0;
    while let Some((id, kind)) = input.field(&mut last)? {
        match (id, kind) {
            (SCHEMA, LIST) => {
                let (count, STRUCT) = input.list()? else {
                    return Err(broken("a schema of no nodes"));
                };
                input.nodes(count)?;
            }
            _ => input.skip(kind, DEEPEST)?,
        }
    }
    Ok(())
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Reads values of the protocol.
struct Compact<R> {
    read: R,
    /// Bytes that were read.
    bytes: u64,
}

impl<R: Read> Compact<R> {
    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.read.read_exact(&mut byte)?;
        self.bytes += 1;
        Ok(byte[0])
    }

    fn unsigned(&mut self) -> io::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(broken("a number of more than 64 bits"))
    }

    fn signed(&mut self) -> io::Result<i64> {
        let value = self.unsigned()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn size(&mut self) -> io::Result<u64> {
        u64::try_from(self.signed()?).map_err(|_| broken("a negative size"))
    }

    /// The next field of a struct, and its type; none at the end of the struct.
    fn field(&mut self, last: &mut i16) -> io::Result<Option<(i16, u8)>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        *last = match byte >> 4 {
            0 => i16::try_from(self.signed()?).map_err(|_| broken("a field beyond all"))?,
            delta => last.wrapping_add(delta.into()),
        };
        Ok(Some((*last, byte & 0xf)))
    }

    /// The number of elements of a list or a set, and their type.
    fn list(&mut self) -> io::Result<(u64, u8)> {
        let byte = self.byte()?;
        let count = match byte >> 4 {
            15 => self.unsigned()?,
            count => count.into(),
        };
        Ok((count, byte & 0xf))
    }

    fn skip_bytes(&mut self, count: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.read.by_ref().take(count), &mut io::sink())?;
        self.bytes += skipped;
        if skipped < count { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Skips a field. Every element of a list takes a byte or more, so what is read ends with the input.
    fn skip(&mut self, kind: u8, deepest: usize) -> io::Result<()> {
        let Some(deepest) = deepest.checked_sub(1) else {
            return Err(broken("fields nested too deep"));
        };
        let element = |input: &mut Self, kind| match kind {
            1 | 2 => input.byte().map(|_| ()),
            kind => input.skip(kind, deepest),
        };
        match kind {
            // Truth values are part of the type.
            1 | 2 => Ok(()),
            3 => self.byte().map(|_| ()),
            4..=6 => self.unsigned().map(|_| ()),
            7 => self.skip_bytes(8),
            8 => {
                let count = self.unsigned()?;
                self.skip_bytes(count)
            }
            9 | 10 => {
                let (count, kind) = self.list()?;
                (0..count).try_for_each(|_| element(self, kind))
            }
            11 => match self.unsigned()? {
                0 => Ok(()),
                count => {
                    let kinds = self.byte()?;
                    (0..count).try_for_each(|_| {
                        element(self, kinds >> 4)?;
                        element(self, kinds & 0xf)
                    })
                }
            },
            STRUCT => {
                let mut last = 0;
                while let Some((_, kind)) = self.field(&mut last)? {
                    self.skip(kind, deepest)?;
                }
                Ok(())
            }
            13 => self.skip_bytes(16),
            _ => Err(broken("a field of an unknown type")),
        }
    }

    /// The header of one kind of page, which for the second version of data pages states the bytes of levels.
    fn page(&mut self, is_second: bool, header: &mut PageHeader) -> io::Result<()> {
        let mut last = 0;
        while let Some((id, kind)) = self.field(&mut last)? {
            match (id, kind) {
                (1, I32) => header.values = self.size()?,
                (5 | 6, I32) if is_second => header.levels += self.size()?,
                _ => self.skip(kind, DEEPEST)?,
            }
        }
        Ok(())
    }

    /// The nodes of a schema, each followed by its children.
    fn nodes(&mut self, count: u64) -> io::Result<()> {
        const CHILDREN: i16 = 5;
        // Of each node above: how many children are still to come.
        let mut above: Vec<u64> = Vec::new();
        for node in 0..count {
            let (mut last, mut children) = (0, 0);
            while let Some((id, kind)) = self.field(&mut last)? {
                match (id, kind) {
                    (CHILDREN, I32) => children = self.size()?,
                    _ => self.skip(kind, DEEPEST)?,
                }
            }
            if children > count - node - 1 {
                return Err(broken("a schema with more children than nodes"));
            }
            if let Some(left) = above.last_mut() {
                *left -= 1;
            }
            if children > 0 {
                above.push(children);
            }
            while above.last() == Some(&0) {
                above.pop();
            }
            if above.len() > DEEPEST {
                return Err(broken("a schema nested too deep"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Metadata whose schema has nodes with so many children.
    fn schema(count: u8, children: &[u64]) -> Vec<u8> {
        let mut bytes = vec![0x15, 0x02, 0x19, 0xfc, count];
        for &children in children {
            // A name, and the children.
            bytes.extend([0x48, 1, b'a', 0x15]);
            let mut left = children << 1;
            while left >= 0x80 {
                bytes.push(left as u8 | 0x80);
                left >>= 7;
            }
            bytes.extend([left as u8, 0]);
        }
        bytes.push(0);
        bytes
    }

    fn check(count: u8, children: &[u64]) -> Result<(), String> {
        check_schema(&schema(count, children)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_schema_has_no_more_children_than_nodes_and_ends_somewhere() {
        assert_eq!(check(3, &[2, 0, 0]), Ok(()));
        assert_eq!(check(5, &[2, 2, 0, 0, 0]), Ok(()));
        let many = Err("a schema with more children than nodes".to_owned());
        assert_eq!(check(3, &[3, 0, 0]), many);
        assert_eq!(check(3, &[1 << 30, 0, 0]), many);
        let mut chain = vec![1; 60];
        chain.push(0);
        assert_eq!(check(61, &chain), Ok(()));
        let mut chain = vec![1; 100];
        chain.push(0);
        assert_eq!(check(101, &chain), Err("a schema nested too deep".to_owned()));
        let whole = schema(3, &[2, 0, 0]);
        (0..whole.len()).for_each(|end| assert!(check_schema(&whole[..end]).is_err(), "{end}"));
        // A field that nobody knows, of structs in structs.
        let deep = [&[0x1c; 10_000][..], &[0; 10_001]].concat();
        assert_eq!(check_schema(&deep).unwrap_err().to_string(), "fields nested too deep");
        assert_eq!(
            check_schema(&[0x19, 0xf8, 0xff, 0xff, 0xff, 0xff, 0x7f]).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }

    #[test]
    fn the_header_of_a_page_says_its_sizes() {
        // A data page of the second version: 4 values, 300 bytes that are stored as 100, of which 2 are levels.
        let bytes = [
            0x15, 6, 0x15, 0xd8, 0x04, 0x15, 0xc8, 0x01, 0x5c, 0x15, 8, 0x15, 0, 0x15, 8, 0x15, 0,
            0x15, 4, 0x15, 0, 0, 0, 0xff,
        ];
        let expected = PageHeader {
            bytes: bytes.len() as u64 - 1,
            kind: PageKind::Data,
            stored: 100,
            content: 300,
            levels: 2,
            values: 4,
        };
        assert_eq!(PageHeader::read(&bytes[..]).unwrap(), expected);
        assert!(PageHeader::read(&bytes[..10]).is_err());
        // A dictionary of 3 values, and one of a negative size.
        let bytes = [0x15, 4, 0x15, 10, 0x15, 10, 0x4c, 0x15, 6, 0x15, 0, 0, 0];
        let header = PageHeader::read(&bytes[..]).unwrap();
        assert_eq!((header.kind, header.values), (PageKind::Dictionary, 3));
        assert!(PageHeader::read(&[0x15, 4, 0x15, 9, 0x15, 10, 0][..]).is_err());
        assert!(PageHeader::read(&[0x15, 4, 0][..]).is_err());
    }
}
