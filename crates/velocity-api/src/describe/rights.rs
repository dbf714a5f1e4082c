//! What a caller may do with a schema, as its descriptions show it.

use velocity_access::Subject;
use velocity_schema::schema::{Operation, Sight, View, WriteRights};
use velocity_schema::{Field, Schema};

/// What a caller may do, see and set. A description shows nothing else.
#[derive(Debug, Clone)]
pub(crate) struct Rights {
    pub(super) allowed: Vec<Operation>,
    pub(super) view: View,
    /// On creates, where those are allowed; else on updates.
    pub(super) sets: WriteRights,
    /// On updates.
    pub(super) changes: WriteRights,
}

/// Whose view records are described in: that of the first that the caller may do. Only scopes of credentials and of
/// bindings make them differ.
const SHOWN_BY: [Operation; 7] = [
    Operation::Read,
    Operation::Export,
    Operation::History,
    Operation::Create,
    Operation::Update,
    Operation::Restore,
    Operation::Delete,
];

impl Rights {
    /// What the caller may do; `None` where that is nothing.
    pub(crate) fn of(subject: &Subject) -> Option<Self> {
        let allowed = subject.operations();
        let shown_by = SHOWN_BY.into_iter().find(|operation| allowed.contains(operation))?;
        let creates = allowed.contains(&Operation::Create);
        Some(Self {
            view: subject.view(shown_by),
            sets: subject.write_rights(if creates { Operation::Create } else { Operation::Update }),
            changes: subject.write_rights(Operation::Update),
            allowed,
        })
    }

    /// Of a caller who sees and sets everything.
    #[cfg(test)]
    pub(crate) fn all(allowed: &[Operation]) -> Self {
        Self::on(allowed, View::whole(), WriteRights::all())
    }

    #[cfg(test)]
    pub(crate) fn on(allowed: &[Operation], view: View, sets: WriteRights) -> Self {
        Self { allowed: allowed.to_vec(), view, changes: sets.clone(), sets }
    }

    /// The operations, never none.
    pub(crate) fn allowed(&self) -> &[Operation] {
        &self.allowed
    }

    /// What is seen of the field at a position.
    pub(super) fn sight(&self, position: usize) -> Sight {
        self.view.sight(position)
    }

    /// The fields that may be named in conditions and orders, and that a search decides by.
    pub(super) fn clear<'s>(&'s self, schema: &'s Schema) -> impl Iterator<Item = &'s Field> {
        let fields = schema.fields().iter().enumerate();
        fields.filter(|(position, _)| self.view.is_clear(*position)).map(|(_, field)| field)
    }

    /// Whether a new record may have a value in the field. What is hidden is not described, also to those who set it.
    pub(super) fn sets(&self, position: usize) -> bool {
        self.view.is_visible(position) && self.sets.allows(position)
    }

    /// Whether a patch may change the field.
    pub(super) fn changes(&self, position: usize) -> bool {
        self.view.is_visible(position) && self.changes.allows(position)
    }

    /// What tells descriptions for callers with other rights on fields apart: a letter for each field; empty for those who
    /// see and set everything.
    pub(crate) fn tag(&self, schema: &Schema) -> String {
        if self.view.is_whole() && self.sets.is_all() && self.changes.is_all() {
            return String::new();
        }
        let letter = |position| {
            let writes = u8::from(self.sets(position)) + 2 * u8::from(self.changes(position));
            let letters = match self.sight(position) {
                Sight::Clear => b"abcd",
                Sight::Masked => b"mnop",
                Sight::Hidden => b"hhhh",
            };
            char::from(letters[usize::from(writes)])
        };
        std::iter::once('+').chain((0..schema.fields().len()).map(letter)).collect()
    }
}
