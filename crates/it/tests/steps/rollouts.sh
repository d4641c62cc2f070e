# Rolling updates of worker: a good one, a bad one, back again, and how fast.
## a rolling update
kubectl set image deploy worker worker=timonel.local/dockercoins/worker:v0.2 | see 'image updated'
ready deploy/worker
kubectl get pods -l app=worker -o jsonpath='{.items[*].spec.containers[0].image}' | see 'worker:v0\.2'
kubectl get rs -l app=worker -o wide | see 'worker:v0\.1'
kubectl rollout history deploy worker | see '^2 '
## a rollout to an image that does not exist: the status says why
kubectl scale deploy worker --replicas 10
ready deploy/worker
kubectl set image deploy worker worker=timonel.local/dockercoins/worker:v0.3
within 40 'kubectl get pods -l app=worker | see "ErrImagePull|ImagePullBackOff"'
within 40 'kubectl get pods -l app=worker | see "ImagePullBackOff"'
kubectl describe deploy worker | see 'Replicas: +10 desired \| 5 updated \| 13 total \| 8 available \| 5 unavailable'
fails kubectl rollout status deploy worker --timeout=1s | see 'Waiting for deployment "worker" rollout to finish'
BAD=$(kubectl get pods -l app=worker | awk '/ImagePull/ && !n++ { print $1 }')
kubectl describe pod "$BAD" | see 'Failed to pull image "timonel.local/dockercoins/worker:v0.3"'
## the app stays up meanwhile
kubectl get deploy worker -o jsonpath='{.status.availableReplicas}' | see '^8$'
A=$(curl -sf "http://$ADDRESS:30001/json" | grep -oE '"hashes":[0-9]+' | cut -d: -f2)
within 20 "B=\$(curl -sf http://$ADDRESS:30001/json | grep -oE '\"hashes\":[0-9]+' | cut -d: -f2); [ \$B -gt $A ]"
## rollout undo
kubectl rollout undo deploy worker | see 'rolled back'
ready deploy/worker
kubectl get deploy worker -o jsonpath='{.spec.template.spec.containers[0].image}' | see 'worker:v0\.2$'
within 50 '[ "$(count pods -l app=worker)" = 10 ]'
## rollout undo to a revision
kubectl rollout history deploy worker
kubectl rollout history deploy worker --revision=1 | see 'worker:v0\.1'
kubectl rollout undo deploy worker --to-revision=1
ready deploy/worker
kubectl get deploy worker -o jsonpath='{.spec.template.spec.containers[0].image}' | see 'worker:v0\.1$'
## patch maxUnavailable, maxSurge, minReadySeconds
kubectl patch deployment worker -p '
spec:
  strategy:
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: 3
  minReadySeconds: 10
  template:
    spec:
      containers:
      - name: worker
        image: timonel.local/dockercoins/worker:v0.2
'
kubectl scale deploy worker --replicas 4
kubectl get deploy worker -o jsonpath='{.spec.strategy.rollingUpdate.maxUnavailable} {.spec.strategy.rollingUpdate.maxSurge} {.spec.minReadySeconds}' | see '^0 3 10$'
## never fewer than wanted while it rolls, and ten seconds a batch (180 s)
kubectl rollout status deploy worker --timeout=60s
begun=$SECONDS
kubectl rollout restart deploy worker
kubectl get deploy worker --watch -o jsonpath='{.status.availableReplicas}{"\n"}' > available.txt &
kubectl rollout status deploy worker --timeout=100s | see 'successfully rolled out'
[ $((SECONDS - begun)) -ge 10 ]
sort -n available.txt | grep . | head -n 1 | see '^([4-9]|1[0-9])$'
## pause and resume
kubectl rollout pause deploy web
kubectl set image deploy web nginx=nginx:latest
kubectl get rs -l app=web --no-headers | wc -l | see '^1$'
kubectl rollout resume deploy web
within 40 '[ "$(count rs -l app=web)" = 2 ]'
ready deploy/web
