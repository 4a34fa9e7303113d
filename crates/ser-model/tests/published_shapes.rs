//! Generated files in the shapes in which the corpora are published, from folder to features.

#![allow(clippy::unwrap_used, reason = "what cannot be read fails the test")]

use std::f32::consts::TAU;
use std::path::Path;

use hound::{SampleFormat, WavSpec, WavWriter};
use ser_model::SAMPLE_RATE;
use ser_model::cache::Cache;
use ser_model::corpus::{Clip, Corpus, Intensity, Sex, split};
use ser_model::dataset::decode;
use ser_model::evaluate::Answers;

/// A tone of one second.
fn write(path: &Path, sample_rate: u32, channels: u16) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let spec = WavSpec { channels, sample_rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut file = WavWriter::create(path, spec).unwrap();
    for index in 0..sample_rate {
        let sample = (index as f32 / sample_rate as f32 * 220.0 * TAU).sin() * 8000.0;
        (0..channels).for_each(|_| file.write_sample(sample as i16).unwrap());
    }
    file.finalize().unwrap();
}

/// The corpora side by side: names, rates and channels as published.
fn corpora(root: &Path) -> Vec<Clip> {
    let files = [
        // 48 kHz; some files are stereo, and the song and the picture parts lie in the same folders.
        ("ravdess/Actor_01/03-01-05-02-01-01-01.wav", 48_000, 1),
        ("ravdess/Actor_02/03-01-02-01-02-02-02.wav", 48_000, 2),
        ("ravdess/Actor_07/03-01-03-01-02-01-07.wav", 48_000, 1),
        ("ravdess/Actor_07/03-01-03-01-02-02-07.wav", 48_000, 1),
        ("ravdess/Actor_07/03-02-03-01-02-02-07.wav", 48_000, 1),
        // 24,414 Hz, with irregular names.
        ("tess/OAF_Fear/OAF_back_fear.wav", 24_414, 1),
        ("tess/OAF_neutral/OA_bite_neutral.wav", 24_414, 1),
        ("tess/YAF_pleasant_surprised/YAF_dog_ps.wav", 24_414, 1),
        ("tess/TESS Toronto emotional speech set data/OAF_Fear/OAF_back_fear.wav", 24_414, 1),
        ("savee/DC_sa01.wav", 44_100, 1),
        ("savee/JE/su15.wav", 44_100, 2),
        ("cremad/AudioWAV/1002_IEO_ANG_HI.wav", 16_000, 1),
        ("cremad/AudioWAV/1040_ITH_SAD_X.wav", 16_000, 1),
        ("emodb/wav/03a01Wa.wav", 16_000, 1),
        ("emodb/wav/08b02La.wav", 16_000, 1),
    ];
    for (name, rate, channels) in files {
        write(&root.join(name), rate, channels);
    }
    let mut clips = Vec::new();
    let mut skipped = 0;
    for corpus in [Corpus::Ravdess, Corpus::Tess, Corpus::Savee, Corpus::CremaD, Corpus::EmoDb] {
        let scan = corpus.scan(&root.join(corpus.name())).unwrap();
        clips.extend(scan.clips);
        skipped += scan.skipped.len();
    }
    // A song, a file of TESS that is there twice, and boredom.
    assert_eq!((clips.len(), skipped), (12, 3));
    clips
}

#[test]
fn files_of_every_rate_and_channel_count_become_mono_16_khz() {
    let root = tempfile::tempdir().unwrap();
    let clips = corpora(root.path());
    let (sounds, skipped) = decode(&clips, 0.0, &Cache::in_memory(), &|| ());
    assert!(skipped.is_empty(), "{skipped:?}");
    for sound in &sounds {
        assert!(sound.samples.len().abs_diff(SAMPLE_RATE as usize) <= 1, "{}", sound.clip.name);
        // The tone has its level and its pitch, from one channel or two.
        let middle = &sound.samples[4_000..12_000];
        let rms = (middle.iter().map(|x| x * x).sum::<f32>() / 8_000.0).sqrt();
        assert!((rms - 8_000.0 / 32_768.0 / 2f32.sqrt()).abs() < 0.002, "{}: {rms}", sound.clip.name);
        let crossings = middle.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
        assert!((109..=111).contains(&crossings), "{}: {crossings}", sound.clip.name);
    }
}

#[test]
fn a_merged_list_tells_corpus_speaker_sex_intensity_and_sentence() {
    let root = tempfile::tempdir().unwrap();
    let clips = corpora(root.path());
    let of = |speaker: &str| clips.iter().find(|clip| clip.speaker_key() == speaker).unwrap();
    assert_eq!((of("ravdess/01").sex, of("ravdess/01").intensity), (Some(Sex::Male), Some(Intensity::Strong)));
    assert_eq!(of("ravdess/02").sentence.as_deref(), Some("Dogs are sitting by the door"));
    assert_eq!(of("tess/YAF").sentence.as_deref(), Some("Say the word dog"));
    assert_eq!((of("savee/JE").sex, of("savee/JE").intensity), (Some(Sex::Male), None));
    assert_eq!((of("cremad/1002").sex, of("cremad/1002").intensity), (Some(Sex::Female), Some(Intensity::Strong)));
    assert_eq!((of("emodb/03").sex, of("emodb/03").sentence.as_deref()), (Some(Sex::Male), Some("a01")));

    // Speakers stay apart across corpora, and RAVDESS's one identical pair stays together.
    assert_eq!(split::leave_one_speaker_out(&clips).unwrap().len(), 10);
    let twins: Vec<usize> = (0..clips.len()).filter(|&clip| clips[clip].speaker_key() == "ravdess/07").collect();
    for seed in 0..10 {
        for named in split::clips_apart(&clips, 3, seed).unwrap() {
            assert_eq!(named.fold.test.contains(&twins[0]), named.fold.test.contains(&twins[1]));
        }
    }
}

#[test]
#[cfg(feature = "pretrained")]
fn emotions_that_a_model_does_not_know_are_not_asked_about() {
    let root = tempfile::tempdir().unwrap();
    let (sounds, _) = decode(&corpora(root.path()), 0.0, &Cache::in_memory(), &|| ());
    let model = ser_model::SerModel::pretrained().unwrap();
    let mut seven = Answers::new(&emotion_core::LabelSet::face7());
    let asked = sounds.iter().filter(|sound| seven.ask(&model, sound).unwrap()).count();
    // Calm is neutral there; every emotion of these corpora is known.
    assert_eq!((asked, seven.len()), (12, 12));
}
