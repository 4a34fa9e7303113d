//! Where the one who speaks in front begins and ends, and the sound between.

use model_kit::export::{Attribute, FLOAT, INT64, Value};
use model_kit::layers::Result;
use tch::{Kind, Tensor};

use super::is_sound;
use super::memory::{places, places_onnx};
use crate::input::SCALE;

/// A stretch of fewer moments (half a second) was rather not found, and the sound stays whole.
const LEAST: f64 = 15.0;

/// How many frames are kept before and after the stretch (an eighth of a second).
const MARGIN: f64 = 8.0;

/// The share of the frames that are softer than the loud ones; the images themselves are normalised by the same.
const QUANTILE: f64 = 0.95;

/// By how much an image of this crate changes when power grows by a factor of e.
pub(super) const STEP: f64 = 10.0 / std::f64::consts::LN_10 / SCALE as f64;

/// What keeps padding, and stretches that end before they begin, from being chosen.
const NEVER: f64 = 1e4;

/// Keeps the stretch of each clip in which somebody speaks in front: the one with the largest sum of log odds. It
/// moves to the start; what follows is padding. Its loud frames come to the level that those of the whole had.
///
/// # Shapes
/// `image` `[batch, 1, n_mels, frames]`, `mask` `[batch, 1, 1, frames]` of 0 and 1, `speaking` `[batch, ⌈frames/2⌉, 1]`, log
/// odds → image and mask of the same shapes
pub(super) fn cut(image: &Tensor, mask: &Tensor, speaking: &Tensor) -> Result<(Tensor, Tensor)> {
    let heard = mask.f_slice(3, 0, None, 2)?.f_squeeze_dim(1)?.f_transpose(1, 2)?;
    let never = heard.f_sub_scalar(1.0)?.f_mul_scalar(NEVER)?;
    let values = speaking.f_mul(&heard)?.f_add(&never)?;
    let sums = values.f_cumsum(1, values.kind())?;
    // The sum from each moment (rows) to each other (columns).
    let gains = sums.f_transpose(1, 2)?.f_sub(&sums.f_sub(&values)?)?;
    let moments = places(&heard)?;
    let backwards = moments.f_transpose(1, 2)?.f_sub(&moments)?.f_lt(0)?;
    let gains = gains.f_masked_fill(&backwards, f64::NEG_INFINITY)?;
    let first = gains.f_amax([2i64].as_slice(), false)?.f_argmax(1, true)?;
    let last = gains.f_amax([1i64].as_slice(), false)?.f_argmax(1, true)?;

    // [batch, 1] → [batch, 1, 1, 1]
    let number = |tensor: Tensor| tensor.f_to_kind(mask.kind())?.f_unsqueeze(2)?.f_unsqueeze(3);
    let (first, last) = (number(first)?, number(last)?);
    let found = last.f_sub(&first)?.f_ge(LEAST - 1.0)?.f_to_kind(mask.kind())?;
    let end = mask.f_sum_dim_intlist([3i64].as_slice(), true, mask.kind())?;
    let begin = first.f_mul_scalar(2.0)?.f_sub_scalar(MARGIN)?.f_clamp_min(0.0)?.f_mul(&found)?;
    let behind = last.f_mul_scalar(2.0)?.f_add_scalar(2.0 + MARGIN)?.f_minimum(&end)?;
    let end = end.f_add(&behind.f_sub(&end)?.f_mul(&found)?)?;

    let places = mask.f_ones_like()?.f_cumsum(3, mask.kind())?.f_sub_scalar(1.0)?;
    let from = places.f_add(&begin)?.f_minimum(&places.f_amax([3i64].as_slice(), true)?)?;
    let stretch = image.f_gather(3, &from.f_to_kind(Kind::Int64)?.f_expand_as(image)?, false)?;
    let left = places.f_lt_tensor(&end.f_sub(&begin)?)?.f_to_kind(mask.kind())?;
    let louder = loud(image, mask)?.f_sub(&loud(&stretch, &left)?)?;
    Ok((stretch.f_add(&louder)?, left))
}

/// The level of the loud frames: of all frames in order of their power, the one at [`QUANTILE`].
///
/// # Shapes
/// `image` `[batch, 1, n_mels, frames]`, `mask` `[batch, 1, 1, frames]` → `[batch, 1, 1, 1]`
fn loud(image: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let levels = image.f_div_scalar(STEP)?.f_logsumexp([2i64].as_slice(), true)?.f_mul_scalar(STEP)?;
    // How many frames are softer than each; the one looked for is the loudest with no more of them than its place.
    let softer = levels.f_transpose(2, 3)?.f_lt_tensor(&levels)?.f_to_kind(mask.kind())?;
    let softer = softer.f_mul(&mask.f_transpose(2, 3)?)?.f_sum_dim_intlist([2i64].as_slice(), true, mask.kind())?;
    let place = mask.f_sum_dim_intlist([3i64].as_slice(), true, mask.kind())?.f_mul_scalar(QUANTILE)?.f_floor()?;
    let in_reach = softer.f_le_tensor(&place)?.f_to_kind(mask.kind())?.f_mul(mask)?;
    levels.f_add(&in_reach.f_sub_scalar(1.0)?.f_mul_scalar(NEVER)?)?.f_amax([3i64].as_slice(), true)
}

/// [`cut`] in an ONNX graph.
pub(super) fn cut_onnx<'g>(image: Value<'g>, mask: Value<'g>, speaking: Value<'g>) -> (Value<'g>, Value<'g>) {
    let heard = mask.slice(3, 0, i64::MAX, 2).squeeze(1).permute(&[0, 2, 1]);
    let values = speaking.times(heard).plus(heard.plus_number(-1.0).times_number(NEVER));
    let sums = values.cumsum(1);
    let gains = sums.permute(&[0, 2, 1]).minus(sums.minus(values));
    let moments = places_onnx(heard);
    let backwards = is_sound(moments.minus(moments.permute(&[0, 2, 1])));
    let gains = gains.plus(backwards.times_number(-NEVER * NEVER));
    let number = |value: Value<'g>| {
        let place = value.node("ArgMax", &[], &[("axis", Attribute::Int(1)), ("keepdims", Attribute::Int(1))]);
        place.node("Cast", &[], &[("to", Attribute::Int(FLOAT))]).unsqueeze(2).unsqueeze(3)
    };
    let (first, last) = (number(gains.largest(2)), number(gains.largest(1)));
    let found = is_sound(last.minus(first).plus_number(1.5 - LEAST));
    let end = mask.sum(3).unsqueeze(3);
    let begin = first.times_number(2.0).plus_number(-MARGIN).relu().times(found);
    let behind = last.times_number(2.0).plus_number(2.0 + MARGIN).node("Min", &[end], &[]);
    let end = end.plus(behind.minus(end).times(found));

    let ones = mask.minus(mask).plus_number(1.0);
    let places = ones.cumsum(3).minus(ones);
    let from = places.plus(begin).node("Min", &[places.largest(3).unsqueeze(3)], &[]);
    let from = from.node("Cast", &[], &[("to", Attribute::Int(INT64))]);
    let from = from.node("Expand", &[image.node("Shape", &[], &[])], &[]);
    let stretch = image.node("GatherElements", &[from], &[("axis", Attribute::Int(3))]);
    let left = is_sound(end.minus(begin).minus(places));
    let louder = loud_onnx(image, mask).minus(loud_onnx(stretch, left));
    (stretch.plus(louder), left)
}

/// [`loud`] in an ONNX graph.
fn loud_onnx<'g>(image: Value<'g>, mask: Value<'g>) -> Value<'g> {
    let bands = [("axes", Attribute::Ints(vec![2])), ("keepdims", Attribute::Int(1))];
    let levels = image.times_number(1.0 / STEP).node("ReduceLogSumExp", &[], &bands).times_number(STEP);
    let softer = is_sound(levels.minus(levels.permute(&[0, 1, 3, 2]))).times(mask.permute(&[0, 1, 3, 2]));
    let place = mask.sum(3).unsqueeze(3).times_number(QUANTILE).node("Floor", &[], &[]);
    let too_loud = is_sound(softer.sum(2).unsqueeze(2).minus(place).plus_number(-0.5));
    let in_reach = mask.minus(mask.times(too_loud));
    levels.plus(in_reach.plus_number(-1.0).times_number(NEVER)).largest(3).unsqueeze(3)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// Frames of one clip that are kept. Every frame of the image holds its place and, in a second band, that from the end.
    fn kept(frames: i64, heard: i64, speaking: &[f32]) -> Vec<f32> {
        let places = Tensor::arange(frames, (Kind::Float, Device::Cpu)).view([1, 1, 1, frames]);
        let mask = places.lt(heard as f64).to_kind(Kind::Float);
        // A loud third band, alike in every frame, leaves the level as it is.
        let image = Tensor::cat(&[&places, &(&places * -1.0), &places.full_like(1e3)], 2);
        let (image, mask) = cut(&image, &mask, &Tensor::from_slice(speaking).view([1, -1, 1])).unwrap();
        let length = mask.sum(Kind::Int64).int64_value(&[]);
        let kept = image.narrow(3, 0, length);
        assert_eq!(kept.select(2, 0), -kept.select(2, 1));
        Vec::try_from(kept.select(2, 0).flatten(0, -1)).unwrap()
    }

    fn from_to(first: i64, end: i64) -> Vec<f32> {
        (first..end).map(|place| place as f32).collect()
    }

    #[test]
    fn the_likeliest_stretch_is_kept_with_a_margin() {
        // 20 moments of speech, with a pause of 3 that is not worth ending it for, and a cough.
        let mut speaking = [-3.0; 60];
        speaking[10..30].fill(4.0);
        speaking[20..23].fill(-2.0);
        speaking[50..52].fill(4.0);
        assert_eq!(kept(120, 120, &speaking), from_to(12, 68));
    }

    #[test]
    fn a_long_pause_parts_two_stretches_and_the_likelier_one_stays() {
        let mut speaking = [-8.0; 100];
        speaking[0..20].fill(3.0);
        speaking[60..100].fill(3.0);
        assert_eq!(kept(199, 199, &speaking), from_to(112, 199));
    }

    #[test]
    fn padding_and_what_stands_in_it_have_no_say() {
        let mut speaking = [5.0; 60];
        speaking[0..5].fill(-4.0);
        assert_eq!(kept(120, 80, &speaking), from_to(2, 80));
    }

    #[test]
    fn where_nobody_is_found_the_sound_stays_whole() {
        assert_eq!(kept(81, 70, &[-4.0; 41]), from_to(0, 70));
        let mut cough = [-4.0; 41];
        cough[7..20].fill(4.0);
        assert_eq!(kept(81, 81, &cough), from_to(0, 81));
        assert_eq!(kept(1, 1, &[9.0]), from_to(0, 1));
    }

    #[test]
    fn the_stretch_comes_to_the_level_of_the_whole() {
        // 41 frames, one of each level from 0 to 40, twice: softly and, around a loud stretch, 10 louder.
        let levels: Vec<f32> =
            (0..120i16).map(|place| f32::from((place * 7) % 41) + if place < 40 { 10.0 } else { 0.0 }).collect();
        let image = Tensor::from_slice(&levels).view([1, 1, 1, 120]);
        let mask = image.ones_like();
        let sorted = |image: &Tensor| Vec::<f32>::try_from(image.flatten(0, -1).sort(0, false).0).unwrap();
        let whole = sorted(&image)[114];
        assert!((loud(&image, &mask).unwrap().double_value(&[0, 0, 0, 0]) - f64::from(whole)).abs() < 1e-4);

        let mut speaking = [-3.0f32; 60];
        speaking[30..60].fill(4.0);
        let (stretch, left) = cut(&image, &mask, &Tensor::from_slice(&speaking).view([1, -1, 1])).unwrap();
        let length = left.sum(Kind::Int64).int64_value(&[]);
        assert_eq!(length, 68);
        let stretch = sorted(&stretch.narrow(3, 0, length));
        assert!((stretch[(0.95 * 68.0) as usize] - whole).abs() < 1e-4);
    }
}
