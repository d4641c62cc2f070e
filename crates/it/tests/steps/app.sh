# The app of the course: five services from manifests; its page; its speed; where it is slow.
## deploy the app
kubectl apply -f "$EXAMPLES" | see 'deployment.apps/worker created'
ready deploy/redis deploy/hasher deploy/rng deploy/webui deploy/worker
kubectl get all | see 'service/webui +NodePort .* 80:30001/TCP'
kubectl apply -f "$EXAMPLES" | see 'deployment.apps/worker unchanged'
kubectl diff -f "$EXAMPLES"
## NodePort 30001 serves the page
within 20 'curl -sf "http://$ADDRESS:30001/" | see "<html"'
## the app works: hashes are counted
within 30 'curl -sf "http://$ADDRESS:30001/json" | see "\"hashes\":[1-9]"'
kubectl logs deploy/worker | see 'units of work done'
kubectl logs deploy/rng --tail 1 | see '.'
## scale worker to 2, 3 and 10
for n in 2 3 10; do
    kubectl scale deploy worker --replicas $n
    ready deploy/worker
    kubectl get deploy worker -o jsonpath='{.status.readyReplicas}' | see "^$n$"
done
## services answer at their cluster addresses, from the node
curl -sf "http://$(ip_of rng)/16" | wc -c | see '^16$'
printf text | curl -sf --data-binary @- "http://$(ip_of hasher)" | see '^[0-9a-f]{64}$'
## port-forward
kubectl port-forward service/webui 18080:80 > forward.txt 2>&1 &
within 10 'see "Forwarding from 127.0.0.1:18080" < forward.txt'
curl -sf http://127.0.0.1:18080/ | see '<html'
for i in 1 2 3 4 5; do curl -sf http://127.0.0.1:18080/json; done | see hashes
kubectl port-forward deploy/redis 16379:6379 > forward2.txt 2>&1 &
within 10 'see Forwarding < forward2.txt'
exec 3<>/dev/tcp/127.0.0.1/16379; printf 'PING\r\n' >&3; head -n 1 <&3 | see PONG
## proxy
kubectl proxy --port=18001 > proxy.txt 2>&1 &
within 10 'curl -sf http://127.0.0.1:18001/api/v1/namespaces/default/services/webui:80/proxy/ | see "<html"'
curl -sf http://127.0.0.1:18001/version | see v1.36
## scale worker back
kubectl scale deploy worker --replicas 2
within 50 '[ "$(count pods -l app=worker)" = 2 ]'
