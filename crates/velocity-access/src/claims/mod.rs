//! From a token's claims to actor, roles and attributes.

mod path;
mod transform;

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use velocity_contract::auth_strategy::{AttributeRuleSpec, ClaimMappingSpec, ClaimRuleSpec, TransformSpec};
use velocity_schema::Violations;

use crate::claims::path::ClaimPath;
use crate::claims::transform::{MAX_VALUES, Transform};
use crate::identity::PLATFORM_ADMIN;
use crate::strategy::Scope;

/// Most transforms of one rule.
const MAX_TRANSFORMS: usize = 16;
/// Most rules for attributes.
const MAX_ATTRIBUTE_RULES: usize = 64;

/// Why verified claims do not give an identity. What the claims say is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// A registered claim has the wrong type.
    #[error("the token's `{0}` claim has the wrong type")]
    Registered(&'static str),
    /// Nothing says who the caller is.
    #[error("the token's claims do not say who the caller is (claimMapping.actorId finds nothing)")]
    NoActor,
    /// Several values where one is needed.
    #[error("the token's claims name more than one caller (claimMapping.actorId finds several values)")]
    SeveralActors,
    /// A value that is no text or list of texts.
    #[error("the token's claims have something other than texts where claimMapping.{0} looks for texts")]
    NotText(String),
    /// A value that is no object.
    #[error(
        "the token's claims have something other than an object where claimMapping.attributes[{0}] looks for one"
    )]
    NotAnObject(usize),
    /// More values than any caller needs.
    #[error("the token's claims give more than {MAX_VALUES} values for claimMapping.{0}")]
    TooMany(String),
}

/// What the claims say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MappedClaims {
    pub(crate) actor: String,
    pub(crate) roles: BTreeSet<String>,
    pub(crate) attributes: Map<String, Value>,
}

/// A validated claim mapping.
#[derive(Debug, Clone)]
pub(crate) struct ClaimMapping {
    actor_id: Rule,
    roles: Rule,
    attributes: Vec<AttributeRule>,
}

#[derive(Debug, Clone)]
struct Rule {
    path: ClaimPath,
    transforms: Vec<Transform>,
}

#[derive(Debug, Clone)]
enum AttributeRule {
    /// Every member of the object at the path.
    Members(ClaimPath),
    /// One attribute.
    Named(String, Rule),
}

impl ClaimMapping {
    /// The validated mapping at `path`.
    pub(crate) fn parse(spec: &ClaimMappingSpec, path: &str, violations: &mut Violations) -> Option<Self> {
        let actor_id = Rule::parse(&spec.actor_id, &format!("{path}.actorId"), violations);
        if let Some(index) = actor_id.as_ref().and_then(Rule::appending_step) {
            violations.push(
                format!("{path}.actorId.transforms[{index}]"),
                "exclusive",
                "would give every caller a second name: staticAppend is for roles and attributes",
            );
        }
        let roles = Rule::parse(&spec.roles, &format!("{path}.roles"), violations);
        if let Some(index) =
            roles.as_ref().filter(|rule| rule.makes_everyone_admin()).and_then(Rule::appending_step)
        {
            violations.push(
                format!("{path}.roles.transforms[{index}]"),
                "platformAdmin",
                format!(
                    "would make everyone with a good token a platform administrator (`{PLATFORM_ADMIN}`)"
                ),
            );
        }
        if spec.attributes.len() > MAX_ATTRIBUTE_RULES {
            violations.push(
                format!("{path}.attributes"),
                "maxItems",
                format!("has more than {MAX_ATTRIBUTE_RULES} rules"),
            );
        }
        let attributes: Vec<_> = (spec.attributes.iter().take(MAX_ATTRIBUTE_RULES).enumerate())
            .map(|(index, rule)| {
                AttributeRule::parse(rule, &format!("{path}.attributes[{index}]"), violations)
            })
            .collect();
        Some(Self {
            actor_id: actor_id?,
            roles: roles?,
            attributes: attributes.into_iter().collect::<Option<_>>()?,
        })
    }

    /// What verified claims say; anything ambiguous is an error, never a guess.
    pub(crate) fn apply(&self, claims: &Value) -> Result<MappedClaims, ClaimError> {
        let mut actors = self.actor_id.texts(claims, || "actorId".to_owned())?;
        let actor = actors.pop().ok_or(ClaimError::NoActor)?;
        if !actors.is_empty() {
            return Err(ClaimError::SeveralActors);
        }
        let roles = self.roles.texts(claims, || "roles".to_owned())?.into_iter().collect();
        let mut attributes = Map::new();
        for (index, rule) in self.attributes.iter().enumerate() {
            rule.apply(claims, index, &mut attributes)?;
        }
        Ok(MappedClaims { actor, roles, attributes })
    }
}

impl Rule {
    fn parse(spec: &ClaimRuleSpec, path: &str, violations: &mut Violations) -> Option<Self> {
        let claim_path = parse_path(&spec.path, path, violations);
        let transforms = parse_transforms(&spec.transforms, path, violations);
        Some(Self { path: claim_path?, transforms: transforms? })
    }

    fn appending_step(&self) -> Option<usize> {
        self.transforms.iter().position(|step| matches!(step, Transform::StaticAppend { .. }))
    }

    /// Whether what is appended whatever a token says comes to be the administrator's role.
    fn makes_everyone_admin(&self) -> bool {
        let appended = self.transforms.iter().try_fold(Vec::new(), |texts, step| step.apply(texts));
        appended.is_ok_and(|roles| roles.iter().any(|role| role == PLATFORM_ADMIN))
    }

    /// The texts at the path after all transforms. `name` is asked for in errors only.
    fn texts(&self, claims: &Value, name: impl Fn() -> String) -> Result<Vec<String>, ClaimError> {
        let mut texts = Vec::new();
        for value in self.path.values(claims) {
            let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            for item in items {
                texts.push(item.as_str().ok_or_else(|| ClaimError::NotText(name()))?.to_owned());
            }
        }
        if texts.len() > MAX_VALUES {
            return Err(ClaimError::TooMany(name()));
        }
        for step in &self.transforms {
            texts = step.apply(texts).map_err(|_| ClaimError::TooMany(name()))?;
        }
        Ok(texts)
    }

    /// Whether the result is a list, however many values the claims happen to have: an attribute's type must not
    /// change with its content, since expressions are written for one type.
    fn gives_a_list(&self, found: &[&Value]) -> bool {
        !self.path.is_singular()
            || found.iter().any(|v| v.is_array())
            || self.transforms.iter().any(Transform::makes_a_list)
    }
}

impl AttributeRule {
    fn parse(spec: &AttributeRuleSpec, path: &str, violations: &mut Violations) -> Option<Self> {
        let mut scope = Scope::new(path, violations);
        if spec.name.is_none() && !spec.transforms.is_empty() {
            scope.push(
                "transforms",
                "exclusive",
                "needs a `name`: without one the path gives a whole object, which is taken as it is",
            );
        }
        if spec.name.as_deref().is_some_and(|name| !is_attribute_name(name)) {
            scope.push(
                "name",
                "pattern",
                "must be 1 to 63 letters, digits and underscores, not beginning with a digit",
            );
        }
        let claim_path = parse_path(&spec.path, path, scope.violations());
        let transforms = parse_transforms(&spec.transforms, path, scope.violations());
        let (claim_path, transforms) = (claim_path?, transforms?);
        Some(match &spec.name {
            None => Self::Members(claim_path),
            Some(name) => Self::Named(name.clone(), Rule { path: claim_path, transforms }),
        })
    }

    fn apply(
        &self,
        claims: &Value,
        index: usize,
        attributes: &mut Map<String, Value>,
    ) -> Result<(), ClaimError> {
        match self {
            Self::Members(path) => {
                for value in path.values(claims) {
                    let members = value.as_object().ok_or(ClaimError::NotAnObject(index))?;
                    attributes.extend(members.iter().map(|(key, value)| (key.clone(), value.clone())));
                }
            }
            Self::Named(name, rule) => {
                if let Some(value) = rule.value(claims, index)? {
                    attributes.insert(name.clone(), value);
                }
            }
        }
        Ok(())
    }
}

impl Rule {
    /// The value of one attribute: as it is without transforms, else texts; `None` where the claims have nothing.
    fn value(&self, claims: &Value, index: usize) -> Result<Option<Value>, ClaimError> {
        let found = self.path.values(claims);
        if self.transforms.is_empty() {
            return Ok(if self.path.is_singular() {
                found.first().copied().cloned()
            } else {
                Some(Value::Array(found.into_iter().cloned().collect()))
            });
        }
        let list = self.gives_a_list(&found);
        let texts = self.texts(claims, || format!("attributes[{index}]"))?;
        Ok(if list {
            Some(Value::Array(texts.into_iter().map(Value::String).collect()))
        } else {
            texts.into_iter().next().map(Value::String)
        })
    }
}

fn parse_path(text: &str, path: &str, violations: &mut Violations) -> Option<ClaimPath> {
    ClaimPath::parse(text).map_err(|message| violations.push(format!("{path}.path"), "format", message)).ok()
}

fn parse_transforms(
    specs: &[TransformSpec],
    path: &str,
    violations: &mut Violations,
) -> Option<Vec<Transform>> {
    if specs.len() > MAX_TRANSFORMS {
        violations.push(
            format!("{path}.transforms"),
            "maxItems",
            format!("has more than {MAX_TRANSFORMS} steps"),
        );
        return None;
    }
    let steps: Vec<_> = (specs.iter().enumerate())
        .map(|(index, step)| Transform::parse(step, &format!("{path}.transforms[{index}]"), violations))
        .collect();
    steps.into_iter().collect()
}

fn is_attribute_name(name: &str) -> bool {
    name.len() <= 63
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mapping(spec: Value) -> Result<ClaimMapping, Violations> {
        let spec: ClaimMappingSpec = serde_json::from_value(spec).unwrap();
        let mut violations = Violations::default();
        let mapping = ClaimMapping::parse(&spec, "m", &mut violations);
        mapping.filter(|_| violations.is_empty()).ok_or(violations)
    }

    fn map(spec: Value, claims: &Value) -> Result<MappedClaims, ClaimError> {
        mapping(spec).unwrap().apply(claims)
    }

    fn attributes(rules: &Value, claims: &Value) -> Value {
        Value::Object(
            map(json!({ "attributes": rules, "actorId": { "path": "$.sub" } }), claims).unwrap().attributes,
        )
    }

    #[test]
    fn by_default_sub_roles_and_attributes_map_as_they_are() {
        let claims = json!({ "sub": "ravi", "roles": ["b", "a", "b"], "attributes": { "region": "west", "level": 3 } });
        let mapped = map(json!({}), &claims).unwrap();
        assert_eq!(mapped.actor, "ravi");
        assert_eq!(mapped.roles.iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(Value::Object(mapped.attributes), json!({ "region": "west", "level": 3 }));
    }

    #[test]
    fn claims_that_are_not_there_give_no_roles_and_no_attributes_but_an_actor_must_be() {
        let mapped = map(json!({}), &json!({ "sub": "ravi" })).unwrap();
        assert!(mapped.roles.is_empty() && mapped.attributes.is_empty());
        assert_eq!(map(json!({}), &json!({ "roles": ["a"] })), Err(ClaimError::NoActor));
        assert_eq!(map(json!({}), &json!({ "sub": null })), Err(ClaimError::NoActor));
        assert_eq!(map(json!({}), &json!({ "sub": [] })), Err(ClaimError::NoActor));
    }

    #[test]
    fn claims_of_the_wrong_type_are_refused_not_guessed() {
        assert_eq!(map(json!({}), &json!({ "sub": 7 })), Err(ClaimError::NotText("actorId".to_owned())));
        assert_eq!(map(json!({}), &json!({ "sub": ["a", "b"] })), Err(ClaimError::SeveralActors));
        for roles in
            [json!(7), json!({ "platform-admin": true }), json!(["a", 7]), json!([["a"]]), json!(true)]
        {
            assert_eq!(
                map(json!({}), &json!({ "sub": "a", "roles": roles })),
                Err(ClaimError::NotText("roles".to_owned()))
            );
        }
        assert_eq!(
            map(json!({}), &json!({ "sub": "a", "attributes": "x" })),
            Err(ClaimError::NotAnObject(0))
        );
        assert_eq!(
            map(json!({}), &json!({ "sub": "a", "roles": vec!["r"; MAX_VALUES + 1] })),
            Err(ClaimError::TooMany("roles".to_owned()))
        );
    }

    #[test]
    fn transforms_run_in_order() {
        let spec = json!({ "roles": { "path": "$.scope", "transforms": [
            { "type": "split", "separator": " " }, { "type": "prefixStrip", "prefix": "velocity." },
            { "type": "uppercase" }, { "type": "staticAppend", "values": ["employee"] }] } });
        let mapped =
            map(spec, &json!({ "sub": "a", "scope": "openid velocity.read velocity.write" })).unwrap();
        assert_eq!(mapped.roles.iter().collect::<Vec<_>>(), ["READ", "WRITE", "employee"]);
    }

    #[test]
    fn an_attribute_keeps_its_type_however_many_values_there_are() {
        let claims = json!({ "sub": "a", "one": ["x"], "level": 3, "dn": "CN=a,OU=b" });
        assert_eq!(attributes(&json!([{ "name": "v", "path": "$.level" }]), &claims), json!({ "v": 3 }));
        assert_eq!(attributes(&json!([{ "name": "v", "path": "$.one" }]), &claims), json!({ "v": ["x"] }));
        assert_eq!(attributes(&json!([{ "name": "v", "path": "$.one[*]" }]), &claims), json!({ "v": ["x"] }));
        assert_eq!(attributes(&json!([{ "name": "v", "path": "$.one[0]" }]), &claims), json!({ "v": "x" }));
        assert_eq!(attributes(&json!([{ "name": "v", "path": "$.none[*]" }]), &claims), json!({ "v": [] }));
        assert_eq!(attributes(&json!([{ "name": "v", "path": "$.none" }]), &claims), json!({}));
        let with = |step: Value| {
            attributes(&json!([{ "name": "v", "path": "$.dn", "transforms": [step] }]), &claims)
        };
        assert_eq!(with(json!({ "type": "lowercase" })), json!({ "v": "cn=a,ou=b" }));
        assert_eq!(with(json!({ "type": "split", "separator": ";" })), json!({ "v": ["CN=a,OU=b"] }));
        assert_eq!(with(json!({ "type": "lookup", "table": { "CN=a,OU=b": ["a"] } })), json!({ "v": "a" }));
        assert_eq!(
            with(json!({ "type": "lookup", "table": { "CN=a,OU=b": ["a"], "z": ["y", "x"] } })),
            json!({ "v": ["a"] })
        );
        assert_eq!(with(json!({ "type": "prefixStrip", "prefix": "no" })), json!({}));
    }

    #[test]
    fn a_later_attribute_rule_replaces_an_earlier_one() {
        let rules = json!([{ "path": "$.attributes" }, { "name": "region", "path": "$.region" }]);
        let claims = json!({ "sub": "a", "region": "east", "attributes": { "region": "west", "team": "x" } });
        assert_eq!(attributes(&rules, &claims), json!({ "region": "east", "team": "x" }));
    }

    #[test]
    fn all_problems_of_a_mapping_are_found_at_once() {
        let violations = mapping(json!({
            "actorId": { "path": "sub", "transforms": [{ "type": "split" }] },
            "roles": { "path": "$..a..b" },
            "attributes": [{ "path": "$.a", "transforms": [{ "type": "identity" }] }, { "name": "1a", "path": "$" }]
        }))
        .unwrap_err();
        let paths: Vec<_> = violations.iter().map(|v| v.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "m.actorId.path",
                "m.actorId.transforms[0].separator",
                "m.roles.path",
                "m.attributes[0].transforms",
                "m.attributes[1].name"
            ]
        );
        let appended = json!({ "actorId": { "path": "$.sub", "transforms": [{ "type": "staticAppend", "values": ["x"] }] } });
        assert_eq!(mapping(appended).unwrap_err().0[0].path, "m.actorId.transforms[0]");
    }
}
