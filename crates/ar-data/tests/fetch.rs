//! Downloads against a small server on this machine's own loopback interface.
#![cfg(feature = "fetch")]

use ar_data::fetch::{Download, Mirror, Packing, Plan, Wanted};
use ar_data::{Error, Event};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

/// What the server does with a request for a file.
#[derive(Clone, Copy, PartialEq)]
enum Habit {
    /// Answers, and honours ranges.
    Good,
    /// Answers with everything whatever is asked for.
    NoRanges,
    /// Announces everything, sends so many bytes of the answer, hangs up.
    HangsUpAfter(usize),
    /// Never gets beyond so many bytes of the file.
    StopsAt(usize),
}

/// The path and the start of the range of every request.
type Requests = Mutex<Vec<(String, Option<u64>)>>;

struct Server {
    base: String,
    requests: Arc<Requests>,
}

impl Server {
    /// Serves these files until the test process ends; anything else is 404.
    fn start(files: Vec<(&'static str, Habit, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that hangs up is no concern of the server.
                let _ = answer(stream.unwrap(), &files, &seen);
            }
        });
        Self { base, requests }
    }

    fn url(&self, file: &str) -> String {
        format!("{}/{file}", self.base)
    }

    fn requests(&self) -> Vec<(String, Option<u64>)> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(
    mut stream: TcpStream,
    files: &[(&'static str, Habit, Vec<u8>)],
    seen: &Requests,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap()?;
    let path = first.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
    let mut range = None;
    for line in lines {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("range: bytes=") {
            range = value.strip_suffix('-').unwrap().parse::<u64>().ok();
        }
    }
    seen.lock().unwrap().push((path.clone(), range));
    let Some((_, habit, body)) = files.iter().find(|(name, ..)| *name == path) else {
        return stream.write_all(
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        );
    };
    let total = body.len();
    let start = range.filter(|_| *habit != Habit::NoRanges).unwrap_or(0) as usize;
    let (status, rest) = match start {
        0 => ("200 OK".to_owned(), &body[..]),
        _ if start >= total => {
            let head = "HTTP/1.1 416 Range Not Satisfiable\r\ncontent-length: 0";
            return write!(
                stream,
                "{head}\r\ncontent-range: bytes */{total}\r\nconnection: close\r\n\r\n"
            );
        }
        _ => {
            let range = format!("content-range: bytes {start}-{}/{total}", total - 1);
            (format!("206 Partial Content\r\n{range}"), &body[start..])
        }
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        rest.len()
    )?;
    match habit {
        Habit::HangsUpAfter(bytes) => stream.write_all(&rest[..rest.len().min(*bytes)]),
        Habit::StopsAt(end) => stream.write_all(&rest[..end.saturating_sub(start)]),
        Habit::Good | Habit::NoRanges => stream.write_all(rest),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn wanted(file: &str, content: &[u8]) -> Wanted {
    let sha256 = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    Wanted { file: file.to_owned(), bytes: content.len() as u64, sha256 }
}

fn plan(urls: &[String], packing: Packing, wanted: Vec<Wanted>) -> Plan {
    let mirrors = urls.iter().map(|url| Mirror { url: url.clone(), packing }).collect();
    Plan { name: "set".to_owned(), downloads: vec![Download { mirrors, wanted }] }
}

/// 200,000 bytes that do not repeat.
fn content() -> Vec<u8> {
    (0..50_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_is_downloaded_verified_and_not_downloaded_again() {
    for (stored, name) in [(content(), "f"), (gzip(&content()), "f.gz")] {
        let server = Server::start(vec![("f", Habit::Good, stored.clone())]);
        let plan = plan(&[server.url("f")], Packing::File, vec![wanted("f", &content())]);
        let dir = tempfile::tempdir().unwrap();
        let mut last = (0, None);
        let mut watch = |event: &Event<'_>| {
            if let Event::Advanced { done, total } = event {
                assert!(*done > last.0);
                last = (*done, *total);
            }
        };
        let fetched = plan.run(dir.path(), &mut watch).unwrap();
        assert_eq!(last, (stored.len() as u64, Some(stored.len() as u64)));
        assert_eq!(fetched.downloaded, 1);
        assert_eq!(fetched.files, [dir.path().join("set").join(name)]);
        assert_eq!(fs::read(&fetched.files[0]).unwrap(), stored);
        assert_eq!(names(&fetched.folder), [name], "nothing else stays behind");
        let again = plan.run(dir.path(), &mut ()).unwrap();
        assert_eq!((again.downloaded, again.files), (0, fetched.files));
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_broken_connection_is_resumed_where_it_broke() {
    let server = Server::start(vec![("f", Habit::HangsUpAfter(90_000), content())]);
    let plan = plan(&[server.url("f")], Packing::File, vec![wanted("f", &content())]);
    let dir = tempfile::tempdir().unwrap();
    let fetched = plan.run(dir.path(), &mut ()).unwrap();
    assert_eq!(fs::read(&fetched.files[0]).unwrap(), content());
    let ranges: Vec<_> = server.requests().into_iter().map(|(_, range)| range).collect();
    assert_eq!(ranges, [None, Some(90_000), Some(180_000)]);
}

#[test]
fn the_part_that_an_earlier_run_left_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let broken = Server::start(vec![("f", Habit::StopsAt(150_000), content())]);
    let plan = plan(&[broken.url("f")], Packing::File, vec![wanted("f", &content())]);
    let part = part_name(&plan, dir.path());
    plan.run(dir.path(), &mut ()).unwrap_err();
    let folder = dir.path().join("set");
    assert_eq!(names(&folder), [part.as_str()], "a download that failed leaves what it has");
    assert_eq!(fs::read(folder.join(part)).unwrap(), &content()[..150_000]);
    // The same port cannot be had again, and the name of the part depends on the address, so the
    // remains are laid out by hand for the servers that follow.
    for (left, habit, requests) in [
        (&content()[..150_000], Habit::Good, vec![Some(150_000)]),
        (&content()[..], Habit::Good, vec![Some(200_000)]),
        (&content()[..150_000], Habit::NoRanges, vec![Some(150_000)]),
        // Remains of something else: all of it must come again.
        (&[7; 150_000], Habit::Good, vec![Some(150_000), None]),
        (&[7; 300_000], Habit::Good, vec![Some(300_000), None]),
    ] {
        let server = Server::start(vec![("f", habit, content())]);
        let mut plan = plan.clone();
        plan.downloads[0].mirrors[0].url = server.url("f");
        let fresh = tempfile::tempdir().unwrap();
        let name = part_name(&plan, fresh.path());
        let folder = fresh.path().join("set");
        fs::write(folder.join(name), left).unwrap();
        let fetched = plan.run(fresh.path(), &mut ()).unwrap();
        assert_eq!(fs::read(&fetched.files[0]).unwrap(), content());
        let seen: Vec<_> = server.requests().into_iter().map(|(_, range)| range).collect();
        assert_eq!(seen, requests);
        assert_eq!(names(&folder), ["f"]);
    }
}

/// The name under which a plan keeps what has come so far.
fn part_name(plan: &Plan, dir: &Path) -> String {
    let digest = Sha256::digest(plan.downloads[0].mirrors[0].url.as_bytes());
    let digest: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    fs::create_dir_all(dir.join("set")).unwrap();
    format!("f.{digest}.part")
}

#[test]
fn a_wrong_checksum_leads_to_the_next_mirror() {
    let mut forged = content();
    forged[1234] ^= 1;
    let server = Server::start(vec![
        ("forged", Habit::Good, forged),
        ("short", Habit::Good, content()[..1000].to_vec()),
        ("long", Habit::Good, [content(), vec![0]].concat()),
        ("bomb", Habit::Good, gzip(&vec![0; 4 << 20])),
        ("good", Habit::Good, content()),
    ]);
    let urls = ["forged", "short", "long", "bomb", "good"].map(|file| server.url(file));
    let plan = plan(&urls, Packing::File, vec![wanted("f", &content())]);
    let dir = tempfile::tempdir().unwrap();
    let mut failed = Vec::new();
    let mut watch = |event: &Event<'_>| {
        if let Event::Failed { url, why } = event {
            failed.push(format!("{url}: {why}"));
        }
    };
    let fetched = plan.run(dir.path(), &mut watch).unwrap();
    assert_eq!(fs::read(&fetched.files[0]).unwrap(), content());
    assert_eq!(names(&fetched.folder), ["f"]);
    assert_eq!(failed.len(), 4);
    assert!(failed[0].contains("wrong content: expected sha256"), "{failed:?}");
    assert!(failed[2].contains("too large: expected at most 200000 bytes"), "{failed:?}");
    assert!(failed[3].contains("too large"), "{failed:?}");
}

#[test]
fn when_no_mirror_has_it_the_error_lists_them_all() {
    let server = Server::start(vec![]);
    // Nothing listens on a port that was just given back.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let urls = [server.url("a"), server.url("b"), format!("http://{closed}/c")];
    let plan = plan(&urls, Packing::File, vec![wanted("f", &content())]);
    let dir = tempfile::tempdir().unwrap();
    let error = plan.run(dir.path(), &mut ()).unwrap_err();
    let Error::Fetch { name, file, tried } = &error else { panic!("{error}") };
    assert_eq!((name.as_str(), file.as_str()), ("set", "f"));
    assert_eq!(tried.iter().map(|attempt| attempt.url.clone()).collect::<Vec<_>>(), urls);
    assert!(tried[0].why.contains("404") && tried[1].why.contains("404"), "{error}");
    for url in &urls {
        assert!(error.to_string().contains(url), "{error}");
    }
    assert!(error.hint().unwrap().contains("--data-dir"));
    assert!(names(&dir.path().join("set")).is_empty());
}

#[test]
fn another_process_at_the_same_download_is_an_error() {
    let server = Server::start(vec![("f", Habit::Good, content())]);
    let plan = plan(&[server.url("f")], Packing::File, vec![wanted("f", &content())]);
    let dir = tempfile::tempdir().unwrap();
    let name = part_name(&plan, dir.path());
    let held = fs::File::create(dir.path().join("set").join(name)).unwrap();
    held.lock().unwrap();
    let error = plan.run(dir.path(), &mut ()).unwrap_err();
    assert!(error.to_string().contains("another process is downloading it"), "{error}");
}

fn tar_gz(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, data) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        // Written by hand, since the builder refuses the names that are the point here.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, *data).unwrap();
    }
    gzip(&archive.into_inner().unwrap())
}

#[test]
fn an_archive_gives_the_wanted_members_and_touches_nothing_else() {
    let (one, two) = (content(), vec![5; 3000]);
    let both = || vec![wanted("one.bin", &one), wanted("two.bin", &two)];
    let good = tar_gz(&[
        ("set/readme.html", b"text"),
        ("../../escape.bin", b"outside"),
        ("set/two.bin", &two),
        ("/abs/one.bin", &one),
    ]);
    let server = Server::start(vec![
        ("lacks", Habit::Good, tar_gz(&[("one.bin", &one)])),
        ("size", Habit::Good, tar_gz(&[("one.bin", &one), ("two.bin", &two[1..])])),
        ("forged", Habit::Good, tar_gz(&[("one.bin", &one), ("two.bin", &[6; 3000])])),
        ("text", Habit::Good, b"<html>moved</html>".to_vec()),
        ("cut", Habit::Good, good[..good.len() / 2].to_vec()),
        ("good", Habit::Good, good),
    ]);
    let urls = ["lacks", "size", "forged", "text", "cut", "good"].map(|file| server.url(file));
    let dir = tempfile::tempdir().unwrap();
    let mut failed = Vec::new();
    let mut watch = |event: &Event<'_>| {
        if let Event::Failed { why, .. } = event {
            failed.push((*why).to_owned());
        }
    };
    let fetched = plan(&urls, Packing::TarGz, both()).run(dir.path(), &mut watch).unwrap();
    assert_eq!(names(&fetched.folder), ["one.bin", "two.bin"]);
    assert_eq!(names(dir.path()), ["set"]);
    assert_eq!(fs::read(fetched.folder.join("one.bin")).unwrap(), one);
    assert_eq!(fs::read(fetched.folder.join("two.bin")).unwrap(), two);
    let words = ["no two.bin", "expected 3000 bytes, found 2999", "wrong content", "archive", ""];
    assert_eq!(failed.len(), words.len());
    for (why, word) in failed.iter().zip(words) {
        assert!(why.contains(word), "{why:?} lacks {word:?}");
    }
}

/// A MATLAB 5 file of one matrix `[rows, columns]` of bytes, column-major.
fn mat5(rows: u32, columns: u32, data: &[u8]) -> Vec<u8> {
    let words = [14, 0, 6, 8, 6, 0, 5, 8, rows, columns, 0x0001_0001, 0x58, 2, data.len() as u32];
    let mut inside: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
    inside.extend(data);
    let mut zipped = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
    zipped.write_all(&inside).unwrap();
    let zipped = zipped.finish().unwrap();
    let mut file = b"MATLAB 5.0 MAT-file".to_vec();
    file.resize(124, b' ');
    file.extend(b"\0\x01IM");
    file.extend(15_u32.to_le_bytes());
    file.extend((zipped.len() as u32).to_le_bytes());
    file.extend(zipped);
    file
}

#[test]
fn a_matrix_becomes_the_text_it_stands_for() {
    let text = b"0 1 1\n1 0 1\n";
    let matrix = mat5(2, 3, &[0, 1, 1, 0, 1, 1]);
    let server = Server::start(vec![
        ("other", Habit::Good, mat5(2, 3, &[1, 1, 1, 1, 1, 1])),
        ("larger", Habit::Good, mat5(3, 3, &[0; 9])),
        ("text", Habit::Good, text.to_vec()),
        ("matrix", Habit::Good, matrix),
    ]);
    let urls = ["other", "larger", "text", "matrix"].map(|file| server.url(file));
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(&urls, Packing::Mat5, vec![wanted("bits.amat", text)]);
    let fetched = plan.run(dir.path(), &mut ()).unwrap();
    assert_eq!(names(&fetched.folder), ["bits.amat.gz"]);
    let data = ar_data::read_path(&fetched.files[0], &ar_data::ReadOptions::default()).unwrap();
    assert_eq!(data.symbols().unwrap(), (&[0, 1, 1, 1, 0, 1][..], 2));
    assert_eq!(plan.run(dir.path(), &mut ()).unwrap().downloaded, 0);
}

#[test]
fn sparse_rows_become_the_text_they_stand_for() {
    let text = b"0,1,1\n0,0,0\n1,0,0\n";
    let server = Server::start(vec![
        ("wide", Habit::Good, b"1 4:1\n".to_vec()),
        ("greys", Habit::Good, b"1 2:0.5\n".to_vec()),
        ("zeroth", Habit::Good, b"1 0:1\n".to_vec()),
        ("endless", Habit::Good, [b"1", &b" 1:1".repeat(100)[..]].concat()),
        ("other", Habit::Good, b"1 1:1\n".to_vec()),
        ("sparse", Habit::Good, b"3 2:1 3:1 \n-1\n2 1:1\r\n".to_vec()),
    ]);
    let urls =
        ["wide", "greys", "zeroth", "endless", "other", "sparse"].map(|file| server.url(file));
    let dir = tempfile::tempdir().unwrap();
    let packing = Packing::LibSvm { columns: 3 };
    let plan = plan(&urls, packing, vec![wanted("bits.data", text)]);
    let mut failed = Vec::new();
    let fetched = plan
        .run(dir.path(), &mut |event: &Event<'_>| {
            if let Event::Failed { why, .. } = event {
                failed.push((*why).to_owned());
            }
        })
        .unwrap();
    assert_eq!(names(&fetched.folder), ["bits.data.gz"]);
    let data = ar_data::read_path(&fetched.files[0], &ar_data::ReadOptions::default()).unwrap();
    assert_eq!(data.symbols().unwrap(), (&[0, 1, 1, 0, 0, 0, 1, 0, 0][..], 2));
    let words = ["\"4:1\"", "\"2:0.5\"", "\"0:1\"", "found", "wrong content"];
    assert_eq!(failed.len(), words.len(), "{failed:?}");
    for (why, word) in failed.iter().zip(words) {
        assert!(why.contains(word), "{why:?} lacks {word:?}");
    }
}

#[test]
fn embedded_data_needs_no_download() {
    let dir = tempfile::tempdir().unwrap();
    let fetched = ar_data::fetch("digits", dir.path(), &mut ()).unwrap();
    assert_eq!((fetched.files.len(), fetched.downloaded), (0, 0));
    assert!(names(dir.path()).is_empty());
    assert!(ar_data::fetch("digit", dir.path(), &mut ()).is_err());
}
