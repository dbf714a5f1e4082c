//! A plan in the making: its steps by the place that they have in it.

use std::collections::BTreeSet;

use crate::ddl::step::Step;
use crate::ident::Ident;

/// Steps for a table that is there, in the order of the fields here.
#[derive(Default)]
pub(super) struct Draft {
    /// Before the switch, each on its own: columns and shadows.
    pub(super) columns: Vec<Step>,
    /// Before the switch: constraints and indexes, under temporary names where theirs are taken.
    pub(super) built: Vec<Step>,
    /// The switch begins: what stands in the way goes.
    pub(super) drops: Vec<Step>,
    /// Columns get their names, types and places.
    pub(super) moves: Vec<Step>,
    /// What was built gets its names; defaults, nullability.
    pub(super) settles: Vec<Step>,
    /// After the switch.
    pub(super) finish: Vec<Step>,
    /// The temporary names of what is being built.
    pub(super) temporary: BTreeSet<Ident>,
    /// What is not ours.
    pub(super) foreign: Vec<Step>,
    /// Whether policies have to be made anew, because columns that they look at are replaced.
    pub(super) renew_policies: bool,
    /// Whether columns were replaced, so that rights on them have to be given again.
    pub(super) renew_grants: bool,
    /// Whether names have changed that the prints of tags are made of.
    pub(super) renamed: bool,
}
