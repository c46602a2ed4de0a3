//! Whether an interval holds what it promises.

use super::{Sorted, student};

/// The interval holds the true quantile as often as it promises, by the binomial distribution itself.
#[test]
fn an_interval_covers_what_it_promises() {
    for n in [50u32, 200, 1_000, 5_000] {
        for quantile in [0.5, 0.99] {
            let mut histogram =
                hdrhistogram::Histogram::<u64>::new_with_bounds(1, 10_000_000, 3).unwrap();
            // Rank and value are the same below 2,048, and as near as three digits beyond.
            for rank in 1..=u64::from(n) {
                histogram.record(rank).unwrap();
            }
            // Enough stretches for the normal quantile.
            let interval = Sorted::new(&histogram).interval(quantile, Some(1.0), 100_000, 1.0);
            let mut logs = vec![0.0];
            for k in 1..=n {
                logs.push(logs[k as usize - 1] + f64::from(k).ln());
            }
            let probability = |k: u32| {
                let choose = logs[n as usize] - logs[k as usize] - logs[(n - k) as usize];
                (choose + f64::from(k) * quantile.ln() + f64::from(n - k) * (1.0 - quantile).ln())
                    .exp()
            };
            // The true quantile is above the value of rank r where at least r turns are below it.
            let outside_low: f64 = (0..interval.low as u32).map(probability).sum();
            let outside_high: f64 = match interval.high {
                Some(high) => (high as u32 - 1..=n).map(probability).sum(),
                None => 0.0,
            };
            assert!(outside_low <= 0.003, "n {n}, {quantile}: {outside_low}");
            assert!(outside_high <= 0.003, "n {n}, {quantile}: {outside_high}");
        }
    }
}

#[test]
fn students_table_goes_over_into_the_expansion() {
    assert!(student(0).is_infinite());
    assert!((student(10) - 3.581).abs() < 0.004);
    assert!((student(30) - 3.030).abs() < 0.001);
    assert!((student(1_000_000) - 2.807).abs() < 0.001);
    assert!((1..100).all(|freedom| student(freedom) > student(freedom + 1)));
}
