use face_prep::*;
use std::io::Read;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let (w, h) = (a[2].parse::<u32>().unwrap(), a[3].parse::<u32>().unwrap());
    let fps: f64 = a[4].parse().unwrap();
    let quiet = a.len() > 5;
    let mut f = std::io::BufReader::new(std::fs::File::open(&a[1]).unwrap());
    let mut buf = vec![0u8; (w * h * 3) as usize];
    let mut d = CascadeDetector::new(Cascade::frontal_default(), CascadeConfig::default()).unwrap();
    let mut t = Tracker::new(TrackerConfig::default()).unwrap();
    let (mut i, mut with, mut det) = (0u64, 0, 0);
    let mut ids = std::collections::BTreeMap::new();
    while f.read_exact(&mut buf).is_ok() {
        let im = image::RgbImage::from_raw(w, h, buf.clone()).unwrap();
        let faces = t.step(&im, i, i as f64 / fps, &mut d).unwrap();
        with += !faces.is_empty() as usize;
        det += faces.iter().any(|f| f.detected) as usize;
        for f in &faces {
            *ids.entry(f.track).or_insert(0) += 1;
        }
        if !quiet {
            print!("{i}:");
            for f in faces {
                print!(
                    " #{} [{:.1},{:.1},{:.1}] {} {:.2}",
                    f.track, f.bbox.x, f.bbox.y, f.bbox.width, f.detected, f.score
                );
            }
            println!();
        }
        i += 1;
    }
    println!("{} {} frames, {with} with face, {det} detected, tracks {ids:?}", a[1], i);
}
