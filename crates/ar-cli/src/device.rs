//! `--device`: which of the backends compiled in, and on what hardware.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::Result;
use burn::tensor::{Device, Tensor};

use crate::error::{ErrorKind, Mistake, mistake, nearest};
use crate::panic;

/// A device and what the user calls it.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    /// As in `--device`, with the index where there is one.
    pub(crate) name: String,
    /// Without autodiff.
    pub(crate) device: Device,
}

/// The names of all backends, compiled in or not.
pub(crate) const ALL: [&str; 4] = ["flex", "ndarray", "cuda", "wgpu"];

/// Those that compute in the memory of the process.
pub(crate) const HOSTS: [&str; 2] = ["flex", "ndarray"];

/// The names of the backends compiled in, the default first.
pub(crate) const COMPILED: &[&str] = &[
    #[cfg(feature = "flex")]
    "flex",
    #[cfg(feature = "ndarray")]
    "ndarray",
    #[cfg(feature = "cuda")]
    "cuda",
    #[cfg(feature = "wgpu")]
    "wgpu",
];

/// The device of that name, or the first one compiled in.
///
/// # Errors
/// When there is no such device, it was not compiled in, or it does not work on this machine.
pub(crate) fn choose(name: Option<&str>) -> Result<Chosen> {
    let Some(name) = name.or(COMPILED.first().copied()) else {
        return Err(Mistake::new(
            "this binary was built without any device",
            "build it with `--features flex`",
        )
        .of(ErrorKind::Machine)
        .into());
    };
    let (backend, index) = match name.split_once(':') {
        Some((backend, index)) => (backend, Some(index)),
        None => (name, None),
    };
    if !ALL.contains(&backend) {
        let hint = match nearest(backend, ALL) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("compiled in: {}", COMPILED.join(", ")),
        };
        let message = format!("unknown device `{name}`, expected flex, ndarray, cuda:N or wgpu");
        return Err(mistake(message, hint));
    }
    if !COMPILED.contains(&backend) {
        return Err(Mistake::new(
            format!(
                "device `{name}` needs the feature `{backend}`, which this binary was built \
                 without"
            ),
            format!(
                "build with `cargo install --path crates/ar-cli --features {backend}`, or choose \
                 one of: {}",
                COMPILED.join(", ")
            ),
        )
        .of(ErrorKind::Machine)
        .into());
    }
    let index = match index {
        Some(index) if ["cuda", "wgpu"].contains(&backend) => {
            Some(index.parse::<usize>().map_err(|_| {
                let hint = format!("write `{backend}:0`");
                mistake(format!("device `{name}`: `{index}` is no index"), hint)
            })?)
        }
        Some(_) => {
            return Err(mistake(
                format!("device `{name}`: `{backend}` takes no index"),
                format!("write `{backend}`"),
            ));
        }
        None => None,
    };
    let (shown, device) = match (backend, index) {
        ("cuda", index) => (format!("cuda:{}", index.unwrap_or(0)), found(backend, index)?),
        ("wgpu", Some(index)) => (format!("wgpu:{index}"), found(backend, Some(index))?),
        ("wgpu", None) => {
            found(backend, None)?;
            (backend.to_owned(), open(backend))
        }
        _ => (backend.to_owned(), open(backend)),
    };
    probe(&device).map_err(|reason| {
        Mistake::new(
            format!("device `{shown}` does not work on this machine: {reason}"),
            match backend {
                "cuda" => {
                    "check the driver (`nvidia-smi`) and that CUDA_PATH names a CUDA toolkit with \
                     nvvm/libdevice, or choose another --device"
                }
                _ => "check its driver, or choose another --device",
            },
        )
        .of(ErrorKind::Machine)
    })?;
    Ok(Chosen { name: shown, device })
}

/// The devices of a GPU's backend that answer on this machine, in its order.
pub(crate) fn answering(backend: &str) -> Vec<Device> {
    let ask = || -> Vec<Device> {
        #[cfg(feature = "cuda")]
        if backend == "cuda" {
            return Device::enumerate(burn::tensor::DeviceType::Cuda).into_iter().collect();
        }
        #[cfg(feature = "wgpu")]
        if backend == "wgpu" {
            return Device::enumerate(burn::tensor::DeviceType::Wgpu).into_iter().collect();
        }
        let _ = backend;
        Vec::new()
    };
    let (answered, _) = panic::asked_of_others(|| catch_unwind(ask));
    answered.unwrap_or_default()
}

/// The device of that index, the first one without, of a GPU's backend.
///
/// # Errors
/// When no such device answers: asked beforehand, since the backend itself would panic.
fn found(backend: &str, index: Option<usize>) -> Result<Device> {
    let devices = answering(backend);
    let index = index.unwrap_or(0);
    if let Some(device) = devices.get(index) {
        return Ok(device.clone());
    }
    let host = COMPILED.iter().find(|name| HOSTS.contains(name));
    let instead = host.map_or(String::new(), |host| format!(", or compute with --device {host}"));
    let (message, hint) = if devices.is_empty() {
        let (what, needs) = missing(backend);
        (format!("device `{backend}`: {what} on this machine"), format!("{needs}{instead}"))
    } else {
        let names: Vec<String> = (0..devices.len()).map(|i| format!("{backend}:{i}")).collect();
        (
            format!("there is no device `{backend}:{index}` on this machine"),
            format!("there is {}{instead}", names.join(", ")),
        )
    };
    Err(Mistake::new(message, hint).of(ErrorKind::Machine).into())
}

/// What is not there where no device of a GPU's backend answers, and what it needs.
pub(crate) fn missing(backend: &str) -> (&'static str, &'static str) {
    match backend {
        "cuda" => (
            "no NVIDIA GPU answers",
            "CUDA needs an NVIDIA GPU and its driver (libcuda.so.1; `nvidia-smi` lists what it sees)",
        ),
        _ => (
            "no GPU answers through Vulkan, Metal or DirectX 12",
            "install the GPU's driver, or a software one (mesa-vulkan-drivers on Debian)",
        ),
    }
}

/// Whether a device computes: a backend whose driver, hardware or toolkit is missing says so by panicking at its
/// first use, on this thread or on one of its own. The exponential needs libdevice on CUDA.
pub(crate) fn probe(device: &Device) -> Result<(), String> {
    let (computed, said) = panic::asked_of_others(|| {
        catch_unwind(AssertUnwindSafe(|| {
            Tensor::<1>::zeros([1], device).exp().into_data().iter::<f32>().next()
        }))
    });
    match computed {
        Ok(Some(1.0)) => Ok(()),
        Ok(other) => Err(format!("it says that exp(0) is {other:?}")),
        // What the thread at fault said is the reason; this one only noticed that there is no answer.
        Err(payload) => {
            Err(said.into_iter().next().unwrap_or_else(|| panic::message_of(payload.as_ref())))
        }
    }
}

/// Whether a device computes in the memory of the process.
pub(crate) fn is_host(device: &Device) -> bool {
    let hosts = HOSTS.into_iter().filter(|backend| COMPILED.contains(backend));
    hosts.map(open).any(|host| host == *device)
}

/// The device of a backend, of wgpu the one that it takes for the best.
fn open(backend: &str) -> Device {
    match backend {
        #[cfg(feature = "flex")]
        "flex" => Device::flex(),
        #[cfg(feature = "ndarray")]
        #[expect(deprecated, reason = "still a working backend in burn 0.22, and tested here")]
        "ndarray" => Device::ndarray(),
        #[cfg(feature = "wgpu")]
        "wgpu" => Device::wgpu(burn::tensor::DeviceKind::default()),
        other => unreachable!("`{other}` is not among the backends compiled in"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_first_one_compiled_in() {
        assert_eq!(choose(None).unwrap().name, COMPILED[0]);
    }

    #[test]
    fn the_memory_of_a_host_device_is_that_of_the_process() {
        for &name in COMPILED {
            let device = choose(Some(name)).unwrap().device;
            assert_eq!(is_host(&device), ["flex", "ndarray"].contains(&name), "{name}");
        }
    }

    #[test]
    fn a_wrong_device_is_refused_with_what_is_allowed() {
        for (name, part) in [
            ("gpu", "unknown device `gpu`"),
            ("flexx", "expected flex"),
            ("flex:1", "takes no index"),
            #[cfg(feature = "cuda")]
            ("cuda:first", "`first` is no index"),
            #[cfg(feature = "wgpu")]
            ("wgpu:99", "wgpu"),
            #[cfg(not(feature = "cuda"))]
            ("cuda:0", "needs the feature `cuda`"),
            #[cfg(not(feature = "wgpu"))]
            ("wgpu", "needs the feature `wgpu`"),
        ] {
            let message = choose(Some(name)).unwrap_err().to_string();
            assert!(message.contains(part), "{name}: {message}");
        }
    }
}
