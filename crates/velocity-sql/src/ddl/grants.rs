//! What the domain's role may do: read, insert and update the columns that are the client's, nothing else.

use velocity_schema::Schema;

use crate::frag;
use crate::fragment::Fragment;
use crate::ident::{Ident, quote_literal};
use crate::names::TableNames;

/// The grants on both tables, after taking back whatever was there.
pub(super) fn grants(schema: &Schema, names: &TableNames) -> String {
    let mut insertable: Vec<Ident> =
        schema.fields().iter().filter(|field| !field.system).map(|field| Ident::from(&field.name)).collect();
    let columns = |columns: &[Ident]| Fragment::join(columns.iter().map(Fragment::ident), ", ");
    let readable: Vec<Ident> = schema
        .fields()
        .iter()
        .map(|field| Ident::from(&field.name))
        .chain([Ident::fixed("deleted_at")])
        .collect();
    let insert = columns(&insertable);
    insertable.retain(|column| column.as_str() != "id");
    insertable.push(Ident::fixed("deleted_at"));
    let update = columns(&insertable);
    let role = || Fragment::ident(names.role());
    let revoke = format!(
        "select platform.revoke_rights({}, {});\n",
        names.regclass(),
        quote_literal(names.history.as_str())
    );
    let grant = frag![
        "grant select (",
        columns(&readable),
        "), insert (",
        insert,
        "), update (",
        update,
        ") on ",
        names.table_sql(),
        " to ",
        role(),
        ";\n",
        "grant select on ",
        names.history_sql(),
        " to ",
        role(),
    ];
    revoke + &grant.inline()
}
