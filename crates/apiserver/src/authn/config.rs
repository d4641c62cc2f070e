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

    /// The first issuer that is to be reached through an egress selector.
    #[must_use]
    pub fn egress(&self) -> Option<(usize, &str)> {
        let types = self.jwt.iter().map(|j| j.issuer.egress_selector_type.as_deref().unwrap_or_default());
        types.enumerate().find(|(_, t)| !t.is_empty())
    }
}

impl Jwt {
    /// What is wrong with it.
    ///
    /// # Errors
    /// The first complaint.
    pub fn check(&self) -> Result<(), String> {
        self.issuer.check()?;
        self.check_rules()?;
        self.claim_mappings.check()?;
        self.check_email()
    }

    fn check_rules(&self) -> Result<(), String> {
        for (n, r) in self.claim_validation_rules.iter().enumerate() {
            let at = format!("claimValidationRules[{n}]");
            let before = &self.claim_validation_rules[..n];
            match (r.claim.is_empty(), r.expression.is_empty()) {
                (true, true) => return Err(format!("{at}: Required value: claim or expression is required")),
                (false, false) => return Err(format!("{at}: Invalid value: {:?}: claim and expression can't both be set", r.claim)),
                (false, true) if !r.message.is_empty() => return Err(format!("{at}.message: Invalid value: {:?}: message can't be set when claim is set", r.message)),
                (true, false) if !r.required_value.is_empty() => {
                    return Err(format!("{at}.requiredValue: Invalid value: {:?}: requiredValue can't be set when expression is set", r.required_value));
                }
                (false, true) if before.iter().any(|b| b.claim == r.claim) => return Err(format!("{at}.claim: Duplicate value: {:?}", r.claim)),
                (true, false) if before.iter().any(|b| b.expression == r.expression) => {
                    return Err(format!("{at}.expression: Duplicate value: {:?}", r.expression));
                }
                _ => {}
            }
        }
        for (n, r) in self.user_validation_rules.iter().enumerate() {
            let at = format!("userValidationRules[{n}].expression");
            if r.expression.is_empty() {
                return Err(format!("{at}: Required value: expression is required"));
            }
            if self.user_validation_rules[..n].iter().any(|b| b.expression == r.expression) {
                return Err(format!("{at}: Duplicate value: {:?}", r.expression));
            }
        }
        Ok(())
    }

    /// An address that nobody verified is nobody's name.
    fn check_email(&self) -> Result<(), String> {
        let m = &self.claim_mappings;
        let rules = self.claim_validation_rules.iter().map(|r| &r.expression);
        let mut looks = std::iter::once(&m.username.expression).chain(m.extra.iter().map(|e| &e.value_expression)).chain(rules);
        if selects(&m.username.expression, "email") && !looks.any(|e| selects(e, "email_verified")) {
            let text = &m.username.expression;
            return Err(format!("claimMappings.username.expression: Invalid value: {text:?}: claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression"));
        }
        Ok(())
    }
}

/// Whether an expression looks at a claim.
fn selects(expression: &str, claim: &str) -> bool {
    let text: String = expression.chars().filter(|c| !c.is_whitespace()).collect();
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    [format!("claims.{claim}"), format!("claims.?{claim}"), format!("claims['{claim}'"), format!("claims[\"{claim}\"")]
        .iter()
        .any(|way| text.match_indices(way.as_str()).any(|(at, found)| ends(&text[at + found.len()..])))
}

impl Issuer {
    fn check(&self) -> Result<(), String> {
        let egress = self.egress_selector_type.as_deref().unwrap_or_default();
        if !matches!(egress, "" | "controlplane" | "cluster") {
            return Err(format!("issuer.egressSelectorType: Invalid value: {egress:?}: egress selector must be either controlplane or cluster"));
        }
        for (field, url) in [("url", Some(&self.url)), ("discoveryURL", self.discovery_url.as_ref())] {
            let Some(text) = url else { continue };
            if text.is_empty() {
                return Err(format!("issuer.{field}: Required value: URL is required"));
            }
            let url = url::Url::parse(text).map_err(|e| format!("issuer.{field}: Invalid value: {text:?}: {e}"))?;
            let wrong = [
                (url.scheme() != "https", "URL scheme must be https"),
                (!url.username().is_empty() || url.password().is_some(), "URL must not contain a username or password"),
                (url.query().is_some(), "URL must not contain a query"),
                (url.fragment().is_some(), "URL must not contain a fragment"),
            ];
            if let Some((_, why)) = wrong.iter().find(|(wrong, _)| *wrong) {
                return Err(format!("issuer.{field}: Invalid value: {text:?}: {why}"));
            }
        }
        if self.discovery_url.as_deref().is_some_and(|d| d.trim_end_matches('/') == self.url.trim_end_matches('/')) {
            return Err("issuer.discoveryURL: Invalid value: discoveryURL must be different from URL".into());
        }
        if self.audiences.is_empty() {
            return Err("issuer.audiences: Required value: at least one issuer.audiences is required".into());
        }
        match self.audience_match_policy.as_deref() {
            None | Some("") if self.audiences.len() > 1 => {
                Err("issuer.audienceMatchPolicy: Invalid value: \"\": audienceMatchPolicy must be MatchAny for multiple audiences".into())
            }
            None | Some("" | "MatchAny") => Ok(()),
            Some(other) => Err(format!("issuer.audienceMatchPolicy: Invalid value: {other:?}: audienceMatchPolicy must be empty or MatchAny for single audience")),
        }
    }
}

impl Mappings {
    fn check(&self) -> Result<(), String> {
        if self.username.claim.is_empty() && self.username.expression.is_empty() {
            return Err("claimMappings.username: Required value: claim or expression is required".into());
        }
        self.username.check("username", true)?;
        self.groups.check("groups", true)?;
        self.uid.check("uid", false)?;
        for (n, e) in self.extra.iter().enumerate() {
            let at = format!("claimMappings.extra[{n}]");
            if e.key.is_empty() {
                return Err(format!("{at}.key: Required value"));
            }
            if e.value_expression.is_empty() {
                return Err(format!("{at}.valueExpression: Required value: valueExpression is required"));
            }
            if let Some(why) = rules::names::domain_prefixed(&e.key).first() {
                return Err(format!("{at}.key: Invalid value: {:?}: {why}", e.key));
            }
            if e.key.to_lowercase() != e.key {
                return Err(format!("{at}.key: Invalid value: {:?}: key must be lowercase", e.key));
            }
            let domain = e.key.split('/').next().unwrap_or_default();
            if ["k8s.io", "kubernetes.io"].iter().any(|d| domain == *d || domain.ends_with(&format!(".{d}"))) {
                return Err(format!("{at}.key: Invalid value: {:?}: k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use", e.key));
            }
            if self.extra[..n].iter().any(|b| b.key == e.key) {
                return Err(format!("{at}.key: Duplicate value: {:?}", e.key));
            }
        }
        Ok(())
    }
}

impl Prefixed {
    fn check(&self, name: &str, prefixes: bool) -> Result<(), String> {
        let at = format!("claimMappings.{name}");
        match (self.claim.is_empty(), self.expression.is_empty()) {
            (false, false) => Err(format!("{at}: Invalid value: \"\": claim and expression can't both be set")),
            (false, true) if prefixes && self.prefix.is_none() => {
                Err(format!("{at}.prefix: Required value: prefix is required when claim is set. It can be set to an empty string to disable prefixing"))
            }
            (true, false) if self.prefix.is_some() => {
                Err(format!("{at}.prefix: Invalid value: {:?}: prefix can't be set when expression is set", self.prefix.as_deref().unwrap_or_default()))
            }
            (true, true) if self.prefix.is_some() => Err(format!("{at}.prefix: Invalid value: {:?}: non-empty claim name is required when prefix is set", self.prefix.as_deref().unwrap_or_default())),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(mappings: &str, more: &str) -> Result<Configuration, String> {
        Configuration::parse(&format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- issuer: {{url: https://x, audiences: [a]}}\n  claimMappings: {mappings}\n{more}"
        ))
    }

    #[test]
    fn what_a_file_may_say() {
        let name = "{username: {claim: sub, prefix: ''}}";
        assert!(of(name, "").is_ok());
        let email = |more: &str| of("{username: {expression: 'claims.email'}}", more);
        assert!(email("").is_err_and(|e| e.contains("claims.email_verified must be used")));
        assert!(email("  claimValidationRules: [{expression: 'claims.?email_verified.orValue(true)'}]\n").is_ok());
        for (mappings, more, why) in [
            ("{}", "", "claimMappings.username: Required value"),
            ("{username: {claim: sub}}", "", "claimMappings.username.prefix: Required value"),
            ("{username: {claim: sub, expression: claims.sub}}", "", "can't both be set"),
            ("{username: {expression: claims.sub, prefix: x}}", "", "prefix can't be set"),
            ("{username: {claim: sub, prefix: ''}, extra: [{key: a.kubernetes.io/x, valueExpression: claims.x}]}", "", "reserved"),
            ("{username: {claim: sub, prefix: ''}, extra: [{key: x, valueExpression: claims.x}]}", "", "extra[0].key: Invalid value"),
            (name, "  claimValidationRules: [{claim: a}, {claim: a}]\n", "claimValidationRules[1].claim: Duplicate value"),
            (name, "  claimValidationRules: [{claim: a, expression: b}]\n", "can't both be set"),
            (name, "  userValidationRules: [{message: a}]\n", "userValidationRules[0].expression: Required value"),
        ] {
            let got = of(mappings, more).err().unwrap_or_default();
            assert!(got.contains(why), "{mappings} {more}: {got}");
        }
    }
}
