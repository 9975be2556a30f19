#!/bin/sh
# Counts the instructions of one operation, ours and the peer's, for the cases of sections 1, 3, 5 and 9 (or those given).
# Needs valgrind. Unlike times, counts are the same on a busy machine: the difference of two runs that differ only in
# how often they do the work.
set -eu
cd "$(dirname "$0")"
command -v valgrind >/dev/null || { echo "count.sh: valgrind is not installed" >&2; exit 1; }
cargo build --release --quiet
bench=${CARGO_TARGET_DIR:-target}/release/pillarbox-bench
times=1000

# total CASE SIDE TIMES
total() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bench" --repeat "$1" "$2" "$3" 2>&1 |
        awk '/Collected/ { print $4 }'
}

# each CASE SIDE
each() {
    few=$(total "$1" "$2" 1)
    many=$(total "$1" "$2" $((times + 1)))
    echo $(((many - few) / times))
}

[ $# -gt 0 ] || set -- 1 3 5 9
echo "| | case | ours | peer | ratio |"
echo "|---|---|---|---|---|"
"$bench" --list | while IFS='	' read -r number section name peer; do
    case " $* " in *" $section "*) ;; *) continue ;; esac
    [ -n "$peer" ] || continue
    ours=$(each "$number" ours </dev/null)
    theirs=$(each "$number" peer </dev/null)
    ratio=$(awk "BEGIN { printf \"%.2f\", $theirs / $ours }")
    echo "| $section | $name | $ours | $theirs ($peer) | ${ratio}x |"
done
