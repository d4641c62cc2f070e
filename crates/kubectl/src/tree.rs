//! The tree of commands with their flags.

use crate::flags::with;
use clap::{Arg, ArgAction, Command};

/// The commands in the order in which the original counts them.
pub(crate) const ORDER: [&str; 45] = [
    "create", "expose", "run", "set", "explain", "get", "edit", "delete", "rollout", "scale", "autoscale", "certificate", "cluster-info", "top", "cordon", "uncordon", "drain", "taint",
    "describe", "logs", "attach", "exec", "port-forward", "proxy", "cp", "auth", "debug", "events", "diff", "apply", "patch", "replace", "wait", "kustomize", "label", "annotate",
    "completion", "alpha", "api-resources", "api-versions", "config", "plugin", "version", "options", "help",
];

const GLOBAL: &[&str] = &[
    "as= Username to impersonate for the operation",
    "as-group+ Group to impersonate, may be repeated",
    "as-uid= UID to impersonate for the operation",
    "as-user-extra+ Extra of the user to impersonate, key=value",
    "kuberc= Accepted for compatibility; no kuberc file is read",
    "log-flush-frequency= Accepted for compatibility",
    "profile= Accepted for compatibility",
    "profile-output= Accepted for compatibility",
    "vmodule= Accepted for compatibility",
    "cache-dir= Accepted for compatibility; nothing is cached",
    "certificate-authority= Path to a cert file for the certificate authority",
    "client-certificate= Path to a client certificate file for TLS",
    "client-key= Path to a client key file for TLS",
    "cluster= The name of the kubeconfig cluster to use",
    "context= The name of the kubeconfig context to use",
    "disable-compression Answers are never compressed",
    "insecure-skip-tls-verify Do not check the server's certificate",
    "kubeconfig= Path to the kubeconfig file to use",
    "match-server-version Require server version to match client version",
    "n,namespace= The namespace scope of this request",
    "password= Password for basic authentication",
    "request-timeout= How long to wait for a single request (1s, 2m, 3h; 0: no limit)",
    "s,server= The address and port of the API server",
    "tls-server-name= Server name to use for certificate validation",
    "token= Bearer token for authentication",
    "user= The name of the kubeconfig user to use",
    "username= Username for basic authentication",
    "v,v= Number for the log level verbosity",
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
const WRITE: &[&str] = &["dry-run?unchanged Must be none, server or client", "field-manager= Name of the manager used to track field ownership", "validate?strict Must be strict (true), warn or ignore (false)"];
const SAVE: &[&str] = &["save-config Keep the configuration in the object's annotation"];
const SELECT: &[&str] = &["l,selector= Selector (label query)"];
const GENERATE: &[&[&str]] = &[PRINT, WRITE, SAVE];

const ALL: &[&str] = &["all Select all resources of the type in the namespace", "A,all-namespaces All namespaces", "field-selector= Selector (field query)"];
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

fn command(name: &'static str, about: &'static str, flags: &[&[&'static str]]) -> Command {
    let mut command = Command::new(name).about(about);
    for set in flags {
        command = with(command, set);
    }
    command
        .arg(Arg::new("args").num_args(0..).action(ArgAction::Append).hide(true))
        .arg(Arg::new("rest").num_args(0..).last(true).allow_hyphen_values(true).action(ArgAction::Append).hide(true))
}

fn family(name: &'static str, about: &'static str, children: Vec<Command>) -> Command {
    Command::new(name).about(about).subcommands(children).subcommand_required(false)
}

fn create() -> Command {
    let generate = |name, about, own: &[&'static str]| {
        let mut sets = GENERATE.to_vec();
        sets.push(own);
        command(name, about, &sets)
    };
    let service = family(
        "service",
        "Create a service using a specified subcommand",
        vec![
            generate("clusterip", "Create a ClusterIP service", &["tcp* Port pairs <port>:<targetPort>", "clusterip= Own ClusterIP, or None for headless"]),
            generate("nodeport", "Create a NodePort service", &["tcp* Port pairs <port>:<targetPort>", "node-port= Port on every node"]),
            generate("loadbalancer", "Create a LoadBalancer service", &["tcp* Port pairs <port>:<targetPort>"]),
            generate("externalname", "Create an ExternalName service", &["tcp* Port pairs <port>:<targetPort>", "external-name= External name of service"]),
        ],
    )
    .alias("svc");
    let pairs: &[&str] = &["from-literal+ Key and literal value", "from-file+ Key files", "from-env-file+ Files of key=val pairs", "append-hash Append a hash to the name"];
    let secret = family(
        "secret",
        "Create a secret using a specified subcommand",
        vec![
            command("generic", "Create a secret from a local file, directory, or literal value", &[PRINT, WRITE, SAVE, pairs, &["type= The type of secret"]]),
            generate("tls", "Create a TLS secret", &["cert= Path to PEM encoded certificate", "key= Path to private key", "append-hash Append a hash to the name"]),
            generate("docker-registry", "Create a secret for use with a registry", &["docker-server= Server", "docker-username= Username", "docker-password= Password", "docker-email= Email", "from-file+ Key files", "append-hash Append a hash to the name"]),
        ],
    );
    let subjects: &[&str] = &["clusterrole= ClusterRole to bind", "user+ Users", "group+ Groups", "serviceaccount+ Service accounts, <namespace>:<name>"];
    let rules: &[&str] = &["verb* Verbs", "resource* Resources", "resource-name* Resource names"];
    let children = vec![
        generate("deployment", "Create a deployment with the specified name", &["image* Image names to run", "port= The containerPort", "r,replicas= Number of replicas"]).aliases(["deploy", "dep"]),
        service,
        generate("job", "Create a job with the specified name", &["image= Image name to run", "from= The resource to create the job from (cronjob/NAME)"]),
        generate("cronjob", "Create a cron job with the specified name", &["image= Image name to run", "schedule= A schedule in the Cron format", "restart= The restart policy: OnFailure, Never"]).alias("cj"),
        command("configmap", "Create a config map from a local file, directory or literal value", &[PRINT, WRITE, SAVE, pairs]).alias("cm"),
        secret,
        generate("namespace", "Create a namespace with the specified name", &[]).alias("ns"),
        generate("serviceaccount", "Create a service account with the specified name", &[]).alias("sa"),
        command("role", "Create a role with single rule", &[PRINT, WRITE, SAVE, rules]),
        command("clusterrole", "Create a cluster role", &[PRINT, WRITE, SAVE, rules, &["non-resource-url* Non resource URLs", "aggregation-rule= Label selectors of cluster roles to aggregate"]]),
        command("rolebinding", "Create a role binding", &[PRINT, WRITE, SAVE, subjects, &["role= Role to bind"]]),
        command("clusterrolebinding", "Create a cluster role binding", &[PRINT, WRITE, SAVE, subjects]),
        generate("ingress", "Create an ingress with the specified name", &["rule+ Rule host/path=service:port[,tls[=secret]]", "class= Ingress class", "default-backend= Default service svcname:port", "annotation+ Annotations"]).alias("ing"),
        generate("poddisruptionbudget", "Create a pod disruption budget", &["selector= Label selector", "min-available= Minimum available", "max-unavailable= Maximum unavailable"]).alias("pdb"),
        generate("quota", "Create a quota with the specified name", &["hard= resource=quantity pairs", "scopes= Quota scopes"]).alias("resourcequota"),
        generate("priorityclass", "Create a priority class", &["value= The value", "description= Description", "global-default Whether it is the default", "preemption-policy= Preemption policy"]).alias("pc"),
        generate("token", "Request a service account token", &["audience+ Audience", "duration= Requested lifetime", "bound-object-kind= Kind of an object to bind to", "bound-object-name= Its name", "bound-object-uid= Its uid"]),
    ];
    command("create", "Create a resource from a file or from stdin", &[FILES, PRINT, WRITE, SAVE, SELECT, &["edit Edit before creating", "raw= Raw URI to POST to"]]).subcommands(children)
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
        "prune-allowlist+ Accepted for compatibility",
        "server-side Run in the server instead of the client",
        "subresource= A subresource of the object",
        "timeout= How long to wait",
        "wait Wait for resources to be gone",
    ];
    let root = with(Command::new("kubectl"), &[]).about("kubectl controls the Kubernetes cluster manager").disable_help_subcommand(false).subcommands(vec![
        create(),
        command("describe", "Show details of a specific resource or group of resources", &[FILES, SELECT, &["A,all-namespaces All namespaces", "show-events Show the events too", "chunk-size= Accepted for compatibility"]]),
        family("rollout", "Manage the rollout of a resource", vec![
            command("status", "Show the status of the rollout", &[FILES, SELECT, &["revision= Pin to this revision", "timeout= How long to watch", "w,watch Watch until it is done"]]),
            command("history", "View rollout history", &[FILES, PRINT, SELECT, &["revision= Details of this revision"]]),
            command("undo", "Undo a previous rollout", &[FILES, PRINT, WRITE, SELECT, &["to-revision= The revision to roll back to"]]),
            command("restart", "Restart a resource", &[FILES, PRINT, SELECT, &["field-manager= Name of the manager used to track field ownership"]]),
            command("pause", "Mark the provided resource as paused", &[FILES, PRINT, SELECT, &["field-manager= Name of the manager used to track field ownership"]]),
            command("resume", "Resume a paused resource", &[FILES, PRINT, SELECT, &["field-manager= Name of the manager used to track field ownership"]]),
        ]),
        command("wait", "Wait for a specific condition on one or many resources", &[FILES, SELECT, ALL, &["for= delete, create, condition=NAME[=VALUE], jsonpath=PATH[=VALUE]", "timeout= How long to wait"], PRINT]),
        command("drain", "Drain node in preparation for maintenance", &[WRITE, SELECT, &[
            "delete-emptydir-data Evict pods with emptyDir volumes", "disable-eviction Delete instead of evicting", "force Evict pods without a controller too", "grace-period= Seconds to terminate gracefully",
            "ignore-daemonsets Leave pods of DaemonSets", "pod-selector= Only these pods", "timeout= How long to wait", "chunk-size= Accepted for compatibility", "skip-wait-for-delete-timeout= Accepted for compatibility",
        ]]),
        command("explain", "Get documentation for a resource", &[&["recursive Print the names of all fields", "api-version= Use this version of the resource", "output= plaintext or plaintext-openapiv2"]]),
        command("cp", "Copy files and directories to and from containers", &[&["c,container= Container name", "no-preserve Do not keep owner and mode", "retries= Accepted for compatibility"]]),
        command("diff", "Diff the live version against a would-be applied version", &[FILES, SELECT, &["field-manager= Name of the manager", "force-conflicts Force server-side apply", "server-side Run in the server", "show-managed-fields Show managedFields too", "concurrency= Accepted for compatibility", "prune Accepted for compatibility"]]),
        command("port-forward", "Forward one or more local ports to a pod", &[&["address* Addresses to listen on", "pod-running-timeout= How long to wait for a pod"]]),
        command("api-resources", "Print the supported API resources on the server", &[&["o,output= name or wide", "namespaced Only resources in namespaces", "api-group= Only this group", "verbs* Only with these verbs", "categories* Only in these categories", "sort-by= name or kind", "no-headers Do not print headers", "cached Accepted for compatibility"]]),
        command("api-versions", "Print the supported API versions on the server, in the form of group/version", &[]),
        command("version", "Print the client and server version information", &[&["client Only the client's", "o,output= yaml or json"]]),
        command("cluster-info", "Display cluster information", &[]).subcommands(vec![command("dump", "Dump relevant information for debugging and diagnosis", &[PRINT, &["A,all-namespaces All namespaces", "namespaces* Namespaces to dump", "output-directory= Where to write files", "pod-running-timeout= How long to wait for logs"]])]),
        command("autoscale", "Auto-scale a deployment, replica set, stateful set, or replication controller", &[FILES, PRINT, WRITE, SAVE, &["max= Most pods", "min= Fewest pods", "cpu-percent= Target CPU utilization in percent", "cpu= Target CPU: 70% or 500m", "memory= Target memory: 60% or 200Mi", "name= Name of the autoscaler"]]),
        command("certificate", "Modify certificate resources", &[]).subcommands(vec![
            command("approve", "Approve a certificate signing request", &[FILES, PRINT, &["force Update the request even if it is approved"]]),
            command("deny", "Deny a certificate signing request", &[FILES, PRINT, &["force Update the request even if it is denied"]]),
        ]),
        command("debug", "Create debugging sessions for troubleshooting workloads and nodes", &[&[
            "arguments-only The words after -- are arguments, not a command", "attach Attach to the debugging container", "c,container= Container name", "copy-to= Make a copy of the pod with this name", "custom= Accepted for compatibility", "env+ Environment variables", "f,filename* Files, directories or -",
            "image= Image of the debugging container", "image-pull-policy= Image pull policy", "keep-annotations Accepted for compatibility", "keep-init-containers Keep init containers in a copy", "keep-labels Keep labels in a copy", "keep-liveness Keep liveness probes", "keep-readiness Keep readiness probes", "keep-startup Keep startup probes",
            "q,quiet Suppress messages", "replace Delete the original of a copy", "same-node Put a copy on the same node", "set-image= Container images of a copy: name=image", "share-processes Share the process namespace in a copy", "i,stdin Keep stdin open", "target= Container whose processes to see", "t,tty Allocate a TTY",
        ]]),
        command("proxy", "Run a proxy to the Kubernetes API server", &[&[
            "accept-hosts= Hosts that are accepted", "accept-paths= Paths that are accepted", "address= Where to serve", "api-prefix= Prefix of the API", "append-server-path Accepted for compatibility", "disable-filter Do not filter requests", "keepalive= Accepted for compatibility", "p,port= Port to serve on, 0 for any",
            "reject-methods= Methods that are refused", "reject-paths= Paths that are refused", "u,unix-socket= Serve on a unix socket", "w,www= Files to serve", "P,www-prefix= Prefix of files",
        ]]),
        command("kustomize", "Build a kustomization target from a directory", &[&["o,output= Where to write", "enable-helm Accepted for compatibility", "load-restrictor= Accepted for compatibility", "network Accepted for compatibility"]]),
        family("plugin", "Provides utilities for interacting with plugins", vec![command("list", "List all visible plugin executables on a user's PATH", &[&["name-only Names without paths"]])]),
        command("options", "Print the list of flags inherited by all commands", &[]),
        command("alpha", "Commands for features in alpha", &[]),
        family("auth", "Inspect authorization", vec![
            command("can-i", "Check whether an action is allowed", &[&["A,all-namespaces All namespaces", "list List all allowed actions", "no-headers Do not print headers", "q,quiet Only the exit code", "subresource= A subresource"]]),
            command("whoami", "Experimental: Check self subject attributes", &[PRINT]),
            command("reconcile", "Reconciles rules for RBAC role, role binding, cluster role, and cluster role binding objects", &[FILES, PRINT, WRITE, &["remove-extra-permissions Remove what manifests do not have", "remove-extra-subjects Remove what manifests do not have"]]),
        ]),
        command("events", "List events", &[&["A,all-namespaces All namespaces", "for= Only of this object, TYPE/NAME", "types* Only these types", "no-headers Do not print headers", "w,watch Watch for new events", "chunk-size= Return large lists in chunks"], PRINT]),
        family("config", "Modify kubeconfig files", vec![
            command("view", "Display merged kubeconfig settings", &[PRINT, &["flatten Flatten into one file", "minify Only the current context", "raw Show the raw data", "merge Accepted for compatibility"]]),
            command("current-context", "Display the current-context", &[]),
            command("get-contexts", "Describe one or many contexts", &[&["o,output= name", "no-headers Do not print headers"]]),
            command("get-clusters", "Display clusters defined in the kubeconfig", &[]),
            command("get-users", "Display users defined in the kubeconfig", &[]),
            command("use-context", "Set the current-context in a kubeconfig file", &[]).alias("use"),
            command("rename-context", "Rename a context from the kubeconfig file", &[]),
            command("delete-context", "Delete the specified context from the kubeconfig", &[]),
            command("delete-cluster", "Delete the specified cluster from the kubeconfig", &[]),
            command("delete-user", "Delete the specified user from the kubeconfig", &[]),
            command("set-context", "Set a context entry in kubeconfig", &[&["current The current context"]]),
            command("set-cluster", "Set a cluster entry in kubeconfig", &[&["embed-certs Embed the certificates", "proxy-url= URL of a proxy"]]),
            command("set-credentials", "Set a user entry in kubeconfig", &[&["embed-certs Embed the certificates", "auth-provider= Auth provider", "auth-provider-arg+ key=value arguments of the provider", "exec-command= Command of a credential plugin", "exec-api-version= API version of the plugin", "exec-arg+ Arguments of the plugin", "exec-env+ key=value environment of the plugin", "exec-interactive-mode= Whether the plugin may ask", "exec-provide-cluster-info Tell the plugin of the cluster"]]),
            command("set", "Set an individual value in a kubeconfig file", &[&["set-raw-bytes Encode the bytes"]]),
            command("unset", "Unset an individual value in a kubeconfig file", &[]),
        ]),
        family("top", "Display resource (CPU/memory) usage", vec![command("node", "Display resource usage of nodes", &[SELECT]).alias("nodes"), command("pod", "Display resource usage of pods", &[SELECT, &["A,all-namespaces All namespaces", "containers Of containers"]]).alias("pods")]),
        command("completion", "Output shell completion code for the specified shell (bash, zsh, fish, or powershell)", &[]),
        command("run", "Run a particular image on the cluster", &[PRINT, WRITE, SAVE, RUN, DELETES]),
        command("expose", "Take a replication controller, service, deployment or pod and expose it as a new Kubernetes service", &[FILES, PRINT, WRITE, SAVE, EXPOSE]),
        command("logs", "Print the logs for a container in a pod", &[SELECT, LOGS]),
        command("exec", "Execute a command in a container", &[FILES, SESSION]),
        command("attach", "Attach to a running container", &[SESSION]),
        command("scale", "Set a new size for a deployment, replica set, or replication controller", &[FILES, PRINT, WRITE, SELECT, ALL, &["replicas= The new desired number of replicas", "current-replicas= Precondition for current size", "resource-version= Precondition for resource version", "timeout= How long to wait"]]),
        command("label", "Update the labels on a resource", &[FILES, PRINT, WRITE, SELECT, ALL, MARK]),
        command("annotate", "Update the annotations on a resource", &[FILES, PRINT, WRITE, SELECT, ALL, MARK]),
        command("patch", "Update fields of a resource", &[FILES, PRINT, WRITE, &["p,patch= The patch", "patch-file= A file with the patch", "type= json, merge or strategic", "subresource= A subresource of the object", "local Do not contact the server"]]),
        family("set", "Set specific features on objects", vec![
            command("image", "Update the image of a pod template", &[FILES, PRINT, WRITE, SELECT, ALL, LOCAL]),
            command("env", "Update environment variables on a pod template", &[FILES, PRINT, WRITE, SELECT, ALL, LOCAL, &["e,env+ Pairs to set", "c,containers= Containers by name", "list List the environment", "overwrite Overwrite variables", "from= Take variables of a ConfigMap or Secret", "keys* Only these keys of --from", "prefix= Prefix of variables of --from", "resolve Show values of references"]]),
            command("resources", "Update resource requests and limits on objects with pod templates", &[FILES, PRINT, WRITE, SELECT, ALL, LOCAL, &["c,containers= Containers by name", "limits= Limits", "requests= Requests"]]),
            command("serviceaccount", "Update the service account of a resource", &[FILES, PRINT, WRITE, ALL, LOCAL]).alias("sa"),
            command("selector", "Set the selector on a resource", &[FILES, PRINT, WRITE, ALL, LOCAL, &["resource-version= Precondition"]]),
            command("subject", "Update the users, groups or service accounts in a role binding or cluster role binding", &[FILES, PRINT, WRITE, SELECT, ALL, LOCAL, &["user+ Users", "group+ Groups", "serviceaccount+ Service accounts, <namespace>:<name>"]]),
        ]),
        command("taint", "Update the taints on one or more nodes", &[PRINT, WRITE, SELECT, ALL, &["overwrite Overwrite taints"]]),
        command("cordon", "Mark node as unschedulable", &[WRITE, SELECT]),
        command("uncordon", "Mark node as schedulable", &[WRITE, SELECT]),
        command("replace", "Replace a resource by file name or stdin", &[FILES, PRINT, WRITE, SAVE, DELETES, &["raw= Raw URI to PUT to", "subresource= A subresource of the object"]]),
        command("edit", "Edit a resource on the server", &[FILES, PRINT, WRITE, SAVE, &["subresource= A subresource of the object", "windows-line-endings Accepted for compatibility", "output-patch Show the patch"]]),
        command("get", "Display one or many resources", &[FILES, PRINT, SELECT, get]),
        command("apply", "Apply a configuration to a resource by file name or stdin", &[FILES, PRINT, WRITE, SELECT, apply]).subcommands(vec![
            command("view-last-applied", "View the latest last-applied-configuration annotations of a resource/object", &[FILES, SELECT, &["all Select all resources of the type in the namespace", "o,output= yaml or json"]]),
            command("set-last-applied", "Set the last-applied-configuration annotation on a live object to match the contents of a file", &[FILES, PRINT, WRITE, &["create-annotation Create the annotation if it is missing"]]),
            command("edit-last-applied", "Edit latest last-applied-configuration annotations of a resource/object", &[FILES, PRINT, WRITE, &["windows-line-endings Accepted for compatibility"]]),
        ]),
        command("delete", "Delete resources by file names, stdin, resources and names, or by resources and label selector", &[FILES, SELECT, delete]),
    ]);
    GLOBAL.iter().fold(root, |root, spec| {
        let holder = with(Command::new("x"), &[spec]);
        let arg = holder.get_arguments().next().cloned().expect("a flag was just added");
        root.arg(arg.global(true))
    })
}
