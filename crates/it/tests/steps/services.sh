# Services: addresses, balance, DNS, names from outside, endpoints by hand.
## expose, and reach it by go-template from the node
kubectl create deployment web --image=nginx:1.27
kubectl scale deploy web --replicas 3
kubectl expose deployment web --port 80 | see 'service/web exposed'
ready deploy/web
IP=$(kubectl get svc web -o go-template --template '{{ .spec.clusterIP }}')
within 10 "curl -sf http://$IP/ | see '<html'"
## reach it from a pod, by address and by every name
kubectl run client --image=busybox:1 --command -- sleep 100000
kubectl wait pod/client --for=condition=Ready --timeout=30s
for to in "$(ip_of web)" web web.default web.default.svc web.default.svc.cluster.local; do
    kubectl exec client -- wget -qO- "http://$to/" | see '<html' > /dev/null || { echo "not by $to"; exit 1; }
done
## a pod reaches itself through its own service
kubectl exec deploy/web -- true
POD=$(kubectl get pods -l app=web -o jsonpath='{.items[0].metadata.name}')
for i in 1 2 3 4 5 6 7 8 9; do kubectl exec "$POD" -- wget -qO /dev/null http://web/; done
## endpoints and their slices
kubectl get endpoints web -o jsonpath='{.subsets[0].addresses[*].ip}' | wc -w | see '^3$'
kubectl get endpointslices -l kubernetes.io/service-name=web -o jsonpath='{.items[*].endpoints[*].addresses[0]}' | wc -w | see '^3$'
kubectl describe service web | see '^Endpoints: +10\.244\.0\.[0-9]+:80,'
## packets to a port without a service are refused at once
IP=$(ip_of web)
rc=0; curl -s -m 5 "http://$IP:81/" || rc=$?
[ $rc = 7 ]
kubectl create service clusterip empty --tcp=80
rc=0; curl -s -m 5 "http://$(ip_of empty)/" || rc=$?
[ $rc = 7 ]
kubectl delete service empty
## a node port chosen for us, and one that is taken
kubectl expose deployment web --type NodePort --name web-out --port 80
PORT=$(kubectl get svc web-out -o go-template='{{ (index .spec.ports 0).nodePort }}')
within 10 "curl -sf http://$ADDRESS:$PORT/ | see '<html'"
fails kubectl patch svc web-out --type json -p '[{"op":"replace","path":"/spec/ports/0/nodePort","value":30001}]' | see 'Invalid value: 30001: provided port is already allocated'
kubectl delete svc web-out
## a headless service names all pods
kubectl expose deployment web --name web-all --port 80 --cluster-ip=None
within 10 '[ "$(kubectl exec client -- nslookup web-all.default.svc.cluster.local | grep -c "^Address: 10\.244")" = 3 ]'
kubectl delete svc web-all
## ExternalName
kubectl create service externalname elsewhere --external-name web.default.svc.cluster.local
within 10 'kubectl exec client -- nslookup -type=cname elsewhere.default.svc.cluster.local | see "web.default.svc.cluster.local"'
within 10 'kubectl exec client -- wget -qO- http://elsewhere/ | see "<html"'
kubectl get svc elsewhere | see 'ExternalName +<none> +web.default.svc.cluster.local'
## a service with hand-written Endpoints
TO=$(kubectl get pods -l app=web -o jsonpath='{.items[0].status.podIP}')
kubectl apply -f - <<EOF
apiVersion: v1
kind: Service
metadata: {name: byhand}
spec: {ports: [{port: 8000, targetPort: 80}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: byhand}
subsets: [{addresses: [{ip: $TO}], ports: [{port: 80}]}]
EOF
within 15 'curl -sf "http://$(ip_of byhand):8000/" | see "<html"'
kubectl exec client -- wget -qO- http://byhand:8000/ | see '<html'
## the API, with the service account's token from a pod
kubectl exec client -- ls /var/run/secrets/kubernetes.io/serviceaccount | see '^ca.crt$'
kubectl exec client -- cat /var/run/secrets/kubernetes.io/serviceaccount/namespace | see '^default$'
kubectl exec client -- cat /var/run/secrets/kubernetes.io/serviceaccount/ca.crt > ca.crt
TOKEN=$(kubectl exec client -- cat /var/run/secrets/kubernetes.io/serviceaccount/token)
curl -s --cacert ca.crt -H "Authorization: Bearer $TOKEN" "https://$(ip_of kubernetes)/api" | see 'APIVersions'
curl -s --cacert ca.crt -H "Authorization: Bearer $TOKEN" "https://$(ip_of kubernetes)/api/v1/nodes" | see 'system:serviceaccount:default:default'
kubectl exec client -- sh -c 'nc -w 3 kubernetes 443 < /dev/null'
