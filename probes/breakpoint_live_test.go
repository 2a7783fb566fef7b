package probes_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes/binary"
)

// instructions returns instructions with all opcodes between which Refused
// distinguishes: each refused one and its neighbours. A processor need not support
// them.
func instructions() [][]byte {
	tail := []byte{0xc0, 0, 0, 0, 0, 0, 0, 0, 0} // a ModRM byte and an immediate
	with := func(head ...byte) []byte { return append(head, tail...) }
	refused := func(op int) bool { return op >= 0 && op < 256 && binary.Refused("amd64", with(byte(op))) }
	list := [][]byte{
		{0xf3, 0x0f, 0x1e, 0xfa}, {0x0f, 0x05}, {0x0f, 0x0b}, {0x8e, 0xd0}, {0x8e, 0xd8}, {0x0f, 0xae, 0xe8},
		with(0x66, 0x0f, 0x38, 0x00), with(0x0f, 0x3a, 0x0f), with(0x66, 0x48, 0x0f, 0x6e), with(0x48, 0x6e), with(0x66, 0x6e), with(0xf3, 0x6e),
		with(0xc4, 0xe2, 0x79, 0x17), with(0xc4, 0xe2, 0x79, 0x18), with(0xc4, 0xe3, 0x79, 0x16), with(0xc4, 0xe3, 0x79, 0x19), with(0x62, 0xf1, 0x7d, 0x48, 0x6e),
	}
	for _, p := range []byte{0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3} {
		list = append(list, with(p, 0x0f, 0x1f))
	}
	for op := range 256 {
		switch {
		case op == 0xd5: // newer kernels treat it as a prefix
		case refused(op), refused(op-1) != refused(op+1):
			list = append(list, with(byte(op)), with(0xc5, 0xf9, byte(op)))
		}
	}
	return list
}

// TestLiveBreakpoints attaches a breakpoint to each instruction, and compares the
// kernel's answer with the result of Refused.
func TestLiveBreakpoints(t *testing.T) {
	if goruntime.GOARCH != "amd64" {
		t.Skip("the instructions are of amd64")
	}
	liveEnv(t)
	typ, err := os.ReadFile("/sys/bus/event_source/devices/uprobe/type")
	if err != nil {
		t.Skip(err)
	}
	var pmu uint32
	if _, err := fmt.Sscan(string(typ), &pmu); err != nil {
		t.Fatal(err)
	}
	const step = 32
	list := instructions()
	if testing.Short() { // in emulation
		n := 0
		list = slices.DeleteFunc(list, func([]byte) bool { n++; return n%4 != 0 })
	}
	image := make([]byte, step*len(list))
	for i, code := range list {
		copy(image[i*step:], code)
	}
	path := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(path, image, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// The kernel checks an instruction when it inserts the breakpoint into this
	// mapping.
	mapped, err := unix.Mmap(int(f.Fd()), 0, len(image), unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mapped)
	name := append([]byte(path), 0)
	const notSupported = unix.Errno(524)
	// Closing an event waits for the kernel: check many at a time.
	var refused atomic.Int64
	var wg sync.WaitGroup
	check := func(i int, code []byte) {
		attr := unix.PerfEventAttr{Type: pmu, Ext1: uint64(uintptr(unsafe.Pointer(&name[0]))), Ext2: uint64(i * step)}
		attr.Size = uint32(unsafe.Sizeof(attr))
		fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
		got := binary.Refused("amd64", code)
		switch {
		case err == nil:
			unix.Close(fd)
			if got {
				t.Errorf("% x: the kernel puts a breakpoint there", code)
			}
		case errors.Is(err, notSupported):
			refused.Add(1)
			if !got {
				t.Errorf("% x: the kernel puts no breakpoint there", code)
			}
		case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
			refused.Add(1) // not possible here
		case errors.Is(err, unix.ENOEXEC), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
			// No such instruction.
		default:
			t.Errorf("% x: %v", code, err)
		}
	}
	const workers = 64
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(list); i += workers {
				check(i, list[i])
			}
		})
	}
	wg.Wait()
	if refused.Load() == 0 {
		t.Error("the kernel accepted all of them")
	}
}
