# Looking around: the node, its fields, what the API serves, and who may ask.
## get nodes in three spellings
kubectl get node | see "^$NODE +Ready +control-plane .* v1\.36"
kubectl get nodes | see "^$NODE +Ready"
kubectl get no | see "^$NODE +Ready"
## get nodes -o wide, yaml, json, jsonpath
kubectl get nodes -o wide | see "^NAME +STATUS +ROLES +AGE +VERSION +INTERNAL-IP +EXTERNAL-IP +OS-IMAGE +KERNEL-VERSION +CONTAINER-RUNTIME"
kubectl get nodes -o wide | see "$ADDRESS"
kubectl get no -o yaml | see '^kind: List'
kubectl get no -o json | see '"kind": "List"'
kubectl get no -o jsonpath='{.items[*].status.nodeInfo.kubeletVersion}' | see '^v1\.36'
kubectl get no -o name | see "^node/$NODE$"
## describe node
kubectl describe node/$NODE > node.txt
for words in '^Name: +n1' 'KubeletReady' '^Capacity:' '^Allocatable:' '^Allocated resources:' 'PodCIDR: +10\.244\.0\.0/24' 'Container Runtime Version: +timonel'; do
    see "$words" < node.txt > seen.txt || { cat seen.txt; exit 1; }
done
fails grep -q '^Taints: *[a-z]' node.txt
## explain, its fields and its short forms
kubectl explain node | see '^KIND: +Node'
kubectl explain node.spec | see 'podCIDR'
kubectl explain pod.spec.containers.resources | see 'limits'
kubectl explain node --recursive | see 'kubeletVersion'
fails kubectl explain node.nonsense | see 'field "nonsense" does not exist'
## namespaces, and what a fresh cluster has
kubectl get namespaces | see '^kube-system +Active'
kubectl get ns -o name | see '^namespace/kube-node-lease$'
kubectl get all -A | see 'service/kube-dns +ClusterIP +10\.96\.0\.10'
kubectl get services | see '^kubernetes +ClusterIP +10\.96\.0\.1 +<none> +443/TCP'
kubectl get serviceaccounts | see '^default'
kubectl get configmap kube-root-ca.crt -o yaml | see 'BEGIN CERTIFICATE'
## version, api-resources, api-versions, cluster-info
kubectl version | see '^Server Version: v1\.36'
kubectl api-resources | see '^deployments +deploy +apps/v1 +true +Deployment'
kubectl api-resources --namespaced=false -o name | see '^nodes$'
kubectl api-versions | see '^rbac.authorization.k8s.io/v1$'
kubectl cluster-info | see 'control plane'
## the API address refuses who shows no credentials
IP=$(ip_of kubernetes)
curl -sk "https://$IP" | see '"code": 403'
curl -sk "https://$IP" | see 'system:anonymous'
curl -sk "https://$IP/version" | see 'v1\.36'
fails kubectl --kubeconfig /dev/null --server "https://$IP" --insecure-skip-tls-verify get nodes | see 'Username'
fails kubectl --kubeconfig /dev/null --server "https://$IP" --insecure-skip-tls-verify --token none get nodes | see 'You must be logged in to the server'
fails curl -s "https://$IP" | see '^$'
## auth can-i
kubectl auth can-i create pods | see '^yes$'
fails kubectl auth can-i list secrets --as=system:serviceaccount:default:default | see '^no$'
kubectl auth whoami | see 'system:masters'
## errors in Kubernetes' words
fails kubectl get pod nothing | see '^Error from server \(NotFound\): pods "nothing" not found$'
fails kubectl get nonsense | see "the server doesn't have a resource type \"nonsense\""
fails kubectl create namespace Bad_Name | see 'metadata.name: Invalid value: "Bad_Name"'
fails kubectl create namespace default | see '\(AlreadyExists\): namespaces "default" already exists'
