//! Cascade files: all that are installed are read, and none of the broken ones does harm.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use face_prep::{Cascade, CascadeConfig, CascadeDetector, Error};
use image::{GrayImage, Luma};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

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

/// One of local binary patterns.
const PATTERNS: &str = r#"<?xml version="1.0"?>
<opencv_storage><cascade type_id="opencv-cascade-classifier"><stageType>BOOST</stageType><featureType>LBP</featureType>
<height>12</height><width>12</width><featureParams><maxCatCount>256</maxCatCount></featureParams><stageNum>1</stageNum>
<stages><_><maxWeakCount>2</maxWeakCount><stageThreshold>-0.75</stageThreshold><weakClassifiers>
<_><internalNodes>0 -1 0 -67130709 -21569 -1426120013 -1275125205 -21585 -16385 587145899 -24005</internalNodes>
<leafValues>-0.65 0.88</leafValues></_>
<_><internalNodes>0 -1 1 -163512766 -769593758 -10027009 -262145 -514457854 -193593353 -524289 -1</internalNodes>
<leafValues>-0.77 0.72</leafValues></_></weakClassifiers></_></stages>
<features><_><rect>0 0 3 3</rect></_><_><rect>2 1 2 3</rect></_></features></cascade></opencv_storage>"#;

/// One in the form of OpenCV 1.
const OLD: &str = r#"<?xml version="1.0"?>
<opencv_storage><face type_id="opencv-haar-classifier"><size>12 12</size><stages><_><!-- stage 0 --><trees><_><_>
<feature><rects><_>2 2 6 6 -1.</_><_>4 2 2 6 3.</_></rects><tilted>0</tilted></feature>
<threshold>1.5e-02</threshold><left_val>1.</left_val><right_node>1</right_node></_><_>
<feature><rects><_>6 1 3 3 -1.</_><_>6 1 1 3 3.</_></rects><tilted>1</tilted></feature>
<threshold>-0.02</threshold><left_val>-1.</left_val><right_val>0.5</right_val></_></_></trees>
<stage_threshold>-0.5</stage_threshold><parent>-1</parent><next>-1</next></_></stages></face></opencv_storage>"#;

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
fn patterns_and_old_files_are_read() {
    for (text, stages) in [(PATTERNS, 1), (OLD, 1)] {
        let cascade = Cascade::from_bytes(text.as_bytes()).unwrap();
        assert_eq!((cascade.window(), cascade.stages()), ((12, 12), stages));
        assert_eq!(Cascade::from_bytes(&cascade.to_bytes()).unwrap(), cascade);
        run(cascade);
    }
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

/// What a number is replaced by: the edges of every type that it might be read into.
const NUMBERS: &str = "0 -1 1e-45 1e39 -1e309 nan inf 255 65536 2147483647 -2147483649 4294967296 18446744073709551616 0.5.5 \
                       1 2 3 7 0.25 -0.5";

/// One change: what is done, where, and two numbers that say how.
type Change = (u8, prop::sample::Index, prop::sample::Index, u8);

fn change(bytes: &mut Vec<u8>, (kind, place, length, value): &Change) {
    if bytes.is_empty() {
        return;
    }
    let place = place.index(bytes.len());
    let end = (place + 1 + length.index(40)).min(bytes.len());
    match kind % 16 {
        0 => bytes[place] = *value,
        1 => bytes[place] = b"0123456789-.<>/_ e\0\xff"[usize::from(*value) % 20],
        2 => bytes.insert(place, *value),
        3 => drop(bytes.drain(place..end)),
        4 => {
            let again = bytes[place..end].to_vec();
            bytes.splice(end..end, again);
        }
        5 => {
            let elsewhere = length.index(bytes.len());
            let part: Vec<u8> = bytes.drain(place..end).collect();
            let elsewhere = elsewhere.min(bytes.len());
            bytes.splice(elsewhere..elsewhere, part);
        }
        6 => bytes.truncate(place),
        // Mostly numbers, since few other changes leave a file that can be read.
        _ => {
            let digit = |byte: &u8| byte.is_ascii_digit() || b"-.e".contains(byte);
            if let Some(first) = bytes[place..].iter().position(digit).map(|first| place + first) {
                let count = bytes[first..].iter().take_while(|byte| digit(byte)).count();
                let number = NUMBERS.split(' ').cycle().nth(usize::from(*value)).unwrap_or_default();
                bytes.splice(first..first + count, number.bytes());
            }
        }
    }
}

/// Any change to a cascade file gives an error or a cascade that runs: no panic, no endless loop. `PROPTEST_CASES` says how many
/// are tried, if not 4000.
#[test]
fn mutated_files_do_no_harm() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(4000);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let originals: Vec<Vec<u8>> = [SMALL, PATTERNS, OLD]
        .iter()
        .flat_map(|text| [text.as_bytes().to_vec(), Cascade::from_bytes(text.as_bytes()).unwrap().to_bytes()])
        .collect();
    let (read, slowest) = (Cell::new(0), Cell::new(Duration::ZERO));
    let changes = prop::collection::vec(any::<Change>(), 1..6);
    TestRunner::new(config)
        .run(&(0..originals.len(), changes), |(original, changes)| {
            let mut bytes = originals[original].clone();
            changes.iter().for_each(|one| change(&mut bytes, one));
            let start = Instant::now();
            if let Ok(cascade) = Cascade::from_bytes(&bytes) {
                read.set(read.get() + 1);
                run(cascade);
            }
            slowest.set(slowest.get().max(start.elapsed()));
            prop_assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
            Ok(())
        })
        .unwrap();
    println!("{cases} files, {} of them read and run, the slowest in {:?}", read.get(), slowest.get());
    assert!(read.get() > cases / 100, "hardly any mutated file is read: {}", read.get());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the settings and the picture's size: an error or an answer, in a moment.
    #[test]
    fn any_settings_and_size_are_answered(
        scale_factor in prop_oneof![any::<f64>(), 0.9f64..1.2, 1.0f64..100.0],
        min_neighbors: u32,
        min_size in prop::option::of([0u32..300, 0u32..u32::MAX]),
        max_size in prop::option::of([0u32..300, 0u32..300]),
        width in 0u32..90,
        height in 0u32..90,
    ) {
        let config = CascadeConfig { scale_factor, min_neighbors, min_size, max_size, ..CascadeConfig::default() };
        let detector = CascadeDetector::new(Cascade::frontal_default(), config);
        let contradictory = matches!((min_size, max_size), (Some(least), Some(most)) if least[0] > most[0] || least[1] > most[1]);
        prop_assert_eq!(detector.is_err(), !(1.001..f64::INFINITY).contains(&scale_factor) || contradictory);
        if let Ok(mut detector) = detector {
            let hits = detector.detect_multi_scale(&GrayImage::from_pixel(width, height, Luma([90])));
            prop_assert_eq!(hits.is_err(), width == 0 || height == 0);
        }
    }
}
