//! Inception-v3 (Szegedy, Vanhoucke, Ioffe, Shlens & Wojna 2016, "Rethinking the Inception Architecture for Computer
//! Vision"), built as torchvision builds it and with its names, so that weights trained on ImageNet can be loaded.

use model_kit::Parameter;
use model_kit::export::{Attribute, Value};
use model_kit::layers::{BatchNorm, Result, global_average};
use serde::{Deserialize, Serialize};
use tch::nn::{Init, Path};
use tch::{Tensor, no_grad};

use super::KERAS_EPS;
use super::transfer::{Backbone, Transfer, Use};

/// Settings of [`InceptionV3`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InceptionConfig {
    /// Width and height that the faces are enlarged to, in pixels, at least 75. Default 299, as in the paper; 139 costs a
    /// fifth of the time.
    pub side: i64,
    /// Whether training changes the new last layer alone and leaves the rest as it was loaded. Default no.
    pub frozen: bool,
    /// Share of the features that are left out of each training step before the last layer, 0..1. Default 0.5.
    pub dropout: f64,
}

impl Default for InceptionConfig {
    fn default() -> Self {
        Self { side: 299, frozen: false, dropout: 0.5 }
    }
}

/// The grey face, enlarged and given three times, through five convolutions and eleven blocks of parallel branches, then
/// the mean over places, dropout and a new dense layer: 21,799,911 parameters for seven classes, of which 14,343 are
/// trainable in the frozen mode.
///
/// The backbone starts from He's initialisation; [`load_backbone`](super::load_backbone) replaces it by torchvision's
/// weights. Left out are torchvision's auxiliary classifier, whose loss is of use only when such a network is trained from
/// scratch on a large set, and its own scaling of the input: standardised grey pixels have about the mean and deviation
/// that ImageNet's statistics would give them.
pub type InceptionV3 = Transfer<Layers>;

impl InceptionV3 {
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, config: &InceptionConfig, classes: i64) -> Result<Self> {
        let stem = [
            Unit::valid(&path.sub("Conv2d_1a_3x3"), 3, 32, 3, 2)?,
            Unit::valid(&path.sub("Conv2d_2a_3x3"), 32, 32, 3, 1)?,
            Unit::same(&path.sub("Conv2d_2b_3x3"), 32, 64, [3, 3])?,
            Unit::same(&path.sub("Conv2d_3b_1x1"), 64, 80, [1, 1])?,
            Unit::valid(&path.sub("Conv2d_4a_3x3"), 80, 192, 3, 1)?,
        ];
        let blocks = vec![
            block_a(&path.sub("Mixed_5b"), 192, 32)?,
            block_a(&path.sub("Mixed_5c"), 256, 64)?,
            block_a(&path.sub("Mixed_5d"), 288, 64)?,
            block_b(&path.sub("Mixed_6a"), 288)?,
            block_c(&path.sub("Mixed_6b"), 768, 128)?,
            block_c(&path.sub("Mixed_6c"), 768, 160)?,
            block_c(&path.sub("Mixed_6d"), 768, 160)?,
            block_c(&path.sub("Mixed_6e"), 768, 192)?,
            block_d(&path.sub("Mixed_7a"), 768)?,
            block_e(&path.sub("Mixed_7b"), 1280)?,
            block_e(&path.sub("Mixed_7c"), 2048)?,
        ];
        let &InceptionConfig { side, frozen, dropout } = config;
        Transfer::of(path, Layers { stem, blocks }, [2048, classes], Use { side, frozen, dropout })
    }
}

/// The stem and all blocks of [`InceptionV3`]: 2048 features.
#[derive(Debug)]
pub struct Layers {
    stem: [Unit; 5],
    blocks: Vec<Block>,
}

impl Backbone for Layers {
    fn forward(&self, pictures: &Tensor, train: bool) -> Result<Tensor> {
        let mut hidden = pictures.shallow_clone();
        for (index, unit) in self.stem.iter().enumerate() {
            hidden = unit.forward(&hidden, train)?;
            if index == 2 || index == 4 {
                hidden = hidden.f_max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], false)?;
            }
        }
        for block in &self.blocks {
            hidden = block.forward(&hidden, train)?;
        }
        global_average(&hidden)
    }

    fn export<'g>(&self, pictures: Value<'g>) -> model_kit::Result<Value<'g>> {
        let mut hidden = pictures;
        for (index, unit) in self.stem.iter().enumerate() {
            hidden = unit.export(hidden)?;
            if index == 2 || index == 4 {
                hidden = hidden.max_pool(&[3, 3], &[2, 2], &[0, 0], false);
            }
        }
        for block in &self.blocks {
            hidden = block.export(hidden)?;
        }
        Ok(hidden.global_average())
    }

    fn fold(&mut self) -> Result<()> {
        let blocks = self.blocks.iter_mut().flat_map(|block| &mut block.0).flat_map(Branch::units_mut);
        self.stem.iter_mut().chain(blocks).try_for_each(Unit::fold)
    }

    fn freeze(&self) {
        let blocks = self.blocks.iter().flat_map(|block| &block.0).flat_map(Branch::units);
        self.stem.iter().chain(blocks).for_each(Unit::freeze);
    }
}

/// A convolution, batch norm and ReLU, torchvision's `BasicConv2d`.
#[derive(Debug)]
struct Unit {
    weight: Parameter,
    bias: Option<Parameter>,
    norm: Option<BatchNorm>,
    stride: i64,
    padding: [i64; 2],
}

impl Unit {
    fn new(path: &Path, inputs: i64, outputs: i64, kernel: [i64; 2], stride: i64, padding: [i64; 2]) -> Result<Self> {
        let weight = path.sub("conv").f_var("weight", &[outputs, inputs, kernel[0], kernel[1]], HE)?;
        // Keras' epsilon, as torchvision has it, but PyTorch's momentum.
        let norm = BatchNorm::with(&path.sub("bn"), outputs, 0.1, KERAS_EPS)?;
        Ok(Self { weight: weight.into(), bias: None, norm: Some(norm), stride, padding })
    }

    /// Keeps the size.
    fn same(path: &Path, inputs: i64, outputs: i64, kernel: [i64; 2]) -> Result<Self> {
        Self::new(path, inputs, outputs, kernel, 1, kernel.map(|side| side / 2))
    }

    /// Looks at whole places alone.
    fn valid(path: &Path, inputs: i64, outputs: i64, kernel: i64, stride: i64) -> Result<Self> {
        Self::new(path, inputs, outputs, [kernel; 2], stride, [0, 0])
    }

    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let output = input.f_conv2d(&self.weight, self.bias.as_deref(), [self.stride; 2], self.padding, [1, 1], 1)?;
        match &self.norm {
            Some(norm) => norm.forward(&output, train)?.f_relu(),
            None => output.f_relu(),
        }
    }

    fn export<'g>(&self, input: Value<'g>) -> model_kit::Result<Value<'g>> {
        let output = input.convolution(&self.weight, self.bias.as_deref(), &[self.stride; 2], &self.padding)?;
        Ok(self.norm.as_ref().map_or(Ok(output), |norm| norm.export(output))?.relu())
    }

    fn freeze(&self) {
        let _ = self.weight.set_requires_grad(false);
        if let Some(norm) = &self.norm {
            norm.freeze();
        }
    }

    fn fold(&mut self) -> Result<()> {
        let Some(norm) = self.norm.take() else { return Ok(()) };
        no_grad(|| {
            let (scale, shift) = norm.affine()?;
            self.weight = self.weight.f_mul(&scale.f_view([-1, 1, 1, 1])?)?.f_detach()?.into();
            self.bias = Some(shift.f_detach()?.into());
            Ok(())
        })
    }
}

/// He et al. 2015, fan-in.
const HE: Init = tch::nn::init::DEFAULT_KAIMING_NORMAL;

/// What a branch does to its input before its convolutions.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Pool {
    None,
    /// The mean of 3×3 places, the borders counted as zeros.
    Mean,
    /// The largest of 3×3 places, at every other place.
    Max,
}

/// Units one after the other, and perhaps two side by side behind them.
#[derive(Debug)]
struct Branch {
    pool: Pool,
    units: Vec<Unit>,
    fork: Vec<Unit>,
}

impl Branch {
    fn units(&self) -> impl Iterator<Item = &Unit> {
        self.units.iter().chain(&self.fork)
    }

    fn units_mut(&mut self) -> impl Iterator<Item = &mut Unit> {
        self.units.iter_mut().chain(&mut self.fork)
    }

    /// Appends the branch's outputs.
    fn forward(&self, input: &Tensor, train: bool, outputs: &mut Vec<Tensor>) -> Result<()> {
        let mut hidden = match self.pool {
            Pool::None => input.shallow_clone(),
            Pool::Mean => input.f_avg_pool2d([3, 3], [1, 1], [1, 1], false, true, None)?,
            Pool::Max => input.f_max_pool2d([3, 3], [2, 2], [0, 0], [1, 1], false)?,
        };
        for unit in &self.units {
            hidden = unit.forward(&hidden, train)?;
        }
        if self.fork.is_empty() {
            outputs.push(hidden);
        } else {
            for unit in &self.fork {
                outputs.push(unit.forward(&hidden, train)?);
            }
        }
        Ok(())
    }
}

impl Branch {
    /// As [`forward`](Self::forward), in an ONNX graph.
    fn export<'g>(&self, input: Value<'g>, outputs: &mut Vec<Value<'g>>) -> model_kit::Result<()> {
        let mut hidden = match self.pool {
            Pool::None => input,
            Pool::Mean => input.node(
                "AveragePool",
                &[],
                &[
                    ("kernel_shape", Attribute::Ints(vec![3; 2])),
                    ("pads", Attribute::Ints(vec![1; 4])),
                    ("count_include_pad", Attribute::Int(1)),
                ],
            ),
            Pool::Max => input.max_pool(&[3, 3], &[2, 2], &[0, 0], false),
        };
        for unit in &self.units {
            hidden = unit.export(hidden)?;
        }
        if self.fork.is_empty() {
            outputs.push(hidden);
        }
        for unit in &self.fork {
            outputs.push(unit.export(hidden)?);
        }
        Ok(())
    }
}

/// Branches whose outputs stand one after the other in the channels.
#[derive(Debug)]
struct Block(Vec<Branch>);

impl Block {
    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let mut outputs = Vec::new();
        for branch in &self.0 {
            branch.forward(input, train, &mut outputs)?;
        }
        Tensor::f_cat(&outputs, 1)
    }

    fn export<'g>(&self, input: Value<'g>) -> model_kit::Result<Value<'g>> {
        let mut outputs = Vec::new();
        for branch in &self.0 {
            branch.export(input, &mut outputs)?;
        }
        // Every block has several branches.
        Ok(outputs[0].node("Concat", &outputs[1..], &[("axis", Attribute::Int(1))]))
    }
}

fn branch(units: Vec<Unit>) -> Branch {
    Branch { pool: Pool::None, units, fork: Vec::new() }
}

/// 35×35 places: 1×1, 5×5, twice 3×3, and a pool.
fn block_a(path: &Path, inputs: i64, pooled: i64) -> Result<Block> {
    let unit = |name: &str, inputs, outputs, side| Unit::same(&path.sub(name), inputs, outputs, [side; 2]);
    Ok(Block(vec![
        branch(vec![unit("branch1x1", inputs, 64, 1)?]),
        branch(vec![unit("branch5x5_1", inputs, 48, 1)?, unit("branch5x5_2", 48, 64, 5)?]),
        branch(vec![
            unit("branch3x3dbl_1", inputs, 64, 1)?,
            unit("branch3x3dbl_2", 64, 96, 3)?,
            unit("branch3x3dbl_3", 96, 96, 3)?,
        ]),
        Branch { pool: Pool::Mean, ..branch(vec![unit("branch_pool", inputs, pooled, 1)?]) },
    ]))
}

/// From 35×35 to 17×17 places.
fn block_b(path: &Path, inputs: i64) -> Result<Block> {
    Ok(Block(vec![
        branch(vec![Unit::valid(&path.sub("branch3x3"), inputs, 384, 3, 2)?]),
        branch(vec![
            Unit::same(&path.sub("branch3x3dbl_1"), inputs, 64, [1, 1])?,
            Unit::same(&path.sub("branch3x3dbl_2"), 64, 96, [3, 3])?,
            Unit::valid(&path.sub("branch3x3dbl_3"), 96, 96, 3, 2)?,
        ]),
        Branch { pool: Pool::Max, ..branch(Vec::new()) },
    ]))
}

/// 17×17 places: 7×7 taken apart into rows and columns.
fn block_c(path: &Path, inputs: i64, inner: i64) -> Result<Block> {
    let unit = |name: &str, inputs, outputs, kernel| Unit::same(&path.sub(name), inputs, outputs, kernel);
    let (row, column) = ([1, 7], [7, 1]);
    Ok(Block(vec![
        branch(vec![unit("branch1x1", inputs, 192, [1, 1])?]),
        branch(vec![
            unit("branch7x7_1", inputs, inner, [1, 1])?,
            unit("branch7x7_2", inner, inner, row)?,
            unit("branch7x7_3", inner, 192, column)?,
        ]),
        branch(vec![
            unit("branch7x7dbl_1", inputs, inner, [1, 1])?,
            unit("branch7x7dbl_2", inner, inner, column)?,
            unit("branch7x7dbl_3", inner, inner, row)?,
            unit("branch7x7dbl_4", inner, inner, column)?,
            unit("branch7x7dbl_5", inner, 192, row)?,
        ]),
        Branch { pool: Pool::Mean, ..branch(vec![unit("branch_pool", inputs, 192, [1, 1])?]) },
    ]))
}

/// From 17×17 to 8×8 places.
fn block_d(path: &Path, inputs: i64) -> Result<Block> {
    Ok(Block(vec![
        branch(vec![
            Unit::same(&path.sub("branch3x3_1"), inputs, 192, [1, 1])?,
            Unit::valid(&path.sub("branch3x3_2"), 192, 320, 3, 2)?,
        ]),
        branch(vec![
            Unit::same(&path.sub("branch7x7x3_1"), inputs, 192, [1, 1])?,
            Unit::same(&path.sub("branch7x7x3_2"), 192, 192, [1, 7])?,
            Unit::same(&path.sub("branch7x7x3_3"), 192, 192, [7, 1])?,
            Unit::valid(&path.sub("branch7x7x3_4"), 192, 192, 3, 2)?,
        ]),
        Branch { pool: Pool::Max, ..branch(Vec::new()) },
    ]))
}

/// 8×8 places: 3×3 taken apart into a row beside a column.
fn block_e(path: &Path, inputs: i64) -> Result<Block> {
    let unit = |name: &str, inputs, outputs, kernel| Unit::same(&path.sub(name), inputs, outputs, kernel);
    let fork = |name: &str| {
        Ok::<_, tch::TchError>(vec![
            unit(&format!("{name}a"), 384, 384, [1, 3])?,
            unit(&format!("{name}b"), 384, 384, [3, 1])?,
        ])
    };
    Ok(Block(vec![
        branch(vec![unit("branch1x1", inputs, 320, [1, 1])?]),
        Branch { fork: fork("branch3x3_2")?, ..branch(vec![unit("branch3x3_1", inputs, 384, [1, 1])?]) },
        Branch {
            fork: fork("branch3x3dbl_3")?,
            ..branch(vec![unit("branch3x3dbl_1", inputs, 448, [1, 1])?, unit("branch3x3dbl_2", 448, 384, [3, 3])?])
        },
        Branch { pool: Pool::Mean, ..branch(vec![unit("branch_pool", inputs, 192, [1, 1])?]) },
    ]))
}

#[cfg(test)]
mod tests {
    use super::super::Arch;
    use super::super::transfer::check_modes;
    use super::*;

    #[test]
    fn only_the_classifiers_differ_from_torchvision() {
        // torchvision states 27,161,264 with the auxiliary classifier, which has 3,326,696, and 1,000 classes.
        let arch = |frozen| Arch::InceptionV3(InceptionConfig { side: 75, frozen, dropout: 0.0 });
        check_modes(arch, 27_161_264 - 3_326_696 - 1000 * 2049, 2048);
    }
}
