//! A map whose copies share what is the same in them.
//!
//! Readers hold a copy for as long as they like while the next one is made. Copying is one counter; a change copies one
//! of a fixed number of shards, so it costs the same whether there are ten entries or ten thousand. Looking up is a
//! plain hash map behind one more index, which a tree of nodes would not be.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

/// 10,000 entries leave about 40 in a shard, as long to copy as the list of shards itself.
const SHARDS: usize = 256;

type Shard<V> = Arc<HashMap<Arc<str>, V>>;

/// A map from texts to values that are cheap to clone.
#[derive(Debug, Clone)]
pub struct Snapshot<V> {
    shards: Arc<[Shard<V>]>,
    hasher: RandomState,
    len: usize,
}

impl<V> Default for Snapshot<V> {
    fn default() -> Self {
        let empty = Arc::new(HashMap::new());
        let shards = (0..SHARDS).map(|_| Arc::clone(&empty)).collect();
        Self { shards, hasher: RandomState::new(), len: 0 }
    }
}

impl<V: Clone> Snapshot<V> {
    fn place(&self, key: &str) -> usize {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key.as_bytes());
        usize::try_from(hasher.finish() % SHARDS as u64).unwrap_or(0)
    }

    fn shard(&mut self, key: &str) -> Option<&mut HashMap<Arc<str>, V>> {
        let place = self.place(key);
        Arc::make_mut(&mut self.shards).get_mut(place).map(Arc::make_mut)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&V> {
        self.shards.get(self.place(key))?.get(key)
    }

    /// Adds or replaces a value.
    pub fn insert(&mut self, key: &str, value: V) {
        if self.shard(key).is_some_and(|shard| shard.insert(Arc::from(key), value).is_none()) {
            self.len += 1;
        }
    }

    /// Takes a value out; false where there was none.
    pub fn remove(&mut self, key: &str) -> bool {
        let removed =
            self.get(key).is_some() && self.shard(key).is_some_and(|shard| shard.remove(key).is_some());
        self.len -= usize::from(removed);
        removed
    }

    /// Every value, in no order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.shards.iter().flat_map(|shard| shard.values())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn copies_keep_what_they_had_whatever_happens_to_later_ones(
            changes in prop::collection::vec(("[a-d]{1,2}", prop::option::of(0..9_u8)), 0..60),
        ) {
            let (mut map, mut model) = (Snapshot::default(), HashMap::new());
            let mut earlier = Vec::new();
            for (key, value) in changes {
                earlier.push((map.clone(), model.clone()));
                if let Some(value) = value {
                    map.insert(&key, value);
                    model.insert(key, value);
                } else {
                    prop_assert_eq!(map.remove(&key), model.remove(&key).is_some());
                }
            }
            earlier.push((map, model));
            for (map, model) in earlier {
                prop_assert_eq!(map.len(), model.len());
                prop_assert_eq!(map.is_empty(), model.is_empty());
                prop_assert_eq!(map.values().count(), model.len());
                for (key, value) in &model {
                    prop_assert_eq!(map.get(key), Some(value));
                }
                prop_assert_eq!(map.get("z"), None);
            }
        }
    }

    #[test]
    fn a_change_leaves_all_other_shards_shared() {
        let mut map = Snapshot::default();
        (0..10_000).for_each(|n| map.insert(&format!("acme/shop/sales/object-{n}/v1"), n));
        let before = map.clone();
        map.insert("acme/shop/sales/object-7/v1", 0);
        let apart = before.shards.iter().zip(map.shards.iter()).filter(|(a, b)| !Arc::ptr_eq(a, b)).count();
        assert_eq!(apart, 1);
    }
}
