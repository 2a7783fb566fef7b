package probes

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Capability is a privilege of processes, by its name in the manual.
type Capability string

// The capabilities on which attaching depends. CAP_SYS_ADMIN includes the others.
const (
	capBPF      Capability = "CAP_BPF"
	capPerfmon  Capability = "CAP_PERFMON"
	capNetAdmin Capability = "CAP_NET_ADMIN"
	capSysAdmin Capability = "CAP_SYS_ADMIN"
)

// bits are the kernel's numbers of capabilities.
var bits = map[Capability]int{
	capBPF: unix.CAP_BPF, capPerfmon: unix.CAP_PERFMON, capNetAdmin: unix.CAP_NET_ADMIN,
	capSysAdmin: unix.CAP_SYS_ADMIN,
}

// Values of Kind.Caps.
var (
	capsTracing []Capability
	capsNet     = []Capability{capNetAdmin}
	capsAdmin   = []Capability{capSysAdmin}
)

// Capabilities returns the capabilities that probes of the kind need: those of all
// programs, then those of the kind.
func (k *Kind) Capabilities() []Capability { return allCaps(k.Caps) }

// Needing returns the names of the kinds that need a capability besides those that all
// programs need.
func Needing(capability string) (names []string) {
	for _, k := range Kinds() {
		for _, c := range k.Caps {
			if string(c) == capability {
				names = append(names, k.Name)
			}
		}
	}
	return names
}

func allCaps(caps []Capability) []Capability {
	return append([]Capability{capBPF, capPerfmon}, caps...)
}

// NoPermission returns the reason why the kernel may not permit a probe of the kind.
func (k *Kind) NoPermission() string { return noPermission(k.Name, k.Caps) }

func noPermission(kind string, caps []Capability) string {
	if missing := lacking(caps); len(missing) > 0 {
		return fmt.Sprintf("permission denied: this %s probe needs %s, which gotrace does not have", kind, capNames(missing))
	}
	return "operation not permitted, even for root (lockdown, a container with fewer rights, or a kernel built without it)"
}

// paranoid returns the reason why a process with CAP_PERFMON may not open perf events, or
// "". Distributions such as Debian add this restriction to the kernel.
func paranoid() string {
	text, err := os.ReadFile("/proc/sys/kernel/perf_event_paranoid")
	if err != nil || len(lacking(capsAdmin)) == 0 {
		return ""
	}
	if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err != nil || n < 3 {
		return ""
	}
	return "permission denied: this needs CAP_SYS_ADMIN, since kernel.perf_event_paranoid is 3 or more"
}

// lacking returns the capabilities that a kind with the given ones needs but this process
// does not have.
func lacking(caps []Capability) (list []Capability) {
	var data [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
		return nil
	}
	has := func(c Capability) bool { return data[bits[c]/32].Effective&(1<<(bits[c]%32)) != 0 }
	for _, c := range allCaps(caps) {
		if !has(c) && !has(capSysAdmin) {
			list = append(list, c)
		}
	}
	return list
}

// capNames returns the names of capabilities for a sentence.
func capNames(list []Capability) string {
	names := make([]string, len(list))
	for i, c := range list {
		names[i] = string(c)
	}
	if n := len(names) - 1; n > 0 {
		return strings.Join(names[:n], ", ") + " and " + names[n]
	}
	return names[0]
}
