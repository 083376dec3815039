//! `chainrule devices`: what `--device` can be here.

use anyhow::Result;
use serde::Serialize;

use super::Session;
use crate::device;
use crate::environment::cpu_model;
use crate::output::{RECORD_VERSION, human_bytes};

/// What the command prints.
#[derive(Debug, Serialize)]
struct Record {
    version: u32,
    command: &'static str,
    /// The first is the default.
    devices: Vec<Found>,
    unavailable: Vec<Unavailable>,
}

/// A device that answers.
#[derive(Debug, Serialize)]
struct Found {
    /// As in `--device`.
    device: String,
    /// The hardware, as it names itself.
    hardware: Option<String>,
    /// What it may be asked to hold, where it tells; what this process can still take on the host.
    memory_bytes: Option<u64>,
}

/// A backend without one.
#[derive(Debug, Serialize)]
struct Unavailable {
    backend: &'static str,
    compiled_in: bool,
    reason: String,
}

/// Asks every backend compiled in, and prints what they say.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn run(session: &Session) -> Result<()> {
    let (mut devices, mut unavailable) = (Vec::new(), Vec::new());
    for backend in device::ALL {
        if !device::COMPILED.contains(&backend) {
            unavailable.push(Unavailable {
                backend,
                compiled_in: false,
                reason: format!("not compiled in: build with `--features {backend}`"),
            });
            continue;
        }
        if device::HOSTS.contains(&backend) {
            let memory_bytes = ar_data::memory::available_memory();
            devices.push(Found { device: backend.to_owned(), hardware: cpu_model(), memory_bytes });
            continue;
        }
        let answering = device::answering(backend);
        if answering.is_empty() {
            let (what, needs) = device::missing(backend);
            let reason = format!("{what}; {needs}");
            unavailable.push(Unavailable { backend, compiled_in: true, reason });
        }
        for (index, found) in answering.into_iter().enumerate() {
            let device = format!("{backend}:{index}");
            match device::probe(&found) {
                Ok(()) => {
                    let (hardware, memory_bytes) = ar_models::hardware(&found).unzip();
                    devices.push(Found { device, hardware, memory_bytes: memory_bytes.flatten() });
                }
                Err(reason) => {
                    let reason = format!("{device} does not work: {reason}");
                    unavailable.push(Unavailable { backend, compiled_in: true, reason });
                }
            }
        }
    }
    let record = Record { version: RECORD_VERSION, command: "devices", devices, unavailable };
    session.terminal.result(&record, || words(&record))
}

fn words(record: &Record) -> String {
    let mut lines = Vec::new();
    for found in &record.devices {
        let hardware = found.hardware.as_deref().unwrap_or("unnamed hardware");
        let memory = found.memory_bytes.map(|bytes| human_bytes(&bytes.to_string()));
        let memory = memory.map_or(String::new(), |memory| format!(", {memory}"));
        lines.push(format!("{:<8} {hardware}{memory}", found.device));
    }
    for backend in &record.unavailable {
        lines.push(format!("{:<8} – {}", backend.backend, backend.reason));
    }
    lines.join("\n")
}
