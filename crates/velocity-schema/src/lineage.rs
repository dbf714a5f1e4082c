//! What became of a table's fields, so that old events are read through today's names.
//!
//! Events are never rewritten: they are hashed. Renames and drops are written down beside them, each with the number of
//! the last event before it. An event is brought up to date by everything that happened after it, in order.

use std::collections::HashMap;

/// What happened to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It has another name now.
    Renamed(String),
    /// It is gone. A later field of the same name is another one.
    Dropped,
}

/// One thing that happened to one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// The last event before it.
    pub seq: i64,
    /// Equal for changes of one step: they happen at once, so that two fields may swap their names.
    pub step: i64,
    /// The field's name before it.
    pub field: String,
    /// What became of it.
    pub fate: Fate,
}

/// Everything that happened to a table's fields, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    number: i64,
    seq: i64,
    fates: HashMap<String, Fate>,
}

impl Lineage {
    /// The lineage of changes, in the order in which they happened.
    pub fn new(changes: impl IntoIterator<Item = FieldChange>) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        for FieldChange { seq, step: number, field, fate } in changes {
            match steps.last_mut() {
                Some(last) if last.number == number => {
                    last.fates.insert(field, fate);
                }
                _ => steps.push(Step { number, seq, fates: HashMap::from([(field, fate)]) }),
            }
        }
        Self { steps }
    }

    /// Whether nothing ever happened: names are what they were.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Today's name of the field that event `seq` calls `field`; `None` when it is gone.
    pub fn today<'a>(&'a self, seq: i64, field: &'a str) -> Option<&'a str> {
        let after = self.steps.iter().filter(|step| step.seq >= seq);
        let mut name = field;
        for step in after {
            match step.fates.get(name) {
                Some(Fate::Renamed(became)) => name = became,
                Some(Fate::Dropped) => return None,
                None => {}
            }
        }
        Some(name)
    }

    /// The fields that event `seq` changed, by today's names, without those that are gone.
    pub fn changed(&self, seq: i64, fields: Vec<String>) -> Vec<String> {
        if self.is_empty() {
            return fields;
        }
        fields.iter().filter_map(|field| self.today(seq, field)).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn renamed(seq: i64, step: i64, field: &str, became: &str) -> FieldChange {
        FieldChange { seq, step, field: field.to_owned(), fate: Fate::Renamed(became.to_owned()) }
    }

    fn dropped(seq: i64, step: i64, field: &str) -> FieldChange {
        FieldChange { seq, step, field: field.to_owned(), fate: Fate::Dropped }
    }

    #[test]
    fn an_event_is_read_through_all_renames_after_it_and_none_before() {
        let lineage = Lineage::new([renamed(10, 1, "a", "b"), renamed(20, 2, "b", "c")]);
        assert_eq!(lineage.today(10, "a"), Some("c"));
        assert_eq!(lineage.today(11, "b"), Some("c"));
        assert_eq!(lineage.today(21, "c"), Some("c"));
        assert_eq!(lineage.today(21, "a"), Some("a"), "another field that took the name later");
    }

    #[test]
    fn a_field_that_was_dropped_is_not_its_later_namesake() {
        let lineage = Lineage::new([dropped(10, 1, "a"), renamed(20, 2, "x", "a")]);
        assert_eq!(lineage.today(5, "a"), None);
        assert_eq!(lineage.today(15, "a"), Some("a"));
        assert_eq!(lineage.today(5, "x"), Some("a"));
    }

    #[test]
    fn two_fields_swap_their_names_in_one_step_and_follow_each_other_in_two() {
        let swapped = Lineage::new([renamed(5, 1, "a", "b"), renamed(5, 1, "b", "a")]);
        assert_eq!((swapped.today(5, "a"), swapped.today(5, "b")), (Some("b"), Some("a")));
        let chained = Lineage::new([renamed(5, 1, "a", "b"), renamed(5, 2, "b", "c")]);
        assert_eq!(chained.today(5, "a"), Some("c"));
    }

    #[test]
    fn what_changed_is_told_by_todays_names_without_what_is_gone() {
        let lineage = Lineage::new([renamed(5, 1, "a", "b"), dropped(5, 1, "c")]);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(lineage.changed(5, names(&["a", "c", "d"])), names(&["b", "d"]));
        assert_eq!(lineage.changed(6, names(&["b"])), names(&["b"]));
        assert_eq!(Lineage::default().changed(1, names(&["a"])), names(&["a"]));
    }

    /// A step on a table: which fields get which names (none: dropped), and which new ones come.
    #[derive(Debug, Clone)]
    struct Change {
        fates: Vec<(u8, Option<u8>)>,
        added: Vec<u8>,
        events: u8,
    }

    fn name(letter: u8) -> String {
        char::from(b'a' + letter).to_string()
    }

    prop_compose! {
        fn change()(
            fates in prop::collection::vec((0..5_u8, prop::option::of(0..5_u8)), 0..5),
            added in prop::collection::vec(0..5_u8, 0..3),
            events in 0..3_u8,
        ) -> Change {
            Change { fates, added, events }
        }
    }

    proptest! {
        /// A table whose fields are told apart by numbers that never change: what an event's name stands for is the
        /// field that has today's name, or none.
        #[test]
        fn a_name_in_an_old_event_stands_for_the_field_that_had_it(changes in prop::collection::vec(change(), 0..8)) {
            let mut fields: HashMap<String, u32> = HashMap::from([("a".to_owned(), 0), ("b".to_owned(), 1)]);
            let (mut next, mut seq) = (2, 0);
            let mut events: Vec<(i64, HashMap<String, u32>)> = Vec::new();
            let mut recorded = Vec::new();
            for (step, change) in (1..).zip(&changes) {
                for _ in 0..change.events {
                    seq += 1;
                    events.push((seq, fields.clone()));
                }
                let mut after = fields.clone();
                let mut moved = Vec::new();
                for (from, to) in &change.fates {
                    let from = name(*from);
                    if !fields.contains_key(&from) || moved.iter().any(|(name, _)| *name == from) {
                        continue;
                    }
                    moved.push((from, to.map(name)));
                }
                for (from, _) in &moved {
                    after.remove(from);
                }
                for (from, to) in &moved {
                    let Some(id) = fields.get(from) else { continue };
                    let fate = match to {
                        Some(to) if !after.contains_key(to) => {
                            after.insert(to.clone(), *id);
                            Fate::Renamed(to.clone())
                        }
                        _ => Fate::Dropped,
                    };
                    recorded.push(FieldChange { seq, step, field: from.clone(), fate });
                }
                for letter in &change.added {
                    after.entry(name(*letter)).or_insert_with(|| { next += 1; next });
                }
                fields = after;
            }
            let lineage = Lineage::new(recorded);
            for (seq, then) in &events {
                for (old, id) in then {
                    let today = fields.iter().find(|(_, other)| *other == id).map(|(name, _)| name.as_str());
                    prop_assert_eq!(lineage.today(*seq, old), today, "{} of event {}", old, seq);
                }
            }
        }
    }
}
