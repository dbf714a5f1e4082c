//! The name of the binding that `grant` makes. Pure.

use sha2::{Digest, Sha256};
use velocity_contract::role_binding::BindingScopeSpec;

use super::scope;

/// How much of the actor's name is readable in it.
const READABLE: usize = 40;
/// 60 bits: two grants that meet in a name are caught, and will not happen.
const DIGITS: usize = 15;

/// The binding for an actor and scopes that has no end; with `ending`, the one for just these roles, which has. What ends is
/// kept apart, so that a grant for a day neither ends others nor lasts with them, and the same grant again renews it.
pub(in super::super) fn name(actor: &str, scopes: &[BindingScopeSpec], ending: Option<&[String]>) -> String {
    let mut parts = vec![actor.to_owned()];
    let mut scopes: Vec<String> = scopes.iter().map(scope::words).collect();
    scopes.sort();
    scopes.dedup();
    parts.push(scopes.join(" "));
    if let Some(roles) = ending {
        let mut roles = roles.to_vec();
        roles.sort();
        parts.push(roles.join(" "));
    }
    let mut hasher = Sha256::new();
    for part in &parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digits: String =
        hasher.finalize().iter().flat_map(|byte| [byte >> 4, byte & 15]).take(DIGITS).map(hex).collect();
    format!("{}-{digits}", readable(actor))
}

fn hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16).unwrap_or('0')
}

/// What is left of the actor's name in lower case letters, digits and single dashes.
fn readable(actor: &str) -> String {
    let mut text = String::new();
    for c in actor.chars() {
        if c.is_ascii_alphanumeric() {
            text.push(c.to_ascii_lowercase());
        } else if !text.ends_with('-') && !text.is_empty() {
            text.push('-');
        }
        if text.len() == READABLE {
            break;
        }
    }
    let text = text.trim_end_matches('-');
    if text.is_empty() { "actor".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(words: &[&str]) -> Vec<BindingScopeSpec> {
        words.iter().map(|word| scope::parse(word).unwrap()).collect()
    }

    #[test]
    fn a_name_is_readable_and_one_that_kubernetes_takes() {
        for (actor, front) in [
            ("ravi", "ravi-"),
            ("Ravi@Acme.com", "ravi-acme-com-"),
            ("--x--", "x-"),
            ("東京", "actor-"),
            ("spiffe://acme/ns/a", "spiffe-acme-ns-a-"),
        ] {
            let name = name(actor, &[], None);
            assert!(name.starts_with(front), "{name}");
            assert_eq!(name.len(), front.len() + DIGITS);
        }
        let long = name(&"x.".repeat(200), &[], None);
        assert!(long.len() <= 63 && !long.contains("--") && !long.contains('.'), "{long}");
    }

    #[test]
    fn what_is_not_the_same_grant_has_another_name() {
        let roles = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let names = [
            name("ravi", &[], None),
            name("Ravi", &[], None),
            name("ravi ", &[], None),
            name("ravi", &scopes(&["order"]), None),
            name("ravi", &scopes(&["order/v1"]), None),
            name("ravi", &scopes(&["order", "item"]), None),
            name("ravi", &[], Some(&roles(&["a"]))),
            name("ravi", &[], Some(&roles(&["a", "b"]))),
        ];
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), names.len());
        assert_eq!(
            name("ravi", &scopes(&["order", "item"]), None),
            name("ravi", &scopes(&["item", "order", "item"]), None)
        );
        assert_eq!(
            name("ravi", &[], Some(&roles(&["a", "b"]))),
            name("ravi", &[], Some(&roles(&["b", "a"])))
        );
    }
}
