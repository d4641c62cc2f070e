//! Credential plugins (docs: "client-go credential plugins"): a program prints an `ExecCredential` with a token or a client
//! certificate. It is run once; its answer lives as long as the client.

use crate::kubeconfig::Config;
use crate::Error;
use serde_json::{Value, json};
use std::process::{Command, Stdio};

/// What follows on a plugin that is not there.
const ABSENT: &str = "It looks like you are trying to use a client-go credential plugin that is not installed.\n\nTo learn more about this feature, consult the documentation available at:\n      https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins";

/// What a plugin gave.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) token: Option<String>,
    pub(crate) certificate: Option<Vec<u8>>,
    pub(crate) key: Option<Vec<u8>>,
}

/// Runs the plugin of a configuration, if it has one.
pub(crate) fn run(config: &Config) -> Result<Given, Error> {
    let Some(exec) = &config.exec else { return Ok(Given::default()) };
    let program = exec["command"].as_str().unwrap_or_default();
    let version = exec["apiVersion"].as_str().unwrap_or_default();
    let mut command = Command::new(program);
    for arg in exec["args"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        command.arg(arg);
    }
    for pair in exec["env"].as_array().into_iter().flatten() {
        command.env(pair["name"].as_str().unwrap_or_default(), pair["value"].as_str().unwrap_or_default());
    }
    let interactive = exec["interactiveMode"].as_str() != Some("Never");
    let mut spec = json!({ "interactive": interactive });
    if exec["provideClusterInfo"] == true {
        spec["cluster"] = config.cluster.clone();
    }
    let info = json!({ "kind": "ExecCredential", "apiVersion": version, "spec": spec });
    command.env("KUBERNETES_EXEC_INFO", info.to_string()).stderr(Stdio::inherit());
    command.stdin(if interactive { Stdio::inherit() } else { Stdio::null() });
    let hint = exec["installHint"].as_str().map(|h| format!("\n\n{h}")).unwrap_or_default();
    let bad = |e: String| Error::Connect(format!("getting credentials: {e}"));
    let output = command.output().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => bad(format!("exec: executable {program} not found\n\n{ABSENT}{hint}")),
        _ => bad(format!("exec: {e}")),
    })?;
    if !output.status.success() {
        let code = output.status.code().unwrap_or(-1);
        return Err(bad(format!("exec: executable {program} failed with exit code {code}")));
    }
    let answer: Value = serde_json::from_slice(&output.stdout).map_err(|e| bad(format!("decoding stdout: {e}")))?;
    if answer["apiVersion"] != version {
        return Err(bad(format!("exec plugin is configured to use API version {version}, plugin returned version {}", answer["apiVersion"].as_str().unwrap_or_default())));
    }
    let status = &answer["status"];
    let text = |k: &str| status[k].as_str().filter(|s| !s.is_empty()).map(str::to_owned);
    let given = Given {
        token: text("token"),
        certificate: text("clientCertificateData").map(String::into_bytes),
        key: text("clientKeyData").map(String::into_bytes),
    };
    if given.token.is_none() && given.certificate.is_none() {
        return Err(bad("exec plugin didn't return a token or cert/key pair".to_owned()));
    }
    Ok(given)
}
