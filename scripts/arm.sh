#!/bin/sh
# Tests on 64-bit Arm without such a machine.
#
#   scripts/arm.sh model    the engine: its tests with NEON, in user emulation
#   scripts/arm.sh verify   the sandbox: its tests and a short run on an emulated machine with a kernel of its own
#
# Needs Debian, root, and the packages mmdebstrap, qemu-user-static, qemu-system-arm and cpio. The compiler and the
# machine's files come from Debian's packages, some 2 GB in target/arm. The emulated processor does an instruction in a
# nanosecond of its own time, so that limits in seconds mean what they mean elsewhere; it takes an hour of ours.
set -eu

case ${1-} in
model | verify) ;;
*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac
repo=$(cd "$(dirname "$0")/.." && pwd)
place=$repo/target/arm
host=$place/host
root=$place/root
target=aarch64-unknown-linux-gnu

# A compiler that is newer than the one of the stable release.
toolchain() {
    (cd "$repo" && cargo fetch --locked)
    [ -x "$host/usr/bin/cargo" ] && return
    mkdir -p "$place"
    mmdebstrap --variant=apt --architectures=amd64,arm64 --skip=check/empty \
        --aptopt='APT::Default-Release "trixie-backports"' \
        --include=rustc,cargo,libstd-rust-dev:arm64,gcc,libc6-dev,gcc-aarch64-linux-gnu,libc6-dev-arm64-cross \
        trixie "$host" 'deb http://deb.debian.org/debian trixie main' \
        'deb http://deb.debian.org/debian trixie-backports main'
}

# Runs a command line in the repository, where the toolchain is.
there() {
    mkdir -p "$host/work" "$host/cargo" "$host/target"
    REPO=$repo HOST=$host LINE=$1 unshare --mount sh -eu -c '
        mount --bind "$REPO" "$HOST/work"
        mount --bind "${CARGO_HOME:-$HOME/.cargo}" "$HOST/cargo"
        mount -t proc proc "$HOST/proc"
        exec chroot "$HOST" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/root CARGO_HOME=/cargo CARGO_TARGET_DIR=/target \
            CARGO_NET_OFFLINE=true CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
            CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="/qemu -L /usr/aarch64-linux-gnu" sh -eu -c "cd /work; $LINE"'
}

# The files of an emulated machine, with these that were built. Nothing is configured: that would take emulation.
machine() {
    [ -e "$root/usr/bin/python3" ] || mmdebstrap --variant=extract --architectures=arm64 \
        --aptopt='APT::Install-Recommends "false"' \
        --include=base-files,dash,coreutils,mount,util-linux,iproute2,python3,linux-image-arm64 \
        trixie "$root" http://deb.debian.org/debian
    rm -rf "$root/work" "$root/target" "$root"/usr/lib/modules
    mkdir "$root/work"
    (cd "$repo" && git ls-files -z | tar --null --files-from=- -cf -) | tar -C "$root/work" -xf -
    for file in "$@"; do
        mkdir -p "$root$(dirname "$file")"
        there "aarch64-linux-gnu-strip -o /target/stripped '$file'"
        mv "$host/target/stripped" "$root$file"
    done
}

# A root that can be left for another, which a sandbox needs and the first one is not.
init='#!/bin/sh
export PATH=/usr/bin:/usr/sbin HOME=/root
if [ ! -e /second ]; then
    mkdir /mnt && mount -t tmpfs root /mnt && touch /mnt/second
    for entry in /*; do
        [ "$entry" = /mnt ] || cp -a "$entry" /mnt/
    done
    exec switch_root /mnt /init
fi
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/shm && mount -t tmpfs shm /dev/shm && mount -t tmpfs tmp /tmp
ip link set lo up
sh /job && echo "all passed"
echo o > /proc/sysrq-trigger
sleep 9'

case $1 in
model)
    toolchain
    cp "$(command -v qemu-aarch64-static)" "$host/qemu"
    # What it takes in memory is left out: that would be what the emulator takes.
    there "cargo test -p model --lib --test it --target $target"
    ;;
verify)
    toolchain
    axiom=/target/$target/release/axiom
    there "cargo build --release -p axiom --target $target"
    tests=$(there "cargo test --no-run -p verify --target $target 2>&1" | sed -n 's/.*Executable.*(\(.*\))/\1/p')
    machine "$axiom" $tests
    echo "$init" >"$root/init"
    chmod +x "$root/init"
    {
        echo "set -e; cd /tmp; $axiom doctor; $axiom run smoke --out run; sha256sum run/model/*.safetensors"
        echo "cd /work/crates/verify"
        for test in $tests; do echo "$test --test-threads 1"; done
    } >"$root/job"
    (cd "$root" && find . -path ./boot -prune -o -print | cpio -o -H newc --quiet) >"$place/root.cpio"
    qemu-system-aarch64 -M virt -cpu max -m 6G -icount shift=0,sleep=off -nographic -no-reboot -net none \
        -kernel "$root"/boot/vmlinuz-* -initrd "$place/root.cpio" \
        -append 'console=ttyAMA0 rdinit=/init quiet panic=-1 lsm=landlock' | tee "$place/log"
    grep -q '^all passed' "$place/log"
    ;;
esac
