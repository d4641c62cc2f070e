//! Jobs. Docs: "Jobs"; KEP-2232 (suspend), KEP-3329 (pod failure policy), KEP-3850 (per index), KEP-3998 (success policy),
//! KEP-4368 (managedBy).

use crate::checks::{complain, not_negative, not_negative_opt, one_of, repeated};
use crate::core::pod::{default, template};
use crate::meta::{self, IMMUTABLE};
use crate::names;
use crate::names::NameRule;
use crate::read::{fill, items, on, s};
use crate::table::{Rules, check, check_with_old, edit, edit_with_old, fields, keep_spec, warnings};
use kinds::api::core::v1::{Affinity, Container, PodSpec};
use kinds::api::batch::v1::{Job, JobSpec, JobStatus, PodFailurePolicyRule, SuccessPolicy, SuccessPolicyRule};
use kinds::field::Bare;
use kinds::{FieldErrors, Kind, LabelSelector, Path, Selector};

pub(crate) const ROW: Rules = Rules {
    default: edit!(Job, default),
    prepare_create: edit!(Job, prepare_create),
    prepare_update: edit_with_old!(Job, prepare_update),
    prepare_status_update: keep_spec!(Job, Job),
    validate: check!(Job, validate),
    validate_update: check_with_old!(Job, validate_update),
    validate_status_update: check_with_old!(Job, super::job_status::validate),
    warnings: warnings!(Job, |n: &Job, _: Option<&Job>| warn(n)),
    fields: fields!(Job, |j: &Job| {
        let n = j.status.as_ref().and_then(|s| s.succeeded).unwrap_or_default();
        vec![("status.successful", n.to_string())]
    }),
    ..Rules::plain(Kind::Job, NameRule::DnsSubdomain)
};

/// The labels by which a Job finds its pods; the short ones are the older spelling.
pub(crate) const UID_LABELS: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];
pub(crate) const NAME_LABELS: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];
const INDEXED_PARALLELISM_MAX: i32 = 100_000;
const COMPLETIONS_SOFT: i32 = 100_000;
const INDEXES_MAX: i32 = 100_000;

fn default(j: &mut Job) {
    spec_defaults(j.spec.get_or_insert_default());
    copy_labels(j);
}

/// A job without labels of its own has those of its pods.
fn copy_labels(j: &mut Job) {
    if j.metadata.labels.as_ref().is_some_and(|l| !l.is_empty()) {
        return;
    }
    let template = j.spec.as_ref().and_then(|s| s.template.metadata.as_ref());
    if let Some(labels) = template.and_then(|m| m.labels.clone()).filter(|l| !l.is_empty()) {
        j.metadata.labels = Some(labels);
    }
}

/// Defaults of a job's spec, also inside a CronJob's template.
pub(super) fn spec_defaults(spec: &mut JobSpec) {
    if spec.completions.is_none() && spec.parallelism.is_none() {
        spec.completions = Some(1);
        spec.parallelism = Some(1);
    }
    spec.parallelism.get_or_insert(1);
    let unlimited = spec.backoff_limit_per_index.is_some();
    spec.backoff_limit.get_or_insert(if unlimited { i32::MAX } else { 6 });
    spec.completion_mode.get_or_insert_with(|| "NonIndexed".into());
    spec.suspend.get_or_insert(false);
    for r in spec.pod_failure_policy.iter_mut().flat_map(|p| p.rules.iter_mut()) {
        for p in r.on_pod_conditions.iter_mut().flatten() {
            fill(&mut p.status, "True");
        }
    }
    if spec.pod_replacement_policy.is_none() {
        let policy = if spec.pod_failure_policy.is_some() { "Failed" } else { "TerminatingOrFailed" };
        spec.pod_replacement_policy = Some(policy.into());
    }
    spec.manual_selector.get_or_insert(false);
    default::template(&mut spec.template);
}

/// Generates selector and labels from the job's own uid, which the registry has set before.
fn prepare_create(j: &mut Job) {
    j.status = Some(JobStatus::default());
    j.metadata.generation = Some(1);
    let (uid, name) = (s(&j.metadata.uid).to_owned(), s(&j.metadata.name).to_owned());
    let spec = j.spec.get_or_insert_default();
    if on(spec.manual_selector) {
        return;
    }
    let labels = spec.template.metadata.get_or_insert_default().labels.get_or_insert_default();
    // Labels that were taken from the template stay the template's.
    let taken = !labels.is_empty() && j.metadata.labels.as_ref() == Some(labels);
    for (keys, value) in [(UID_LABELS, &uid), (NAME_LABELS, &name)] {
        for k in keys {
            labels.entry(k.to_owned()).or_insert_with(|| value.clone());
        }
    }
    let selector = spec.selector.get_or_insert_with(LabelSelector::default);
    let labels = selector.match_labels.get_or_insert_default();
    labels.entry(UID_LABELS[0].to_owned()).or_insert(uid);
    if taken {
        j.metadata.labels = None;
    }
    copy_labels(j);
}

fn prepare_update(n: &mut Job, o: &Job) {
    n.status.clone_from(&o.status);
    let was = o.metadata.generation.unwrap_or_default();
    n.metadata.generation = Some(if n.spec == o.spec { was } else { was + 1 });
}

fn warn(j: &Job) -> Vec<String> {
    let mut all = Vec::new();
    let name = s(&j.metadata.name);
    let why = names::dns_label(name);
    if !why.is_empty() && !name.is_empty() {
        let list = why.join(" ");
        all.push(format!("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [{list}]"));
    }
    if let Some(spec) = &j.spec {
        all.extend(crate::core::pod::warnings::template(&spec.template, &Path::new("spec.template")));
    }
    all
}

fn validate(j: &Job, e: &mut FieldErrors) {
    judge(j, true, e);
}

/// The whole job. Those that were made without the labels with a prefix need not have them.
fn judge(j: &Job, prefixed: bool, e: &mut FieldErrors) {
    let none = JobSpec::default();
    let spec = j.spec.as_ref().unwrap_or(&none);
    generated_selector(j, spec, prefixed, e);
    validate_spec(spec, &Path::new("spec"), true, e);
    if s(&spec.completion_mode) == "Indexed" && spec.completions.is_some_and(|c| c > 0) {
        // The name of the last pod is its hostname.
        let last = format!("{}-{}", s(&j.metadata.name), spec.completions.unwrap_or_default() - 1);
        if !names::dns_label(&last).is_empty() {
            let why = format!("will not able to create pod with invalid DNS label: {last}");
            e.invalid(&Path::new("metadata.name"), s(&j.metadata.name), why);
        }
    }
}

fn generated_selector(j: &Job, spec: &JobSpec, prefixed: bool, e: &mut FieldErrors) {
    if on(spec.manual_selector) || spec.selector.is_none() {
        return;
    }
    let none = Default::default();
    let labels = spec.template.metadata.as_ref().and_then(|m| m.labels.as_ref()).unwrap_or(&none);
    let at = Path::new("spec.template.metadata.labels");
    let wanted = generated(j, prefixed);
    for (k, want) in &wanted {
        match labels.get(*k) {
            None => e.required(&at.key(k), format!("must be '{want}'")),
            Some(v) if v != want => e.invalid(&at.key(k), crate::json::map(labels), format!("must be '{want}'")),
            Some(_) => {}
        }
    }
    let Some(sel) = &spec.selector else { return };
    let mut unread = FieldErrors::default();
    meta::label_selector(Some(sel), meta::Values::Strict, &at, &mut unread);
    let wanted = wanted.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    if unread.is_empty() && !Selector::from_label_selector(Some(sel)).matches(Some(&wanted)) {
        e.invalid(&Path::new("spec.selector"), crate::json::selector(sel), "`selector` not auto-generated");
    }
}

/// The labels that a generated selector finds the job's pods by, the older ones first.
fn generated(j: &Job, prefixed: bool) -> Vec<(&'static str, String)> {
    let (uid, name) = (s(&j.metadata.uid).to_owned(), s(&j.metadata.name).to_owned());
    let mut all = vec![(UID_LABELS[1], uid.clone()), (NAME_LABELS[1], name.clone())];
    if prefixed {
        all.extend([(UID_LABELS[0], uid), (NAME_LABELS[0], name)]);
    }
    all
}

const UNMATCHED: &str = "`selector` does not match template `labels`";

/// A job's spec. With `selected`, the selector must be there.
pub(super) fn validate_spec(spec: &JobSpec, path: &Path, selected: bool, e: &mut FieldErrors) {
    let before = e.len();
    counts(spec, path, e);
    failure_policy(spec, &path.child("podFailurePolicy"), e);
    success_policy(spec, &path.child("successPolicy"), e);
    replacement(spec, &path.child("podReplacementPolicy"), e);
    let at = path.child("template");
    template::validate(&spec.template, &at, e);
    let pod = spec.template.spec.as_ref();
    let policy = pod.map_or("", |p| s(&p.restart_policy));
    if policy == "Always" || !["OnFailure", "Never", ""].contains(&policy) {
        let at = at.child("spec").child("restartPolicy");
        // An update judges a job twice: what the first look told stays.
        let mut told = e.0.split_off(before);
        told.retain(|x| x.path != at);
        e.0.append(&mut told);
        e.required(&at, "valid values: \"OnFailure\", \"Never\"");
    }
    if spec.pod_failure_policy.is_some() && policy == "OnFailure" {
        let why = "only \"Never\" is supported when podFailurePolicy is specified";
        e.invalid(&at.child("spec").child("restartPolicy"), policy, why);
    }
    if selected {
        selects(spec, path, e);
    }
}

/// The selector must be there, and fit the template; one that cannot be read is compared with nothing.
fn selects(spec: &JobSpec, path: &Path, e: &mut FieldErrors) {
    let before = e.len();
    match &spec.selector {
        None => e.required(&path.child("selector"), ""),
        Some(sel) => meta::label_selector(Some(sel), meta::Values::Strict, &path.child("selector"), e),
    }
    let readable = spec.selector.is_none() || e.len() == before;
    let labels = spec.template.metadata.as_ref().and_then(|m| m.labels.as_ref());
    let fits = spec.selector.as_ref().is_some_and(|sel| Selector::from_label_selector(Some(sel)).matches(labels));
    if readable && !fits {
        let shown = labels.map_or_else(crate::json::null, crate::json::map);
        e.invalid(&path.child("template").child("metadata").child("labels"), shown, UNMATCHED);
    }
}

fn counts(spec: &JobSpec, path: &Path, e: &mut FieldErrors) {
    for (name, v) in [
        ("parallelism", spec.parallelism),
        ("completions", spec.completions),
    ] {
        not_negative_opt(v, &path.child(name), e);
    }
    not_negative(spec.active_deadline_seconds.unwrap_or_default(), &path.child("activeDeadlineSeconds"), e);
    for (name, v) in [
        ("backoffLimit", spec.backoff_limit),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index),
        ("maxFailedIndexes", spec.max_failed_indexes),
    ] {
        not_negative_opt(v, &path.child(name), e);
    }
    if spec.max_failed_indexes.is_some() && spec.backoff_limit_per_index.is_none() {
        e.required(&path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
    if let Some(m) = spec.managed_by.as_deref() {
        if m.is_empty() {
            e.required(&path.child("managedBy"), "");
        } else {
            complain(&path.child("managedBy"), m, names::domain_prefixed(m), e);
        }
        if m.len() > 63 {
            e.too_long(&path.child("managedBy"), 63);
        }
    }
    match spec.completion_mode.as_deref() {
        None | Some("NonIndexed") => {}
        Some("Indexed") => {
            if spec.completions.is_none() {
                e.required(&path.child("completions"), "when completion mode is Indexed");
            }
            let p = spec.parallelism.unwrap_or_default();
            if p > INDEXED_PARALLELISM_MAX {
                let why = format!("must be less than or equal to {INDEXED_PARALLELISM_MAX} when completion mode is Indexed");
                e.invalid(&path.child("parallelism"), p, why);
            }
            if let Some(m) = spec.max_failed_indexes {
                let at = path.child("maxFailedIndexes");
                if spec.completions.is_some_and(|c| m > c) {
                    e.invalid(&at, m, "must be less than or equal to completions");
                }
                if m > INDEXES_MAX {
                    e.invalid(&at, m, format!("must be less than or equal to {INDEXES_MAX}"));
                }
            }
            if spec.completions.is_some_and(|c| c > COMPLETIONS_SOFT) && spec.backoff_limit_per_index.is_some() {
                const PARALLEL_MAX: i32 = 10_000;
                if p > PARALLEL_MAX {
                    let why = format!("must be less than or equal to {PARALLEL_MAX} when completions are above {COMPLETIONS_SOFT} and used with backoff limit per index");
                    e.invalid(&path.child("parallelism"), p, why);
                }
            }
        }
        Some(other) => e.not_supported(&path.child("completionMode"), other, &["NonIndexed", "Indexed"]),
    }
    let plain = spec.completion_mode.as_deref().is_none_or(|m| m == "NonIndexed");
    for (name, n) in [("backoffLimitPerIndex", spec.backoff_limit_per_index), ("maxFailedIndexes", spec.max_failed_indexes)] {
        if let Some(n) = n.filter(|_| plain) {
            e.invalid(&path.child(name), n, "requires indexed completion mode");
        }
    }
}

const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
const RULES_MAX: usize = 20;

fn failure_policy(spec: &JobSpec, path: &Path, e: &mut FieldErrors) {
    let Some(p) = &spec.pod_failure_policy else { return };
    if p.rules.len() > RULES_MAX {
        e.too_many(&path.child("rules"), p.rules.len(), RULES_MAX);
    }
    for (i, r) in p.rules.iter().enumerate() {
        failure_rule(r, spec, &path.child("rules").index(i), e);
    }
}

fn failure_rule(r: &PodFailurePolicyRule, spec: &JobSpec, at: &Path, e: &mut FieldErrors) {
    if r.action.is_empty() {
        let words: Vec<String> = ACTIONS.iter().map(|a| format!("{a:?}")).collect();
        e.required(&at.child("action"), format!("valid values: [{}]", words.join(" ")));
    } else {
        one_of(&r.action, ACTIONS, &at.child("action"), e);
    }
    if r.action == "FailIndex" && spec.backoff_limit_per_index.is_none() {
        e.invalid(&at.child("action"), &r.action, "requires the backoffLimitPerIndex to be set");
    }
    let codes = r.on_exit_codes.as_ref();
    let conditions = items(&r.on_pod_conditions);
    if let Some(c) = codes {
        let at = at.child("onExitCodes");
        if c.operator.is_empty() {
            e.required(&at.child("operator"), "valid values: [\"In\" \"NotIn\"]");
        } else {
            one_of(&c.operator, &["In", "NotIn"], &at.child("operator"), e);
        }
        if let Some(name) = &c.container_name {
            let pod = spec.template.spec.as_ref();
            let known = pod.is_some_and(|p| p.containers.iter().chain(items(&p.init_containers)).any(|x| &x.name == name));
            if !known {
                e.invalid(&at.child("containerName"), name, "must be one of the container or initContainer names in the pod template");
            }
        }
        let values = &c.values;
        if values.is_empty() {
            e.invalid(&at.child("values"), crate::json::null(), "at least one value is required");
        }
        if values.len() > 255 {
            e.too_many(&at.child("values"), values.len(), 255);
        }
        let again = repeated(values);
        for (i, v) in values.iter().enumerate() {
            let at = at.child("values").index(i);
            if c.operator == "In" && *v == 0 {
                e.invalid(&at, *v, "must not be 0 for the In operator");
            }
            if again[i] {
                e.duplicate(&at, *v);
            }
        }
        if !values.is_sorted() {
            let shown = serde_json::json!(values).to_string();
            e.invalid(&at.child("values"), Bare(shown), "must be ordered");
        }
    }
    if conditions.len() > RULES_MAX {
        e.too_many(&at.child("onPodConditions"), conditions.len(), RULES_MAX);
    }
    for (i, c) in conditions.iter().enumerate() {
        let at = at.child("onPodConditions").index(i);
        complain(&at.child("type"), &c.type_, names::qualified_name(&c.type_), e);
        one_of(s(&c.status), &["False", "True", "Unknown"], &at.child("status"), e);
    }
    if codes.is_some() && !conditions.is_empty() {
        e.invalid(at, Bare("".into()), "specifying both OnExitCodes and OnPodConditions is not supported");
    }
    if codes.is_none() && conditions.is_empty() {
        e.invalid(at, Bare("".into()), "specifying one of OnExitCodes and OnPodConditions is required");
    }
}

fn success_policy(spec: &JobSpec, path: &Path, e: &mut FieldErrors) {
    let Some(p) = &spec.success_policy else { return };
    if s(&spec.completion_mode) != "Indexed" {
        e.invalid(path, shown_success(p), "requires indexed completion mode");
        return;
    }
    if p.rules.is_empty() {
        e.required(&path.child("rules"), "at least one rules must be specified when the successPolicy is specified");
    }
    if p.rules.len() > RULES_MAX {
        e.too_many(&path.child("rules"), p.rules.len(), RULES_MAX);
    }
    for (i, r) in p.rules.iter().enumerate() {
        success_rule(r, spec.completions.unwrap_or_default(), &path.child("rules").index(i), e);
    }
}

/// A success policy as Go prints it.
fn shown_success(p: &SuccessPolicy) -> Bare {
    let rule = |r: &SuccessPolicyRule| {
        let indexes = r.succeeded_indexes.as_ref().map_or("null".to_owned(), |t| format!("{t:?}"));
        let count = r.succeeded_count.map_or("null".to_owned(), |n| n.to_string());
        format!("{{\"SucceededIndexes\":{indexes},\"SucceededCount\":{count}}}")
    };
    let rules: Vec<String> = p.rules.iter().map(rule).collect();
    let list = if rules.is_empty() { "null".to_owned() } else { format!("[{}]", rules.join(",")) };
    Bare(format!("{{\"Rules\":{list}}}"))
}

fn success_rule(r: &SuccessPolicyRule, completions: i32, at: &Path, e: &mut FieldErrors) {
    if r.succeeded_count.is_none() && r.succeeded_indexes.is_none() {
        e.required(at, "at least one of succeededCount or succeededIndexes must be specified");
    }
    let mut total = None;
    if let Some(text) = &r.succeeded_indexes {
        let at = at.child("succeededIndexes");
        match index_count(text, completions) {
            Ok(n) => total = Some(n),
            Err(why) => {
                total = Some(0); 
                e.invalid(&at, text, format!("error parsing succeededIndexes: {why}"));
            }
        }
    }
    if let Some(n) = r.succeeded_count {
        let at = at.child("succeededCount");
        if n < 0 {
            e.invalid(&at, n, crate::checks::NOT_NEGATIVE);
        }
        if n > completions {
            e.invalid(&at, n, format!("must be less than or equal to {completions} (the number of specified completions)"));
        }
        if let Some(t) = total.filter(|t| n > *t) {
            e.invalid(&at, n, format!("must be less than or equal to {t} (the number of indexes in the specified succeededIndexes field)"));
        }
    }
}

/// How many indexes `1,3-5` names.
fn index_count(text: &str, completions: i32) -> Result<i32, String> {
    let (mut n, mut last) = (0, -1);
    for part in text.split(',').filter(|p| !p.is_empty()) {
        let number = |t: &str| t.parse::<i32>().map_err(|_| format!("cannot convert string to integer for index: {t:?}"));
        let (a, b) = match part.split_once('-') {
            Some((a, b)) => (number(a)?, number(b)?),
            None => (number(part)?, number(part)?),
        };
        if let Some(far) = [a, b].into_iter().find(|n| *n >= completions) {
            return Err(format!("too large index: {:?}", far.to_string()));
        }
        if a <= last || b < a {
            return Err(format!("non-increasing order, previous: {last}, current: {a}"));
        }
        n += b - a + 1;
        last = b;
    }
    Ok(n)
}

fn replacement(spec: &JobSpec, path: &Path, e: &mut FieldErrors) {
    let Some(p) = spec.pod_replacement_policy.as_deref() else { return };
    if spec.pod_failure_policy.is_some() {
        if p != "Failed" {
            e.not_supported(path, p, &["Failed"]);
        }
    } else if !["Failed", "TerminatingOrFailed"].contains(&p) {
        e.not_supported(path, p, &["Failed", "TerminatingOrFailed"]);
    }
}

fn validate_update(n: &Job, o: &Job, e: &mut FieldErrors) {
    let none = JobSpec::default();
    let (new, old) = (n.spec.as_ref().unwrap_or(&none), o.spec.as_ref().unwrap_or(&none));
    let path = Path::new("spec");
    // All of it is looked at twice.
    let had = old.template.metadata.as_ref().and_then(|m| m.labels.as_ref());
    let prefixed = had.is_some_and(|l| l.contains_key(UID_LABELS[0]) && l.contains_key(NAME_LABELS[0]));
    judge(n, prefixed, e);
    validate_spec(new, &path, true, e);
    let indexed = s(&new.completion_mode) == "Indexed";
    let elastic = indexed && (new.completions.is_none() || new.completions == new.parallelism);
    if new.completions != old.completions && !elastic {
        let shown = new.completions.map_or("null".into(), |n| n.to_string());
        let why = if indexed { "can only be modified in tandem with spec.parallelism" } else { IMMUTABLE };
        e.invalid(&path.child("completions"), Bare(shown), why);
    }
    if new.selector != old.selector {
        let shown = new.selector.as_ref().map_or_else(crate::json::null, crate::json::selector);
        e.invalid(&path.child("selector"), shown, IMMUTABLE);
    }
    template_kept(n, o, (true, true), e);
    meta::immutable_text(s(&new.completion_mode), s(&old.completion_mode), &path.child("completionMode"), e);
    if new.pod_failure_policy != old.pod_failure_policy {
        e.invalid_part(&path.child("podFailurePolicy"), ("batch.PodFailurePolicy", "/spec/podFailurePolicy"), n.clone().into(), IMMUTABLE);
    }
    if new.backoff_limit_per_index != old.backoff_limit_per_index {
        let shown = new.backoff_limit_per_index.map_or("null".into(), |n| n.to_string());
        e.invalid(&path.child("backoffLimitPerIndex"), Bare(shown), IMMUTABLE);
    }
    if new.managed_by != old.managed_by {
        let shown = new.managed_by.as_ref().map_or_else(crate::json::null, |m| Bare(format!("{m:?}")));
        e.invalid(&path.child("managedBy"), shown, IMMUTABLE);
    }
    if new.success_policy != old.success_policy {
        e.invalid_part(&path.child("successPolicy"), ("batch.SuccessPolicy", "/spec/successPolicy"), n.clone().into(), IMMUTABLE);
    }
}

/// A job that is suspended and has no pods may still change what its containers ask for (KEP-5440) and how its pods are
/// scheduled (KEP-2926); where that is not `mutable`, the latter as long as it has never started.
pub(crate) fn template_kept(n: &Job, o: &Job, mutable: (bool, bool), e: &mut FieldErrors) {
    let none = JobSpec::default();
    let (new, old) = (n.spec.as_ref().unwrap_or(&none), o.spec.as_ref().unwrap_or(&none));
    let path = Path::new("spec.template");
    let status = o.status.as_ref();
    let started = status.is_some_and(|s| s.start_time.is_some());
    let halted = status.is_some_and(|s| items(&s.conditions).iter().any(|c| c.type_ == "Suspended" && c.status == "True"));
    let idle = status.is_none_or(|s| s.active.unwrap_or_default() == 0);
    let free = on(old.suspend) && (!started || halted) && idle;
    let (resources, scheduling) = (mutable.0 && free, if mutable.1 { free } else { on(old.suspend) && !started });
    let mut template = new.template.clone();
    let before = old.template.spec.clone().unwrap_or_default();
    if scheduling {
        scheduling_of(template.spec.get_or_insert_default(), &before);
    }
    if resources {
        let pod = template.spec.get_or_insert_default();
        resources_of(&mut pod.containers, &before.containers);
        resources_of(pod.init_containers.as_mut().map_or(&mut [], Vec::as_mut_slice), items(&before.init_containers));
        if *pod != before {
            e.invalid_part(&path.child("spec"), ("PodSpec", "/spec/template/spec"), n.clone().into(), IMMUTABLE);
        }
        return;
    }
    if scheduling {
        let (mut now, was) = (template.metadata.take().unwrap_or_default(), old.template.metadata.clone());
        let before = was.clone().unwrap_or_default();
        (now.labels, now.annotations) = (before.labels.clone(), before.annotations.clone());
        template.metadata = if now == before { was } else { Some(now) };
    }
    if template != old.template {
        e.invalid_part(&path, ("PodTemplateSpec", "/spec/template"), n.clone().into(), IMMUTABLE);
    }
}

/// Of the affinity only what is about nodes.
fn scheduling_of(pod: &mut PodSpec, before: &PodSpec) {
    let nodes = before.affinity.as_ref().and_then(|a| a.node_affinity.clone());
    match (&mut pod.affinity, &before.affinity) {
        (Some(a), _) => a.node_affinity = nodes,
        (None, Some(b)) if b.pod_affinity.is_none() && b.pod_anti_affinity.is_none() => pod.affinity = Some(b.clone()),
        (None, _) => {}
    }
    if before.affinity.is_none() && pod.affinity == Some(Affinity::default()) {
        pod.affinity = None;
    }
    pod.node_selector.clone_from(&before.node_selector);
    pod.tolerations.clone_from(&before.tolerations);
    pod.scheduling_gates.clone_from(&before.scheduling_gates);
}

fn resources_of(now: &mut [Container], before: &[Container]) {
    if now.len() != before.len() {
        return;
    }
    for (c, b) in now.iter_mut().zip(before).filter(|(c, b)| c.name == b.name) {
        c.resources.clone_from(&b.resources);
    }
}
