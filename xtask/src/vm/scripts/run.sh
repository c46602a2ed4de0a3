# What runs in a test machine as root, behind the lines that `cargo xtask vm` puts before it: MODULES (the folder of the
# kernel's modules), WORKSPACE, and the variables of the tests. Verdicts go to the second serial line, all else to the console.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
export TMPDIR=/run/scratch VERDICTS=/dev/ttyS1
mkdir -p "$TMPDIR"
stty -F "$VERDICTS" raw -echo 2>/dev/null
mkdir -p "/lib/modules/$(uname -r)"
mount --bind "$MODULES" "/lib/modules/$(uname -r)"
ip link set lo up
ulimit -l unlimited
# Drivers of emulated network devices: there is no udev here that would load them.
for device in /sys/bus/pci/devices/*/modalias; do
	modprobe --quiet "$(cat "$device")"
done
modprobe --quiet virtio_net
verdict() {
	printf '%s\n' "$*" >"$VERDICTS"
}
# The end of every log of a lab: the folder goes with the machine.
logs() {
	find "$TMPDIR" -type f \( -name '*.log' -o -name '*.out' \) -size +0 2>/dev/null | sort | head -n 40 | while read -r file; do
		echo "--- the end of $file"
		tail -c 3000 "$file"
	done
	echo "--- the end of the kernel's log"
	dmesg | tail -n 30
	rm -rf "${TMPDIR:?}"/*
}
# test_case NAME SECONDS COMMAND...: runs a case; its verdict is the exit status.
test_case() {
	local name=$1 seconds=$2 began=$SECONDS status
	shift 2
	echo "==> case $name"
	verdict "begin $name"
	timeout --kill-after=10 "$seconds" "$@" </dev/null 2>&1
	status=$?
	if [ "$status" != 0 ]; then logs; fi
	verdict "end $name $status $((SECONDS - began))"
}
cd "$WORKSPACE" || exit
verdict "ready $(uname -r)"
