//! Sharing independent jobs among threads.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Does every job, on as many threads as there are scratches, and returns the results in the order of the jobs. Whoever is free takes the
/// next job.
pub(super) fn share<J: Sync, S: Send, R: Send>(
    jobs: &[J],
    scratches: &mut [S],
    work: impl Fn(&J, &mut S) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let run = |scratch: &mut S| {
        let mut done = Vec::new();
        while let (number, Some(job)) = {
            let number = next.fetch_add(1, Ordering::Relaxed);
            (number, jobs.get(number))
        } {
            done.push((number, work(job, scratch)));
        }
        done
    };
    // No thread without a job.
    let threads = scratches.len().min(jobs.len());
    let Some((own, others)) = scratches[..threads].split_first_mut() else { return Vec::new() };
    let mut done = std::thread::scope(|scope| {
        let handles: Vec<_> = others.iter_mut().map(|scratch| scope.spawn(|| run(scratch))).collect();
        let mut done = run(own);
        for handle in handles {
            match handle.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|&(number, _)| number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        let jobs: Vec<u64> = (0..100).collect();
        for threads in [1, 3, 200] {
            let mut scratches = vec![0u64; threads];
            let doubled = share(&jobs, &mut scratches, |&job, count| {
                *count += 1;
                2 * job
            });
            assert_eq!(doubled, (0..200).step_by(2).collect::<Vec<u64>>());
            assert_eq!(scratches.iter().sum::<u64>(), 100);
        }
        assert!(share(&[] as &[u64], &mut [0u64], |&job, _| job).is_empty());
    }
}
