//! Resources that would weaken access, sent straight to the Kubernetes API: its own rules refuse them, without a webhook
//! and before the operator has seen them. What only the operator and the API can see is in `access.rs`.

use kube::Api;
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use tower::ServiceExt;
use velocity_localkube::LocalKube;

const NAMESPACE: &str = "acme-shop-sales";

/// A kind with a good spec, and each attack as what it puts where (a JSON pointer; `null` takes away) and what is said.
type Attacks = (&'static str, &'static str, Value, Vec<(&'static str, Value, &'static str)>);

fn role_bindings() -> Attacks {
    let good = json!({
        "actor": "ravi", "roles": ["writer"], "attributes": {"region": "west"},
        "scopes": [{"object": "order", "version": "v1", "operations": ["read"]}], "expiresAt": "2099-01-01T00:00:00Z"
    });
    let attacks = vec![
        ("/roles", json!(["writer", "platform-admin"]), "platform-admin is never given by a RoleBinding"),
        ("/roles", json!(["*"]), "spec.roles[0]"),
        ("/roles", json!([""]), "spec.roles[0]"),
        ("/roles", json!(["a\nb"]), "spec.roles[0]"),
        ("/actor", json!("*"), "a binding is for one actor"),
        ("/actor", json!(""), "spec.actor"),
        ("/actor", Value::Null, "spec.actor"),
        ("/scopes", json!([]), "spec.scopes"),
        ("/scopes/0/object", json!("*"), "spec.scopes[0].object"),
        ("/scopes/0/object", json!("acme/*"), "spec.scopes[0].object"),
        ("/scopes/0/object", Value::Null, "spec.scopes[0].object"),
        ("/scopes/0/version", json!("*"), "spec.scopes[0].version"),
        ("/scopes/0/operations", json!([]), "spec.scopes[0].operations"),
        ("/scopes/0/operations", json!(["reads"]), "spec.scopes[0].operations[0]"),
        ("/scopes/0/operation", json!(["read"]), "unknown field \"spec.scopes[0].operation\""),
        ("/expiresAt", json!("tomorrow"), "spec.expiresAt"),
        ("/expiresAt", json!("2099-01-01"), "spec.expiresAt"),
        ("/expiresAt", json!("2099-01-01T00:00:00"), "spec.expiresAt"),
        ("/expiresAt", json!("0001-01-01T00:00:00Z"), "spec.expiresAt"),
        ("/expires", json!("2020-01-01T00:00:00Z"), "unknown field \"spec.expires\""),
        ("/attributes", json!("west"), "spec.attributes"),
    ];
    ("RoleBinding", "rolebindings", good, attacks)
}

fn schema_definitions() -> Attacks {
    let good = json!({
        "org": "acme", "app": "shop", "domain": "sales", "object": "order", "version": "v1",
        "fields": [{"name": "region", "type": "string"}, {"name": "amount", "type": "number"}],
        "access": {
            "roles": {"create": ["writer"], "read": ["reader", "writer"]},
            "abac": [{"operations": ["create"], "condition": "actor.attributes.department == 'sales'"}],
            "rowFilter": [{"role": "reader", "condition": "record.region == actor.attributes.region"}],
            "fieldAccess": [{"field": "amount", "read": ["writer"], "masking": {"strategy": "tokenise"}}]
        }
    });
    let attacks = vec![
        ("/access/roles/read", json!(["*"]), "spec.access.roles.read[0]"),
        ("/access/roles/everything", json!(["reader"]), "unknown field \"spec.access.roles.everything\""),
        ("/access/abac/0/operations", json!([]), "spec.access.abac[0].operations"),
        ("/access/abac/0/operations", json!(["write"]), "spec.access.abac[0].operations[0]"),
        ("/access/abac/0/condition", Value::Null, "spec.access.abac[0].condition"),
        ("/access/abac/0/condition", json!(""), "spec.access.abac[0].condition"),
        ("/access/abac/0/effect", json!("allow"), "unknown field \"spec.access.abac[0].effect\""),
        ("/access/rowFilter/0/role", json!("raeder"), "a row filter is for a role that access.roles lists"),
        ("/access/rowFilter/0/role", json!("platform-admin"), "spec.access.rowFilter"),
        ("/access/fieldAccess/0/field", json!("id"), "cannot be restricted"),
        ("/access/fieldAccess/0/field", json!("updated_at"), "cannot be restricted"),
        (
            "/access/fieldAccess/0/field",
            json!("created_by"),
            "created_by and updated_by are restricted together",
        ),
        ("/access/fieldAccess/0/read", Value::Null, "say who may see the field"),
        ("/access/fieldAccess/0/read", json!(["*"]), "spec.access.fieldAccess[0].read[0]"),
        (
            "/access/fieldAccess/0/masking/strategy",
            json!("none"),
            "spec.access.fieldAccess[0].masking.strategy",
        ),
        ("/access/fieldAccess/0/masking/visibleChars", json!(2), "visibleChars belongs to partial"),
        ("/access/fieldAccess/0/masking/rangeSize", json!(10), "rangeSize is set exactly for range"),
        (
            "/access/fieldAccess/0/masking",
            json!({"strategy": "range", "rangeSize": 0}),
            "rangeSize is more than 0",
        ),
        ("/access/fieldAccess/0/mask", json!("redact"), "unknown field \"spec.access.fieldAccess[0].mask\""),
    ];
    ("SchemaDefinition", "schemadefinitions", good, attacks)
}

fn api_keys() -> Attacks {
    let good = json!({"type": "apiKey", "apiKey": {"headerName": "X-API-Key", "ipAllowlist": ["10.0.0.0/8", "::1"]}});
    let attacks = vec![
        ("/apiKey/headerName", json!("Authorization"), "this header means something else"),
        ("/apiKey/headerName", json!("X-Forwarded-For"), "this header means something else"),
        ("/apiKey/headerName", json!("cookie"), "this header means something else"),
        ("/apiKey/ipAllowlist/0", json!("*"), "spec.apiKey.ipAllowlist[0]"),
        ("/apiKey/ipAllowlist/0", json!("everywhere.example"), "spec.apiKey.ipAllowlist[0]"),
        ("/apiKey/allowlist", json!(["10.0.0.0/8"]), "unknown field \"spec.apiKey.allowlist\""),
        ("/type", json!("none"), "spec.type"),
        ("/type", json!("jwt"), "jwt is set exactly when type is jwt"),
        ("/revocation", json!({"failopen": true}), "unknown field \"spec.revocation.failopen\""),
    ];
    ("AuthStrategy", "authstrategies", good, attacks)
}

fn tokens() -> Attacks {
    let good = json!({"type": "jwt", "jwt": {"issuers": [{
        "issuer": "https://id.example", "audience": "velocity", "jwksUrl": "https://id.example/keys",
        "algorithms": ["RS256"],
        "claimMapping": {"roles": {"path": "$.roles", "transforms": [{"type": "staticAppend", "values": ["employee"]}]}}
    }]}});
    let attacks = vec![
        ("/jwt/issuers/0/algorithms", json!(["none"]), "spec.jwt.issuers[0].algorithms[0]"),
        ("/jwt/issuers/0/algorithms", json!(["HS256"]), "HMAC algorithms"),
        ("/jwt/issuers/0/jwksUrl", json!("http://id.example/keys"), "use an https URL"),
        ("/jwt/issuers/0/jwksUrl", json!("http://127.0.0.1.evil.example/keys"), "use an https URL"),
        ("/jwt/issuers/0/jwksUrl", Value::Null, "set exactly one of jwks and jwksUrl"),
        ("/jwt/issuers/0/issuer", json!(""), "spec.jwt.issuers[0].issuer"),
        ("/jwt/issuers/0/audience", Value::Null, "spec.jwt.issuers[0].audience"),
        (
            "/jwt/issuers/0/claimMapping/roles/transforms/0/values",
            json!(["employee", "platform-admin"]),
            "this would make an administrator of everyone",
        ),
    ];
    ("AuthStrategy", "authstrategies", good, attacks)
}

fn sign_in() -> Attacks {
    let good = json!({"type": "oidc", "oidc": {
        "discoveryUrl": "https://id.example/.well-known/openid-configuration", "clientId": "velocity",
        "clientSecretRef": {"name": "provider", "key": "secret"}, "redirectUri": "https://v.example/auth/callback"
    }});
    let attacks = vec![
        (
            "/oidc/discoveryUrl",
            json!("http://id.example/.well-known/openid-configuration"),
            "use an https URL",
        ),
        ("/oidc/redirectUri", json!("http://v.example/auth/callback"), "use an https URL"),
        (
            "/oidc/redirectUri",
            json!("https://v.example/auth/callback?next=x"),
            "ends with it, and has no query",
        ),
        ("/oidc/scopes", json!(["profile"]), "openid is what makes it OpenID Connect"),
        ("/oidc/clientSecretRef/name", json!("../provider"), "spec.oidc.clientSecretRef.name"),
        (
            "/oidc/clientSecretRef/namespace",
            json!("elsewhere"),
            "unknown field \"spec.oidc.clientSecretRef.namespace\"",
        ),
        ("/oidc/clientSecret", json!("in the open"), "unknown field \"spec.oidc.clientSecret\""),
    ];
    ("AuthStrategy", "authstrategies", good, attacks)
}

fn composites() -> Attacks {
    let good = json!({"type": "composite", "composite": {"strategies": [{"name": "one"}, {"name": "two", "namespace": "platform"}]}});
    let attacks = vec![
        ("/composite/strategies", json!([]), "spec.composite.strategies"),
        ("/composite/strategies/1", json!({"name": "one"}), "a strategy is listed twice"),
        ("/composite/strategies/0/name", json!("attempt"), "a composite does not name itself"),
        ("/composite/strategies/0/name", json!("*"), "spec.composite.strategies[0].name"),
    ];
    ("AuthStrategy", "authstrategies", good, attacks)
}

/// `spec` with `value` at the place, or without it.
fn with(spec: &Value, place: &str, value: &Value) -> Value {
    let mut spec = spec.clone();
    let (parent, name) = place.rsplit_once('/').unwrap();
    let parent = spec.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(members), Value::Null) => drop(members.remove(name)),
        (Value::Object(members), value) => drop(members.insert(name.to_owned(), value.clone())),
        (Value::Array(items), value) => items[name.parse::<usize>().unwrap()] = value.clone(),
        _ => panic!("{place} is nowhere"),
    }
    spec
}

/// Tries everything on a Kubernetes API with our CRDs, without leaving a trace.
pub(crate) async fn everything_is_refused(client: &kube::Client) {
    // As kubectl does it: what the schema does not know is an error, not dropped.
    let trial = PostParams { dry_run: true, field_manager: Some("test".to_owned()) };
    for (kind, plural, good, attacks) in
        [role_bindings(), schema_definitions(), api_keys(), tokens(), sign_in(), composites()]
    {
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("velocity.sh", "v1", kind), plural);
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &resource);
        let create = async |spec: Value| {
            let mut object = DynamicObject::new("attempt", &resource);
            object.data = json!({ "spec": spec });
            strictly(client, &api, &trial, &object).await
        };
        if let Err(error) = create(good.clone()).await {
            panic!("a good {kind} is refused: {error}");
        }
        for (place, value, said) in attacks {
            match create(with(&good, place, &value)).await {
                Ok(_) => panic!("a {kind} with {value} at {place} is taken"),
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains(said), "{kind} with {value} at {place}: {text}");
                }
            }
        }
    }
}

/// Creates with strict validation, which kube's parameters do not offer.
async fn strictly(
    client: &kube::Client,
    api: &Api<DynamicObject>,
    trial: &PostParams,
    object: &DynamicObject,
) -> Result<DynamicObject, kube::Error> {
    let request = kube::core::Request::new(api.resource_url().to_owned());
    let mut request = request.create(trial, serde_json::to_vec(object).unwrap()).unwrap();
    let uri = format!("{}&fieldValidation=Strict", request.uri());
    *request.uri_mut() = uri.parse().unwrap();
    client.request(request).await
}

#[tokio::test]
async fn what_would_weaken_access_is_refused_by_the_kubernetes_api_itself() {
    let folder = tempfile::tempdir().unwrap();
    let crds = velocity_contract::crd::all().into_iter().map(|(_, crd)| crd).collect();
    let router = LocalKube::open(&folder.path().join("kubernetes.redb"), crds).unwrap().router();
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
    let client = kube::Client::new(service, "default");
    make_namespace(&client).await;
    everything_is_refused(&client).await;
}

pub(crate) async fn make_namespace(client: &kube::Client) {
    let kind = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Namespace"), "namespaces");
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    match api.create(&PostParams::default(), &DynamicObject::new(NAMESPACE, &kind)).await {
        Err(kube::Error::Api(taken)) if taken.code == 409 => {}
        made => drop(made.unwrap()),
    }
}
