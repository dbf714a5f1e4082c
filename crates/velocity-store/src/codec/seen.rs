//! What a caller sees of a record's columns.

use std::fmt;
use std::sync::Arc;

use velocity_schema::Schema;
use velocity_schema::schema::{FieldMask, MaskKey, Sight, View};

/// What is made once for a view of a schema: the masks of its fields.
#[derive(Clone)]
pub struct Seen {
    fields: Arc<[SeenField]>,
}

/// What is written of one field's values.
#[derive(Debug, Clone)]
pub enum SeenField {
    /// The value.
    Clear,
    /// What the mask leaves of it.
    Masked(FieldMask),
    /// Neither the value nor the name.
    Hidden,
}

impl Seen {
    /// The fields of a schema under a view.
    pub fn new(schema: &Schema, view: &View, key: &MaskKey) -> Self {
        let fields = schema.fields().iter().enumerate().map(|(position, field)| match view.sight(position) {
            Sight::Clear => SeenField::Clear,
            // Without a mask there is nothing that may be shown.
            Sight::Masked => {
                let rule = schema.access().field_rule(position);
                rule.and_then(|rule| rule.mask.as_ref()).map_or(SeenField::Hidden, |mask| {
                    SeenField::Masked(FieldMask::new(mask, key, schema.path(), field))
                })
            }
            Sight::Hidden => SeenField::Hidden,
        });
        Self { fields: fields.collect() }
    }

    /// What is seen of the field at a position; of one that is not there, nothing.
    pub fn field(&self, position: usize) -> &SeenField {
        self.fields.get(position).unwrap_or(&SeenField::Hidden)
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fields.iter()).finish()
    }
}
