//! The one room with unsafe code: two things that FFmpeg can do and its safe binding does not offer.
#![expect(unsafe_code, reason = "calls into FFmpeg that the binding does not wrap")]

use std::ptr;

use ffmpeg_next::software::scaling;
use ffmpeg_next::{StreamMut, color, ffi};

/// Tells a scaler the matrix and the range of the YUV pictures that it turns into RGB. Left alone it takes all of them
/// for ITU-R BT.601 in the range of television.
pub(crate) fn set_source_colours(scaler: &mut scaling::Context, space: color::Space, range: color::Range) {
    let (mut source, mut target) = (ptr::null_mut(), ptr::null_mut());
    let (mut source_range, mut target_range) = (0, 0);
    let (mut brightness, mut contrast, mut saturation) = (0, 0, 0);
    // SAFETY: the scaler is borrowed mutably and initialised, the other pointers are to local variables. FFmpeg fills
    // them with numbers and with pointers into the scaler, and copies all that it is given back; the coefficients are a
    // static table, and numbers outside it yield the default. Pictures that are no YUV are refused with an error code,
    // which changes nothing.
    unsafe {
        let scaler = scaler.as_mut_ptr();
        let answer = ffi::sws_getColorspaceDetails(
            scaler,
            &raw mut source,
            &raw mut source_range,
            &raw mut target,
            &raw mut target_range,
            &raw mut brightness,
            &raw mut contrast,
            &raw mut saturation,
        );
        if answer < 0 {
            return;
        }
        if range == color::Range::JPEG {
            source_range = 1;
        }
        let space: ffi::AVColorSpace = space.into();
        let source = ffi::sws_getCoefficients(space as i32);
        ffi::sws_setColorspaceDetails(
            scaler,
            source,
            source_range,
            target,
            target_range,
            brightness,
            contrast,
            saturation,
        );
    }
}

/// Forgets the source container's own code for a copied stream's codec, so that the MP4 muxer writes its own.
pub(crate) fn clear_codec_tag(stream: &mut StreamMut<'_>) {
    // SAFETY: the stream belongs to an output that is borrowed mutably for as long as `stream` lives, every stream has
    // its parameters from creation on, and the tag is plain data.
    unsafe {
        (*(*stream.as_mut_ptr()).codecpar).codec_tag = 0;
    }
}
