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
const ALL: [&str; 4] = ["flex", "ndarray", "cuda", "wgpu"];

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
        Some(index) if backend == "cuda" => Some(index.parse::<usize>().map_err(|_| {
            mistake(format!("device `{name}`: `{index}` is no index"), "write `cuda:0`")
        })?),
        Some(_) => {
            return Err(mistake(
                format!("device `{name}`: `{backend}` takes no index"),
                format!("write `{backend}`"),
            ));
        }
        None => None,
    };
    let shown = match backend {
        "cuda" => format!("cuda:{}", index.unwrap_or(0)),
        _ => backend.to_owned(),
    };
    // A backend whose driver or hardware is missing says so by panicking, here or at its first use.
    let opened = panic::expected(|| {
        catch_unwind(AssertUnwindSafe(|| {
            let device = open(backend, index.unwrap_or(0));
            let _ = Tensor::<1>::zeros([1], &device).into_data();
            device
        }))
    });
    match opened {
        Ok(device) => Ok(Chosen { name: shown, device }),
        Err(payload) => Err(Mistake::new(
            format!(
                "device `{shown}` does not work on this machine: {}",
                panic::message_of(payload.as_ref())
            ),
            "check its driver, or choose another --device",
        )
        .of(ErrorKind::Machine)
        .into()),
    }
}

/// Whether a device computes in the memory of the process.
pub(crate) fn is_host(device: &Device) -> bool {
    let hosts = ["flex", "ndarray"].into_iter().filter(|backend| COMPILED.contains(backend));
    hosts.map(|backend| open(backend, 0)).any(|host| host == *device)
}

fn open(backend: &str, index: usize) -> Device {
    match backend {
        #[cfg(feature = "flex")]
        "flex" => Device::flex(),
        #[cfg(feature = "ndarray")]
        #[expect(deprecated, reason = "still a working backend in burn 0.22, and tested here")]
        "ndarray" => Device::ndarray(),
        #[cfg(feature = "cuda")]
        "cuda" => Device::cuda(index),
        #[cfg(feature = "wgpu")]
        "wgpu" => Device::wgpu(burn::tensor::DeviceKind::default()),
        other => unreachable!("`{other}` (index {index}) is not among the backends compiled in"),
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
