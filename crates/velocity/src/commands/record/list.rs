//! `velocity record list`.

use crate::failure::{Failure, Outcome};
use crate::output::format::Format;
use crate::output::json::Json;
use crate::output::table::Table;
use crate::server::{Request, Schema, Server};
use crate::session::Session;

use super::show;

/// The most records that a page has.
const PAGE_MAX: usize = 1000;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Schema of the records
    schema: String,
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Show at most this many records
    #[arg(long, value_name = "N", default_value_t = 100, conflicts_with = "all")]
    limit: usize,
    /// Show all records, page after page
    #[arg(long)]
    all: bool,
}

/// Which records, and which of their fields.
#[derive(Debug, clap::Args)]
pub(super) struct Selection {
    /// Only records that fit: field=value, or with an operator 'field[gte]=value'
    #[arg(long = "filter", value_name = "FIELD=VALUE", value_parser = filter)]
    filters: Vec<(String, String)>,
    /// Order by these fields, from large to small with a dash: -amount,id
    #[arg(long, value_name = "FIELDS", allow_hyphen_values = true)]
    sort: Option<String>,
    /// Show these fields only: id,amount
    #[arg(long, value_name = "FIELDS")]
    fields: Option<String>,
}

/// `a[gte]=1` becomes `filter[a][gte]=1`.
fn filter(text: &str) -> Result<(String, String), String> {
    let (left, value) = text.split_once('=').ok_or("write it as FIELD=VALUE or 'FIELD[OPERATOR]=VALUE'")?;
    let (field, operator) = match left.split_once('[') {
        None => (left, ""),
        Some((field, rest)) => {
            let operator =
                rest.strip_suffix(']').ok_or("an operator stands in brackets: 'FIELD[gte]=VALUE'")?;
            (field, operator)
        }
    };
    if field.is_empty() {
        return Err("the field has no name".to_owned());
    }
    let operator = if operator.is_empty() { String::new() } else { format!("[{operator}]") };
    Ok((format!("filter[{field}]{operator}"), value.to_owned()))
}

impl Selection {
    pub(super) fn on(&self, mut request: Request) -> Request {
        for (name, value) in &self.filters {
            request = request.query(name, value);
        }
        for (name, value) in [("sort", &self.sort), ("fields", &self.fields)] {
            if let Some(value) = value {
                request = request.query(name, value);
            }
        }
        request
    }
}

/// A page, as it came.
struct Page {
    records: Vec<Json>,
    next: Option<String>,
}

async fn page(
    server: &Server,
    schema: &Schema,
    args: &Args,
    size: usize,
    cursor: Option<&str>,
) -> Outcome<Page> {
    let mut request = args.selection.on(Request::get(schema.endpoint())).query("limit", size.to_string());
    if let Some(cursor) = cursor {
        request = request.query("cursor", cursor);
    }
    let body = server.send(&request).await?.json()?;
    let Some(Json::Array(records)) = body.member("data") else {
        return Err(Failure::failed("the server's answer has no list of records"));
    };
    let next = body.text_at(&["pagination", "nextCursor"]).map(str::to_owned);
    Ok(Page { records: records.clone(), next })
}

pub(super) async fn run(session: &Session, args: &Args) -> Outcome {
    let server = session.server()?;
    let schema = Schema::resolve(server, &args.schema).await?;
    let mut sink = Sink::new(session, &schema);
    let mut wanted = if args.all { usize::MAX } else { args.limit };
    let mut cursor = None;
    while wanted > 0 {
        let page = page(server, &schema, args, wanted.min(PAGE_MAX), cursor.as_deref()).await?;
        let empty = page.records.is_empty();
        wanted = wanted.saturating_sub(page.records.len());
        sink.take(page.records)?;
        cursor = page.next;
        if cursor.is_none() || empty {
            break;
        }
    }
    sink.finish()?;
    if cursor.is_some() && !args.all && !session.out.is_structured() {
        session.out.note("there are more: --all shows them");
    }
    Ok(())
}

/// Where pages go as they come: nothing waits for the last one, except for forms that need the whole.
struct Sink<'a> {
    session: &'a Session,
    schema: &'a Schema,
    first: Option<Table>,
    count: usize,
    whole: Vec<Json>,
}

impl<'a> Sink<'a> {
    fn new(session: &'a Session, schema: &'a Schema) -> Self {
        Self { session, schema, first: None, count: 0, whole: Vec::new() }
    }

    fn take(&mut self, records: Vec<Json>) -> Outcome {
        let out = &self.session.out;
        match &out.format {
            Some(Format::Json) => {
                let mut text = String::new();
                for record in &records {
                    text.push_str(if self.count == 0 { "[\n  " } else { ",\n  " });
                    text.push_str(&record.pretty().replace('\n', "\n  "));
                    self.count += 1;
                }
                out.text(&text)
            }
            Some(Format::Yaml | Format::JsonPath(_)) => {
                self.whole.extend(records);
                Ok(())
            }
            Some(Format::Name) => {
                records.iter().try_for_each(|record| out.line(&show::name(self.schema, record)))
            }
            _ => {
                self.count += records.len();
                let table = show::table(self.session, &records);
                if let Some(first) = &self.first {
                    return out.table(&table.continue_from(first));
                }
                out.table(&table)?;
                self.first = Some(table);
                Ok(())
            }
        }
    }

    fn finish(self) -> Outcome {
        let out = &self.session.out;
        match &out.format {
            Some(Format::Json) => out.text(if self.count == 0 { "[]\n" } else { "\n]\n" }),
            Some(Format::Yaml | Format::JsonPath(_)) => out.value(&Json::Array(self.whole)),
            Some(Format::Name) => Ok(()),
            _ => {
                if self.count == 0 {
                    out.note(&format!("there is no {} that fits", self.schema.object()));
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_keeps_its_operator_and_whatever_its_value_holds() {
        let pair = |left: &str, right: &str| Ok((left.to_owned(), right.to_owned()));
        assert_eq!(filter("a=b=c"), pair("filter[a]", "b=c"));
        assert_eq!(filter("a[gte]=1"), pair("filter[a][gte]", "1"));
        assert_eq!(filter("a[in]=x,y[z]"), pair("filter[a][in]", "x,y[z]"));
        assert!(filter("a").is_err() && filter("a[gte=1").is_err() && filter("[gte]=1").is_err());
    }
}
