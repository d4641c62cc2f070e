//! Tables and laws of `questions`.

use crate::rules;
use kinds::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use kinds::api::authorization::v1::SubjectAccessReview;
use kinds::api::core::v1::{Binding, ObjectReference};
use kinds::{FieldErrors, Object};

fn check(o: impl Into<Object>, want: &[&str]) {
    let mut o = o.into();
    let r = rules(o.kind().expect("built in"));
    (r.default)(&mut o);
    let mut e = FieldErrors::default();
    (r.validate)(&o, &mut e);
    assert_eq!(e.0.iter().map(ToString::to_string).collect::<Vec<_>>(), want);
}

#[test]
fn questions() {
    check(TokenRequest::default(), &[]);
    let short = TokenRequestSpec { expiration_seconds: Some(5), ..Default::default() };
    check(
        TokenRequest { spec: Some(short), ..Default::default() },
        &["spec.expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes"],
    );
    check(
        SubjectAccessReview::default(),
        &[
            "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified",
            "spec.user: Invalid value: \"\": at least one of user or group must be specified",
        ],
    );
    let target = ObjectReference { kind: Some("Cow".into()), ..Default::default() };
    check(
        Binding { target, ..Default::default() },
        &["target.kind: Unsupported value: \"Cow\": supported values: \"Node\", \"<empty>\"", "target.name: Required value"],
    );
}
