# Two stacks beside each other, configuration, state.
## the cron job made its job meanwhile (100 s)
within 90 'kubectl get cronjob every-minute -o jsonpath="{.status.lastSuccessfulTime}" | see .'
kubectl get jobs | see '^every-minute-[0-9]+ +Complete'
kubectl logs -l batch.kubernetes.io/job-name --tail=-1 2>/dev/null | see tick
kubectl delete cronjob every-minute
## the same stack in two namespaces (120 s)
for ns in blue green; do
    kubectl create namespace $ns
    for f in "$EXAMPLES"/*.yaml; do sed '/nodePort:/d' "$f" | kubectl apply -n $ns -f - ; done
done
for ns in blue green; do for d in redis hasher rng webui worker; do kubectl rollout status -n $ns deploy/$d --timeout=60s; done; done
kubectl get pods -A -l app=worker | see '^blue '
## DNS in each namespace gives its own
for ns in blue green; do
    IP=$(kubectl get svc redis -n $ns -o go-template='{{ .spec.clusterIP }}')
    kubectl exec -n $ns deploy/webui -- nslookup redis.$ns.svc.cluster.local | see "^Address: $IP"
    kubectl exec -n $ns deploy/webui -- sh -c 'ping -c1 -W1 redis; true' | see "PING redis \($IP\)"
done
kubectl exec client -- nslookup redis.green.svc.cluster.local | see "$(kubectl get svc redis -n green -o go-template='{{ .spec.clusterIP }}')"
within 30 'kubectl exec client -- wget -qO- http://webui.blue/json | see "\"hashes\":[1-9]"'
## a namespace deleted takes everything along (100 s)
kubectl delete namespace blue green --timeout=90s
fails kubectl get ns blue | see NotFound
[ "$(count pods -A -l app=hasher)" = 1 ]
## ConfigMap and Secret in the environment
kubectl create configmap settings --from-literal=color=red --from-literal=size=big
kubectl create secret generic hidden --from-literal=password=s3cret
kubectl apply -f - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: conf, labels: {app: conf}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: busybox:1
    command: [sleep, "100000"]
    envFrom: [{configMapRef: {name: settings}}]
    env:
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: hidden, key: password}}}
    - {name: COLOR, valueFrom: {configMapKeyRef: {name: settings, key: color}}}
    - {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: TEXT, value: "\$(COLOR)-\$(PASSWORD)"}
    volumeMounts:
    - {name: s, mountPath: /etc/settings}
    - {name: h, mountPath: /etc/hidden, readOnly: true}
    - {name: e, mountPath: /scratch}
  volumes:
  - {name: s, configMap: {name: settings}}
  - {name: h, secret: {secretName: hidden, defaultMode: 0400}}
  - {name: e, emptyDir: {medium: Memory}}
EOF
kubectl wait pod/conf --for=condition=Ready --timeout=30s
kubectl exec conf -- env > env.txt
for line in color=red size=big PASSWORD=s3cret COLOR=red TEXT=red-s3cret 'POD_IP=10\.244\.0\.' 'KUBERNETES_SERVICE_HOST=10\.96\.0\.1'; do grep -q "^$line" env.txt || { cat env.txt; echo "no $line"; exit 1; }; done
## and as volumes
kubectl exec conf -- cat /etc/settings/color | see '^red'
kubectl exec conf -- cat /etc/hidden/password | see '^s3cret'
kubectl exec conf -- sh -c 'stat -L -c %a /etc/hidden/password; mount | grep scratch' | see '^400$'
## a changed ConfigMap arrives in the volume (120 s)
kubectl patch configmap settings -p '{"data":{"color":"blue"}}'
within 100 'kubectl exec conf -- cat /etc/settings/color | see "^blue"'
kubectl delete pod conf
## what is missing is told
kubectl run lost --image=busybox:1 --overrides='{"spec":{"containers":[{"name":"lost","image":"busybox:1","envFrom":[{"configMapRef":{"name":"nowhere"}}]}]}}'
within 20 'kubectl get pod lost | see CreateContainerConfigError'
kubectl describe pod lost | see 'configmap "nowhere" not found'
kubectl delete pod lost --now
## a StatefulSet: names in order
kubectl apply -f - <<EOF
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 3
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: c, image: "nginx:1.27"}]
EOF
ready sts/db
kubectl get pods -l app=db -o jsonpath='{.items[*].metadata.name}' | see '^db-0 db-1 db-2$'
kubectl get sts db | see '^db +3/3'
## its pods have names in DNS
IP=$(kubectl get pod db-1 -o jsonpath='{.status.podIP}')
within 10 "kubectl exec client -- nslookup db-1.db.default.svc.cluster.local | see 'Address: $IP'"
kubectl exec db-1 -- hostname -f | see '^db-1.db.default.svc.cluster.local$'
## a deleted one comes back under its name
UID1=$(kubectl get pod db-1 -o jsonpath='{.metadata.uid}')
kubectl delete pod db-1
within 20 '[ "$(kubectl get pod db-1 -o jsonpath={.metadata.uid})" != '"$UID1"' ]'
ready sts/db
## scaled down from the end
kubectl scale sts db --replicas 1
within 30 '[ "$(kubectl get pods -l app=db -o jsonpath={.items[*].metadata.name})" = db-0 ]'
## cordon, drain, uncordon
kubectl cordon $NODE && kubectl get nodes | see 'Ready,SchedulingDisabled'
kubectl run waits --image=busybox:1 -- sleep 10000
within 20 'kubectl describe pod waits | see "0/1 nodes are available: 1 node\(s\) were unschedulable"'
kubectl uncordon $NODE
kubectl wait pod/waits --for=condition=Ready --timeout=30s
kubectl delete pod waits --now
