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

/// A WAV file from its parts, so that any format can stand in it.
fn wav_bytes(tag: u16, channels: u16, bits: u16, extension: &[u8], data: &[u8]) -> Vec<u8> {
    let block = channels * bits / 8;
    let mut format = Vec::new();
    for field in [tag, channels] {
        format.extend(field.to_le_bytes());
    }
    format.extend(16_000_u32.to_le_bytes());
    format.extend((16_000 * u32::from(block)).to_le_bytes());
    for field in [block, bits] {
        format.extend(field.to_le_bytes());
    }
    format.extend(extension);
    let mut body = b"WAVE".to_vec();
    // An odd chunk, with its padding byte, stands before the samples.
    for (name, content) in [(b"fmt ", &format[..]), (b"LIST", b"odd"), (b"data", data)] {
        body.extend(name);
        body.extend((content.len() as u32).to_le_bytes());
        body.extend(content);
        body.resize(body.len() + content.len() % 2, 0);
    }
    let mut file = b"RIFF".to_vec();
    file.extend((body.len() as u32).to_le_bytes());
    file.extend(body);
    file
}

#[test]
fn floats_of_64_bits_odd_chunks_and_wrong_lengths() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sound.wav");
    let data: Vec<u8> = [0.5_f64, -0.25, 1.0, 0.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut bytes = wav_bytes(3, 2, 64, &[], &data);
    let length = bytes.len() - data.len() - 4;
    // The length itself, none, more than there is, and one that ends within a frame.
    for (promised, frames) in [(32, 2), (0, 2), (u32::MAX, 2), (31, 1)] {
        bytes[length..length + 4].copy_from_slice(&u32::to_le_bytes(promised));
        std::fs::write(&path, &bytes).unwrap();
        let audio = load(&path).unwrap();
        assert_eq!(audio.samples, [0.5, -0.25, 1.0, 0.0][..2 * frames], "{promised} bytes promised");
        assert_eq!((audio.channels, audio.sample_rate), (2, 16_000));
    }
    std::fs::write(&path, wav_bytes(3, 2, 16, &[], &data)).unwrap();
    assert!(matches!(load(&path), Err(Error::Decode { .. })));
}

/// Whatever stands in a file's first bytes, it is loaded or refused, in good time and without inventing samples.
///
/// A few thousand mutations in every run; `AUDIO_FEATURES_MUTATIONS=1000000` asks for more.
#[test]
fn mutated_headers_never_panic_hang_or_invent_sound() {
    let wanted: u64 =
        std::env::var("AUDIO_FEATURES_MUTATIONS").map_or(4000, |number| number.parse().expect("a number of mutations"));
    let data: Vec<u8> = (0..240_u32).map(|n| (n * 37 % 251) as u8).collect();
    let mut extension = vec![22, 0, 16, 0, 3, 0, 0, 0, 1, 0];
    extension.extend([0, 0, 0, 0, 16, 0, 128, 0, 0, 170, 0, 56, 155, 113]);
    let flac = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sound/stereo_24bit.flac");
    let files = [
        wav_bytes(1, 1, 8, &[], &data),
        wav_bytes(1, 2, 16, &[], &data),
        wav_bytes(1, 3, 24, &[], &data),
        wav_bytes(3, 1, 32, &[0, 0], &data),
        wav_bytes(3, 2, 64, &[], &data),
        wav_bytes(0xfffe, 2, 16, &extension, &data),
        std::fs::read(flac).unwrap(),
    ];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mutated");
    for file in &files {
        std::fs::write(&path, file).unwrap();
        load(&path).unwrap();
    }

    // Xorshift: Marsaglia's generator is random enough to choose bytes by.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    };
    const TELLING: [u8; 12] = [0, 1, 2, 3, 4, 8, 16, 24, 32, 64, 128, 255];
    let (mut loaded, mut refused) = (0_u64, 0_u64);
    for turn in 0..wanted {
        let kind = turn as usize % files.len();
        let mut bytes = files[kind].clone();
        for _ in 0..1 + random(4) {
            let position = random(80.min(bytes.len()));
            bytes[position] = if random(2) == 0 { random(256) as u8 } else { TELLING[random(TELLING.len())] };
        }
        if random(4) == 0 {
            bytes.truncate(random(bytes.len()));
        }
        std::fs::write(&path, &bytes).unwrap();
        let start = std::time::Instant::now();
        match load(&path) {
            Ok(audio) => {
                loaded += 1;
                assert!(audio.channels > 0, "{bytes:?}");
                // A sample of a WAV file takes a byte at least; the FLAC file holds 800.
                let most = if kind + 1 == files.len() { 800 } else { bytes.len() };
                assert!(audio.samples.len() <= most, "{} samples: {bytes:?}", audio.samples.len());
            }
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("mutated"), "no path in {error}");
            }
        }
        assert!(start.elapsed().as_secs() < 20, "{bytes:?}");
    }
    assert!(loaded > wanted / 20 && refused > wanted / 20, "{loaded} loaded, {refused} refused");
    println!("{wanted} mutated headers: {loaded} loaded, {refused} refused");
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
