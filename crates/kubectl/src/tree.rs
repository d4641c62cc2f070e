//! The tree of commands with their flags.

use crate::flags::with;
use clap::{Arg, ArgAction, Command};

const GLOBAL: &[&str] = &[
    "as= Username to impersonate for the operation",
    "as-group+ Group to impersonate, may be repeated",
    "as-uid= UID to impersonate for the operation",
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
const FILES: &[&str] = &["f,filename* Files, directories or - for standard input", "R,recursive Process directories recursively", "k,kustomize= A kustomization directory (not supported)"];
const WRITE: &[&str] = &["dry-run?unchanged Must be none, server or client", "field-manager= Name of the manager used to track field ownership", "validate?strict Must be strict (true), warn or ignore (false)"];
const SAVE: &[&str] = &["save-config Keep the configuration in the object's annotation"];
const SELECT: &[&str] = &["l,selector= Selector (label query)"];
const GENERATE: &[&[&str]] = &[PRINT, WRITE, SAVE];

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
    let subjects: &[&str] = &["clusterrole= ClusterRole to bind", "user* Users", "group* Groups", "serviceaccount* Service accounts, <namespace>:<name>"];
    let rules: &[&str] = &["verb* Verbs", "resource* Resources", "resource-name* Resource names"];
    let children = vec![
        generate("deployment", "Create a deployment with the specified name", &["image* Image names to run", "port= The containerPort", "r,replicas= Number of replicas"]).alias("dep"),
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
        command("get", "Display one or many resources", &[FILES, PRINT, SELECT, get]),
        command("apply", "Apply a configuration to a resource by file name or stdin", &[FILES, PRINT, WRITE, SELECT, apply]),
        command("delete", "Delete resources by file names, stdin, resources and names, or by resources and label selector", &[FILES, SELECT, delete]),
    ]);
    GLOBAL.iter().fold(root, |root, spec| {
        let holder = with(Command::new("x"), &[spec]);
        let arg = holder.get_arguments().next().cloned().expect("a flag was just added");
        root.arg(arg.global(true))
    })
}
