//! `/configz`: how this kubelet is configured, with the names of `kubelet.config.k8s.io/v1beta1` (docs: "Set Kubelet
//! Parameters Via A Configuration File", viewing the configuration). Only what is in force here is listed.

use super::Server;
use super::answer::{self, Body};
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

pub(super) fn answer(server: &Server) -> Response<Body> {
    let c = &server.hands.config;
    let hard: Map<String, Value> = c.eviction_hard.named().into_iter().map(|(signal, least)| (signal.to_owned(), least.to_string().into())).collect();
    let config = json!({"kubeletconfig": {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "enableServer": true,
        "staticPodPath": c.manifest_dir,
        "podLogsDir": c.log_dir,
        "syncFrequency": "1m0s",
        "address": c.listen.map_or_else(String::new, |l| l.ip().to_string()),
        "port": c.listen.map_or(0, |l| l.port()),
        "authentication": {"x509": {}, "webhook": {"enabled": false}, "anonymous": {"enabled": false}},
        "authorization": {"mode": "Webhook"},
        "enableDebuggingHandlers": true,
        "clusterDomain": c.cluster_domain,
        "clusterDNS": c.cluster_dns.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "nodeStatusUpdateFrequency": "10s",
        "nodeStatusReportFrequency": "5m0s",
        "nodeLeaseDurationSeconds": 40,
        "imageMinimumGCAge": "2m0s",
        "imageMaximumGCAge": "0s",
        "imageGCHighThresholdPercent": pods::gc::HIGH_PERCENT,
        "imageGCLowThresholdPercent": pods::gc::LOW_PERCENT,
        "cgroupRoot": "/",
        "cgroupsPerQOS": true,
        "cgroupDriver": "cgroupfs",
        "cpuManagerPolicy": "none",
        "memoryManagerPolicy": "None",
        "topologyManagerPolicy": "none",
        "topologyManagerScope": "container",
        "maxPods": c.pods_max,
        "podPidsLimit": -1,
        "resolvConf": "/etc/resolv.conf",
        "cpuCFSQuota": true,
        "cpuCFSQuotaPeriod": "100ms",
        "nodeStatusMaxImages": 50,
        "evictionHard": hard,
        "enableControllerAttachDetach": true,
        "failSwapOn": false,
        "memorySwap": {"swapBehavior": "NoSwap"},
        "containerLogMaxSize": "10Mi",
        "containerLogMaxFiles": crate::log::rotate::FILES_MAX,
        "containerLogMonitorInterval": "10s",
        "configMapAndSecretChangeDetectionStrategy": "Watch",
        "enforceNodeAllocatable": [],
        "shutdownGracePeriod": "0s",
        "shutdownGracePeriodCriticalPods": "0s",
        "crashLoopBackOff": {},
        "seccompDefault": false,
        "registerNode": true,
        "localStorageCapacityIsolation": true,
    }});
    answer::json(StatusCode::OK, config.to_string().into_bytes())
}
