//! Cascade files: all that are installed are read, and none of the broken ones does harm.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::path::Path;

use face_prep::{Cascade, CascadeConfig, CascadeDetector, Error};
use image::{GrayImage, Luma};
use proptest::prelude::*;

/// A whole cascade of two stages: stumps and a tree of two nodes, upright and tilted.
const SMALL: &str = r#"<?xml version="1.0"?>
<opencv_storage><cascade type_id="opencv-cascade-classifier"><stageType>BOOST</stageType><featureType>HAAR</featureType>
<height>12</height><width>12</width><stageParams><maxWeakCount>1</maxWeakCount></stageParams>
<featureParams><maxCatCount>0</maxCatCount></featureParams><stageNum>2</stageNum>
<stages><_><maxWeakCount>1</maxWeakCount><stageThreshold>-0.5</stageThreshold><weakClassifiers>
<_><internalNodes>0 -1 0 1.5e-02</internalNodes><leafValues>1. -1.</leafValues></_></weakClassifiers></_>
<_><maxWeakCount>1</maxWeakCount><stageThreshold>-0.5</stageThreshold><weakClassifiers>
<_><internalNodes>1 0 0 1.5e-02 -1 -2 1 0.25</internalNodes><leafValues>-1. 1. 0.5</leafValues></_></weakClassifiers></_></stages>
<features><_><rects><_>2 2 6 6 -1.</_><_>4 2 2 6 3.</_></rects><tilted>0</tilted></_>
<_><rects><_>6 1 3 3 -1.</_><_>6 1 1 3 3.</_></rects><tilted>1</tilted></_></features></cascade></opencv_storage>"#;

fn run(cascade: Cascade) {
    let image = GrayImage::from_fn(40, 31, |x, y| Luma([(x * 37 + y * 11) as u8]));
    let config = CascadeConfig { scale_factor: 1.5, ..CascadeConfig::opencv() };
    CascadeDetector::new(cascade, config).unwrap().detect_multi_scale(&image).unwrap();
}

#[test]
fn a_small_cascade_is_read_and_survives_its_compact_form() {
    let cascade = Cascade::from_bytes(SMALL.as_bytes()).unwrap();
    assert_eq!((cascade.window(), cascade.stages()), ((12, 12), 2));
    assert_eq!(Cascade::from_bytes(&cascade.to_bytes()).unwrap(), cascade);
    run(cascade);
}

#[test]
fn the_embedded_cascade_is_opencvs() {
    let embedded = Cascade::frontal_default();
    assert_eq!((embedded.window(), embedded.stages()), ((24, 24), 25));
    let path = Path::new("/usr/share/opencv4/haarcascades/haarcascade_frontalface_default.xml");
    if path.exists() {
        assert_eq!(Cascade::load(path).unwrap(), embedded);
    } else {
        println!("skipped: {} is not there", path.display());
    }
}

#[test]
fn every_installed_cascade_is_read() {
    let mut read = 0;
    for folder in ["haarcascades", "lbpcascades"] {
        let Ok(files) = std::fs::read_dir(Path::new("/usr/share/opencv4").join(folder)) else { continue };
        for file in files {
            let path = file.unwrap().path();
            let cascade = Cascade::load(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(Cascade::from_bytes(&cascade.to_bytes()).unwrap(), cascade);
            read += 1;
        }
    }
    println!("{read} cascades read");
}

#[test]
fn broken_cascades_say_what_is_wrong() {
    let missing = Cascade::load("/no/such/file.xml").unwrap_err();
    assert!(matches!(missing, Error::Io { .. }) && missing.to_string().contains("/no/such/file.xml"));
    let broken =
        |from: &str, to: &str| Cascade::from_bytes(SMALL.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
    assert!(broken("<height>12", "<height>0").contains("window"));
    assert!(broken("2 2 6 6 -1.", "2 2 60 6 -1.").contains("rectangle inside"));
    assert!(broken("6 1 3 3 -1.", "2 1 3 3 -1.").contains("rectangle inside"));
    assert!(broken("-1. 1. 0.5", "nan 1. 0.5").contains("finite"));
    assert!(broken("1 0 0 1.5e-02 -1 -2 1", "1 0 0 1.5e-02 1 -2 1").contains("later node"));
    assert!(broken("0 -1 0 1.5e-02", "0 -1 7 1.5e-02").contains("feature below 2"));
    assert!(broken("HAAR", "HOG").contains("HAAR or LBP"));
    assert!(broken("</cascade></opencv_storage>", "").contains("end of"));
    assert!(matches!(Cascade::from_bytes(b"<a></b>"), Err(Error::Xml { .. })));
    assert!(Cascade::from_bytes(b"").is_err());
}

#[test]
fn bad_pictures_and_settings_are_refused() {
    let new = |config| CascadeDetector::new(Cascade::frontal_default(), config);
    for scale_factor in [1.0, 0.5, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            new(CascadeConfig { scale_factor, ..CascadeConfig::default() }),
            Err(Error::InvalidConfig { .. })
        ));
    }
    let reversed = CascadeConfig { min_size: Some([50, 50]), max_size: Some([40, 60]), ..CascadeConfig::default() };
    assert!(matches!(new(reversed), Err(Error::InvalidConfig { .. })));
    let mut detector = new(CascadeConfig { max_pixels: 1000, ..CascadeConfig::default() }).unwrap();
    for size in [(0, 0), (0, 5), (40, 40)] {
        let result = detector.detect_multi_scale(&GrayImage::new(size.0, size.1));
        assert!(matches!(result, Err(Error::InvalidInput { .. })), "{size:?}");
    }
    for size in [(1, 1), (1, 900), (23, 23), (24, 24), (24, 40)] {
        assert!(detector.detect_multi_scale(&GrayImage::new(size.0, size.1)).unwrap().is_empty());
    }
}

fn mutate(mut bytes: Vec<u8>, changes: &[(usize, u8, u8)]) -> Vec<u8> {
    for &(place, kind, value) in changes {
        let place = place % bytes.len().max(1);
        match kind % 4 {
            _ if bytes.is_empty() => {}
            0 => bytes[place] = value,
            1 => drop(bytes.remove(place)),
            2 => bytes.insert(place, value),
            _ => bytes.truncate(place.max(1)),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any change to a cascade file gives an error or a cascade that runs: no panic, no endless loop.
    #[test]
    fn mutated_files_do_no_harm(changes in prop::collection::vec((any::<usize>(), any::<u8>(), prop::sample::select(&b"0123456789-.<>/_ e\0\xff"[..])), 1..8), compact: bool) {
        let bytes = if compact { Cascade::from_bytes(SMALL.as_bytes()).unwrap().to_bytes() } else { SMALL.as_bytes().to_vec() };
        if let Ok(cascade) = Cascade::from_bytes(&mutate(bytes, &changes)) {
            run(cascade);
        }
    }
}
