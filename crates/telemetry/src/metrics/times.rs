//! Response times of both servers, and our own, as histograms with fixed buckets.
//!
//! They are counted out of the HDR histograms, whose cells are finer by far than the buckets: a measurement stands in the
//! right bucket but for those that equal a bound, which may stand in the next. The sum is that of the cells' middles, off
//! by at most 0.05 %. Both only grow.

use exposition::{Buckets, Families};
use hdrhistogram::Histogram;

use crate::latency::{Latency, Series};

/// Upper bounds of the buckets, in microseconds: 1-2-5 from 50 us to 50 s.
const BOUNDS_US: [u64; 19] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000, 50_000_000,
];

/// Sides of a comparison, with their series of the first and of the last byte.
const SIDES: [(&str, Series, Series); 4] = [
    ("online", Series::OnlineFirst, Series::OnlineLast),
    ("target", Series::TargetFirst, Series::TargetLast),
    ("target_net", Series::TargetFirstNet, Series::TargetLastNet),
    (
        "target_intended",
        Series::TargetFirstIntended,
        Series::TargetLastIntended,
    ),
];

pub(super) fn add(families: &mut Families, latency: &Latency) {
    let mut first = families.histogram(
        "tcpcopy_response_first_byte_seconds",
        "From a turn's last byte to the first byte of its response, of paired turns. Compare online with target_net.",
    );
    for (side, series, _) in SIDES {
        first.sample(&[("side", side)], &buckets(latency.series(series)));
    }
    let mut last = families.histogram(
        "tcpcopy_response_last_byte_seconds",
        "From a turn's last byte to the last byte of its response, of paired turns. Compare online with target_net.",
    );
    for (side, _, series) in SIDES {
        last.sample(&[("side", side)], &buckets(latency.series(series)));
    }
    families
        .histogram(
            "tcpcopy_send_lag_seconds",
            "From the capture of a turn's first byte until it left for the target.",
        )
        .sample(&[], &buckets(latency.series(Series::Lag)));
    families
        .histogram(
            "tcpcopy_reaction_seconds",
            "From a target's reply, as its hook saw it, until the frames that it let go were handed to the kernel.",
        )
        .sample(&[], &buckets(latency.series(Series::Reaction)));
    families
        .histogram(
            "tcpcopy_round_seconds",
            "A round of a worker's loop that found work: whatever comes meanwhile waits for its end.",
        )
        .sample(&[], &buckets(latency.series(Series::Round)));
}

/// A histogram of microseconds as buckets of seconds.
fn buckets(histogram: &Histogram<u64>) -> Buckets {
    let mut cumulative = Vec::with_capacity(BOUNDS_US.len());
    let mut bounds = BOUNDS_US.iter().copied().peekable();
    let (mut count, mut sum_us) = (0u64, 0u128);
    for cell in histogram.iter_recorded() {
        let largest = cell.value_iterated_to();
        while let Some(bound) = bounds.next_if(|&bound| bound < largest) {
            cumulative.push((seconds(bound.into()), count));
        }
        count += cell.count_at_value();
        let middle = histogram.median_equivalent(largest);
        sum_us += u128::from(middle) * u128::from(cell.count_at_value());
    }
    cumulative.extend(bounds.map(|bound| (seconds(bound.into()), count)));
    Buckets {
        cumulative,
        count,
        sum: seconds(sum_us),
    }
}

fn seconds(micros: u128) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::{BOUNDS_US, buckets};

    #[test]
    fn each_measurement_stands_in_its_bucket_and_in_all_above() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 3).unwrap();
        assert_eq!(buckets(&histogram).count, 0);
        assert_eq!(buckets(&histogram).cumulative.len(), BOUNDS_US.len());
        let measured = [
            1,
            50,
            51,
            1_000,
            1_001,
            4_990,
            49_000_000,
            51_000_000,
            3_000_000_000,
        ];
        for value in measured {
            histogram.record(value).unwrap();
        }
        let made = buckets(&histogram);
        assert_eq!(made.count, measured.len() as u64);
        for (&(bound, count), bound_us) in made.cumulative.iter().zip(BOUNDS_US) {
            let expected = measured.iter().filter(|&&value| value <= bound_us).count() as u64;
            assert_eq!(count, expected, "not larger than {bound}");
        }
        let sum: u64 = measured.iter().sum();
        let exact = sum as f64 / 1e6;
        assert!(
            (made.sum / exact - 1.0).abs() < 0.0005,
            "{} of {exact}",
            made.sum
        );
    }
}
