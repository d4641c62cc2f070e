# The first containers: a deployment that pings, its log, its scale; one-shot pods, jobs, exec and its like.
## a first deployment, and get all
kubectl create deployment pingpong --image=alpine:3 -- ping 127.0.0.1 | see 'deployment.apps/pingpong created'
ready deploy/pingpong
kubectl get all > all.txt
see 'pod/pingpong-[a-z0-9]+-[a-z0-9]{5} +1/1 +Running' < all.txt
see 'replicaset.apps/pingpong-[a-z0-9]+ +1 +1 +1' < all.txt
see 'deployment.apps/pingpong +1/1 +1 +1' < all.txt
kubectl create cronjob every-minute --image=busybox:1 --schedule='* * * * *' -- echo tick | see 'created'
## logs of a deployment
within 20 'kubectl logs deploy/pingpong | see "seq=2"'
kubectl logs deploy/pingpong --tail 1 | wc -l | see '^1$'
kubectl logs --timestamps --since=1m deploy/pingpong | see '^20[0-9-]+T'
## logs --tail 1 --follow
{ kubectl logs deploy/pingpong --tail 1 --follow || true; } | head -n 4 | wc -l | see '^4$'
## a watch sees a pod deleted and replaced
OLD=$(kubectl get pods -l app=pingpong -o name)
kubectl get pods -l app=pingpong --watch > watch.txt &
within 10 'grep -q Running watch.txt'
kubectl delete "$OLD" --grace-period=2 | see "deleted"
within 20 'see Terminating < watch.txt && see "0/1 +(Pending|ContainerCreating)" < watch.txt && [ $(grep -c "1/1 *Running" watch.txt) -ge 2 ]'
ready deploy/pingpong
NEW=$(kubectl get pods -l app=pingpong -o name)
[ "$OLD" != "$NEW" ]
fails kubectl get "$OLD" | see NotFound
## scale to 8
kubectl scale deploy/pingpong --replicas 8 | see 'deployment.apps/pingpong scaled'
ready deploy/pingpong
kubectl get deploy pingpong | see '^pingpong +8/8 +8 +8'
[ "$(count pods -l app=pingpong)" = 8 ]
## logs of many pods by label
kubectl logs -l app=pingpong --tail 1 | grep -c seq= | see '^8$'
fails kubectl logs -l app=pingpong --tail 1 -f --max-log-requests 5 | see 'you are attempting to follow 8 log streams'
{ kubectl logs -l app=pingpong --tail 1 -f --max-log-requests 9 || true; } | head -n 10 | wc -l | see '^10$'
## scale down to 1, and to where it is
kubectl scale deploy/pingpong --replicas 1
within 50 '[ "$(count pods -l app=pingpong)" = 1 ]'
kubectl scale deploy/pingpong --current-replicas=1 --replicas=1
## one-shot pods: --restart=Never
kubectl run never --image=busybox:1 --restart=Never -- sh -c 'echo out; exit 3' | see 'pod/never created'
kubectl wait pod/never --for=jsonpath='{.status.phase}'=Failed --timeout=20s
kubectl get pod never | see '^never +0/1 +Error +0'
kubectl logs never | see '^out$'
kubectl get pod never -o jsonpath='{.status.containerStatuses[0].state.terminated.exitCode}' | see '^3$'
kubectl run done --image=busybox:1 --restart=Never -- true
kubectl wait pod/done --for=jsonpath='{.status.phase}'=Succeeded --timeout=20s
kubectl get pod done | see '^done +0/1 +Completed +0'
kubectl delete pod never done | see 'pod "done" deleted'
## one-shot pods: --restart=OnFailure, and back-off
kubectl run again --image=busybox:1 --restart=OnFailure -- sh -c 'exit 1'
within 30 'kubectl get pod again | see "CrashLoopBackOff +[1-9]"'
kubectl describe pod again | see 'Back-off restarting failed container again in pod again_default'
kubectl delete pod again --wait=false
kubectl run fine --image=busybox:1 --restart=OnFailure -- true
kubectl wait pod/fine --for=jsonpath='{.status.phase}'=Succeeded --timeout=20s
kubectl delete pod fine
## a job
kubectl create job flip --image=busybox:1 -- sh -c 'echo heads'
kubectl wait job/flip --for=condition=complete --timeout=30s
kubectl get job flip | see '^flip +Complete +1/1'
kubectl logs job/flip | see '^heads$'
kubectl delete job flip
within 20 '[ "$(count pods -l job-name=flip)" = 0 ]'
## run -i --rm with input and output
echo hello | kubectl run shout --image=busybox:1 --restart=Never --rm -i --quiet -- tr a-z A-Z | see HELLO
within 20 'fails kubectl get pod shout'
## run -it --rm in a terminal
terminal 'kubectl run term --image=busybox:1 --restart=Never --rm -it -- sh -c "read x; tty; echo <\$x>"' < <(echo typed) | see '<typed>' || true
within 20 'fails kubectl get pod term'
## exec: output, input, exit codes, a terminal
kubectl exec deploy/pingpong -- hostname | see '^pingpong-'
echo text | kubectl exec -i deploy/pingpong -- cat | see '^text$'
rc=0; kubectl exec deploy/pingpong -- sh -c 'echo out; echo err >&2; exit 7' || rc=$?
[ $rc = 7 ]
terminal 'kubectl exec -it deploy/pingpong -- sh -c "tty; stty size; ps"' | see '/dev/pts/'
fails kubectl exec deploy/pingpong -- no-such-program | see 'no-such-program'
## attach
kubectl run echo --image=busybox:1 -i --restart=Never --attach=false -- sh -c 'while read x; do echo "got $x"; done'
kubectl wait pod/echo --for=condition=Ready --timeout=20s
kubectl attach -i echo < <(echo one; echo two) | see 'got two'
kubectl delete pod echo --now
## cp, both ways
POD=$(kubectl get pods -l app=pingpong -o jsonpath='{.items[0].metadata.name}')
mkdir -p in && head -c 3000000 /dev/urandom > in/big && echo small > in/small
kubectl cp in "$POD:/tmp/there"
kubectl cp "$POD:/tmp/there" back
cmp in/big back/big && cmp in/small back/small
## the deployment deleted, everything below it goes
kubectl delete deployment pingpong | see 'deployment.apps "pingpong" deleted'
within 50 '[ "$(count pods,rs -l app=pingpong)" = 0 ]'
