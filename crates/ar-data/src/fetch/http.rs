//! Getting the bytes of one address, from where the last attempt stopped.

use super::parts::{Event, Failure, MAX_DOWNLOAD_BYTES, Part, Progress};
use std::io::Read;
use std::thread;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Response, StatusCode, header};

/// A connection that breaks is taken up again this often without a byte of progress.
const RETRIES: u32 = 2;
const PAUSE: Duration = Duration::from_millis(250);
const CHUNK_BYTES: usize = 1 << 16;

/// Appends to `part` until it holds all of `url`.
pub(super) fn complete(
    part: &mut Part,
    url: &str,
    title: &str,
    progress: &mut dyn Progress,
) -> Result<(), Failure> {
    let agent = agent(url);
    let mut retries = 0;
    loop {
        let before = part.len()?;
        match once(&agent, part, url, title, progress) {
            Ok(()) => return Ok(()),
            Err(Broken::For(failure)) => return Err(failure),
            Err(Broken::Off(why)) => {
                retries = if part.len()? > before { 0 } else { retries + 1 };
                if retries > RETRIES {
                    return Err(Failure::Mirror(why));
                }
                thread::sleep(PAUSE);
            }
        }
    }
}

/// How a transfer ended: with a reason that stands, or in a way that may mend itself.
enum Broken {
    For(Failure),
    Off(String),
}

impl From<crate::Error> for Broken {
    fn from(error: crate::Error) -> Self {
        Self::For(Failure::Here(error))
    }
}

fn agent(url: &str) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        .user_agent(concat!("chainrule/", env!("CARGO_PKG_VERSION")));
    // A proxy for the outside world knows nothing of this machine's own ports.
    let is_here = ["http://127.0.0.1", "http://localhost"].iter().any(|h| url.starts_with(h));
    let config = if is_here { config.proxy(None) } else { config };
    config.build().new_agent()
}

fn once(
    agent: &Agent,
    part: &mut Part,
    url: &str,
    title: &str,
    progress: &mut dyn Progress,
) -> Result<(), Broken> {
    let have = part.len()?;
    let mut request = agent.get(url).header(header::ACCEPT_ENCODING, "identity");
    if have > 0 {
        request = request.header(header::RANGE, format!("bytes={have}-"));
    }
    let mut response = request.call().map_err(|error| Broken::Off(error.to_string()))?;
    let refused = |why: String| Broken::For(Failure::Mirror(why));
    let (have, total) = match response.status() {
        StatusCode::PARTIAL_CONTENT => match content_range(&response) {
            Some((Some(start), total)) if start == have => (have, total),
            _ => {
                part.truncate()?;
                return Err(Broken::Off("a part of the file that was not asked for".to_owned()));
            }
        },
        StatusCode::OK => {
            // The server does not resume, or there was nothing to resume.
            part.truncate()?;
            (0, response.body().content_length())
        }
        StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
            if matches!(content_range(&response), Some((None, Some(total))) if total == have) {
                return Ok(());
            }
            part.truncate()?;
            return Err(Broken::Off("a shorter file than before".to_owned()));
        }
        status if status.is_server_error() => return Err(Broken::Off(format!("HTTP {status}"))),
        status => return Err(refused(format!("HTTP {status}"))),
    };
    if total.is_some_and(|total| total > MAX_DOWNLOAD_BYTES) {
        return Err(refused(format!("more than {MAX_DOWNLOAD_BYTES} bytes")));
    }
    progress.event(&Event::Started { file: title, url, done: have, total });
    let mut body = response.body_mut().as_reader();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut done = have;
    loop {
        let read = body.read(&mut chunk).map_err(|error| Broken::Off(error.to_string()))?;
        if read == 0 {
            break;
        }
        done += read as u64;
        if done > MAX_DOWNLOAD_BYTES {
            return Err(refused(format!("more than {MAX_DOWNLOAD_BYTES} bytes")));
        }
        part.append(&chunk[..read])?;
        progress.event(&Event::Advanced { done, total });
    }
    match total {
        Some(total) if done < total => {
            Err(Broken::Off(format!("the connection ended after {done} of {total} bytes")))
        }
        Some(total) if done > total => {
            Err(refused(format!("{done} bytes where {total} were announced")))
        }
        _ => Ok(()),
    }
}

/// The start (none for `*`) and the total of `Content-Range: bytes 5-9/10` or `bytes */10`.
fn content_range<T>(response: &Response<T>) -> Option<(Option<u64>, Option<u64>)> {
    let value = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let start = match range.trim() {
        "*" => None,
        range => Some(range.split_once('-')?.0.trim().parse().ok()?),
    };
    Some((start, total.trim().parse().ok()))
}
