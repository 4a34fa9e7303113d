//! Sound files of every kind that is read, and of some that are not.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use audio_features::{Error, load};
use hound::{SampleFormat, WavSpec, WavWriter};

fn write_wav(path: &std::path::Path, channels: u16, bits: u16, format: SampleFormat, values: &[f64]) {
    let spec = WavSpec { channels, sample_rate: 16_000, bits_per_sample: bits, sample_format: format };
    let mut writer = WavWriter::create(path, spec).unwrap();
    for &value in values {
        match format {
            SampleFormat::Float => writer.write_sample(value as f32).unwrap(),
            SampleFormat::Int => writer.write_sample((value * 2_f64.powi(i32::from(bits) - 1)) as i32).unwrap(),
        }
    }
    writer.finalize().unwrap();
}

#[test]
fn every_depth_and_number_of_channels() {
    let dir = tempfile::tempdir().unwrap();
    let values = [-1.0, -0.5, 0.0, 0.25, 0.5, 0.75];
    for (bits, format) in [
        (8, SampleFormat::Int),
        (16, SampleFormat::Int),
        (24, SampleFormat::Int),
        (32, SampleFormat::Int),
        (32, SampleFormat::Float),
    ] {
        for channels in [1, 2, 3, 6] {
            let path = dir.path().join("sound.wav");
            write_wav(&path, channels, bits, format, &values);
            let audio = load(&path).unwrap();
            assert_eq!((audio.sample_rate, audio.channels), (16_000, channels), "{bits} bits");
            assert_eq!(audio.samples, values.map(|x| x as f32), "{bits} bits, {channels} channels");
            assert_eq!(audio.frames(), 6 / usize::from(channels));
        }
    }
}

#[test]
fn what_is_no_sound_is_an_error_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.wav");
    let error = load(&missing).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert!(error.to_string().contains("missing.wav"));

    for content in ["", "RIFF", "plain text, nothing more", "OggS\0\0\0\0\0\0\0\0"] {
        let path = dir.path().join("other.wav");
        std::fs::write(&path, content).unwrap();
        assert!(matches!(load(&path), Err(Error::UnsupportedFormat { .. })), "{content:?}");
    }
}

#[test]
fn damaged_files_are_errors_or_short_and_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sound.wav");
    write_wav(&path, 2, 16, SampleFormat::Int, &[0.5; 400]);
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        if let Ok(audio) = load(&path) {
            assert!(audio.samples.len() < 400);
        }
    }
    // Headers with one byte changed.
    for position in 0..44 {
        for value in [0, 1, 2, 3, 4, 8, 16, 24, 32, 64, 127, 128, 254, 255] {
            let mut bytes = whole.clone();
            bytes[position] = value;
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(audio) = load(&path) {
                assert!(audio.channels > 0 && audio.samples.len() <= 800, "byte {position} = {value}");
            }
        }
    }
}

#[test]
fn flac_of_24_bits_in_stereo() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sound/stereo_24bit.flac");
    let audio = load(path).unwrap();
    assert_eq!((audio.sample_rate, audio.channels, audio.frames()), (22_050, 2, 400));
    // The file holds 0.5·sin(0.05·n) on the left and −0.25·cos(0.11·n) on the right.
    for (n, frame) in audio.samples.chunks(2).enumerate() {
        let t = n as f64;
        assert!((f64::from(frame[0]) - 0.5 * (0.05 * t).sin()).abs() < 2e-7, "left {n}");
        assert!((f64::from(frame[1]) + 0.25 * (0.11 * t).cos()).abs() < 2e-7, "right {n}");
    }
    let mono = audio.to_mono();
    assert!((mono[100] - (audio.samples[200] + audio.samples[201]) / 2.0).abs() < 1e-9);
}
