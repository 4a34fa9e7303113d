//! What a folder of found recordings holds beside good ones: each bad file is named with its reason, and the rest goes on.

#![allow(clippy::unwrap_used, reason = "what cannot be read fails the test")]

use std::f32::consts::TAU;
use std::fs;
use std::path::Path;

use hound::{SampleFormat, WavSpec, WavWriter};
use ser_model::cache::Cache;
use ser_model::corpus::Corpus;
use ser_model::dataset::{Sound, decode};
use ser_model::features::{Extractor, FeatureConfig, TrackConfig};
use ser_model::input::{LogMelConfig, missing_bytes};

/// Syllables of a voice at 180 Hz, one second.
fn voice(rate: u32) -> Vec<f32> {
    (0..rate)
        .map(|index| {
            let time = index as f32 / rate as f32;
            let wave: f32 = (1..8).map(|k| (time * 180.0 * k as f32 * TAU).sin() / k as f32).sum();
            0.3 * wave * (time * 9.0).sin().powi(2)
        })
        .collect()
}

fn float(path: &Path, rate: u32, channels: u16, samples: &[f32]) {
    let spec = WavSpec { channels, sample_rate: rate, bits_per_sample: 32, sample_format: SampleFormat::Float };
    let mut file = WavWriter::create(path, spec).unwrap();
    for &sample in samples {
        (0..channels).for_each(|_| file.write_sample(sample).unwrap());
    }
    file.finalize().unwrap();
}

fn integer(path: &Path, rate: u32, channels: u16, bits: u16, samples: &[f32]) {
    let spec = WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format: SampleFormat::Int };
    let mut file = WavWriter::create(path, spec).unwrap();
    let scale = (1i64 << (bits - 1)) as f32 - 1.0;
    for &sample in samples {
        (0..channels).for_each(|_| file.write_sample((sample.clamp(-1.0, 1.0) * scale) as i32).unwrap());
    }
    file.finalize().unwrap();
}

/// One channel of 64-bit floats.
fn float64(path: &Path, rate: u32, samples: &[f32]) {
    let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x03\0\x01\0".to_vec();
    bytes.extend(rate.to_le_bytes());
    bytes.extend((rate * 8).to_le_bytes());
    bytes.extend(b"\x08\0\x40\0data");
    bytes.extend((samples.len() as u32 * 8).to_le_bytes());
    bytes.extend(samples.iter().flat_map(|&sample| f64::from(sample).to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

/// Files that hold sound, odd as it is: all of them must decode.
fn write_odd(folder: &Path) -> usize {
    let good = voice(16_000);
    integer(&folder.join("8_bit.wav"), 16_000, 1, 8, &good);
    integer(&folder.join("24_bit_6_channels.wav"), 16_000, 6, 24, &good);
    integer(&folder.join("32_bit_stereo.wav"), 44_100, 2, 32, &voice(44_100));
    float64(&folder.join("float64.wav"), 16_000, &good);
    float(&folder.join("96_khz.wav"), 96_000, 1, &voice(96_000));
    float(&folder.join("8_khz.wav"), 8_000, 1, &voice(8_000));
    // Sixteen times over full scale, as written and as cut off.
    float(&folder.join("over_full_scale.wav"), 16_000, 1, &good.iter().map(|x| 16.0 * x).collect::<Vec<_>>());
    integer(&folder.join("clipped.wav"), 16_000, 1, 16, &good.iter().map(|x| 16.0 * x).collect::<Vec<_>>());
    float(&folder.join("constant.wav"), 16_000, 1, &[0.4; 16_000]);
    float(&folder.join("silent.wav"), 16_000, 1, &[0.0; 16_000]);
    integer(&folder.join("a_wav_file.flac"), 16_000, 1, 16, &good);
    integer(&folder.join("one_sample.wav"), 16_000, 1, 16, &[0.5]);
    // What a cut file still holds is read, as libsndfile does.
    integer(&folder.join("cut_in_half.wav"), 16_000, 1, 16, &good);
    let whole = fs::read(folder.join("cut_in_half.wav")).unwrap();
    fs::write(folder.join("cut_in_half.wav"), &whole[..whole.len() / 2]).unwrap();
    13
}

/// Files that hold none, each with a word of its reason.
fn write_bad(folder: &Path) -> Vec<(&'static str, &'static str)> {
    let good = voice(16_000);
    fs::write(folder.join("nothing.wav"), b"").unwrap();
    float(&folder.join("no_samples.wav"), 16_000, 1, &[]);
    let mut broken = good.clone();
    broken[700] = f32::NAN;
    float(&folder.join("nan.wav"), 16_000, 1, &broken);
    broken[700] = f32::INFINITY;
    float(&folder.join("infinite.wav"), 16_000, 1, &broken);
    integer(&folder.join("header_only.wav"), 16_000, 1, 16, &good);
    let whole = fs::read(folder.join("header_only.wav")).unwrap();
    fs::write(folder.join("header_only.wav"), &whole[..20]).unwrap();
    fs::write(folder.join("text.wav"), "angry, very angry").unwrap();
    fs::write(folder.join("picture.flac"), b"\x89PNG\r\n\x1a\n").unwrap();
    float(&folder.join("slow.wav"), 100, 1, &[0.1; 300]);
    vec![
        ("header_only.wav", "as sound"),
        ("infinite.wav", "index 700"),
        ("nan.wav", "got NaN at index 700"),
        ("no_samples.wav", "no samples"),
        ("nothing.wav", "an empty file"),
        ("picture.flac", "begins with"),
        ("slow.wav", "got 100 Hz"),
        ("text.wav", "begins with"),
    ]
}

#[test]
fn every_bad_file_is_named_and_every_odd_one_is_read() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("angry/anna");
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir(root.path().join("bored")).unwrap();
    let odd = write_odd(&folder);
    let bad = write_bad(&folder);
    integer(&root.path().join("bored/1.wav"), 16_000, 1, 16, &[0.1]);
    integer(&root.path().join("loose.wav"), 16_000, 1, 16, &[0.1]);

    // Names that tell no label are set aside by the scan, each with what was expected.
    let scan = Corpus::Folders.scan(root.path()).unwrap();
    assert_eq!((scan.clips.len(), scan.skipped.len()), (odd + bad.len(), 2));
    assert!(scan.skipped.iter().all(|file| file.reason.contains("EMOTION/SPEAKER/file")), "{:?}", scan.skipped);

    let (sounds, skipped) = decode(&scan.clips, 35.0, &Cache::in_memory(), &|| ());
    let names: Vec<_> = skipped.iter().map(|file| file.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, bad.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "{skipped:?}");
    for (file, (_, word)) in skipped.iter().zip(&bad) {
        assert!(file.reason.contains(word), "{} does not say {word:?}", file.reason);
    }
    assert_eq!(sounds.len(), odd);
    for sound in &sounds {
        assert!(sound.samples.iter().all(|x| x.is_finite()), "{}", sound.clip.name);
    }

    // The voice is the same voice in every format and at every rate.
    let named = |name: &str| &sounds.iter().find(|sound| sound.clip.name.ends_with(name)).unwrap().samples;
    for name in
        ["8_bit.wav", "24_bit_6_channels.wav", "32_bit_stereo.wav", "96_khz.wav", "8_khz.wav", "a_wav_file.flac"]
    {
        let (want, got) = (named("float64.wav"), named(name));
        let rms = |x: &[f32]| (x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32).sqrt();
        assert!((rms(got) / rms(want) - 1.0).abs() < 0.03, "{name}: {} against {}", rms(got), rms(want));
        assert!(got.len().abs_diff(want.len()) <= 160, "{name}: {} against {}", got.len(), want.len());
    }
    // What was cut off is told; what never said how long it is, and what is no WAV file, was not.
    let cut: Vec<_> = scan.clips.iter().filter(|clip| missing_bytes(&clip.path).unwrap() > 0).collect();
    let names: Vec<_> = cut.iter().map(|clip| clip.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["cut_in_half.wav", "header_only.wav"]);
    assert_eq!(missing_bytes(&cut[0].path).unwrap(), 16_022);
    assert!(missing_bytes(Path::new("/none.wav")).is_err());
    features_are_finite(&sounds);
    #[cfg(feature = "pretrained")]
    answers_are_none_or_probabilities(&sounds);
}

fn features_are_finite(sounds: &[Sound]) {
    let tracks = TrackConfig { deltas: 2, ..TrackConfig::default() };
    for config in [FeatureConfig::Vector, FeatureConfig::LogMel(LogMelConfig::default()), FeatureConfig::Tracks(tracks)]
    {
        let features = Extractor::new(&config).unwrap().extract_all(sounds, &Cache::in_memory(), &|| ());
        for (sound, features) in sounds.iter().zip(features) {
            let features = features.unwrap();
            assert!(features.iter().all(|x| x.is_finite()), "{}: {config:?}", sound.clip.name);
        }
    }
}

#[cfg(feature = "pretrained")]
fn answers_are_none_or_probabilities(sounds: &[Sound]) {
    let model = ser_model::SerModel::pretrained().unwrap();
    let mut answers = ser_model::evaluate::Answers::new(model.labels());
    for sound in sounds {
        let before = answers.unanswered();
        assert!(answers.ask(&model, sound).unwrap());
        let silent =
            ["constant.wav", "silent.wav", "one_sample.wav"].iter().any(|name| sound.clip.name.ends_with(name));
        assert_eq!(answers.unanswered() > before, silent, "{}", sound.clip.name);
    }
    // A clip without an answer counts as wrong, and is counted.
    assert_eq!((answers.row("").samples, answers.row("").unanswered), (13, 3));
}

#[test]
fn a_corpus_with_foreign_names_among_its_own_is_read() {
    let root = tempfile::tempdir().unwrap();
    for name in
        ["03-01-05-01-01-01-01", "03-01-05-01-01-01", "03-02-05-01-01-01-01", "angry_01", "03-01-05-01-01-01-25"]
    {
        integer(&root.path().join(format!("{name}.wav")), 48_000, 2, 16, &voice(48_000));
    }
    let scan = Corpus::Ravdess.scan(root.path()).unwrap();
    assert_eq!((scan.clips.len(), scan.skipped.len()), (1, 4));
    assert!(scan.skipped.iter().all(|file| file.reason.contains(&*file.path.to_string_lossy())));
}
