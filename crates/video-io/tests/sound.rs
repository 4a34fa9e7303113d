//! Sound read, and sound taken along by the writer.
#![allow(clippy::unwrap_used)] // in helpers too

mod common;

use std::path::Path;

use common::{clip, tone, wav, write_pattern};
use video_io::{
    AudioReader, AudioSource, Error, Resampling, SoundTrack, VideoReader, VideoWriter, VideoWriterConfig, probe,
};

fn read(path: &Path, rate: u32) -> Vec<f32> {
    AudioReader::open(path, rate).unwrap().read_to_end().unwrap()
}

/// How much of the signal is a tone of this frequency: its amplitude, by correlation.
fn amplitude(samples: &[f32], rate: u32, frequency: f64) -> f64 {
    let (mut sine, mut cosine) = (0.0, 0.0);
    for (n, &sample) in samples.iter().enumerate() {
        let angle = std::f64::consts::TAU * frequency * n as f64 / f64::from(rate);
        sine += f64::from(sample) * angle.sin();
        cosine += f64::from(sample) * angle.cos();
    }
    2.0 * sine.hypot(cosine) / samples.len() as f64
}

#[test]
fn a_mono_recording_at_its_own_rate_comes_sample_by_sample() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    wav(&path, 16_000, 1.25, &[(440.0, 0.5)]);
    let mut reader = AudioReader::open(&path, 16_000).unwrap();
    assert_eq!(reader.resampling(), Resampling::None);
    assert_eq!((reader.info().sample_rate, reader.info().channels), (16_000, 1));
    assert_eq!((reader.info().duration, reader.start_time()), (Some(1.25), 0.0));
    let samples = reader.read_to_end().unwrap();
    assert_eq!(samples.len(), 20_000);
    for (n, &sample) in (0..).zip(&samples) {
        let want = (tone((440.0, 0.5), 16_000, n) * 32_767.0).round() / 32_768.0;
        assert_eq!(sample, want as f32, "sample {n}");
    }
    assert_eq!(reader.read(&mut Vec::new()).unwrap(), 0, "the end stays the end");
}

#[test]
fn channels_are_mixed_to_their_mean() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    wav(&path, 16_000, 1.0, &[(440.0, 0.6), (1_000.0, 0.3), (3_000.0, 0.9)]);
    let samples = read(&path, 16_000);
    for (frequency, want) in [(440.0, 0.2), (1_000.0, 0.1), (3_000.0, 0.3)] {
        let got = amplitude(&samples, 16_000, frequency);
        assert!((got - want).abs() < 1e-3, "{frequency} Hz: {got}, want {want}");
    }
}

#[test]
fn other_rates_keep_length_and_pitch() {
    let folder = tempfile::tempdir().unwrap();
    for stored in [8_000, 22_050, 24_414, 44_100, 48_000] {
        let path = folder.path().join(format!("{stored}.wav"));
        wav(&path, stored, 3.0, &[(440.0, 0.5), (440.0, 0.5)]);
        let samples = read(&path, 16_000);
        assert!(samples.len().abs_diff(48_000) <= 2, "{stored} Hz: {} samples", samples.len());
        let got = amplitude(&samples[4_000..44_000], 16_000, 440.0);
        assert!((got - 0.5).abs() < 2e-3, "{stored} Hz: amplitude {got}");
    }
}

#[test]
fn reading_goes_by_small_chunks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    wav(&path, 44_100, 20.0, &[(440.0, 0.5)]);
    let mut reader = AudioReader::open(&path, 16_000).unwrap();
    let (mut chunk, mut total, mut longest) = (Vec::new(), 0, 0);
    while reader.read(&mut chunk).unwrap() > 0 {
        total += chunk.len();
        longest = longest.max(chunk.len());
        chunk.clear();
    }
    assert!(total.abs_diff(320_000) <= 2);
    assert!(longest < 16_000, "a chunk of {longest} samples");
}

#[test]
fn a_recording_goes_into_a_video_as_aac() {
    let folder = tempfile::tempdir().unwrap();
    // 24414 Hz is the odd rate of a well-known corpus, which AAC does not know.
    for (rate, channels) in [(16_000, 1), (22_050, 2), (24_414, 1), (44_100, 2), (48_000, 4)] {
        let (sound, path) = (folder.path().join("a.wav"), folder.path().join("a.mp4"));
        let tones = [(440.0, 0.4), (440.0, 0.4), (440.0, 0.4), (440.0, 0.4)];
        wav(&sound, rate, 2.0, &tones[..channels]);
        let config =
            VideoWriterConfig { width: 32, height: 32, audio_from: Some(sound), ..VideoWriterConfig::default() };
        let writer = VideoWriter::create(&path, config.clone()).unwrap();
        assert_eq!(writer.sound_track(), SoundTrack::Encoded);
        drop(writer);
        write_pattern(&path, config, 2.0);

        let audio = probe(&path).unwrap().audio.unwrap();
        assert_eq!(audio.codec, "aac");
        assert!(audio.sample_rate >= rate, "{rate} Hz became {} Hz", audio.sample_rate);
        assert_eq!(audio.channels, if channels == 2 { 2 } else { 1 });
        let samples = read(&path, 16_000);
        assert!(samples.len().abs_diff(32_000) < 1_600, "{rate} Hz: {} samples", samples.len());
        let got = amplitude(&samples[8_000..24_000], 16_000, 440.0);
        assert!((got - 0.4).abs() < 0.02, "{rate} Hz: amplitude {got}");
    }
}

#[test]
fn encoded_sound_stays_in_step() {
    // A click after one second is heard after one second.
    let folder = tempfile::tempdir().unwrap();
    let (sound, path) = (folder.path().join("a.wav"), folder.path().join("a.mp4"));
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 44_100,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&sound, spec).unwrap();
    for n in 0..88_200 {
        writer.write_sample(if (44_100..44_110).contains(&n) { 30_000i16 } else { 0 }).unwrap();
    }
    writer.finalize().unwrap();
    let config = VideoWriterConfig { width: 32, height: 32, audio_from: Some(sound), ..VideoWriterConfig::default() };
    write_pattern(&path, config, 2.0);

    let mut reader = AudioReader::open(&path, 44_100).unwrap();
    let start = reader.start_time();
    let samples = reader.read_to_end().unwrap();
    let loudest = (0..samples.len()).max_by(|&a, &b| samples[a].abs().total_cmp(&samples[b].abs())).unwrap();
    let heard = start + loudest as f64 / 44_100.0;
    assert!((heard - 1.0).abs() < 0.002, "the click is heard at {heard} s");
}

#[test]
fn sound_that_an_mp4_can_hold_is_copied_sample_by_sample() {
    let source = clip(Some(&[(440.0, 0.5), (880.0, 0.2)]));
    let path = source.folder.path().join("copy.mp4");
    let config = VideoWriterConfig {
        width: 32,
        height: 32,
        audio_from: Some(source.path.clone()),
        ..VideoWriterConfig::default()
    };
    let writer = VideoWriter::create(&path, config.clone()).unwrap();
    assert_eq!(writer.sound_track(), SoundTrack::Copied);
    drop(writer);
    write_pattern(&path, config, 2.0);
    assert_eq!(read(&path, 16_000), read(&source.path, 16_000));
    let (copy, source) = (probe(&path).unwrap().audio.unwrap(), probe(&source.path).unwrap().audio.unwrap());
    assert_eq!((copy.codec, copy.channels, copy.start_time), (source.codec, source.channels, source.start_time));
}

#[test]
fn a_video_may_take_the_sound_of_the_file_that_it_replaces() {
    let source = clip(Some(&[(440.0, 0.5)]));
    let before = read(&source.path, 16_000);
    let config = VideoWriterConfig {
        width: 32,
        height: 32,
        audio_from: Some(source.path.clone()),
        ..VideoWriterConfig::default()
    };
    write_pattern(&source.path, config, 1.0);
    assert_eq!(read(&source.path, 16_000), before);
    assert_eq!(probe(&source.path).unwrap().video.unwrap().width, 32);
}

#[test]
fn silence_is_sound_and_no_sound_is_none() {
    let silent = clip(Some(&[(440.0, 0.0)]));
    let samples = read(&silent.path, 16_000);
    assert!(samples.len() > 30_000 && samples.iter().all(|&sample| sample.abs() < 1e-4));

    let mute = clip(None);
    assert!(probe(&mute.path).unwrap().audio.is_none());
    let Err(Error::NoAudioStream { found, .. }) = AudioReader::open(&mute.path, 16_000) else {
        panic!("there is no sound");
    };
    assert_eq!(found, "video (h264)");
    let config = VideoWriterConfig {
        width: 32,
        height: 32,
        audio_from: Some(mute.path.clone()),
        ..VideoWriterConfig::default()
    };
    let path = mute.folder.path().join("copy.mp4");
    assert_eq!(VideoWriter::create(&path, config.clone()).unwrap().sound_track(), SoundTrack::None);
    write_pattern(&path, config, 1.0);
    assert!(probe(&path).unwrap().audio.is_none());
}

#[test]
fn pictures_and_sound_of_one_file_are_read_side_by_side() {
    let clip = clip(Some(&[(440.0, 0.5)]));
    let info = probe(&clip.path).unwrap();
    assert!(info.video.is_some() && info.audio.is_some());
    assert!((info.duration.unwrap() - 2.0).abs() < 0.1);
    use video_io::FrameSource;
    let (mut video, mut audio) =
        (VideoReader::open(&clip.path).unwrap(), AudioReader::open(&clip.path, 16_000).unwrap());
    let mut samples = Vec::new();
    while video.next_frame().unwrap().is_some() {
        audio.read(&mut samples).unwrap();
    }
    assert!(samples.len() > 16_000);
}

#[test]
fn rates_out_of_range_are_refused() {
    let clip = clip(Some(&[(440.0, 0.5)]));
    for rate in [0, 999, 400_000] {
        let error = AudioReader::open(&clip.path, rate).unwrap_err();
        assert!(matches!(error, Error::InvalidConfig { setting: "sample_rate", .. }), "{error}");
    }
}
