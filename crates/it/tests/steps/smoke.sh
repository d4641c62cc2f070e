# The short form, for other versions of kubectl.
## nodes, explain, get all
kubectl get nodes -o wide | see "^$NODE +Ready"
kubectl explain pod.spec | see containers
kubectl get all | see deployment.apps/webui
## create, wait, exec, logs, delete
kubectl create deployment smoke --image=nginx:1.27
ready deploy/smoke
kubectl exec deploy/smoke -- cat /etc/hostname | see '^smoke-'
echo text | kubectl exec -i deploy/smoke -- cat | see '^text$'
rc=0; kubectl exec deploy/smoke -- sh -c 'exit 5' || rc=$?; [ $rc = 5 ]
kubectl logs deploy/smoke --tail 2
## port-forward, cp, apply
POD=$(kubectl get pods -l app=smoke -o jsonpath='{.items[0].metadata.name}')
kubectl port-forward deploy/smoke 18090:80 > smoke.txt 2>&1 &
within 10 'curl -sf http://127.0.0.1:18090/ | see "<html"'
echo data > smoke.in && kubectl cp smoke.in "$POD:/tmp/x" && kubectl exec "$POD" -- cat /tmp/x | see data
kubectl apply -f "$EXAMPLES/hasher.yaml" | see 'service/hasher (unchanged|configured)'
kubectl delete deployment smoke
