//! Samples for a trainer: the [`Dataset`] trait, and threads that prepare batches ahead of the network.

use std::sync::mpsc::sync_channel;
use std::thread;

use emotion_core::BoxError;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};

use crate::Error;

/// Samples of one fixed shape, with a probability for each class as the target.
///
/// # For implementors
/// `sample` is called from several threads. It must depend on nothing but its arguments: every random choice
/// (augmentation, cropping) is drawn from `seed`, so that a training reproduces and resumes exactly. A set for
/// evaluation ignores the seed.
pub trait Dataset: Sync {
    /// The number of samples.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of one input, without the batch dimension.
    fn input_shape(&self) -> &[i64];

    /// The number of classes.
    fn classes(&self) -> usize;

    /// What each sample tells beside its class: auxiliary tasks, of use to learn the first one by and to nobody later, each
    /// with how many numbers it has. In training mode the network gives as many more logits behind those of the classes.
    /// Default none.
    fn auxiliary(&self) -> &[usize] {
        &[]
    }

    /// The class of a sample, where the set can tell without preparing it: what drawing by class needs. Default unknown.
    fn class(&self, _index: usize) -> Option<usize> {
        None
    }

    /// Writes sample `index` into `input` (row-major, as long as the shape's product) and its class probabilities, which
    /// sum to 1, into `target`; behind them the numbers of the [`auxiliary`](Self::auxiliary) tasks, each a probability, or below 0
    /// where there is nothing to tell. Both come filled with zeros.
    ///
    /// # Errors
    /// Whatever keeps the sample from being read.
    fn sample(&self, index: usize, seed: u64, input: &mut [f32], target: &mut [f32]) -> Result<(), BoxError>;

    /// A whole batch at once, for sets that lie on the device: the samples of these indices and seeds as `(inputs [samples, …],
    /// targets [samples, classes + auxiliary])`, the same that [`sample`](Self::sample) writes. Called from the threads that
    /// `sample` would be called from. `None`, the default, has the samples written one by one.
    ///
    /// # Errors
    /// Whatever keeps the samples from being read.
    fn batch(&self, _samples: &[(usize, u64)]) -> Result<Option<(Tensor, Tensor)>, BoxError> {
        Ok(None)
    }
}

/// Mixes numbers into a seed that has nothing in common with the seeds of other numbers (SplitMix64's finaliser).
pub fn mix_seed(seed: u64, numbers: &[u64]) -> u64 {
    numbers.iter().fold(seed, |state, number| {
        let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_add(number.wrapping_mul(0xd1b5_4a32_d192_ed03));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// A sample that a batch asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    index: usize,
    seed: u64,
}

/// The batches of one training epoch: a shuffle by `seed` and `epoch`. The samples beyond the last full batch sit this
/// epoch out, unless they are all there is.
pub(crate) fn training_plan(len: usize, batch_size: usize, seed: u64, epoch: usize) -> Vec<Vec<Request>> {
    let mut order: Vec<usize> = (0..len).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(mix_seed(seed, &[1, epoch as u64])));
    order.truncate((len / batch_size * batch_size).max(len.min(batch_size)));
    let request = |&index: &usize| Request { index, seed: mix_seed(seed, &[2, epoch as u64, index as u64]) };
    order.chunks(batch_size).map(|batch| batch.iter().map(request).collect()).collect()
}

/// The batches of one training epoch of `classes.len()` draws, in which sample `i` is drawn with a probability
/// proportional to `weights[classes[i]]`, again and again.
pub(crate) fn weighted_plan(
    classes: &[usize],
    weights: &[f32],
    batch_size: usize,
    seed: u64,
    epoch: usize,
) -> Vec<Vec<Request>> {
    let len = classes.len();
    let mut total = 0.0;
    let sums: Vec<f64> = classes
        .iter()
        .map(|&class| {
            total += f64::from(weights[class]);
            total
        })
        .collect();
    let mut rng = ChaCha8Rng::seed_from_u64(mix_seed(seed, &[1, epoch as u64]));
    let draws = (len / batch_size * batch_size).max(len.min(batch_size));
    let requests: Vec<Request> = (0..draws)
        .map(|draw| {
            let place = rng.random::<f64>() * total;
            let index = sums.partition_point(|&sum| sum <= place).min(len - 1);
            // A sample may come twice, and is then changed in two ways.
            Request { index, seed: mix_seed(seed, &[4, epoch as u64, draw as u64]) }
        })
        .collect();
    requests.chunks(batch_size).map(<[Request]>::to_vec).collect()
}

/// Every sample once, in order.
pub(crate) fn evaluation_plan(len: usize, batch_size: usize) -> Vec<Vec<Request>> {
    let order: Vec<Request> = (0..len).map(|index| Request { index, seed: 0 }).collect();
    order.chunks(batch_size).map(<[Request]>::to_vec).collect()
}

/// A prepared batch.
pub(crate) enum Batch {
    /// Not yet on a device.
    Numbers { size: usize, inputs: Vec<f32>, targets: Vec<f32> },
    /// Where the data set lies.
    Tensors(Tensor, Tensor),
}

impl Batch {
    fn prepare<D: Dataset + ?Sized>(dataset: &D, requests: &[Request]) -> Result<Self, Error> {
        let samples: Vec<(usize, u64)> = requests.iter().map(|request| (request.index, request.seed)).collect();
        let first = samples.first().map_or(0, |sample| sample.0);
        let whole = dataset.batch(&samples).map_err(|source| Error::Sample { index: first, source })?;
        if let Some((inputs, targets)) = whole {
            return Ok(Self::Tensors(inputs, targets));
        }
        let width = dataset.input_shape().iter().product::<i64>() as usize;
        let told = dataset.classes() + dataset.auxiliary().iter().sum::<usize>();
        let mut inputs = vec![0.0; requests.len() * width];
        let mut targets = vec![0.0; requests.len() * told];
        let places = inputs.chunks_exact_mut(width).zip(targets.chunks_exact_mut(told));
        for (&Request { index, seed }, (input, target)) in requests.iter().zip(places) {
            dataset.sample(index, seed, input, target).map_err(|source| Error::Sample { index, source })?;
        }
        Ok(Self::Numbers { size: requests.len(), inputs, targets })
    }

    /// `(inputs [batch, …], targets [batch, classes + auxiliary])` on the device.
    pub(crate) fn to_tensors<D: Dataset + ?Sized>(
        &self,
        dataset: &D,
        device: Device,
    ) -> Result<(Tensor, Tensor), Error> {
        let (count, inputs, targets) = match self {
            Self::Tensors(inputs, targets) => return Ok((inputs.f_to_device(device)?, targets.f_to_device(device)?)),
            Self::Numbers { size, inputs, targets } => (*size as i64, inputs, targets),
        };
        let mut size = vec![count];
        size.extend_from_slice(dataset.input_shape());
        let inputs = Tensor::f_from_slice(inputs)?.f_view(size.as_slice())?.f_to_device(device)?;
        let targets = Tensor::f_from_slice(targets)?.f_view([count, -1])?.f_to_device(device)?;
        Ok((inputs, targets))
    }
}

/// Prepares the batches of a plan on `threads` threads and hands them over in the plan's order, until `consume` says
/// that it wants no more. With 0 threads the caller's own thread prepares them.
pub(crate) fn for_each_batch<D: Dataset + ?Sized>(
    dataset: &D,
    plan: &[Vec<Request>],
    threads: usize,
    mut consume: impl FnMut(usize, Batch) -> Result<bool, Error>,
) -> Result<(), Error> {
    if threads == 0 {
        for (number, requests) in plan.iter().enumerate() {
            if !consume(number, Batch::prepare(dataset, requests)?)? {
                break;
            }
        }
        return Ok(());
    }
    thread::scope(|scope| {
        // Thread t prepares batches t, t + threads, …, each over a channel of its own: the order needs no sorting.
        let receivers: Vec<_> = (0..threads)
            .map(|first| {
                let (sender, receiver) = sync_channel(2);
                scope.spawn(move || {
                    for requests in plan.iter().skip(first).step_by(threads) {
                        if sender.send(Batch::prepare(dataset, requests)).is_err() {
                            return;
                        }
                    }
                });
                receiver
            })
            .collect();
        for number in 0..plan.len() {
            // A closed channel means that its thread panicked; leaving the scope passes the panic on.
            let Ok(batch) = receivers[number % threads].recv() else { break };
            if !consume(number, batch?)? {
                break;
            }
        }
        Ok(())
    })
}

/// Hands the batches of one training epoch, `(inputs [batch, …], targets [batch, classes + auxiliary])`, to `consume` until it says that it
/// wants no more: the trainer's own loader, for loops of one's own and to be measured. Shuffled by `seed` and `epoch`;
/// prepared by `threads` threads ahead of `consume`, or in turn with it where there are none. The batches do not depend
/// on the number of threads.
///
/// # Errors
/// [`Error::InvalidConfig`] for a batch size of 0, [`Error::Sample`], [`Error::Backend`], and what `consume` says.
pub fn training_batches<D: Dataset + ?Sized>(
    dataset: &D,
    batch_size: usize,
    (seed, epoch): (u64, usize),
    threads: usize,
    device: Device,
    mut consume: impl FnMut(Tensor, Tensor) -> Result<bool, Error>,
) -> Result<(), Error> {
    if batch_size == 0 {
        return Err(Error::config("batch_size", "at least 1", batch_size));
    }
    let plan = training_plan(dataset.len(), batch_size, seed, epoch);
    for_each_batch(dataset, &plan, threads, |_, batch| {
        let (inputs, targets) = batch.to_tensors(dataset, device)?;
        consume(inputs, targets)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers;

    impl Dataset for Numbers {
        fn len(&self) -> usize {
            103
        }
        fn input_shape(&self) -> &[i64] {
            &[2]
        }
        fn classes(&self) -> usize {
            2
        }
        fn sample(&self, index: usize, seed: u64, input: &mut [f32], target: &mut [f32]) -> Result<(), BoxError> {
            if index == 999 {
                return Err("no such sample".into());
            }
            input.copy_from_slice(&[index as f32, (seed % 1000) as f32]);
            target[index % 2] = 1.0;
            Ok(())
        }
    }

    fn collect(threads: usize, plan: &[Vec<Request>]) -> Vec<f32> {
        let mut all = Vec::new();
        for_each_batch(&Numbers, plan, threads, |_, batch| {
            let (inputs, _) = batch.to_tensors(&Numbers, Device::Cpu)?;
            all.extend(Vec::<f32>::try_from(inputs.f_flatten(0, -1)?)?);
            Ok(true)
        })
        .unwrap();
        all
    }

    #[test]
    fn batches_do_not_depend_on_the_number_of_threads() {
        let plan = training_plan(103, 10, 7, 3);
        assert_eq!(plan.len(), 10);
        let alone = collect(0, &plan);
        assert_eq!(alone, collect(1, &plan));
        assert_eq!(alone, collect(4, &plan));
        assert_ne!(alone, collect(0, &training_plan(103, 10, 7, 4)));
    }

    #[test]
    fn weighted_draws_follow_the_weights() {
        // Nine samples of class 0 for one of class 1, which weighs nine times as much.
        let classes: Vec<usize> = (0..1000).map(|index| usize::from(index % 10 == 0)).collect();
        let plan = weighted_plan(&classes, &[1.0, 9.0], 64, 5, 1);
        assert_eq!(plan.len(), 15);
        let rare = plan.concat().iter().filter(|request| classes[request.index] == 1).count();
        assert!((430..530).contains(&rare), "{rare} of 960");
        let seeds: std::collections::BTreeSet<u64> = plan.concat().iter().map(|request| request.seed).collect();
        assert_eq!(seeds.len(), 960);
    }

    #[test]
    fn a_loop_of_ones_own_gets_tensors_until_it_has_enough() {
        let mut seen = Vec::new();
        training_batches(&Numbers, 10, (7, 3), 2, Device::Cpu, |inputs, targets| {
            assert_eq!((inputs.size(), targets.size()), (vec![10, 2], vec![10, 2]));
            seen.extend(Vec::<f32>::try_from(inputs.f_flatten(0, -1)?)?);
            Ok(seen.len() < 60)
        })
        .unwrap();
        assert_eq!(seen, collect(0, &training_plan(103, 10, 7, 3)[..3]));
        assert!(training_batches(&Numbers, 0, (7, 3), 0, Device::Cpu, |_, _| Ok(true)).is_err());
    }

    #[test]
    fn small_sets_make_one_batch_and_evaluation_sees_every_sample() {
        assert_eq!(training_plan(3, 10, 0, 1).concat().len(), 3);
        let indices: Vec<usize> = evaluation_plan(103, 10).concat().iter().map(|request| request.index).collect();
        assert_eq!(indices, (0..103).collect::<Vec<_>>());
    }

    #[test]
    fn a_failing_sample_is_named_and_stopping_early_does_not_hang() {
        let bad = vec![vec![Request { index: 999, seed: 0 }]];
        assert!(matches!(for_each_batch(&Numbers, &bad, 2, |_, _| Ok(true)), Err(Error::Sample { index: 999, .. })));
        let mut seen = 0;
        for_each_batch(&Numbers, &evaluation_plan(103, 1), 3, |_, _| {
            seen += 1;
            Ok(seen < 5)
        })
        .unwrap();
        assert_eq!(seen, 5);
    }
}
