//! Exact probabilities of counts.

/// How often two sides differ, and of how many responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) differing: [u64; 2],
    pub(crate) of: [u64; 2],
}

impl Table {
    /// Fisher's exact test, one-sided: the probability that of all differences so many or more fall to the first side, where both
    /// differ as often.
    pub(crate) fn probability(&self) -> f64 {
        let [k1, k0] = self.bounded();
        let [n1, n0] = self.of;
        if k1 == 0 || n0 == 0 {
            return 1.0;
        }
        // No more often than the other side: more than a third, and of no interest.
        if k1 as f64 * n0 as f64 <= k0 as f64 * n1 as f64 {
            return 1.0;
        }
        tail(k1, k1 + k0, n1, n0)
    }

    /// The least probability that there is with so many differences and responses: all differences fall to the first side.
    pub(crate) fn least(&self) -> f64 {
        let [k1, k0] = self.bounded();
        let [n1, n0] = self.of;
        if k1 + k0 == 0 || n1 == 0 || n0 == 0 {
            return 1.0;
        }
        tail((k1 + k0).min(n1), k1 + k0, n1, n0)
    }

    fn bounded(&self) -> [u64; 2] {
        [0, 1].map(|side| self.differing[side].min(self.of[side]))
    }
}

/// The upper tail of the hypergeometric distribution from `from` on: of `all` differences, `from` or more are among the `n1` of
/// `n1 + n0` responses.
fn tail(from: u64, all: u64, n1: u64, n0: u64) -> f64 {
    let first = ln_choose(n1, from) + ln_choose(n0, all - from) - ln_choose(n1 + n0, all);
    let (mut sum, mut term) = (1.0, 1.0);
    for x in from..all.min(n1) {
        let (x, all, n1, n0) = (x as f64, all as f64, n1 as f64, n0 as f64);
        term *= (n1 - x) / (x + 1.0) * (all - x) / (n0 - all + x + 1.0);
        sum += term;
        // Beyond the most likely number terms become smaller and smaller.
        if term < sum * 1e-15 {
            break;
        }
    }
    (first.exp() * sum).min(1.0)
}

/// The natural logarithm of a binomial coefficient; that of one that is 0 is minus infinity.
fn ln_choose(n: u64, k: u64) -> f64 {
    if k > n {
        return f64::NEG_INFINITY;
    }
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// Stirling's series, exact to some 1e-12 from 16 on; below it is added up.
fn ln_factorial(n: u64) -> f64 {
    if n < 16 {
        return (2..=n).map(|factor| (factor as f64).ln()).sum();
    }
    let n = n as f64;
    let inverse = 1.0 / n;
    let square = inverse * inverse;
    let series =
        inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0)));
    n * n.ln() - n + 0.5 * (2.0 * core::f64::consts::PI * n).ln() + series
}

/// The least share that is likely where `k` of `n` differ: were the true one smaller, so many or more would have a probability below
/// `level` (Clopper and Pearson 1934).
pub(crate) fn share_low(k: u64, n: u64, level: f64) -> f64 {
    if k == 0 || n == 0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, k as f64 / n as f64);
    // Sixty halvings are more than a number has digits.
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if binomial_tail(k, n, middle) < level {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The probability of `k` or more of `n`, each of which has probability `share`; `k` is no less than is expected.
fn binomial_tail(k: u64, n: u64, share: f64) -> f64 {
    if share <= 0.0 {
        return 0.0;
    }
    let first = ln_choose(n, k) + k as f64 * share.ln() + (n - k) as f64 * (-share).ln_1p();
    let (mut sum, mut term) = (1.0, 1.0);
    let odds = share / (1.0 - share);
    for x in k..n {
        term *= (n - x) as f64 / (x + 1) as f64 * odds;
        sum += term;
        if term < sum * 1e-15 {
            break;
        }
    }
    (first.exp() * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::{Table, binomial_tail, ln_choose, ln_factorial, share_low};

    fn near(found: f64, wanted: f64) -> bool {
        (found - wanted).abs() <= wanted.abs() * 1e-9 + 1e-300
    }

    fn choose(n: u64, k: u64) -> f64 {
        (0..k).map(|i| (n - i) as f64 / (k - i) as f64).product()
    }

    #[test]
    fn factorials_and_coefficients() {
        let mut ln = 0.0;
        for n in 1..2000_u64 {
            ln += (n as f64).ln();
            assert!((ln_factorial(n) - ln).abs() < ln * 1e-13 + 1e-12, "{n}");
        }
        assert!(near(ln_choose(52, 5).exp(), 2_598_960.0));
        assert_eq!(ln_choose(3, 4), f64::NEG_INFINITY);
    }

    #[test]
    fn the_test_is_fishers() {
        let of = |k1, n1, k0, n0| {
            let table = Table {
                differing: [k1, k0],
                of: [n1, n0],
            };
            table.probability()
        };
        // R: fisher.test(matrix(c(3, 1, 1, 3), 2), alternative = "greater"), the lady tasting tea.
        assert!(near(of(3, 4, 1, 4), 17.0 / 70.0));
        for (k1, n1, k0, n0) in [
            (10, 50, 2, 40),
            (7, 9, 1, 30),
            (20, 300, 5, 280),
            (5, 5, 0, 5),
        ] {
            let exact: f64 = (k1..=(k1 + k0).min(n1))
                .filter(|x| k1 + k0 - x <= n0)
                .map(|x| choose(n1, x) * choose(n0, k1 + k0 - x))
                .sum::<f64>()
                / choose(n1 + n0, k1 + k0);
            assert!(
                near(of(k1, n1, k0, n0), exact),
                "{k1} {n1} {k0} {n0}: {exact}"
            );
        }
        assert_eq!(of(0, 100, 0, 100), 1.0);
        assert_eq!(of(5, 100, 5, 100), 1.0);
        assert_eq!(of(5, 100, 0, 0), 1.0);
        let huge = of(1_000_000_000, 2_000_000_000, 999_000_000, 2_000_000_000);
        assert!(huge > 0.0 && huge < 1e-100, "{huge}");
    }

    #[test]
    fn the_least_probability_is_that_of_the_clearest_split() {
        let table = Table {
            differing: [2, 3],
            of: [100, 100],
        };
        let clearest = Table {
            differing: [5, 0],
            of: [100, 100],
        };
        assert!(near(table.least(), clearest.probability()));
        let nothing = Table {
            differing: [0, 0],
            of: [9, 9],
        };
        assert_eq!(nothing.least(), 1.0);
    }

    #[test]
    fn the_least_share_is_that_of_clopper_and_pearson() {
        // R: binom.test(10, 1000, alternative = "greater")$conf.int[1]
        let low = share_low(10, 1000, 0.05);
        assert!((low - 0.005_435).abs() < 1e-5, "{low}");
        assert!((share_low(1, 1, 0.05) - 0.05).abs() < 1e-9);
        assert!((share_low(5, 5, 0.05) - 0.05_f64.powf(0.2)).abs() < 1e-9);
        assert_eq!(share_low(0, 9, 0.05), 0.0);
        assert!(near(binomial_tail(1, 3, 0.5), 7.0 / 8.0));
    }
}
