//! What the writer leaves in its folder, and what it refuses.

mod common;

use std::fs;

use common::{boxes, names, write_pattern};
use image::RgbImage;
use video_io::synthetic::TestPattern;
use video_io::{Error, FrameSource, VideoReader, VideoWriter, VideoWriterConfig, probe};

fn config(width: u32, height: u32) -> VideoWriterConfig {
    VideoWriterConfig { width, height, ..VideoWriterConfig::default() }
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    let mut writer = VideoWriter::create(&path, config(32, 32)).unwrap();
    for n in 0..100 {
        writer.write(&TestPattern::picture(32, 32, n), n as f64 / 25.0).unwrap();
    }
    assert_eq!(names(folder.path()).len(), 1, "one temporary file");
    assert!(!path.exists());
    drop(writer);
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn what_stood_there_before_stays_until_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    fs::write(&path, "before").unwrap();
    let mut writer = VideoWriter::create(&path, config(32, 32)).unwrap();
    writer.write(&RgbImage::new(32, 32), 0.0).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"before");
    writer.finish().unwrap();
    assert_eq!(names(folder.path()), ["clip.mp4"]);
    assert_eq!(probe(&path).unwrap().video.unwrap().frames, Some(1));
}

#[test]
fn two_writers_may_race_for_one_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    let mut writers = [16, 32].map(|side| VideoWriter::create(&path, config(side, side)).unwrap());
    for (writer, side) in writers.iter_mut().zip([16, 32]) {
        writer.write(&RgbImage::new(side, side), 0.0).unwrap();
    }
    for writer in writers {
        writer.finish().unwrap();
    }
    assert_eq!(names(folder.path()), ["clip.mp4"]);
    assert_eq!(probe(&path).unwrap().video.unwrap().width, 32, "the last to finish wins, whole");
}

#[test]
fn the_index_stands_before_the_data() {
    let clip = common::clip(Some(&[(440.0, 0.5)]));
    let bytes = fs::read(&clip.path).unwrap();
    assert!(boxes(&bytes, b"moov")[0] < boxes(&bytes, b"mdat")[0], "playable while it downloads");
}

#[test]
fn odd_sides_gain_a_repeated_edge() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.mp4");
    write_pattern(&path, config(33, 21), 0.4);
    let mut reader = VideoReader::open(&path).unwrap();
    assert_eq!((reader.info().width, reader.info().height), (34, 22));
    let frame = reader.next_frame().unwrap().unwrap().image;
    let want = TestPattern::picture(33, 21, 0);
    let padded = RgbImage::from_fn(34, 22, |x, y| *want.get_pixel(x.min(32), y.min(20)));
    let off = common::difference(&frame, &padded);
    assert!(off < 8.0, "differs by {off}");
    // One pixel is a picture too.
    write_pattern(&path, config(1, 1), 0.4);
    assert_eq!(VideoReader::open(&path).unwrap().info().width, 2);
}

#[test]
fn pictures_and_times_that_do_not_fit_are_refused_and_the_writer_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    let mut writer = VideoWriter::create(&path, config(32, 32)).unwrap();
    let picture = RgbImage::new(32, 32);
    let error = writer.write(&RgbImage::new(32, 30), 0.0).unwrap_err();
    assert_eq!(error.to_string(), "expected a picture of 32x32 pixels, got 32x30");
    for time in [-0.1, f64::NAN, f64::INFINITY] {
        assert!(matches!(writer.write(&picture, time), Err(Error::InvalidTime { previous: None, .. })), "{time}");
    }
    writer.write(&picture, 1.0).unwrap();
    let error = writer.write(&picture, 1.0).unwrap_err();
    assert_eq!(error.to_string(), "expected a time after 1 seconds, got 1 seconds");
    writer.write(&picture, 1.04).unwrap();
    writer.finish().unwrap();
    assert_eq!(probe(&path).unwrap().video.unwrap().frames, Some(2));
}

#[test]
fn settings_out_of_range_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    let good = config(32, 32);
    for (setting, bad) in [
        ("width", VideoWriterConfig { width: 0, ..good.clone() }),
        ("height", VideoWriterConfig { height: 20_000, ..good.clone() }),
        ("frame_rate", VideoWriterConfig { frame_rate: 0.0, ..good.clone() }),
        ("frame_rate", VideoWriterConfig { frame_rate: f64::NAN, ..good.clone() }),
        ("crf", VideoWriterConfig { crf: 52, ..good.clone() }),
        ("preset", VideoWriterConfig { preset: "quick\0".to_owned(), ..good.clone() }),
    ] {
        match VideoWriter::create(&path, bad) {
            Err(Error::InvalidConfig { setting: named, .. }) => assert_eq!(named, setting),
            other => panic!("{setting}: {other:?}"),
        }
    }
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn places_that_cannot_be_written_to_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = VideoWriter::create(folder.path(), config(32, 32)).unwrap_err();
    assert!(matches!(error, Error::IsADirectory { .. }), "{error}");
    let path = folder.path().join("missing").join("clip.mp4");
    let error = VideoWriter::create(&path, config(32, 32)).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
    let sound = Some(folder.path().join("none.wav"));
    let error =
        VideoWriter::create(folder.path().join("a.mp4"), VideoWriterConfig { audio_from: sound, ..config(32, 32) });
    assert!(matches!(error, Err(Error::NotFound { .. })));
    let writer = VideoWriter::create(folder.path().join("a.mp4"), config(32, 32)).unwrap();
    assert!(matches!(writer.finish(), Err(Error::NothingWritten { .. })));
    assert_eq!(names(folder.path()), [""; 0]);
}

/// A limit on the size of files stands in for a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_leaves_nothing_behind() {
    const CHILD: &str = "VIDEO_IO_FULL_DISK_TEST_FILE";
    if let Some(path) = std::env::var_os(CHILD) {
        let mut writer = VideoWriter::create(path, config(320, 240)).unwrap();
        let mut write = || (0..500).try_for_each(|n| writer.write(&TestPattern::picture(320, 240, n), n as f64 / 25.0));
        let error = write().and_then(|()| writer.finish()).unwrap_err();
        assert!(matches!(error, Error::Io { action: "writing", .. }), "{error}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let child = std::process::Command::new("sh")
        // In blocks of 512 bytes or 1 KiB, as the shell likes.
        .args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" --exact a_full_disk_is_named_and_leaves_nothing_behind"])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, folder.path().join("clip.mp4"))
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!(names(folder.path()), [""; 0]);
}
