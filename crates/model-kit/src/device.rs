//! Where networks run, and on how many threads. The one room of this crate that calls foreign code.

#![allow(unsafe_code, reason = "loading a shared library runs its initialisers, which no compiler can check")]

use std::fmt;
use std::str::FromStr;
use std::sync::Once;

use serde::{Deserialize, Serialize};

use crate::Error;

/// A device to run on. Written `cpu`, `cuda` or `cuda:1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Device {
    /// The processor. The default.
    #[default]
    Cpu,
    /// The NVIDIA GPU of this number, from 0.
    Cuda(usize),
}

impl Device {
    /// The first GPU if LibTorch can use one, else the processor.
    pub fn best() -> Self {
        if cuda_devices() > 0 { Self::Cuda(0) } else { Self::Cpu }
    }

    /// LibTorch's name for the device, after making sure that it is there.
    ///
    /// On Linux a program that has opened the processor keeps up to 64 MiB of the memory that it frees: LibTorch asks for
    /// as much again at every pass, and getting each page of it anew took up to a sixth of a pass's time. Whoever has set
    /// glibc's thresholds by its environment variables keeps them.
    ///
    /// # Errors
    /// [`Error::NoDevice`] for a GPU that LibTorch does not see.
    pub fn open(self) -> Result<tch::Device, Error> {
        match self {
            Self::Cpu => {
                keep_freed_memory()?;
                Ok(tch::Device::Cpu)
            }
            Self::Cuda(index) => {
                let found = cuda_devices();
                if index < found {
                    Ok(tch::Device::Cuda(index))
                } else {
                    Err(Error::NoDevice {
                        wanted: self.to_string(),
                        reason: format!("LibTorch sees {found} CUDA devices"),
                    })
                }
            }
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let unknown = || Error::config("device", "cpu, cuda or cuda:N", text);
        match text {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text.strip_prefix("cuda:").and_then(|n| n.parse().ok()).map(Self::Cuda).ok_or_else(unknown),
        }
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

impl TryFrom<String> for Device {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

/// Lets glibc keep freed memory instead of giving it back to the system.
///
/// It does so by itself for blocks up to the size of the largest that it saw freed, if that was at most 32 MiB, and for twice
/// that in all ("dynamic mmap threshold" in mallopt(3)). So one such block is taken and freed; nothing is written to it.
fn keep_freed_memory() -> Result<(), Error> {
    const LARGEST: i64 = (32 << 20) - (64 << 10);
    drop(tch::Tensor::f_empty([LARGEST], (tch::Kind::Uint8, tch::Device::Cpu))?);
    Ok(())
}

/// The number of GPUs that LibTorch can use; 0 with a CPU-only LibTorch.
pub fn cuda_devices() -> usize {
    load_cuda();
    usize::try_from(tch::Cuda::device_count()).unwrap_or(0)
}

/// Loads LibTorch's CUDA part if it is installed beside the rest.
///
/// A linker drops `libtorch_cuda.so` from a program that uses no symbol of it, and LibTorch then finds no GPU. Loading
/// it at run time lets one program serve machines with and without one.
fn load_cuda() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(target_os = "linux")]
        {
            use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
            // SAFETY: the library is LibTorch's own and made to be loaded this way: its initialisers register kernels
            // with the already loaded `libtorch_cpu.so`, and no symbol is looked up here.
            if let Ok(library) = unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) } {
                // Registered kernels point into the library: it must never be unloaded.
                std::mem::forget(library);
            }
        }
    });
}

/// Sets how many threads one LibTorch operation uses, from 1. Independent operations do not run side by side, so this
/// is also the number of cores that LibTorch keeps busy.
///
/// Two threads beside other busy programs can be several times slower than one: give LibTorch no more threads than
/// there are idle cores.
///
/// # Errors
/// [`Error::InvalidConfig`] for 0 or more than 1024 threads.
pub fn set_threads(threads: usize) -> Result<(), Error> {
    let count = i32::try_from(threads).ok().filter(|count| (1..=1024).contains(count));
    let count = count.ok_or_else(|| Error::config("threads", "1 to 1024", threads))?;
    tch::set_num_threads(count);
    Ok(())
}

/// How many threads one LibTorch operation uses.
pub fn threads() -> usize {
    usize::try_from(tch::get_num_threads()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(3)] {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }
        assert!("tpu".parse::<Device>().is_err());
        assert!(Device::Cuda(999).open().is_err());
    }

    #[test]
    fn threads_are_set_and_checked() {
        set_threads(1).unwrap();
        assert_eq!(threads(), 1);
        assert!(set_threads(0).is_err());
    }
}
