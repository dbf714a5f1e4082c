//! Which strategies run. A strategy that is broken does not run, whatever it was before: its last good form may be the
//! one that its owner has just withdrawn. Neither does one whose Secret is missing, nor a composite that relies on another
//! domain's strategy.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value as Json;
use velocity_access::{AuthStrategy, Authenticator, Context};
use velocity_contract::auth_strategy::{AuthStrategySpec, SecretKeyRef};
use velocity_contract::vouching::{may_vouch, refusal};
use velocity_schema::schema::StrategyRef;

use super::secrets::{Known, SecretName};
use crate::strategies::RunningStrategies;

/// What strategies are started with.
#[derive(Default)]
pub(crate) struct Launch {
    /// Everything but the secret, which is each strategy's own.
    pub(crate) context: Context,
    /// The namespace of the installation's default strategy.
    pub(crate) default_namespace: Option<String>,
}

/// All AuthStrategies, and the Secrets that they name.
#[derive(Default)]
pub(crate) struct StrategyIndex {
    launch: Launch,
    objects: HashMap<StrategyRef, Entry>,
    secrets: HashMap<SecretName, Known>,
}

struct Entry {
    spec: Json,
    secret: Option<SecretKeyRef>,
    running: Result<Arc<Authenticator>, String>,
    seen: bool,
}

impl StrategyIndex {
    pub(crate) fn new(launch: Launch) -> Self {
        Self { launch, ..Self::default() }
    }

    pub(crate) fn running(&self) -> RunningStrategies {
        let running = |(name, entry): (&StrategyRef, &Entry)| {
            entry.running.as_ref().ok().map(|running| (name.clone(), Arc::clone(running)))
        };
        self.objects.iter().filter_map(running).collect()
    }

    pub(crate) fn broken(&self) -> usize {
        self.objects.values().filter(|entry| entry.running.is_err()).count()
    }

    /// Why the strategy does not run.
    pub(crate) fn problem(&self, name: &StrategyRef) -> Option<&str> {
        self.objects.get(name)?.running.as_ref().err().map(String::as_str)
    }

    /// The Secrets that strategies name.
    pub(crate) fn wanted_secrets(&self) -> BTreeSet<SecretName> {
        let wanted = self.objects.iter().filter_map(|(name, entry)| secret_name(name, entry.secret.as_ref()));
        wanted.collect()
    }

    /// Whether it is known of each of those Secrets whether it is there.
    pub(crate) fn knows_secrets(&self) -> bool {
        self.wanted_secrets().iter().all(|name| self.secrets.contains_key(name))
    }

    pub(crate) fn begin_list(&mut self) {
        self.objects.values_mut().for_each(|entry| entry.seen = false);
    }

    pub(crate) fn end_list(&mut self) {
        self.objects.retain(|_, entry| entry.seen);
    }

    /// Starts the strategy anew when its spec changed; else it keeps its caches and keys.
    pub(crate) fn apply(&mut self, object: &DynamicObject) {
        let spec = object.data.get("spec").unwrap_or(&Json::Null);
        let name = name_of(object);
        match self.objects.get_mut(&name) {
            Some(entry) if entry.spec == *spec => entry.seen = true,
            _ => {
                let entry = self.start(&name, spec.clone());
                self.objects.insert(name, entry);
            }
        }
    }

    pub(crate) fn delete(&mut self, object: &DynamicObject) {
        self.objects.remove(&name_of(object));
    }

    /// Starts the strategies anew that name the Secret, since it says something else now. Gives their names.
    pub(crate) fn secret(&mut self, secret: &SecretName, known: Known) -> Vec<StrategyRef> {
        self.secrets.insert(secret.clone(), known);
        let names = |(name, entry): (&StrategyRef, &Entry)| {
            (secret_name(name, entry.secret.as_ref()).as_ref() == Some(secret)).then(|| name.clone())
        };
        let affected: Vec<StrategyRef> = self.objects.iter().filter_map(names).collect();
        for name in &affected {
            if let Some(before) = self.objects.remove(name) {
                let entry = Entry { seen: before.seen, ..self.start(name, before.spec) };
                self.objects.insert(name.clone(), entry);
            }
        }
        affected
    }

    /// Forgets the Secrets that nobody names any more.
    pub(crate) fn forget_secrets(&mut self, wanted: &BTreeSet<SecretName>) {
        self.secrets.retain(|name, _| wanted.contains(name));
    }

    fn start(&self, name: &StrategyRef, spec: Json) -> Entry {
        let parsed = serde_json::from_value::<AuthStrategySpec>(spec.clone());
        let secret = parsed.as_ref().ok().and_then(|spec| spec.oidc.as_ref()?.client_secret_ref.clone());
        let running = match parsed {
            Ok(parsed) => self.run(name, &parsed, secret.as_ref()).map(Arc::new),
            Err(error) => Err(error.to_string()),
        };
        Entry { spec, secret, running, seen: true }
    }

    fn run(
        &self,
        name: &StrategyRef,
        spec: &AuthStrategySpec,
        secret: Option<&SecretKeyRef>,
    ) -> Result<Authenticator, String> {
        let strategy = AuthStrategy::parse(spec).map_err(|violations| violations.to_string())?;
        let default = self.launch.default_namespace.as_deref();
        let foreign = strategy.members(&name.namespace).unwrap_or_default();
        if let Some(member) = foreign.iter().find(|m| !may_vouch(&name.namespace, &m.namespace, default)) {
            let why = refusal(&name.namespace, &member.namespace);
            return Err(format!("the namespace of the member `{member}` {why}"));
        }
        let client_secret = secret.map(|secret| self.client_secret(name, secret)).transpose()?;
        let context = Context { client_secret, ..self.launch.context.clone() };
        Authenticator::start(&name.to_string(), strategy, context).map_err(|error| error.to_string())
    }

    fn client_secret(&self, name: &StrategyRef, secret: &SecretKeyRef) -> Result<String, String> {
        let known = self.secrets.get(&(name.namespace.clone(), secret.name.clone()));
        let text =
            known.map_or_else(|| Err("has not been read yet".to_owned()), |known| known.text(&secret.key));
        text.map_err(|why| format!("the Secret `{}` {why}", secret.name))
    }
}

fn secret_name(strategy: &StrategyRef, secret: Option<&SecretKeyRef>) -> Option<SecretName> {
    secret.map(|secret| (strategy.namespace.clone(), secret.name.clone()))
}

pub(crate) fn name_of(object: &DynamicObject) -> StrategyRef {
    StrategyRef { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use velocity_access::DevKey;

    use super::*;

    fn named(name: &str, spec: &Json) -> DynamicObject {
        serde_json::from_value(json!({ "metadata": { "name": name, "namespace": "platform" }, "spec": spec }))
            .unwrap()
    }

    fn object(spec: &Json) -> DynamicObject {
        named("dev", spec)
    }

    fn dev_spec() -> Json {
        serde_json::to_value(DevKey::generate().unwrap().strategy()).unwrap()
    }

    fn running(index: &StrategyIndex) -> Option<Arc<Authenticator>> {
        index.running().into_values().next()
    }

    #[tokio::test]
    async fn a_strategy_keeps_running_until_its_spec_changes() {
        let (mut index, spec) = (StrategyIndex::default(), dev_spec());
        index.apply(&object(&spec));
        let first = running(&index).unwrap();
        index.apply(&object(&spec));
        assert!(Arc::ptr_eq(&first, &running(&index).unwrap()));
        index.apply(&object(&dev_spec()));
        assert!(!Arc::ptr_eq(&first, &running(&index).unwrap()));
    }

    #[tokio::test]
    async fn a_strategy_that_breaks_lets_nobody_in_any_more() {
        let mut index = StrategyIndex::default();
        index.apply(&object(&dev_spec()));
        index.apply(&object(&json!({ "type": "jwt" })));
        assert!(running(&index).is_none());
        assert_eq!(index.broken(), 1);
        assert!(index.problem(&name_of(&object(&json!({})))).unwrap().contains("jwt"));
    }

    #[tokio::test]
    async fn a_strategy_that_is_deleted_or_missing_in_a_new_list_is_gone() {
        let (mut index, spec) = (StrategyIndex::default(), dev_spec());
        index.apply(&object(&spec));
        index.delete(&object(&spec));
        assert!(running(&index).is_none());
        index.apply(&object(&spec));
        index.begin_list();
        index.end_list();
        assert!(running(&index).is_none());
    }

    #[tokio::test]
    async fn a_composite_of_another_domains_strategy_does_not_run() {
        let composite = |namespace: &str| json!({ "type": "composite", "composite": { "strategies": [{ "name": "own", "namespace": namespace }] } });
        let mut index = StrategyIndex::default();
        index.apply(&object(&composite("platform")));
        assert!(running(&index).is_some());
        index.apply(&object(&composite("evil-shop-sales")));
        assert!(running(&index).is_none());
        assert!(index.problem(&name_of(&object(&json!({})))).unwrap().contains("evil-shop-sales/own"));
    }

    #[tokio::test]
    async fn a_strategy_runs_with_its_secret_and_stops_without_it() {
        let oidc = json!({ "type": "oidc", "oidc": {
            "discoveryUrl": "http://127.0.0.1:9/.well-known/openid-configuration", "clientId": "velocity",
            "clientSecretRef": { "name": "provider", "key": "secret" }, "redirectUri": "http://127.0.0.1:9/auth/callback" } });
        let mut index = StrategyIndex::default();
        index.apply(&named("sign-in", &oidc));
        index.apply(&object(&dev_spec()));
        let secret = ("platform".to_owned(), "provider".to_owned());
        assert_eq!(index.wanted_secrets(), BTreeSet::from([secret.clone()]));
        assert!(!index.knows_secrets());
        let name = StrategyRef { namespace: "platform".into(), name: "sign-in".into() };
        assert!(index.problem(&name).unwrap().contains("`provider` has not been read yet"));

        let found =
            |text: &str| Known::Found(BTreeMap::from([("secret".to_owned(), text.as_bytes().to_vec())]));
        let dev = index.running().values().next().map(Arc::clone).unwrap();
        assert_eq!(index.secret(&secret, found("one")), std::slice::from_ref(&name));
        assert!(index.knows_secrets());
        let first = Arc::clone(&index.running()[&name]);
        index.secret(&secret, found("two"));
        assert!(!Arc::ptr_eq(&first, &index.running()[&name]), "it goes on with the old secret");
        index.secret(&secret, Known::Missing);
        assert!(index.problem(&name).unwrap().contains("`provider` is not there"));
        assert!(Arc::ptr_eq(&dev, &running(&index).unwrap()), "the others are as they were");
    }
}
