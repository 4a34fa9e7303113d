//! Tensors beside what the golden files of `generate.py` keep of them: both sides make numbers from names by one formula.

/// SplitMix64 from the place that 64-bit FNV-1a gives a name, as numbers of [-1, 1).
pub(crate) fn noise(name: &str, count: usize) -> Vec<f64> {
    let start = name
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325_u64, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
    let value = |place: u64| {
        let mut z = start.wrapping_add(place).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0
    };
    (0..count as u64).map(value).collect()
}

/// Compares values with their digest: largest magnitude, norm, two dot products with [`noise`], eight elements. Every element may
/// be off by `allowed`, the norm by what follows from it, a dot product by `dots` times that. Returns the worst error of the
/// eight.
pub(crate) fn compare(what: &str, values: &[f64], digest: &[f64; 12], allowed: f64, dots: f64) -> f64 {
    let [largest, norm, first, second, elements @ ..] = digest;
    let check = |part: &str, got: f64, want: f64, allowed: f64| {
        assert!((got - want).abs() <= allowed, "{what}, {part}: got {got}, want {want} ± {allowed}");
    };
    let dot = |other: &[f64]| values.iter().zip(other).map(|(a, b)| a * b).sum::<f64>();
    let spread = allowed * (values.len() as f64).sqrt();
    check("largest magnitude", values.iter().fold(0.0, |most, value| value.abs().max(most)), *largest, allowed);
    check("norm", dot(values).sqrt(), *norm, spread);
    check("first dot product", dot(&noise(&format!("first {what}"), values.len())), *first, dots * spread);
    check("second dot product", dot(&noise(&format!("second {what}"), values.len())), *second, dots * spread);
    let places = noise(&format!("places {what}"), 8);
    let mut worst = 0.0;
    for (place, &want) in places.iter().zip(elements) {
        let place = ((place + 1.0) / 2.0 * values.len() as f64) as usize;
        check(&format!("element {place}"), values[place], want, allowed);
        worst = (values[place] - want).abs().max(worst);
    }
    worst
}
