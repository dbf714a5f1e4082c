//! The layers of access, and which of them stand.

use std::fmt;

use serde::Serialize;

/// One of the layers that a request passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Layer {
    /// Roles allow operations.
    Rbac,
    /// Conditions on actor, request and record.
    Abac,
    /// Rights on the schemas that a request reaches into.
    CrossSchema,
    /// Which records a role sees.
    RowFilter,
    /// Which fields a role sees and sets.
    FieldRights,
    /// Fields that are shown in part.
    Masking,
    /// The database's own policies.
    Rls,
}

impl Layer {
    /// All of them, in the order in which a request passes them.
    pub const ALL: [Self; 7] = [
        Self::Rbac,
        Self::Abac,
        Self::CrossSchema,
        Self::RowFilter,
        Self::FieldRights,
        Self::Masking,
        Self::Rls,
    ];

    /// The name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rbac => "rbac",
            Self::Abac => "abac",
            Self::CrossSchema => "crossSchema",
            Self::RowFilter => "rowFilter",
            Self::FieldRights => "fieldRights",
            Self::Masking => "masking",
            Self::Rls => "rls",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which layers stand: all of them. Only a build with the feature `removable-layers`, which is for tests, can take one
/// away; without it this type is empty and the question has one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layers {
    #[cfg(feature = "removable-layers")]
    removed: u8,
}

impl Layers {
    /// Every layer.
    pub fn all() -> Self {
        Self::default()
    }

    /// All of these but `layer`.
    #[cfg(feature = "removable-layers")]
    pub fn without(mut self, layer: Layer) -> Self {
        self.removed |= 1 << layer as u8;
        self
    }

    /// Whether `layer` stands.
    #[cfg(feature = "removable-layers")]
    pub fn stands(&self, layer: Layer) -> bool {
        self.removed & (1 << layer as u8) == 0
    }

    /// Whether `layer` stands: it does.
    #[cfg(not(feature = "removable-layers"))]
    pub fn stands(&self, _layer: Layer) -> bool {
        true
    }
}
