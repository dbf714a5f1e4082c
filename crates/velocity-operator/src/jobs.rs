//! Long work, beside the reconciles: one job an object, a few at once, the others queue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::channel::mpsc;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{Notify, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use velocity_schema::Schema;
use velocity_sql::ddl::Step;
use velocity_store::ddl::Progress;

use crate::error::Error;
use crate::outcome::{Reached, Stand};
use crate::requests::purpose;

/// How often at most progress is published.
const PUBLISH_EVERY: std::time::Duration = std::time::Duration::from_secs(5);

/// The jobs of all objects, by uid.
pub(crate) struct Jobs {
    all: Mutex<HashMap<String, Job>>,
    /// Wakes the controller.
    pokes: mpsc::UnboundedSender<ObjectRef<DynamicObject>>,
    resource: ApiResource,
    slots: Arc<Semaphore>,
}

struct Job {
    purpose: u64,
    ticket: Arc<Ticket>,
    schema: Box<Schema>,
    state: State,
}

enum State {
    Running(AbortHandle),
    Done(Result<Reached, Error>),
}

/// What a job and its reconciles share.
pub(crate) struct Ticket {
    view: Mutex<View>,
    outdated: Notify,
    poke: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct View {
    steps: Vec<Step>,
    stand: Stand,
    /// The step of the last report: a transaction that did not get a lock begins again with its first.
    last: usize,
    /// How often that happened since the plan last came further.
    repeats: u32,
    applying: bool,
    is_outdated: bool,
    poked: Option<Instant>,
}

/// What the jobs know of an object.
pub(crate) enum Found {
    Nothing,
    /// It is being worked on, for just this.
    Running(Box<Schema>, Vec<Step>, Stand),
    /// It is being worked on for something else, which ends after its current step; the object is looked at then.
    Outdated,
    /// The work is done; whether it was for just this.
    Done(Result<Reached, Error>, bool),
}

impl Jobs {
    pub(crate) fn new(
        at_once: usize,
        resource: ApiResource,
        pokes: mpsc::UnboundedSender<ObjectRef<DynamicObject>>,
    ) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(at_once));
        Arc::new(Self { all: Mutex::default(), pokes, resource, slots })
    }

    /// What is known of the object; a result is given out once.
    pub(crate) fn find(&self, object: &DynamicObject) -> Found {
        let mut jobs = self.lock();
        let uid = uid(object);
        let Some(job) = jobs.get(&uid) else { return Found::Nothing };
        let same = job.purpose == purpose(object);
        if let State::Running(task) = &job.state {
            if task.is_finished() {
                // It panicked, or was ended from outside: as if it had never been.
                jobs.remove(&uid);
                return Found::Nothing;
            }
            if !same {
                job.ticket.outdate();
                return Found::Outdated;
            }
            let (steps, stand) = job.ticket.view();
            return Found::Running(job.schema.clone(), steps, stand);
        }
        match jobs.remove(&uid).map(|job| job.state) {
            Some(State::Done(result)) => Found::Done(result, same),
            _ => Found::Nothing,
        }
    }

    /// Starts a job for the object, or puts it into the queue. When it ends, the object is looked at.
    pub(crate) fn start<W: Future<Output = Result<Reached, Error>> + Send + 'static>(
        self: &Arc<Self>,
        object: &DynamicObject,
        schema: Box<Schema>,
        steps: Vec<Step>,
        work: impl FnOnce(Arc<Ticket>) -> W,
    ) {
        let (uid, reference) = (uid(object), ObjectRef::from_obj_with(object, self.resource.clone()));
        let pokes = self.pokes.clone();
        let poke = Box::new(move || {
            let _ = pokes.unbounded_send(reference.clone());
        });
        let view = Mutex::new(View { steps, ..View::default() });
        let ticket = Arc::new(Ticket { view, outdated: Notify::new(), poke });
        let (jobs, slots) = (Arc::clone(self), Arc::clone(&self.slots));
        let (work, own, key) = (work(Arc::clone(&ticket)), Arc::clone(&ticket), uid.clone());
        let mut all = self.lock();
        let task = tokio::spawn(async move {
            let queued = async {
                let _slot = slots.acquire().await;
                work.await
            };
            let result = tokio::select! {
                result = queued => result,
                () = own.ended_early() => Err(Error::Outdated),
            };
            if let Some(job) = jobs.lock().get_mut(&key) {
                job.state = State::Done(result);
            }
            (own.poke)();
        });
        let state = State::Running(task.abort_handle());
        all.insert(uid, Job { purpose: purpose(object), ticket, schema, state });
    }

    /// Ends all jobs where they are. What they were at is rolled back, and goes on whenever someone looks again.
    pub(crate) fn abort_all(&self) {
        for job in self.lock().drain() {
            if let State::Running(task) = job.1.state {
                task.abort();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Job>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn uid(object: &DynamicObject) -> String {
    object.metadata.uid.clone().unwrap_or_default()
}

impl Ticket {
    /// A plan that is about to be applied.
    pub(crate) fn begin(&self, steps: Vec<Step>) {
        let mut view = self.lock();
        *view = View {
            steps,
            applying: true,
            is_outdated: view.is_outdated,
            poked: view.poked,
            ..View::default()
        };
        drop(view);
        (self.poke)();
    }

    /// It is applied, or not.
    pub(crate) fn end(&self) {
        self.lock().applying = false;
    }

    /// How far it is. Between two steps is where a job that nobody wants any more ends.
    pub(crate) fn progress(&self, progress: &Progress) {
        let mut view = self.lock();
        let further = progress.step > view.stand.step;
        if further || progress.rows > 0 {
            view.repeats = 0;
            (view.stand.step, view.stand.rows) = (progress.step, progress.rows);
        } else if progress.step <= view.last {
            view.repeats += 1;
        }
        view.last = progress.step;
        let locked_out = view.repeats > 1;
        let news = further || locked_out != view.stand.locked_out;
        view.stand.locked_out = locked_out;
        let due = view.poked.is_none_or(|poked| poked.elapsed() > PUBLISH_EVERY);
        let tell = (due && (news || progress.rows > 0)) || locked_out && news;
        if tell {
            view.poked = Some(Instant::now());
        }
        if view.is_outdated {
            self.outdated.notify_one();
        }
        drop(view);
        if tell {
            (self.poke)();
        }
    }

    fn view(&self) -> (Vec<Step>, Stand) {
        let view = self.lock();
        (view.steps.clone(), view.stand.clone())
    }

    /// Nobody wants it any more.
    fn outdate(&self) {
        let mut view = self.lock();
        view.is_outdated = true;
        // Within a step only the next report ends it; a lock that it does not get is no reason to wait for one.
        if !view.applying || view.stand.locked_out {
            self.outdated.notify_one();
        }
    }

    async fn ended_early(&self) {
        self.outdated.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
