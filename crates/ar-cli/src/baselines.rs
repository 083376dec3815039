//! What other compressors make of the same values, for comparison: none of them is written anywhere.
//!
//! | name | what |
//! |---|---|
//! | `packed` | values of 1, 2, 4 or 8 bits, one after the other; an event starts a byte |
//! | `gzip -9`, `xz -9` | of the packed bits or of a byte per value, whichever is smaller |
//! | `parquet` | of a table: Parquet, each column compressed by zstd at level 19 |
//! | `csv` | of a table: its text; then `gzip -9` and `xz -9` are of that |
//! | `png` | all images below each other in one PNG, with no filter or adaptive ones, whichever is smaller |
//! | `neighbourhood-10` | bits of images: counts of the run's training set in the context of ten earlier pixels around each (that of JBIG2's second generic template, and its kind of coding), with this program's coder |

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};
use ar_data::write::Cell;
#[cfg(feature = "arrow")]
use ar_data::write::{Cells, ParquetWriter};
use ar_models::Isa;
use ar_models::codec::{Codec, Source};
use ar_models::config::{EventSpec, ModelConfig};
use ar_models::examples::Examples;
use ar_models::model::Model;
use flate2::write::GzEncoder;
use lzma_rust2::{XzOptions, XzWriter};
use png::{BitDepth, ColorType, Filter};
use serde::Serialize;

use crate::error::Internal;
use crate::files::{Events, Layout};

/// The size that something else has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Baseline {
    pub(crate) name: &'static str,
    pub(crate) bytes: usize,
}

/// Compresses `values`, `[events, variables]` of such events, with everything general.
///
/// # Errors
/// When a compressor fails, which it does not in memory.
pub(crate) fn general(values: &[u8], event: &EventSpec) -> Result<Vec<Baseline>> {
    let bits = bits_of(event);
    let rows = values.chunks_exact(event.variables());
    let packed: Vec<u8> = rows.flat_map(|row| packed(row, bits)).collect();
    let inputs: &[&[u8]] = if packed.len() < values.len() { &[&packed, values] } else { &[values] };
    let least = |compress: fn(&[u8]) -> io::Result<usize>| {
        let sizes = inputs.iter().map(|input| compress(input));
        let sizes = sizes.collect::<io::Result<Vec<usize>>>();
        anyhow::Ok(sizes.context(FAILS)?.into_iter().min().unwrap_or(0))
    };
    let mut all = vec![
        Baseline { name: "xz -9", bytes: least(xz)? },
        Baseline { name: "gzip -9", bytes: least(gzip)? },
    ];
    if let Some(layout) = Layout::of(&event.shape) {
        let plain = png(values, layout, bits, Filter::NoFilter)?.len();
        let adaptive = png(values, layout, bits, Filter::Adaptive)?.len();
        all.push(Baseline { name: "png", bytes: plain.min(adaptive) });
    }
    all.push(Baseline { name: "packed", bytes: packed.len() });
    Ok(all)
}

/// Compresses a table with everything general.
///
/// # Errors
/// When a compressor fails, which it does not in memory.
pub(crate) fn table(events: &Events<'_>) -> Result<Vec<Baseline>> {
    let columns = events.columns();
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(columns.iter().map(|(name, _)| name)).context(FAILS)?;
    for row in events.rows() {
        csv.write_record(row.iter().map(Cell::text)).context(FAILS)?;
    }
    let csv = csv.into_inner().map_err(csv::IntoInnerError::into_error).context(FAILS)?;
    let mut all = Vec::new();
    #[cfg(feature = "arrow")]
    all.push(Baseline {
        name: "parquet zstd -19",
        bytes: parquet(events, &columns).context(FAILS)?,
    });
    all.extend([
        Baseline { name: "xz -9", bytes: xz(&csv).context(FAILS)? },
        Baseline { name: "gzip -9", bytes: gzip(&csv).context(FAILS)? },
        Baseline { name: "csv", bytes: csv.len() },
    ]);
    Ok(all)
}

#[cfg(feature = "arrow")]
fn parquet(events: &Events<'_>, columns: &[(String, Cells)]) -> io::Result<usize> {
    let mut writer = ParquetWriter::small(Vec::new(), columns)?;
    events.rows().try_for_each(|row| writer.push(&row))?;
    Ok(writer.finish()?.len())
}

/// No input does that.
const FAILS: Internal = Internal("a compressor fails in memory");

/// Bits that hold a value: those of PNG's grey levels.
pub(crate) fn bits_of(event: &EventSpec) -> usize {
    match event.levels {
        Some(0..=2) => 1,
        Some(3..=4) => 2,
        Some(5..=16) => 4,
        _ => 8,
    }
}

/// Values of so many bits, the first in the upper bits of the first byte; a row starts a byte.
fn packed(row: &[u8], bits: usize) -> Vec<u8> {
    row.chunks(8 / bits)
        .map(|values| {
            let places = (0..8 / bits).map(|k| 8 - bits * (k + 1));
            values.iter().zip(places).fold(0, |byte, (value, place)| byte | value << place)
        })
        .collect()
}

fn xz(bytes: &[u8]) -> io::Result<usize> {
    let mut options = XzOptions::with_preset(9);
    // What is never there need not be remembered: the same bytes, in less memory.
    let whole = u32::try_from(bytes.len().next_power_of_two()).unwrap_or(u32::MAX).max(1 << 12);
    options.lzma_options.dict_size = options.lzma_options.dict_size.min(whole);
    let mut writer = XzWriter::new(Vec::new(), options)?;
    writer.write_all(bytes)?;
    Ok(writer.finish()?.len())
}

fn gzip(bytes: &[u8]) -> io::Result<usize> {
    let mut writer = GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(bytes)?;
    Ok(writer.finish()?.len())
}

/// All images below each other as one PNG, grey or in colours.
fn png(values: &[u8], layout: Layout, bits: usize, filter: Filter) -> Result<Vec<u8>> {
    let Layout { height, width, channels, .. } = layout;
    let (color, bits) = match channels {
        1 => (ColorType::Grayscale, bits),
        _ => (ColorType::Rgb, 8),
    };
    let depth = match bits {
        1 => BitDepth::One,
        2 => BitDepth::Two,
        4 => BitDepth::Four,
        _ => BitDepth::Eight,
    };
    let mut lines = Vec::new();
    let images = values.chunks_exact(height * width * channels);
    let count = images.len();
    for image in images {
        for row in 0..height {
            let line: Vec<u8> = (0..width * channels)
                .map(|i| image[layout.index(row, i / channels, i % channels)])
                .collect();
            lines.extend(packed(&line, bits));
        }
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, (count * height) as u32);
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder.set_compression(png::Compression::High);
    encoder.set_filter(filter);
    encoder
        .write_header()
        .and_then(|mut writer| {
            writer.write_image_data(&lines)?;
            writer.finish()
        })
        .context(FAILS)?;
    Ok(bytes)
}

/// W, NW, N, NE, two left, two up, and the four knight's moves.
const TEN: [[isize; 2]; 10] =
    [[0, -1], [-1, -1], [-1, 0], [-1, 1], [0, -2], [-2, 0], [-1, -2], [-1, 2], [-2, -1], [-2, 1]];

/// Whether [`neighbourhood`] is for such events.
pub(crate) fn are_binary_images(event: &EventSpec) -> bool {
    event.levels == Some(2) && event.shape.len() == 2
}

/// Compresses with tables of ten neighbours, counted in `train`.
///
/// # Errors
/// When there is nothing to count.
pub(crate) fn neighbourhood(
    data: &dyn Examples,
    train: &dyn Examples,
    event: &EventSpec,
) -> Result<Baseline> {
    let config = ModelConfig::Neighbourhood { offsets: TEN.to_vec(), pseudo_count: 1.0 };
    let model = Model::fit(&config, event, train)?;
    let codec = Codec::new(&model, &config, event)?;
    let file = codec.compress(data, Source::Unchanged, Isa::detect(), &mut |_| ())?;
    Ok(Baseline { name: "neighbourhood-10", bytes: file.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_packed_from_the_left_and_rows_start_a_byte() {
        assert_eq!(packed(&[1, 0, 1, 1, 0, 0, 0, 1, 1], 1), [0b1011_0001, 0b1000_0000]);
        assert_eq!(packed(&[3, 1, 2], 2), [0b1101_1000]);
        assert_eq!(packed(&[15, 1], 4), [0xf1]);
        assert_eq!(packed(&[7, 255], 8), [7, 255]);
    }

    #[test]
    fn a_png_holds_the_values() {
        for (shape, levels) in
            [(vec![3, 5], 2), (vec![2, 4], 4), (vec![2, 3], 17), (vec![3, 2, 4], 256)]
        {
            let variables: usize = shape.iter().product();
            let values: Vec<u8> = (0..4 * variables).map(|i| (i * i / 3 % levels) as u8).collect();
            let layout = Layout::of(&shape).unwrap();
            let bits = bits_of(&EventSpec::symbols(shape.clone(), levels));
            let filter = if levels == 2 { Filter::NoFilter } else { Filter::Adaptive };
            let bytes = png(&values, layout, bits, filter).unwrap();
            let mut decoder = png::Decoder::new(io::Cursor::new(&bytes));
            decoder.set_transformations(png::Transformations::IDENTITY);
            let mut reader = decoder.read_info().unwrap();
            let mut lines = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut lines).unwrap();
            let bits = if layout.channels == 3 { 8 } else { bits };
            let width = (layout.width * layout.channels * bits).div_ceil(8);
            for (k, image) in values.chunks_exact(variables).enumerate() {
                for row in 0..layout.height {
                    let line = &lines[(k * layout.height + row) * width..][..width];
                    for i in 0..layout.width * layout.channels {
                        let at = layout.index(row, i / layout.channels, i % layout.channels);
                        let byte = line[i * bits / 8];
                        let found =
                            (byte >> (8 - bits - i * bits % 8)) & ((1_u16 << bits) - 1) as u8;
                        assert_eq!(found, image[at], "{shape:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn general_compressors_are_fed_every_value() {
        let event = EventSpec::symbols(vec![5, 7], 2);
        let values: Vec<u8> = (0..35 * 400_u32).map(|k| (k * k / 7 % 3 % 2) as u8).collect();
        let all = general(&values, &event).unwrap();
        let names: Vec<&str> = all.iter().map(|baseline| baseline.name).collect();
        assert_eq!(names, ["xz -9", "gzip -9", "png", "packed"]);
        // 35 bits take five bytes.
        assert_eq!(all[3].bytes, 5 * 400);
        // The pattern repeats after 21 values.
        assert!(all.iter().take(3).all(|b| b.bytes > 20 && b.bytes < 2000), "{all:?}");
        // Tables are no images; three channels are one.
        let table = EventSpec::symbols(vec![35], 2);
        assert_eq!(general(&values, &table).unwrap().len(), 3);
        let colours = EventSpec::symbols(vec![3, 4, 5], 256);
        let values: Vec<u8> = (0..60 * 9_u32).map(|k| (k * k) as u8).collect();
        assert_eq!(general(&values, &colours).unwrap().len(), 4);
    }
}
