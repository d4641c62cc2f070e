//! Tables and laws of `plugins`.

use crate::kit::{Cluster, node, placed, pod};

/// Whether a pod fits the node `n` of a cluster, and what is said if not.
fn check_fits(spec: &str, world: &str, expect: &str) {
    let p = pod(&format!("metadata: {{name: p, labels: {{app: web}}}}\nspec: {spec}"));
    assert_eq!(Cluster::new(world).refuses(&p, "n"), expect, "{spec}\n{world}");
}

const PLAIN: &str = "{containers: [{name: c}]}";

fn plain() -> String {
    node("n", "2", "zone: a", "")
}

#[test]
fn taints() {
    let tainted = node("n", "2", "", "taints: [{key: k, value: v, effect: NoSchedule}]");
    let soft = node("n", "2", "", "taints: [{key: k, value: v, effect: PreferNoSchedule}]");
    const NO: &str = "TaintToleration: node(s) had untolerated taint(s)";
    check_fits(PLAIN, &tainted, NO);
    check_fits(PLAIN, &soft, "");
    let with = |t: &str| format!("{{tolerations: [{t}], containers: [{{name: c}}]}}");
    check_fits(&with("{key: k, operator: Exists}"), &tainted, "");
    check_fits(&with("{operator: Exists}"), &tainted, "");
    check_fits(&with("{key: k, value: v}"), &tainted, "");
    check_fits(&with("{key: k, value: w}"), &tainted, NO);
    check_fits(&with("{key: k, value: v, effect: NoExecute}"), &tainted, NO);
    check_fits(&with("{key: other, operator: Exists}"), &tainted, NO);
}

#[test]
fn cordons_and_names() {
    let cordoned = node("n", "2", "", "unschedulable: true");
    check_fits(PLAIN, &cordoned, "NodeUnschedulable: node(s) were unschedulable");
    let tolerant = "{tolerations: [{key: node.kubernetes.io/unschedulable, operator: Exists}], containers: [{name: c}]}";
    check_fits(tolerant, &cordoned, "");
    check_fits("{nodeName: m, containers: [{name: c}]}", &plain(), "NodeName: node(s) didn't match the requested node name");
}

#[test]
fn node_affinity() {
    const NO: &str = "NodeAffinity: node(s) didn't match Pod's node affinity/selector";
    check_fits("{nodeSelector: {zone: a}, containers: [{name: c}]}", &plain(), "");
    check_fits("{nodeSelector: {zone: b}, containers: [{name: c}]}", &plain(), NO);
    let required = |terms: &str| {
        format!("{{affinity: {{nodeAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: {{nodeSelectorTerms: [{terms}]}}}}}}, containers: [{{name: c}}]}}")
    };
    check_fits(&required("{matchExpressions: [{key: zone, operator: In, values: [a, b]}]}"), &plain(), "");
    check_fits(&required("{matchExpressions: [{key: zone, operator: NotIn, values: [a]}]}"), &plain(), NO);
    check_fits(&required("{matchExpressions: [{key: disk, operator: DoesNotExist}]}"), &plain(), "");
    check_fits(&required("{matchFields: [{key: metadata.name, operator: In, values: ['n']}]}"), &plain(), "");
    check_fits(&required("{matchFields: [{key: metadata.name, operator: In, values: [m]}]}"), &plain(), NO);
    check_fits(&required("{}"), &plain(), NO);
    check_fits(&required("{}, {matchExpressions: [{key: zone, operator: Exists}]}"), &plain(), "");
    let numbered = node("n", "2", "gen: '5'", "");
    check_fits(&required("{matchExpressions: [{key: gen, operator: Gt, values: ['4']}]}"), &numbered, "");
    check_fits(&required("{matchExpressions: [{key: gen, operator: Lt, values: ['4']}]}"), &numbered, NO);
}

#[test]
fn resources() {
    let asks = |r: &str| format!("{{containers: [{{name: c, resources: {{requests: {{{r}}}}}}}]}}");
    check_fits(&asks("cpu: '2', memory: 8Gi"), &plain(), "");
    check_fits(&asks("cpu: 2001m, memory: 9Gi"), &plain(), "NodeResourcesFit: Insufficient cpu, Insufficient memory");
    check_fits(&asks("nvidia.com/gpu: '1'"), &plain(), "NodeResourcesFit: Insufficient nvidia.com/gpu");
    check_fits(&asks("ephemeral-storage: 1Gi"), &plain(), "NodeResourcesFit: Insufficient ephemeral-storage");
    let used = plain() + &placed("a", "n", "1500m", "", 0);
    check_fits(&asks("cpu: 501m"), &used, "NodeResourcesFit: Insufficient cpu");
    check_fits(&asks("cpu: 500m"), &used, "");
    let ended = used.clone() + "status: {phase: Succeeded}\n";
    check_fits(&asks("cpu: '2'"), &ended, "");
    let full = plain().replace("pods: '110'", "pods: '1'") + &placed("a", "n", "0", "", 0);
    check_fits(PLAIN, &full, "NodeResourcesFit: Too many pods");
    // The init peak counts, sidecars add up, overhead comes on top, pod-level requests replace the sum.
    let init = "{initContainers: [{name: i, resources: {requests: {cpu: '3'}}}], containers: [{name: c}]}";
    check_fits(init, &plain(), "NodeResourcesFit: Insufficient cpu");
    let sidecar = "{initContainers: [{name: i, restartPolicy: Always, resources: {requests: {cpu: '1'}}}], containers: [{name: c, resources: {requests: {cpu: 1100m}}}]}";
    check_fits(sidecar, &plain(), "NodeResourcesFit: Insufficient cpu");
    let overhead = "{overhead: {cpu: 500m}, containers: [{name: c, resources: {requests: {cpu: 1600m}}}]}";
    check_fits(overhead, &plain(), "NodeResourcesFit: Insufficient cpu");
    let level = "{resources: {requests: {cpu: '3'}}, containers: [{name: c, resources: {requests: {cpu: '1'}}}]}";
    check_fits(level, &plain(), "NodeResourcesFit: Insufficient cpu");
}

#[test]
fn ports() {
    const NO: &str = "NodePorts: node(s) didn't have free ports for the requested pod ports";
    let wants = |p: &str| format!("{{containers: [{{name: c, ports: [{{containerPort: 80, {p}}}]}}]}}");
    let used = plain()
        + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {nodeName: 'n', containers: [{name: c, ports: [{containerPort: 80, hostPort: 80, hostIP: 10.0.0.1}]}]}\n";
    check_fits(&wants("hostPort: 80"), &used, NO);
    check_fits(&wants("hostPort: 80, hostIP: 10.0.0.2"), &used, "");
    check_fits(&wants("hostPort: 80, protocol: UDP"), &used, "");
    check_fits(&wants("hostPort: 81"), &used, "");
    check_fits(&wants("name: web"), &used, "");
}

fn two_zones() -> String {
    node("n", "4", "zone: a", "") + &node("m", "4", "zone: b", "")
}

#[test]
fn pod_affinity() {
    let term = |kind: &str, extra: &str| {
        format!("{{affinity: {{{kind}: {{requiredDuringSchedulingIgnoredDuringExecution: [{{topologyKey: zone, labelSelector: {{matchLabels: {{app: db}}}}{extra}}}]}}}}, containers: [{{name: c}}]}}")
    };
    const NEAR: &str = "InterPodAffinity: node(s) didn't match pod affinity rules";
    const APART: &str = "InterPodAffinity: node(s) didn't match pod anti-affinity rules";
    let db_far = two_zones() + &placed("db", "m", "0", "app: db", 0);
    let db_here = two_zones() + &placed("db", "n", "0", "app: db", 0);
    check_fits(&term("podAffinity", ""), &two_zones(), NEAR);
    check_fits(&term("podAffinity", ""), &db_far, NEAR);
    check_fits(&term("podAffinity", ""), &db_here, "");
    check_fits(&term("podAntiAffinity", ""), &db_far, "");
    check_fits(&term("podAntiAffinity", ""), &db_here, APART);
    // Other namespaces count only when they are meant.
    let elsewhere = db_here.replace("{name: db,", "{name: db, namespace: other,")
        + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: other, labels: {team: blue}}\n";
    check_fits(&term("podAntiAffinity", ""), &elsewhere, "");
    check_fits(&term("podAntiAffinity", ", namespaces: [other]"), &elsewhere, APART);
    check_fits(&term("podAntiAffinity", ", namespaceSelector: {matchLabels: {team: blue}}"), &elsewhere, APART);
    check_fits(&term("podAntiAffinity", ", namespaceSelector: {matchLabels: {team: red}}"), &elsewhere, "");
    check_fits(&term("podAntiAffinity", ", namespaceSelector: {}"), &elsewhere, APART);
    // The first of a group that wants to be near itself may start.
    check_fits(&term("podAffinity", "").replace("app: db", "app: web"), &two_zones(), "");
    // Those who are there may mind, too.
    let minds = two_zones()
        + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {nodeName: 'n', affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: zone, labelSelector: {matchLabels: {app: web}}}]}}, containers: [{name: c}]}\n";
    check_fits(PLAIN, &minds, "InterPodAffinity: node(s) didn't satisfy existing pods anti-affinity rules");
}

#[test]
fn spread() {
    let spec = |more: &str| {
        format!("{{topologySpreadConstraints: [{{topologyKey: zone, maxSkew: 1, whenUnsatisfiable: DoNotSchedule, labelSelector: {{matchLabels: {{app: web}}}}{more}}}], containers: [{{name: c}}]}}")
    };
    const NO: &str = "PodTopologySpread: node(s) didn't match pod topology spread constraints";
    let one = two_zones() + &placed("a", "n", "0", "app: web", 0);
    check_fits(&spec(""), &two_zones(), "");
    check_fits(&spec(""), &one, NO);
    check_fits(&spec(""), &(one.clone() + &placed("b", "m", "0", "app: web", 0)), "");
    check_fits(&spec(", minDomains: 3"), &(one.clone() + &placed("b", "m", "0", "app: web", 0)), NO);
    let bare = node("n", "4", "", "") + &node("m", "4", "zone: b", "");
    check_fits(&spec(""), &bare, &format!("{NO} (missing required label)"));
    // A tainted zone counts unless taints are to be honoured.
    let tainted = node("n", "4", "zone: a", "") + &node("m", "4", "zone: b", "taints: [{key: k, effect: NoSchedule}]") + &placed("a", "n", "0", "app: web", 0);
    check_fits(&spec(""), &tainted, NO);
    check_fits(&spec(", nodeTaintsPolicy: Honor"), &tainted, "");
    // Only pods of the same generation count.
    check_fits(&spec(", matchLabelKeys: [rev]").replace("containers", "nodeSelector: {}, containers"), &one, NO);
}

#[test]
fn scores() {
    let p = pod("metadata: {name: p, labels: {app: web}}\nspec: {containers: [{name: c, image: nginx, resources: {requests: {cpu: '1', memory: 1Gi}}}]}");
    let busy = two_zones() + &placed("a", "n", "2", "app: web", 0);
    let c = Cluster::new(&busy);
    let of = |plugin: &str| c.scores(&p, plugin);
    let pair = |m: i64, n: i64| vec![("m".to_owned(), m), ("n".to_owned(), n)];
    // Free after: m 75 % cpu, 87 % memory; n 25 %, and 200 MiB less.
    assert_eq!(of("NodeResourcesFit"), pair(81, 55));
    assert_eq!(of("TaintToleration"), pair(100, 100));
    assert_eq!(of("NodeAffinity"), pair(0, 0));
    // |1/4 - 1/8| / 2 and |3/4 - 1/8| / 2.
    assert_eq!(of("NodeResourcesBalancedAllocation"), pair(93, 68));
    let spread = pod("metadata: {name: p, labels: {app: web}}\nspec: {topologySpreadConstraints: [{topologyKey: zone, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: web}}}], containers: [{name: c}]}");
    assert_eq!(c.scores(&spread, "PodTopologySpread"), pair(100, 0));
    let likes = pod("metadata: {name: p}\nspec: {affinity: {podAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 5, podAffinityTerm: {topologyKey: zone, labelSelector: {matchLabels: {app: web}}}}]}}, containers: [{name: c}]}");
    assert_eq!(c.scores(&likes, "InterPodAffinity"), pair(0, 100));
    // A service makes the system's own constraints apply.
    let served = busy + "---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {selector: {app: web}}\n";
    assert_eq!(Cluster::new(&served).scores(&p, "PodTopologySpread"), pair(100, 66));
}

#[test]
fn images() {
    let with = node("n", "4", "", "").replace("status:\n", "status:\n  images: [{names: ['nginx:latest'], sizeBytes: 600000000}]\n");
    let c = Cluster::new(&(with + &node("m", "4", "", "")));
    let p = pod("metadata: {name: p}\nspec: {containers: [{name: c, image: nginx}]}");
    assert_eq!(c.scores(&p, "ImageLocality"), vec![("m".to_owned(), 0), ("n".to_owned(), 26)]);
}
