//! Tokens of other issuers: OpenID Connect ID tokens and JWTs like them, checked and mapped to users.
//! Docs: "Authenticating: OpenID Connect Tokens"; KEP-3331.

use super::config::{Jwt, Prefixed};
use super::keys::Keys;
use crate::expression::{About, Expression};
use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rules::User;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Clocks may differ by this much where a token says when it begins.
const LEEWAY_S: i64 = 300;
/// What is accepted unless the flags narrow it.
const ALGORITHMS: &[&str] = &["RS256", "RS384", "RS512", "ES256", "ES384", ES512, "PS256", "PS384", "PS512"];
/// ECDSA on P-521 with SHA-512 (RFC 7518, 3.4), which the library for the others does not know.
const ES512: &str = "ES512";

/// Bytes of a coordinate on P-521.
const P521_BYTES: usize = 66;

/// Where a name comes from.
enum Source {
    None,
    Claim { claim: String, prefix: String },
    Expression(Expression),
}

struct Rule {
    expression: Expression,
    source: String,
    message: String,
}

/// The authenticator of one issuer.
pub(crate) struct Authenticator {
    issuer: String,
    audiences: Vec<String>,
    algorithms: Vec<String>,
    keys: Keys,
    required: Vec<(String, String)>,
    claim_rules: Vec<Rule>,
    user_rules: Vec<Rule>,
    username: Source,
    groups: Source,
    uid: Source,
    extra: Vec<(String, Expression)>,
}

impl Authenticator {
    /// From its configuration.
    ///
    /// # Errors
    /// Expressions that do not compile, algorithms that are not known.
    pub(crate) fn new(config: &Jwt) -> Result<Self, String> {
        config.check()?;
        let named: Vec<String> = match config.algorithms.is_empty() {
            true => ALGORITHMS.iter().map(|a| (*a).to_owned()).collect(),
            false => config.algorithms.clone(),
        };
        let algorithm = |name: &String| match ALGORITHMS.contains(&name.as_str()) {
            true => Ok(name.clone()),
            false => Err(format!("oidc: unsupported signing alg: {name:?}")),
        };
        let rule = |source: &str, message: &str, about: About| {
            let expression = Expression::condition(source, about)?;
            Ok::<_, String>(Rule { expression, source: source.to_owned(), message: message.to_owned() })
        };
        let rules = config.claim_validation_rules.iter();
        let m = &config.claim_mappings;
        let ca = config.issuer.certificate_authority.clone().map(String::into_bytes);
        Ok(Self {
            issuer: config.issuer.url.clone(),
            audiences: config.issuer.audiences.clone(),
            algorithms: named.iter().map(algorithm).collect::<Result<_, _>>()?,
            keys: Keys::new(&config.issuer.url, config.issuer.discovery_url.as_deref(), ca),
            required: rules.clone().filter(|r| !r.claim.is_empty()).map(|r| (r.claim.clone(), r.required_value.clone())).collect(),
            claim_rules: rules
                .filter(|r| !r.expression.is_empty())
                .map(|r| rule(&r.expression, &r.message, About::Claims))
                .collect::<Result<_, _>>()?,
            user_rules: config.user_validation_rules.iter().map(|r| rule(&r.expression, &r.message, About::User)).collect::<Result<_, _>>()?,
            username: source(&m.username)?,
            groups: source(&m.groups)?,
            uid: source(&m.uid)?,
            extra: m
                .extra
                .iter()
                .map(|e| Expression::compile(&e.value_expression, About::Claims).map(|x| (e.key.clone(), x)))
                .collect::<Result<_, _>>()?,
        })
    }

    /// `None`: a token of someone else.
    pub(crate) async fn authenticate(&self, token: &str, now: Timestamp) -> Option<Result<User, String>> {
        let claims = unverified(token)?;
        if claims.get("iss").and_then(Value::as_str) != Some(self.issuer.as_str()) {
            return None;
        }
        Some(self.verify(token, now).await.map_err(|e| format!("oidc: {e}")))
    }

    async fn verify(&self, token: &str, now: Timestamp) -> Result<User, String> {
        let header = header(token).ok_or("malformed jwt")?;
        let algorithm = header["alg"].as_str().unwrap_or_default();
        if !self.algorithms.iter().any(|a| a == algorithm) {
            return Err(format!("id token signed with unsupported algorithm {algorithm:?}"));
        }
        let candidates = self.keys.candidates(header["kid"].as_str()).await?;
        let claims = match algorithm.parse::<Algorithm>() {
            Ok(known) => candidates.iter().find_map(|k| checked(token, &DecodingKey::from_jwk(k).ok()?, known)),
            Err(_) => candidates.iter().find_map(|k| checked_es512(token, k)),
        };
        let claims = claims.ok_or("failed to verify signature: failed to verify id token signature")?;
        self.fresh(&claims, now)?;
        self.user(&Value::Object(claims))
    }

    fn fresh(&self, claims: &Map<String, Value>, now: Timestamp) -> Result<(), String> {
        let number = |k: &str| claims.get(k).and_then(|v| v.as_i64().or_else(|| v.as_f64().map(|f| f as i64)));
        let at = now.as_second();
        let audiences: Vec<&str> = match claims.get("aud") {
            Some(Value::String(s)) => vec![s],
            Some(Value::Array(a)) => a.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !self.audiences.iter().any(|a| audiences.contains(&a.as_str())) {
            return Err(format!("verify token: expected audience in {:?} got {audiences:?}", self.audiences));
        }
        match number("exp") {
            Some(exp) if exp > at => {}
            Some(exp) => return Err(format!("verify token: token is expired (Token Expiry: {exp})")),
            None => return Err("verify token: token has no expiry".into()),
        }
        if number("nbf").is_some_and(|n| n > at + LEEWAY_S) {
            return Err("verify token: current time is before the nbf (not before) time".into());
        }
        Ok(())
    }

    /// The user that verified claims describe.
    fn user(&self, claims: &Value) -> Result<User, String> {
        for (claim, value) in &self.required {
            match claims.get(claim).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)) {
                Some(v) if v == *value => {}
                Some(v) => return Err(format!("required claim {claim} value does not match. Got = {v}, want = {value}")),
                None => return Err(format!("required claim {claim} not present in ID token")),
            }
        }
        judge(&self.claim_rules, claims).map_err(|e| format!("error evaluating claim validation expression: {e}"))?;
        let mut extra = BTreeMap::new();
        for (key, expression) in &self.extra {
            let values = texts(expression.run(claims)?)?;
            if !values.is_empty() {
                extra.insert(key.clone(), values);
            }
        }
        if let Some(id) = claims.get("jti").and_then(Value::as_str) {
            extra.entry("authentication.kubernetes.io/credential-id".to_owned()).or_insert_with(|| vec![format!("JTI={id}")]);
        }
        let user = User {
            name: self.name(claims)?,
            groups: self.groups.many(claims)?,
            uid: self.uid.one(claims)?.unwrap_or_default(),
            extra,
        };
        judge(&self.user_rules, &told(&user)).map_err(|e| format!("error evaluating user info validation rule: {e}"))?;
        Ok(user)
    }

    fn name(&self, claims: &Value) -> Result<String, String> {
        if let Source::Claim { claim, .. } = &self.username {
            if claim == "email" && claims.get("email_verified").is_some_and(|v| v.as_bool() != Some(true)) {
                return Err("email not verified".into());
            }
        }
        let name = self.username.one(claims)?.unwrap_or_default();
        if name.is_empty() { Err("username claim is missing or empty".into()) } else { Ok(name) }
    }
}

fn source(p: &Prefixed) -> Result<Source, String> {
    Ok(match (p.claim.is_empty(), p.expression.is_empty()) {
        (true, true) => Source::None,
        (false, _) => Source::Claim { claim: p.claim.clone(), prefix: p.prefix.clone().unwrap_or_default() },
        (true, false) => Source::Expression(Expression::compile(&p.expression, About::Claims)?),
    })
}

impl Source {
    fn one(&self, claims: &Value) -> Result<Option<String>, String> {
        match self {
            Self::None => Ok(None),
            Self::Claim { claim, prefix } => match claims.get(claim) {
                Some(Value::String(s)) => Ok(Some(format!("{prefix}{s}"))),
                Some(_) => Err(format!("parse claims: {claim} is no string")),
                None => Err(format!("claim not present: {claim}")),
            },
            Self::Expression(e) => match e.run(claims)? {
                Value::String(s) => Ok(Some(s)),
                _ => Err("the expression did not return a string".into()),
            },
        }
    }

    fn many(&self, claims: &Value) -> Result<Vec<String>, String> {
        match self {
            Self::None => Ok(Vec::new()),
            Self::Claim { claim, prefix } => match claims.get(claim) {
                None => Ok(Vec::new()),
                Some(v) => texts(v.clone()).map(|all| all.into_iter().map(|g| format!("{prefix}{g}")).collect()),
            },
            Self::Expression(e) => texts(e.run(claims)?),
        }
    }
}

/// A text or a list of them; nothing is none.
fn texts(value: Value) -> Result<Vec<String>, String> {
    let one = |v: Value| match v {
        Value::String(s) => Ok(s),
        other => Err(format!("expected a string, got {other}")),
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(s) if s.is_empty() => Ok(Vec::new()),
        Value::Array(all) => all.into_iter().map(one).filter(|r| !matches!(r, Ok(s) if s.is_empty())).collect(),
        other => one(other).map(|s| vec![s]),
    }
}

fn judge(rules: &[Rule], value: &Value) -> Result<(), String> {
    for r in rules {
        let holds = r.expression.is_true(value).map_err(|e| format!("expression '{}' resulted in error: {e}", r.source))?;
        if !holds {
            return Err(format!("validation expression '{}' failed: {}", r.source, r.message));
        }
    }
    Ok(())
}

/// A user as rules see it: what is empty is not there.
fn told(user: &User) -> Value {
    let mut all = Map::new();
    let pairs = [("username", json!(user.name)), ("uid", json!(user.uid)), ("groups", json!(user.groups)), ("extra", json!(user.extra))];
    all.extend(pairs.into_iter().filter(|(_, v)| *v != json!("") && *v != json!([]) && *v != json!({})).map(|(k, v)| (k.to_owned(), v)));
    Value::Object(all)
}

/// The claims of a token that nobody has checked yet.
fn unverified(token: &str) -> Option<Map<String, Value>> {
    let mut parts = token.split('.');
    let (_, body, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()
}

/// The header of a token that nobody has checked yet.
fn header(token: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?).ok()
}

/// The claims of a token that the key signed by [`ES512`].
fn checked_es512(token: &str, key: &Jwk) -> Option<Map<String, Value>> {
    let AlgorithmParameters::EllipticCurve(parts) = &key.algorithm else { return None };
    let number = |text: &str| URL_SAFE_NO_PAD.decode(text).ok().filter(|n| n.len() == P521_BYTES);
    if parts.curve != EllipticCurve::P521 {
        return None;
    }
    // An uncompressed point (SEC 1, 2.3.3).
    let point = [vec![4], number(&parts.x)?, number(&parts.y)?].concat();
    let (signed, signature) = token.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point).verify(signed.as_bytes(), &signature).ok()?;
    unverified(token)
}

fn checked(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Option<Map<String, Value>> {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    jsonwebtoken::decode::<Map<String, Value>>(token, key, &validation).ok().map(|d| d.claims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

    #[test]
    fn tokens_on_p521_are_checked() {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).expect("a key");
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let point = pair.public_key().as_ref();
        let (x, y) = point[1..].split_at(P521_BYTES);
        let key = |x: &[u8]| serde_json::from_value(json!({ "kty": "EC", "crv": "P-521", "kid": "k", "x": encode(x), "y": encode(y) })).expect("a key");
        let signed = format!("{}.{}", encode(br#"{"alg":"ES512","kid":"k"}"#), encode(br#"{"sub":"jane"}"#));
        let signature = pair.sign(&random, signed.as_bytes()).expect("signed");
        let token = format!("{signed}.{}", encode(signature.as_ref()));
        assert_eq!(header(&token).map(|h| h["alg"].clone()), Some(json!(ES512)));
        assert_eq!(checked_es512(&token, &key(x)).map(|c| c["sub"].clone()), Some(json!("jane")));
        let other = format!("{}.{}.{}", encode(br#"{"alg":"ES512"}"#), encode(br#"{"sub":"joe"}"#), encode(signature.as_ref()));
        assert!(checked_es512(&other, &key(x)).is_none() && checked_es512(&token, &key(y)).is_none());
    }
}
