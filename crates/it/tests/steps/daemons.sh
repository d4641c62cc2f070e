# rng on every node: a Deployment's manifest as a DaemonSet, labels and selectors.
## a DaemonSet with replicas is refused by strict validation
kubectl get deploy/rng -o yaml > rng.yml
sed -i 's/^kind: Deployment/kind: DaemonSet/' rng.yml
fails kubectl apply -f rng.yml | see 'strict decoding error: .*unknown field "spec.replicas"'
fails kubectl create -f rng.yml | see 'unknown field "spec.strategy"'
## it passes under --validate=false
kubectl apply -f rng.yml --validate=false | see 'daemonset.apps/rng created'
ready ds/rng
kubectl get daemonset rng | see '^rng +1 +1 +1 +1 +1'
kubectl get all | see 'daemonset.apps/rng'
[ "$(count pods -l app=rng)" = 2 ]
## both pods stand behind the service
within 10 '[ "$(kubectl get ep rng -o jsonpath="{.subsets[0].addresses[*].ip}" | wc -w)" = 2 ]'
kubectl get pods --selector app=rng -o wide | see Running
## scale the deployment to zero: the DaemonSet serves alone
kubectl scale deploy rng --replicas 0
within 50 '[ "$(count pods -l app=rng)" = 1 ]'
within 10 'curl -sf "http://$(ip_of rng)/8" | wc -c | see "^8$"'
## a pod relabelled out of its DaemonSet is replaced, and out of the service
POD=$(kubectl get pods -l app=rng -o name)
kubectl label --overwrite "$POD" app=was-rng | see labeled
within 20 '[ "$(count pods -l app=rng)" = 1 ]'
ready ds/rng
within 10 '[ "$(kubectl get ep rng -o jsonpath="{.subsets[0].addresses[*].ip}" | wc -w)" = 1 ]'
kubectl get "$POD" | see Running
[ -z "$(kubectl get "$POD" -o jsonpath='{.metadata.ownerReferences}')" ]
kubectl delete "$POD" --now
## a label on the pods, and a selector edited to ask for it
kubectl label pods -l app=rng enabled=yes
KUBE_EDITOR='sed -i "s/^    app: rng$/    app: rng\n    enabled: \"yes\"/"' kubectl edit service rng | see 'service/rng edited'
kubectl get svc rng -o jsonpath='{.spec.selector}' | see '"enabled":"yes"'
within 10 '[ "$(kubectl get ep rng -o jsonpath="{.subsets[0].addresses[*].ip}" | wc -w)" = 1 ]'
## without the label a pod takes no part
kubectl label pods -l app=rng enabled-
within 10 '[ -z "$(kubectl get ep rng -o jsonpath="{.subsets[0].addresses[*].ip}")" ]'
kubectl label pods -l app=rng enabled=yes
within 10 '[ "$(kubectl get ep rng -o jsonpath="{.subsets[0].addresses[*].ip}" | wc -w)" = 1 ]'
within 20 'curl -sf "http://$(ip_of rng)/8" | wc -c | see "^8$"'
## the DaemonSet's template edited: its pods are replaced, with the label
kubectl patch daemonset rng -p '{"spec":{"template":{"metadata":{"labels":{"enabled":"yes"}}}}}'
ready ds/rng
within 40 '[ "$(count pods -l app=rng,enabled=yes)" = 1 ]'
kubectl rollout history ds/rng | see '^2 '
