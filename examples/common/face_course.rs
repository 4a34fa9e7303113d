//! What the face trainers learn from and choose by.

use fer_model::dataset::Course;

/// The share that is drawn to choose by, where nothing is set apart for that.
pub(crate) const CHOOSING: f64 = 0.1;

/// Says how many pictures there are, and how many were left out.
pub(crate) fn announce(course: &Course) {
    let [learned_from, chosen_by] = &course.names;
    eprintln!(
        "{} pictures to learn from ({learned_from}), {} to choose by ({chosen_by})",
        course.training.faces.len(),
        course.choosing.faces.len()
    );
    for (part, name) in [(&course.training, learned_from), (&course.choosing, chosen_by)] {
        if let Some(left_out) = part.left_out.filter(|left_out| left_out.total() > 0) {
            eprintln!("{name}: {} pictures left out, whose votes give no label", left_out.total());
        }
    }
}
