//! Events and arrays as files for other programs: `.npy`, `.csv`, `.parquet`, `.png`.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use ar_data::write::{Cell, Cells};
use ar_data::{Schema, Type, Variable};
use ar_models::config::EventSpec;
use ar_models::examples::Values;
use image::{ExtendedColorType, ImageEncoder as _, codecs::png::PngEncoder};

use crate::error::{Internal, mistake};
use crate::outputs::{Asked, Output, out};
use crate::tables::{self, Table};

/// The format of a file of events, by the end of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A grid of images.
    Png,
    /// NumPy's, `u8` (symbols) or `f64` (real numbers) of `[count, ...event shape]`.
    Npy,
    /// A header, then one row per event.
    Table(tables::Format),
    /// The format of MNIST, `u8` of `[count, ...event shape]`.
    Idx,
}

impl Format {
    /// Whether a terminal can show it.
    pub(crate) fn is_text(self) -> bool {
        self == Self::Table(tables::Format::Csv)
    }

    /// The format that a path asks for, checked against what will be written.
    ///
    /// # Errors
    /// When there is none of that name, it cannot show such events, or `columns` make no sense.
    pub(crate) fn of(path: &Path, event: &EventSpec, columns: Option<usize>) -> Result<Self> {
        let extension = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
        let format = match extension.as_deref() {
            Some("png") => Self::Png,
            Some("npy") => Self::Npy,
            _ if path.to_string_lossy().ends_with("-ubyte") => Self::Idx,
            // A stream's name says nothing; a table is what other programs read from one.
            _ => match tables::Format::of(path)? {
                Some(format) => Self::Table(format),
                None => {
                    return Err(mistake(
                        format!(
                            "--out {}: expected a name ending in .png, .npy, .csv, .parquet or -ubyte",
                            path.display()
                        ),
                        ".png draws a grid of images, the others hold the values: .csv and .parquet as a \
                         table, -ubyte as MNIST's IDX",
                    ));
                }
            },
        };
        if matches!(format, Self::Png | Self::Idx) && event.levels.is_none() {
            let what = if format == Self::Png { "image" } else { "bytes" };
            return Err(mistake(
                format!("--out {}: real numbers are no {what}", path.display()),
                "write them to a .npy or a .csv",
            ));
        }
        if format == Self::Png {
            Layout::of(&event.shape)
                .ok_or_else(|| no_image(&event.shape))
                .with_context(|| format!("--out {}", path.display()))?;
        } else if columns.is_some() {
            return Err(mistake(
                format!("--columns with --out {}, expected it only with .png", path.display()),
                "remove --columns",
            ));
        }
        Ok(format)
    }
}

/// Events of one shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Events<'a> {
    /// `[count, variables]` in event order.
    pub(crate) values: Values<'a>,
    /// What an event looks like.
    pub(crate) event: &'a EventSpec,
    /// Names of the variables.
    pub(crate) names: Option<&'a [String]>,
    /// What the columns of a table are, whose labels a table is written with.
    pub(crate) schema: Option<&'a Schema>,
}

impl Events<'_> {
    fn variables(&self) -> usize {
        self.event.variables()
    }

    /// Writes a file in `format`; `columns` is the width of a grid.
    ///
    /// # Errors
    /// When the file cannot be written, or the grid is too large.
    pub(crate) fn write(&self, path: &Path, format: Format, columns: Option<usize>) -> Result<()> {
        let bytes = match format {
            Format::Table(format) => return self.table(path, format),
            Format::Png => self.png(columns)?,
            Format::Npy => {
                let count = self.values.len() / self.variables();
                let shape: Vec<usize> = [&[count], &self.event.shape[..]].concat();
                match self.values {
                    Values::Symbols(values) => npy("|u1", &shape, values),
                    Values::Reals(values) => npy_of(&shape, values),
                }
            }
            Format::Idx => self.idx()?,
        };
        out(path).write(&bytes)
    }

    fn table(&self, path: &Path, format: tables::Format) -> Result<()> {
        let mut table = Table::create(out(path), format, &self.columns())?;
        self.rows().try_for_each(|row| table.push(&row))?;
        table.complete()
    }

    /// The names of a table's columns, and what their cells are.
    pub(crate) fn columns(&self) -> Vec<(String, Cells)> {
        let words = self.words();
        let title = |i: usize| match self.names {
            Some(names) => names[i].clone(),
            None => format!("x{i}"),
        };
        let cells = |i: usize| match (self.values, words) {
            (_, Some(schema)) => cells_of(&schema.variables[i]),
            (Values::Reals(_), None) => Cells::Number,
            _ => Cells::Whole,
        };
        (0..self.variables()).map(|i| (title(i), cells(i))).collect()
    }

    /// The rows as the cells of a table.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Vec<Cell>> {
        (0..self.values.len() / self.variables()).map(|row| self.row(row))
    }

    /// A row as the cells of a table.
    fn row(&self, row: usize) -> Vec<Cell> {
        let width = self.variables();
        let words = self.words();
        let cell = |i: usize| match (self.values, words.map(|schema| &schema.variables[i])) {
            (Values::Symbols(values), Some(own)) => word(own, values[row * width + i].into()),
            (Values::Symbols(values), None) => Cell::Whole(values[row * width + i].into()),
            (Values::Reals(values), Some(own)) => cell_of(own, values[row * width + i]),
            (Values::Reals(values), None) => Cell::Number(values[row * width + i]),
        };
        (0..width).map(cell).collect()
    }

    /// The rows in the words of their schema, where they have one.
    pub(crate) fn in_words(&self) -> Option<Vec<Vec<String>>> {
        self.words()?;
        let text = |row| self.row(row).iter().map(Cell::text).collect();
        Some((0..self.values.len() / self.variables()).map(text).collect())
    }

    /// The schema in whose words the values are written, if they are any.
    fn words(&self) -> Option<&Schema> {
        let levels = |variable: &Variable| variable.levels().is_some();
        self.schema.filter(|schema| {
            let are_columns = self.event.columns.is_some();
            let are_symbols = self.event.levels.is_some() && schema.variables.iter().all(levels);
            schema.variables.len() == self.variables() && (are_columns || are_symbols)
        })
    }

    fn idx(&self) -> Result<Vec<u8>> {
        let (shape, values) = (&self.event.shape, self.values.symbols());
        let count = values.len() / self.variables();
        // Two zeros, 8 for bytes, the number of axes, and each axis as a big-endian u32.
        let mut bytes = vec![0, 0, 8, 1 + shape.len() as u8];
        for &axis in [count].iter().chain(shape) {
            let axis = u32::try_from(axis).context(Internal("an axis of more than 32 bits"))?;
            bytes.extend(axis.to_be_bytes());
        }
        bytes.extend(values);
        Ok(bytes)
    }

    fn png(&self, columns: Option<usize>) -> Result<Vec<u8>> {
        let shape = &self.event.shape;
        let (Some(layout), Some(levels)) = (Layout::of(shape), self.event.levels) else {
            return Err(no_image(shape));
        };
        let values = self.values.symbols();
        let count = values.len() / self.variables();
        let columns = columns.unwrap_or_else(|| count.isqrt() + usize::from(!is_square(count)));
        let columns = columns.clamp(1, count.max(1));
        let mut grid = Grid::new(layout, count.div_ceil(columns), columns, layout.channels)?;
        for (k, event) in values.chunks_exact(self.variables()).enumerate() {
            grid.paint(k, |row, column, channel| {
                tone(event[layout.index(row, column, channel)], levels)
            });
        }
        grid.encode()
    }
}

/// Rows of a table that were filled in, `samples` of each.
pub(crate) struct Filled<'a> {
    /// `[rows, samples, columns]`.
    pub(crate) values: &'a [f64],
    pub(crate) schema: &'a Schema,
    /// Names of the variables.
    pub(crate) names: Option<&'a [String]>,
    pub(crate) samples: usize,
    /// The label of a row and a column, where that is one that training never saw.
    pub(crate) other: &'a dyn Fn(usize, usize) -> Option<&'a str>,
}

impl Filled<'_> {
    /// Writes a row for each, with the number of the row from 0 and of the sample where there are several.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, path: &Path, format: tables::Format) -> Result<()> {
        let variables = &self.schema.variables;
        let title = |i: usize| self.names.map_or_else(|| format!("x{i}"), |names| names[i].clone());
        let are_several = self.samples > 1;
        let mut columns = Vec::new();
        if are_several {
            columns.extend(["row", "sample"].map(|name| (name.to_owned(), Cells::Whole)));
        }
        // Codes are words too where another label is among them.
        let kinds = |own: &Variable| match own.kind {
            Type::Codes { .. } => Cells::Word,
            _ => cells_of(own),
        };
        columns.extend(variables.iter().enumerate().map(|(i, own)| (title(i), kinds(own))));
        let mut table = Table::create(out(path), format, &columns)?;
        for (k, row) in self.values.chunks_exact(variables.len()).enumerate() {
            let mut cells = Vec::with_capacity(columns.len());
            if are_several {
                let places = [k / self.samples, k % self.samples];
                cells.extend(places.map(|place| Cell::Whole(place as i64)));
            }
            let of = |(i, (own, &value)): (usize, (&Variable, &f64))| match (self.other)(
                k / self.samples,
                i,
            ) {
                Some(label) => Cell::Word(label.to_owned()),
                None => cell_of(own, value),
            };
            cells.extend(variables.iter().zip(row).enumerate().map(of));
            table.push(&cells)?;
        }
        table.complete()
    }
}

/// What the cells of a variable are written as.
fn cells_of(variable: &Variable) -> Cells {
    match variable.kind {
        Type::Category { .. } => Cells::Word,
        Type::Codes { .. } | Type::Integer => Cells::Whole,
        Type::Decimal { .. } | Type::Real => Cells::Number,
    }
}

/// A cell of a column in the words of its table.
pub(crate) fn cell_of(variable: &Variable, value: f64) -> Cell {
    match variable.kind {
        Type::Category { .. } | Type::Codes { .. } => word(variable, value as usize),
        _ if value.is_nan() => Cell::Missing,
        Type::Integer => Cell::Whole(value as i64),
        Type::Decimal { .. } | Type::Real => Cell::Number(value),
    }
}

/// A symbol in the words of its table: a label, a code, or nothing for a missing cell.
pub(crate) fn word(variable: &Variable, symbol: usize) -> Cell {
    match &variable.kind {
        Type::Category { labels } => match labels.get(symbol) {
            Some(label) => Cell::Word(label.clone()),
            None => Cell::Missing,
        },
        Type::Codes { levels } if variable.can_be_missing && symbol == usize::from(*levels) => {
            Cell::Missing
        }
        _ => Cell::Whole(symbol as i64),
    }
}

/// A value as one of 256 greys, rounded to the nearest.
pub(crate) fn tone(value: u8, levels: usize) -> u8 {
    let top = levels.saturating_sub(1).max(1);
    ((usize::from(value) * 255 + top / 2) / top).min(255) as u8
}

/// Images, what is observed of them, and completions of each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completions<'a> {
    /// `[images, variables]` in event order.
    pub(crate) originals: &'a [u8],
    /// `[images, variables]`: whether a variable is observed.
    pub(crate) observed: &'a [bool],
    /// `[images, samples, variables]`.
    pub(crate) values: &'a [u8],
    /// Completions of each image.
    pub(crate) samples: usize,
    /// Shape of an event.
    pub(crate) shape: &'a [usize],
    /// Level count of the values.
    pub(crate) levels: usize,
}

impl Completions<'_> {
    /// Writes the completions, `u8` of `[images, samples, ...event shape]`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write_npy(&self, path: &Path) -> Result<()> {
        let images = self.values.len() / self.samples / self.shape.iter().product::<usize>();
        let shape: Vec<usize> = [&[images, self.samples], self.shape].concat();
        out(path).write(&npy("|u1", &shape, self.values))
    }

    /// Writes a grid with a row per image: the original, what is observed of it, the completions.
    ///
    /// # Errors
    /// When the file cannot be written, the events are no images, or the grid is too large.
    pub(crate) fn write_png(&self, path: &Path) -> Result<()> {
        out(path).write(&self.png()?)
    }

    fn png(&self) -> Result<Vec<u8>> {
        let layout = Layout::of(self.shape).ok_or_else(|| no_image(self.shape))?;
        let variables = self.shape.iter().product::<usize>();
        let images = self.originals.len() / variables;
        let columns = 2 + self.samples;
        let mut grid = Grid::new(layout, images, columns, UNSEEN.len())?;
        for image in 0..images {
            let original = &self.originals[image * variables..][..variables];
            let observed = &self.observed[image * variables..][..variables];
            // The one channel of a grey image is red, green and blue.
            let index = |row, column, colour: usize| {
                layout.index(row, column, colour.min(layout.channels - 1))
            };
            let first = image * columns;
            grid.paint(first, |row, column, colour| {
                tone(original[index(row, column, colour)], self.levels)
            });
            grid.paint(first + 1, |row, column, colour| {
                let at = index(row, column, colour);
                if observed[at] { tone(original[at], self.levels) } else { UNSEEN[colour] }
            });
            let completions = self.values.chunks_exact(variables).skip(image * self.samples);
            for (k, values) in completions.take(self.samples).enumerate() {
                grid.paint(first + 2 + k, |row, column, colour| {
                    tone(values[index(row, column, colour)], self.levels)
                });
            }
        }
        grid.encode()
    }
}

/// Blue where a pixel is not observed, since any grey may be an observed one.
pub(crate) const UNSEEN: [u8; 3] = [72, 116, 196];

/// Images of one size side by side, one pixel between them and around them all.
struct Grid {
    layout: Layout,
    columns: usize,
    /// Pixels of the whole grid.
    width: usize,
    height: usize,
    /// 1 or 3.
    channels: usize,
    pixels: Vec<u8>,
}

impl Grid {
    fn new(layout: Layout, rows: usize, columns: usize, channels: usize) -> Result<Self> {
        let width = columns.saturating_mul(layout.width + 1).saturating_add(1);
        let height = rows.saturating_mul(layout.height + 1).saturating_add(1);
        if width.max(height) > 1 << 16 || width * height > MAX_PIXELS {
            return Err(mistake(
                format!(
                    "a grid of {rows} rows and {columns} columns has {width}×{height} pixels, \
                     expected at most {MAX_PIXELS} and 65536 a side"
                ),
                "choose fewer of them, or write a .npy or .csv",
            ));
        }
        let pixels = vec![SEPARATOR; width * height * channels];
        Ok(Self { layout, columns, width, height, channels, pixels })
    }

    /// Fills cell `k`, counted along the rows, with the tone of each row, column and channel.
    fn paint(&mut self, k: usize, tone: impl Fn(usize, usize, usize) -> u8) {
        let Layout { height, width, .. } = self.layout;
        let left = 1 + k % self.columns * (width + 1);
        let above = 1 + k / self.columns * (height + 1);
        for row in 0..height {
            for column in 0..width {
                let at = ((above + row) * self.width + left + column) * self.channels;
                for channel in 0..self.channels {
                    self.pixels[at + channel] = tone(row, column, channel);
                }
            }
        }
    }

    fn encode(&self) -> Result<Vec<u8>> {
        png(&self.pixels, [self.width, self.height], self.channels)
    }
}

/// Pixels as PNG, grey (1 channel) or red, green and blue (3), row by row.
///
/// # Errors
/// When they are not so many.
pub(crate) fn png(pixels: &[u8], [width, height]: [usize; 2], channels: usize) -> Result<Vec<u8>> {
    let color = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(pixels, width as u32, height as u32, color)
        .context(Internal("a picture is no PNG"))?;
    Ok(png)
}

/// Grey between the images.
const SEPARATOR: u8 = 96;

/// The largest grid, 268 million pixels.
const MAX_PIXELS: usize = 1 << 28;

fn is_square(n: usize) -> bool {
    n.isqrt().pow(2) == n
}

/// How an event is an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Rows of pixels.
    pub(crate) height: usize,
    /// Pixels in a row.
    pub(crate) width: usize,
    /// 1 or 3.
    pub(crate) channels: usize,
    /// `[channel, row, column]` instead of `[row, column, channel]`.
    channels_first: bool,
}

impl Layout {
    /// The layout of events of a shape, if they are images.
    pub(crate) fn of(shape: &[usize]) -> Option<Self> {
        match *shape {
            [height, width] | [1, height, width] => {
                Some(Self { height, width, channels: 1, channels_first: true })
            }
            [3, height, width] => Some(Self { height, width, channels: 3, channels_first: true }),
            [height, width, channels @ (1 | 3)] => {
                Some(Self { height, width, channels, channels_first: false })
            }
            _ => None,
        }
    }

    /// Where in an event a channel of a pixel is.
    pub(crate) fn index(&self, row: usize, column: usize, channel: usize) -> usize {
        if self.channels_first {
            (channel * self.height + row) * self.width + column
        } else {
            (row * self.width + column) * self.channels + channel
        }
    }
}

fn no_image(shape: &[usize]) -> anyhow::Error {
    mistake(
        format!("events of shape {shape:?} are no images, expected [rows, columns]"),
        "write them to a .npy or a .csv",
    )
}

/// Writes f32 values of a shape as `.npy`.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write_f32(asked: Asked<'_>, shape: &[usize], values: &[f32]) -> Result<()> {
    asked.write(&npy_of(shape, values))
}

fn npy_of<T: Element + Copy>(shape: &[usize], values: &[T]) -> Vec<u8> {
    let mut bytes = npy_header(T::DESCR, shape, 0);
    values.iter().for_each(|value| bytes.extend_from_slice(value.bytes().as_ref()));
    bytes
}

/// An array in NumPy's format, version 1.0 (NumPy Enhancement Proposal 1): magic, version, header
/// length, a header padded so that the data is aligned to 64 bytes, the data in C order.
fn npy(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let mut bytes = npy_header(descr, shape, 0);
    bytes.extend_from_slice(data);
    bytes
}

/// The header of such an array, of at least so many bytes.
fn npy_header(descr: &str, shape: &[usize], at_least: usize) -> Vec<u8> {
    let axes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    // A Python tuple: one of a single element keeps its comma.
    let comma = if axes.len() == 1 { "," } else { "" };
    let axes = axes.join(", ");
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({axes}{comma}), }}");
    let unpadded = 10 + header.len() + 1;
    let padded = unpadded.max(at_least).next_multiple_of(64);
    header.extend(std::iter::repeat_n(' ', padded - unpadded));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let length = u16::try_from(header.len()).expect("a shape of at most 9 axes is short");
    bytes.extend(length.to_le_bytes());
    // Writing to memory cannot fail.
    let _ = bytes.write_all(header.as_bytes());
    bytes
}

/// A `.npy` that grows by rows, so that it may be longer than memory; the file has its name once it is
/// complete, and what is dropped before that leaves nothing.
pub(crate) struct GrowingNpy {
    file: Output,
    descr: &'static str,
    /// Shape of a row.
    shape: Vec<usize>,
    header_bytes: usize,
    bytes: u64,
}

/// A kind of element.
pub(crate) trait Element {
    /// NumPy's name for it.
    const DESCR: &'static str;
    /// Its bytes, the lowest first.
    fn bytes(self) -> impl AsRef<[u8]>;
}

impl Element for f32 {
    const DESCR: &'static str = "<f4";
    fn bytes(self) -> impl AsRef<[u8]> {
        self.to_le_bytes()
    }
}

impl Element for f64 {
    const DESCR: &'static str = "<f8";
    fn bytes(self) -> impl AsRef<[u8]> {
        self.to_le_bytes()
    }
}

impl GrowingNpy {
    /// Starts an array of rows of this shape.
    ///
    /// # Errors
    /// When no file can be made there.
    pub(crate) fn create<T: Element>(asked: Asked<'_>, row: &[usize]) -> Result<Self> {
        // Room for any number of rows.
        let header = npy_header(T::DESCR, &[&[usize::MAX], row].concat(), 0);
        let mut file = asked.create_seekable()?;
        file.push(&header)?;
        let (shape, header_bytes) = (row.to_vec(), header.len());
        Ok(Self { file, descr: T::DESCR, shape, header_bytes, bytes: 0 })
    }

    /// Adds values, which need not be a whole row.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn push<T: Element>(&mut self, values: impl IntoIterator<Item = T>) -> Result<()> {
        debug_assert_eq!(T::DESCR, self.descr, "one kind of element");
        for value in values {
            let bytes = value.bytes();
            self.bytes += bytes.as_ref().len() as u64;
            self.file.push(bytes.as_ref())?;
        }
        Ok(())
    }

    /// Writes how many rows there are, and gives the file its name.
    ///
    /// # Errors
    /// When the values are no whole rows, or it cannot be written to the end or renamed.
    pub(crate) fn complete(mut self) -> Result<()> {
        let of_element = if self.descr == f32::DESCR { 4 } else { 8 };
        let of_row = of_element * self.shape.iter().product::<usize>() as u64;
        if !self.bytes.is_multiple_of(of_row) {
            return Err(Internal("the values of a .npy are no whole rows").into());
        }
        let rows = (self.bytes / of_row) as usize;
        let header =
            npy_header(self.descr, &[&[rows], &self.shape[..]].concat(), self.header_bytes);
        self.file.seek(SeekFrom::Start(0)).map_err(|error| self.file.failed(error))?;
        self.file.push(&header)?;
        self.file.commit()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ar_data::{ReadOptions, read_bytes};

    use super::*;

    fn spec(shape: &[usize], levels: usize) -> EventSpec {
        EventSpec::symbols(shape.to_vec(), levels)
    }

    fn png(values: &[u8], shape: &[usize], levels: usize, columns: Option<usize>) -> Vec<u8> {
        let event = spec(shape, levels);
        Events { values: values.into(), event: &event, names: None, schema: None }
            .png(columns)
            .unwrap()
    }

    fn csv(events: &Events<'_>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        events.write(&path, Format::Table(tables::Format::Csv), None).unwrap();
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn npy_is_what_our_own_reader_reads() {
        let bytes = npy("|u1", &[2, 3], &[0, 1, 2, 3, 4, 5]);
        assert_eq!((bytes.len() - 6) % 64, 0);
        let data = read_bytes(Path::new("a.npy"), bytes, &ReadOptions::default()).unwrap();
        assert_eq!((data.len(), data.shape()), (2, &[3][..]));
        assert_eq!(data.symbols().unwrap().0, [0, 1, 2, 3, 4, 5]);
        let one_axis = npy("<f4", &[2], &[0; 8]);
        assert!(String::from_utf8_lossy(&one_axis).contains("'shape': (2,), }"));
    }

    #[test]
    fn an_array_grows_to_any_number_of_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        for rows in [0, 1, 12] {
            let mut array = GrowingNpy::create::<f64>(out(&path), &[2]).unwrap();
            for row in 0..rows {
                array.push([f64::from(row), 0.5]).unwrap();
            }
            array.complete().unwrap();
            let bytes = fs::read(&path).unwrap();
            assert_eq!(bytes.len() % 64, rows as usize * 16 % 64, "the data is aligned");
            if rows > 0 {
                let data = read_bytes(&path, bytes, &ReadOptions::default()).unwrap();
                assert_eq!((data.len(), data.shape()), (rows as usize, &[2][..]));
                assert_eq!(data.reals().unwrap()[..2], [0.0, 0.5]);
            }
        }
        // An array that is not completed leaves the old one, and nothing else; half a row is none.
        for is_completed in [false, true] {
            let mut array = GrowingNpy::create::<f32>(out(&path), &[2]).unwrap();
            array.push([1.0_f32]).unwrap();
            assert!(!is_completed || array.complete().is_err());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let data = read_bytes(&path, fs::read(&path).unwrap(), &ReadOptions::default()).unwrap();
        assert_eq!(data.len(), 12);
        let nowhere = folder.path().join("none/a.npy");
        assert!(GrowingNpy::create::<f32>(out(&nowhere), &[2]).is_err());
    }

    #[test]
    fn a_grid_has_separators_and_full_contrast() {
        // Two images of 1×2 pixels and 3 levels, side by side.
        let png = png(&[0, 1, 2, 2], &[1, 2], 3, Some(2));
        let image = image::load_from_memory(&png).unwrap().to_luma8();
        assert_eq!(image.dimensions(), (7, 3));
        let middle: Vec<u8> = (0..7).map(|x| image.get_pixel(x, 1).0[0]).collect();
        assert_eq!(middle, [SEPARATOR, 0, 128, SEPARATOR, 255, 255, SEPARATOR]);
        assert!((0..7).all(|x| image.get_pixel(x, 0).0[0] == SEPARATOR));
    }

    #[test]
    fn colours_may_come_first_or_last() {
        // Two rows of one pixel each.
        let first = png(&[1, 4, 2, 5, 3, 6], &[3, 2, 1], 256, None);
        let last = png(&[1, 2, 3, 4, 5, 6], &[2, 1, 3], 256, None);
        for png in [first, last] {
            let image = image::load_from_memory(&png).unwrap().to_rgb8();
            assert_eq!(image.get_pixel(1, 1).0, [1, 2, 3]);
            assert_eq!(image.get_pixel(1, 2).0, [4, 5, 6]);
        }
    }

    #[test]
    fn a_row_of_completions_has_the_original_and_what_is_observed() {
        // One grey image of 1×2 pixels and 3 levels, its second pixel missing, two completions.
        let completions = Completions {
            originals: &[2, 1],
            observed: &[true, false],
            values: &[2, 0, 2, 2],
            samples: 2,
            shape: &[1, 2],
            levels: 3,
        };
        let image = image::load_from_memory(&completions.png().unwrap()).unwrap().to_rgb8();
        assert_eq!(image.dimensions(), (4 * 3 + 1, 3));
        let middle: Vec<[u8; 3]> = (0..13).map(|x| image.get_pixel(x, 1).0).collect();
        let grey = |value| [value; 3];
        let line = grey(SEPARATOR);
        assert_eq!(middle[..6], [line, grey(255), grey(128), line, grey(255), UNSEEN]);
        assert_eq!(middle[6..], [line, grey(255), grey(0), line, grey(255), grey(255), line]);
    }

    #[test]
    fn completions_of_colours_keep_the_colours() {
        // Two rows of one pixel, channels first or last: the same picture.
        for (originals, values, shape) in [
            ([1, 9, 2, 9, 3, 9], [4, 9, 5, 9, 6, 9], [3, 2, 1]),
            ([1, 2, 3, 9, 9, 9], [4, 5, 6, 9, 9, 9], [2, 1, 3]),
        ] {
            let completions = Completions {
                originals: &originals,
                observed: &[true; 6],
                values: &values,
                samples: 1,
                shape: &shape,
                levels: 256,
            };
            let image = image::load_from_memory(&completions.png().unwrap()).unwrap().to_rgb8();
            let middle: Vec<[u8; 3]> = [1, 3, 5].map(|x| image.get_pixel(x, 1).0).to_vec();
            assert_eq!(middle, [[1, 2, 3], [1, 2, 3], [4, 5, 6]]);
        }
    }

    #[test]
    fn tables_have_a_header() {
        let event = spec(&[2], 2);
        let events = Events {
            values: Values::from(&[0, 1, 1, 0]),
            event: &event,
            names: None,
            schema: None,
        };
        assert_eq!(csv(&events), "x0,x1\n0,1\n1,0\n");
        let names = ["a".to_owned(), "b,c".to_owned()];
        let named = Events { names: Some(&names), values: Values::from(&[0, 1]), ..events };
        assert_eq!(csv(&named), "a,\"b,c\"\n0,1\n");
    }

    #[test]
    fn real_numbers_come_back_as_they_were_written() {
        let values = [0.1, -3.0, 1e-30, 1_700_000_001.0];
        let event = EventSpec::reals(vec![2]);
        let events =
            Events { values: Values::Reals(&values), event: &event, names: None, schema: None };
        let csv = csv(&events).into_bytes();
        let options = ReadOptions { kind: Some(ar_data::Kind::Real), ..ReadOptions::default() };
        let data = read_bytes(Path::new("a.csv"), csv, &options).unwrap();
        assert_eq!(data.reals().unwrap(), values);
        let data = read_bytes(Path::new("a.npy"), npy_of(&[2, 2], &values), &options).unwrap();
        assert_eq!(data.reals().unwrap(), values);
        assert!(Format::of(Path::new("a.png"), &event, None).is_err());
    }

    #[test]
    fn formats_that_do_not_suit_are_refused() {
        let of = |name: &str, shape: &[usize], columns| {
            Format::of(Path::new(name), &spec(shape, 2), columns)
        };
        assert_eq!(of("a.PNG", &[8, 8], Some(3)).unwrap(), Format::Png);
        assert_eq!(of("a.csv", &[5], None).unwrap(), Format::Table(tables::Format::Csv));
        for (name, shape, columns) in [
            ("a.jpg", &[8, 8][..], None),
            ("a", &[8, 8], None),
            ("a.png", &[64], None),
            ("a.npy", &[64], Some(2)),
        ] {
            assert!(of(name, shape, columns).is_err(), "{name} {shape:?} {columns:?}");
        }
    }
}
