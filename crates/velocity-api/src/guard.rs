//! What of access depends on the record that a write touches: the conditions of the schema, and what the record may be made
//! to point to.

use velocity_access::Subject;
use velocity_schema::cel::RequestView;
use velocity_schema::schema::Operation;
use velocity_schema::{Schema, Value};
use velocity_store::records::{Act, DeniedBy, Guard, RecordError};

use crate::references::Barred;
use crate::scope::Caller;

/// Decides on writes of one caller.
pub(crate) struct AccessGuard<'c> {
    caller: &'c Caller,
    create: Verdict,
    update: Verdict,
    delete: Verdict,
    restore: Verdict,
    /// What no field may be made to point to.
    barred: Vec<Barred>,
}

/// What the conditions on an operation say before a record is looked at.
enum Verdict {
    Allowed,
    /// What the caller is told.
    Denied(String),
    AsksTheRecord,
}

impl Verdict {
    fn of(subject: &Subject, operation: Operation, request: RequestView<'_>) -> Self {
        match subject.abac(operation, None, request) {
            Err(denied) => Self::Denied(denied.message),
            Ok(()) if subject.abac_in_sql(operation).is_empty() => Self::Allowed,
            Ok(()) => Self::AsksTheRecord,
        }
    }
}

/// The operation that an act needs.
fn operation(act: Act) -> Operation {
    match act {
        Act::Create => Operation::Create,
        Act::Update => Operation::Update,
        Act::Delete => Operation::Delete,
        Act::Undelete => Operation::Restore,
    }
}

impl<'c> AccessGuard<'c> {
    pub(crate) fn new(caller: &'c Caller) -> Self {
        let verdict = |operation| Verdict::of(&caller.subject, operation, caller.request(operation));
        Self {
            caller,
            create: verdict(Operation::Create),
            update: verdict(Operation::Update),
            delete: verdict(Operation::Delete),
            restore: verdict(Operation::Restore),
            barred: Vec::new(),
        }
    }

    /// Takes note of what the fields may not be made to point to.
    pub(crate) fn bar(&mut self, barred: Vec<Barred>) {
        self.barred = barred;
    }

    fn verdict(&self, act: Act) -> &Verdict {
        match act {
            Act::Create => &self.create,
            Act::Update => &self.update,
            Act::Delete => &self.delete,
            Act::Undelete => &self.restore,
        }
    }

    /// The new record as the conditions see it: with what the database fills in.
    fn completed(&self, values: &[Value]) -> Vec<Value> {
        let (schema, actor) = (&self.caller.schema, self.caller.identity().actor());
        let now = self.caller.request(Operation::Create).time;
        let mut values = values.to_vec();
        for name in ["created_at", "updated_at"] {
            set(schema, &mut values, name, Value::Timestamp(now));
        }
        for name in ["created_by", "updated_by"] {
            set(schema, &mut values, name, Value::String(actor.to_owned()));
        }
        set(schema, &mut values, "version", Value::Integer(1));
        values
    }

    fn conditions(&self, act: Act, record: &[Value]) -> Result<(), RecordError> {
        let message = match self.verdict(act) {
            Verdict::Allowed => return Ok(()),
            Verdict::Denied(message) => message.clone(),
            Verdict::AsksTheRecord => {
                let operation = operation(act);
                let request = self.caller.request(operation);
                match self.caller.subject.abac(operation, Some(record), request) {
                    Ok(()) => return Ok(()),
                    Err(denied) => denied.message,
                }
            }
        };
        Err(RecordError::Denied { by: DeniedBy::Condition, message })
    }
}

fn set(schema: &Schema, values: &mut [Value], name: &str, value: Value) {
    if let Some(slot) = schema.position(name).and_then(|position| values.get_mut(position)) {
        *slot = value;
    }
}

impl Guard for AccessGuard<'_> {
    fn looks_at(&self, act: Act) -> bool {
        let sets_fields = matches!(act, Act::Create | Act::Update);
        !matches!(self.verdict(act), Verdict::Allowed) || (sets_fields && !self.barred.is_empty())
    }

    fn check(&self, act: Act, before: Option<&[Value]>, after: Option<&[Value]>) -> Result<(), RecordError> {
        match (before, after, self.verdict(act)) {
            (None, Some(new), Verdict::AsksTheRecord) => self.conditions(act, &self.completed(new))?,
            (Some(record), _, _) | (None, Some(record), _) => self.conditions(act, record)?,
            (None, None, _) => {
                return Err(RecordError::Internal { source: "a write without a record".into() });
            }
        }
        let Some(after) = after else { return Ok(()) };
        self.barred.iter().try_for_each(|barred| barred.check(before, after))
    }
}
