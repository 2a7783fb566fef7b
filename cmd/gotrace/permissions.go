package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes"
)

// restriction is a property of this process or of the system that may prevent tracing.
type restriction struct {
	Name  string `json:"name"`
	State string `json:"state"`
	// Limits describes what does not work for that reason, and Way the remedy. Both are
	// "" if nothing is limited.
	Limits string `json:"limits,omitempty"`
	Way    string `json:"way,omitempty"`
}

// capabilityUses are the capabilities that gotrace uses, and what does not work without
// them.
var capabilityUses = []struct {
	n    int
	name string
	use  string
}{
	{unix.CAP_BPF, "CAP_BPF", "no program can be loaded"},
	{unix.CAP_PERFMON, "CAP_PERFMON", "no program can read the kernel's memory or be attached to functions, events and timers"},
	{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN", "no probes of the kinds that see packets and sockets: "},
	{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "no usdt, uprobes before Linux 6.6 with patterns, iter of some objects, --stats and --max-overhead"},
	{unix.CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", "files of other users are not read: tracefs, programs to probe"},
	{unix.CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "no symbols of processes of other users"},
	{unix.CAP_SYSLOG, "CAP_SYSLOG", "no names of kernel addresses, where kernel.kptr_restrict is 1"},
}

// restrictions returns the properties that may prevent tracing, including those that do
// not.
func restrictions() []restriction {
	var list []restriction
	add := func(name, state, limits, way string) {
		list = append(list, restriction{name, state, limits, way})
	}
	has := effective()
	for _, c := range capabilityUses {
		switch {
		case has(c.n):
			add(c.name, "yes", "", "")
		case has(unix.CAP_SYS_ADMIN) && (c.n == unix.CAP_BPF || c.n == unix.CAP_PERFMON || c.n == unix.CAP_SYSLOG):
			add(c.name, "yes, by CAP_SYS_ADMIN", "", "")
		case c.n == unix.CAP_DAC_READ_SEARCH && os.Geteuid() == 0:
			add(c.name, "not needed as root", "", "")
		default:
			if strings.HasSuffix(c.use, ": ") {
				c.use += strings.Join(probes.Needing(c.name), ", ")
			}
			add(c.name, "no", c.use, "run as root, or setcap "+strings.ToLower(c.name)+"+ep on the binary; in a container, --cap-add "+strings.TrimPrefix(c.name, "CAP_"))
		}
	}
	if inUserNamespace() {
		add("user namespace", "not the initial one", "capabilities count only in this namespace, so nothing can be traced", "run it on the host, or in a container without a user namespace")
	}
	add(lockdown())
	add(seccomp())
	list = append(list, sysctls(has)...)
	add(securityModules())
	add(kernelBTF())
	add(tracefs())
	return list
}

// inUserNamespace reports whether this process is in another user namespace than the
// initial one.
func inUserNamespace() bool {
	text := firstLine("/proc/self/uid_map")
	return text != "" && strings.Join(strings.Fields(text), " ") != "0 0 4294967295"
}

// effective returns a function that reports whether this process has a capability.
func effective() func(c int) bool {
	var data [2]unix.CapUserData
	err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0])
	return func(c int) bool { return err == nil && data[c/32].Effective&(1<<(c%32)) != 0 }
}

// firstLine returns the first line of a file, or "" if it cannot be read.
func firstLine(path string) string {
	text, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(line)
}

// sysctl returns a setting of the kernel, or "not there".
func sysctl(name string) string {
	if v := firstLine("/proc/sys/" + strings.ReplaceAll(name, ".", "/")); v != "" {
		return v
	}
	return "not there"
}

func lockdown() (name, state, limits, way string) {
	name = "lockdown"
	text := firstLine("/sys/kernel/security/lockdown")
	_, rest, ok := strings.Cut(text, "[")
	mode, _, _ := strings.Cut(rest, "]")
	switch {
	case !ok:
		return name, "not readable, or not in this kernel", "", ""
	case mode == "confidentiality":
		return name, mode, "programs cannot read the kernel's memory, and nothing can be traced", "boot with lockdown=integrity or without secure boot"
	case mode == "integrity":
		return name, mode, "programs cannot write to the memory of processes", ""
	}
	return name, mode, "", ""
}

// seccomp reports whether a filter of system calls, as in containers, forbids calls that
// tracing needs.
func seccomp() (name, state, limits, way string) {
	name = "seccomp"
	status, _ := os.ReadFile("/proc/self/status")
	if !strings.Contains(string(status), "\nSeccomp:\t2") {
		return name, "no filter", "", ""
	}
	state = "a filter of system calls"
	const noCommand = 1 << 20
	has := effective()
	var missing []string
	// The kernel itself answers EINVAL and EFAULT to privileged processes.
	if _, _, err := unix.Syscall(unix.SYS_BPF, noCommand, 0, 0); (err == unix.EPERM || err == unix.ENOSYS) && (has(unix.CAP_BPF) || has(unix.CAP_SYS_ADMIN)) {
		missing = append(missing, "bpf")
	}
	if _, _, err := unix.Syscall6(unix.SYS_PERF_EVENT_OPEN, 0, 0, 0, 0, 0, 0); err == unix.EPERM || err == unix.ENOSYS {
		missing = append(missing, "perf_event_open")
	}
	if len(missing) == 0 {
		return name, state, "", ""
	}
	return name, state, "it forbids " + strings.Join(missing, " and "), "docker run --security-opt seccomp=unconfined, or a profile that allows these calls"
}

// sysctls returns the settings of the kernel that may limit tracing.
func sysctls(has func(c int) bool) (list []restriction) {
	paranoid := "3 4"
	if has(unix.CAP_SYS_ADMIN) {
		paranoid = ""
	}
	for _, s := range []struct{ name, values, limits, way string }{
		{"net.core.bpf_jit_enable", "0", "programs are interpreted and several times slower, and some are refused", "sysctl net.core.bpf_jit_enable=1"},
		{"kernel.unprivileged_bpf_disabled", "", "", ""},
		{"kernel.perf_event_paranoid", paranoid, "kprobe, tracepoint, profile and others that use perf need CAP_SYS_ADMIN", "sysctl kernel.perf_event_paranoid=2, or run as root"},
		{"kernel.kptr_restrict", "2", "addresses of the kernel have no names in kstack and ksym", "sysctl kernel.kptr_restrict=1"},
		{"kernel.ftrace_enabled", "0", "no fentry, fexit, and kprobe at the start of functions", "sysctl kernel.ftrace_enabled=1"},
	} {
		r := restriction{Name: s.name, State: sysctl(s.name)}
		if slices.Contains(strings.Fields(s.values), r.State) {
			r.Limits, r.Way = s.limits, s.way
		}
		list = append(list, r)
	}
	return list
}

func securityModules() (name, state, limits, way string) {
	name, state = "security modules", firstLine("/sys/kernel/security/lsm")
	switch {
	case state == "":
		return name, "not readable (securityfs is not mounted)", "", ""
	case !strings.Contains(","+state+",", ",bpf,"):
		return name, state, "no lsm probes", "boot with lsm=" + state + ",bpf"
	}
	return name, state, "", ""
}

func kernelBTF() (name, state, limits, way string) {
	name = "/sys/kernel/btf/vmlinux"
	f, err := os.Open(name)
	if err != nil {
		return name, bare(err).Error(), "no types of the kernel: no fentry, no args of kprobes, no members of kernel structures",
			"a kernel with CONFIG_DEBUG_INFO_BTF, or BPFTRACE_BTF with a file that has its BTF"
	}
	f.Close()
	return name, "yes", "", ""
}

func tracefs() (name, state, limits, way string) {
	name = "tracefs"
	const dir = "/sys/kernel/tracing"
	for _, events := range []string{dir + "/events/syscalls", "/sys/kernel/debug/tracing/events/syscalls"} {
		_, err := os.ReadDir(events)
		if err == nil {
			return name, "yes", "", ""
		}
		if errors.Is(err, os.ErrPermission) {
			return name, "not readable", "no tracepoints, and no list of functions", "run as root, or with CAP_DAC_READ_SEARCH"
		}
	}
	return name, "not mounted", "no tracepoints, and no list of functions", fmt.Sprintf("mount -t tracefs tracefs %s; in a container, -v %s:%s", dir, dir, dir)
}
