//! Sealing: what leaves the process comes back unread and unchanged, and only where it belongs.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::SignInError;
use crate::sealing_key::SealingKey;

/// Bytes of a nonce of AES-GCM.
const NONCE: usize = 12;

/// What is sealed. Each kind has a key of its own, derived from the installation's, so that none passes for another.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// The state of a sign-in, in a cookie.
    Login,
    /// A device code of the provider.
    Device,
    /// What the provider gave for a session, in the store.
    Tokens,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Login => "velocity oidc login 1",
            Self::Device => "velocity oidc device 1",
            Self::Tokens => "velocity oidc tokens 1",
        }
    }
}

/// Seals with AES-256-GCM.
pub(super) struct Sealer {
    login: RandomizedNonceKey,
    device: RandomizedNonceKey,
    tokens: RandomizedNonceKey,
}

impl Sealer {
    pub(super) fn new(key: &SealingKey) -> Result<Self, SignInError> {
        let derived = |kind| derive(key, kind).map_err(|_| SignInError::Fault);
        Ok(Self {
            login: derived(Kind::Login)?,
            device: derived(Kind::Device)?,
            tokens: derived(Kind::Tokens)?,
        })
    }

    /// Seals `plain`. It opens under the same `context` only.
    pub(super) fn seal(&self, kind: Kind, context: &str, plain: &[u8]) -> Result<Vec<u8>, SignInError> {
        let mut sealed = plain.to_vec();
        let aad = Aad::from(context.as_bytes());
        let nonce =
            self.key(kind).seal_in_place_append_tag(aad, &mut sealed).map_err(|_| SignInError::Fault)?;
        sealed.extend_from_slice(nonce.as_ref());
        Ok(sealed)
    }

    /// What was sealed under `context`, or `None` for anything else.
    pub(super) fn open(&self, kind: Kind, context: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (sealed, nonce) = sealed.split_at_checked(sealed.len().checked_sub(NONCE)?)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut opened = sealed.to_vec();
        let plain =
            self.key(kind).open_in_place(nonce, Aad::from(context.as_bytes()), &mut opened).ok()?.len();
        opened.truncate(plain);
        Some(opened)
    }

    /// The same as text that says which strategy it belongs to: `<strategy>.<sealed>`, both in base64url.
    pub(super) fn seal_text(&self, kind: Kind, strategy: &str, plain: &[u8]) -> Result<String, SignInError> {
        let sealed = self.seal(kind, strategy, plain)?;
        Ok(format!("{}.{}", URL_SAFE_NO_PAD.encode(strategy), URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// What [`seal_text`](Self::seal_text) sealed for `strategy`.
    pub(super) fn open_text(&self, kind: Kind, strategy: &str, text: &str) -> Option<Vec<u8>> {
        let (named, sealed) = text.split_once('.')?;
        if URL_SAFE_NO_PAD.decode(named).ok()? != strategy.as_bytes() {
            return None;
        }
        self.open(kind, strategy, &URL_SAFE_NO_PAD.decode(sealed).ok()?)
    }

    fn key(&self, kind: Kind) -> &RandomizedNonceKey {
        match kind {
            Kind::Login => &self.login,
            Kind::Device => &self.device,
            Kind::Tokens => &self.tokens,
        }
    }
}

/// The strategy that a sealed text names, `namespace/name`. Good for finding who opens it, for nothing else.
pub fn named_strategy(text: &str) -> Option<String> {
    let (named, _) = text.split_once('.')?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(named).ok()?).ok()
}

fn derive(key: &SealingKey, kind: Kind) -> Result<RandomizedNonceKey, aws_lc_rs::error::Unspecified> {
    let mut derived = [0; 32];
    let info = [kind.name().as_bytes()];
    Salt::new(HKDF_SHA256, &[]).extract(key.as_bytes()).expand(&info, HKDF_SHA256)?.fill(&mut derived)?;
    RandomizedNonceKey::new(&AES_256_GCM, &derived)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&SealingKey::new([byte; 32])).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_with_the_same_key_kind_and_context_only() {
        let sealed = sealer(1).seal(Kind::Login, "platform/main", b"state").unwrap();
        let open = |sealer: Sealer, kind, context| sealer.open(kind, context, &sealed);
        assert_eq!(open(sealer(1), Kind::Login, "platform/main").as_deref(), Some(b"state".as_slice()));
        assert_eq!(open(sealer(2), Kind::Login, "platform/main"), None);
        assert_eq!(open(sealer(1), Kind::Device, "platform/main"), None);
        assert_eq!(open(sealer(1), Kind::Login, "platform/other"), None);
    }

    #[test]
    fn a_single_changed_bit_or_a_missing_byte_is_noticed() {
        let (key, plain) = (sealer(1), b"who and when".as_slice());
        let sealed = key.seal(Kind::Tokens, "c", plain).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.open(Kind::Tokens, "c", &changed), None, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(key.open(Kind::Tokens, "c", &sealed[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn equal_texts_do_not_look_equal_when_sealed() {
        let key = sealer(1);
        assert_ne!(key.seal(Kind::Login, "c", b"x").unwrap(), key.seal(Kind::Login, "c", b"x").unwrap());
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_back_instead_opens_nothing_and_hurts_nobody(
            text in "[A-Za-z0-9_.-]{0,80}", bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80)
        ) {
            let key = sealer(1);
            let _ = named_strategy(&text);
            proptest::prop_assert_eq!(key.open_text(Kind::Login, "a", &text), None);
            proptest::prop_assert_eq!(key.open(Kind::Tokens, "a", &bytes), None);
        }
    }

    #[test]
    fn a_sealed_text_names_its_strategy_and_opens_for_no_other() {
        let key = sealer(1);
        let text = key.seal_text(Kind::Device, "acme/main", b"code").unwrap();
        assert_eq!(named_strategy(&text).as_deref(), Some("acme/main"));
        assert_eq!(key.open_text(Kind::Device, "acme/main", &text).as_deref(), Some(b"code".as_slice()));
        let (_, sealed) = text.split_once('.').unwrap();
        let moved = format!("{}.{sealed}", URL_SAFE_NO_PAD.encode("acme/other"));
        assert_eq!(key.open_text(Kind::Device, "acme/other", &moved), None);
        for text in ["", ".", "a.b", "YQ", "YQ.", "!.!", "YQ.YQ.YQ"] {
            assert_eq!(key.open_text(Kind::Device, "a", text), None, "{text}");
        }
    }
}
