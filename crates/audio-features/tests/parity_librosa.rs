//! Everything in the committed suite equals what librosa 1.0.0 computed.

mod conformance;

use std::path::Path;

use conformance::{Suite, Verdict};

fn run(fast: bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/librosa-1.0.0");
    let suite = Suite::load(&folder).expect("the suite lies beside this test");
    assert_eq!(suite.librosa, "1.0.0");
    let mut failures = Vec::new();
    let tallies = suite
        .run_all(fast, "", |case, verdict| {
            if case.is_ill_conditioned(fast) {
                return;
            }
            match verdict {
                Verdict::Failed { reason, .. } => failures.push(format!("{} {}: {reason}", case.id, case.function)),
                Verdict::Unsupported { what } => failures.push(format!("{} is not supported: {what}", case.id)),
                Verdict::Passed { .. } => {}
            }
        })
        .expect("the suite is whole");
    let cases: usize = tallies.values().map(|tally| tally.cases).sum();
    assert!(failures.is_empty(), "{} of {cases} cases failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn parity_mode_equals_librosa() {
    run(false);
}

#[test]
fn fast_mode_is_close_to_librosa() {
    run(true);
}
