//! What the doctor asks the intercepts about their hosts. A run asks nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use channel::inspection::Inspected;
use wire::flow::Addr;

/// A question to all connections, and their answers. Each question has a number, from 1.
#[derive(Debug)]
pub(crate) struct Inspections {
    asked: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    addresses: Vec<Addr>,
    /// The latest answer of each connection, with the number of its question.
    answers: Vec<Option<(u64, Inspected)>>,
}

impl Inspections {
    /// No question yet, to so many connections.
    pub(super) fn new(connections: usize) -> Self {
        Self {
            asked: AtomicU64::new(0),
            inner: Mutex::new(Inner {
                addresses: Vec::new(),
                answers: vec![None; connections],
            }),
        }
    }

    /// Asks what becomes of replies to these addresses; the connections' threads are to be woken.
    pub(crate) fn ask(&self, addresses: &[Addr]) {
        self.inner().addresses = addresses.to_vec();
        self.asked.fetch_add(1, Ordering::Release);
    }

    /// The answer of each connection to the latest question, `None` where it has not come.
    pub(crate) fn answers(&self) -> Vec<Option<Inspected>> {
        let asked = self.asked.load(Ordering::Acquire);
        let inner = self.inner();
        let latest = inner.answers.iter().map(|answer| match answer {
            Some((number, answer)) if *number == asked => Some(answer.clone()),
            _ => None,
        });
        latest.collect()
    }

    /// For a connection that has asked the question of number `asked` last: what is to be asked now, if anything.
    pub(super) fn due(&self, asked: &mut u64) -> Option<Vec<Addr>> {
        let latest = self.asked.load(Ordering::Acquire);
        if std::mem::replace(asked, latest) == latest {
            return None;
        }
        Some(self.inner().addresses.clone())
    }

    /// A connection was answered.
    pub(super) fn answered(&self, index: usize, asked: u64, answer: Inspected) {
        if let Some(slot) = self.inner().answers.get_mut(index) {
            *slot = Some((asked, answer));
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use channel::inspection::Inspected;
    use wire::flow::Addr;

    use super::Inspections;

    #[test]
    fn a_question_is_asked_once_and_an_old_answer_is_none() {
        let inspections = Inspections::new(2);
        let mut asked = 0;
        assert_eq!(inspections.due(&mut asked), None);
        let address = Addr::v4([10, 0, 0, 1]);
        inspections.ask(&[address]);
        assert_eq!(inspections.due(&mut asked), Some(vec![address]));
        assert_eq!(inspections.due(&mut asked), None);
        let answer = Inspected {
            forwards: false,
            matched: 7,
            subscribers: 1,
            fates: Vec::new(),
        };
        inspections.answered(1, asked, answer.clone());
        assert_eq!(inspections.answers(), [None, Some(answer)]);
        inspections.ask(&[address]);
        assert_eq!(inspections.answers(), [None, None]);
    }
}
