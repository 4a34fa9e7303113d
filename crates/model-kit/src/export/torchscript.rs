//! TorchScript by tracing.

use std::path::Path;

use tch::{CModule, Device, no_grad};

use super::Format;
use super::description::Description;
use crate::layers::Network;
use crate::weights::{beside, write_atomically};
use crate::{Error, Result};

/// `(batch, other free dimensions)` that a network is traced with, and others that the trace is tried on.
const TRACED: (i64, i64) = (2, 64);
const TRIED: [(i64, i64); 2] = [(1, 64), (3, 37)];

/// How far a trace's answers may be from the network's, of the largest.
const TOLERANCE: f64 = 1e-5;

/// Writes the module, and its description beside it.
pub(super) fn write(network: &dyn Network, device: Device, description: &Description, path: &Path) -> Result<()> {
    let module = trace(network, device, description)?;
    // The same care as everywhere: a whole file or none. LibTorch writes the file itself.
    let part = beside(path, ".part");
    module.save(&part)?;
    std::fs::rename(&part, path).map_err(Error::io(path))?;
    write_atomically(&beside(path, ".json"), description.to_json()?.as_bytes())
}

fn trace(network: &dyn Network, device: Device, description: &Description) -> Result<CModule> {
    let refused =
        |reason| Error::NotExportable { network: description.name.clone(), format: Format::TorchScript, reason };
    no_grad(|| {
        let example = description.sample(TRACED, device)?;
        let mut failure = None;
        let module = CModule::create_by_tracing("Network", "forward", &[example], &mut |inputs| {
            // A trace must be ended before its failure can be told.
            let output = network.forward(&inputs[0], false).unwrap_or_else(|error| {
                failure = Some(error);
                inputs[0].shallow_clone()
            });
            vec![output]
        });
        if let Some(source) = failure {
            return Err(source.into());
        }
        let module = module?;
        for sizes in TRIED {
            let input = description.sample(sizes, device)?;
            let wanted = network.forward(&input, false)?;
            let got = module
                .forward_ts(&[&input])
                .map_err(|error| refused(format!("its trace fails on input of shape {:?}: {error}", input.size())))?;
            let largest = wanted.f_abs()?.f_max()?.f_double_value(&[])?;
            let worst = wanted.f_sub(&got)?.f_abs()?.f_max()?.f_double_value(&[])?;
            if worst.is_nan() || worst > TOLERANCE * largest {
                return Err(refused(format!(
                    "on input of shape {:?} its trace answers differently by {worst:e}, with {largest:e} the largest",
                    input.size()
                )));
            }
        }
        Ok(module)
    })
}
