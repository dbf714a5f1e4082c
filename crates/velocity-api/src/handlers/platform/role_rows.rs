//! How many records a role sees before and after a change of its rights, counted as the administrator who asks.

use std::time::Duration;

use tokio::time::Instant;
use velocity_contract::plan::AccessChange;
use velocity_schema::cel::ir::{Expr, Op};
use velocity_schema::changes::{RowsSeen, role_rows};
use velocity_schema::schema::Operation;
use velocity_schema::{FieldName, Schema};
use velocity_sql::{Fragment, Ident, rows_of_role};
use velocity_store::records::Session;
use velocity_store::wire::{SqlState, WireError};

use crate::state::Api;

/// How long one count may take, and all of one request.
const COUNT_TIMEOUT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(20);
/// What is said of a role whose own rights stay and whose records are others: those of everyone changed.
const OTHER_ROWS: &str = "sees other rows";

/// What is counted.
pub(super) struct Rows<'s> {
    /// What is provisioned.
    pub(super) before: Option<&'s Schema>,
    /// What is wanted.
    pub(super) after: &'s Schema,
    /// Attributes of the actor whom the filters ask for, where the request gives some.
    pub(super) attributes: Option<String>,
}

/// A number, or why there is none.
type Count = Result<i64, String>;

/// What a field is called in the table as it is.
type Columns<'c> = &'c (dyn Fn(&FieldName) -> Option<FieldName> + Sync);

impl Rows<'_> {
    /// Puts the numbers to the changes that are about what a role reads.
    pub(super) async fn count(&self, api: &Api, admin: Session, access: &mut Vec<AccessChange>) {
        let session = Session {
            attributes: self.attributes.clone().unwrap_or_else(|| "{}".to_owned()),
            statement_timeout: COUNT_TIMEOUT,
            ..admin
        };
        let until = Instant::now() + PATIENCE;
        for role in role_rows(self.before, self.after) {
            let before = self.condition(role.before.as_ref(), &|field| Some(field.clone()));
            let after = self.condition(role.after.as_ref(), &|field| self.todays_name(field));
            let before = self.counted(api, &session, before, until).await;
            let after = self.counted(api, &session, after, until).await;
            let change = entry(access, &role.role);
            let mut notes: Vec<String> =
                [&before, &after].into_iter().filter_map(|c| c.clone().err()).collect();
            notes.dedup();
            change.note = (!notes.is_empty()).then(|| notes.join("; "));
            (change.rows_before, change.rows_after) = (Some(before.ok()), Some(after.ok()));
        }
    }

    /// What a field of the wanted schema is called in the table as it is.
    fn todays_name(&self, field: &FieldName) -> Option<FieldName> {
        let is_there =
            |name: &FieldName| self.before.is_some_and(|before| before.position(name.as_str()).is_some());
        if is_there(field) {
            return Some(field.clone());
        }
        let wanted = self.after.position(field.as_str()).and_then(|at| self.after.fields().get(at))?;
        wanted.renamed_from.clone().filter(is_there)
    }

    /// The records that are seen; `None`: none.
    fn condition(&self, seen: Option<&RowsSeen>, column: Columns<'_>) -> Result<Option<Fragment>, String> {
        // Where there is no table there are no records.
        let Some(seen) = seen.filter(|_| self.before.is_some()) else { return Ok(None) };
        for filter in seen.any.iter().chain(&seen.all) {
            self.can_be_counted(filter.expr(), filter.source(), column)?;
        }
        for condition in &seen.conditions {
            if condition.uses_actor() || condition.uses_request() {
                return Err(format!("depends on who asks, from where or when: {}", condition.source()));
            }
            self.can_be_counted(condition.expr(), condition.source(), column)?;
        }
        let columns = |field: &FieldName| {
            Fragment::ident(&Ident::from(&column(field).unwrap_or_else(|| field.clone())))
        };
        Ok(Some(rows_of_role(seen, &columns)))
    }

    /// Whether a condition looks only at what is there to be looked at.
    fn can_be_counted(&self, expr: &Expr, source: &str, column: Columns<'_>) -> Result<(), String> {
        if expr.any(&|e| matches!(e.op, Op::ActorId | Op::ActorType | Op::ActorRoles)) {
            return Err(format!("depends on who asks: {source}"));
        }
        if self.attributes.is_none() && expr.any(&|e| matches!(e.op, Op::ActorAttributes)) {
            return Err(format!("depends on attributes of the actor, which were not given: {source}"));
        }
        if expr.any(&|e| matches!(&e.op, Op::Field { name, .. } if column(name).is_none())) {
            return Err(format!("depends on a field that is not there yet: {source}"));
        }
        Ok(())
    }

    async fn counted(
        &self,
        api: &Api,
        session: &Session,
        condition: Result<Option<Fragment>, String>,
        until: Instant,
    ) -> Count {
        let Some(condition) = condition? else { return Ok(0) };
        if Instant::now() > until {
            return Err("the counts before it took all the time there is".to_owned());
        }
        let counted = api.records().count_where(session, self.after.path(), &condition).await;
        counted.map_err(|error| why(&error))
    }
}

/// The change that is about which records the role reads.
fn entry<'a>(access: &'a mut Vec<AccessChange>, role: &str) -> &'a mut AccessChange {
    let of_rows = ["gains", "loses", "row filter added", "row filter removed", "row filter changed"];
    let is_it = |change: &AccessChange| {
        change.role == role
            && change.operation == Operation::Read.as_str()
            && change.field.is_none()
            && of_rows.contains(&change.change.as_str())
    };
    let at = access.iter().position(is_it).unwrap_or_else(|| {
        access.push(AccessChange {
            role: role.to_owned(),
            operation: Operation::Read.to_string(),
            change: OTHER_ROWS.to_owned(),
            field: None,
            before: None,
            after: None,
            rows_before: None,
            rows_after: None,
            note: None,
        });
        access.len() - 1
    });
    &mut access[at]
}

fn why(error: &WireError) -> String {
    match error.code() {
        Some(SqlState::QUERY_CANCELED) => format!("counting took longer than {} s", COUNT_TIMEOUT.as_secs()),
        _ => match error.database() {
            Some(database) => format!("could not be counted: {}", database.message),
            None => "could not be counted: the database did not answer".to_owned(),
        },
    }
}
