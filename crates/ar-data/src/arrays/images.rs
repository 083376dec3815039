//! PNG images: a folder of them, or one.
//!
//! A folder is read in the order of the file names (byte order); what is not called `*.png`, or begins with a
//! dot, is ignored, and all images must have one size and one colour type. A folder without images whose
//! folders have some is one of classes: each folder is a class, whose label is its name where all names are
//! numbers from 0 to 255, else its place in their order. Grey images give events of shape
//! `[rows, columns]`, colour images `[3, rows, columns]` (red, green, blue). Images of 1, 2 or 4
//! bits and palettes are expanded to 8 bits; 16 bits and transparency are refused, since nothing of
//! the file should be lost in silence; an alpha that is opaque throughout is no transparency. The symbols have 256 levels, except with kind `binary`: then
//! black (0) is 0 and white (255) is 1, and other values are refused.

use super::numbers::Numbers;
use super::values::{Step, symbols_of_bytes};
use crate::bytes::Input;
use crate::dataset::{Dataset, Values, name_of};
use crate::error::{Error, Flaw, Place, Result, shown};
use crate::options::{Kind, ReadOptions};
use png::{BitDepth, ColorType, Decoder, DecodingError, Limits, Transformations};
use std::fs;
use std::io::{Cursor, ErrorKind};
use std::path::{Path, PathBuf};

pub(crate) const MAGIC: &[u8; 8] = b"\x89PNG\r\n\x1a\n";

/// One decoded image, channel-first.
struct Image {
    channels: usize,
    rows: usize,
    columns: usize,
    data: Vec<u8>,
}

/// Reads one image, as a dataset of one event.
pub(crate) fn read(input: &mut Input, options: &ReadOptions) -> Result<Dataset> {
    let image = decode(input, options.limit())?;
    let shape = image.shape();
    let values = values(input, image.data, (image.rows, image.columns), options)?;
    Dataset::new(name_of(input.path()), values, &shape)
}

/// Reads every image in a folder.
pub(crate) fn read_folder(folder: &Path, options: &ReadOptions) -> Result<Dataset> {
    let Images { mut files, mut labels, classes } = list(folder)?;
    let most = options.rows.unwrap_or(usize::MAX);
    files.truncate(most);
    if let Some(labels) = &mut labels {
        labels.truncate(most);
    }
    let mut data = Vec::new();
    let mut levels = 256;
    let limit = options.limit();
    let mut first: Option<(Vec<usize>, &Path)> = None;
    for file in &files {
        let mut input = Input::open(file, limit)?;
        let left = limit.saturating_sub(data.len() as u64);
        let image = decode(&mut input, left)?;
        let shape = image.shape();
        match &first {
            Some((expected, path)) if *expected != shape => {
                let expected = format!("shape {expected:?} as in {}", name_of(path));
                let found = format!("{shape:?}");
                return Err(Error::malformed(file, Place::File, Flaw::Ragged, expected, found)
                    .advise(ALIKE));
            }
            Some(_) => {}
            None => first = Some((shape, file)),
        }
        let size = (image.rows, image.columns);
        // Reals only differ from symbols once all images are there.
        let symbols = ReadOptions {
            kind: options.kind.filter(|kind| *kind != Kind::Real),
            ..options.clone()
        };
        if let Values::Symbols { data: image, levels: found } =
            values(&input, image.data, size, &symbols)?
        {
            data.extend(image);
            levels = found;
        }
    }
    let Some((shape, _)) = first else {
        return Err(no_images(folder));
    };
    let dataset = Dataset::new(name_of(folder), Values::Symbols { data, levels }, &shape)?;
    let dataset = match labels {
        Some(labels) => dataset.with_labels(labels)?.with_classes(classes),
        None => dataset,
    };
    Ok(if options.kind == Some(Kind::Real) { dataset.into_reals() } else { dataset })
}

/// What to do about images that differ.
const ALIKE: &str = "all images have one size and are all grey or all in colour: `magick mogrify -resize 32x32! \
                     -colorspace Gray *.png` makes them so, or move the others elsewhere";

/// The images of a folder or of one file, one at a time.
pub(crate) struct Rows {
    files: std::vec::IntoIter<PathBuf>,
    count: usize,
    options: ReadOptions,
}

impl Rows {
    /// The images of a folder, in the order of their names.
    pub(crate) fn of_folder(folder: &Path, options: &ReadOptions) -> Result<Self> {
        let Images { files, .. } = list(folder)?;
        if files.is_empty() {
            return Err(no_images(folder));
        }
        Ok(Self::new(files, options))
    }

    /// The image in one file.
    pub(crate) fn of_file(file: &Path, options: &ReadOptions) -> Self {
        Self::new(vec![file.to_owned()], options)
    }

    fn new(files: Vec<PathBuf>, options: &ReadOptions) -> Self {
        // Reals only differ from symbols once they are numbers.
        let kind = options.kind.filter(|kind| *kind != Kind::Real);
        let options = ReadOptions { kind, ..options.limited() };
        Self { count: files.len(), files: files.into_iter(), options }
    }

    /// Images read, and how many there are.
    pub(crate) fn progress(&self) -> (u64, u64) {
        ((self.count - self.files.len()) as u64, self.count as u64)
    }

    /// Adds the pixels of the next image to `numbers`, if they are `pixels`. Whatever is wrong with a
    /// file is wrong with its image alone.
    pub(crate) fn next(&mut self, pixels: usize, numbers: &mut Numbers) -> Step {
        let Some(file) = self.files.next() else {
            return Step::End;
        };
        match self.decode(&file, pixels) {
            Err(error) => Step::Bad(error),
            Ok(image) => match numbers.push_bytes(&image) {
                Ok(()) => Step::Row,
                Err((index, refused)) => {
                    Step::Bad(refused.at(&file, Place::File, image[index].to_string()))
                }
            },
        }
    }

    fn decode(&self, file: &Path, pixels: usize) -> Result<Vec<u8>> {
        let mut input = Input::open(file, self.options.limit())?;
        let image = decode(&mut input, self.options.limit())?;
        if image.data.len() != pixels {
            let found = format!("shape {:?}", image.shape());
            let expected = format!("an image of {pixels} values");
            let error = input.malformed(Place::File, Flaw::Ragged, expected, found);
            return Err(error.advise(ALIKE));
        }
        match values(&input, image.data, (image.rows, image.columns), &self.options)? {
            Values::Symbols { data, .. } => Ok(data),
            Values::Reals { .. } | Values::Columns { .. } => unreachable!("the kind is not real"),
        }
    }
}

fn no_images(folder: &Path) -> Error {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .take(3)
        .collect();
    let error =
        Error::malformed(folder, Place::File, Flaw::Empty, "a folder with .png files", "none");
    let named = |end: &str| names.iter().any(|name| name.to_ascii_lowercase().ends_with(end));
    if named(".jpg") || named(".jpeg") {
        return error.advise("convert the images to PNG: `magick mogrify -format png *.jpg`");
    }
    match names.first() {
        None => error.advise("the folder is empty: name a data file, or a folder of .png images"),
        Some(_) => error.advise(format!(
            "it holds {}: name one of them, or a folder of .png images (or of one such folder per class)",
            names.join(", ")
        )),
    }
}

/// The image files of a folder.
struct Images {
    /// In the order of their names, class by class.
    files: Vec<PathBuf>,
    /// The class of each, of a folder of classes.
    labels: Option<Vec<u8>>,
    /// The names of the classes, where they are not their labels.
    classes: Option<Vec<String>>,
}

/// The most classes that labels can tell apart.
const MOST_CLASSES: usize = 256;

/// The image files of a folder, in the order of their names.
fn list(folder: &Path) -> Result<Images> {
    let (files, folders) = entries(folder)?;
    if !files.is_empty() {
        return Ok(Images { files, labels: None, classes: None });
    }
    let mut of_classes = Vec::new();
    for folder in folders {
        let (files, _) = entries(&folder)?;
        if !files.is_empty() {
            of_classes.push((name_of(&folder), files));
        }
    }
    if of_classes.len() > MOST_CLASSES {
        let expected = format!("at most {MOST_CLASSES} folders of images, one per class");
        let found = of_classes.len().to_string();
        return Err(Error::malformed(folder, Place::File, Flaw::Unsupported, expected, found)
            .advise(
                "join classes into fewer folders, or put all images into one, without classes",
            ));
    }
    let numbers: Option<Vec<u8>> = of_classes.iter().map(|(name, _)| name.parse().ok()).collect();
    if numbers.is_some() {
        of_classes.sort_by_key(|(name, _)| name.parse::<u8>().unwrap_or_default());
    }
    let classes =
        numbers.is_none().then(|| of_classes.iter().map(|(name, _)| name.clone()).collect());
    let (mut files, mut labels) = (Vec::new(), Vec::new());
    for (place, (name, of_class)) in of_classes.into_iter().enumerate() {
        let label = match classes {
            None => name.parse().unwrap_or_default(),
            Some(_) => place as u8,
        };
        labels.extend(std::iter::repeat_n(label, of_class.len()));
        files.extend(of_class);
    }
    Ok(Images { files, labels: Some(labels), classes })
}

/// The images and the folders in a folder, in the order of their names, without those that begin with a dot:
/// systems leave such beside every file (`._3.png`).
fn entries(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let failed = |error| Error::io(folder, "list", error);
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_png = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("png"));
        if name_of(&path).starts_with('.') {
            continue;
        }
        if path.is_dir() {
            folders.push(path);
        } else if is_png && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    folders.sort();
    Ok((files, folders))
}

fn values(
    input: &Input,
    mut data: Vec<u8>,
    (rows, columns): (usize, usize),
    options: &ReadOptions,
) -> Result<Values> {
    let place = |index: usize| {
        let index = index % (rows * columns);
        Place::Pixel { row: (index / columns) as u64, column: (index % columns) as u64 }
    };
    if options.kind != Some(Kind::Binary) {
        return symbols_of_bytes(input, data, options, place);
    }
    for (index, value) in data.iter_mut().enumerate() {
        *value = match *value {
            0 => 0,
            255 => 1,
            grey => {
                return Err(input
                    .malformed(
                        place(index),
                        Flaw::OutOfRange,
                        "0 (black) or 255 (white) in a binary image",
                        grey.to_string(),
                    )
                    .advise("read it as symbols and choose binarize = \"threshold\""));
            }
        };
    }
    Ok(Values::Symbols { data, levels: 2 })
}

impl Image {
    fn shape(&self) -> Vec<usize> {
        match self.channels {
            1 => vec![self.rows, self.columns],
            channels => vec![channels, self.rows, self.columns],
        }
    }
}

/// Decodes an image of at most `cap` bytes.
fn decode(input: &mut Input, cap: u64) -> Result<Image> {
    let start = input.peek()?;
    if start.is_empty() {
        return Err(input.malformed(Place::File, Flaw::Empty, "a PNG image", "no bytes"));
    }
    if !start.starts_with(&MAGIC[..start.len().min(MAGIC.len())]) {
        if let Some((what, hint)) = crate::foreign::recognize("", start) {
            let error = input.malformed(Place::Byte(0), Flaw::WrongMagic, "a PNG signature", what);
            let name = name_of(input.path());
            return Err(match what {
                // The name says that it is converted already.
                "JPEG" | "GIF" => error.advise(format!("convert it: `magick {name} png:{name}`")),
                _ => error.advise(hint),
            });
        }
        let found = shown(&start[..start.len().min(MAGIC.len())]);
        return Err(input.malformed(Place::Byte(0), Flaw::WrongMagic, "a PNG signature", found));
    }
    let mut file = Vec::new();
    loop {
        let ahead = input.peek()?;
        if ahead.is_empty() {
            break;
        }
        file.extend_from_slice(ahead);
        let len = ahead.len();
        input.skip(len);
    }
    let stored = file.len() as u64;
    let mut file = Cursor::new(file);
    let limits = Limits { bytes: usize::try_from(cap).unwrap_or(usize::MAX) };
    let mut decoder = Decoder::new_with_limits(&mut file, limits);
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info().map_err(|error| failed(input, error))?;
    let size = reader.info().size();
    let (color, depth) = reader.output_color_type();
    let (channels, has_alpha) = match (color, depth) {
        (ColorType::Grayscale, BitDepth::Eight) => (1, false),
        (ColorType::Rgb, BitDepth::Eight) => (3, false),
        (ColorType::GrayscaleAlpha, BitDepth::Eight) => (1, true),
        (ColorType::Rgba, BitDepth::Eight) => (3, true),
        _ => {
            let found = format!("{color:?} of {} bits", depth as u8);
            let expected = "grey or RGB of 8 bits, without transparency";
            return Err(input
                .malformed(Place::Byte(MAGIC.len() as u64), Flaw::Unsupported, expected, found)
                .advise(
                    "convert it, for example with `magick in.png -alpha off -depth 8 out.png`",
                ));
        }
    };
    let (columns, rows) = (size.0 as usize, size.1 as usize);
    let stored_channels = channels + usize::from(has_alpha);
    let bytes = u64::from(size.0) * u64::from(size.1) * stored_channels as u64;
    if bytes > cap {
        let expected = format!("at most {cap} bytes of pixels");
        return Err(input.malformed(Place::File, Flaw::TooLarge, expected, bytes.to_string()));
    }
    let mut interleaved = Vec::new();
    // A small file can state a large size; its data must be able to fill it.
    if stored.saturating_mul(1032) < bytes {
        let expected = format!("{bytes} bytes of pixels");
        let found = format!("a file of {stored} bytes, which cannot hold them");
        return Err(input.malformed(Place::File, Flaw::Truncated, expected, found));
    }
    if interleaved.try_reserve_exact(bytes as usize).is_err() {
        return Err(input.no_memory(bytes));
    }
    interleaved.resize(bytes as usize, 0);
    reader.next_frame(&mut interleaved).map_err(|error| failed(input, error))?;
    reader.finish().map_err(|error| failed(input, error))?;
    drop(reader);
    let end = file.position();
    if end < stored {
        let expected = "the end of the file after the image";
        let found = format!("{} bytes after it", stored - end);
        return Err(input.malformed(Place::Byte(end), Flaw::Oversized, expected, found));
    }
    if has_alpha {
        let alpha = interleaved.iter().skip(channels).step_by(stored_channels);
        if let Some(at) = alpha.into_iter().position(|&alpha| alpha != 255) {
            let place = Place::Pixel { row: (at / columns) as u64, column: (at % columns) as u64 };
            let found = "a transparent pixel";
            return Err(input
                .malformed(place, Flaw::Unsupported, "grey or RGB without transparency", found)
                .advise(
                    "convert it, for example with `magick in.png -alpha off -depth 8 out.png`",
                ));
        }
        interleaved = interleaved
            .chunks_exact(stored_channels)
            .flat_map(|pixel| pixel[..channels].iter().copied())
            .collect();
    }
    let data = match channels {
        1 => interleaved,
        _ => (0..channels)
            .flat_map(|channel| interleaved.iter().skip(channel).step_by(channels).copied())
            .collect(),
    };
    Ok(Image { channels, rows, columns, data })
}

fn failed(input: &Input, error: DecodingError) -> Error {
    let expected = "a PNG image";
    match error {
        DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            input.malformed(Place::File, Flaw::Truncated, expected, "the end of the file inside it")
        }
        DecodingError::LimitsExceeded => input.malformed(
            Place::File,
            Flaw::TooLarge,
            "an image within the limit",
            "a larger one",
        ),
        error => input.malformed(Place::File, Flaw::Corrupt, expected, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(columns: u32, rows: u32, color: ColorType, depth: BitDepth, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, columns, rows);
        encoder.set_color(color);
        encoder.set_depth(depth);
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        bytes
    }

    fn grey(columns: u32, rows: u32, data: &[u8]) -> Vec<u8> {
        png(columns, rows, ColorType::Grayscale, BitDepth::Eight, data)
    }

    fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        dir
    }

    fn parse(bytes: Vec<u8>) -> Result<Dataset> {
        let options = ReadOptions::default();
        read(&mut Input::from_bytes(Path::new("x.png"), bytes, options.limit())?, &options)
    }

    #[test]
    fn a_folder_is_read_in_the_order_of_names() {
        let dir = folder(&[
            ("b.png", grey(3, 1, &[4, 5, 6])),
            ("a.PNG", grey(3, 1, &[1, 2, 3])),
            ("notes.txt", b"no image".to_vec()),
        ]);
        let data = read_folder(dir.path(), &ReadOptions::default()).unwrap();
        assert_eq!((data.len(), data.shape()), (2, &[1, 3][..]));
        assert_eq!(data.symbols().unwrap(), (&[1, 2, 3, 4, 5, 6][..], 256));
        let real = ReadOptions { kind: Some(Kind::Real), ..ReadOptions::default() };
        let data = read_folder(dir.path(), &real).unwrap();
        assert_eq!(data.reals().unwrap()[5], 6.0);
    }

    #[test]
    fn colours_come_channel_first() {
        let data = parse(png(2, 1, ColorType::Rgb, BitDepth::Eight, &[1, 2, 3, 4, 5, 6])).unwrap();
        assert_eq!(data.shape(), [3, 1, 2]);
        assert_eq!(data.symbols().unwrap().0, [1, 4, 2, 5, 3, 6]);
    }

    #[test]
    fn one_bit_images_are_black_and_white() {
        let bits = png(4, 1, ColorType::Grayscale, BitDepth::One, &[0b1010_0000]);
        assert_eq!(parse(bits.clone()).unwrap().symbols().unwrap().0, [255, 0, 255, 0]);
        let binary = ReadOptions { kind: Some(Kind::Binary), ..ReadOptions::default() };
        let dir = folder(&[("a.png", bits)]);
        let data = read_folder(dir.path(), &binary).unwrap();
        assert_eq!(data.symbols().unwrap(), (&[1, 0, 1, 0][..], 2));
        let dir = folder(&[("a.png", grey(2, 2, &[0, 255, 9, 0]))]);
        let error = read_folder(dir.path(), &binary).unwrap_err();
        assert_eq!(error.flaw(), Some(Flaw::OutOfRange));
        assert!(
            error.to_string().contains("a.png: pixel row 1, column 0: out of range"),
            "{error}"
        );
    }

    #[test]
    fn malformed_images_are_named() {
        let good = grey(5, 4, &[9; 20]);
        let mut bent = good.clone();
        bent[45] ^= 0xff;
        let mut huge = good.clone();
        huge[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        for (bytes, flaws) in [
            (vec![], &[Flaw::Empty][..]),
            (b"GIF89a...".to_vec(), &[Flaw::WrongMagic]),
            (good[..5].to_vec(), &[Flaw::Truncated]),
            (good[..good.len() - 20].to_vec(), &[Flaw::Truncated]),
            (good[..30].to_vec(), &[Flaw::Truncated]),
            ([&good[..], b"tail"].concat(), &[Flaw::Oversized]),
            (bent, &[Flaw::Corrupt]),
            (huge, &[Flaw::Corrupt, Flaw::TooLarge]),
            (png(1, 1, ColorType::Rgba, BitDepth::Eight, &[0; 4]), &[Flaw::Unsupported]),
            (png(1, 1, ColorType::Grayscale, BitDepth::Sixteen, &[0; 2]), &[Flaw::Unsupported]),
        ] {
            let error = parse(bytes).unwrap_err();
            assert!(error.flaw().is_some_and(|flaw| flaws.contains(&flaw)), "{error}");
            assert!(error.to_string().starts_with("x.png: "), "{error}");
        }
    }

    #[test]
    fn a_folder_must_hold_images_of_one_size() {
        let dir = folder(&[("a.png", grey(2, 1, &[1, 2])), ("b.png", grey(1, 2, &[1, 2]))]);
        let error = read_folder(dir.path(), &ReadOptions::default()).unwrap_err();
        assert_eq!(error.flaw(), Some(Flaw::Ragged));
        let text = error.to_string();
        assert!(
            text.ends_with("b.png: ragged: expected shape [1, 2] as in a.png, found [2, 1]"),
            "{text}"
        );
        let dir = folder(&[("readme.txt", Vec::new())]);
        let error = read_folder(dir.path(), &ReadOptions::default()).unwrap_err();
        assert_eq!(error.flaw(), Some(Flaw::Empty));
        let dir = folder(&[("a.png", grey(2, 1, &[1, 2])), ("b.png", grey(2, 1, &[1, 2]))]);
        let tight = ReadOptions { max_bytes: Some(3), ..ReadOptions::default() };
        let error = read_folder(dir.path(), &tight).unwrap_err();
        assert_eq!(error.flaw(), Some(Flaw::TooLarge));
    }
}
