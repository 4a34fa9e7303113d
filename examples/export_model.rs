//! Writes a face or speech model as a file that other programs run: ONNX or TorchScript.
//!
//! ```text
//! cargo run --release --example export_model -- --weights pretrained-face --out face.onnx
//! cargo run --release --example export_model -- --weights pretrained-voice --format torchscript --out voice.pt
//! cargo run --release --example export_model -- --weights runs/fer/model.safetensors --out mine.onnx --samples mine.safetensors
//! cargo run --release --example export_model -- --every exports
//! ```
//!
//! An ONNX file holds labels, temperature and normalisation as its metadata; beside a TorchScript file they stand in a file
//! of the same name with `.json` at the end. `--samples` writes inputs with the logits that the model gives them, to see
//! elsewhere that the file gives the same; `cargo xtask check-exports` does so with every network, by `--every`.

#![allow(clippy::print_stdout, reason = "it talks to the one who runs it")]

#[path = "common/face_weights.rs"]
mod face_weights;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use emotion_core::LabelSet;
use fer_model::FerModel;
use fer_model::arch::Arch;
use fer_model::config::{ModelConfig as FaceConfig, Normalisation};
use model_kit::device::Device;
use model_kit::export::{Description, Format};
use model_kit::generator::seeded;
use model_kit::weights::Weights;
use ser_model::arch::Architecture;
use ser_model::features::TrackConfig;
use ser_model::input::LogMelConfig;
use ser_model::{Features, ModelConfig as VoiceConfig, SequenceConfig, SerModel, Statistics};
use tch::nn::VarStore;
use tch::{Tensor, no_grad};

#[derive(Parser)]
#[command(about = "Writes a face or speech model as ONNX or TorchScript", version)]
struct Options {
    /// pretrained-face, pretrained-ferplus, pretrained-tiny, pretrained-voice, or a model file of this workspace.
    #[arg(long, required_unless_present = "every")]
    weights: Option<String>,
    /// What to write; by the ending of --out (.onnx, .pt) if not said.
    #[arg(long, value_enum)]
    format: Option<Kind>,
    /// The file to write.
    #[arg(long, required_unless_present = "every")]
    out: Option<PathBuf>,
    /// Also write inputs and the logits that the model gives them, as safetensors: `input_0`, `logits_0`, …
    #[arg(long)]
    samples: Option<PathBuf>,
    /// Instead, write every network with random weights and all shipped models into this folder, in both formats and with
    /// samples.
    #[arg(long, conflicts_with_all = ["weights", "out", "samples", "format"])]
    every: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Onnx,
    Torchscript,
}

impl From<Kind> for Format {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Onnx => Self::Onnx,
            Kind::Torchscript => Self::TorchScript,
        }
    }
}

enum Model {
    Face(Box<FerModel>),
    Voice(Box<SerModel>),
}

impl Model {
    fn load(name: &str) -> Result<Self> {
        match name {
            "pretrained-voice" => Ok(Self::Voice(Box::new(SerModel::pretrained()?))),
            face if face.starts_with("pretrained") => Ok(Self::Face(Box::new(face_weights::open(face, Device::Cpu)?))),
            file => Self::from_weights(&Weights::open(file.as_ref())?),
        }
    }

    fn from_weights(weights: &Weights) -> Result<Self> {
        Ok(if weights.metadata.contains_key("ser_model") {
            Self::Voice(Box::new(SerModel::from_weights(weights, Device::Cpu)?))
        } else {
            Self::Face(Box::new(FerModel::from_weights(weights, Device::Cpu)?))
        })
    }

    fn export(&self, path: &Path, format: Format) -> Result<()> {
        match self {
            Self::Face(model) => model.export(path, format)?,
            Self::Voice(model) => model.export(path, format)?,
        }
        println!("{}", path.display());
        Ok(())
    }

    fn description(&self) -> Description {
        match self {
            Self::Face(model) => model.description(),
            Self::Voice(model) => model.description(),
        }
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Face(model) => model.forward(input)?,
            Self::Voice(model) => model.forward(input)?,
        })
    }

    /// Batches of 1 and of 7, and clips of other lengths where the network takes any.
    fn write_samples(&self, path: &Path) -> Result<()> {
        let (description, mut samples) = (self.description(), Weights::default());
        for (index, sizes) in [(1, 64), (7, 64), (2, 16), (3, 501)].into_iter().enumerate() {
            let input = description.sample(sizes, tch::Device::Cpu)?;
            samples.insert(format!("logits_{index}"), &self.forward(&input)?)?;
            samples.insert(format!("input_{index}"), &input)?;
        }
        Ok(samples.save(path)?)
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    if let Some(folder) = &options.every {
        return every(folder);
    }
    // Clap has seen to both being there.
    let (weights, out) = options.weights.as_deref().zip(options.out.as_deref()).context("--weights and --out")?;
    let format = match options.format {
        Some(kind) => kind.into(),
        None => {
            let ending = out.extension().unwrap_or_default();
            let known = Format::ALL.into_iter().find(|format| ending == format.extension());
            known.with_context(|| format!("say --format: {} ends in neither .onnx nor .pt", out.display()))?
        }
    };
    let model = Model::load(weights).with_context(|| format!("cannot load {weights}"))?;
    model.export(out, format)?;
    options.samples.map_or(Ok(()), |path| model.write_samples(&path))
}

fn every(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let write = |name: &str, model: &Model| -> Result<()> {
        for format in Format::ALL {
            let path = folder.join(name).with_extension(format.extension());
            model.export(&path, format).with_context(|| format!("cannot export {name}"))?;
        }
        model.write_samples(&folder.join(name).with_extension("safetensors"))
    };
    for name in ["pretrained-face", "pretrained-ferplus", "pretrained-tiny", "pretrained-voice"] {
        write(name, &Model::load(name)?)?;
    }
    for arch in Arch::all().into_iter().chain(Arch::presets()) {
        if arch.to_string().ends_with("_frozen") {
            // It computes the same as the other.
            continue;
        }
        write(&format!("face-{arch}"), &untrained_face(arch)?)?;
    }
    for architecture in Architecture::ALL {
        write(&format!("voice-{architecture}"), &untrained_voice(architecture)?)?;
    }
    Ok(())
}

fn untrained_face(arch: Arch) -> Result<Model> {
    let (store, labels) = (VarStore::new(tch::Device::Cpu), LabelSet::face7());
    seeded(1, || arch.build(&store.root(), labels.len()))?;
    let mut weights = shaken(&store)?;
    let config = FaceConfig {
        name: format!("untrained {arch}"),
        arch,
        labels,
        normalisation: Normalisation { mean: 0.5, deviation: 0.25 },
        temperature: 1.5,
        training: None,
    };
    weights.metadata.extend([config.to_metadata()]);
    Model::from_weights(&weights)
}

fn untrained_voice(architecture: Architecture) -> Result<Model> {
    let (store, labels) = (VarStore::new(tch::Device::Cpu), LabelSet::speech8());
    let standard = |rows| Statistics { mean: vec![0.0; rows], deviation: vec![1.0; rows] };
    let (features, rows) = if architecture.reads_log_mel() {
        let config = LogMelConfig::default();
        let rows = config.n_mels;
        (Features::LogMel(config), rows)
    } else if architecture.reads_mfcc() {
        let tracks = TrackConfig { pitch: false, energy: false, ..TrackConfig::default() };
        let rows = tracks.n_mfcc;
        (Features::Mfcc(SequenceConfig { tracks, statistics: standard(rows) }), rows)
    } else {
        (Features::Vector(standard(162)), 162)
    };
    seeded(1, || architecture.build(&store.root(), rows as i64, labels.len() as i64))?;
    let mut weights = shaken(&store)?;
    let name = format!("untrained {architecture}");
    let config = VoiceConfig { name, architecture, labels, features, temperature: 1.5 };
    weights.metadata.extend([config.to_metadata()]);
    Model::from_weights(&weights)
}

/// Fresh weights moved a little, so that nothing is left at a start such as 0 or 1 that would hide a mistake. Variances
/// stay above 0.
fn shaken(store: &VarStore) -> Result<Weights> {
    seeded(2, || {
        no_grad(|| {
            // Always in the same order, which that of the store is not.
            let mut variables: Vec<_> = store.variables().into_iter().collect();
            variables.sort_by(|one, other| one.0.cmp(&other.0));
            for (_, mut tensor) in variables {
                let moved = tensor.f_rand_like()?.f_sub_scalar(0.5)?.f_mul_scalar(0.05)?;
                let _ = tensor.f_add_(&moved)?;
            }
            Ok::<_, tch::TchError>(())
        })
    })?;
    Ok(Weights::from_store(store)?)
}
