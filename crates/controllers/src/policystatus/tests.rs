//! A generation is checked once.

use super::{decide, is_checked};
use kinds::ObjectMeta;
use kinds::api::admissionregistration::v1::{ExpressionWarning, TypeChecking, ValidatingAdmissionPolicy};
use kinds::Typed;

#[test]
fn a_generation_is_checked_once() {
    let policy = ValidatingAdmissionPolicy {
        metadata: ObjectMeta { name: Some("p".into()), generation: Some(2), ..ObjectMeta::default() },
        ..ValidatingAdmissionPolicy::default()
    };
    assert!(!is_checked(&policy));
    let warning = ExpressionWarning { field_ref: "spec.validations[0].expression".into(), warning: "w".into() };
    let plan = decide(&policy, TypeChecking { expression_warnings: Some(vec![warning]) });
    let step = plan.steps().next().expect("a step");
    let crate::plan::Action::Update { object, .. } = &step.action else { panic!("an update") };
    let next = ValidatingAdmissionPolicy::of(object).expect("a policy");
    assert!(is_checked(next));
}
