use face_prep::*;
use std::io::Read;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let (w, h) = (a[2].parse::<u32>().unwrap(), a[3].parse::<u32>().unwrap());
    let every: usize = a[4].parse().unwrap();
    let mut f = std::io::BufReader::new(std::fs::File::open(&a[1]).unwrap());
    let mut buf = vec![0u8; (w * h * 3) as usize];
    let mut d = CascadeDetector::new(Cascade::frontal_default(), CascadeConfig::default()).unwrap();
    let mut i = 0;
    let mut t = std::time::Duration::ZERO;
    let mut n = 0;
    while f.read_exact(&mut buf).is_ok() {
        if i % every == 0 {
            let im = image::RgbImage::from_raw(w, h, buf.clone()).unwrap();
            let s = std::time::Instant::now();
            let g = gray(&im);
            let hits = d.detect_multi_scale(&g).unwrap();
            t += s.elapsed();
            n += 1;
            print!("{i}:");
            for h in hits {
                print!(" [{},{},{} n{}]", h.x, h.y, h.width, h.neighbors);
            }
            println!();
        }
        i += 1;
    }
    println!("{} frames, {:?} per detection", i, t / n.max(1));
}
