//! ControllerRevisions: immutable data, a revision that is not negative.

use crate::names::NameRule;
use crate::table::{Rules, check, check_with_old};
use kinds::api::apps::v1::ControllerRevision;
use kinds::{FieldErrors, Kind, Path};

pub(crate) const ROW: Rules = Rules {
    validate: check!(ControllerRevision, validate),
    validate_update: check_with_old!(ControllerRevision, |n: &ControllerRevision, o: &ControllerRevision, e: &mut FieldErrors| {
        validate(n, e);
        if n.data != o.data {
            e.invalid(&Path::new("data"), kinds::field::Bare("{}".into()), crate::meta::IMMUTABLE);
        }
    }),
    ..Rules::plain(Kind::ControllerRevision, NameRule::DnsSubdomain)
};

fn validate(r: &ControllerRevision, e: &mut FieldErrors) {
    if r.data.is_none() {
        e.required(&Path::new("data"), "data is mandatory");
    }
    crate::checks::not_negative(r.revision, &Path::new("revision"), e);
}
