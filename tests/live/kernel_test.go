package live

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// The functions below determine the features of this kernel without the code under
// test.

// version is a kernel release.
type version [2]int

func parseRelease(s string) (v version) {
	fmt.Sscanf(s, "%d.%d", &v[0], &v[1])
	return v
}

func (v version) less(o version) bool {
	return v[0] < o[0] || v[0] == o[0] && v[1] < o[1]
}

var release = sync.OnceValue(func() version {
	var u syscall.Utsname
	syscall.Uname(&u)
	var b strings.Builder
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		b.WriteByte(byte(c))
	}
	return parseRelease(b.String())
})

// missing returns the reason why this machine does not have a feature that a case
// needs, or "".
func missing(need string) string {
	switch need {
	case "kprobe":
		if _, err := os.Stat("/sys/kernel/tracing/kprobe_events"); err != nil {
			return "this kernel has no kprobes"
		}
	case "fentry":
		// Kernels that allow kprobes allow these too.
		if _, err := os.Stat("/sys/kernel/tracing/kprobe_events"); err != nil {
			return "this kernel refuses fentry"
		}
	case "iter":
		if release().less(version{5, 8}) {
			return "this kernel has no iterators"
		}
	case "tun": // a module with its own BTF
		if _, err := os.Stat("/sys/kernel/btf/tun"); err != nil {
			return "the module tun is not loaded, or has no types"
		}
	case "irqwork":
		if _, err := os.Stat("/sys/kernel/tracing/events/irq_vectors/irq_work_exit"); err != nil {
			return "this kernel has no events of the interrupts' work"
		}
	case "fetch": // uprobe programs that wait for memory, and the function that reads strings so
		if release().less(version{6, 12}) {
			return "this kernel reads only strings that are in memory"
		}
	case "fetchcalls":
		if release().less(version{7, 2}) {
			return "this kernel reads only strings that are in memory, in tracepoints"
		}
	case "misses":
		if release().less(version{5, 14}) {
			return "this kernel counts page faults in programs as missed kprobes"
		}
	case "manyuprobes":
		if release().less(parseRelease("6.10")) {
			return "this kernel has no link to many uprobes of one process"
		}
	case "longkeys":
		if release().less(version{5, 11}) {
			return "this kernel's maps take keys of at most 512 bytes"
		}
	case "cpus":
		// The workload's threads are bound to the first two CPUs.
		var set unix.CPUSet
		if err := unix.SchedGetaffinity(0, &set); err != nil || !set.IsSet(0) || !set.IsSet(1) {
			return "this machine has one CPU, or the first two may not be used"
		}
	case "sh":
		if _, err := os.Stat("/bin/sh"); err != nil {
			return "there is no shell"
		}
	default:
		return "unknown need " + need
	}
	return ""
}
