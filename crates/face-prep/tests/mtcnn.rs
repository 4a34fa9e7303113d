//! MTCNN against its Python package. Needs the feature `cnn`, and the weights where set-up puts them; says "skipped" without the latter.
#![cfg(feature = "cnn")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::path::Path;

use face_prep::{Error, FaceDetector, Mtcnn, MtcnnConfig};
use image::RgbImage;

/// What `MTCNN().detect_faces` of the package `mtcnn` 0.1.1 says of `astronaut.png`: left and upper edge, width and height, then the
/// landmarks, all cut to whole pixels.
const BOX: [f32; 4] = [91.0, 62.0, 88.0, 110.0];
const LANDMARKS: [[f32; 2]; 5] = [[114.0, 100.0], [156.0, 102.0], [133.0, 128.0], [111.0, 138.0], [154.0, 141.0]];

#[test]
fn the_packages_face() {
    let Some(path) = Mtcnn::default_path().filter(|path| path.exists()) else {
        println!("skipped: MTCNN's weights are not set up");
        return;
    };
    let config = MtcnnConfig { min_face_size: Some(20), ..MtcnnConfig::default() };
    let mut mtcnn = Mtcnn::new(path, config, tch::Device::Cpu).unwrap();
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/opencv-4.14.0/astronaut.png");
    let faces = mtcnn.detect(&image::open(picture).unwrap().into_rgb8()).unwrap();
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
        MtcnnConfig { scale_factor: 1.0, ..MtcnnConfig::default() },
        MtcnnConfig { thresholds: [0.6, f32::NAN, 0.7], ..MtcnnConfig::default() },
    ] {
        assert!(matches!(Mtcnn::new(file.path(), config, tch::Device::Cpu), Err(Error::InvalidConfig { .. })));
    }
}
