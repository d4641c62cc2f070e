//! From the flags of authentication and authorization to what the API server takes: `--oidc-*` and `--authorization-mode`
//! are said in the terms of the configuration files. Reference: "kube-apiserver" in the command line tools reference.

use crate::serving::{Serving, webhook_client};
use anyhow::{Context, Result, anyhow, bail};
use apiserver::authn::config::{ClaimRule, Configuration, Issuer, Jwt, Mappings, Prefixed};
use apiserver::authn::{AuthnOptions, HookOptions, Proxy};
use apiserver::authz;
use apiserver::tokens::TokenOptions;
use rules::User;
use std::path::Path;

/// The issuer of service account tokens, unless another one is given.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

impl Serving {
    /// Who can tell who asks.
    pub(crate) fn authentication(&self, gates: &rules::Gates) -> Result<AuthnOptions> {
        let configuration = match &self.authentication_config {
            Some(path) => Configuration::parse(&text(path)?).map_err(|e| anyhow!("{}: {e}", path.display()))?,
            None => Configuration { jwt: self.oidc()?.into_iter().collect(), ..Configuration::default() },
        };
        if let Some((at, value)) = configuration.egress().filter(|_| !gates.on("StructuredAuthenticationConfigurationEgressSelector")) {
            bail!("jwt[{at}].issuer.egressSelectorType: Invalid value: {value:?}: egress selector is not supported when StructuredAuthenticationConfigurationEgressSelector feature gate is disabled");
        }
        if configuration.anonymous.is_some() && !self.anonymous_auth {
            bail!("--anonymous-auth cannot be set when the authentication configuration has a field anonymous");
        }
        let webhook = match &self.authentication_token_webhook_config_file {
            Some(path) => Some(HookOptions {
                config: webhook_client(path)?,
                cache_ttl: self.authentication_token_webhook_cache_ttl,
                version: self.authentication_token_webhook_version.clone(),
            }),
            None => None,
        };
        let static_tokens = self.token_auth_file.as_deref().map(|p| text(p).and_then(|t| static_tokens(&t))).transpose()?;
        Ok(AuthnOptions {
            configuration,
            file: self.authentication_config.clone(),
            anonymous: self.anonymous_auth,
            webhook,
            static_tokens: static_tokens.unwrap_or_default(),
            proxy: self.front_proxy(gates),
        })
    }

    fn front_proxy(&self, gates: &rules::Gates) -> Proxy {
        let set = |names: &[String]| names.iter().filter(|n| !n.is_empty()).cloned().collect();
        Proxy {
            names: set(&self.requestheader_allowed_names),
            user: set(&self.requestheader_username_headers),
            uid: if gates.on("RemoteRequestHeaderUID") { set(&self.requestheader_uid_headers) } else { Vec::new() },
            group: set(&self.requestheader_group_headers),
            extra_prefix: set(&self.requestheader_extra_headers_prefix),
        }
    }

    fn oidc(&self) -> Result<Option<Jwt>> {
        let (Some(url), Some(client)) = (&self.oidc_issuer_url, &self.oidc_client_id) else { return Ok(None) };
        let claim = &self.oidc_username_claim;
        let prefix = match self.oidc_username_prefix.as_deref() {
            Some("-") => String::new(),
            Some(p) if !p.is_empty() => p.to_owned(),
            // Names of other claims than an address are only unique within the issuer.
            _ if claim == "email" => String::new(),
            _ => format!("{url}#"),
        };
        let rules = self.oidc_required_claim.iter().map(|pair| {
            let (claim, value) = pair.split_once('=').with_context(|| format!("--oidc-required-claim {pair:?} is not name=value"))?;
            Ok(ClaimRule { claim: claim.into(), required_value: value.into(), ..ClaimRule::default() })
        });
        let groups = self.oidc_groups_claim.as_ref().map(|claim| Prefixed {
            claim: claim.clone(),
            prefix: Some(self.oidc_groups_prefix.clone().unwrap_or_default()),
            ..Prefixed::default()
        });
        let jwt = Jwt {
            issuer: Issuer {
                url: url.clone(),
                certificate_authority: self.oidc_ca_file.as_deref().map(text).transpose()?,
                audiences: vec![client.clone()],
                ..Issuer::default()
            },
            claim_validation_rules: rules.collect::<Result<_>>()?,
            claim_mappings: Mappings {
                username: Prefixed { claim: claim.clone(), prefix: Some(prefix), ..Prefixed::default() },
                groups: groups.unwrap_or_default(),
                ..Mappings::default()
            },
            algorithms: self.oidc_signing_algs.clone(),
            ..Jwt::default()
        };
        jwt.check().map_err(|e| anyhow!("--oidc-issuer-url: {e}"))?;
        Ok(Some(jwt))
    }

    /// Who decides what may be done.
    pub(crate) fn authorization(&self) -> Result<authz::Configuration> {
        if let Some(path) = &self.authorization_config {
            return authz::Configuration::parse(&text(path)?).map_err(|e| anyhow!("{}: {e}", path.display()));
        }
        let webhook = self.authorization_webhook_config_file.as_ref().map(|path| authz::WebhookSettings {
            authorized_ttl: Some(self.authorization_webhook_cache_authorized_ttl.clone()),
            cache_authorized_requests: None,
            unauthorized_ttl: Some(self.authorization_webhook_cache_unauthorized_ttl.clone()),
            cache_unauthorized_requests: None,
            timeout: Some("30s".to_owned()),
            subject_access_review_version: self.authorization_webhook_version.clone(),
            match_condition_subject_access_review_version: None,
            failure_policy: "NoOpinion".to_owned(),
            connection_info: authz::ConnectionInfo { kind: "KubeConfigFile".into(), kube_config_file: Some(path.display().to_string()) },
            match_conditions: Vec::new(),
        });
        let policies = self.authorization_policy_file.as_ref().map(|path| {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            authz::Policies::parse(&text).map_err(|e| anyhow!(e))
        });
        authz::Configuration::of_modes(&self.authorization_mode, webhook, policies.transpose()?).map_err(|e| anyhow!(e))
    }

    /// Tokens of service accounts.
    pub(crate) fn tokens(&self) -> Result<TokenOptions> {
        let issuers = match self.service_account_issuer.is_empty() {
            true => vec![ISSUER.to_owned()],
            false => self.service_account_issuer.clone(),
        };
        let keys = self.service_account_key_file.iter().map(|p| text(p).map(String::into_bytes)).collect::<Result<Vec<_>>>()?;
        let longest = self.service_account_max_token_expiration.map(|d| d.as_secs());
        if longest.is_some_and(|s| !(3600..=1 << 32).contains(&s)) {
            bail!("the service-account-max-token-expiration must be between 1 hour and 2^32 seconds");
        }
        Ok(TokenOptions {
            audiences: if self.api_audiences.is_empty() { issuers.clone() } else { self.api_audiences.clone() },
            issuers,
            keys,
            jwks_uri: self.service_account_jwks_uri.clone(),
            longest_s: longest.and_then(|s| i64::try_from(s).ok()),
            extend: self.service_account_extend_token_expiration,
        })
    }
}

/// Lines of `token,user,uid,"group1,group2"`.
fn static_tokens(text: &str) -> Result<Vec<(String, User)>> {
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let one = |line: &str| {
        let mut fields = line.splitn(4, ',').map(|f| f.trim().trim_matches('"').to_owned());
        let (Some(token), Some(name), Some(uid)) = (fields.next(), fields.next(), fields.next()) else {
            // How many there are, and not what they say: the first one is a secret.
            bail!("token file must have at least 3 columns (token, user name, user uid), found {}", line.split(',').count());
        };
        if token.is_empty() {
            bail!("empty token has been found in token file");
        }
        let groups = fields.next().unwrap_or_default().split(',').map(str::trim).filter(|g| !g.is_empty()).map(str::to_owned).collect();
        Ok((token, User { name, uid, groups, ..User::default() }))
    };
    lines.map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_files() {
        let all = static_tokens("# people\nabc,joe,1,\"a,b\"\nxyz,ann,2\n").expect("a token file");
        assert_eq!(all[0], ("abc".to_owned(), User { name: "joe".into(), uid: "1".into(), groups: vec!["a".into(), "b".into()], ..User::default() }));
        assert_eq!((all[1].1.name.as_str(), all[1].1.groups.len()), ("ann", 0));
        assert!(static_tokens("abc,joe").is_err_and(|e| e.to_string().ends_with("found 2")));
    }
}
