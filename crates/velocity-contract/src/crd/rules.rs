//! Bounds and CEL rules that the types do not carry.
//!
//! Every text and list is bounded, because an API server estimates the cost of rules from the bounds and refuses a CRD
//! that could cost too much. What a rule says here is what the validated schema says too; a rule that needs more than
//! one object, or more than CEL, is the operator's; so is one that compares every field with every other list, which
//! would run over a server's budget for the largest schemas.

use serde_json::{Value, json};

/// Names of organisations, applications, domains and objects: DNS labels without `--`.
const NAME: &str = "^[a-z0-9]+(-[a-z0-9]+)*$";
const FIELD: &str = "^[a-zA-Z][a-zA-Z0-9_]*$";
const VERSION: &str = "^v[1-9][0-9]*$";
const ROLE: &str = "^[A-Za-z0-9_.:/@-]+$";
/// A length of time: `90d`, `5y`.
const DURATION: &str = "^[1-9][0-9]*(s|m|h|d|w|y)$";
const OPERATIONS: [&str; 7] = ["create", "read", "update", "delete", "restore", "history", "export"];

/// A bound or another keyword: where, which, what.
type Bound = (&'static str, &'static str, u64);

const SCHEMA_DEFINITION_BOUNDS: &[Bound] = &[
    ("access.abac[].message", "maxLength", 1024),
    ("access.abac[].operations", "maxItems", 7),
    ("access.abac[].operations", "minItems", 1),
    ("access.fieldAccess[].read", "maxItems", 100),
    ("access.fieldAccess[].write", "maxItems", 100),
    ("audit.requireReason", "maxItems", 7),
    ("fields[].enum[]", "maxLength", 200),
    ("fields[].enum[]", "minLength", 1),
    ("observability.slos", "maxItems", 50),
    ("observability.slos[].availability", "minimum", 0),
    ("observability.slos[].availability", "maximum", 100),
    ("scaling.maxReplicas", "minimum", 1),
    ("scaling.minReplicas", "minimum", 1),
    ("scaling.targetCPUUtilization", "maximum", 100),
    ("scaling.targetCPUUtilization", "minimum", 1),
    ("search.fields", "maxItems", 32),
    ("search.language", "maxLength", 63),
];

/// Texts of one form: where, the form, the most characters.
const SCHEMA_DEFINITION_FORMS: &[(&str, &str, u64)] = &[
    ("access.fieldAccess[].field", FIELD, 63),
    ("access.fieldAccess[].read[]", ROLE, 128),
    ("access.fieldAccess[].write[]", ROLE, 128),
    ("access.rowFilter[].role", r"^(\*|[A-Za-z0-9_.:/@-]+)$", 128),
    ("archive.policyRef.name", "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", 253),
    ("archive.policyRef.namespace", "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", 63),
    ("auth.strategyRef.name", "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", 253),
    ("auth.strategyRef.namespace", "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", 63),
    ("fields[].ref.app", NAME, 63),
    ("fields[].ref.domain", NAME, 63),
    ("fields[].ref.field", FIELD, 63),
    ("fields[].ref.object", NAME, 63),
    ("fields[].ref.org", NAME, 63),
    ("fields[].ref.version", VERSION, 10),
    ("fields[].renamedFrom", FIELD, 63),
    ("indexes[].fields[]", "^-?[a-zA-Z][a-zA-Z0-9_]*$", 64),
    ("observability.slos[].window", DURATION, 10),
    ("timeMachine.hotRetention", DURATION, 10),
    ("timeMachine.warmRetention", DURATION, 10),
    ("uniqueConstraints[].fields[]", FIELD, 63),
    ("validation.rules[].field", FIELD, 63),
];

/// Lists that no order and no repetition makes sense in.
const SCHEMA_DEFINITION_SETS: &[&str] = &[
    "access.abac[].operations",
    "access.fieldAccess[].read",
    "access.fieldAccess[].write",
    "audit.requireReason",
    "fields[].enum",
    "uniqueConstraints[].fields",
];

/// A CEL rule: where it stands, the rule, the field that an error names (or nothing), and what an error says.
type Rule = (&'static str, &'static str, &'static str, &'static str);

const SCHEMA_DEFINITION_RULES: &[Rule] = &[
    (
        "org",
        "self == oldSelf",
        "",
        "org cannot change: it is part of the table's name; make a new SchemaDefinition",
    ),
    (
        "app",
        "self == oldSelf",
        "",
        "app cannot change: it is part of the table's name; make a new SchemaDefinition",
    ),
    (
        "domain",
        "self == oldSelf",
        "",
        "domain cannot change: it is part of the table's name; make a new SchemaDefinition",
    ),
    (
        "object",
        "self == oldSelf",
        "",
        "object cannot change: it is part of the table's name; make a new SchemaDefinition",
    ),
    (
        "version",
        "self == oldSelf",
        "",
        "version cannot change: it is part of the table's name; make a new SchemaDefinition",
    ),
    (
        "",
        "size(self.org) + size(self.app) + size(self.domain) <= 61",
        "",
        "org, app and domain together are at most 61 characters long: with dashes between them they name the namespace",
    ),
    (
        "fields[]",
        "self.type != 'enum' || (has(self.enum) && size(self.enum) > 0)",
        ".enum",
        "an enum lists its values",
    ),
    ("fields[]", "self.type == 'enum' || !has(self.enum)", ".enum", "enum belongs to fields of type enum"),
    (
        "fields[]",
        "self.type == 'string' || !(has(self.minLength) || has(self.maxLength) || has(self.pattern))",
        "",
        "minLength, maxLength and pattern belong to string fields",
    ),
    (
        "fields[]",
        "self.type in ['integer', 'number'] || !(has(self.min) || has(self.max))",
        "",
        "min and max belong to integer and number fields",
    ),
    (
        "fields[]",
        "self.type == 'number' || (has(self.items) && self.items == 'number') || !(has(self.precision) || has(self.scale))",
        "",
        "precision and scale belong to number fields and arrays of numbers",
    ),
    ("fields[]", "self.type == 'bytes' || !has(self.maxSize)", ".maxSize", "maxSize belongs to bytes fields"),
    (
        "fields[]",
        "(self.type == 'array') == has(self.items)",
        ".items",
        "an array, and nothing else, names the type of its elements in items",
    ),
    (
        "fields[]",
        "!has(self.items) || !(self.items in ['array', 'json', 'enum', 'bytes'])",
        ".items",
        "elements are of a scalar type: string, integer, number, boolean, timestamp, date, time or uuid",
    ),
    (
        "fields[]",
        "self.type == 'array' || !(has(self.minItems) || has(self.maxItems) || (has(self.uniqueItems) && self.uniqueItems))",
        "",
        "minItems, maxItems and uniqueItems belong to array fields",
    ),
    ("fields[]", "self.type == 'json' || !has(self.schema)", ".schema", "schema belongs to json fields"),
    (
        "fields[]",
        "!has(self.min) || !has(self.max) || self.min <= self.max",
        ".min",
        "min is larger than max",
    ),
    (
        "fields[]",
        "!has(self.minLength) || !has(self.maxLength) || self.minLength <= self.maxLength",
        ".minLength",
        "minLength is larger than maxLength",
    ),
    (
        "fields[]",
        "!has(self.minItems) || !has(self.maxItems) || self.minItems <= self.maxItems",
        ".minItems",
        "minItems is larger than maxItems",
    ),
    (
        "fields[]",
        "!has(self.scale) || !has(self.precision) || self.scale <= self.precision",
        ".scale",
        "scale is larger than precision",
    ),
    (
        "fields[]",
        "!has(self.autoPopulated) || !self.autoPopulated || self.type == 'uuid'",
        ".autoPopulated",
        "only uuid fields are filled in by the platform",
    ),
    (
        "fields[]",
        "!has(self.sortable) || !self.sortable || !(self.type in ['json', 'bytes', 'array'])",
        ".sortable",
        "json, bytes and array values have no order that a list could use",
    ),
    (
        "fields[]",
        "!has(self.filterable) || !self.filterable || self.type != 'bytes'",
        ".filterable",
        "bytes fields take no conditions",
    ),
    (
        "fields[]",
        "!has(self.unique) || !self.unique || !(self.type in ['json', 'bytes', 'array'])",
        ".unique",
        "json, bytes and array values cannot be unique",
    ),
    (
        "fields[]",
        "!has(self.renamedFrom) || self.renamedFrom != self.name",
        ".renamedFrom",
        "renamedFrom is the field's own name",
    ),
    (
        "fields[]",
        "self.name != 'deleted_at'",
        ".name",
        "deleted_at is a column of the platform; choose another name",
    ),
    (
        "fields[]",
        "self.name != 'id' || self.type in ['string', 'integer', 'uuid']",
        ".type",
        "id is a string, an integer or a uuid",
    ),
    (
        "fields[]",
        "self.name != 'id' || !has(self.ref)",
        ".ref",
        "id is no reference; declare a field of its own for it",
    ),
    (
        "fields[]",
        "!(self.name in ['version', 'created_at', 'created_by', 'updated_at', 'updated_by']) || self.type == {'version': 'integer', 'created_at': 'timestamp', 'created_by': 'string', 'updated_at': 'timestamp', 'updated_by': 'string'}[self.name]",
        ".type",
        "a system field keeps its type: version is an integer, *_at a timestamp, *_by a string",
    ),
    (
        "fields[]",
        "!has(self.required) || !self.required || !has(self.ref) || !has(self.ref.onDelete) || self.ref.onDelete != 'setNull'",
        ".ref.onDelete",
        "a required field cannot lose its value; use restrict",
    ),
    (
        "fields[].ref",
        "!has(self.enforce) || self.enforce || !has(self.onDelete) || self.onDelete == 'restrict'",
        ".onDelete",
        "onDelete has no effect where enforce is false",
    ),
    (
        "access",
        "!has(self.rowFilter) || self.rowFilter.all(f, f.role == '*' || (has(self.roles) && ((has(self.roles.create) && f.role in self.roles.create) || (has(self.roles.read) && f.role in self.roles.read) || (has(self.roles.update) && f.role in self.roles.update) || (has(self.roles.delete) && f.role in self.roles.delete) || (has(self.roles.restore) && f.role in self.roles.restore) || (has(self.roles.history) && f.role in self.roles.history) || (has(self.roles.export) && f.role in self.roles.export))))",
        ".rowFilter",
        "a row filter is for a role that access.roles lists, or for *",
    ),
    (
        "access",
        "!has(self.rowFilter) || !self.rowFilter.exists(f, f.role == 'platform-admin')",
        ".rowFilter",
        "platform-admin sees every record: a row filter for it would never apply",
    ),
    (
        "access",
        "!has(self.fieldAccess) || self.fieldAccess.exists(f, f.field == 'created_by') == self.fieldAccess.exists(f, f.field == 'updated_by')",
        ".fieldAccess",
        "created_by and updated_by are restricted together: each tells the other",
    ),
    (
        "access.fieldAccess[]",
        "has(self.read) || has(self.write)",
        "",
        "say who may see the field (read), who may set it (write), or both",
    ),
    (
        "access.fieldAccess[]",
        "!has(self.masking) || has(self.read)",
        ".masking",
        "a mask is for those who hold none of read: list the roles that see the field in clear",
    ),
    (
        "access.fieldAccess[]",
        "!(self.field in ['id', 'version', 'created_at', 'updated_at'])",
        ".field",
        "id, version, created_at and updated_at are what records are found and told apart by: they cannot be restricted",
    ),
    (
        "access.fieldAccess[]",
        "!(self.field in ['created_by', 'updated_by']) || !has(self.write)",
        ".write",
        "created_by and updated_by are set by the platform alone",
    ),
    (
        "access.fieldAccess[].masking",
        "self.strategy == 'partial' || !has(self.visibleChars)",
        ".visibleChars",
        "visibleChars belongs to partial",
    ),
    (
        "access.fieldAccess[].masking",
        "(self.strategy == 'range') == has(self.rangeSize)",
        ".rangeSize",
        "rangeSize is set exactly for range",
    ),
    (
        "access.fieldAccess[].masking",
        "!has(self.rangeSize) || self.rangeSize > 0.0",
        ".rangeSize",
        "rangeSize is more than 0",
    ),
    (
        "scaling",
        "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
        ".minReplicas",
        "minReplicas is larger than maxReplicas",
    ),
];

const AUTH_STRATEGY_BOUNDS: &[Bound] = &[("oidc.scopes[]", "maxLength", 128)];

/// Texts of one form: where, the form, the most characters.
const AUTH_STRATEGY_FORMS: &[(&str, &str, u64)] = &[
    ("apiKey.ipAllowlist[]", "^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$", 64),
    ("composite.strategies[].name", "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", 253),
    ("composite.strategies[].namespace", "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", 63),
    ("oidc.clientSecretRef.key", "^[-._a-zA-Z0-9]+$", 253),
    ("oidc.clientSecretRef.name", "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", 253),
];

/// `https`, or `http` where nobody is between: what a strategy fetches, and where a browser brings a code.
const ONLY_HTTPS: &str = r"self.startsWith('https://') || self.matches('^http://(localhost|127[.]0[.]0[.]1|\\[::1\\])(:[0-9]+)?(/|$)')";

const AUTH_STRATEGY_RULES: &[Rule] = &[
    ("oidc.discoveryUrl", ONLY_HTTPS, "", "use an https URL (http only on a loopback address)"),
    ("oidc.redirectUri", ONLY_HTTPS, "", "use an https URL (http only on a loopback address)"),
    (
        "oidc.redirectUri",
        "self.endsWith('/auth/callback')",
        "",
        "the provider sends browsers back to /auth/callback: the address ends with it, and has no query",
    ),
    (
        "oidc",
        "!has(self.scopes) || 'openid' in self.scopes",
        ".scopes",
        "openid is what makes it OpenID Connect: list it",
    ),
    (
        "apiKey.headerName",
        "!(self.matches('^(?i)(accept|authorization|connection|content-.*|cookie|forwarded|host|idempotency-key|if-.*|origin|proxy-.*|sec-.*|te|transfer-encoding|upgrade|x-csrf-token|x-forwarded-.*|x-reason|x-velocity.*)$'))",
        "",
        "this header means something else: choose one of its own, such as X-API-Key",
    ),
    (
        "composite",
        "self.strategies.all(s, self.strategies.exists_one(t, t == s))",
        ".strategies",
        "a strategy is listed twice: the first decides, the second never would",
    ),
];

/// What only the whole object tells, with the field that an error names.
const AUTH_STRATEGY_WHOLE: &[(&str, &str, &str)] = &[(
    "!has(self.spec.composite) || self.spec.composite.strategies.all(s, has(s.namespace) || s.name != self.metadata.name)",
    ".spec.composite.strategies",
    "a composite does not name itself",
)];

/// The three parts of a claim mapping, each with its own copy of the schema.
const MAPPINGS: [&str; 3] = ["actorId", "roles", "attributes[]"];

/// Adds what the types of a SchemaDefinition's spec do not carry.
pub(super) fn schema_definition(spec: &mut Value) {
    for operation in OPERATIONS {
        let list = format!("access.roles.{operation}");
        set(spec, &list, "maxItems", json!(100));
        set(spec, &list, "x-kubernetes-list-type", json!("set"));
        form(spec, &format!("{list}[]"), ROLE, 128);
    }
    for words in ["access.abac[].operations[]", "audit.requireReason[]", "observability.slos[].operation"] {
        set(spec, words, "enum", json!(OPERATIONS));
    }
    set(spec, "access.fieldAccess", "x-kubernetes-list-type", json!("map"));
    set(spec, "access.fieldAccess", "x-kubernetes-list-map-keys", json!(["field"]));
    for list in SCHEMA_DEFINITION_SETS {
        set(spec, list, "x-kubernetes-list-type", json!("set"));
    }
    for (path, pattern, length) in SCHEMA_DEFINITION_FORMS {
        form(spec, path, pattern, *length);
    }
    apply(spec, SCHEMA_DEFINITION_BOUNDS, SCHEMA_DEFINITION_RULES);
}

/// The blocks that map claims.
const OWNERS: [&str; 2] = ["jwt.issuers[]", "oidc"];

/// What is appended, everyone gets whose token is good.
const NOT_EVERYONE: (&str, &str, &str) = (
    "!has(self.values) || !('platform-admin' in self.values)",
    ".values",
    "this would make an administrator of everyone whose token is good: give platform-admin by a claim, with lookup",
);

/// Adds what the types of an AuthStrategy's spec do not carry.
pub(super) fn auth_strategy(spec: &mut Value) {
    for owner in OWNERS {
        let roles = format!("{owner}.claimMapping.roles.transforms[]");
        let (rule, field, message) = NOT_EVERYONE;
        add_rule(spec, &roles, rule, field, message);
    }
    for (owner, mapping) in OWNERS.into_iter().flat_map(|owner| MAPPINGS.map(|mapping| (owner, mapping))) {
        let transforms = format!("{owner}.claimMapping.{mapping}.transforms[]");
        set(spec, &format!("{transforms}.values[]"), "maxLength", json!(256));
        set(spec, &format!("{transforms}.table{{}}"), "maxItems", json!(64));
        set(spec, &format!("{transforms}.table{{}}[]"), "maxLength", json!(256));
    }
    for (path, pattern, length) in AUTH_STRATEGY_FORMS {
        form(spec, path, pattern, *length);
    }
    apply(spec, AUTH_STRATEGY_BOUNDS, AUTH_STRATEGY_RULES);
}

/// The rules over an AuthStrategy as a whole.
pub(super) fn auth_strategy_as_a_whole() -> Value {
    AUTH_STRATEGY_WHOLE
        .iter()
        .map(|(rule, field, message)| json!({ "rule": rule, "fieldPath": field, "message": message }))
        .collect()
}

const ROLE_BINDING_FORMS: &[(&str, &str, u64)] =
    &[("roles[]", ROLE, 128), ("scopes[].object", NAME, 63), ("scopes[].version", VERSION, 10)];

const ROLE_BINDING_RULES: &[Rule] = &[
    (
        "roles[]",
        "self != 'platform-admin'",
        "",
        "platform-admin is never given by a RoleBinding: it comes from the token of the installation's own strategy",
    ),
    (
        "",
        "!has(self.expiresAt) || self.expiresAt.getFullYear() >= 1970",
        ".expiresAt",
        "expiresAt is a time after 1970, RFC 3339 with a time zone, such as 2027-01-01T00:00:00Z",
    ),
];

/// Adds what the types of a RoleBinding's spec do not carry.
pub(super) fn role_binding(spec: &mut Value) {
    for list in ["roles", "scopes[].operations"] {
        set(spec, list, "x-kubernetes-list-type", json!("set"));
    }
    set(spec, "scopes[].operations[]", "enum", json!(OPERATIONS));
    for (path, pattern, length) in ROLE_BINDING_FORMS {
        form(spec, path, pattern, *length);
    }
    apply(spec, &[], ROLE_BINDING_RULES);
}

fn apply(spec: &mut Value, bounds: &[Bound], rules: &[Rule]) {
    for (path, keyword, number) in bounds {
        set(spec, path, keyword, json!(number));
    }
    for (path, rule, field, message) in rules {
        add_rule(spec, path, rule, field, message);
    }
}

fn add_rule(spec: &mut Value, path: &str, rule: &str, field: &str, message: &str) {
    let mut entry = json!({ "rule": rule, "message": message });
    if !field.is_empty() {
        entry["fieldPath"] = json!(field);
    }
    let node = at(spec, path);
    match &mut node["x-kubernetes-validations"] {
        Value::Array(entries) => entries.push(entry),
        none => *none = json!([entry]),
    }
}

fn form(spec: &mut Value, path: &str, pattern: &str, length: u64) {
    set(spec, path, "pattern", json!(pattern));
    set(spec, path, "minLength", json!(1));
    set(spec, path, "maxLength", json!(length));
}

fn set(spec: &mut Value, path: &str, keyword: &str, value: Value) {
    at(spec, path)[keyword] = value;
}

/// The node at a path such as `fields[].ref.object`; `[]` goes into a list's items, `{}` into a map's values.
///
/// # Panics
/// When there is none: the tables above are wrong then, and the generator's test says so before anything is released.
fn at<'a>(spec: &'a mut Value, path: &str) -> &'a mut Value {
    let mut node = spec;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let name = part.trim_end_matches(['[', ']', '{', '}']);
        let mut steps = vec![format!("/properties/{name}")];
        steps.extend(part.as_bytes()[name.len()..].chunks(2).map(|brackets| {
            if brackets == b"[]" { "/items".to_owned() } else { "/additionalProperties".to_owned() }
        }));
        for step in steps {
            let Some(next) = node.pointer_mut(&step) else { panic!("the schema has no `{path}`") };
            node = next;
        }
    }
    node
}
