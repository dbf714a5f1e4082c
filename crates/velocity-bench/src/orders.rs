//! The schema that requests are measured on, its rows, and the requests.
//!
//! The caller's role has a row filter, and half of the rows pass it: those with an even id, in the west.

use std::cell::Cell;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use rand::RngExt;

use crate::args::{Args, Operation};
use crate::cli;
use crate::http::{Connection, request};
use crate::server::Server;

const SCHEMA: &str = include_str!("orders.yaml");
const ENDPOINT: &str = "/api/bench/load/sales/order/v1";
const JSON: &str = "application/json";
const PATCH: &str = "application/merge-patch+json";
/// Operations of one bulk request.
const BULK: u64 = 5000;
/// Every customer has a hundred orders, of which the caller sees fifty.
const CUSTOMERS: u64 = 1000;
/// The first id that a create makes. Ids have ten digits from there on, so that every request is equally long.
const NEW_IDS: u64 = 1_000_000_000;

/// The schema's table on a server, and a caller of it.
pub(crate) struct Orders {
    rows: u64,
    /// The clerk's token: a role with a row filter.
    token: String,
    next_id: Cell<u64>,
}

/// Whose requests they are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Caller {
    /// Fills the table.
    Loader,
    /// Has a row filter.
    Clerk,
    /// Sees everything.
    Auditor,
}

impl Caller {
    async fn token(self, args: &Args, server: &Server) -> anyhow::Result<String> {
        let who: &[&str] = match self {
            Self::Loader => &["loader", "--roles", "loader"],
            Self::Clerk => &["clerk", "--roles", "clerk", "--attribute", "region=west"],
            Self::Auditor => &["auditor", "--roles", "auditor"],
        };
        let start = ["auth", "token", "--expires", "12h", "--actor"];
        cli::run(args, &server.config(), start.iter().chain(who)).await
    }
}

/// The values by which one request differs from the next of its kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Varying {
    pub(crate) id: u64,
    pub(crate) customer: u64,
    pub(crate) quantity: u64,
}

impl Orders {
    /// Applies the schema, perhaps with another access block, and fills the table. The requests are the clerk's.
    pub(crate) async fn set_up(args: &Args, server: &Server, access: Option<&str>) -> anyhow::Result<Self> {
        let file: PathBuf = server.dir().with_extension("yaml");
        std::fs::write(&file, schema(access)?)?;
        cli::run(
            args,
            &server.config(),
            ["apply".as_ref(), "-f".as_ref(), file.as_os_str(), "--wait".as_ref()],
        )
        .await?;
        let loader = Caller::Loader.token(args, server).await?;
        let clerk = Caller::Clerk.token(args, server).await?;
        let orders = Self { rows: args.rows, token: clerk, next_id: Cell::new(NEW_IDS) };
        let mut connection = Connection::open(server.api()?).await?;
        for first in (1..=args.rows).step_by(usize::try_from(BULK)?) {
            let body = bulk(first, (first + BULK - 1).min(args.rows));
            let request = request("POST", &format!("{ENDPOINT}/bulk"), &loader, Some((JSON, &body)));
            connection.expect(&request, 200).await?;
        }
        Ok(orders)
    }

    /// The same table, asked by somebody else.
    pub(crate) async fn called_by(
        &self,
        args: &Args,
        server: &Server,
        caller: Caller,
    ) -> anyhow::Result<Self> {
        let token = caller.token(args, server).await?;
        Ok(Self { rows: self.rows, token, next_id: Cell::new(NEW_IDS) })
    }

    /// The bytes of a request for one record.
    pub(crate) fn read(&self, id: u64) -> Vec<u8> {
        self.plain("GET", &format!("{ENDPOINT}/{id}"))
    }

    /// The bytes of the next request of a kind, and the status that it must be answered with.
    pub(crate) fn next(&self, operation: Operation) -> (Vec<u8>, u16) {
        let id = match operation {
            Operation::Create => self.next_id.replace(self.next_id.get() + 1),
            _ => 2 * rand::rng().random_range(1..=self.rows / 2),
        };
        let (customer, quantity) =
            (rand::rng().random_range(0..CUSTOMERS), rand::rng().random_range(1000..9999));
        self.request(operation, Varying { id, customer, quantity })
    }

    /// The bytes of the request of a kind with these values.
    pub(crate) fn request(&self, operation: Operation, varying: Varying) -> (Vec<u8>, u16) {
        let Varying { id, customer, quantity } = varying;
        match operation {
            Operation::Read => (self.read(id), 200),
            Operation::List => {
                let query = format!("filter[customer_no]={customer}&sort=-placed_at&limit=20");
                (self.plain("GET", &format!("{ENDPOINT}?{query}")), 200)
            }
            Operation::Create => {
                (request("POST", ENDPOINT, &self.token, Some((JSON, &order(id, customer, quantity)))), 201)
            }
            Operation::Patch => {
                let body = format!("{{\"quantity\":{quantity}}}");
                let path = format!("{ENDPOINT}/{id}");
                (request("PATCH", &path, &self.token, Some((PATCH, body.as_bytes()))), 200)
            }
        }
    }

    fn plain(&self, method: &str, path: &str) -> Vec<u8> {
        request(method, path, &self.token, None)
    }

    /// The settings of a pgbench script that makes the same values, as pgbench's own commands. `:round` is another
    /// number in each run, so that no id comes twice.
    pub(crate) fn pgbench_values(&self, operation: Operation) -> String {
        let id = match operation {
            Operation::Create => {
                "\\set n :n + 1\n\\set id 2000000000 + :round * 100000000 + :client_id * 1000000 + :n"
                    .to_owned()
            }
            _ => format!("\\set id 2 * random(1, {})", self.rows / 2),
        };
        format!("{id}\n\\set customer random(0, {})\n\\set quantity random(1000, 9998)\n", CUSTOMERS - 1)
    }
}

fn schema(access: Option<&str>) -> anyhow::Result<String> {
    let Some(access) = access else { return Ok(SCHEMA.to_owned()) };
    let (fields, _) = SCHEMA.split_once("  access:\n").context("the schema's access block")?;
    Ok(format!("{fields}{access}"))
}

/// The body of a bulk request that makes the rows from `first` to `last`.
fn bulk(first: u64, last: u64) -> Vec<u8> {
    let mut body = b"{\"operations\":[".to_vec();
    for id in first..=last {
        if id > first {
            body.push(b',');
        }
        body.extend_from_slice(b"{\"create\":");
        body.extend(order(id, id / 2 % CUSTOMERS, 1000 + id % 8999));
        body.push(b'}');
    }
    body.extend_from_slice(b"]}");
    body
}

/// One order as JSON, about 400 bytes. New ones are in the west, where the caller may make them.
fn order(id: u64, customer: u64, quantity: u64) -> Vec<u8> {
    let region = if id < NEW_IDS && id % 2 == 1 { "east" } else { "west" };
    let status = ["draft", "approved", "shipped", "delivered"][usize::try_from(id / 2 % 4).unwrap_or(0)];
    let (cents, day, second) = (id % 100, 1 + id % 28, id % 60);
    let mut json = Vec::with_capacity(512);
    // Writing into a vector cannot fail.
    let _ = write!(
        json,
        "{{\"id\":{id},\"customer_no\":{customer},\"reference\":\"PO-{id:010}\",\"status\":\"{status}\",\
         \"region\":\"{region}\",\"amount\":{quantity}.{cents:02},\"quantity\":{quantity},\
         \"carrier\":\"Northern Freight\",\"note\":\"Leave at the gate when nobody is in; ring twice\",\
         \"placed_at\":\"2026-03-{day:02}T10:15:{second:02}Z\",\"shipped_at\":null,\"is_gift\":false,\
         \"address\":{{\"street\":\"Harbour Road {cents}\",\"city\":\"Fremantle\",\"postcode\":\"6160\"}}}}"
    );
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_json_and_all_new_ones_equally_long() {
        let one: serde_json::Value = serde_json::from_slice(&order(7, 1, 1000)).unwrap();
        assert_eq!((one["region"].as_str(), one["status"].as_str()), (Some("east"), Some("delivered")));
        assert_eq!(order(NEW_IDS, 1, 1000).len() + 2, order(NEW_IDS + 1, 100, 9998).len());
        let many: serde_json::Value = serde_json::from_slice(&bulk(1, 3)).unwrap();
        assert_eq!(many["operations"].as_array().unwrap().len(), 3);
    }
}
