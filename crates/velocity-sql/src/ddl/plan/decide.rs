//! From a plan, and what its checks found, to what is done now. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::Plan;
use crate::ddl::step::{Class, Finding, Otherwise, Stage, Step};

/// What people have agreed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Approval {
    /// The plan's hash in the annotation `velocity.sh/approve-breaking`.
    pub named: Option<String>,
    /// The statements of a recorded plan for the same spec that was approved and has begun: what is left of it after an
    /// interruption is another plan, and has another hash.
    pub begun: BTreeSet<String>,
}

/// What is done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// All of it, in this order.
    Apply(Plan),
    /// Nothing but upkeep.
    Blocked {
        /// What keeps the table going as it is.
        upkeep: Plan,
        /// Every step of the change, each with its reason.
        pending: Vec<Step>,
        /// What an approval has to name.
        hash: String,
        /// Whether an approval is what is missing; else it is data, or it cannot be done at all.
        approvable: bool,
    },
}

impl Plan {
    /// What to do, given the rows that were found for the checks, by position of their step in the plan.
    pub fn decide(mut self, findings: &BTreeMap<usize, Finding>, approval: &Approval) -> Decision {
        let hash = self.hash();
        let approved = approval.named.as_deref() == Some(hash.as_str());
        let mut skipped = BTreeSet::new();
        let (mut data_missing, mut approval_missing, mut refused) = (false, false, false);
        for (index, step) in self.steps.iter_mut().enumerate() {
            let agreed = approved || approval.begun.contains(&step.sql);
            if step.refused {
                refused = true;
                continue;
            }
            if let Some((finding, check)) =
                findings.get(&index).filter(|finding| finding.count > 0).zip(step.check.as_ref())
            {
                let found = found(finding, &check.complaint, &check.way_out);
                match check.otherwise {
                    Otherwise::Skip => {
                        skipped.insert(index);
                        continue;
                    }
                    Otherwise::Block => {
                        data_missing = true;
                        step.reason = Some(match step.reason.take() {
                            Some(reason) => format!("{reason}; {found}"),
                            None => found,
                        });
                    }
                    Otherwise::Breaking => {
                        step.class = Class::Breaking;
                        step.reason = Some(found);
                    }
                }
            }
            approval_missing |= step.class == Class::Breaking && !agreed;
        }
        if data_missing || approval_missing || refused {
            let change = |step: &Step| !step.upkeep;
            let pending = self.steps.iter().filter(|step| change(step)).cloned().map(explained).collect();
            // What is not made yet needs no upkeep.
            let keeps = !self.creates_table;
            self.steps.retain(|step| step.upkeep && keeps);
            let approvable = approval_missing && !data_missing && !refused;
            return Decision::Blocked { upkeep: self, pending, hash, approvable };
        }
        let mut index = 0;
        self.steps.retain(|_| {
            index += 1;
            !skipped.contains(&(index - 1))
        });
        // In each stage the order of the plan stays.
        self.steps.sort_by_key(|step| step.stage);
        Decision::Apply(self)
    }

    /// The steps of a stage.
    pub fn of(&self, stage: Stage) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.stage == stage)
    }
}

/// `17 records have no value for gate, for example a, b, c; give them one`.
fn found(finding: &Finding, complaint: &str, way_out: &str) -> String {
    let samples = finding.samples.join(", ");
    if finding.count == 1 {
        // Complaints are written for many.
        let complaint = complaint
            .strip_prefix("have ")
            .map_or_else(|| complaint.to_owned(), |rest| format!("has {rest}"));
        return format!("1 record {complaint}: {samples}; {way_out}");
    }
    format!("{} records {complaint}, for example {samples}; {way_out}", finding.count)
}

/// A pending step always says why it is not done.
fn explained(mut step: Step) -> Step {
    if step.reason.is_none() {
        step.reason = Some("waits for the rest of the change".to_owned());
    }
    step
}
