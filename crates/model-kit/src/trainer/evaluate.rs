//! How well a network does on a data set.

use tch::{Kind, Tensor, no_grad};

use super::report::Score;
use crate::Error;
use crate::data::{Dataset, evaluation_plan, for_each_batch};
use crate::layers::Network;
use crate::loss;

/// The figures of a network on a data set.
///
/// # Errors
/// [`Error::InvalidInput`] for an empty set, [`Error::Sample`], [`Error::Backend`].
pub fn evaluate<N: Network + ?Sized, D: Dataset + ?Sized>(
    network: &N,
    dataset: &D,
    batch_size: usize,
    device: tch::Device,
    loader_threads: usize,
) -> Result<Score, Error> {
    if dataset.is_empty() {
        return Err(Error::input("data set", "at least 1 sample", 0));
    }
    let classes = dataset.classes();
    let mut loss_sum = 0.0;
    // Of each true class: how many there are, how many are found.
    let mut counts = vec![(0u64, 0u64); classes];
    let plan = evaluation_plan(dataset.len(), batch_size.max(1));
    for_each_batch(dataset, &plan, loader_threads, |_, batch| {
        let (inputs, targets) = batch.to_tensors(dataset, device)?;
        let targets = targets.f_narrow(1, 0, classes as i64)?;
        let logits = no_grad(|| network.forward(&inputs, false))?;
        loss_sum += loss::cross_entropy(&logits, &targets, None)?.f_double_value(&[])? * inputs.size()[0] as f64;
        let list = |tensor: &Tensor| -> Result<Vec<i64>, Error> {
            Ok(Vec::try_from(tensor.f_argmax(-1, false)?.f_to_kind(Kind::Int64)?.f_to_device(tch::Device::Cpu)?)?)
        };
        for (predicted, class) in list(&logits)?.into_iter().zip(list(&targets)?) {
            let count = &mut counts[class as usize];
            count.0 += 1;
            count.1 += u64::from(predicted == class);
        }
        Ok(true)
    })?;
    let (all, found) = counts.iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    let recalls: Vec<f64> =
        counts.iter().filter(|count| count.0 > 0).map(|count| count.1 as f64 / count.0 as f64).collect();
    Ok(Score {
        loss: loss_sum / all as f64,
        accuracy: found as f64 / all as f64,
        uar: recalls.iter().sum::<f64>() / recalls.len() as f64,
    })
}
