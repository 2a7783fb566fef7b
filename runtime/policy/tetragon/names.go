package tetragon

import (
	"debug/elf"
	"encoding/base64"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/lang/policy/tetragon"
	"github.com/gotrace/gotrace/runtime/cgroups"
	"github.com/gotrace/gotrace/runtime/policy/procs"
)

func signalName(n int32) string {
	if name := unix.SignalName(unix.Signal(n)); name != "" {
		return name
	}
	return strconv.Itoa(int(n))
}

// programTypes are the types of BPF programs, by number.
var programTypes = strings.Fields("UNSPEC SOCKET_FILTER KPROBE SCHED_CLS SCHED_ACT TRACEPOINT XDP PERF_EVENT CGROUP_SKB CGROUP_SOCK LWT_IN " +
	"LWT_OUT LWT_XMIT SOCK_OPS SK_SKB CGROUP_DEVICE SK_MSG RAW_TRACEPOINT CGROUP_SOCK_ADDR LWT_SEG6LOCAL LIRC_MODE2 SK_REUSEPORT " +
	"FLOW_DISSECTOR CGROUP_SYSCTL RAW_TRACEPOINT_WRITABLE CGROUP_SOCKOPT TRACING STRUCT_OPS EXT LSM SK_LOOKUP SYSCALL NETFILTER")

// mapTypes are the types of BPF maps, by number.
var mapTypes = strings.Fields("UNSPEC HASH ARRAY PROG_ARRAY PERF_EVENT_ARRAY PERCPU_HASH PERCPU_ARRAY STACK_TRACE CGROUP_ARRAY LRU_HASH " +
	"LRU_PERCPU_HASH LPM_TRIE ARRAY_OF_MAPS HASH_OF_MAPS DEVMAP SOCKMAP CPUMAP XSKMAP SOCKHASH CGROUP_STORAGE REUSEPORT_SOCKARRAY " +
	"PERCPU_CGROUP_STORAGE QUEUE STACK SK_STORAGE DEVMAP_HASH STRUCT_OPS RINGBUF INODE_STORAGE TASK_STORAGE BLOOM_FILTER USER_RINGBUF CGRP_STORAGE ARENA")

func programType(n uint64) string { return typeOf("BPF_PROG_TYPE_", programTypes, n) }

func mapType(n uint64) string { return typeOf("BPF_MAP_TYPE_", mapTypes, n) }

func typeOf(prefix string, names []string, n uint64) string {
	if n < uint64(len(names)) {
		return prefix + names[n]
	}
	return prefix + strconv.FormatUint(n, 10)
}

// container returns the beginning of the ID of the container that a process is in, or "".
func (s *Sink) container(p *procs.Process) string {
	if id, ok := p.Notes["container"].(string); ok {
		return id
	}
	id := ""
	text, err := os.ReadFile("/proc/" + strconv.Itoa(int(p.PID)) + "/cgroup")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); len(parts) == 3 {
				if c := cgroups.OwnerOf(parts[2]).Container; c != "" {
					id = c[:min(len(c), 31)]
				}
			}
		}
		p.Note("container", id)
	}
	return id
}

// buildID returns the build ID of a file in base64, the JSON form of the API's type
// bytes, or "".
func buildID(path string) string {
	f, err := elf.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	sec := f.Section(".note.gnu.build-id")
	if sec == nil || sec.Size > 4096 {
		return ""
	}
	b, err := sec.Data()
	if err != nil || len(b) < 16 {
		return ""
	}
	return base64.StdEncoding.EncodeToString(b[16:])
}

// imaHash returns the hash of a file in the kernel's measurements, or "".
func imaHash(path string) string {
	text, err := os.ReadFile(tetragon.Measurements)
	if err != nil {
		return ""
	}
	hash := ""
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 5 && f[4] == path {
			hash = f[3]
		}
	}
	return hash
}
