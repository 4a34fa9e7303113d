//! Face pictures that lie on the device and are changed there, a batch at a time.

use emotion_core::BoxError;
use face_prep::augment::{Augmenter, Changes, erased_rectangle};
use face_prep::{Affine, Border};
use model_kit::Parameter;
use model_kit::data::{Dataset, mix_seed};
use model_kit::device::Device;
use tch::{Kind, Tensor, no_grad};

use crate::config::Normalisation;
use crate::dataset::{FaceSet, PIXELS, SIDE};
use crate::error::{Error, Result};

/// Random pixels and values of noise kept on the device; each picture reads on from a place of its own.
const BANK: usize = 1 << 18;

/// A [`FaceSet`] of which all pixels and targets lie on the device, 67 MB for FER-2013, and whose batches are changed there:
/// for a GPU, which would wait for the processor to prepare pictures. One table of a few numbers a picture is all that goes
/// there with each batch.
///
/// From the same seed it draws the same changes as [`FaceSamples`](super::FaceSamples) and gives the same pictures, but for
/// roundings by a grey level or two and for which random pixels fill an erased rectangle and make noise. Blur, low
/// resolution and JPEG are not offered.
#[derive(Debug)]
pub struct ResidentFaces {
    /// `[pictures, 2304]`, bytes.
    pixels: Parameter,
    /// `[pictures, labels]`.
    targets: Parameter,
    /// Random pixels, `[BANK]`.
    fill: Parameter,
    /// Noise of deviation 1, `[BANK]`.
    noise: Parameter,
    classes: Vec<usize>,
    labels: usize,
    normalisation: Normalisation,
    augmenter: Option<Augmenter>,
    device: tch::Device,
}

impl ResidentFaces {
    /// Brings the pictures to the device, to be given as they are.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a set without pictures, [`Error::Model`] for a device that is not there or is full.
    pub fn new(faces: &FaceSet, normalisation: Normalisation, device: Device) -> Result<Self> {
        if faces.is_empty() {
            return Err(Error::input("face set", "at least one picture", 0));
        }
        let device = device.open()?;
        let (count, labels) = (faces.len() as i64, faces.labels().len());
        let pixels: Vec<u8> = (0..faces.len()).flat_map(|index| faces.pixels(index)).copied().collect();
        let targets: Vec<f32> = (0..faces.len()).flat_map(|index| faces.target(index)).copied().collect();
        let draw = |place: usize| mix_seed(0, &[place as u64]);
        let fill: Vec<f32> = (0..BANK).map(|place| (draw(place) >> 56) as f32).collect();
        // Four even draws of a byte, as the augmentation on the processor has it: a bell curve that ends at 3.5 deviations.
        let bell = |bits: u64| (0..4).map(|byte| (bits >> (8 * byte) & 255) as f32).sum::<f32>() - 510.0;
        let scale = 1.0 / (65535.0f32 / 3.0).sqrt();
        let noise: Vec<f32> = (0..BANK).map(|place| bell(draw(place)) * scale).collect();
        let bring = |tensor: Tensor| tensor.f_to_device(device).map(Parameter::from);
        Ok(Self {
            pixels: bring(Tensor::f_from_slice(&pixels)?.f_view([count, PIXELS as i64])?)?,
            targets: bring(Tensor::f_from_slice(&targets)?.f_view([count, labels as i64])?)?,
            fill: bring(Tensor::f_from_slice(&fill)?)?,
            noise: bring(Tensor::f_from_slice(&noise)?)?,
            classes: (0..faces.len()).map(|index| faces.class(index)).collect(),
            labels,
            normalisation,
            augmenter: None,
            device,
        })
    }

    /// The pictures changed at random each time, for training.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for blur, low resolution and JPEG, which only loader threads can do.
    pub fn augmented(mut self, augmenter: Augmenter) -> Result<Self> {
        let config = augmenter.config();
        for (field, probability) in
            [("blur", config.blur), ("low_resolution", config.low_resolution), ("jpeg", config.jpeg)]
        {
            if probability > 0.0 {
                let expected = "0 where pictures are changed on the device".into();
                return Err(Error::InvalidConfig { field, expected, got: probability.to_string() });
            }
        }
        self.augmenter = Some(augmenter);
        Ok(self)
    }

    /// The same pictures on the device, to be given in another way.
    pub(super) fn share(&self) -> Self {
        let share = |tensor: &Parameter| Parameter::from(tensor.shallow_clone());
        Self {
            pixels: share(&self.pixels),
            targets: share(&self.targets),
            fill: share(&self.fill),
            noise: share(&self.noise),
            classes: self.classes.clone(),
            augmenter: self.augmenter.clone(),
            ..*self
        }
    }

    /// Standardised `[samples, 1, 48, 48]` of samples by index and seed, and their targets `[samples, labels]`.
    fn prepare(&self, samples: &[(usize, u64)]) -> Result<(Tensor, Tensor)> {
        let (count, side) = (samples.len() as i64, SIDE as i64);
        let changes: Vec<Option<Changes>> = samples
            .iter()
            .map(|&(_, seed)| Some(self.augmenter.as_ref()?.changes(SIDE as u32, SIDE as u32, seed)))
            .collect();
        let rows = samples.iter().zip(&changes);
        let rows: Vec<f64> = rows.flat_map(|(&(index, _), changes)| row(index, changes.as_ref())).collect();
        no_grad(|| {
            let table = Table(Tensor::f_from_slice(&rows)?.f_view([count, COLUMNS as i64])?.f_to_device(self.device)?);
            let indices = table.whole(INDEX)?;
            let mut pictures = self.pixels.f_index_select(0, &indices)?.f_view([count, 1, side, side])?;
            pictures = pictures.f_to_kind(Kind::Float)?;
            if let Some(augmenter) = &self.augmenter {
                let changes: Vec<Changes> = changes.into_iter().flatten().collect();
                pictures = self.changed(pictures, &table, &changes, augmenter.config().border)?;
            }
            let Normalisation { mean, deviation } = self.normalisation;
            let (scale, shift) = (1.0 / (255.0 * deviation), mean / deviation);
            let standard = pictures.f_mul_scalar(f64::from(scale))?.f_sub_scalar(f64::from(shift))?;
            Ok((standard, self.targets.f_index_select(0, &indices)?))
        })
    }

    /// The changes in the order of [`Augmenter`]; pixels are whole numbers after each, as they are there.
    fn changed(&self, mut pictures: Tensor, table: &Table, changes: &[Changes], border: Border) -> Result<Tensor> {
        let side = SIDE as i64;
        if changes.iter().any(|changes| changes.map.is_some()) {
            let maps = table.0.f_narrow(1, MAP, 6)?.f_to_kind(Kind::Float)?.f_view([-1, 2, 3])?;
            // Positions count from the centres of the edge pixels: that is where both borders begin.
            let grid = Tensor::f_affine_grid_generator(&maps, pictures.size(), true)?;
            let (bilinear, padding) = (0, if border == Border::Replicate { 1 } else { 2 });
            pictures = pictures.f_grid_sampler(&grid, bilinear, padding, true)?.f_add_scalar(0.5)?.f_floor()?;
        }
        if changes.iter().any(|changes| changes.light != (0.0, 0.0)) {
            let mean = pictures.f_mean_dim(&[1i64, 2, 3][..], true, Kind::Float)?;
            let contrast = table.real(CONTRAST)?;
            let offset = mean.f_sub(&mean.f_mul(&contrast)?)?.f_add(&table.real(BRIGHTNESS)?)?;
            pictures = bytes(&pictures.f_mul(&contrast)?.f_add(&offset)?)?;
        }
        if changes.iter().any(|changes| changes.darkness.is_some()) {
            let darker = pictures.f_div_scalar(255.0)?.f_pow(&table.real(GAMMA)?)?;
            pictures = bytes(&darker.f_mul_scalar(255.0)?)?;
        }
        if changes.iter().any(|changes| changes.noise.is_some()) {
            let noise = stretches(&self.noise, &table.whole(NOISE)?)?;
            pictures = bytes(&pictures.f_add(&noise.f_mul(&table.real(SIGMA)?)?)?)?;
        }
        if changes.iter().any(|changes| changes.erasing.is_some()) {
            let places = Tensor::f_arange(side, (Kind::Float, self.device))?;
            let inside = |along: Tensor, length: &Tensor| -> Result<Tensor> {
                Ok(along.f_ge(0.0)?.f_logical_and(&along.f_lt_tensor(length)?)?)
            };
            let across = inside(places.f_view([1, 1, 1, side])?.f_sub(&table.real(LEFT)?)?, &table.real(WIDTH)?)?;
            let down = inside(places.f_view([1, 1, side, 1])?.f_sub(&table.real(TOP)?)?, &table.real(HEIGHT)?)?;
            let fill = stretches(&self.fill, &table.whole(FILL)?)?;
            pictures = fill.f_where_self(&across.f_logical_and(&down)?, &pictures)?;
        }
        Ok(pictures)
    }
}

/// What a batch is made by, a row for each picture, `[pictures, COLUMNS]` in double precision, which holds indices too.
struct Table(Tensor);

const INDEX: i64 = 0;
/// Six columns.
const MAP: i64 = 1;
const CONTRAST: i64 = 7;
const BRIGHTNESS: i64 = 8;
const GAMMA: i64 = 9;
const SIGMA: i64 = 10;
const NOISE: i64 = 11;
const LEFT: i64 = 12;
const TOP: i64 = 13;
const WIDTH: i64 = 14;
const HEIGHT: i64 = 15;
const FILL: i64 = 16;
const COLUMNS: usize = 17;

impl Table {
    /// `[pictures, 1, 1, 1]`
    fn real(&self, column: i64) -> Result<Tensor> {
        Ok(self.0.f_narrow(1, column, 1)?.f_to_kind(Kind::Float)?.f_view([-1, 1, 1, 1])?)
    }

    /// `[pictures]`
    fn whole(&self, column: i64) -> Result<Tensor> {
        Ok(self.0.f_select(1, column)?.f_to_kind(Kind::Int64)?)
    }
}

/// A picture's row of the table. What does not happen to it has numbers that change nothing.
fn row(index: usize, changes: Option<&Changes>) -> [f64; COLUMNS] {
    let [a, b, c, d, e, f] = centred(changes.and_then(|changes| changes.map.as_ref()));
    let (brightness, contrast) = changes.map_or((0.0, 0.0), |changes| changes.light);
    let gamma = changes.and_then(|changes| changes.darkness).unwrap_or(1.0);
    let (sigma, noise) = changes.and_then(|changes| changes.noise).unwrap_or_default();
    let erasing = changes.and_then(|changes| changes.erasing);
    let rectangle = |(share, ratio, seed)| erased_rectangle(SIDE, SIDE, share, ratio, seed);
    let [left, top, width, height] = erasing.map_or([0; 4], rectangle).map(|pixels| pixels as f64);
    let start = |seed: u64| (seed % (BANK - PIXELS) as u64) as f64;
    [
        index as f64,
        a,
        b,
        c,
        d,
        e,
        f,
        1.0 + f64::from(contrast),
        255.0 * f64::from(brightness),
        f64::from(gamma),
        255.0 * f64::from(sigma),
        start(noise),
        left,
        top,
        width,
        height,
        start(erasing.map_or(0, |(_, _, seed)| seed)),
    ]
}

/// A map between pixels as one between positions from -1, the centre of the first pixel, to 1, that of the last.
fn centred(map: Option<&Affine>) -> [f64; 6] {
    let Some(Affine(map)) = map else { return [1.0, 0.0, 0.0, 0.0, 1.0, 0.0] };
    let [[a, b, c], [d, e, f]] = map.map(|row| row.map(f64::from));
    let half = (SIDE - 1) as f64 / 2.0;
    let shift = |x: f64, y: f64, by: f64| ((x + y) * (half + 0.5) + by - 0.5) / half - 1.0;
    [a, b, shift(a, b, c), d, e, shift(d, e, f)]
}

/// For each picture its own stretch of a bank, `[pictures, 1, 48, 48]`.
fn stretches(bank: &Tensor, starts: &Tensor) -> Result<Tensor> {
    // A view of every stretch there is.
    let all = bank.f_unfold(0, PIXELS as i64, 1)?;
    Ok(all.f_index_select(0, starts)?.f_view([-1, 1, SIDE as i64, SIDE as i64])?)
}

/// Rounded, and held between 0 and 255.
fn bytes(values: &Tensor) -> Result<Tensor> {
    Ok(values.f_clamp(0.0, 255.0)?.f_round()?)
}

impl Dataset for ResidentFaces {
    fn len(&self) -> usize {
        self.classes.len()
    }

    fn input_shape(&self) -> &[i64] {
        &[1, SIDE as i64, SIDE as i64]
    }

    fn classes(&self) -> usize {
        self.labels
    }

    fn class(&self, index: usize) -> Option<usize> {
        self.classes.get(index).copied()
    }

    fn sample(&self, index: usize, seed: u64, input: &mut [f32], target: &mut [f32]) -> Result<(), BoxError> {
        let (pixels, probabilities) = self.prepare(&[(index, seed)])?;
        input.copy_from_slice(&Vec::<f32>::try_from(pixels.f_flatten(0, -1)?)?);
        target.copy_from_slice(&Vec::<f32>::try_from(probabilities.f_flatten(0, -1)?)?);
        Ok(())
    }

    fn batch(&self, samples: &[(usize, u64)]) -> Result<Option<(Tensor, Tensor)>, BoxError> {
        Ok(Some(self.prepare(samples)?))
    }
}

#[cfg(test)]
mod tests {
    use emotion_core::LabelSet;
    use face_prep::augment::AugmentConfig;

    use super::*;
    use crate::train::FaceSamples;

    /// Pixels as they are.
    const PLAIN: Normalisation = Normalisation { mean: 0.0, deviation: 1.0 / 255.0 };

    fn faces() -> FaceSet {
        let mut set = FaceSet::new(LabelSet::face7());
        for number in 0..5usize {
            let wave = |place: usize, step: f32| ((place as f32 + number as f32) / step).sin();
            let pixel = |place: usize| (128.0 + 60.0 * wave(place % SIDE, 4.0) + 50.0 * wave(place / SIDE, 6.0)) as u8;
            set.push(&(0..PIXELS).map(pixel).collect::<Vec<u8>>(), number).unwrap();
        }
        set
    }

    /// The same pictures by the loader and from the device, in grey levels.
    fn both(config: &AugmentConfig, seeds: u64) -> [Vec<f32>; 2] {
        let faces = faces();
        let augmenter = Augmenter::new(config.clone()).unwrap();
        let loader = FaceSamples::new(&faces, PLAIN).augmented(augmenter.clone());
        let resident = ResidentFaces::new(&faces, PLAIN, Device::Cpu).unwrap().augmented(augmenter).unwrap();
        let samples: Vec<(usize, u64)> = (0..seeds).map(|seed| (seed as usize % 5, seed)).collect();
        let (inputs, targets) = resident.batch(&samples).unwrap().unwrap();
        assert_eq!((inputs.size(), targets.size()), (vec![seeds as i64, 1, 48, 48], vec![seeds as i64, 7]));
        let mut wanted = vec![0.0; samples.len() * PIXELS];
        for (place, (&(index, seed), input)) in samples.iter().zip(wanted.chunks_exact_mut(PIXELS)).enumerate() {
            let mut target = [0.0; 7];
            loader.sample(index, seed, input, &mut target).unwrap();
            assert_eq!(Vec::<f32>::try_from(targets.select(0, place as i64)).unwrap(), target);
        }
        [wanted, Vec::try_from(inputs.flatten(0, -1)).unwrap()]
    }

    #[test]
    fn the_same_seeds_give_the_pictures_of_the_loader() {
        let none = AugmentConfig::none;
        let alone = [
            ("flip", AugmentConfig { flip: 0.5, ..none() }),
            ("rotation", AugmentConfig { rotation: 20.0, ..none() }),
            ("shift", AugmentConfig { shift: 0.2, ..none() }),
            ("zoom", AugmentConfig { zoom: [0.7, 1.4], ..none() }),
            ("shear", AugmentConfig { shear: 15.0, ..none() }),
            ("brightness", AugmentConfig { brightness: 0.3, ..none() }),
            ("contrast", AugmentConfig { contrast: 0.3, ..none() }),
            ("darkness", AugmentConfig { darkness: 0.5, ..none() }),
        ];
        let all = AugmentConfig { shear: 6.0, darkness: 0.3, erasing: 0.0, ..AugmentConfig::default() };
        // Where a sum lies within rounding of a half, it may fall to the other side: one level. Contrast and darkness then
        // make up to three of one.
        let alone = alone.map(|(name, config)| (name, config, 1.0));
        for (name, config, most) in alone.into_iter().chain([("all", all, 3.0)]) {
            for border in [Border::Replicate, Border::Reflect] {
                let [wanted, got] = both(&AugmentConfig { border, ..config.clone() }, 200);
                let apart = || wanted.iter().zip(&got).map(|(one, other)| (one - other).abs());
                let worst = apart().fold(0.0, f32::max);
                let differ = apart().filter(|&apart| apart > 0.5).count();
                assert!(worst < most + 1e-2, "{name}, {border:?}: {worst}");
                assert!(differ * 200 < wanted.len(), "{name}, {border:?}: {differ} of {}", wanted.len());
            }
        }
    }

    #[test]
    fn nothing_switched_on_gives_the_pictures_themselves() {
        let [wanted, got] = both(&AugmentConfig::none(), 10);
        assert_eq!(wanted, got);
        let resident = ResidentFaces::new(&faces(), PLAIN, Device::Cpu).unwrap();
        let (mut input, mut target) = ([0.0; PIXELS], [0.0; 7]);
        resident.sample(3, 0, &mut input, &mut target).unwrap();
        assert_eq!(input, wanted[3 * PIXELS..4 * PIXELS]);
        assert_eq!((target[3], resident.len(), resident.class(4)), (1.0, 5, Some(4)));
    }

    #[test]
    fn rectangles_fall_on_the_same_places_and_noise_is_as_strong() {
        let [original, _] = both(&AugmentConfig::none(), 100);
        let [wanted, got] = both(&AugmentConfig { erasing: 1.0, ..AugmentConfig::none() }, 100);
        let changed = |pixels: &[f32]| -> Vec<bool> {
            pixels.iter().zip(&original).map(|(one, other)| (one - other).abs() > 0.5).collect()
        };
        let (theirs, ours) = (changed(&wanted), changed(&got));
        // A random pixel may be the one that stood there.
        let apart = theirs.iter().zip(&ours).filter(|(one, other)| one != other).count();
        let all = theirs.iter().filter(|&&changed| changed).count();
        assert!(all > 10_000 && apart * 50 < all, "{apart} of {all}");
        let fill: Vec<f32> = got.iter().zip(&ours).filter(|(_, changed)| **changed).map(|(&pixel, _)| pixel).collect();
        let mean = fill.iter().sum::<f32>() / fill.len() as f32;
        assert!((mean - 127.5).abs() < 3.0, "{mean}");

        let noisy = AugmentConfig { noise: 1.0, noise_sigma: 0.1, ..AugmentConfig::none() };
        let moments = |pixels: &[f32]| {
            let moment = |power| {
                let sum: f64 =
                    pixels.iter().zip(&original).map(|(one, other)| f64::from(one - other).powi(power)).sum();
                sum / pixels.len() as f64
            };
            (moment(1), moment(2).sqrt())
        };
        let [(bias, wanted), (bias_here, got)] = both(&noisy, 100).map(|pixels| moments(&pixels));
        assert!(
            (wanted / got - 1.0).abs() < 0.02 && (bias - bias_here).abs() < 0.1,
            "{wanted} {got}, {bias} {bias_here}"
        );
    }

    #[test]
    fn what_cannot_be_done_on_the_device_is_refused() {
        let resident = || ResidentFaces::new(&faces(), PLAIN, Device::Cpu).unwrap();
        for config in [
            AugmentConfig { blur: 0.1, ..AugmentConfig::none() },
            AugmentConfig { jpeg: 0.1, ..AugmentConfig::none() },
            AugmentConfig { low_resolution: 0.1, ..AugmentConfig::none() },
        ] {
            let refused = resident().augmented(Augmenter::new(config).unwrap());
            assert!(matches!(refused, Err(Error::InvalidConfig { .. })));
        }
        let empty = FaceSet::new(LabelSet::face7());
        assert!(matches!(ResidentFaces::new(&empty, PLAIN, Device::Cpu), Err(Error::InvalidInput { .. })));
    }
}
