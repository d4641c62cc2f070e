//! `SelfSubjectRulesReview`: everything a user may do in a namespace.

use super::{MASTERS, visit};
use crate::context::User;
use cache::Snapshot;
use kinds::api::authorization::v1::{NonResourceRule, ResourceRule, SubjectRulesReviewStatus};
use kinds::api::rbac::v1::PolicyRule;

/// The rules that apply to the user in the namespace, cluster-wide ones included.
#[must_use]
pub fn rules_for(snapshot: &Snapshot, user: &User, namespace: &str) -> SubjectRulesReviewStatus {
    let mut status = SubjectRulesReviewStatus { incomplete: false, ..SubjectRulesReviewStatus::default() };
    if user.in_group(MASTERS) {
        let all = || Some(vec!["*".to_owned()]);
        status.resource_rules =
            vec![ResourceRule { api_groups: all(), resources: all(), verbs: vec!["*".into()], resource_names: None }];
        status.non_resource_rules = vec![NonResourceRule { non_resource_urls: all(), verbs: vec!["*".into()] }];
        return status;
    }
    visit(snapshot, user, namespace, &mut |_, rule| {
        add(&mut status, rule);
        false
    });
    status
}

fn add(status: &mut SubjectRulesReviewStatus, rule: &PolicyRule) {
    if rule.resources.as_ref().is_some_and(|r| !r.is_empty()) {
        status.resource_rules.push(ResourceRule {
            api_groups: rule.api_groups.clone(),
            resources: rule.resources.clone(),
            verbs: rule.verbs.clone(),
            resource_names: rule.resource_names.clone(),
        });
    }
    if rule.non_resource_urls.as_ref().is_some_and(|u| !u.is_empty()) {
        status.non_resource_rules.push(NonResourceRule {
            non_resource_urls: rule.non_resource_urls.clone(),
            verbs: rule.verbs.clone(),
        });
    }
}
