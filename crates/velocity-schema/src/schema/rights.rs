//! Which fields a caller sees, and which ones a caller sets.
//!
//! Both are worked out for every request. Where nothing is restricted for the caller, neither allocates.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::mask::Mask;
use super::{SYSTEM_ROLE_ADMIN, Schema};

/// How much of a field a caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sight {
    /// The value.
    Clear,
    /// What the field's mask leaves of the value.
    Masked,
    /// Nothing, not even that there is such a field.
    Hidden,
}

/// The entry of a field in `access.fieldAccess`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldRule {
    /// The roles that see it in clear; `None`: whoever sees the record, empty: `platform-admin` only.
    pub read: Option<BTreeSet<String>>,
    /// The roles that set it; `None`: whoever writes the record, empty: `platform-admin` only.
    pub write: Option<BTreeSet<String>>,
    /// What those see who do not see it in clear; `None`: nothing.
    pub mask: Option<Mask>,
}

impl FieldRule {
    /// What somebody sees of the field who holds these roles, `platform-admin` not among them.
    pub fn sight(&self, holds: &dyn Fn(&str) -> bool) -> Sight {
        match &self.read {
            Some(roles) if !roles.iter().any(|role| holds(role)) => {
                if self.mask.is_some() {
                    Sight::Masked
                } else {
                    Sight::Hidden
                }
            }
            _ => Sight::Clear,
        }
    }

    /// Whether somebody sets the field who holds these roles, `platform-admin` not among them.
    pub fn writable(&self, holds: &dyn Fn(&str) -> bool) -> bool {
        self.write.as_ref().is_none_or(|roles| roles.iter().any(|role| holds(role)))
    }
}

/// What a caller sees of each field, by the field's position in [`Schema::fields`].
///
/// Cheap to clone. Two that show the same are equal, however they were made, so that what is made for one (an encoder, a
/// plan) can be kept for the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct View(
    /// `None`: everything is clear. Else one for every field, not all of them clear.
    Option<Arc<[Sight]>>,
);

impl View {
    /// Every field in clear.
    pub fn whole() -> Self {
        Self(None)
    }

    fn of(sights: Vec<Sight>) -> Self {
        let whole = sights.iter().all(|sight| *sight == Sight::Clear);
        Self((!whole).then(|| sights.into()))
    }

    /// Whether every field is clear.
    pub fn is_whole(&self) -> bool {
        self.0.is_none()
    }

    /// What is seen of the field at `position`; of a field that is not there, nothing.
    pub fn sight(&self, position: usize) -> Sight {
        match &self.0 {
            None => Sight::Clear,
            Some(sights) => sights.get(position).copied().unwrap_or(Sight::Hidden),
        }
    }

    /// Whether the field at `position` is seen in clear.
    pub fn is_clear(&self, position: usize) -> bool {
        self.sight(position) == Sight::Clear
    }

    /// Whether anything is seen of the field at `position`, be it its mask.
    pub fn is_visible(&self, position: usize) -> bool {
        self.sight(position) != Sight::Hidden
    }

    /// The view with the fields that are seen like this in clear.
    #[cfg(feature = "removable-layers")]
    #[must_use]
    pub fn lifting(&self, lifted: Sight) -> Self {
        let Some(sights) = &self.0 else { return Self::whole() };
        Self::of(sights.iter().map(|sight| if *sight == lifted { Sight::Clear } else { *sight }).collect())
    }

    /// The view without the fields that `keep` refuses. `id` and `version` stay: a record is not told from another
    /// without them.
    #[must_use]
    pub fn narrowed(&self, schema: &Schema, keep: impl Fn(usize) -> bool) -> Self {
        let sight = |position: usize| {
            if keep(position) || stays(schema, position) { self.sight(position) } else { Sight::Hidden }
        };
        Self::of((0..schema.fields().len()).map(sight).collect())
    }
}

/// Whether narrowing leaves the field alone.
fn stays(schema: &Schema, position: usize) -> bool {
    position == 0 || schema.position("version") == Some(position)
}

/// Which fields a caller sets, by position. `id` and the system fields are always among them: rights on them are not
/// what keeps callers from setting them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct WriteRights(
    /// `None`: all. Else one for every field, not all of them true.
    Option<Arc<[bool]>>,
);

impl WriteRights {
    /// Every field.
    pub fn all() -> Self {
        Self(None)
    }

    fn of(allowed: Vec<bool>) -> Self {
        let all = allowed.iter().all(|yes| *yes);
        Self((!all).then(|| allowed.into()))
    }

    /// Whether the field at `position` may be set; one that is not there may not.
    pub fn allows(&self, position: usize) -> bool {
        self.0.as_ref().is_none_or(|allowed| allowed.get(position).copied().unwrap_or(false))
    }

    /// Whether every field may be set.
    pub fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// The rights without the fields that `keep` refuses. `id` and the system fields stay.
    #[must_use]
    pub fn narrowed(&self, schema: &Schema, keep: impl Fn(usize) -> bool) -> Self {
        let allows = |(position, field): (usize, &crate::Field)| {
            self.allows(position) && (position == 0 || field.system || keep(position))
        };
        Self::of(schema.fields().iter().enumerate().map(allows).collect())
    }
}

impl Schema {
    /// What somebody sees of each field who holds these roles: all that the caller holds, whatever they allow here.
    pub fn view(&self, holds: &dyn Fn(&str) -> bool) -> View {
        let rules = &self.access.field_rules;
        if rules.is_empty() || holds(SYSTEM_ROLE_ADMIN) {
            return View::whole();
        }
        let mut sights = Vec::new();
        for (position, rule) in rules {
            let sight = rule.sight(holds);
            if sight != Sight::Clear {
                if sights.is_empty() {
                    sights = vec![Sight::Clear; self.fields.len()];
                }
                sights[*position] = sight;
            }
        }
        View::of(sights)
    }

    /// Which fields somebody sets who holds these roles: all that the caller holds, whatever they allow here.
    pub fn write_rights(&self, holds: &dyn Fn(&str) -> bool) -> WriteRights {
        let rules = &self.access.field_rules;
        if rules.is_empty() || holds(SYSTEM_ROLE_ADMIN) {
            return WriteRights::all();
        }
        let mut allowed = Vec::new();
        for (position, rule) in rules {
            if !rule.writable(holds) {
                if allowed.is_empty() {
                    allowed = vec![true; self.fields.len()];
                }
                allowed[*position] = false;
            }
        }
        WriteRights::of(allowed)
    }
}

#[cfg(test)]
mod tests;
