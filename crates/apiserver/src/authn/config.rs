//! `AuthenticationConfiguration` (apiserver.config.k8s.io), and the `--oidc-*` flags said in its terms.
//! Docs: "Authenticating: Using Authentication Configuration".

use serde::Deserialize;

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Configuration {
    pub api_version: String,
    pub kind: String,
    pub jwt: Vec<Jwt>,
    pub anonymous: Option<Anonymous>,
}

/// Who may come without credentials.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Anonymous {
    pub enabled: bool,
    pub conditions: Vec<Condition>,
}

/// Where to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Condition {
    pub path: String,
}

/// One issuer of tokens.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Jwt {
    pub issuer: Issuer,
    pub claim_validation_rules: Vec<ClaimRule>,
    pub claim_mappings: Mappings,
    pub user_validation_rules: Vec<UserRule>,
    /// Signature algorithms; only the flags narrow them.
    #[serde(skip)]
    pub algorithms: Vec<String>,
}

/// The issuer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Issuer {
    pub url: String,
    #[serde(rename = "discoveryURL")]
    pub discovery_url: Option<String>,
    pub certificate_authority: Option<String>,
    pub audiences: Vec<String>,
    pub audience_match_policy: Option<String>,
    pub egress_selector_type: Option<String>,
}

/// What a claim must be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ClaimRule {
    pub claim: String,
    pub required_value: String,
    pub expression: String,
    pub message: String,
}

/// What a user must be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserRule {
    pub expression: String,
    pub message: String,
}

/// A name out of a claim or an expression.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prefixed {
    pub claim: String,
    pub prefix: Option<String>,
    pub expression: String,
}

/// One extra of the user.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Extra {
    pub key: String,
    pub value_expression: String,
}

/// Who the user is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mappings {
    pub username: Prefixed,
    pub groups: Prefixed,
    pub uid: Prefixed,
    pub extra: Vec<Extra>,
}

impl Configuration {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let tree = codec::yaml::parse(text).map_err(|e| e.to_string())?.value;
        let this: Self = serde_json::from_value(tree).map_err(|e| e.to_string())?;
        let known = ["v1", "v1beta1", "v1alpha1"].iter().any(|v| this.api_version == format!("apiserver.config.k8s.io/{v}"));
        if !known || this.kind != "AuthenticationConfiguration" {
            return Err(format!("no kind {:?} is registered for version {:?}", this.kind, this.api_version));
        }
        for (i, jwt) in this.jwt.iter().enumerate() {
            jwt.check().map_err(|e| format!("jwt[{i}].{e}"))?;
            if this.jwt[..i].iter().any(|j| j.issuer.url == jwt.issuer.url) {
                return Err(format!("jwt[{i}].issuer.url: Duplicate value: {:?}", jwt.issuer.url));
            }
        }
        if let Some(a) = this.anonymous.as_ref().filter(|a| !a.enabled && !a.conditions.is_empty()) {
            return Err(format!("anonymous.conditions: Invalid value: {:?}: enabled should be set to true when conditions are defined", a.conditions.len()));
        }
        Ok(this)
    }
}

impl Jwt {
    /// What is wrong with it.
    ///
    /// # Errors
    /// The first complaint.
    pub fn check(&self) -> Result<(), String> {
        let i = &self.issuer;
        for (field, url) in [("url", Some(&i.url)), ("discoveryURL", i.discovery_url.as_ref())] {
            let Some(text) = url else { continue };
            if text.is_empty() {
                return Err(format!("issuer.{field}: Required value: URL is required"));
            }
            let url = url::Url::parse(text).map_err(|e| format!("issuer.{field}: Invalid value: {text:?}: {e}"))?;
            if url.scheme() != "https" {
                return Err(format!("issuer.{field}: Invalid value: {text:?}: URL scheme must be https"));
            }
        }
        if i.discovery_url.as_deref().is_some_and(|d| d.trim_end_matches('/') == i.url.trim_end_matches('/')) {
            return Err("issuer.discoveryURL: Invalid value: discoveryURL must be different from URL".into());
        }
        if i.audiences.is_empty() {
            return Err("issuer.audiences: Required value: at least one jwt[0].issuer.audiences is required".replace("jwt[0].", ""));
        }
        match i.audience_match_policy.as_deref() {
            None | Some("") if i.audiences.len() > 1 => {
                return Err("issuer.audienceMatchPolicy: Invalid value: \"\": audienceMatchPolicy must be MatchAny for multiple audiences".into());
            }
            None | Some("" | "MatchAny") => {}
            Some(other) => return Err(format!("issuer.audienceMatchPolicy: Invalid value: {other:?}: audienceMatchPolicy must be empty or MatchAny for single audience")),
        }
        let m = &self.claim_mappings;
        match (m.username.claim.is_empty(), m.username.expression.is_empty()) {
            (true, true) => return Err("claimMappings.username: Required value: claim or expression is required".into()),
            (false, false) => return Err("claimMappings.username: Invalid value: \"\": claim and expression can't both be set".into()),
            (false, true) if m.username.prefix.is_none() => {
                return Err("claimMappings.username.prefix: Required value: prefix is required when claim is set. It can be set to an empty string to disable prefixing".into());
            }
            (true, false) if m.username.prefix.is_some() => {
                return Err("claimMappings.username.prefix: Invalid value: prefix can't be set when expression is set".into());
            }
            _ => {}
        }
        if !m.groups.claim.is_empty() && m.groups.prefix.is_none() {
            return Err("claimMappings.groups.prefix: Required value: prefix is required when claim is set. It can be set to an empty string to disable prefixing".into());
        }
        for (n, e) in m.extra.iter().enumerate() {
            if e.key.is_empty() || e.value_expression.is_empty() {
                return Err(format!("claimMappings.extra[{n}]: Required value: key and valueExpression are required"));
            }
            if e.key.to_lowercase() != e.key || !e.key.contains('/') {
                return Err(format!("claimMappings.extra[{n}].key: Invalid value: {:?}: must be a lower-case domain-prefixed path", e.key));
            }
        }
        Ok(())
    }
}
