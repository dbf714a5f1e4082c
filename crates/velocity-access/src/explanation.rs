//! Why somebody may or may not do something: each layer's verdict, the rule that decided, and what would change it.
//!
//! For administrators only: it names roles, conditions and hidden fields.

use serde::Serialize;
use serde::ser::Serializer;
use velocity_schema::Value;
use velocity_schema::cel::{ActorView, RequestView};
use velocity_schema::schema::{AbacRule, Operation, Sight};

use crate::binding::ActorBindings;
use crate::identity::PLATFORM_ADMIN;
use crate::layer::Layer;
use crate::rbac::{self, Decision};
use crate::subject::Subject;

/// Whether the operation is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// Yes.
    Yes,
    /// No.
    No,
    /// It depends on the record, or on what is sent.
    Depends,
}

impl Serialize for Allowed {
    /// `true`, `false` or `"depends"`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Yes => serializer.serialize_bool(true),
            Self::No => serializer.serialize_bool(false),
            Self::Depends => serializer.serialize_str("depends"),
        }
    }
}

/// What a layer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It lets the operation through.
    Allow,
    /// It stops it.
    Deny,
    /// It lets part of it through: some records, some fields, or only what fulfils a condition.
    Partial,
    /// It has nothing to say.
    NotApplicable,
}

/// One layer's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerVerdict {
    /// The layer.
    pub layer: Layer,
    /// What it says.
    pub verdict: Verdict,
    /// The rule that decided, as the schema or the credential has it.
    pub rule: Option<String>,
    /// What that means here.
    pub detail: String,
    /// What would change it.
    pub remedy: Option<String>,
}

/// Where a role comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RoleSource {
    /// The credential.
    Credential,
    /// The RoleBinding of that name.
    RoleBinding(String),
}

/// A role that the actor holds, and where from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldRole {
    /// The role.
    pub role: String,
    /// Where from.
    pub from: RoleSource,
}

/// Why a subject may or may not do an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The verdict of all layers together.
    pub allowed: Allowed,
    /// The operation.
    pub operation: String,
    /// The schema's path.
    pub schema: String,
    /// Who would do it.
    pub actor: String,
    /// The roles that count for the operation.
    pub roles: Vec<HeldRole>,
    /// Every layer in order.
    pub layers: Vec<LayerVerdict>,
}

impl Explanation {
    /// Replaces one layer's verdict by one that knows more, and judges anew.
    pub fn set(&mut self, verdict: LayerVerdict) {
        match self.layers.iter_mut().find(|layer| layer.layer == verdict.layer) {
            Some(layer) => *layer = verdict,
            None => self.layers.push(verdict),
        }
        self.allowed = judge(&self.layers);
    }
}

/// Fields that are hidden or masked are no reason to call the whole operation uncertain.
fn judge(layers: &[LayerVerdict]) -> Allowed {
    let uncertain = |layer: &LayerVerdict| {
        layer.verdict == Verdict::Partial && !matches!(layer.layer, Layer::FieldRights | Layer::Masking)
    };
    if layers.iter().any(|layer| layer.verdict == Verdict::Deny) {
        Allowed::No
    } else if layers.iter().any(uncertain) {
        Allowed::Depends
    } else {
        Allowed::Yes
    }
}

impl LayerVerdict {
    fn new(layer: Layer, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { layer, verdict, rule: None, detail: detail.into(), remedy: None }
    }

    fn rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl Subject {
    /// Each layer's verdict on the operation; on `record`, as it is before the operation, where one is given.
    pub fn explain(
        &self,
        operation: Operation,
        record: Option<&[Value]>,
        request: RequestView<'_>,
    ) -> Explanation {
        let layers = vec![
            self.explain_rbac(operation),
            self.explain_abac(operation, record, request),
            self.explain_cross_schema(operation),
            self.explain_row_filters(operation, record),
            self.explain_fields(operation),
            self.explain_masks(operation),
            self.explain_rls(operation),
        ];
        Explanation {
            allowed: judge(&layers),
            operation: operation.to_string(),
            schema: self.schema().path().to_string(),
            actor: self.identity().actor().to_owned(),
            roles: self.held_roles(operation),
            layers,
        }
    }

    fn held_roles(&self, operation: Operation) -> Vec<HeldRole> {
        let own =
            self.identity().roles().iter().filter(|role| *role != PLATFORM_ADMIN || self.is_platform_admin());
        let own = own.map(|role| HeldRole { role: role.clone(), from: RoleSource::Credential });
        let bindings = self.bound().into_iter().flat_map(ActorBindings::iter);
        let bound = bindings
            .filter(|binding| binding.holds(self.schema().path(), &[operation], self.now()))
            .flat_map(|binding| {
                binding.roles().iter().map(|role| HeldRole {
                    role: role.clone(),
                    from: RoleSource::RoleBinding(binding.name().to_owned()),
                })
            });
        own.chain(bound).collect()
    }

    fn explain_rbac(&self, operation: Operation) -> LayerVerdict {
        let verdict = |verdict, detail: String| LayerVerdict::new(Layer::Rbac, verdict, detail);
        let rule = format!("access.roles.{operation}");
        let holds = |role: &str| self.holds(role, operation);
        let granted = self.schema().access().roles(operation);
        let listed = granted.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        match rbac::decide_with(self.schema().access(), self.is_platform_admin(), &holds, operation) {
            Decision::Denied { reason } => {
                let remedy = if granted.is_empty() {
                    format!("list a role under `access.roles.{operation}` and give it to the actor")
                } else {
                    let namespace = self.schema().path().namespace();
                    format!(
                        "give the actor one of these roles, in the token or with a RoleBinding in `{namespace}`: {listed}"
                    )
                };
                verdict(Verdict::Deny, reason).rule(rule).remedy(remedy)
            }
            Decision::Allowed { .. } if !self.is_in_scope(operation) => verdict(
                Verdict::Deny,
                "a role allows it, and the scopes of the credential do not cover it".to_owned(),
            )
            .rule("the credential's scopes")
            .remedy(format!("use a credential with the scope `{}:{operation}`", self.schema().path())),
            Decision::Allowed { effective_roles } => {
                let by = effective_roles.join(", ");
                verdict(Verdict::Allow, format!("allowed by {by}")).rule(rule)
            }
        }
    }

    fn explain_abac(
        &self,
        operation: Operation,
        record: Option<&[Value]>,
        request: RequestView<'_>,
    ) -> LayerVerdict {
        let verdict = |verdict, detail: String| LayerVerdict::new(Layer::Abac, verdict, detail);
        let rules: Vec<(usize, &AbacRule)> = self.schema().access().abac().iter().enumerate().collect();
        let rules: Vec<_> =
            rules.into_iter().filter(|(_, rule)| rule.operations.contains(&operation)).collect();
        if rules.is_empty() {
            return verdict(Verdict::NotApplicable, "no condition lists this operation".to_owned());
        }
        if self.is_platform_admin() {
            return verdict(Verdict::Allow, format!("`{PLATFORM_ADMIN}` passes every condition"));
        }
        let acting = self.acting(operation);
        let actor = acting.view();
        let mut open = None;
        for (index, rule) in rules {
            let shown = format!("access.abac[{index}]: {}", rule.condition.source());
            if record.is_none() && rule.condition.uses_record() {
                open = open.or(Some(shown));
                continue;
            }
            let detail = match rule.condition.evaluate(record, actor, request) {
                Ok(true) => continue,
                Ok(false) => {
                    "the condition is false, or unknown because something that it looks at is missing"
                        .to_owned()
                }
                Err(error) => format!("the condition gave no answer: {error}"),
            };
            return verdict(Verdict::Deny, detail)
                .rule(shown)
                .remedy("change what the condition looks at: the actor's attributes, the time or address of the request, or the record");
        }
        match open {
            Some(rule) => {
                verdict(Verdict::Partial, "depends on the record: name one to know".to_owned()).rule(rule)
            }
            None => verdict(Verdict::Allow, "every condition holds".to_owned()),
        }
    }

    /// What the operation may reach beside this schema. Whoever knows the other schemas replaces this.
    fn explain_cross_schema(&self, operation: Operation) -> LayerVerdict {
        let writes = matches!(operation, Operation::Create | Operation::Update | Operation::Restore);
        let references =
            self.schema().fields().iter().filter(|field| {
                writes && field.reference.as_ref().is_some_and(|reference| reference.enforce)
            });
        let names: Vec<&str> = references.map(|field| field.name.as_str()).collect();
        if names.is_empty() {
            let detail = "this operation sets no reference to another schema";
            return LayerVerdict::new(Layer::CrossSchema, Verdict::NotApplicable, detail);
        }
        let detail = format!(
            "setting one of these needs `read` on the schema that it refers to: {}",
            names.join(", ")
        );
        LayerVerdict::new(Layer::CrossSchema, Verdict::Partial, detail)
    }

    fn explain_row_filters(&self, operation: Operation, record: Option<&[Value]>) -> LayerVerdict {
        let verdict = |verdict, detail: &str| LayerVerdict::new(Layer::RowFilter, verdict, detail);
        let filters = self.schema().access().row_filters();
        if filters.is_empty() {
            return verdict(Verdict::NotApplicable, "the schema has no row filter");
        }
        if self.is_platform_admin() {
            return verdict(Verdict::Allow, "`platform-admin` sees every row");
        }
        let roles = self.effective_roles(operation);
        let attributes = self.attributes_json(&[operation]);
        let actor = ActorView {
            id: self.identity().actor(),
            actor_type: self.identity().actor_type().name(),
            roles: &roles,
            attributes: &attributes,
        };
        let for_everyone: Vec<_> = filters.iter().filter(|filter| filter.role == "*").collect();
        let of_roles: Vec<_> = filters.iter().filter(|filter| roles.contains(&filter.role)).collect();
        let unfiltered = roles.iter().find(|role| !filters.iter().any(|filter| filter.role == **role));
        if let Some(role) = unfiltered
            && for_everyone.is_empty()
        {
            return verdict(Verdict::Allow, "a role without a row filter sees all rows").rule(role.clone());
        }
        let shown: Vec<String> = for_everyone
            .iter()
            .chain(of_roles.iter().filter(|_| unfiltered.is_none()))
            .map(|filter| format!("{}: {}", filter.role, filter.condition.source()))
            .collect();
        let rule = shown.join("; ");
        let Some(record) = record else {
            return verdict(Verdict::Partial, "only rows that pass the filters").rule(rule);
        };
        let passes = |filter: &&velocity_schema::schema::RowFilter| {
            filter.condition.evaluate(record, Some(actor)) == Ok(true)
        };
        let hidden_by = for_everyone.iter().find(|filter| !passes(filter));
        if let Some(filter) = hidden_by {
            return verdict(Verdict::Deny, "a filter for everyone hides this record")
                .rule(format!("*: {}", filter.condition.source()))
                .remedy("change the record, or the attributes that the filter compares");
        }
        if unfiltered.is_some() || of_roles.iter().any(passes) {
            return verdict(Verdict::Allow, "the record passes the row filters").rule(rule);
        }
        verdict(Verdict::Deny, "every role that allows this has a filter that hides this record")
            .rule(rule)
            .remedy(
                "change the record, the attributes that a filter compares, or give a role without a filter",
            )
    }

    fn explain_fields(&self, operation: Operation) -> LayerVerdict {
        let view = self.view(operation);
        let rights = self.write_rights(operation);
        let fields = self.schema().fields();
        let names = |wanted: &dyn Fn(usize) -> bool| -> String {
            let names = fields.iter().enumerate().filter(|(position, _)| wanted(*position));
            names.map(|(_, field)| field.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let hidden = names(&|position| view.sight(position) == Sight::Hidden);
        let read_only = if matches!(operation, Operation::Create | Operation::Update) {
            names(&|position| !rights.allows(position))
        } else {
            String::new()
        };
        if hidden.is_empty() && read_only.is_empty() {
            return LayerVerdict::new(Layer::FieldRights, Verdict::Allow, "every field is open");
        }
        let mut parts = Vec::new();
        if !hidden.is_empty() {
            parts.push(format!("hidden: {hidden}"));
        }
        if !read_only.is_empty() {
            parts.push(format!("may not be set: {read_only}"));
        }
        LayerVerdict::new(Layer::FieldRights, Verdict::Partial, parts.join("; "))
            .rule("access.fieldAccess, and the fields of the credential's scopes")
            .remedy("give the actor one of the roles under `read` or `write` of the field")
    }

    fn explain_masks(&self, operation: Operation) -> LayerVerdict {
        let view = self.view(operation);
        let masked =
            self.schema().fields().iter().enumerate().filter(|(at, _)| view.sight(*at) == Sight::Masked);
        let names: Vec<&str> = masked.map(|(_, field)| field.name.as_str()).collect();
        if names.is_empty() {
            return LayerVerdict::new(Layer::Masking, Verdict::NotApplicable, "no field is masked");
        }
        LayerVerdict::new(Layer::Masking, Verdict::Partial, format!("masked: {}", names.join(", ")))
            .rule("access.fieldAccess")
            .remedy("give the actor one of the roles under `read` of the field")
    }

    fn explain_rls(&self, operation: Operation) -> LayerVerdict {
        let roles = self.effective_roles(operation);
        if roles.is_empty() {
            let detail = "the database is told of no role, so its policies let no row through";
            return LayerVerdict::new(Layer::Rls, Verdict::Deny, detail)
                .remedy("the same as for the roles above: the policies repeat them");
        }
        let detail = format!("the database's policies decide again, for the roles {}", roles.join(", "));
        LayerVerdict::new(Layer::Rls, Verdict::Allow, detail)
    }
}
