#!/bin/busybox sh
# The first process of a test machine. It mounts the root of the machine that runs the tests, read-only, under an overlay
# in memory, so that whatever is installed there is installed here, and nothing that is done here is seen there. Then it runs
# what `cargo xtask vm` has put into the second share, and switches the machine off.
b=/bin/busybox
off() {
	echo "vm: $1"
	$b poweroff -f
}
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
while read -r module; do
	$b insmod "/mods/$module" || off "a module cannot be loaded: $module"
done </mods/order
$b mkdir -p /ro /rw
$b mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose root /ro || off "no root file system"
$b mount -t tmpfs -o size=75% tmpfs /rw
$b mkdir /rw/upper /rw/work
$b mount -t overlay -o lowerdir=/ro,upperdir=/rw/upper,workdir=/rw/work overlay /newroot || off "no overlay"
for folder in proc sys dev; do
	$b mount --move /$folder /newroot/$folder
done
$b mkdir -p /newroot/dev/pts /newroot/dev/shm
$b mount -t devpts devpts /newroot/dev/pts
$b mount -t tmpfs tmpfs /newroot/dev/shm
$b mount -t tmpfs tmpfs /newroot/run
$b mount -t bpf bpf /newroot/sys/fs/bpf
$b mount -t cgroup2 cgroup2 /newroot/sys/fs/cgroup
$b mount -t 9p -o ro,trans=virtio,version=9p2000.L share /newroot/mnt || off "no share"
$b chroot /newroot /bin/bash /mnt/run.sh
off "the end"
