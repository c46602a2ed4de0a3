//! How fast the server works at most: whoever asks without end must not take a processor that the process needs.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Time that each turn stands for: 200 in a second.
const EACH: Duration = Duration::from_millis(5);
/// How far turns may be taken in advance: some 20 of them at once.
const BURST: Duration = Duration::from_millis(100);

/// Turns to be taken one after the other.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When all turns that were taken are paid for.
    paid: Cell<Instant>,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self {
            paid: Cell::new(Instant::now()),
        }
    }

    /// Takes the next turn, and waits for it where too many were taken lately.
    pub(crate) async fn turn(&self) {
        let now = Instant::now();
        let paid = self.paid.get().max(now) + EACH;
        self.paid.set(paid);
        if paid > now + BURST {
            sleep_until(paid - BURST).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{BURST, EACH, Pace};

    #[test]
    fn a_few_at_once_and_then_one_after_the_other() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (pace, began) = (Pace::new(), Instant::now());
            let at_once = u32::try_from(BURST.as_millis() / EACH.as_millis()).unwrap();
            for _ in 0..3 * at_once {
                pace.turn().await;
            }
            assert!(began.elapsed() >= 2 * BURST - Duration::from_millis(1));
        });
    }
}
