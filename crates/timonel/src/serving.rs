//! The flags of the API server's gates (fairness, audit, encryption, authentication, authorization), by kube-apiserver's own
//! names. Reference: "kube-apiserver" in the command line tools reference.

use anyhow::{Context, Result, bail};
use apiserver::audit;
use apiserver::encryption::Encryption;
use apiserver::fairness::Limits;
use clap::{ArgAction, Args};
use client::{Kubeconfig, Overrides};
use registry::sealing::Sealer;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A duration as Go writes it.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    apiserver::parse_duration(text)
}

/// Flags of the gates.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "API server")]
pub(crate) struct Serving {
    /// Requests that only read, served at the same time; with priority and fairness, part of the server's seats.
    #[arg(long, value_name = "N", default_value_t = 400)]
    pub(crate) max_requests_inflight: u32,
    /// Requests that write, served at the same time; with priority and fairness, part of the server's seats.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) max_mutating_requests_inflight: u32,
    /// Queue requests by FlowSchemas and PriorityLevelConfigurations.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) enable_priority_and_fairness: bool,
    /// Feature gates that are not as v1.36 has them: NAME=true or NAME=false, parted by commas.
    #[arg(long, value_name = "GATES")]
    pub(crate) feature_gates: Vec<String>,
    /// Admission plugins that run besides those that run by default.
    #[arg(long, value_name = "PLUGINS", value_delimiter = ',')]
    pub(crate) enable_admission_plugins: Vec<String>,
    /// Admission plugins that do not run.
    #[arg(long, value_name = "PLUGINS", value_delimiter = ',')]
    pub(crate) disable_admission_plugins: Vec<String>,
    /// What admission plugins are told (apiserver.config.k8s.io/v1 AdmissionConfiguration).
    #[arg(long, value_name = "FILE")]
    pub(crate) admission_control_config_file: Option<PathBuf>,
    /// Time that a request has, unless it streams.
    #[arg(long, value_name = "DURATION", default_value = "1m0s", value_parser = duration)]
    pub(crate) request_timeout: Duration,

    /// What to record of whom (audit.k8s.io/v1 Policy).
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_policy_file: Option<PathBuf>,
    /// Where audit events are written; '-' is standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_log_path: Option<String>,
    /// Format of the audit log: json or legacy.
    #[arg(long, value_name = "FORMAT", default_value = "json", value_parser = ["json", "legacy"])]
    pub(crate) audit_log_format: String,
    /// How events go to the log: through a buffer, at once, or at once with requests that fail when that fails.
    #[arg(long, value_name = "MODE", default_value = "blocking", value_parser = ["batch", "blocking", "blocking-strict"])]
    pub(crate) audit_log_mode: String,
    /// Events that may wait to be written to the log, in its batch mode.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) audit_log_batch_buffer_size: usize,
    /// Leave the objects out of events that are too large for the log.
    #[arg(long)]
    pub(crate) audit_log_truncate_enabled: bool,
    /// Bytes of an event that are too many for the log.
    #[arg(long, value_name = "BYTES", default_value_t = 102_400)]
    pub(crate) audit_log_truncate_max_event_size: usize,
    /// Bytes of a batch that are too many for the log; it is written event by event.
    #[arg(long, value_name = "BYTES", default_value_t = 10_485_760)]
    pub(crate) audit_log_truncate_max_batch_size: usize,
    /// Days that old audit logs are kept.
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    pub(crate) audit_log_maxage: u32,
    /// Old audit logs that are kept.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) audit_log_maxbackup: usize,
    /// Megabytes of an audit log before it turns over.
    #[arg(long, value_name = "MB", default_value_t = 0)]
    pub(crate) audit_log_maxsize: u64,
    /// Pack old audit logs with gzip.
    #[arg(long)]
    pub(crate) audit_log_compress: bool,
    /// Kubeconfig of the webhook that audit events are sent to.
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_webhook_config_file: Option<PathBuf>,
    /// How events go to the webhook: gathered, or one by one.
    #[arg(long, value_name = "MODE", default_value = "batch", value_parser = ["batch", "blocking", "blocking-strict"])]
    pub(crate) audit_webhook_mode: String,
    /// Events that may wait for the webhook.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) audit_webhook_batch_buffer_size: usize,
    /// Events of one batch.
    #[arg(long, value_name = "N", default_value_t = 400)]
    pub(crate) audit_webhook_batch_max_size: usize,
    /// How old the first event of a batch may become.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(crate) audit_webhook_batch_max_wait: Duration,
    /// Leave the objects out of events that are too large for the webhook.
    #[arg(long)]
    pub(crate) audit_webhook_truncate_enabled: bool,
    /// Bytes of an event that are too many for the webhook.
    #[arg(long, value_name = "BYTES", default_value_t = 102_400)]
    pub(crate) audit_webhook_truncate_max_event_size: usize,
    /// Bytes of a batch that are too many for the webhook.
    #[arg(long, value_name = "BYTES", default_value_t = 10_485_760)]
    pub(crate) audit_webhook_truncate_max_batch_size: usize,
    /// Batches at once, if none were sent before.
    #[arg(long, value_name = "N", default_value_t = 15)]
    pub(crate) audit_webhook_batch_throttle_burst: u32,
    /// Whether batches are throttled.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) audit_webhook_batch_throttle_enable: bool,
    /// Batches a second.
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    pub(crate) audit_webhook_batch_throttle_qps: f32,
    /// Pause before the first retry.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) audit_webhook_initial_backoff: Duration,

    /// How values are encrypted at rest (apiserver.config.k8s.io/v1 EncryptionConfiguration).
    #[arg(long, value_name = "FILE")]
    pub(crate) encryption_provider_config: Option<PathBuf>,
    /// Read that file again when it changes.
    #[arg(long, value_name = "BOOL", default_value_t = false, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) encryption_provider_config_automatic_reload: bool,

    /// Issuers of tokens and who may be anonymous (apiserver.config.k8s.io/v1 AuthenticationConfiguration).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["oidc_issuer_url", "oidc_client_id"])]
    pub(crate) authentication_config: Option<PathBuf>,
    /// Whether requests without credentials are let in as system:anonymous.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) anonymous_auth: bool,
    /// An OpenID issuer whose tokens are accepted.
    #[arg(long, value_name = "URL", requires = "oidc_client_id")]
    pub(crate) oidc_issuer_url: Option<String>,
    /// The audience that its tokens must be for.
    #[arg(long, value_name = "ID", requires = "oidc_issuer_url")]
    pub(crate) oidc_client_id: Option<String>,
    /// The claim that is the user's name.
    #[arg(long, value_name = "CLAIM", default_value = "sub")]
    pub(crate) oidc_username_claim: String,
    /// What is put before the user's name; '-' is nothing.
    #[arg(long, value_name = "PREFIX")]
    pub(crate) oidc_username_prefix: Option<String>,
    /// The claim that is the user's groups.
    #[arg(long, value_name = "CLAIM")]
    pub(crate) oidc_groups_claim: Option<String>,
    /// What is put before the groups' names.
    #[arg(long, value_name = "PREFIX")]
    pub(crate) oidc_groups_prefix: Option<String>,
    /// Claims that tokens must have: name=value.
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    pub(crate) oidc_required_claim: Vec<String>,
    /// Signature algorithms that are accepted.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "RS256")]
    pub(crate) oidc_signing_algs: Vec<String>,
    /// Authorities of the issuer's certificate; the system's unless given.
    #[arg(long, value_name = "FILE")]
    pub(crate) oidc_ca_file: Option<PathBuf>,
    /// Tokens and their users: token,user,uid,"group1,group2".
    #[arg(long, value_name = "FILE")]
    pub(crate) token_auth_file: Option<PathBuf>,
    /// Kubeconfig of the service that knows further tokens.
    #[arg(long, value_name = "FILE")]
    pub(crate) authentication_token_webhook_config_file: Option<PathBuf>,
    /// How long its answers are kept.
    #[arg(long, value_name = "DURATION", default_value = "2m0s", value_parser = duration)]
    pub(crate) authentication_token_webhook_cache_ttl: Duration,
    /// Version of the TokenReviews that it is sent.
    #[arg(long, value_name = "VERSION", default_value = "v1beta1", value_parser = ["v1", "v1beta1"])]
    pub(crate) authentication_token_webhook_version: String,
    /// Further authorities of client certificates.
    #[arg(long, value_name = "FILE")]
    pub(crate) client_ca_file: Option<PathBuf>,
    /// Authorities of front proxies, instead of the cluster's own.
    #[arg(long, value_name = "FILE")]
    pub(crate) requestheader_client_ca_file: Option<PathBuf>,
    /// Common names of front proxies; none is any.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "front-proxy-client")]
    pub(crate) requestheader_allowed_names: Vec<String>,
    /// Headers with the user's name.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "X-Remote-User")]
    pub(crate) requestheader_username_headers: Vec<String>,
    /// Headers with the user's uid.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "X-Remote-Uid")]
    pub(crate) requestheader_uid_headers: Vec<String>,
    /// Headers with the user's groups.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "X-Remote-Group")]
    pub(crate) requestheader_group_headers: Vec<String>,
    /// What headers with the user's extras begin with.
    #[arg(long, value_name = "PREFIXES", value_delimiter = ',', default_value = "X-Remote-Extra-")]
    pub(crate) requestheader_extra_headers_prefix: Vec<String>,

    /// Authorizers in their order.
    #[arg(long, value_name = "MODES", value_delimiter = ',', default_value = "Node,RBAC")]
    pub(crate) authorization_mode: Vec<String>,
    /// Policies of the mode ABAC, one a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) authorization_policy_file: Option<PathBuf>,
    /// Authorizers in their order (apiserver.config.k8s.io/v1 AuthorizationConfiguration).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["authorization_webhook_config_file"])]
    pub(crate) authorization_config: Option<PathBuf>,
    /// Kubeconfig of the webhook authorizer.
    #[arg(long, value_name = "FILE")]
    pub(crate) authorization_webhook_config_file: Option<PathBuf>,
    /// How long its permissions are kept.
    #[arg(long, value_name = "DURATION", default_value = "5m0s")]
    pub(crate) authorization_webhook_cache_authorized_ttl: String,
    /// How long its refusals are kept.
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(crate) authorization_webhook_cache_unauthorized_ttl: String,
    /// Version of the SubjectAccessReviews that it is sent.
    #[arg(long, value_name = "VERSION", default_value = "v1beta1", value_parser = ["v1", "v1beta1"])]
    pub(crate) authorization_webhook_version: String,

    /// Issuers of service account tokens: the first signs, all are accepted.
    #[arg(long, value_name = "URL")]
    pub(crate) service_account_issuer: Vec<String>,
    /// Audiences of the API server; the issuers unless given.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) api_audiences: Vec<String>,
    /// The private key that signs service account tokens (RSA or P-256); sa.key of the pki directory unless given.
    #[arg(long, value_name = "FILE")]
    pub(crate) service_account_signing_key_file: Option<PathBuf>,
    /// Further public keys of service account tokens that are accepted.
    #[arg(long, value_name = "FILE")]
    pub(crate) service_account_key_file: Vec<PathBuf>,
    /// Where the issuer's document says that its keys are.
    #[arg(long, value_name = "URL")]
    pub(crate) service_account_jwks_uri: Option<String>,
    /// The longest lifetime of a requested token.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) service_account_max_token_expiration: Option<Duration>,
    /// Let pods' tokens outlive their rotation, for clients that do not read them again.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) service_account_extend_token_expiration: bool,
}

/// The client that a webhook's kubeconfig describes.
pub(crate) fn webhook_client(path: &Path) -> Result<client::Config> {
    let file = Kubeconfig::load(Some(path)).with_context(|| format!("reading {}", path.display()))?;
    file.config(&Overrides::default()).with_context(|| format!("reading {}", path.display()))
}

impl Serving {
    /// The feature gates.
    pub(crate) fn gates(&self) -> Result<rules::Gates> {
        let gates = rules::Gates::parse(&self.feature_gates.join(",")).context("--feature-gates")?;
        let idle: Vec<_> = gates.idle().collect();
        if !idle.is_empty() {
            tracing::warn!(gates = idle.join(","), "Feature gates that change nothing in Timonel");
        }
        Ok(gates)
    }

    /// The admission plugins.
    pub(crate) fn plugins(&self) -> Result<rules::Plugins> {
        Ok(rules::Plugins::with(&self.enable_admission_plugins, &self.disable_admission_plugins)?)
    }

    /// What the admission plugins are told.
    pub(crate) fn admission(&self) -> Result<crate::admission::Plugins> {
        let plugins = self.plugins()?;
        let said = match &self.admission_control_config_file {
            Some(path) => crate::admission::read(path, |name| plugins.adds(name)).context("--admission-control-config-file")?,
            None => crate::admission::Plugins::default(),
        };
        if plugins.adds("EventRateLimit") && said.settings.event_limits.is_empty() {
            bail!("failed to initialize admission: couldn't init admission plugin \"EventRateLimit\": no configuration has been provided");
        }
        if plugins.adds("ImagePolicyWebhook") && said.images.is_none() {
            bail!("failed to initialize admission: couldn't init admission plugin \"ImagePolicyWebhook\": no config specified");
        }
        Ok(said)
    }

    /// The limits at the door.
    pub(crate) fn limits(&self) -> Result<Limits> {
        let (reads, writes) = (self.max_requests_inflight, self.max_mutating_requests_inflight);
        if self.enable_priority_and_fairness && reads + writes == 0 {
            bail!("--max-requests-inflight and --max-mutating-requests-inflight are both 0: with --enable-priority-and-fairness their sum must be positive");
        }
        Ok(Limits { fair: self.enable_priority_and_fairness, reads, writes, timeout: self.request_timeout })
    }

    /// Auditing, if there is a policy and somewhere to write to.
    pub(crate) fn audit(&self) -> Result<Option<audit::Options>> {
        let Some(path) = &self.audit_policy_file else { return Ok(None) };
        let text = std::fs::read_to_string(path).with_context(|| format!("failed to read file path {}", path.display()))?;
        let policy = audit::Policy::parse(&text).with_context(|| path.display().to_string())?;
        let mode = match self.audit_log_mode.as_str() {
            "batch" => audit::Mode::Batch(self.audit_log_batch_buffer_size),
            "blocking-strict" => audit::Mode::Strict,
            _ => audit::Mode::Blocking,
        };
        let most = self.audit_log_truncate_max_event_size.min(self.audit_log_truncate_max_batch_size);
        let log = self.audit_log_path.as_ref().map(|p| audit::LogOptions {
            mode,
            truncate: self.audit_log_truncate_enabled.then_some(most),
            target: if p == "-" { audit::Target::Stdout } else { audit::Target::File(p.into()) },
            format: if self.audit_log_format == "legacy" { audit::Format::Legacy } else { audit::Format::Json },
            max_age_days: self.audit_log_maxage,
            max_backups: self.audit_log_maxbackup,
            max_size_mb: self.audit_log_maxsize,
            compress: self.audit_log_compress,
        });
        let webhook = self.audit_webhook_config_file.as_ref().map(|p| self.audit_webhook(p)).transpose()?;
        Ok((log.is_some() || webhook.is_some()).then_some(audit::Options { policy, log, webhook }))
    }

    /// The sealer of stored values, if there is one.
    pub(crate) async fn sealer(&self) -> Result<Option<Arc<dyn Sealer>>> {
        let Some(path) = &self.encryption_provider_config else { return Ok(None) };
        let sealer = Encryption::open(path.clone(), self.encryption_provider_config_automatic_reload).await?;
        Ok(Some(sealer))
    }

    fn audit_webhook(&self, path: &Path) -> Result<audit::WebhookOptions> {
        let mode = match self.audit_webhook_mode.as_str() {
            "batch" => audit::Mode::Batch(self.audit_webhook_batch_buffer_size),
            "blocking-strict" => audit::Mode::Strict,
            _ => audit::Mode::Blocking,
        };
        let throttle = (self.audit_webhook_batch_throttle_qps, self.audit_webhook_batch_throttle_burst);
        Ok(audit::WebhookOptions {
            truncate: self.audit_webhook_truncate_enabled.then_some(self.audit_webhook_truncate_max_event_size),
            batch_bytes: if self.audit_webhook_truncate_enabled { self.audit_webhook_truncate_max_batch_size } else { usize::MAX },
            config: webhook_client(path)?,
            mode,
            batching: audit::Batching {
                most: self.audit_webhook_batch_max_size.max(1),
                wait: self.audit_webhook_batch_max_wait,
                throttle: self.audit_webhook_batch_throttle_enable.then_some(throttle),
            },
            initial_backoff: self.audit_webhook_initial_backoff,
        })
    }
}
