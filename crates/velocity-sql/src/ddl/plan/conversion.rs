//! From one type to another: the expression, and how much it asks.

use velocity_schema::field::FieldType;

use crate::ddl::step::Class;
use crate::frag;
use crate::fragment::Fragment;
use crate::sql_type::{SqlType, column_type};

/// How a column becomes another type.
pub(super) struct Conversion {
    /// How much it asks.
    pub(super) class: Class,
    /// Whether Postgres changes the type without looking at a row.
    pub(super) in_place: bool,
    how: How,
}

enum How {
    /// The same value, in the wider type.
    Same,
    /// To a number, where it has no more digits than the type holds.
    ToNumber { precision: u32, scale: u32 },
    /// To an integer, where it is a whole one of 64 bits.
    ToInteger,
    /// A function of the platform's: null where the text is no such value.
    Parse(&'static str),
    /// The same for a number.
    ParseNumber { precision: u32, scale: u32 },
    /// The text form that the API shows.
    Text(SqlType),
    /// JSON.
    Json,
    /// Midnight, UTC.
    Midnight,
    /// The day, of instants at midnight UTC.
    Day,
}

/// How a live type becomes that of a field; none where there is no faithful way.
pub(super) fn conversion(live: &str, kind: &FieldType) -> Option<Conversion> {
    let of = |class, how| Some(Conversion { class, in_place: false, how });
    let number = numeric(live);
    match kind {
        FieldType::Number { precision, scale, .. } => {
            let (precision, scale) = (*precision, *scale);
            let to = How::ToNumber { precision, scale };
            match (live, number) {
                (_, Some((p, s))) if s == scale && precision >= p => {
                    Some(Conversion { class: Class::Safe, in_place: true, how: How::Same })
                }
                (_, Some((p, s))) if scale >= s && precision - scale >= p - s => of(Class::Safe, How::Same),
                (_, Some(_)) => of(Class::NeedsData, to),
                // A 64-bit integer has at most 19 digits.
                ("bigint", _) if precision - scale >= 19 => of(Class::Safe, How::Same),
                ("bigint", _) => of(Class::NeedsData, to),
                ("text", _) => of(Class::Breaking, How::ParseNumber { precision, scale }),
                _ => None,
            }
        }
        FieldType::Integer { .. } => match (live, number) {
            (_, Some(_)) => of(Class::Breaking, How::ToInteger),
            ("text", _) => of(Class::Breaking, How::Parse("to_bigint")),
            _ => None,
        },
        FieldType::Boolean if live == "text" => of(Class::Breaking, How::Parse("to_boolean")),
        FieldType::Uuid if live == "text" => of(Class::Breaking, How::Parse("to_uuid")),
        FieldType::Time if live == "text" => of(Class::Breaking, How::Parse("to_time")),
        FieldType::Date if live == "text" => of(Class::Breaking, How::Parse("to_date")),
        FieldType::Timestamp if live == "text" => of(Class::Breaking, How::Parse("to_timestamp")),
        FieldType::Timestamp if live == "date" => of(Class::Breaking, How::Midnight),
        FieldType::Date if live == SqlType::Timestamptz.sql() => of(Class::Breaking, How::Day),
        FieldType::Json => scalar(live).and_then(|_| of(Class::Breaking, How::Json)),
        FieldType::String { .. } | FieldType::Enum { .. } => {
            scalar(live).and_then(|from| of(Class::Breaking, How::Text(from)))
        }
        _ => None,
    }
}

impl Conversion {
    /// The value in the new type; null where there is none.
    pub(super) fn value(&self, source: &Fragment, kind: &FieldType) -> Fragment {
        let source = || source.clone();
        match &self.how {
            How::Same => frag!["(", source(), ")::"] + type_of(kind),
            How::ToNumber { precision, scale } => exact_number(&source(), *precision, *scale),
            How::ToInteger => frag![
                "case when ",
                source(),
                " = trunc(",
                source(),
                ") and ",
                source(),
                " between -9223372036854775808 and 9223372036854775807 then (",
                source(),
                ")::bigint end"
            ],
            // Null also where the type would round it, or has no room for it.
            How::ParseNumber { precision, scale } => frag![
                "platform.to_numeric(",
                source(),
                ", ",
                Fragment::number((*precision).into()),
                ", ",
                Fragment::number((*scale).into()),
                ")"
            ],
            How::Parse(function) => frag!["platform.", *function, "(", source(), ")"],
            How::Text(SqlType::Timestamptz) => frag![
                "to_char(",
                source(),
                " at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') collate \"C\""
            ],
            How::Text(_) => frag!["(", source(), ")::text collate \"C\""],
            How::Json => frag!["to_jsonb(", source(), ")"],
            How::Midnight => frag!["(", source(), ")::timestamp at time zone 'UTC'"],
            How::Day => frag![
                "case when (",
                source(),
                " at time zone 'UTC') = date_trunc('day', ",
                source(),
                " at time zone 'UTC') then (",
                source(),
                " at time zone 'UTC')::date end"
            ],
        }
    }
}

/// The number, where the type holds all of its digits.
fn exact_number(value: &Fragment, precision: u32, scale: u32) -> Fragment {
    let value = || value.clone();
    frag![
        "case when round(",
        value(),
        ", ",
        Fragment::number(scale.into()),
        ") = ",
        value(),
        " and abs(",
        value(),
        ") < 10::numeric ^ ",
        Fragment::number(precision.saturating_sub(scale).into()),
        " then (",
        value(),
        ")::numeric(",
        Fragment::number(precision.into()),
        ",",
        Fragment::number(scale.into()),
        ") end"
    ]
}

fn type_of(kind: &FieldType) -> Fragment {
    match kind {
        FieldType::Number { precision, scale, .. } => frag![
            "numeric(",
            Fragment::number((*precision).into()),
            ",",
            Fragment::number((*scale).into()),
            ")"
        ],
        other => Fragment::sql(SqlType::of(other).sql()),
    }
}

/// Precision and scale of `numeric(p,s)`.
fn numeric(live: &str) -> Option<(u32, u32)> {
    let (precision, scale) = live.strip_prefix("numeric(")?.strip_suffix(')')?.split_once(',')?;
    Some((precision.parse().ok()?, scale.parse().ok()?))
}

/// The scalar types that have a text and a JSON form. Bytes have none that is not an encoding.
fn scalar(live: &str) -> Option<SqlType> {
    if numeric(live).is_some() {
        return Some(SqlType::Numeric);
    }
    [
        SqlType::Text,
        SqlType::Int8,
        SqlType::Bool,
        SqlType::Timestamptz,
        SqlType::Date,
        SqlType::Time,
        SqlType::Uuid,
    ]
    .into_iter()
    .find(|sql_type| sql_type.sql() == live)
}

/// Why there is no way.
pub(super) fn no_way(live: &str, kind: &FieldType) -> String {
    format!(
        "there is no faithful way from {live} to {}; declare a field of another name and copy the values, or make a new version of the object",
        column_type(kind)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(precision: u32, scale: u32) -> FieldType {
        FieldType::Number { precision, scale, min: None, max: None }
    }

    fn class(live: &str, kind: &FieldType) -> Option<(Class, bool)> {
        conversion(live, kind).map(|conversion| (conversion.class, conversion.in_place))
    }

    #[test]
    fn what_loses_nothing_is_safe_and_what_may_not_fit_needs_the_data_looked_at() {
        assert_eq!(class("numeric(18,2)", &number(20, 2)), Some((Class::Safe, true)));
        assert_eq!(class("numeric(18,2)", &number(20, 4)), Some((Class::Safe, false)));
        assert_eq!(class("numeric(18,2)", &number(18, 4)), Some((Class::NeedsData, false)));
        assert_eq!(class("numeric(18,2)", &number(10, 2)), Some((Class::NeedsData, false)));
        assert_eq!(class("bigint", &number(21, 2)), Some((Class::Safe, false)));
        assert_eq!(class("bigint", &number(18, 2)), Some((Class::NeedsData, false)));
    }

    #[test]
    fn another_json_type_is_breaking_and_some_ways_do_not_exist() {
        let integer = FieldType::Integer { min: None, max: None };
        assert_eq!(class("text", &integer), Some((Class::Breaking, false)));
        assert_eq!(class("bigint", &FieldType::Uuid), None);
        assert_eq!(class("jsonb", &integer), None);
        assert_eq!(class("bytea", &FieldType::Json), None);
        assert_eq!(class("text[]", &integer), None);
    }
}
