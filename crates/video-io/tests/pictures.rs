//! Frames read back: pixels, times, orientation, still pictures.
#![allow(clippy::unwrap_used)] // in helpers too

mod common;

use std::fs;

use common::{boxes, clip, difference};
use image::{ImageFormat, Rgb, RgbImage};
use video_io::synthetic::TestPattern;
use video_io::{Error, Frame, FrameSource, VideoReader, VideoWriter, VideoWriterConfig, probe};

fn all_frames(reader: &mut VideoReader) -> Vec<Frame> {
    std::iter::from_fn(|| reader.next_frame().unwrap()).collect()
}

#[test]
fn a_written_clip_reads_back_frame_by_frame() {
    let clip = clip(None);
    let mut reader = VideoReader::open(&clip.path).unwrap();
    let info = reader.info().clone();
    assert_eq!((info.width, info.height, info.frame_rate), (64, 48, 25.0));
    assert_eq!((info.frames, info.duration, info.start_time), (Some(50), Some(2.0), 0.0));
    assert_eq!((info.codec.as_str(), info.still), ("h264", false));

    let frames = all_frames(&mut reader);
    assert_eq!(frames.len(), 50);
    for (n, frame) in frames.iter().enumerate() {
        assert_eq!(frame.index, n as u64);
        assert!((frame.time - n as f64 / 25.0).abs() < 1e-4, "frame {n} at {} s", frame.time);
        let off = difference(&frame.image, &TestPattern::picture(64, 48, n as u64));
        assert!(off < 6.0, "frame {n} differs by {off}");
    }
    assert!(reader.next_frame().unwrap().is_none(), "the end stays the end");
    assert_eq!(reader.report(), Default::default());
}

#[test]
fn passing_frames_over_gives_the_same_frames() {
    let clip = clip(None);
    let all = all_frames(&mut VideoReader::open(&clip.path).unwrap());
    let mut reader = VideoReader::open(&clip.path).unwrap();
    let mut asked = Vec::new();
    while let Some(frame) = reader
        .next_frame_if(&mut |index, time| {
            asked.push((index, time));
            index % 10 == 9
        })
        .unwrap()
    {
        assert_eq!(frame.index % 10, 9);
        assert_eq!(frame.time, all[frame.index as usize].time);
        assert_eq!(frame.image, all[frame.index as usize].image);
    }
    let want: Vec<(u64, f64)> = all.iter().map(|frame| (frame.index, frame.time)).collect();
    assert_eq!(asked, want, "every frame is asked about once, in order");
}

#[test]
fn uneven_times_and_a_late_start_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("uneven.mp4");
    let times = [0.5, 0.52, 0.6, 0.611, 1.0, 1.5, 1.533, 4.0];
    let config = VideoWriterConfig { width: 32, height: 32, frame_rate: 10.0, ..VideoWriterConfig::default() };
    let mut writer = VideoWriter::create(&path, config).unwrap();
    for (n, &time) in (0..).zip(&times) {
        writer.write(&TestPattern::picture(32, 32, n), time).unwrap();
    }
    writer.finish().unwrap();
    let mut reader = VideoReader::open(&path).unwrap();
    let read: Vec<f64> = all_frames(&mut reader).iter().map(|frame| frame.time).collect();
    // Times count from the start of the file, which is its first frame.
    assert_eq!(read.len(), times.len());
    for (read, time) in read.iter().zip(times) {
        let wanted = time - 0.5;
        assert!((read - wanted).abs() < 1e-4, "{read} s, want {wanted} s");
    }
}

#[test]
fn a_clip_turned_by_its_metadata_stands_upright() {
    let clip = clip(None);
    let plain = all_frames(&mut VideoReader::open(&clip.path).unwrap());
    let mut bytes = fs::read(&clip.path).unwrap();
    // In a track header of version 0, 40 bytes lie between the box's name and its matrix (ISO/IEC 14496-12, 8.3.2).
    let matrix = boxes(&bytes, b"tkhd")[0] + 4 + 40;
    let one: i32 = 1 << 16;
    // A quarter turn clockwise, as telephones held upright write it: (p, q) goes to (-q, p).
    for (n, value) in [0, one, 0, -one, 0, 0, 48 * one, 0].into_iter().enumerate() {
        bytes[matrix + 4 * n..matrix + 4 * n + 4].copy_from_slice(&value.to_be_bytes());
    }
    let path = clip.folder.path().join("turned.mp4");
    fs::write(&path, bytes).unwrap();

    let mut reader = VideoReader::open(&path).unwrap();
    assert_eq!((reader.info().width, reader.info().height), (48, 64));
    for (turned, plain) in all_frames(&mut reader).iter().zip(&plain) {
        assert_eq!(turned.image, image::imageops::rotate90(&plain.image));
    }
    assert_eq!(probe(&path).unwrap().video.unwrap().width, 48);
}

#[test]
fn still_pictures_are_videos_of_one_frame() {
    let folder = tempfile::tempdir().unwrap();
    let picture = TestPattern::picture(75, 51, 3);
    for (name, format, tolerance) in [("a.png", ImageFormat::Png, 0.0), ("b.jpg", ImageFormat::Jpeg, 8.0)] {
        let path = folder.path().join(name);
        picture.save_with_format(&path, format).unwrap();
        let info = probe(&path).unwrap();
        assert!(info.is_still() && info.audio.is_none() && info.duration.is_none(), "{info:?}");
        let mut reader = VideoReader::open(&path).unwrap();
        assert_eq!((reader.info().still, reader.info().frames), (true, Some(1)));
        let frames = all_frames(&mut reader);
        assert_eq!((frames.len(), frames[0].index, frames[0].time), (1, 0, 0.0));
        let off = difference(&frames[0].image, &picture);
        assert!(off <= tolerance, "{name} differs by {off}");
        assert_eq!(reader.report().missing_seconds, 0.0);
    }
}

#[test]
fn a_photograph_stands_as_the_camera_was_held() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.jpg");
    TestPattern::picture(64, 48, 3).save(&path).unwrap();
    let plain = VideoReader::open(&path).unwrap().next_frame().unwrap().unwrap().image;
    let jpeg = fs::read(&path).unwrap();
    for (orientation, turn) in [
        (1, (|image| image.clone()) as fn(&RgbImage) -> RgbImage),
        (3, image::imageops::rotate180),
        (6, image::imageops::rotate90),
        (8, image::imageops::rotate270),
    ] {
        // An EXIF segment with one entry, the orientation (EXIF 2.3, 4.6.4), right after the start of the file.
        let mut exif = b"\xFF\xE1\x00\x22Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
        fs::write(&path, [&jpeg[..2], &exif, &jpeg[2..]].concat()).unwrap();
        let mut reader = VideoReader::open(&path).unwrap();
        let (width, height) = (reader.info().width, reader.info().height);
        let image = reader.next_frame().unwrap().unwrap().image;
        assert_eq!(image.dimensions(), (width, height));
        assert_eq!(image, turn(&plain), "orientation {orientation}");
    }
}

#[test]
fn the_extension_does_not_matter_and_names_are_never_urls() {
    let clip = clip(None);
    for name in ["clip", "clip.txt", "clip.jpg", "http:%03d.mp4", "pipe:0", "ä ö.mp4"] {
        let path = clip.folder.path().join(name);
        fs::copy(&clip.path, &path).unwrap();
        assert_eq!(VideoReader::open(&path).unwrap().info().frames, Some(50), "{name}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_need_not_be_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let clip = clip(None);
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.mp4");
    let path = clip.folder.path().join(name);
    common::write_pattern(&path, VideoWriterConfig { width: 16, height: 16, ..VideoWriterConfig::default() }, 0.4);
    assert_eq!(all_frames(&mut VideoReader::open(&path).unwrap()).len(), 10);
}

#[test]
fn readers_and_writers_move_between_threads() {
    let clip = clip(None);
    let mut reader = VideoReader::open(&clip.path).unwrap();
    let first = reader.next_frame().unwrap().unwrap();
    let rest = std::thread::spawn(move || all_frames(&mut reader)).join().unwrap();
    assert_eq!((first.index, rest.len()), (0, 49));
    fn is_send<T: Send>() {}
    is_send::<VideoWriter>();
    is_send::<video_io::AudioReader>();
    is_send::<Box<dyn FrameSource>>();
}

#[test]
fn a_picture_of_one_colour_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("colours.mp4");
    let colours = [[255, 255, 255], [0, 0, 0], [200, 30, 30], [30, 200, 30], [30, 30, 200], [128, 128, 128]];
    let config = VideoWriterConfig { width: 32, height: 32, frame_rate: 5.0, ..VideoWriterConfig::default() };
    let mut writer = VideoWriter::create(&path, config).unwrap();
    for (n, &colour) in (0..).zip(&colours) {
        writer.write(&RgbImage::from_pixel(32, 32, Rgb(colour)), f64::from(n) / 5.0).unwrap();
    }
    writer.finish().unwrap();
    for (frame, colour) in all_frames(&mut VideoReader::open(&path).unwrap()).iter().zip(colours) {
        let Rgb(read) = *frame.image.get_pixel(16, 16);
        let off = read.iter().zip(colour).map(|(&a, b)| a.abs_diff(b)).max().unwrap();
        assert!(off <= 6, "{colour:?} became {read:?}");
    }
}

#[test]
fn a_song_has_no_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    common::wav(&path, 16_000, 0.5, &[(440.0, 0.5)]);
    let Err(Error::NoVideoStream { found, .. }) = VideoReader::open(&path) else { panic!("a WAV has no pictures") };
    assert_eq!(found, "audio (pcm_s16le)");
    let info = probe(&path).unwrap();
    assert!(info.video.is_none());
    assert_eq!(info.duration, Some(0.5));
}
