//! How many records a role sees before and after a change of its rights, counted as the administrator who asks.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use velocity_contract::plan::AccessChange;
use velocity_schema::cel::Filter;
use velocity_schema::cel::ir::Op;
use velocity_schema::schema::{Access, Operation};
use velocity_schema::{FieldName, Schema};
use velocity_sql::{Fragment, Ident, rows_of_role};
use velocity_store::records::Session;
use velocity_store::wire::{SqlState, WireError};

use crate::state::Api;

/// How long one count may take, and all of one request.
const COUNT_TIMEOUT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(20);

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

impl Rows<'_> {
    /// Puts the numbers to the changes that are about what a role reads.
    pub(super) async fn count(&self, api: &Api, admin: Session, access: &mut [AccessChange]) {
        let session = Session {
            attributes: self.attributes.clone().unwrap_or_else(|| "{}".to_owned()),
            statement_timeout: COUNT_TIMEOUT,
            ..admin
        };
        let began = Instant::now();
        let mut known: BTreeMap<String, (Count, Count)> = BTreeMap::new();
        for change in access.iter_mut().filter(|change| is_of_rows(change)) {
            let role = change.role.clone();
            let (before, after) = match known.get(&role) {
                Some(counts) => counts.clone(),
                None if began.elapsed() > PATIENCE => {
                    let why = "the counts before it took all the time there is";
                    (Err(why.to_owned()), Err(why.to_owned()))
                }
                None => {
                    let counts = self.of_role(api, &session, &role).await;
                    known.insert(role, counts.clone());
                    counts
                }
            };
            let mut notes: Vec<String> = Vec::new();
            if change.role == "*" {
                notes.push("for a role without a row filter of its own".to_owned());
            }
            for count in [&before, &after] {
                if let Err(why) = count
                    && !notes.contains(why)
                {
                    notes.push(why.clone());
                }
            }
            (change.rows_before, change.rows_after) = (Some(before.ok()), Some(after.ok()));
            change.note = (!notes.is_empty()).then(|| notes.join("; "));
        }
    }

    async fn of_role(&self, api: &Api, session: &Session, role: &str) -> (Count, Count) {
        // Where there is no table there are no records.
        let Some(before) = self.before else { return (Ok(0), Ok(0)) };
        let was = self.condition(before.access(), role, &|field| Some(field.clone()));
        let is = self.condition(self.after.access(), role, &|field| self.todays_name(before, field));
        (self.counted(api, session, was).await, self.counted(api, session, is).await)
    }

    /// What a field of the wanted schema is called in the table as it is.
    fn todays_name(&self, before: &Schema, field: &FieldName) -> Option<FieldName> {
        if before.position(field.as_str()).is_some() {
            return Some(field.clone());
        }
        let wanted = self.after.position(field.as_str()).and_then(|at| self.after.fields().get(at))?;
        wanted.renamed_from.clone().filter(|name| before.position(name.as_str()).is_some())
    }

    /// The records that the role sees; `None`: none.
    fn condition(
        &self,
        access: &Access,
        role: &str,
        column: &dyn Fn(&FieldName) -> Option<FieldName>,
    ) -> Result<Option<Fragment>, String> {
        let columns = |field: &FieldName| {
            Fragment::ident(&Ident::from(&column(field).unwrap_or_else(|| field.clone())))
        };
        let Some(condition) = rows_of_role(access, role, &columns) else { return Ok(None) };
        let filters = access.row_filters().iter().filter(|filter| filter.role == role || filter.role == "*");
        for filter in filters {
            self.can_be_counted(&filter.condition, column)?;
        }
        Ok(Some(condition))
    }

    async fn counted(
        &self,
        api: &Api,
        session: &Session,
        condition: Result<Option<Fragment>, String>,
    ) -> Count {
        let Some(condition) = condition? else { return Ok(0) };
        let counted = api.records().count_where(session, self.after.path(), &condition).await;
        counted.map_err(|error| why(&error))
    }

    /// Whether a filter looks only at what is there to be looked at.
    fn can_be_counted(
        &self,
        filter: &Filter,
        column: &dyn Fn(&FieldName) -> Option<FieldName>,
    ) -> Result<(), String> {
        let expr = filter.expr();
        if expr.any(&|e| matches!(e.op, Op::ActorId | Op::ActorType | Op::ActorRoles)) {
            return Err(format!("depends on who asks: {}", filter.source()));
        }
        if self.attributes.is_none() && expr.any(&|e| matches!(e.op, Op::ActorAttributes)) {
            return Err(format!(
                "depends on attributes of the actor, which were not given: {}",
                filter.source()
            ));
        }
        let missing = std::cell::RefCell::new(None);
        expr.any(&|e| match &e.op {
            Op::Field { name, .. } if column(name).is_none() => {
                *missing.borrow_mut() = Some(name.clone());
                true
            }
            _ => false,
        });
        match missing.into_inner() {
            Some(field) => Err(format!("depends on the field `{field}`, which is not there yet")),
            None => Ok(()),
        }
    }
}

/// Whether it is about which records the role reads.
fn is_of_rows(change: &AccessChange) -> bool {
    let of_rows = ["gains", "loses", "row filter added", "row filter removed", "row filter changed"];
    change.field.is_none()
        && change.operation == Operation::Read.as_str()
        && of_rows.contains(&change.change.as_str())
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
