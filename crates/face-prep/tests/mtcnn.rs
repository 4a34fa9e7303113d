//! MTCNN against its Python package. Needs the feature `mtcnn`, and the weights where set-up puts them; says "skipped" without the latter.
#![cfg(feature = "mtcnn")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::path::Path;

use face_prep::{BoundingBox, Error, FaceDetector, Filter, Mtcnn, MtcnnConfig, resize};
use image::RgbImage;

/// What `MTCNN().detect_faces` of the package `mtcnn` 0.1.1 says of `astronaut.png`: left and upper edge, width and height, then the
/// landmarks, all cut to whole pixels.
const BOX: [f32; 4] = [91.0, 62.0, 88.0, 110.0];
const LANDMARKS: [[f32; 2]; 5] = [[114.0, 100.0], [156.0, 102.0], [133.0, 128.0], [111.0, 138.0], [154.0, 141.0]];

/// MTCNN with the package's least face, and as many threads; `None`, and a word, without weights.
fn mtcnn(threads: usize) -> Option<Mtcnn> {
    let Some(path) = Mtcnn::default_path().filter(|path| path.exists()) else {
        println!("skipped: MTCNN's weights are not set up");
        return None;
    };
    Some(Mtcnn::new(path, MtcnnConfig { min_face_size: Some(20), threads, ..MtcnnConfig::default() }).unwrap())
}

fn portrait() -> RgbImage {
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/opencv-4.14.0/astronaut.png");
    image::open(picture).unwrap().into_rgb8()
}

/// The portrait in three sizes, one of them cut by the edge.
fn group() -> RgbImage {
    let mut group = RgbImage::from_pixel(701, 503, image::Rgb([90, 120, 60]));
    for (side, x, y) in [(400, 10, 60), (230, 440, 20), (180, 560, 300)] {
        let one = resize(&portrait(), side, side, Filter::Area).unwrap();
        image::imageops::replace(&mut group, &one, x, y);
    }
    group
}

#[test]
fn the_packages_face() {
    let Some(mut mtcnn) = mtcnn(1) else { return };
    let faces = mtcnn.detect(&portrait()).unwrap();
    assert_eq!(faces.len(), 1, "{faces:?}");
    let face = faces[0];
    let (x, y) = (face.bbox.x.trunc(), face.bbox.y.trunc());
    assert_eq!([x, y, (face.bbox.right() - x).trunc(), (face.bbox.bottom() - y).trunc()], BOX);
    assert_eq!(face.landmarks.unwrap().map(|point| [point.x.trunc(), point.y.trunc()]), LANDMARKS);
    assert!(face.score > 0.9999);

    assert!(mtcnn.detect(&RgbImage::new(200, 100)).unwrap().is_empty());
    assert!(mtcnn.detect(&RgbImage::new(1, 1)).unwrap().is_empty());
    assert!(matches!(mtcnn.detect(&RgbImage::new(0, 7)), Err(Error::InvalidInput { .. })));
}

#[test]
fn threads_change_nothing() {
    let Some(mut alone) = mtcnn(1) else { return };
    let faces = alone.detect(&group()).unwrap();
    assert_eq!(faces.len(), 3, "{faces:?}");
    for threads in [2, 5] {
        assert_eq!(mtcnn(threads).unwrap().detect(&group()).unwrap(), faces);
    }
    // A detector that has seen larger and smaller pictures answers the same.
    alone.detect(&portrait()).unwrap();
    alone.detect(&RgbImage::new(30, 1000)).unwrap();
    assert_eq!(alone.detect(&group()).unwrap(), faces);
}

#[test]
fn a_look_near_a_face_finds_it_alone() {
    let Some(mut mtcnn) = mtcnn(1) else { return };
    for face in mtcnn.detect(&group()).unwrap() {
        let side = face.bbox.longer_side();
        let region = BoundingBox::square(face.bbox.center(), 1.5 * side);
        let near = mtcnn.detect_near(&group(), &region, [0.75 * side, 1.35 * side]).unwrap();
        assert_eq!(near.len(), 1, "{near:?}");
        assert!(near[0].bbox.iou(&face.bbox) > 0.85, "{near:?} {face:?}");
        let eyes = [near[0], face].map(|face| face.landmarks.unwrap()[0]);
        assert!(eyes[0].distance(eyes[1]) < 0.05 * side, "{eyes:?}");
        assert!(mtcnn.detect_near(&group(), &region, [1.5 * side, 2.0 * side]).unwrap().is_empty());
    }
    let nowhere = BoundingBox::new(5.0, 5.0, 0.0, 9.0);
    assert!(matches!(mtcnn.detect_near(&group(), &nowhere, [20.0, 90.0]), Err(Error::InvalidInput { .. })));
}

/// LibTorch's networks find what ours find: on the CPU, and on a graphics card where there is one.
#[cfg(feature = "cnn")]
#[test]
fn libtorch_agrees() {
    let Some(mut ours) = mtcnn(1) else { return };
    let mut devices = vec![tch::Device::Cpu];
    if tch::Cuda::is_available() {
        devices.push(tch::Device::Cuda(0));
    } else {
        println!("skipped: CUDA is not available");
    }
    for device in devices {
        let path = Mtcnn::default_path().unwrap();
        let mut theirs = Mtcnn::on_device(path, ours.config().clone(), device).unwrap();
        for image in [portrait(), group(), RgbImage::new(64, 64)] {
            let (ours, theirs) = (ours.detect(&image).unwrap(), theirs.detect(&image).unwrap());
            assert_eq!(ours.len(), theirs.len(), "{device:?}");
            for (one, other) in ours.iter().zip(&theirs) {
                assert!(one.bbox.iou(&other.bbox) > 0.999, "{device:?}: {one:?} {other:?}");
                assert!((one.score - other.score).abs() < 1e-3);
                for (one, other) in one.landmarks.unwrap().iter().zip(other.landmarks.unwrap()) {
                    assert!(one.distance(other) < 0.1, "{device:?}: {one:?} {other:?}");
                }
            }
        }
    }
}

#[test]
fn bad_weights_and_settings_are_refused() {
    assert!(matches!(Mtcnn::load("/no/such/file"), Err(Error::Io { .. })));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"not safetensors").unwrap();
    assert!(matches!(Mtcnn::load(file.path()), Err(Error::Weights { .. })));
    let empty: [(&str, safetensors::tensor::TensorView); 0] = [];
    safetensors::serialize_to_file(empty, None, file.path()).unwrap();
    let problem = Mtcnn::load(file.path()).unwrap_err().to_string();
    assert!(
        problem.contains("missing onet.landmarks.bias") && problem.contains("missing pnet.conv1.weight"),
        "{problem}"
    );
    for config in [
        MtcnnConfig { min_face_size: Some(3), ..MtcnnConfig::default() },
        MtcnnConfig { threads: 0, ..MtcnnConfig::default() },
        MtcnnConfig { scale_factor: 1.0, ..MtcnnConfig::default() },
        MtcnnConfig { thresholds: [0.6, f32::NAN, 0.7], ..MtcnnConfig::default() },
    ] {
        assert!(matches!(Mtcnn::new(file.path(), config), Err(Error::InvalidConfig { .. })));
    }
}
