"""The official Python client against a running cluster (KUBECONFIG): list, watch, every kind of patch, server-side apply,
pages, conflicts, logs, exec and port-forward over its WebSocket. Each check prints its name; the exit code is the number of
those that failed. What it needs is said in foreign/README.md."""

import os
import sys
import threading
import time
import traceback

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import portforward, stream

IMAGE = os.environ.get("IMAGE", "busybox:1")
NAMESPACE = "foreign-python"
failed = []
checks = []


def check(body):
    checks.append(body)
    return body


def config_map(name, **data):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"by": "python"}), data=data)


def status_of(code, call):
    try:
        call()
    except ApiException as e:
        assert e.status == code, f"{e.status} instead of {code}: {e.body}"
        return e
    raise AssertionError(f"no error, {code} was expected")


@check
def version_and_discovery(api):
    assert client.VersionApi().get_code().git_version.startswith("v1.36")
    assert any(g.name == "apps" for g in client.ApisApi().get_api_versions().groups)
    assert any(r.name == "pods/exec" for r in api.get_api_resources().resources)


@check
def create_get_replace_conflict(api):
    api.create_namespaced_config_map(NAMESPACE, config_map("a", k="1"))
    status_of(409, lambda: api.create_namespaced_config_map(NAMESPACE, config_map("a")))
    first = api.read_namespaced_config_map("a", NAMESPACE)
    first.data["k"] = "2"
    second = api.replace_namespaced_config_map("a", NAMESPACE, first)
    assert second.metadata.resource_version != first.metadata.resource_version
    status_of(409, lambda: api.replace_namespaced_config_map("a", NAMESPACE, first))
    status_of(404, lambda: api.read_namespaced_config_map("nothing", NAMESPACE))
    status_of(422, lambda: api.create_namespaced_config_map(NAMESPACE, config_map("Not A Name")))


@check
def patches(api):
    api.create_namespaced_config_map(NAMESPACE, config_map("p", k="1"))
    merged = api.patch_namespaced_config_map("p", NAMESPACE, {"data": {"l": "2"}})
    assert merged.data == {"k": "1", "l": "2"}, merged.data
    listed = api.patch_namespaced_config_map("p", NAMESPACE, [{"op": "remove", "path": "/data/k"}])
    assert listed.data == {"l": "2"}, listed.data
    applied = api.patch_namespaced_config_map(
        "p", NAMESPACE, {"apiVersion": "v1", "kind": "ConfigMap", "data": {"m": "3"}},
        field_manager="python", _content_type="application/apply-patch+yaml")
    assert applied.data["m"] == "3"
    e = status_of(409, lambda: api.patch_namespaced_config_map(
        "p", NAMESPACE, {"apiVersion": "v1", "kind": "ConfigMap", "data": {"l": "4"}},
        field_manager="python", _content_type="application/apply-patch+yaml"))
    assert "conflict" in e.body, e.body


@check
def pages_and_selectors(api):
    for n in range(5):
        api.create_namespaced_config_map(NAMESPACE, config_map(f"page-{n}"))
    names, token = [], None
    while True:
        page = api.list_namespaced_config_map(NAMESPACE, limit=2, _continue=token, label_selector="by=python")
        names += [i.metadata.name for i in page.items]
        token = page.metadata._continue
        if not token:
            break
    assert len(names) == len(set(names)) and len(names) >= 5, names
    one = api.list_namespaced_config_map(NAMESPACE, field_selector="metadata.name=page-3").items
    assert [i.metadata.name for i in one] == ["page-3"]


@check
def watch_from_a_list(api):
    version = api.list_namespaced_config_map(NAMESPACE).metadata.resource_version

    def later():
        api.create_namespaced_config_map(NAMESPACE, config_map("w"))
        api.patch_namespaced_config_map("w", NAMESPACE, {"data": {"x": "y"}})
        api.delete_namespaced_config_map("w", NAMESPACE)

    thread = threading.Thread(target=later)
    thread.start()
    seen = []
    for event in watch.Watch().stream(api.list_namespaced_config_map, NAMESPACE, resource_version=version, timeout_seconds=20):
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "DELETED":
            break
    thread.join()
    assert seen == [("ADDED", "w"), ("MODIFIED", "w"), ("DELETED", "w")], seen


@check
def custom_resources(api):
    extensions, custom = client.ApiextensionsV1Api(), client.CustomObjectsApi()
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1}}}}}
    extensions.create_custom_resource_definition({
        "metadata": {"name": "boats.foreign.example"},
        "spec": {"group": "foreign.example", "scope": "Namespaced", "names": {"plural": "boats", "kind": "Boat"},
                 "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}]}})
    boat = {"apiVersion": "foreign.example/v1", "kind": "Boat", "metadata": {"name": "b"}, "spec": {"size": 3}}
    address = ("foreign.example", "v1", NAMESPACE, "boats")
    for _ in range(100):
        try:
            custom.create_namespaced_custom_object(*address, boat)
            break
        except ApiException as e:
            assert e.status == 404, e.body
            time.sleep(0.1)
    boat["metadata"]["name"], boat["spec"]["size"] = "c", 0
    status_of(422, lambda: custom.create_namespaced_custom_object(*address, boat))
    assert custom.list_namespaced_custom_object(*address)["items"][0]["spec"] == {"size": 3}
    extensions.delete_custom_resource_definition("boats.foreign.example")


def running(api, name, command):
    container = client.V1Container(name="main", image=IMAGE, image_pull_policy="IfNotPresent", command=command)
    spec = client.V1PodSpec(containers=[container], termination_grace_period_seconds=0)
    api.create_namespaced_pod(NAMESPACE, client.V1Pod(metadata=client.V1ObjectMeta(name=name), spec=spec))
    for event in watch.Watch().stream(api.list_namespaced_pod, NAMESPACE, field_selector=f"metadata.name={name}", timeout_seconds=60):
        if event["object"].status.phase == "Running":
            return
    raise AssertionError(f"{name} does not run: {api.read_namespaced_pod(name, NAMESPACE).status}")


@check
def logs_exec_and_forward(api):
    running(api, "shell", ["sh", "-c", "echo hello; sleep 3600"])
    for _ in range(100):
        text = api.read_namespaced_pod_log("shell", NAMESPACE)
        if text:
            break
        time.sleep(0.1)
    assert text == "hello\n", text
    said = stream(api.connect_get_namespaced_pod_exec, "shell", NAMESPACE, command=["sh", "-c", "echo out; echo err >&2"],
                  stdout=True, stderr=True, stdin=False, tty=False)
    assert sorted(said.split()) == ["err", "out"], said
    session = stream(api.connect_get_namespaced_pod_exec, "shell", NAMESPACE, command=["sh", "-c", "read a; echo got $a; exit 7"],
                     stdout=True, stderr=True, stdin=True, tty=False, _preload_content=False)
    session.write_stdin("line\n")
    session.run_forever(timeout=20)
    assert session.read_stdout() == "got line\n"
    assert session.returncode == 7, session.returncode


@check
def forward(api):
    running(api, "server", ["sh", "-c", "while true; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhi' | nc -l -p 8080; done"])
    time.sleep(0.5)
    ports = portforward(api.connect_get_namespaced_pod_portforward, "server", NAMESPACE, ports="8080")
    socket = ports.socket(8080)
    socket.settimeout(20)
    socket.sendall(b"GET / HTTP/1.0\r\n\r\n")
    answer = b""
    # The little server in the pod does not hang up before its client does.
    while not answer.endswith(b"hi"):
        part = socket.recv(1024)
        if not part:
            break
        answer += part
    assert answer.endswith(b"hi"), (answer, ports.error(8080))


@check
def deployment_rolls_and_goes(api):
    apps = client.AppsV1Api()
    template = {"metadata": {"labels": {"app": "d"}}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [
        {"name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "3600"]}]}}
    apps.create_namespaced_deployment(NAMESPACE, {"metadata": {"name": "d"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": {"app": "d"}}, "template": template}})
    for event in watch.Watch().stream(apps.list_namespaced_deployment, NAMESPACE, timeout_seconds=60):
        if (event["object"].status.ready_replicas or 0) == 2:
            break
    assert apps.read_namespaced_deployment_scale("d", NAMESPACE).spec.replicas == 2
    apps.patch_namespaced_deployment_scale("d", NAMESPACE, {"spec": {"replicas": 1}})
    apps.delete_namespaced_deployment("d", NAMESPACE, propagation_policy="Foreground")
    for _ in range(300):
        if not api.list_namespaced_pod(NAMESPACE, label_selector="app=d").items:
            break
        time.sleep(0.1)
    status_of(404, lambda: apps.read_namespaced_deployment("d", NAMESPACE))


def main():
    config.load_kube_config()
    api = client.CoreV1Api()
    try:
        api.delete_namespace(NAMESPACE)
    except ApiException:
        pass
    for _ in range(300):
        try:
            api.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NAMESPACE)))
            break
        except ApiException:
            time.sleep(0.2)
    only = sys.argv[1:]
    for body in checks:
        if only and body.__name__ not in only:
            continue
        try:
            body(client.CoreV1Api())
            print(f"ok    {body.__name__}")
        except Exception:  # every check is told of, whatever it met
            failed.append(body.__name__)
            print(f"FAIL  {body.__name__}")
            traceback.print_exc()
    api.delete_namespace(NAMESPACE)
    sys.exit(len(failed))


main()
