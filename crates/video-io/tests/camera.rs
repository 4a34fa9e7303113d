//! Devices, by FFmpeg's synthetic one, so that no camera is needed.
#![cfg(feature = "camera")]

use video_io::camera::{DeviceConfig, camera_formats, microphone_formats, open_camera, open_microphone};
use video_io::{AudioSource, Error, FrameSource};

fn lavfi(device: &str) -> DeviceConfig {
    DeviceConfig { format: "lavfi".to_owned(), device: device.to_owned(), options: Vec::new() }
}

#[test]
fn a_camera_gives_frames_in_time() {
    let mut camera = open_camera(&lavfi("testsrc=size=160x120:rate=20:duration=2")).unwrap();
    assert_eq!((camera.info().width, camera.info().height, camera.info().frame_rate), (160, 120, 20.0));
    assert!(!camera.info().still && camera.info().duration.is_none());
    for n in 0..40 {
        let frame = camera.next_frame().unwrap().unwrap();
        assert_eq!(frame.index, n);
        assert!((frame.time - n as f64 / 20.0).abs() < 1e-6);
        assert!(frame.image.pixels().any(|pixel| pixel.0 != [0; 3]));
    }
    assert!(camera.next_frame().unwrap().is_none());
}

#[test]
fn a_microphone_gives_sound() {
    let mut microphone = open_microphone(&lavfi("sine=frequency=440:sample_rate=44100:duration=1.5"), 16_000).unwrap();
    let samples = microphone.read_to_end().unwrap();
    assert!(samples.len().abs_diff(24_000) <= 2, "{} samples", samples.len());
    assert!(samples.iter().any(|sample| sample.abs() > 0.1));
}

#[test]
fn a_hole_in_the_sound_becomes_silence() {
    // The second of three seconds is taken out, the times of the rest stay.
    let source = "sine=frequency=440:sample_rate=16000:duration=3,aselect='not(between(t,1,1.99))'";
    let samples = open_microphone(&lavfi(source), 16_000).unwrap().read_to_end().unwrap();
    assert!(samples.len().abs_diff(48_000) < 100, "{} samples", samples.len());
    let loudest = |range: std::ops::Range<usize>| samples[range].iter().fold(0f32, |max, s| max.max(s.abs()));
    assert!(loudest(0..15_000) > 0.1 && loudest(33_000..47_000) > 0.1);
    assert_eq!(loudest(17_200..30_000), 0.0);
}

#[test]
fn devices_that_are_not_there_are_named() {
    for config in [
        DeviceConfig { device: "/dev/video-none".to_owned(), ..DeviceConfig::default() },
        DeviceConfig { format: "no-such-layer".to_owned(), ..DeviceConfig::default() },
        lavfi("testsrc=size=\0"),
        lavfi("no_such_filter"),
    ] {
        let error = open_camera(&config).unwrap_err();
        assert!(matches!(error, Error::Device { .. }), "{error}");
        assert!(error.to_string().contains(&config.device), "{error}");
    }
    let sound = open_camera(&lavfi("sine=duration=1")).unwrap_err();
    assert!(matches!(sound, Error::NoVideoStream { .. }), "{sound}");
}

#[test]
fn the_layers_are_listed() {
    assert!(camera_formats().iter().any(|name| name == "lavfi"));
    assert!(microphone_formats().iter().any(|name| name == "lavfi"));
}
