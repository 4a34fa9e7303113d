//! The leak audit on FER-2013 itself, whose copies across its parts are known.

use std::path::PathBuf;

use fer_model::dataset::{Fer2013, SIDE};
use model_kit::audit::{AuditConfig, ContentHash, Crossing, ImageHash, Item, audit};

#[test]
fn the_audit_finds_the_known_copies_in_fer2013() {
    let Some(folder) = std::env::var_os("EMOTION_DATA").map(PathBuf::from) else {
        eprintln!("skipped: EMOTION_DATA is not set");
        return;
    };
    let table = Fer2013::load(folder.join("fer2013/fer2013.csv")).unwrap();
    let side = SIDE as u32;
    let items: Vec<Item> = (0..table.all().len())
        .map(|row| Item {
            name: row.to_string(),
            split: format!("{:?}", table.splits()[row]),
            label: Some(table.all().emotion(row).to_string()),
            group: None,
            content: ContentHash::of_gray(side, table.all().pixels(row)),
            look: Some(ImageHash::of_gray(side, side, table.all().pixels(row)).unwrap()),
            changed: Vec::new(),
            sound: None,
        })
        .collect();
    let report = audit(&items, &AuditConfig::default()).unwrap();
    let public =
        report.exact.across.iter().find(|crossing| crossing.split == "Public" && crossing.also_in == "Training");
    assert_eq!(public.map(|Crossing { samples, .. }| *samples), Some(280));
    // Without PrivateTest, which is often missing.
    if report.samples == 32_298 {
        assert_eq!(report.exact.groups.len(), 1273);
        assert_eq!(report.near.map(|near| near.pairs.len()), Some(857));
    }
}
