# What must be there again.
## the same containers run
within 20 "kubectl get nodes | see ' Ready'"
kubectl get pods -A -o jsonpath='{range .items[*]}{.metadata.namespace}/{.metadata.name} {.metadata.uid} {.status.phase} {.status.containerStatuses[*].containerID} {.status.containerStatuses[*].restartCount}{"\n"}{end}' | sort > after.txt
diff before.txt after.txt
## acknowledged writes are there
kubectl get configmap witness
## the app works on
within 20 'curl -sf "http://$ADDRESS:30001/" | see "<html"'
A=$(curl -sf "http://$ADDRESS:30001/json" | grep -oE '"hashes":[0-9]+' | cut -d: -f2)
within 20 "B=\$(curl -sf http://$ADDRESS:30001/json | grep -oE '\"hashes\":[0-9]+' | cut -d: -f2); [ \$B -gt $A ]"
## exec, logs and new pods work again
kubectl exec deploy/redis -- redis-cli ping | see PONG
kubectl logs deploy/worker --tail 1 | see .
kubectl run fresh --image=busybox:1 --restart=Never -- nslookup webui.default.svc.cluster.local
kubectl wait pod/fresh --for=jsonpath='{.status.phase}'=Succeeded --timeout=30s
kubectl logs fresh | see "Address: $(ip_of webui)"
kubectl delete pod fresh
