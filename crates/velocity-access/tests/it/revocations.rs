//! What is revoked stops within two seconds; what cannot be checked stops too.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use velocity_access::{
    AuthError, Credential, FRESHNESS, Identity, IdentityParts, RevocationChange, RevocationKind,
    RevocationSource, Revocations, StoreFuture, StoreUnavailable, TokenRefusal,
};

use crate::signer::now;

/// A table of changes that answers, fails or hangs.
#[derive(Default)]
struct Table {
    changes: Mutex<Vec<RevocationChange>>,
    mood: Mutex<Mood>,
    questions: AtomicUsize,
    /// How many changes one answer has at most; 0: all.
    page: usize,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Mood {
    #[default]
    Answers,
    /// Takes this long.
    Slow(Duration),
    Fails,
    Hangs,
    Panics,
}

impl Table {
    fn revoke(&self, kind: RevocationKind, value: &str) {
        self.push(kind, value, false, None);
    }

    fn push(&self, kind: RevocationKind, value: &str, lifted: bool, expires_at: Option<Timestamp>) {
        let mut changes = self.changes.lock().unwrap();
        let change = i64::try_from(changes.len()).unwrap() + 1;
        changes.push(RevocationChange { change, kind, value: value.to_owned(), lifted, expires_at });
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }
}

impl RevocationSource for Table {
    fn since(&self, change: i64) -> StoreFuture<'_, Vec<RevocationChange>> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        let mood = *self.mood.lock().unwrap();
        // As a database does it: the answer is what was there when the question came.
        let changes = self.changes.lock().unwrap();
        let mut answer: VecDeque<_> = changes.iter().filter(|c| c.change > change).cloned().collect();
        if self.page > 0 {
            answer.truncate(self.page);
        }
        Box::pin(async move {
            match mood {
                Mood::Answers => {}
                Mood::Slow(time) => tokio::time::sleep(time).await,
                Mood::Fails => return Err(StoreUnavailable::new("down")),
                Mood::Hangs => std::future::pending().await,
                Mood::Panics => panic!("a source that panics"),
            }
            Ok(answer.into())
        })
    }
}

fn identity(actor: &str, credential: Credential) -> Identity {
    let parts = IdentityParts::user(actor, "platform/test", Timestamp::MAX);
    Identity::new(IdentityParts { credential, ..parts }).unwrap()
}

fn token(actor: &str, id: &str) -> Identity {
    identity(actor, Credential::Token { id: Some(id.to_owned()) })
}

fn new(table: &Arc<Table>) -> Revocations {
    Revocations::new(Arc::clone(table) as _)
}

async fn check(revocations: &Revocations, identity: &Identity) -> Result<(), AuthError> {
    revocations.check(identity, false, now()).await
}

fn revoked() -> Result<(), AuthError> {
    Err(TokenRefusal::Revoked.into())
}

#[tokio::test(start_paused = true)]
async fn each_kind_stops_what_it_names_and_nothing_else() {
    let everything = || {
        [
            token("ravi", "same"),
            identity("mia", Credential::Session { id: "same".to_owned(), csrf: String::new() }),
            identity("robot", Credential::Key { id: "same".to_owned() }),
            identity("nobody", Credential::Token { id: None }),
        ]
    };
    for (kind, value, stopped) in [
        (RevocationKind::Token, "same", [true, false, false, false]),
        (RevocationKind::Session, "same", [false, true, false, false]),
        (RevocationKind::Key, "same", [false, false, true, false]),
        (RevocationKind::Actor, "ravi", [true, false, false, false]),
        (RevocationKind::Actor, "mia", [false, true, false, false]),
        (RevocationKind::Actor, "robot", [false, false, true, false]),
        (RevocationKind::Actor, "nobody", [false, false, false, true]),
        (RevocationKind::Token, "ravi", [false; 4]),
        (RevocationKind::Actor, "same", [false; 4]),
    ] {
        let table = Arc::new(Table::default());
        table.revoke(kind, value);
        let revocations = new(&table);
        for (identity, stopped) in everything().iter().zip(stopped) {
            let expected = if stopped { revoked() } else { Ok(()) };
            assert_eq!(check(&revocations, identity).await, expected, "{kind:?} {value} {identity:?}");
        }
    }
    assert_eq!(AuthError::from(TokenRefusal::Revoked).code().as_str(), "AUTH_INVALID_TOKEN");
}

#[tokio::test(start_paused = true)]
async fn a_revocation_is_known_within_two_seconds_without_a_loop_and_with_one() {
    for with_loop in [false, true] {
        let table = Arc::new(Table::default());
        let revocations = new(&table);
        if with_loop {
            revocations.spawn();
        }
        let ravi = token("ravi", "t");
        assert_eq!(check(&revocations, &ravi).await, Ok(()));
        table.revoke(RevocationKind::Token, "t");
        tokio::time::sleep(Duration::from_millis(1501)).await;
        assert_eq!(check(&revocations, &ravi).await, revoked(), "with a loop: {with_loop}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_the_loop_no_request_waits() {
    let table = Arc::new(Table::default());
    let revocations = new(&table);
    revocations.spawn();
    tokio::time::sleep(Duration::from_millis(10)).await;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(37)).await;
        let before = table.questions();
        assert_eq!(check(&revocations, &token("ravi", "t")).await, Ok(()));
        assert_eq!(table.questions(), before);
    }
    // 3.7 seconds.
    assert!((7..=9).contains(&table.questions()), "{}", table.questions());
}

#[tokio::test(start_paused = true)]
async fn the_loop_ends_with_the_last_clone() {
    let table = Arc::new(Table::default());
    let revocations = new(&table);
    revocations.spawn();
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(revocations);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let questions = table.questions();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((table.questions(), Arc::strong_count(&table)), (questions, 1));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_checked_is_refused_unless_the_strategy_says_otherwise() {
    for mood in [Mood::Fails, Mood::Hangs, Mood::Panics] {
        let table = Arc::new(Table::default());
        table.set(mood);
        let revocations = new(&table);
        let ravi = token("ravi", "t");
        assert_eq!(check(&revocations, &ravi).await, Err(AuthError::RevocationUnavailable));
        assert_eq!(revocations.check(&ravi, true, now()).await, Ok(()));
        assert_eq!(AuthError::RevocationUnavailable.code().as_str(), "REVOCATION_UNAVAILABLE");
        // It comes back.
        table.set(Mood::Answers);
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(check(&revocations, &ravi).await, Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_known_to_be_revoked_stays_so_in_an_outage_even_for_a_strategy_that_fails_open() {
    let table = Arc::new(Table::default());
    table.revoke(RevocationKind::Actor, "ravi");
    let revocations = new(&table);
    assert_eq!(check(&revocations, &token("ravi", "t")).await, revoked());
    table.set(Mood::Hangs);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(revocations.check(&token("ravi", "t"), true, now()).await, revoked());
    assert_eq!(revocations.check(&token("mia", "t"), true, now()).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_slow_database_makes_requests_slow_and_never_wrong() {
    let table = Arc::new(Table::default());
    let revocations = new(&table);
    let ravi = token("ravi", "t");
    assert_eq!(check(&revocations, &ravi).await, Ok(()));
    tokio::time::sleep(FRESHNESS * 2).await;
    table.set(Mood::Slow(Duration::from_secs(4)));
    let early = {
        let (revocations, ravi) = (revocations.clone(), ravi.clone());
        tokio::spawn(async move { check(&revocations, &ravi).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    // After the question that is under way: its answer does not have this one.
    table.revoke(RevocationKind::Token, "t");
    tokio::time::sleep(Duration::from_secs(2)).await;
    // So this request, two seconds later, must not be content with that answer.
    assert_eq!(check(&revocations, &ravi).await, revoked());
    assert_eq!(early.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_that_wait_ask_once() {
    let table = Arc::new(Table::default());
    table.set(Mood::Slow(Duration::from_millis(300)));
    let revocations = new(&table);
    let waiting: Vec<_> = (0..1000)
        .map(|index| {
            let revocations = revocations.clone();
            tokio::spawn(async move { check(&revocations, &token("ravi", &index.to_string())).await })
        })
        .collect();
    for outcome in waiting {
        assert_eq!(outcome.await.unwrap(), Ok(()));
    }
    assert_eq!(table.questions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_database_is_not_asked_for_every_request() {
    let table = Arc::new(Table::default());
    table.set(Mood::Fails);
    let revocations = new(&table);
    for _ in 0..1000 {
        assert_eq!(check(&revocations, &token("ravi", "t")).await, Err(AuthError::RevocationUnavailable));
    }
    assert_eq!(table.questions(), 1);
    tokio::time::sleep(Duration::from_millis(200)).await;
    table.set(Mood::Answers);
    assert_eq!(check(&revocations, &token("ravi", "t")).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_goes_away_takes_nobody_elses_answer_with_it() {
    let table = Arc::new(Table::default());
    table.set(Mood::Slow(Duration::from_millis(300)));
    let revocations = new(&table);
    let first = {
        let revocations = revocations.clone();
        tokio::spawn(async move { check(&revocations, &token("a", "t")).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let second = {
        let revocations = revocations.clone();
        tokio::spawn(async move { check(&revocations, &token("b", "t")).await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    first.abort();
    assert_eq!(second.await.unwrap(), Ok(()));
    assert_eq!(table.questions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_was_lifted_or_has_ended_stops_nobody() {
    let table = Arc::new(Table::default());
    table.revoke(RevocationKind::Actor, "ravi");
    table.push(RevocationKind::Actor, "mia", false, Some(now() + SignedDuration::from_secs(10)));
    let revocations = new(&table);
    assert_eq!(check(&revocations, &token("ravi", "t")).await, revoked());
    assert_eq!(check(&revocations, &token("mia", "t")).await, revoked());
    table.push(RevocationKind::Actor, "ravi", true, None);
    tokio::time::sleep(FRESHNESS * 2).await;
    assert_eq!(check(&revocations, &token("ravi", "t")).await, Ok(()));
    let later = now() + SignedDuration::from_secs(10);
    assert_eq!(revocations.check(&token("mia", "t"), false, later).await, Ok(()));
    table.revoke(RevocationKind::Actor, "ravi");
    tokio::time::sleep(FRESHNESS * 2).await;
    assert_eq!(check(&revocations, &token("ravi", "t")).await, revoked());
}

#[tokio::test(start_paused = true)]
async fn a_table_that_answers_in_pages_is_read_to_its_end() {
    let table = Arc::new(Table { page: 10, ..Table::default() });
    for index in 0..95 {
        table.revoke(RevocationKind::Token, &format!("t{index}"));
    }
    let revocations = new(&table);
    assert_eq!(check(&revocations, &token("ravi", "t94")).await, revoked());
    let status = revocations.status();
    assert_eq!((status.known, status.change, status.failures), (95, 95, 0));
    assert_eq!(status.age, Some(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn revocations_that_have_ended_do_not_fill_the_memory() {
    let table = Arc::new(Table::default());
    let long_ago = Timestamp::from_second(1_000_000_000).unwrap();
    for index in 0..5000 {
        table.push(RevocationKind::Token, &format!("t{index}"), false, Some(long_ago));
    }
    table.revoke(RevocationKind::Token, "stays");
    let revocations = new(&table);
    assert_eq!(check(&revocations, &token("ravi", "stays")).await, revoked());
    assert_eq!(revocations.status().known, 1);
}
