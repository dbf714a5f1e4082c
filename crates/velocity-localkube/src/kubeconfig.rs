//! The file that points kubectl here.

use std::fmt::Write as _;

use serde_json::json;

/// The user name in the server's URL; only the password counts.
const USER: &str = "velocity";

/// A kubeconfig for `server_url` (`http://127.0.0.1:1234`) as YAML, with the bearer `token` if there is one.
///
/// kubectl ignores a user's token when the server speaks plain HTTP, so the token stands in the server's URL too,
/// from where kubectl sends it as a password. The file is as secret as the token: write it for its owner only.
pub fn kubeconfig(server_url: &str, token: Option<&str>) -> String {
    let (server, user) = match token {
        None => (server_url.to_owned(), "{}".to_owned()),
        Some(token) => (with_password(server_url, token), format!("{{token: {}}}", json!(token))),
    };
    // JSON strings are YAML strings: quoting is right for any URL and token.
    let server = json!(server);
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n  - name: velocity\n    cluster: {{server: {server}}}\nusers:\n  \
         - name: velocity\n    user: {user}\ncontexts:\n  - name: velocity\n    context: {{cluster: velocity, user: \
         velocity, namespace: default}}\ncurrent-context: velocity\n"
    )
}

fn with_password(url: &str, token: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let mut password = String::new();
    for byte in token.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            password.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(password, "%{byte:02X}");
        }
    }
    format!("{scheme}://{USER}:{password}@{rest}")
}

#[cfg(test)]
mod tests {
    use super::kubeconfig;

    #[test]
    fn the_token_is_in_the_user_and_escaped_in_the_url() {
        let text = kubeconfig("http://127.0.0.1:1", Some("a/b\"c"));
        assert!(text.contains(r#"server: "http://velocity:a%2Fb%22c@127.0.0.1:1""#), "{text}");
        assert!(text.contains(r#"token: "a/b\"c""#), "{text}");
        assert!(kubeconfig("http://127.0.0.1:1", None).contains(r#"server: "http://127.0.0.1:1""#));
    }
}
