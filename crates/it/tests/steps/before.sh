# What must outlive the program.
## write down what runs
kubectl get pods -A -o jsonpath='{range .items[*]}{.metadata.namespace}/{.metadata.name} {.metadata.uid} {.status.phase} {.status.containerStatuses[*].containerID} {.status.containerStatuses[*].restartCount}{"\n"}{end}' | sort > before.txt
see Running < before.txt
kubectl create configmap witness --from-literal=n=$RANDOM --dry-run=client -o yaml | kubectl apply -f -
