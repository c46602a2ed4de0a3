#!/bin/sh
# A gate: copies live traffic to a candidate for five minutes, and passes or fails. Run it as root on the online server.
#   RULE=80-10.0.0.9:80 ./ci.sh
# Exit status: 0 passed, 3 failed, 4 nothing can be judged, 1 and 2 the run itself went wrong.
set -u

RULE=${RULE:-80-10.0.0.9:80}
PERCENT=${PERCENT:-10}
DURATION=${DURATION:-5m}
OUT=${OUT:-.}

# Says beforehand, and by name, what will not work; copies nothing.
if ! tcpcopy doctor -x "$RULE" > "$OUT/doctor.txt"; then
    cat "$OUT/doctor.txt"
    echo "the path to the candidate is not proven" >&2
    exit 2
fi

# At least 99.9 % of the requests taken, at most 0.1 % of the responses differ, not slower by more than 20 %, asked at the pace at which
# clients ask, and a thousand requests to say so. Without --strict a run that cannot tell ends with 4, so that a pipeline may treat it as a warning.
# The first 16 bytes of each response tell statuses apart, or a target that answers 500 with as many bytes would pass; run.json has some of them.
tcpcopy -x "$RULE" -r "$PERCENT" --duration "$DURATION" --ready-timeout 60s \
    --summary "$OUT/run.json" --progress never --sample-bytes 16 \
    --min-fidelity 99.9 --max-differing 0.1 --max-slower 20% --max-lag 1s --min-requests 1000
status=$?

# The report is worth more the worse the result is.
if [ -s "$OUT/run.json" ]; then
    tcpcopy report "$OUT/run.json" -o "$OUT/report.html"
fi

case $status in
    0) echo "passed" ;;
    3) echo "FAILED: a limit was not kept; report.html says which and why" >&2 ;;
    4) echo "nothing can be judged: too few requests, or no copy at all" >&2 ;;
    *) echo "the run failed (exit status $status)" >&2 ;;
esac
exit $status
