//! How long one decision takes with 10,000 roles and 10,000 bindings:
//! `cargo run --release -p velocity-access --example decisions`.
//!
//! A decision is everything between a verified identity and the database: the subject (bindings looked up and judged by
//! their expiry and scope), the roles for the operation, what is seen and set of each field, the conditions, and the
//! attributes for the transaction. Each is timed by itself; nothing is cached between two. The callers: `usual` holds 10
//! roles and 5 bindings, `most` the most that an identity and its bindings may have (256 roles of the token, 256 bindings
//! of one role each), on schemas with the most roles that an operation may list (100), conditions and field rules.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use velocity_access::{Bindings, Decision, Identity, IdentityParts, Layers, Subject};
use velocity_contract::role_binding::RoleBindingSpec;
use velocity_schema::Schema;
use velocity_schema::cel::RequestView;
use velocity_schema::schema::Operation;
use velocity_schema::spec::SchemaDefinitionSpec;

const ROLES: usize = 10_000;
const BINDINGS: usize = 10_000;
const SCHEMAS: usize = 100;
const ROUNDS: usize = 200_000;
const OPERATIONS: [&str; 7] = ["create", "read", "update", "delete", "restore", "history", "export"];

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % most as u64).unwrap_or(0)
    }

    fn roles(&mut self, count: usize) -> Vec<String> {
        let mut roles = BTreeSet::new();
        while roles.len() < count {
            roles.insert(format!("acme-role-{:05}", self.below(ROLES)));
        }
        roles.into_iter().collect()
    }
}

fn schema(index: usize, dice: &mut Dice) -> Fallible<Arc<Schema>> {
    let fields: Vec<Value> =
        (0..20).map(|field| json!({ "name": format!("f{field}"), "type": "string" })).collect();
    let roles: serde_json::Map<String, Value> =
        OPERATIONS.iter().map(|word| ((*word).to_owned(), json!(dice.roles(100)))).collect();
    let rights: Vec<Value> = (0..5)
        .map(|field| {
            json!({ "field": format!("f{field}"), "read": dice.roles(10), "write": dice.roles(10), "masking": { "strategy": "redact" } })
        })
        .collect();
    let spec = json!({
        "org": "acme", "app": "supply", "domain": format!("d{}", index % 10), "object": format!("object-{index}"), "version": "v1",
        "fields": fields,
        "access": {
            "roles": roles, "fieldAccess": rights,
            "abac": [{ "operations": OPERATIONS, "condition": "actor.attributes.department == 'procurement' && request.ip != ''" }]
        }
    });
    let spec = SchemaDefinitionSpec::from_json(&spec).map_err(|violations| violations.to_string())?;
    Ok(Arc::new(Schema::parse(&spec).map_err(|violations| violations.to_string())?))
}

/// 10,000 bindings: five for each usual actor, and all that one may have for `most`, in each of ten namespaces.
fn bindings(dice: &mut Dice) -> Fallible<Bindings> {
    let mut specs = Vec::new();
    for index in 0..BINDINGS {
        let (namespace, actor) = if index < 2560 {
            (format!("acme-supply-d{}", index % 10), "most".to_owned())
        } else {
            (format!("acme-supply-d{}", index % 10), format!("actor-{}", (index / 50) % 150))
        };
        let mut spec = json!({ "actor": actor, "roles": dice.roles(1), "expiresAt": "2999-01-01T00:00:00Z" });
        if index % 2 == 0 {
            spec["scopes"] =
                json!([{ "object": format!("object-{}", index % SCHEMAS), "operations": OPERATIONS }]);
        }
        if index % 5 == 0 {
            spec["attributes"] = json!({ format!("a{}", index % 7): "x" });
        }
        let spec: RoleBindingSpec = serde_json::from_value(spec)?;
        specs.push((namespace, format!("binding-{index}"), spec));
    }
    let all = specs.iter().map(|(namespace, name, spec)| (namespace.as_str(), name.as_str(), spec));
    let (bindings, refused) = Bindings::build(all);
    if let Some((_, name, why)) = refused.first() {
        return Err(format!("{name}: {why}").into());
    }
    Ok(bindings)
}

fn identity(actor: &str, roles: Vec<String>) -> Fallible<Arc<Identity>> {
    let attributes = json!({ "department": "procurement", "region": "west" });
    let parts = IdentityParts::user(actor, "platform/jwt", Timestamp::MAX);
    Ok(Arc::new(Identity::new(IdentityParts {
        roles: roles.into_iter().collect(),
        attributes: attributes.as_object().cloned().unwrap_or_default(),
        ..parts
    })?))
}

/// One decision. True when it allowed the operation.
fn decide(
    identity: &Arc<Identity>,
    bindings: &Bindings,
    schema: &Arc<Schema>,
    operation: Operation,
    now: Timestamp,
) -> bool {
    let subject =
        Subject::resolve(Arc::clone(identity), bindings, Arc::clone(schema), now, true, Layers::all());
    let allowed = match subject.roles_for(operation) {
        Decision::Allowed { effective_roles } => {
            black_box(effective_roles);
            true
        }
        Decision::Denied { .. } => false,
    };
    black_box(subject.view(operation));
    black_box(subject.write_rights(operation));
    let request = RequestView { time: 0, operation: operation.as_str(), ip: Some("192.0.2.1") };
    black_box(subject.abac(operation, None, request)).ok();
    black_box(subject.attributes_json(&[operation]));
    allowed
}

fn measure(
    name: &str,
    callers: &[Arc<Identity>],
    bindings: &Bindings,
    schemas: &[Arc<Schema>],
    dice: &mut Dice,
) -> Duration {
    let now = Timestamp::now();
    let (mut times, mut allowed) = (Vec::with_capacity(ROUNDS), 0_usize);
    for _ in 0..ROUNDS {
        let caller = &callers[dice.below(callers.len())];
        let schema = &schemas[dice.below(schemas.len())];
        let operation = Operation::ALL[dice.below(Operation::ALL.len())];
        let started = Instant::now();
        let yes = decide(caller, bindings, schema, operation, now);
        times.push(started.elapsed());
        allowed += usize::from(yes);
    }
    times.sort_unstable();
    let at = |permille: usize| times[(times.len() - 1) * permille / 1000];
    let share = 100 * allowed / ROUNDS;
    println!(
        "{name:<8} p50 {:>9.2?}  p99 {:>9.2?}  p99.9 {:>9.2?}  ({share}% allowed)",
        at(500),
        at(990),
        at(999)
    );
    at(990)
}

fn main() -> Fallible<()> {
    let mut dice = Dice(7);
    let schemas = (0..SCHEMAS).map(|index| schema(index, &mut dice)).collect::<Fallible<Vec<_>>>()?;
    let started = Instant::now();
    let bindings = bindings(&mut dice)?;
    println!("{} bindings built in {:.2?}", bindings.len(), started.elapsed());
    let usual = (0..150)
        .map(|actor| identity(&format!("actor-{actor}"), dice.roles(10)))
        .collect::<Fallible<Vec<_>>>()?;
    let most = [identity("most", dice.roles(256))?];
    let unbound = [identity("nobody", dice.roles(10))?];
    for (name, callers) in [("unbound", &unbound[..]), ("usual", &usual), ("most", &most)] {
        let p99 = measure(name, callers, &bindings, &schemas, &mut dice);
        if p99 > Duration::from_micros(20) {
            println!("{name:<8} is over 20 µs");
        }
    }
    Ok(())
}
