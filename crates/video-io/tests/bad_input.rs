//! Files that are not what they should be: one clear error each, or what can be saved of them.
#![allow(clippy::unwrap_used)] // in helpers too

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{boxes, clip};
use video_io::{AudioReader, AudioSource, Error, FrameSource, VideoReader, probe};

/// The three ways into a file must agree on what is wrong with it.
fn errors(path: &Path) -> [Error; 3] {
    [probe(path).unwrap_err(), VideoReader::open(path).unwrap_err(), AudioReader::open(path, 16_000).unwrap_err()]
}

#[test]
fn what_is_no_media_file_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    // Bytes from a fixed formula: no format's signature, and the same on every run.
    let noise: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (name, bytes) in [("text.mp4", b"Dear diary, this is no video.\n".as_slice()), ("noise.mp4", &noise)] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        for error in errors(&path) {
            assert!(matches!(error, Error::NotMedia { .. }), "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}

#[test]
fn playlists_cannot_open_other_files() {
    let clip = clip(None);
    let target = clip.path.to_str().unwrap();
    for text in [
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nfile://{target}\n#EXT-X-ENDLIST\n"),
        format!("ffconcat version 1.0\nfile '{target}'\n"),
    ] {
        let path = clip.folder.path().join("list");
        fs::write(&path, text).unwrap();
        for error in errors(&path) {
            assert!(matches!(error, Error::NotMedia { .. }), "{error}");
        }
    }
}

#[test]
fn paths_that_lead_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    for error in errors(&folder.path().join("missing.mp4")) {
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }
    for error in errors(folder.path()) {
        assert!(matches!(error, Error::IsADirectory { .. }), "{error}");
    }
    let empty = folder.path().join("empty.mp4");
    fs::write(&empty, b"").unwrap();
    for error in errors(&empty) {
        assert!(matches!(error, Error::EmptyFile { .. }), "{error}");
        assert!(error.to_string().ends_with("empty.mp4: the file is empty"), "{error}");
    }
}

#[test]
fn an_mp4_without_its_index_is_cut_short() {
    let clip = clip(Some(&[(440.0, 0.5)]));
    let bytes = fs::read(&clip.path).unwrap();
    let path = clip.folder.path().join("cut.mp4");

    // Cut inside the index, which stands in front.
    let index = boxes(&bytes, b"moov")[0] - 4;
    fs::write(&path, &bytes[..index + 100]).unwrap();
    for error in errors(&path) {
        assert!(matches!(error, Error::Truncated { .. }), "{error}");
    }

    // A recording that was not finished: the index would have come at the end.
    let data = boxes(&bytes, b"mdat")[0] - 4;
    let unfinished = [&bytes[..index], &bytes[data..bytes.len() - 10]].concat();
    fs::write(&path, unfinished).unwrap();
    for error in errors(&path) {
        assert!(matches!(error, Error::Truncated { .. }), "{error}");
        assert!(error.to_string().contains("no index (moov box)"), "{error}");
    }
}

#[test]
fn a_file_that_lacks_its_end_gives_what_is_there_and_says_what_is_missing() {
    let clip = clip(Some(&[(440.0, 0.5)]));
    let bytes = fs::read(&clip.path).unwrap();
    let data = boxes(&bytes, b"mdat")[0];
    let path = clip.folder.path().join("cut.mp4");
    fs::write(&path, &bytes[..data + (bytes.len() - data) / 2]).unwrap();

    let mut video = VideoReader::open(&path).unwrap();
    let (mut frames, mut last) = (0, 0.0);
    while let Some(frame) = video.next_frame().unwrap() {
        frames += 1;
        last = frame.time;
    }
    assert!((5..45).contains(&frames), "{frames} of 50 frames");
    let missing = video.report().missing_seconds;
    assert!((last + 0.04 + missing - 2.0).abs() < 0.01, "{frames} frames to {last} s, {missing} s missing");

    let mut audio = AudioReader::open(&path, 16_000).unwrap();
    let samples = audio.read_to_end().unwrap().len();
    let missing = audio.report().missing_seconds;
    assert!((samples as f64 / 16_000.0 + missing - 2.0).abs() < 0.1, "{samples} samples, {missing} s missing");
    assert!(missing > 0.2);
}

/// Damage at any place may cost frames or be an error, but never a panic, a hang or a frame of another size.
#[test]
fn damage_is_survived() {
    let clip = clip(Some(&[(440.0, 0.5)]));
    let bytes = fs::read(&clip.path).unwrap();
    let path = clip.folder.path().join("damaged.mp4");
    let mut random = 1u32;
    let mut draw = |below: usize| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) as usize % below
    };
    let (mut read, mut refused, mut broken) = (0, 0, 0);
    for round in 0..150 {
        let mut damaged = bytes.clone();
        for _ in 0..=draw(20) {
            let position = draw(damaged.len());
            damaged[position] = draw(256) as u8;
        }
        if round % 5 == 0 {
            damaged.truncate(draw(bytes.len()));
        }
        fs::write(&path, &damaged).unwrap();
        match VideoReader::open(&path) {
            Ok(mut video) => {
                let size = (video.info().width, video.info().height);
                let mut last = f64::NEG_INFINITY;
                while let Ok(Some(frame)) = video.next_frame() {
                    assert_eq!(frame.image.dimensions(), size);
                    assert!(frame.time > last, "round {round}: {} s after {last} s", frame.time);
                    last = frame.time;
                    assert!(frame.index < 1_000);
                }
                read += 1;
                broken += video.report().broken_packets;
            }
            Err(_) => refused += 1,
        }
        if let Ok(mut audio) = AudioReader::open(&path, 16_000) {
            let mut samples = Vec::new();
            while audio.read(&mut samples).is_ok_and(|count| count > 0) {
                assert!(samples.len() < 16_000 * 600);
            }
        }
    }
    assert!(read > 50 && refused > 5 && broken > 5, "{read} read, {refused} refused, {broken} broken packets");
}

/// FFmpeg has a log of its own, on stderr, which is not ours to fill.
#[test]
fn ffmpeg_keeps_quiet() {
    const CHILD: &str = "VIDEO_IO_QUIET_TEST_FILE";
    if let Some(path) = std::env::var_os(CHILD) {
        let mut video = VideoReader::open(path).unwrap();
        while video.next_frame().unwrap().is_some() {}
        return;
    }
    let clip = clip(None);
    let mut bytes = fs::read(&clip.path).unwrap();
    let data = boxes(&bytes, b"mdat")[0];
    let (from, length) = (data + (bytes.len() - data) / 2, 40);
    bytes[from..from + length].fill(0xA5);
    let path = clip.folder.path().join("damaged.mp4");
    fs::write(&path, bytes).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ffmpeg_keeps_quiet", "--nocapture", "--quiet"])
        .env(CHILD, &path)
        .output()
        .unwrap();
    assert!(child.status.success());
    assert_eq!(String::from_utf8_lossy(&child.stderr), "");
}
