//! `/configz`: how this kubelet is configured, with the names of `kubelet.config.k8s.io/v1beta1` (docs: "Set Kubelet
//! Parameters Via A Configuration File", viewing the configuration). Only what is in force here is listed.

use super::Server;
use super::answer::{self, Body};
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

pub(super) fn answer(server: &Server) -> Response<Body> {
    let c = &server.hands.config;
    let hard: Map<String, Value> = c.eviction_hard.named().into_iter().map(|(signal, least)| (signal.to_owned(), least.to_string().into())).collect();
    let fields = [
        ("kind", json!("KubeletConfiguration")),
        ("apiVersion", json!("kubelet.config.k8s.io/v1beta1")),
        ("enableServer", json!(true)),
        ("staticPodPath", json!(c.manifest_dir)),
        ("podLogsDir", json!(c.log_dir)),
        ("syncFrequency", json!("1m0s")),
        ("address", json!(c.listen.map_or_else(String::new, |l| l.ip().to_string()))),
        ("port", json!(c.listen.map_or(0, |l| l.port()))),
        ("authentication", json!({"x509": {}, "webhook": {"enabled": false}, "anonymous": {"enabled": false}})),
        ("authorization", json!({"mode": "Webhook"})),
        ("enableDebuggingHandlers", json!(true)),
        ("clusterDomain", json!(c.cluster_domain)),
        ("clusterDNS", json!(c.cluster_dns.iter().map(ToString::to_string).collect::<Vec<_>>())),
        ("nodeStatusUpdateFrequency", json!("10s")),
        ("nodeStatusReportFrequency", json!("5m0s")),
        ("nodeLeaseDurationSeconds", json!(40)),
        ("imageMinimumGCAge", json!("2m0s")),
        ("imageMaximumGCAge", json!("0s")),
        ("imageGCHighThresholdPercent", json!(pods::gc::HIGH_PERCENT)),
        ("imageGCLowThresholdPercent", json!(pods::gc::LOW_PERCENT)),
        ("cgroupRoot", json!("/")),
        ("cgroupsPerQOS", json!(true)),
        ("cgroupDriver", json!("cgroupfs")),
        ("cpuManagerPolicy", json!("none")),
        ("memoryManagerPolicy", json!("None")),
        ("topologyManagerPolicy", json!("none")),
        ("topologyManagerScope", json!("container")),
        ("maxPods", json!(c.pods_max)),
        ("podPidsLimit", json!(-1)),
        ("resolvConf", json!("/etc/resolv.conf")),
        ("cpuCFSQuota", json!(true)),
        ("cpuCFSQuotaPeriod", json!("100ms")),
        ("nodeStatusMaxImages", json!(50)),
        ("evictionHard", json!(hard)),
        ("enableControllerAttachDetach", json!(true)),
        ("failSwapOn", json!(false)),
        ("memorySwap", json!({"swapBehavior": "NoSwap"})),
        ("containerLogMaxSize", json!("10Mi")),
        ("containerLogMaxFiles", json!(crate::log::rotate::FILES_MAX)),
        ("containerLogMonitorInterval", json!("10s")),
        ("configMapAndSecretChangeDetectionStrategy", json!("Watch")),
        ("enforceNodeAllocatable", json!([])),
        ("shutdownGracePeriod", json!("0s")),
        ("shutdownGracePeriodCriticalPods", json!("0s")),
        ("crashLoopBackOff", json!({})),
        ("seccompDefault", json!(false)),
        ("registerNode", json!(true)),
        ("localStorageCapacityIsolation", json!(true)),
    ];
    let fields: Map<String, Value> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let config = json!({ "kubeletconfig": fields });
    answer::json(StatusCode::OK, config.to_string().into_bytes())
}
