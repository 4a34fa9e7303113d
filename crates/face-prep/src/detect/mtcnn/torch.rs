//! The three networks through LibTorch, for graphics cards. The one file of this crate that knows LibTorch.

use std::collections::BTreeMap;

use tch::{Device, Kind, TchError, Tensor};

use super::networks::{Cell, Verdict, cells};
use super::weights::Weights;
use crate::Error;

/// Networks on a device of LibTorch.
#[derive(Debug)]
pub(super) struct TorchNetworks {
    device: Device,
    weights: BTreeMap<String, Tensor>,
}

impl TorchNetworks {
    pub(super) fn new(weights: &Weights, device: Device) -> Result<Self, Error> {
        let tensor = |(name, (shape, numbers)): (&String, &(Vec<usize>, Vec<f32>))| {
            let shape: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
            Ok((name.clone(), Tensor::f_from_slice(numbers)?.f_view(shape.as_slice())?.f_to_device(device)?))
        };
        let weights = weights.iter().map(tensor).collect::<Result<_, _>>();
        Ok(Self { device, weights: weights.map_err(|source| Error::Backend { doing: "loading weights", source })? })
    }

    /// First network: the cells of a picture of the pyramid, [y, x, channel], whose score reaches the threshold. Only they come back
    /// from the device.
    pub(super) fn propose(
        &self,
        pixels: &[f32],
        width: usize,
        height: usize,
        threshold: f32,
    ) -> Result<Vec<Cell>, Error> {
        let columns = cells(width);
        let found = self.first_network(pixels, [1, height as i64, width as i64, 3], threshold);
        let (places, numbers) = found.map_err(|source| Error::Backend { doing: "proposing faces", source })?;
        let cell = |(&place, said): (&i64, &[f32])| {
            let (x, y) = (place as usize % columns, place as usize / columns);
            let four = |from: usize| std::array::from_fn(|side| said[from + side]);
            Cell { x, y, score: said[0], offsets: four(1), mirrored: four(5) }
        };
        Ok(places.iter().zip(numbers.chunks_exact(9)).map(cell).collect())
    }

    /// The numbers of the cells, and for each its score, its offsets and those of the mirrored cell.
    fn first_network(&self, pixels: &[f32], shape: [i64; 4], threshold: f32) -> Result<(Vec<i64>, Vec<f32>), TchError> {
        let _guard = tch::no_grad_guard();
        let x = self.input(pixels, shape)?;
        let x = self.convolve(&x, "pnet", 1)?.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], true)?;
        let x = self.convolve(&self.convolve(&x, "pnet", 2)?, "pnet", 3)?;
        let scores = self.layer(&x, "pnet.score")?.f_softmax(1, Kind::Float)?.f_select(1, 1)?.f_flatten(0, -1)?;
        let boxes = self.layer(&x, "pnet.box")?;
        let flat = |boxes: &Tensor| boxes.f_view([4, -1])?.f_transpose(0, 1);
        let mirrored = flat(&boxes.f_flip([3])?)?;
        let places = scores.f_ge(f64::from(threshold))?.f_nonzero()?.f_view([-1])?;
        let said = Tensor::f_cat(&[scores.f_view([-1, 1])?, flat(&boxes)?, mirrored], 1)?.f_index_select(0, &places)?;
        let places = places.f_to_device(Device::Cpu)?;
        Ok((Vec::<i64>::try_from(&places)?, numbers(&said)?))
    }

    /// Second network, on `count` crops of 24×24 pixels.
    pub(super) fn refine(&self, crops: &[f32], count: usize) -> Result<Vec<Verdict>, Error> {
        let said = self.second_network(crops, count as i64);
        let said = said.map_err(|source| Error::Backend { doing: "refining faces", source })?;
        Ok(said.chunks_exact(5).map(verdict).collect())
    }

    fn second_network(&self, crops: &[f32], count: i64) -> Result<Vec<f32>, TchError> {
        let _guard = tch::no_grad_guard();
        let x = self.input(crops, [count, 24, 24, 3])?;
        let x = self.convolve(&x, "rnet", 1)?.f_max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], true)?;
        let x = self.convolve(&x, "rnet", 2)?.f_max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], false)?;
        let x = self.convolve(&x, "rnet", 3)?.f_flatten(1, 3)?;
        let x = self.dense(&x, "rnet", 4)?;
        numbers(&Tensor::f_cat(&[self.score(&x, "rnet")?, self.layer(&x, "rnet.box")?], 1)?)
    }

    /// Third network, on `count` crops of 48×48 pixels.
    pub(super) fn decide(&self, crops: &[f32], count: usize) -> Result<Vec<Verdict>, Error> {
        let said = self.third_network(crops, count as i64);
        let said = said.map_err(|source| Error::Backend { doing: "deciding on faces", source })?;
        Ok(said.chunks_exact(15).map(verdict).collect())
    }

    fn third_network(&self, crops: &[f32], count: i64) -> Result<Vec<f32>, TchError> {
        let _guard = tch::no_grad_guard();
        let x = self.input(crops, [count, 48, 48, 3])?;
        let x = self.convolve(&x, "onet", 1)?.f_max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], true)?;
        let x = self.convolve(&x, "onet", 2)?.f_max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], false)?;
        let x = self.convolve(&x, "onet", 3)?.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], true)?;
        let x = self.convolve(&x, "onet", 4)?.f_flatten(1, 3)?;
        let x = self.dense(&x, "onet", 5)?;
        let heads = [self.score(&x, "onet")?, self.layer(&x, "onet.box")?, self.layer(&x, "onet.landmarks")?];
        numbers(&Tensor::f_cat(&heads, 1)?)
    }

    /// Pictures of [picture, y, x, channel] as the networks take them.
    fn input(&self, pixels: &[f32], shape: [i64; 4]) -> Result<Tensor, TchError> {
        Tensor::f_from_slice(pixels)?.f_to_device(self.device)?.f_view(shape)?.f_permute([0, 3, 1, 2])?.f_contiguous()
    }

    /// A convolution and its PReLU.
    fn convolve(&self, x: &Tensor, network: &str, number: usize) -> Result<Tensor, TchError> {
        self.layer(x, &format!("{network}.conv{number}"))?
            .f_prelu(self.weight(&format!("{network}.prelu{number}.weight")))
    }

    /// The dense layer and its PReLU, whose number goes on from those of the convolutions.
    fn dense(&self, x: &Tensor, network: &str, number: usize) -> Result<Tensor, TchError> {
        self.layer(x, &format!("{network}.dense1"))?.f_prelu(self.weight(&format!("{network}.prelu{number}.weight")))
    }

    /// The face's score of each crop, as a column.
    fn score(&self, x: &Tensor, network: &str) -> Result<Tensor, TchError> {
        self.layer(x, &format!("{network}.score"))?.f_softmax(1, Kind::Float)?.f_narrow(1, 1, 1)
    }

    fn layer(&self, x: &Tensor, name: &str) -> Result<Tensor, TchError> {
        let (weight, bias) = (self.weight(&format!("{name}.weight")), self.weight(&format!("{name}.bias")));
        match weight.dim() {
            2 => x.f_linear(weight, Some(bias)),
            _ => x.f_conv2d(weight, Some(bias), [1, 1], [0, 0], [1, 1], 1),
        }
    }

    /// A weight; all that the networks ask for were there when they were loaded.
    fn weight(&self, name: &str) -> &Tensor {
        &self.weights[name]
    }
}

/// Score, four offsets, and ten places or none.
fn verdict(said: &[f32]) -> Verdict {
    let mut points = [0.0; 10];
    points[..said.len() - 5].copy_from_slice(&said[5..]);
    Verdict { score: said[0], offsets: [said[1], said[2], said[3], said[4]], points }
}

fn numbers(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    Vec::<f32>::try_from(&tensor.f_to_device(Device::Cpu)?.f_contiguous()?.f_flatten(0, -1)?)
}
