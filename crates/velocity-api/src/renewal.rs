//! Schemas loaded anew on a request's word: its statement has told that the table has another shape by now.
//!
//! The informer loads them, because it alone writes the catalog. Requests wait; those of one path wait for one load.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// Where requests ask and the informer listens. Never longer than the requests under way are many: each waits for its
/// answer.
#[derive(Debug, Clone)]
pub(crate) struct Renewals(Arc<Mailbox>);

#[derive(Debug)]
struct Mailbox {
    sender: UnboundedSender<Renewal>,
    /// Until an informer takes it.
    receiver: Mutex<Option<UnboundedReceiver<Renewal>>>,
}

/// One request's wish.
#[derive(Debug)]
pub(crate) struct Renewal {
    /// `org/app/domain/object/version`.
    pub(crate) path: String,
    /// The hash of the spec that the table is not as.
    pub(crate) spec_hash: String,
    done: oneshot::Sender<()>,
}

impl Default for Renewals {
    fn default() -> Self {
        let (sender, receiver) = unbounded_channel();
        Self(Arc::new(Mailbox { sender, receiver: Mutex::new(Some(receiver)) }))
    }
}

impl Renewals {
    /// Waits until the path has been looked up anew, whatever was found. Without an informer nobody does.
    pub(crate) async fn renew(&self, path: &str, spec_hash: &str) {
        let is_heard = self.0.receiver.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        let (done, waiting) = oneshot::channel();
        let renewal = Renewal { path: path.to_owned(), spec_hash: spec_hash.to_owned(), done };
        if is_heard && self.0.sender.send(renewal).is_ok() {
            // An error is an informer that has ended: nothing new will be known.
            let _ = waiting.await;
        }
    }

    /// The wishes, for the first informer that asks.
    pub(crate) fn listen(&self) -> Option<UnboundedReceiver<Renewal>> {
        self.0.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Renewal {
    /// Tells the request that there is nothing more to wait for.
    pub(crate) fn answer(self) {
        // It may be gone.
        let _ = self.done.send(());
    }
}

/// Who waits for which path.
#[derive(Debug, Default)]
pub(crate) struct Waiting(HashMap<String, Queue>);

#[derive(Debug, Default)]
struct Queue {
    /// They wait for the load under way.
    now: Vec<Renewal>,
    /// They came after it began, which may have looked before what they saw.
    next: Vec<Renewal>,
}

impl Waiting {
    /// Adds one. `true` when a load has to begin.
    pub(crate) fn add(&mut self, renewal: Renewal) -> bool {
        if let Some(queue) = self.0.get_mut(&renewal.path) {
            queue.next.push(renewal);
            return false;
        }
        self.0.insert(renewal.path.clone(), Queue { now: vec![renewal], next: Vec::new() });
        true
    }

    /// The load of a path has ended. `is_new_to` tells whether another spec than the one of a hash is served now.
    /// `true` when another load has to begin, for those who came too late for this one.
    pub(crate) fn loaded(&mut self, path: &str, is_new_to: impl Fn(&str) -> bool) -> bool {
        let Some(Queue { now, next }) = self.0.remove(path) else { return false };
        now.into_iter().for_each(Renewal::answer);
        let mut again = Vec::new();
        for renewal in next {
            if is_new_to(&renewal.spec_hash) {
                renewal.answer();
            } else {
                again.push(renewal);
            }
        }
        let goes_on = !again.is_empty();
        if goes_on {
            self.0.insert(path.to_owned(), Queue { now: again, next: Vec::new() });
        }
        goes_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renewal(path: &str) -> (Renewal, oneshot::Receiver<()>) {
        let (done, waiting) = oneshot::channel();
        (Renewal { path: path.into(), spec_hash: "old".into(), done }, waiting)
    }

    #[test]
    fn those_who_come_while_a_load_is_under_way_get_one_of_their_own_unless_it_brought_something() {
        let mut waiting = Waiting::default();
        let ((one, mut first), (two, mut second), (elsewhere, mut other)) =
            (renewal("x"), renewal("x"), renewal("y"));
        assert!(waiting.add(one) && !waiting.add(two) && waiting.add(elsewhere));
        assert!(waiting.loaded("x", |_| false), "the second one saw more than the load may have");
        assert!(first.try_recv().is_ok() && second.try_recv().is_err() && other.try_recv().is_err());
        assert!(!waiting.loaded("x", |_| false));
        assert!(second.try_recv().is_ok());
        let ((one, mut first), (two, mut second)) = (renewal("x"), renewal("x"));
        assert!(waiting.add(one) && !waiting.add(two));
        assert!(!waiting.loaded("x", |hash| hash == "old"));
        assert!(first.try_recv().is_ok() && second.try_recv().is_ok());
    }

    #[tokio::test]
    async fn without_an_informer_nobody_waits() {
        let renewals = Renewals::default();
        renewals.renew("x", "old").await;
        let listener = renewals.listen().unwrap();
        assert!(renewals.listen().is_none());
        drop(listener);
        renewals.renew("x", "old").await;
    }
}
