# What every step may use. `kubectl` on the path is the one under whose name the steps run; $ADDRESS is the node's.
set -euo pipefail
# see PATTERN: passes its input on and fails unless a line of it matches.
see() { local text; text=$(cat); printf '%s\n' "$text"; grep -qE -e "$1" <<<"$text" || { echo "--- nothing in it matches: $1"; return 1; }; }
# fails COMMAND...: succeeds when the command does not.
fails() { if "$@" 2>&1; then echo "--- this should have failed: $*"; return 1; fi; }
# within SECONDS COMMAND...: tries again until it succeeds.
within() {
    local end=$((SECONDS + $1)) out; shift
    until out=$(eval "$@" 2>&1); do
        if ((SECONDS >= end)); then printf '%s\n--- still not so: %s\n' "$out" "$*"; return 1; fi
        read -rt 0.1 <> <(:) || true
    done
    printf '%s\n' "$out"
}
# ready KIND/NAME...: waits until they are rolled out.
ready() { local w; for w in "$@"; do kubectl rollout status "$w" --timeout=40s; done; }
ip_of() { kubectl get service "$1" -o go-template='{{ .spec.clusterIP }}' "${@:2}"; }
count() { kubectl get "$@" --no-headers 2>/dev/null | wc -l; }
# terminal COMMAND: runs it with a terminal.
terminal() { script -qec "$1" /dev/null; }
