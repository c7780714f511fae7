//! Durations as a histogram that adds up: quantiles within 3 %, whatever the order and the parts.

use std::collections::BTreeMap;

/// Buckets per doubling. A bucket's middle is at most 1/32 away from anything in it.
const STEPS: u64 = 16;

/// Durations in microseconds, counted in logarithmic buckets with sixteen steps a doubling.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DurationHistogram {
    counts: BTreeMap<u16, u64>,
    count: u64,
    sum_microseconds: u64,
}

impl DurationHistogram {
    /// Counts one duration in.
    pub fn record(&mut self, microseconds: u64) {
        *self.counts.entry(bucket_of(microseconds)).or_default() += 1;
        self.count += 1;
        self.sum_microseconds = self.sum_microseconds.saturating_add(microseconds);
    }

    /// Adds all that another one has counted.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.counts {
            *self.counts.entry(*bucket).or_default() += count;
        }
        self.count += other.count;
        self.sum_microseconds = self.sum_microseconds.saturating_add(other.sum_microseconds);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum, in seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_microseconds as f64 / 1e6
    }

    /// The duration in seconds that this share of them does not pass (nearest rank); nothing where there are none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = ((share.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in &self.counts {
            seen += count;
            if seen >= rank {
                return Some(middle_of(*bucket) / 1e6);
            }
        }
        None
    }

    /// How many lie at or below each of the bounds, in seconds. A bucket that a bound cuts counts where its middle is.
    pub fn cumulative(&self, bounds_seconds: &[f64]) -> Vec<u64> {
        let at_most = |bound: &f64| {
            self.counts.iter().filter(|(bucket, _)| middle_of(**bucket) / 1e6 <= *bound).map(|(_, count)| count).sum()
        };
        bounds_seconds.iter().map(at_most).collect()
    }

    /// The counted buckets, for whoever stores them.
    pub fn parts(&self) -> (u64, impl Iterator<Item = (u16, u64)> + '_) {
        (self.sum_microseconds, self.counts.iter().map(|(bucket, count)| (*bucket, *count)))
    }

    /// A histogram from stored parts.
    pub fn from_parts(sum_microseconds: u64, buckets: impl IntoIterator<Item = (u16, u64)>) -> Self {
        let mut counts = BTreeMap::new();
        for (bucket, count) in buckets {
            *counts.entry(bucket).or_default() += count;
        }
        let count = counts.values().sum();
        Self { counts, count, sum_microseconds }
    }
}

fn bucket_of(microseconds: u64) -> u16 {
    if microseconds < STEPS {
        return microseconds as u16;
    }
    let doublings = u64::from(microseconds.ilog2());
    let step = (microseconds >> (doublings - STEPS.ilog2() as u64)) - STEPS;
    // At most 64 doublings of 16 steps: it always fits.
    ((doublings - STEPS.ilog2() as u64 + 1) * STEPS + step) as u16
}

fn middle_of(bucket: u16) -> f64 {
    let bucket = u64::from(bucket);
    if bucket < STEPS {
        return bucket as f64;
    }
    let shift = (bucket / STEPS - 1) as i32;
    ((bucket % STEPS + STEPS) as f64 + 0.5) * 2f64.powi(shift) - 0.5
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_of_a_thousand_even_steps_are_within_three_percent() {
        let mut histogram = DurationHistogram::default();
        (1..=1000).for_each(|millisecond| histogram.record(millisecond * 1000));
        let (median, tail) = (histogram.quantile(0.5).unwrap(), histogram.quantile(0.95).unwrap());
        assert!((median / 0.5 - 1.0).abs() < 0.032, "{median}");
        assert!((tail / 0.95 - 1.0).abs() < 0.032, "{tail}");
        assert_eq!(histogram.count(), 1000);
        assert!((histogram.sum_seconds() - 500.5).abs() < 1e-9);
    }

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        assert_eq!(DurationHistogram::default().quantile(0.5), None);
    }

    #[test]
    fn cumulative_counts_grow_to_the_whole() {
        let mut histogram = DurationHistogram::default();
        [5_000, 50_000, 500_000, 700_000_000].iter().for_each(|&one| histogram.record(one));
        assert_eq!(histogram.cumulative(&[0.01, 0.1, 1.0, 600.0, f64::INFINITY]), [1, 2, 3, 3, 4]);
    }

    proptest! {
        #[test]
        fn a_buckets_middle_is_near_everything_in_it(value in 0..u64::MAX / 2) {
            let middle = middle_of(bucket_of(value));
            prop_assert!((middle - value as f64).abs() <= value as f64 / 32.0 + 0.5, "{value} {middle}");
        }

        #[test]
        fn parts_add_up_in_any_order(left in prop::collection::vec(0u64..10_000_000, 0..50), right in prop::collection::vec(0u64..10_000_000, 0..50)) {
            let of = |values: &[u64]| { let mut one = DurationHistogram::default(); values.iter().for_each(|&value| one.record(value)); one };
            let (mut forward, mut backward) = (of(&left), of(&right));
            forward.merge(&of(&right));
            backward.merge(&of(&left));
            let whole = of(&[left, right].concat());
            prop_assert_eq!(&forward, &whole);
            prop_assert_eq!(&backward, &whole);
            let (sum, parts) = whole.parts();
            prop_assert_eq!(DurationHistogram::from_parts(sum, parts), forward);
        }
    }
}
