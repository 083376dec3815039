//! Formats that are not read, and what gets their users further.

/// What a file is and what to do about it, where its name or its first bytes say that it is none of those read.
pub(crate) fn recognize(name: &str, start: &[u8]) -> Option<(&'static str, &'static str)> {
    let name = name.to_ascii_lowercase();
    by_content(start).or_else(|| by_name(&name)).or_else(|| by_first_line(start))
}

fn by_content(start: &[u8]) -> Option<(&'static str, &'static str)> {
    let lower: Vec<u8> = start.iter().take(64).map(u8::to_ascii_lowercase).collect();
    let text = lower.trim_ascii_start();
    Some(match () {
        () if text.starts_with(b"<!doctype") || text.starts_with(b"<html") => (
            "a web page",
            "the download gave a page instead of the file: get the file itself, for example its raw address",
        ),
        () if text.starts_with(b"version https://git-lfs") => {
            ("a pointer of Git LFS", "get the file that it stands for: `git lfs pull`")
        }
        () if text.starts_with(b"@relation") => (
            "ARFF",
            "in Python: scipy.io.arff.loadarff(file), then pandas.DataFrame(data).to_csv('table.csv', index=False)",
        ),
        () if start.starts_with(b"MATLAB 5.0") => {
            ("a MATLAB file", "in Python: numpy.save('X.npy', scipy.io.loadmat(file)['X'])")
        }
        () if start.starts_with(b"\x89HDF") => (
            "HDF5",
            "in Python: numpy.save('X.npy', h5py.File(file)['X'][:]), or pandas.read_hdf(file).to_parquet('table.parquet')",
        ),
        () if start.starts_with(b"BZh") => ("bzip2", "unpack it first: `bunzip2 FILE`"),
        () if start.starts_with(b"\xfd7zXZ") => ("xz", "unpack it first: `unxz FILE`"),
        () if start.starts_with(b"\x28\xb5\x2f\xfd") => {
            ("Zstandard", "unpack it first: `unzstd FILE`")
        }
        () if start.starts_with(b"\xff\xd8\xff") => {
            ("JPEG", "convert the images to PNG: `magick mogrify -format png *.jpg`")
        }
        () if start.starts_with(b"GIF8") => {
            ("GIF", "convert the images to PNG: `magick mogrify -format png *.gif`")
        }
        () if matches!(start, [0x80, 2..=5, ..]) => (
            "a Python pickle",
            "a pickle runs code when it is read: save the array with numpy.save, a table with to_parquet",
        ),
        () => return None,
    })
}

fn by_name(name: &str) -> Option<(&'static str, &'static str)> {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    Some(match name.rsplit_once('.')?.1 {
        "json" | "jsonl" | "ndjson" => {
            ("JSON", "in Python: pandas.read_json(file).to_csv('table.csv', index=False)")
        }
        "xls" | "xlsx" | "ods" => ("a spreadsheet", "save the sheet as CSV"),
        "zip" => ("a ZIP", "unpack it first: `unzip FILE`"),
        "pkl" | "pickle" => (
            "a Python pickle",
            "a pickle runs code when it is read: save the array with numpy.save, a table with to_parquet",
        ),
        "sas7bdat" | "xpt" | "dta" | "sav" | "rds" | "rdata" => (
            "a file of a statistics program",
            "save the table as CSV there, or read it with pandas or pyreadstat and write it with to_parquet",
        ),
        _ => return None,
    })
}

/// libsvm's sparse rows: a label, then `index:value`.
fn by_first_line(start: &[u8]) -> Option<(&'static str, &'static str)> {
    let line = start.split(|&byte| byte == b'\n').next()?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let is_number =
        |word: &[u8]| std::str::from_utf8(word).is_ok_and(|word| word.parse::<f64>().is_ok());
    let is_pair = |word: &[u8]| {
        let mut parts = word.splitn(2, |&byte| byte == b':');
        let index = parts
            .next()
            .is_some_and(|index| !index.is_empty() && index.iter().all(u8::is_ascii_digit));
        index && parts.next().is_some_and(is_number)
    };
    let label = words.next()?;
    let mut pairs = words.peekable();
    pairs.peek()?;
    (is_number(label) && pairs.all(is_pair)).then_some((
        "sparse rows of libsvm",
        "in Python: X, y = sklearn.datasets.load_svmlight_file(file); numpy.save('X.npy', X.toarray())",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_that_are_not_read_are_named() {
        for (name, start, found) in [
            ("a.csv", &b"  <!DOCTYPE html><html>"[..], Some("a web page")),
            (
                "a.csv",
                b"version https://git-lfs.github.com/spec/v1\n",
                Some("a pointer of Git LFS"),
            ),
            ("a.arff", b"@RELATION r\n", Some("ARFF")),
            ("a.mat", b"MATLAB 5.0 MAT-file", Some("a MATLAB file")),
            ("a.h5", b"\x89HDF\r\n", Some("HDF5")),
            ("a.csv.bz2", b"BZh9", Some("bzip2")),
            ("a.csv.xz", b"\xfd7zXZ\0", Some("xz")),
            ("a.pkl", b"\x80\x04", Some("a Python pickle")),
            ("a.json", b"[[1]]", Some("JSON")),
            ("a.libsvm", b"+1 1:0.5 3:1\n", Some("sparse rows of libsvm")),
            ("a.csv", b"1,2\n", None),
            ("a.csv", b"12:30 1\n", None),
            ("a.txt", b"1 2\n", None),
        ] {
            assert_eq!(recognize(name, start).map(|(found, _)| found), found, "{name}");
        }
    }
}
