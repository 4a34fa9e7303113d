//! The Rust side of a comparison with other libraries: contestants that are timed when they are asked for.
//!
//! Each line of the standard input, `NAME REPEATS`, is answered by one line of the standard output, `NAME SECONDS`: the
//! mean time of one call over so many calls. So a script can time every contestant, of whatever language, once per
//! round, and what else the machine does meets all of them alike.

use std::io::{BufRead, Write};
use std::time::Instant;

/// What is timed, by name.
pub(crate) struct Contestant<'a> {
    /// No spaces.
    pub(crate) name: String,
    /// One call, that does all of the work and hands the result to `black_box`.
    pub(crate) call: Box<dyn FnMut() + 'a>,
}

impl<'a> Contestant<'a> {
    /// A contestant.
    pub(crate) fn new(name: impl Into<String>, call: impl FnMut() + 'a) -> Self {
        Self { name: name.into(), call: Box::new(call) }
    }
}

/// Answers until the input ends.
#[expect(clippy::print_stdout, reason = "this is the protocol")]
pub(crate) fn serve(mut contestants: Vec<Contestant<'_>>) -> std::io::Result<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (name, repeats) = line.split_once(' ').unwrap_or((&line, "1"));
        let repeats: u32 = repeats.trim().parse().unwrap_or(1).max(1);
        match contestants.iter_mut().find(|contestant| contestant.name == name) {
            Some(contestant) => {
                let start = Instant::now();
                for _ in 0..repeats {
                    (contestant.call)();
                }
                println!("{name} {:e}", start.elapsed().as_secs_f64() / f64::from(repeats));
            }
            None => println!("{name} unknown"),
        }
        std::io::stdout().flush()?;
    }
    Ok(())
}
