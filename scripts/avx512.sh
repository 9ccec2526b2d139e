#!/usr/bin/env bash
# Runs the tests of kernels, and the digests of the forward pass, on CPUs with AVX-512 that Bochs emulates, from any
# x86-64 machine with Debian's packages:
#
#     scripts/avx512.sh [cargo test arguments]
#
#   abi, bits            sapphire_rapids: AVX-512 with VNNI, and AVX-VNNI: every level that x86-64 has
#   bits_without_vnni    corei7_skylake_x: AVX-512 alone
#
# This is what Miri does not interpret: assembly, pulp at 512 bits, whole models. The guests are Debian's kernel and an
# initramfs of busybox and the tests. Emulation proves bits and what is touched, not speed.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$PWD/target/avx512
bochs=$work/build/bochs
# Guests that run at the same time take a core each. A bound for hangs, in seconds; machines differ in speed.
limit=${LIMIT:-3600}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
not_run() {
    echo "NOT RUN: tests on emulated CPUs with AVX-512: $1"
    exit 0
}

mkdir -p "$work/deb" "$work/source/lists/partial"
needed=()
command -v g++ >/dev/null || needed+=(g++)
command -v make >/dev/null || needed+=(make)
command -v cpio >/dev/null || needed+=(cpio)
command -v xorriso >/dev/null || needed+=(xorriso)
[ -d /usr/lib/grub/i386-pc ] && command -v grub-mkrescue >/dev/null || needed+=(grub-common grub-pc-bin)
if [ ${#needed[@]} -gt 0 ]; then
    as_root apt-get update -q
    as_root apt-get install -y -q --no-install-recommends "${needed[@]}" || not_run "no ${needed[*]}"
fi

# The kernel, a shell and the firmware, unpacked and not installed.
if [ ! -e "$work/deb/done" ]; then
    kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p' | head -n 1)
    (cd "$work/deb" && apt-get download -q "$kernel" busybox-static bochsbios vgabios) ||
        not_run "no kernel, busybox or firmware"
    for package in "$work"/deb/*.deb; do dpkg -x "$package" "$work/deb"; done
    touch "$work/deb/done"
fi

# Bochs 3, from Debian's source: the first release with this choice of CPUs, and the packaged program has a debugger in, which makes it
# several times slower.
if [ ! -x "$bochs" ]; then
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/$' | head -n 1)
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb-src [signed-by=$keys] $mirror trixie main" >"$work/source/sources.list"
    get=(apt-get -q -o Dir::Etc::SourceList="$work/source/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::State::Lists="$work/source/lists" -o Dir::Cache="$work/source")
    (cd "$work/source" && "${get[@]}" update && "${get[@]}" source --tar-only bochs && tar -xf bochs_*.tar.*) ||
        not_run "no source of Bochs"
    source=$(echo "$work"/source/bochs-*/)
    # V' of an EVEX prefix is a bit of the index of scatters and gathers; Bochs 3.0 takes it for an operand as well, and
    # refuses zmm16 to zmm31.
    sed -i 's/^ *i->setSibIndex(i->sibIndex() | (vvv & 0x10));/& vvv \&= 0xf;/' "$source/cpu/decoder/fetchdecode32.cc"
    mkdir -p "$work/build"
    # Its count of instructions a second is logged by a signal's handler, which waits for ever where the signal came while something was logged.
    (cd "$work/build" && CFLAGS=-O2 CXXFLAGS=-O2 "$source/configure" --with-nogui --enable-x86-64 --enable-avx --enable-evex \
        --enable-all-optimizations --enable-long-phy-address --disable-show-ips --disable-docbook &&
        make -j"${CARGO_BUILD_JOBS:-$(nproc)}" bochs) >"$work/build.log" 2>&1 || not_run "Bochs does not build: $work/build.log"
fi

# The tests where they think they are, stripped, with the libraries that they are linked to.
root=$work/root
rm -rf "$root"
mkdir -p "$root"/{bin,dev,proc,tests} "$root$PWD/tests" "$root$PWD/target/tmp"
cp "$work/deb/bin/busybox" "$root/bin"
cp -r asm "$root$PWD"
cp -r tests/data "$root$PWD/tests"
cargo test --no-run "$@" --lib --test abi --test siblings --test rows --test forward 2>&1 | tee "$work/cargo.log" >&2
for program in $(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$work/cargo.log"); do
    name=$(basename "$program")
    strip -o "$root/tests/${name%-*}" "$program"
    for library in $(ldd "$program" | grep -o '/[^ ]*'); do install -D "$library" "$root$library"; done
done
# And the program, for `quintile isa`: what it finds there, and what it chooses for each operation.
cargo build --quiet --bin quintile
program=${CARGO_TARGET_DIR:-target}/debug/quintile
strip -o "$root/tests/program" "$program"
for library in $(ldd "$program" | grep -o '/[^ ]*'); do install -D "$library" "$root$library"; done
# Guests count instructions for seconds, so what a test says of its time is not the clock's.
cat >"$root/init" <<INIT
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
exec >/dev/ttyS0 2>&1
cd $PWD
export QUINTILE_CASES=${QUINTILE_CASES:-2}
failed=
has() { for flag; do /bin/busybox grep -qw "\$flag" /proc/cpuinfo || { echo "no \$flag"; failed=1; }; done; }
run() { echo "-- \$*"; "/tests/\$@" --test-threads=1 || failed=1; }
isa() { echo "-- quintile isa"; /tests/program isa || failed=1; }
. /\$guest
echo "\${failed:+not }all passed: \$guest"
/bin/busybox sleep 1
/bin/busybox poweroff -f
INIT
chmod +x "$root/init"

# What each guest runs. Skylake-X is there for what it has not: the levels' choice without VNNI.
cat >"$root/abi" <<'RUN'
has avx512f avx512bw avx512dq avx512vl avx512_vnni avx_vnni
run abi
RUN
cat >"$root/bits" <<'RUN'
has avx512f avx512bw avx512dq avx512vl avx512_vnni avx_vnni
isa
run quintile isa:: kernels::
run siblings
run rows
run forward digests
RUN
cat >"$root/bits_without_vnni" <<'RUN'
has avx512f avx512bw avx512dq avx512vl
isa
run quintile isa:: kernels::
run forward digests
RUN
(cd "$root" && find . | cpio -o -H newc --quiet) >"$work/initramfs"

# `boot GUEST CPU`: what the guest writes to its serial port is printed.
boot() {
    local guest=$1 cpu=$2 folder=$work/$1
    rm -rf "$folder"
    mkdir -p "$folder/iso/boot/grub"
    ln "$work/initramfs" "$folder/iso/initramfs"
    cp "$work"/deb/boot/vmlinuz-* "$folder/iso/vmlinuz"
    # fsrm: Linux 6.1 moves memory wrongly where a CPU has it and the firmware has not enabled fast strings. Five levels of page
    # tables do not survive the firmware's switch to ACPI, without which there is no power to be turned off.
    cat >"$folder/iso/boot/grub/grub.cfg" <<GRUB
set timeout=0
linux /vmlinuz console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable random.trust_cpu=on clearcpuid=fsrm no5lvl guest=$guest
initrd /initramfs
boot
GRUB
    grub-mkrescue -o "$folder/boot.iso" "$folder/iso" >"$folder/grub.log" 2>&1
    cat >"$folder/bochsrc" <<BOCHS
display_library: nogui
cpu: model=$cpu, ips=100000000, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest=1024, host=1024
romimage: file=$work/deb/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=$work/deb/usr/share/vgabios/vgabios.bin
ata0-master: type=cdrom, path=$folder/boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$folder/serial.log
clock: sync=none
panic: action=fatal
error: action=ignore
log: $folder/bochs.log
BOCHS
    # A guest that turns its power off ends Bochs with 1.
    timeout "$limit" "$bochs" -q -f "$folder/bochsrc" >"$folder/out.log" 2>&1 </dev/null || true
    echo "== $guest on $cpu, emulated: $SECONDS s since the script began"
    cat "$folder/serial.log"
    grep -q "^all passed: $guest" "$folder/serial.log" || {
        echo "$guest: a test failed, or the guest did not end within $limit s: $folder"
        return 1
    }
}
boot abi sapphire_rapids >"$work/abi.log" &
abi=$!
result=0
boot bits sapphire_rapids || result=1
boot bits_without_vnni corei7_skylake_x || result=1
wait "$abi" || result=1
cat "$work/abi.log"
exit "$result"
