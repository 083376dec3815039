//! Which format a file is of.

use crate::arrays::{idx, images};
use crate::bytes::Input;
use crate::cells::{npy, npz};
use crate::dataset::name_of;
use crate::error::{Flaw, Place, Result, shown};
use crate::foreign;
use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Table,
    Npy,
    Npz,
    Parquet,
    Arrow,
    Png,
    Cifar10,
    Idx,
}

impl Format {
    /// Whether the file is columns, which have types of their own.
    pub(crate) fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Npz | Self::Parquet | Self::Arrow)
    }
}

/// The format of a file, by its name or its first bytes.
///
/// # Errors
///
/// If no format is recognized, or it is one that is not read.
pub(crate) fn format_of(input: &mut Input) -> Result<Format> {
    let by_name = format_by_name(input.path());
    if matches!(by_name, None | Some(Format::Table))
        && let Some((found, hint)) = foreign::recognize(&name_of(input.path()), input.peek()?)
    {
        let expected = "a table, an array or an image";
        return Err(input.malformed(Place::File, Flaw::Unsupported, expected, found).advise(hint));
    }
    match by_name {
        Some(format) => Ok(format),
        None => format_by_content(input),
    }
}

fn format_by_name(path: &Path) -> Option<Format> {
    let name = name_of(path).to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    if name.ends_with("-ubyte") {
        return Some(Format::Idx);
    }
    match name.rsplit_once('.')?.1 {
        "amat" | "data" | "csv" | "tsv" | "tab" | "txt" | "dat" => Some(Format::Table),
        "npy" => Some(Format::Npy),
        "npz" => Some(Format::Npz),
        "parquet" | "pq" => Some(Format::Parquet),
        "arrow" | "arrows" | "feather" | "ipc" => Some(Format::Arrow),
        "png" => Some(Format::Png),
        "bin" => Some(Format::Cifar10),
        "idx" => Some(Format::Idx),
        end if end.starts_with("idx") && end.ends_with("-ubyte") => Some(Format::Idx),
        _ => None,
    }
}

fn format_by_content(input: &mut Input) -> Result<Format> {
    let start = input.peek()?;
    let is_text = |byte: &u8| *byte >= b' ' || byte.is_ascii_whitespace();
    Ok(match start {
        _ if start.starts_with(npy::MAGIC) => Format::Npy,
        _ if start.starts_with(images::MAGIC) => Format::Png,
        _ if start.starts_with(npz::ZIP_MAGIC) => Format::Npz,
        _ if start.starts_with(b"PAR1") => Format::Parquet,
        _ if start.starts_with(b"ARROW1") => Format::Arrow,
        _ if idx::is_magic(start) => Format::Idx,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Format::Table,
        _ if start.iter().all(is_text) => Format::Table,
        _ => {
            let found = shown(&start[..start.len().min(8)]);
            let expected = "IDX, .npy, .npz, Parquet, Arrow, PNG or a table of text";
            return Err(input.malformed(Place::Byte(0), Flaw::WrongMagic, expected, found).advise(
                "the format follows from the name (.csv .tsv .txt .dat .data .amat .npy .npz .parquet \
                 .arrow .png .bin -ubyte, text and IDX also .gz) or from the first bytes",
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_follow_from_names() {
        for (name, format) in [
            ("a/train-images-idx3-ubyte.gz", Some(Format::Idx)),
            ("train-images.idx3-ubyte", Some(Format::Idx)),
            ("x.amat.gz", Some(Format::Table)),
            ("nips.train.data", Some(Format::Table)),
            ("X.CSV.GZ", Some(Format::Table)),
            ("a.npy", Some(Format::Npy)),
            ("data_batch_1.bin", Some(Format::Cifar10)),
            ("a.png", Some(Format::Png)),
            ("noext", None),
            ("a.zip", None),
        ] {
            assert_eq!(format_by_name(Path::new(name)), format, "{name}");
        }
    }
}
