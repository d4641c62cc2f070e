//! The tree of commands with their flags.

use crate::flags::with;
use crate::help;
use clap::{Arg, ArgAction, Command};

/// The commands in the order in which the original counts them.
pub(crate) const ORDER: [&str; 45] = [
    "create", "expose", "run", "set", "explain", "get", "edit", "delete", "rollout", "scale", "autoscale", "certificate", "cluster-info", "top", "cordon", "uncordon", "drain", "taint",
    "describe", "logs", "attach", "exec", "port-forward", "proxy", "cp", "auth", "debug", "events", "diff", "apply", "patch", "replace", "wait", "kustomize", "label", "annotate",
    "completion", "alpha", "api-resources", "api-versions", "config", "plugin", "version", "options", "help",
];

const GLOBAL: &[&str] = &[
    "as= Act as this user",
    "as-group+ Act as a member of this group; may be given several times",
    "as-uid= Act with this UID",
    "as-user-extra+ Act with this extra of a user, KEY=VALUE",
    "kuberc= Accepted for compatibility; no kuberc file is read",
    "log-flush-frequency= Accepted for compatibility",
    "profile= Accepted for compatibility",
    "profile-output= Accepted for compatibility",
    "vmodule= Accepted for compatibility",
    "cache-dir= Accepted for compatibility; nothing is cached",
    "certificate-authority= File of the authority's certificate",
    "client-certificate= File of the client's certificate",
    "client-key= File of the client's key",
    "cluster= Cluster of the kubeconfig",
    "context= Context of the kubeconfig",
    "disable-compression Answers are never compressed",
    "insecure-skip-tls-verify Do not check the server's certificate",
    "kubeconfig= Kubeconfig file",
    "match-server-version Refuse a server of another version",
    "n,namespace= Namespace",
    "password= Password for basic authentication",
    "request-timeout= Longest time of one request: 1s, 2m, 3h; 0 means no limit",
    "s,server= Address of the API server",
    "tls-server-name= Name that the server's certificate must have",
    "token= Bearer token",
    "user= User of the kubeconfig",
    "username= Username for basic authentication",
    "v,v= Accepted for compatibility",
    "warnings-as-errors Treat warnings of the server as errors",
];

/// Flags of commands that print objects.
const PRINT: &[&str] = &[
    "o,output= Output format: json, yaml, name, go-template, go-template-file, jsonpath, jsonpath-as-json, jsonpath-file, custom-columns, wide",
    "template= Template of -o go-template",
    "show-managed-fields Keep managedFields in JSON and YAML",
    "allow-missing-template-keys Ignore missing fields in templates",
];
const FILES: &[&str] = &["f,filename* Files, directories or - for standard input", "R,recursive Process directories recursively", "k,kustomize= A kustomization directory"];
const WRITE: &[&str] = &["dry-run?unchanged Must be none, server or client", "field-manager= Name under which fields are owned", "validate?strict Must be strict (true), warn or ignore (false)"];
const SAVE: &[&str] = &["save-config Keep the configuration in the object's annotation"];
const SELECT: &[&str] = &["l,selector= Selector (label query)"];
const GENERATE: &[&[&str]] = &[PRINT, WRITE, SAVE];

const ALL: &[&str] = &["all All objects of the type in the namespace", "A,all-namespaces All namespaces", "field-selector= Selector (field query)"];
const MARK: &[&str] = &["overwrite Overwrite what is there", "list List what is there", "resource-version= Precondition", "local Do not contact the server"];
const LOCAL: &[&str] = &["local Do not contact the server"];
const DELETES: &[&str] = &["cascade?background Must be background, orphan or foreground", "force Remove at once, without grace", "grace-period= Seconds to terminate gracefully", "timeout= How long to wait", "wait Wait for resources to be gone"];
const SESSION: &[&str] = &["c,container= Container name", "i,stdin Pass stdin to the container", "t,tty Stdin is a TTY", "q,quiet Only print output of the session", "pod-running-timeout= How long to wait for a pod"];
const RUN: &[&str] = &[
    "annotations+ Annotations to apply to the pod",
    "attach Attach to the pod once it runs",
    "command The arguments are the command of the container",
    "env+ Environment variables",
    "expose Create a ClusterIP service too",
    "image= The image for the container to run",
    "image-pull-policy= The image pull policy",
    "l,labels= Labels to apply to the pod",
    "leave-stdin-open Leave stdin open after the first attach",
    "override-type= json, merge or strategic",
    "overrides= An inline JSON override",
    "pod-running-timeout= How long to wait for the pod",
    "port= The port that this container exposes",
    "privileged Run the container in privileged mode",
    "q,quiet Suppress prompt messages",
    "restart= The restart policy: Always, OnFailure, Never",
    "rm Delete the pod after it exits",
    "i,stdin Keep stdin open",
    "t,tty Allocate a TTY",
];
const EXPOSE: &[&str] = &[
    "cluster-ip= ClusterIP, or None",
    "external-ip= External IP address",
    "l,labels= Labels of the service",
    "load-balancer-ip= IP of the load balancer",
    "name= Name of the service",
    "override-type= json, merge or strategic",
    "overrides= An inline JSON override",
    "port= The port of the service",
    "protocol= Network protocol",
    "selector= Label selector of the service",
    "session-affinity= None or ClientIP",
    "target-port= Port of the container",
    "type= ClusterIP, NodePort, LoadBalancer or ExternalName",
];
const LOGS: &[&str] = &[
    "all-containers All containers of the pods",
    "all-pods All pods of the workload",
    "c,container= Container name",
    "f,follow Follow the logs",
    "ignore-errors Errors while following are not fatal",
    "insecure-skip-tls-verify-backend Do not check the kubelet's certificate",
    "limit-bytes= Most bytes to return",
    "max-log-requests= Most streams to follow at once",
    "pod-running-timeout= How long to wait for a pod",
    "prefix Prefix each line with its source",
    "p,previous Logs of the previous instance",
    "since= Only logs newer than this duration",
    "since-time= Only logs after this time",
    "tail= Lines of recent log",
    "timestamps Include timestamps",
];

fn command(name: &'static str, flags: &[&[&'static str]]) -> Command {
    let mut command = Command::new(name);
    for set in flags {
        command = with(command, set);
    }
    command
        .arg(Arg::new("args").num_args(0..).action(ArgAction::Append).hide(true))
        .arg(Arg::new("rest").num_args(0..).last(true).allow_hyphen_values(true).action(ArgAction::Append).hide(true))
}

fn family(name: &'static str, children: Vec<Command>) -> Command {
    Command::new(name).subcommands(children).subcommand_required(false)
}

fn create() -> Command {
    let generate = |name, own: &[&'static str]| {
        let mut sets = GENERATE.to_vec();
        sets.push(own);
        command(name, &sets)
    };
    let service = family(
        "service",
        vec![
            generate("clusterip", &["tcp* Port pairs <port>:<targetPort>", "clusterip= Own ClusterIP, or None for headless"]),
            generate("nodeport", &["tcp* Port pairs <port>:<targetPort>", "node-port= Port on every node"]),
            generate("loadbalancer", &["tcp* Port pairs <port>:<targetPort>"]),
            generate("externalname", &["tcp* Port pairs <port>:<targetPort>", "external-name= External name of service"]),
        ],
    )
    .alias("svc");
    let pairs: &[&str] = &["from-literal+ Key and literal value", "from-file+ Key files", "from-env-file+ Files of key=val pairs", "append-hash Append a hash to the name"];
    let secret = family(
        "secret",
        vec![
            command("generic", &[PRINT, WRITE, SAVE, pairs, &["type= The type of secret"]]),
            generate("tls", &["cert= Path to PEM encoded certificate", "key= Path to private key", "append-hash Append a hash to the name"]),
            generate("docker-registry", &["docker-server= Server", "docker-username= Username", "docker-password= Password", "docker-email= Email", "from-file+ Key files", "append-hash Append a hash to the name"]),
        ],
    );
    let subjects: &[&str] = &["clusterrole= ClusterRole to bind", "user+ Users", "group+ Groups", "serviceaccount+ Service accounts, <namespace>:<name>"];
    let rules: &[&str] = &["verb* Verbs", "resource* Resources", "resource-name* Resource names"];
    let children = vec![
        generate("deployment", &["image* Image names to run", "port= The containerPort", "r,replicas= Number of replicas"]).aliases(["deploy", "dep"]),
        service,
        generate("job", &["image= Image name to run", "from= The resource to create the job from (cronjob/NAME)"]),
        generate("cronjob", &["image= Image name to run", "schedule= A schedule in the Cron format", "restart= The restart policy: OnFailure, Never"]).alias("cj"),
        command("configmap", &[PRINT, WRITE, SAVE, pairs]).alias("cm"),
        secret,
        generate("namespace", &[]).alias("ns"),
        generate("serviceaccount", &[]).alias("sa"),
        command("role", &[PRINT, WRITE, SAVE, rules]),
        command("clusterrole", &[PRINT, WRITE, SAVE, rules, &["non-resource-url* Non resource URLs", "aggregation-rule= Label selectors of cluster roles to aggregate"]]),
        command("rolebinding", &[PRINT, WRITE, SAVE, subjects, &["role= Role to bind"]]),
        command("clusterrolebinding", &[PRINT, WRITE, SAVE, subjects]),
        generate("ingress", &["rule+ Rule host/path=service:port[,tls[=secret]]", "class= Ingress class", "default-backend= Default service svcname:port", "annotation+ Annotations"]).alias("ing"),
        generate("poddisruptionbudget", &["selector= Label selector", "min-available= Minimum available", "max-unavailable= Maximum unavailable"]).alias("pdb"),
        generate("quota", &["hard= resource=quantity pairs", "scopes= Quota scopes"]).alias("resourcequota"),
        generate("priorityclass", &["value= The value", "description= Description", "global-default Whether it is the default", "preemption-policy= Preemption policy"]).alias("pc"),
        generate("token", &["audience+ Audience", "duration= Requested lifetime", "bound-object-kind= Kind of an object to bind to", "bound-object-name= Its name", "bound-object-uid= Its uid"]),
    ];
    command("create", &[FILES, PRINT, WRITE, SAVE, SELECT, &["edit Edit before creating", "raw= Raw URI to POST to"]]).subcommands(children)
}

/// The flags of every command, for `kubectl options`.
pub(crate) fn options() -> String {
    let holder = with(Command::new("x").disable_help_flag(true), GLOBAL);
    holder.clone().help_template("{options}").render_help().to_string() + "\n"
}

/// The whole tree.
pub(crate) fn tree() -> Command {
    let delete: &[&str] = &[
        "all Delete all resources of the type in the namespace",
        "A,all-namespaces All namespaces",
        "cascade?background Must be background, orphan or foreground",
        "field-selector= Selector (field query)",
        "force Remove at once, without grace",
        "grace-period= Seconds to terminate gracefully",
        "ignore-not-found Treat not found as success",
        "now The same as --grace-period=1",
        "o,output= Output mode: name",
        "timeout= How long to wait",
        "wait Wait for resources to be gone",
        "dry-run?unchanged Must be none, server or client",
        "i,interactive Ask before deleting",
        "raw= Raw URI to DELETE",
    ];
    let get: &[&str] = &[
        "A,all-namespaces List across all namespaces",
        "chunk-size= Return large lists in chunks",
        "field-selector= Selector (field query)",
        "ignore-not-found Not found is no error",
        "L,label-columns* Labels to show as columns",
        "no-headers Do not print headers",
        "output-watch-events Print the events of a watch",
        "raw= Raw URI to request",
        "server-print Tables come from the server",
        "show-kind List the resource type",
        "show-labels Show all labels as the last column",
        "sort-by= Sort by this JSONPath expression",
        "subresource= A subresource of the object",
        "w,watch Watch for changes after listing",
        "watch-only Watch for changes without listing",
    ];
    let apply: &[&str] = &[
        "all Select all resources for --prune",
        "cascade?background Must be background, orphan or foreground",
        "force Delete and recreate what cannot be patched",
        "force-conflicts Force server-side apply against conflicts",
        "grace-period= Seconds to terminate gracefully",
        "openapi-patch Accepted for compatibility",
        "overwrite Accepted for compatibility",
        "prune Delete what the manifests no longer have",
        "prune-allowlist+ Kinds (group/version/kind) that are looked at for --prune",
        "server-side Run in the server instead of the client",
        "subresource= A subresource of the object",
        "timeout= How long to wait",
        "wait Wait for resources to be gone",
    ];
    let root = with(Command::new("kubectl"), &[]).disable_help_subcommand(false).subcommands(vec![
        create(),
        command("describe", &[FILES, SELECT, &["A,all-namespaces All namespaces", "show-events Show the events too", "chunk-size= Accepted for compatibility"]]),
        family("rollout", vec![
            command("status", &[FILES, SELECT, &["revision= Pin to this revision", "timeout= How long to watch", "w,watch Watch until it is done"]]),
            command("history", &[FILES, PRINT, SELECT, &["revision= Details of this revision"]]),
            command("undo", &[FILES, PRINT, WRITE, SELECT, &["to-revision= The revision to roll back to"]]),
            command("restart", &[FILES, PRINT, SELECT, &["field-manager= Name under which fields are owned"]]),
            command("pause", &[FILES, PRINT, SELECT, &["field-manager= Name under which fields are owned"]]),
            command("resume", &[FILES, PRINT, SELECT, &["field-manager= Name under which fields are owned"]]),
        ]),
        command("wait", &[FILES, SELECT, ALL, &["for= delete, create, condition=NAME[=VALUE], jsonpath=PATH[=VALUE]", "timeout= How long to wait"], PRINT]),
        command("drain", &[WRITE, SELECT, &[
            "delete-emptydir-data Evict pods with emptyDir volumes", "disable-eviction Delete instead of evicting", "force Evict pods without a controller too", "grace-period= Seconds to terminate gracefully",
            "ignore-daemonsets Leave pods of DaemonSets", "pod-selector= Only these pods", "timeout= How long to wait", "chunk-size= Accepted for compatibility", "skip-wait-for-delete-timeout= Accepted for compatibility",
        ]]),
        command("explain", &[&["recursive Print the names of all fields", "api-version= Use this version of the resource", "output= plaintext or plaintext-openapiv2"]]),
        command("cp", &[&["c,container= Container name", "no-preserve Do not keep owner and mode", "retries= Accepted for compatibility"]]),
        command("diff", &[FILES, SELECT, &["field-manager= Name of the manager", "force-conflicts Force server-side apply", "server-side Run in the server", "show-managed-fields Show managedFields too", "concurrency= Accepted for compatibility", "prune Show what an apply would delete", "prune-allowlist+ Kinds (group/version/kind) that are looked at for --prune"]]),
        command("port-forward", &[&["address* Addresses to listen on", "pod-running-timeout= How long to wait for a pod"]]),
        command("api-resources", &[&["o,output= name or wide", "namespaced Only resources in namespaces", "api-group= Only this group", "verbs* Only with these verbs", "categories* Only in these categories", "sort-by= name or kind", "no-headers Do not print headers", "cached Accepted for compatibility"]]),
        command("api-versions", &[]),
        command("version", &[&["client Only the client's", "o,output= yaml or json"]]),
        command("cluster-info", &[]).subcommands(vec![command("dump", &[PRINT, &["A,all-namespaces All namespaces", "namespaces* Namespaces to dump", "output-directory= Where to write files", "pod-running-timeout= How long to wait for logs"]])]),
        command("autoscale", &[FILES, PRINT, WRITE, SAVE, &["max= Most pods", "min= Fewest pods", "cpu-percent= Target CPU utilization in percent", "cpu= Target CPU: 70% or 500m", "memory= Target memory: 60% or 200Mi", "name= Name of the autoscaler"]]),
        command("certificate", &[]).subcommands(vec![
            command("approve", &[FILES, PRINT, &["force Update the request even if it is approved"]]),
            command("deny", &[FILES, PRINT, &["force Update the request even if it is denied"]]),
        ]),
        command("debug", &[&[
            "arguments-only The words after -- are arguments, not a command", "attach Attach to the debugging container", "c,container= Container name", "copy-to= Make a copy of the pod with this name", "custom= Accepted for compatibility", "env+ Environment variables", "f,filename* Files, directories or -",
            "image= Image of the debugging container", "image-pull-policy= Image pull policy", "keep-annotations Accepted for compatibility", "keep-init-containers Keep init containers in a copy", "keep-labels Keep labels in a copy", "keep-liveness Keep liveness probes", "keep-readiness Keep readiness probes", "keep-startup Keep startup probes",
            "q,quiet Suppress messages", "replace Delete the original of a copy", "same-node Put a copy on the same node", "set-image= Container images of a copy: name=image", "share-processes Share the process namespace in a copy", "i,stdin Keep stdin open", "target= Container whose processes to see", "t,tty Allocate a TTY",
        ]]),
        command("proxy", &[&[
            "accept-hosts= Hosts that are accepted", "accept-paths= Paths that are accepted", "address= Where to serve", "api-prefix= Prefix of the API", "append-server-path Accepted for compatibility", "disable-filter Do not filter requests", "keepalive= Accepted for compatibility", "p,port= Port to serve on, 0 for any",
            "reject-methods= Methods that are refused", "reject-paths= Paths that are refused", "u,unix-socket= Serve on a unix socket", "w,www= Files to serve", "P,www-prefix= Prefix of files",
        ]]),
        command("kustomize", &[&["o,output= Where to write", "enable-helm Accepted for compatibility", "load-restrictor= Accepted for compatibility", "network Accepted for compatibility"]]),
        family("plugin", vec![command("list", &[&["name-only Names without paths"]])]),
        command("options", &[]),
        command("alpha", &[]),
        family("auth", vec![
            command("can-i", &[&["A,all-namespaces All namespaces", "list List all allowed actions", "no-headers Do not print headers", "q,quiet Only the exit code", "subresource= A subresource"]]),
            command("whoami", &[PRINT]),
            command("reconcile", &[FILES, PRINT, WRITE, &["remove-extra-permissions Remove what manifests do not have", "remove-extra-subjects Remove what manifests do not have"]]),
        ]),
        command("events", &[&["A,all-namespaces All namespaces", "for= Only of this object, TYPE/NAME", "types* Only these types", "no-headers Do not print headers", "w,watch Watch for new events", "chunk-size= Return large lists in chunks"], PRINT]),
        family("config", vec![
            command("view", &[PRINT, &["flatten Flatten into one file", "minify Only the current context", "raw Show the raw data", "merge Accepted for compatibility"]]),
            command("current-context", &[]),
            command("get-contexts", &[&["o,output= name", "no-headers Do not print headers"]]),
            command("get-clusters", &[]),
            command("get-users", &[]),
            command("use-context", &[]).alias("use"),
            command("rename-context", &[]),
            command("delete-context", &[]),
            command("delete-cluster", &[]),
            command("delete-user", &[]),
            command("set-context", &[&["current The current context"]]),
            command("set-cluster", &[&["embed-certs Embed the certificates", "proxy-url= URL of a proxy"]]),
            command("set-credentials", &[&["embed-certs Embed the certificates", "auth-provider= Auth provider", "auth-provider-arg+ key=value arguments of the provider", "exec-command= Command of a credential plugin", "exec-api-version= API version of the plugin", "exec-arg+ Arguments of the plugin", "exec-env+ key=value environment of the plugin", "exec-interactive-mode= Whether the plugin may ask", "exec-provide-cluster-info Tell the plugin of the cluster"]]),
            command("set", &[&["set-raw-bytes Encode the bytes"]]),
            command("unset", &[]),
        ]),
        family("top", vec![command("node", &[SELECT]).alias("nodes"), command("pod", &[SELECT, &["A,all-namespaces All namespaces", "containers Of containers"]]).alias("pods")]),
        command("completion", &[]),
        command("run", &[PRINT, WRITE, SAVE, RUN, DELETES]),
        command("expose", &[FILES, PRINT, WRITE, SAVE, EXPOSE]),
        command("logs", &[SELECT, LOGS]),
        command("exec", &[FILES, SESSION]),
        command("attach", &[SESSION]),
        command("scale", &[FILES, PRINT, WRITE, SELECT, ALL, &["replicas= The new desired number of replicas", "current-replicas= Precondition for current size", "resource-version= Precondition for resource version", "timeout= How long to wait"]]),
        command("label", &[FILES, PRINT, WRITE, SELECT, ALL, MARK]),
        command("annotate", &[FILES, PRINT, WRITE, SELECT, ALL, MARK]),
        command("patch", &[FILES, PRINT, WRITE, &["p,patch= The patch", "patch-file= A file with the patch", "type= json, merge or strategic", "subresource= A subresource of the object", "local Do not contact the server"]]),
        family("set", vec![
            command("image", &[FILES, PRINT, WRITE, SELECT, ALL, LOCAL]),
            command("env", &[FILES, PRINT, WRITE, SELECT, ALL, LOCAL, &["e,env+ Pairs to set", "c,containers= Containers by name", "list List the environment", "overwrite Overwrite variables", "from= Take variables of a ConfigMap or Secret", "keys* Only these keys of --from", "prefix= Prefix of variables of --from", "resolve Show values of references"]]),
            command("resources", &[FILES, PRINT, WRITE, SELECT, ALL, LOCAL, &["c,containers= Containers by name", "limits= Limits", "requests= Requests"]]),
            command("serviceaccount", &[FILES, PRINT, WRITE, ALL, LOCAL]).alias("sa"),
            command("selector", &[FILES, PRINT, WRITE, ALL, LOCAL, &["resource-version= Precondition"]]),
            command("subject", &[FILES, PRINT, WRITE, SELECT, ALL, LOCAL, &["user+ Users", "group+ Groups", "serviceaccount+ Service accounts, <namespace>:<name>"]]),
        ]),
        command("taint", &[PRINT, WRITE, SELECT, ALL, &["overwrite Overwrite taints"]]),
        command("cordon", &[WRITE, SELECT]),
        command("uncordon", &[WRITE, SELECT]),
        command("replace", &[FILES, PRINT, WRITE, SAVE, DELETES, &["raw= Raw URI to PUT to", "subresource= A subresource of the object"]]),
        command("edit", &[FILES, PRINT, WRITE, SAVE, &["subresource= A subresource of the object", "windows-line-endings Accepted for compatibility", "output-patch Show the patch"]]),
        command("get", &[FILES, PRINT, SELECT, get]),
        command("apply", &[FILES, PRINT, WRITE, SELECT, apply]).subcommands(vec![
            command("view-last-applied", &[FILES, SELECT, &["all All objects of the type in the namespace", "o,output= yaml or json"]]),
            command("set-last-applied", &[FILES, PRINT, WRITE, &["create-annotation Create the annotation if it is missing"]]),
            command("edit-last-applied", &[FILES, PRINT, WRITE, &["windows-line-endings Accepted for compatibility"]]),
        ]),
        command("delete", &[FILES, SELECT, delete]),
    ]);
    let root = help::dress(root, "");
    GLOBAL.iter().fold(root, |root, spec| {
        let holder = with(Command::new("x"), &[spec]);
        let arg = holder.get_arguments().next().cloned().expect("a flag was just added");
        root.arg(arg.global(true))
    })
}
