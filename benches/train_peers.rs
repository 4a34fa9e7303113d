//! This workspace's side of the comparison with PyTorch: `cargo xtask bench-train` builds it and asks it.
//!
//! ```text
//! train_peers serve --threads N --device D --seed S   answers "CONTESTANT REPEATS" with seconds (see peers/serve.rs)
//! train_peers export FOLDER                           writes NETWORK.safetensors: weights, an input, and what comes out
//! ```
//!
//! | contestant | one call is |
//! |---|---|
//! | `step/ROW` | one step of a `Trainer`, on pictures as they are; `ROW` is one of [`STEPS`] |
//! | `loop0/ROW`, `loop1/ROW` | the same on augmented pictures, prepared by that many loader threads |
//! | `resident/ROW` | the same on augmented pictures that lie on the device, changed there at the word of one loader thread |
//! | `network/NETWORK/BATCH` | the network alone, prepared for inference as `FerModel` does it: tensor to tensor |
//! | `predict/NETWORK/BATCH` | `FerModel::predict_batch`: grey pictures to probabilities |
//! | `speech/SECONDS` | `SerModel::predict` of so many seconds of sound at 16 kHz |
//!
//! A contestant is made when it is first asked for, so a process that is asked for one shows what one costs in memory.

#[path = "peers/serve.rs"]
mod serve;

use std::f32::consts::TAU;
use std::hint::black_box;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use emotion_core::{BoxError, LabelSet};
use face_prep::augment::Augmenter;
use fer_model::FerModel;
use fer_model::arch::Arch;
use fer_model::config::{ModelConfig, Normalisation};
use fer_model::dataset::{FaceSet, PIXELS, SIDE};
use fer_model::train::{FaceSamples, Recipe, ResidentFaces};
use image::GrayImage;
use model_kit::callback::{Callback, Flow, StepInfo};
use model_kit::data::{Dataset, mix_seed};
use model_kit::device::{Device, set_threads};
use model_kit::layers::Network;
use model_kit::optim::OptimizerConfig;
use model_kit::schedule::Schedule;
use model_kit::trainer::{TrainConfig, Trainer};
use model_kit::weights::Weights;
use ser_model::SerModel;
use ser_model::arch::{Architecture, MaskedCnn};
use serve::Contestant;
use tch::nn::VarStore;
use tch::{Kind, Tensor, no_grad};

/// As many pictures as FER-2013 has for training.
const PICTURES: usize = 28_709;
/// Images of sound: bands and the mask, and the frames of two seconds.
const IMAGE: [i64; 2] = [65, 126];
/// The metadata key of a model's configuration in a weights file.
const CONFIG_KEY: &str = "fer_model";

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// What cargo passes to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Time contestants as the standard input asks for them.
    Serve {
        /// Threads that one operation may use.
        #[arg(long, default_value_t = 1)]
        threads: usize,
        #[arg(long, default_value_t = Device::Cpu)]
        device: Device,
    },
    /// Write each network's weights, an input and its outputs.
    Export { folder: std::path::PathBuf },
}

/// A network of either model crate.
#[derive(Debug, Clone)]
enum Net {
    Face(Arch),
    Speech(Architecture),
}

impl Net {
    const NAMES: [&'static str; 6] =
        ["compact", "mini_genie_cnn", "realtime_cnn", "masked_cnn", "log_mel_cnn", "deep_cnn_1d"];

    fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "masked_cnn" | "log_mel_cnn" | "deep_cnn_1d" => Self::Speech(name.parse()?),
            _ => Self::Face(name.parse()?),
        })
    }

    fn classes(&self) -> usize {
        match self {
            Self::Face(_) => 7,
            Self::Speech(_) => 8,
        }
    }

    /// The shape of one input.
    fn shape(&self) -> Vec<i64> {
        match self {
            Self::Face(_) => vec![1, SIDE as i64, SIDE as i64],
            Self::Speech(arch) if arch.reads_log_mel() => IMAGE.to_vec(),
            Self::Speech(_) => vec![ser_model::arch::VECTOR],
        }
    }

    fn build(&self, path: &tch::nn::Path) -> model_kit::layers::Result<Box<dyn Network>> {
        match self {
            Self::Face(arch) => arch.build(path, self.classes()),
            Self::Speech(arch) => arch.build(path, IMAGE[0] - 1, self.classes() as i64),
        }
    }

    /// A network whose batch norms have seen some noise, and its tensors.
    fn warmed(&self, device: tch::Device) -> Result<(VarStore, Box<dyn Network>)> {
        tch::manual_seed(5);
        let mut store = VarStore::new(device);
        let network = self.build(&store.root())?;
        for _ in 0..10 {
            let _ = no_grad(|| network.forward(&self.noise(16, device)?, true))?;
        }
        store.freeze();
        Ok((store, network))
    }

    /// Inputs of noise; an image's mask says that all of it is sound.
    fn noise(&self, batch: i64, device: tch::Device) -> model_kit::layers::Result<Tensor> {
        let mut size = vec![batch];
        size.extend(self.shape());
        let noise = Tensor::f_randn(size, (Kind::Float, device))?;
        if self.shape().len() == 2 {
            let _ = noise.f_narrow(1, IMAGE[0] - 1, 1)?.f_fill_(1.0)?;
        }
        Ok(noise)
    }
}

/// A training that is timed.
struct Row {
    name: &'static str,
    net: &'static str,
    optimizer: OptimizerConfig,
    batch_size: usize,
    ema_decay: f64,
    label_smoothing: f64,
    mixup: f64,
    clip_norm: f64,
}

/// The networks by their recipes, each with the batch, optimiser and losses of its own.
fn rows() -> Vec<Row> {
    let plain = Row {
        name: "mini_genie_cnn",
        net: "mini_genie_cnn",
        optimizer: OptimizerConfig::rms_prop(),
        batch_size: 64,
        ema_decay: 0.0,
        label_smoothing: 0.0,
        mixup: 0.0,
        clip_norm: 0.0,
    };
    let compact = Row {
        name: "compact",
        net: "compact",
        optimizer: OptimizerConfig::Sgd { momentum: 0.9, weight_decay: 5e-4 },
        batch_size: 128,
        label_smoothing: 0.1,
        mixup: 0.2,
        ..plain
    };
    let averaged = Row { name: "compact-ema", ema_decay: 0.999, ..compact };
    let adam = OptimizerConfig::adam_w(0.0);
    let deep = Row { name: "deep_cnn_1d", net: "deep_cnn_1d", optimizer: adam, ..plain };
    let masked = Row {
        name: "masked_cnn",
        net: "masked_cnn",
        optimizer: OptimizerConfig::adam_w(1e-2),
        batch_size: 32,
        ema_decay: 0.995,
        mixup: 0.0,
        clip_norm: 5.0,
        ..compact
    };
    let log_mel = Row { name: "log_mel_cnn", net: "log_mel_cnn", mixup: 0.2, ..masked };
    vec![plain, compact, averaged, masked, log_mel, deep]
}

impl Row {
    /// A rate so small that a long measurement leaves the numbers ordinary.
    fn config(&self) -> TrainConfig {
        TrainConfig {
            epochs: usize::MAX >> 32,
            batch_size: self.batch_size,
            learning_rate: 1e-4,
            optimizer: self.optimizer,
            schedule: Schedule::Constant,
            label_smoothing: self.label_smoothing,
            mixup: self.mixup,
            ema_decay: self.ema_decay,
            clip_norm: self.clip_norm,
            ..TrainConfig::default()
        }
    }
}

/// Pictures with the statistics of noise that was smoothed a little.
fn pictures(count: usize) -> Result<FaceSet> {
    let mut faces = FaceSet::new(LabelSet::face7());
    let mut pixels = vec![0u8; PIXELS];
    for picture in 0..count {
        let mut value = 128i32;
        for (place, pixel) in pixels.iter_mut().enumerate() {
            let step = (mix_seed(picture as u64, &[place as u64]) % 33) as i32 - 16;
            value = (value + step).clamp(0, 255);
            *pixel = value as u8;
        }
        faces.push(&pixels, picture % 7)?;
    }
    Ok(faces)
}

const NORMALISATION: Normalisation = Normalisation { mean: 0.5, deviation: 0.25 };

/// Inputs that lie ready in memory.
struct Ready {
    shape: Vec<i64>,
    classes: usize,
    auxiliary: Vec<usize>,
    inputs: Vec<f32>,
    len: usize,
}

impl Ready {
    fn new(net: &Net, len: usize) -> Result<Self> {
        let noise = net.noise(len as i64, tch::Device::Cpu)?;
        let auxiliary = match net {
            Net::Speech(Architecture::MaskedCnn) => {
                MaskedCnn::auxiliary(IMAGE[0] as usize - 1, IMAGE[1] as usize).to_vec()
            }
            _ => Vec::new(),
        };
        let inputs = Vec::try_from(noise.f_flatten(0, -1)?)?;
        Ok(Self { shape: net.shape(), classes: net.classes(), auxiliary, inputs, len })
    }
}

impl Dataset for Ready {
    fn len(&self) -> usize {
        self.len
    }

    fn input_shape(&self) -> &[i64] {
        &self.shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn auxiliary(&self) -> &[usize] {
        &self.auxiliary
    }

    fn sample(&self, index: usize, _: u64, input: &mut [f32], target: &mut [f32]) -> Result<(), BoxError> {
        let width = input.len();
        input.copy_from_slice(&self.inputs[index * width..][..width]);
        target[index % self.classes] = 1.0;
        target[self.classes..].fill(0.5);
        Ok(())
    }
}

/// Lets a training take one step each time that it is asked to.
struct Gate {
    go: Receiver<()>,
    done: Sender<()>,
}

impl Callback for Gate {
    fn on_step(&mut self, _: &StepInfo) -> Result<Flow, BoxError> {
        let alive = self.done.send(()).is_ok() && self.go.recv().is_ok();
        Ok(if alive { Flow::Continue } else { Flow::Stop })
    }
}

/// Where the pictures of a training come from.
#[derive(Clone, Copy, PartialEq)]
enum Source {
    /// As they are, in turn with the network.
    Plain,
    /// Augmented, by this number of loader threads.
    Loader(usize),
    /// Augmented on the device, one loader thread ahead.
    Resident,
}

/// A training on a thread of its own. Each call is one step of it.
fn training(row: Row, device: Device, source: Source) -> Result<impl FnMut()> {
    let (ask, go) = channel();
    let (done, answer) = channel();
    let net = Net::named(row.net)?;
    thread::spawn(move || -> Result<()> {
        let mut gate = Gate { go, done };
        let threads = match source {
            Source::Plain => 0,
            Source::Loader(threads) => threads,
            Source::Resident => 1,
        };
        let mut trainer = Trainer::new(row.config(), device, |path| net.build(path))?.loader_threads(threads);
        let callbacks: &mut [&mut dyn Callback] = &mut [&mut gate];
        match &net {
            Net::Face(_) => {
                let faces = pictures(PICTURES)?;
                let augmenter = Augmenter::new(Recipe::default().augment)?;
                if source == Source::Resident {
                    let samples = ResidentFaces::new(&faces, NORMALISATION, device)?.augmented(augmenter)?;
                    trainer.fit(&samples, None::<&ResidentFaces>, callbacks)?;
                    return Ok(());
                }
                let mut samples = FaceSamples::new(&faces, NORMALISATION);
                if source != Source::Plain {
                    samples = samples.augmented(augmenter);
                }
                trainer.fit(&samples, None::<&FaceSamples<'_>>, callbacks)?;
            }
            Net::Speech(_) => {
                trainer.fit(&Ready::new(&net, 2048)?, None::<&Ready>, callbacks)?;
            }
        }
        Ok(())
    });
    // The step that is under way when the training starts.
    answer.recv().context("the training failed")?;
    Ok(move || {
        // A training that ends here would stop the clock at once: the process ends instead.
        if ask.send(()).is_err() || answer.recv().is_err() {
            std::process::exit(1);
        }
    })
}

/// A model of fresh weights.
fn model(net: &Net, device: Device) -> Result<FerModel> {
    let Net::Face(arch) = net else { bail!("not a face network") };
    let (store, _) = net.warmed(tch::Device::Cpu)?;
    let mut weights = Weights::from_store(&store)?;
    let config = ModelConfig {
        name: String::new(),
        arch: arch.clone(),
        labels: LabelSet::face7(),
        normalisation: NORMALISATION,
        temperature: 1.0,
        training: None,
    };
    weights.metadata.insert(CONFIG_KEY.to_owned(), serde_json::to_string(&config)?);
    Ok(FerModel::from_weights(&weights, device)?)
}

/// A buzz with the pitch and the syllables of speech, so that the gate lets it through.
fn buzz(seconds: usize) -> Vec<f32> {
    (0..16_000 * seconds)
        .map(|n| {
            let time = n as f32 / 16_000.0;
            let wave: f32 = (1..8).map(|k| (time * 150.0 * k as f32 * TAU).sin() / k as f32).sum();
            0.15 * wave * (time * 2.0 * TAU).sin().powi(2)
        })
        .collect()
}

/// What a name stands for.
fn contestant(name: &str, device: Device) -> Result<Box<dyn FnMut()>> {
    let parts: Vec<&str> = name.split('/').collect();
    let row = |name: &str| rows().into_iter().find(|row| row.name == name).with_context(|| format!("no row {name}"));
    Ok(match parts[..] {
        ["step", name] => Box::new(training(row(name)?, device, Source::Plain)?),
        ["loop0", name] => Box::new(training(row(name)?, device, Source::Loader(0))?),
        ["loop1", name] => Box::new(training(row(name)?, device, Source::Loader(1))?),
        ["resident", name] => Box::new(training(row(name)?, device, Source::Resident)?),
        ["network", name, batch] => {
            let (net, device) = (Net::named(name)?, device.open()?);
            let (_, mut network) = net.warmed(device)?;
            network.fold()?;
            let input = net.noise(batch.parse()?, device)?;
            Box::new(move || {
                // The first call told whether it fails.
                let output = no_grad(|| network.forward(black_box(&input), false));
                black_box(output.and_then(|output| output.f_double_value(&[0, 0])).unwrap_or(f64::NAN));
            })
        }
        ["predict", name, batch] => {
            let model = model(&Net::named(name)?, device)?;
            let set = pictures(batch.parse()?)?;
            let faces: Vec<GrayImage> = (0..set.len()).map(|index| set.image(index)).collect();
            ensure!(model.predict_batch(&faces)?.len() == faces.len());
            Box::new(move || {
                let _ = black_box(model.predict_batch(black_box(&faces)));
            })
        }
        ["speech", seconds] => {
            let (model, sound) = (SerModel::pretrained()?, buzz(seconds.parse()?));
            ensure!(model.predict(&sound, 16_000)?.is_some(), "the sound was not taken for speech");
            Box::new(move || {
                let _ = black_box(model.predict(black_box(&sound), 16_000));
            })
        }
        _ => bail!("nothing of this name"),
    })
}

/// Every name there is, each made when it is asked for.
fn contestants(device: Device) -> Vec<Contestant<'static>> {
    let kinds = ["step", "loop0", "loop1", "resident"];
    let trainings = rows().into_iter().flat_map(|row| kinds.map(|kind| format!("{kind}/{}", row.name)));
    let looks = Net::NAMES.into_iter().flat_map(|net| {
        ["network", "predict"].into_iter().flat_map(move |kind| [1, 64].map(|batch| format!("{kind}/{net}/{batch}")))
    });
    let sounds = [2, 10].map(|seconds| format!("speech/{seconds}"));
    let lazy = |name: String| {
        let mut made = None;
        Contestant::new(name.clone(), move || {
            let call = made.get_or_insert_with(|| match contestant(&name, device) {
                Ok(call) => call,
                Err(error) => fail(&name, &error),
            });
            call();
        })
    };
    trainings.chain(looks).chain(sounds).map(lazy).collect()
}

#[expect(clippy::print_stderr, reason = "a program speaks on its terminal")]
fn fail(name: &str, error: &anyhow::Error) -> ! {
    eprintln!("{name}: {error:#}");
    std::process::exit(1)
}

/// Weights as a training starts with them, an input, and what the plain and the folded network make of it.
fn export(folder: &Path) -> Result<()> {
    for name in Net::NAMES {
        let net = Net::named(name)?;
        let (store, mut network) = net.warmed(tch::Device::Cpu)?;
        let mut weights = Weights::default();
        weights.extend("model.", &store)?;
        let input = net.noise(5, tch::Device::Cpu)?;
        weights.insert("input".into(), &input)?;
        weights.insert("logits".into(), &no_grad(|| network.forward(&input, false))?)?;
        network.fold()?;
        weights.insert("folded".into(), &no_grad(|| network.forward(&input, false))?)?;
        weights.save(&folder.join(format!("{name}.safetensors")))?;
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a program speaks on its terminal")]
fn main() -> Result<()> {
    match Cli::parse().command {
        None => eprintln!("this bench is run by cargo xtask bench-train"),
        Some(Command::Export { folder }) => export(&folder)?,
        Some(Command::Serve { threads, device }) => {
            set_threads(threads)?;
            serve::serve(contestants(device))?;
        }
    }
    Ok(())
}
