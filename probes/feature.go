package probes

import "fmt"

// Feature is a feature that a kernel may lack.
type Feature string

// The features on which compiling and attaching depend. Package kernel contains the
// releases that introduced them.
const (
	FeatRingBuf       Feature = "ringbuf"
	FeatLoop          Feature = "bpf_loop"
	FeatForEachMap    Feature = "bpf_for_each_map_elem"
	FeatTaskBTF       Feature = "bpf_get_current_task_btf"
	FeatTaskRegs      Feature = "bpf_task_pt_regs"
	FeatFuncIP        Feature = "bpf_get_func_ip"
	FeatCookie        Feature = "bpf_get_attach_cookie"
	FeatLookupPerCPU  Feature = "bpf_map_lookup_percpu_elem"
	FeatKtimeTai      Feature = "bpf_ktime_get_tai_ns"
	FeatRdonlyCast    Feature = "bpf_rdonly_cast"
	FeatKprobeMulti   Feature = "kprobe_multi"
	FeatKprobeSession Feature = "kprobe_session"
	FeatUprobeMulti   Feature = "uprobe_multi"
	FeatTracingMulti  Feature = "tracing_multi"
	FeatSetReg        Feature = "uprobe programs that change registers"
	FeatSleepUprobe   Feature = "uprobe programs that sleep"
	FeatSleepSyscall  Feature = "tracepoint programs that sleep"
	FeatFetch         Feature = "fetch" // the name by which users disable the use of both
	FeatFentry        Feature = "fentry"
	FeatKprobe        Feature = "kprobe"
	FeatISAv4         Feature = "cpu v4 instructions"
	FeatAtomicFetch   Feature = "atomic fetch instructions"
	FeatTCX           Feature = "tcx"
	FeatNetfilter     Feature = "netfilter programs"
	FeatRedZoneLost   Feature = "uprobes that overwrite the stack"
	FeatNop10         Feature = "optimised uprobes"
	FeatPreempt       Feature = "preemption"
	FeatSocketStorage Feature = "socket storage" // that user space can read
)

// Version is a kernel release.
type Version struct{ Major, Minor, Patch int }

// Less reports whether v is older than o.
//
//go:noinline
func (v Version) Less(o Version) bool {
	if v.Major != o.Major {
		return v.Major < o.Major
	}
	if v.Minor != o.Minor {
		return v.Minor < o.Minor
	}
	return v.Patch < o.Patch
}

// String returns the release in its usual form, without a patch level of 0.
func (v Version) String() string {
	if v.Patch == 0 {
		return fmt.Sprintf("%d.%d", v.Major, v.Minor)
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}
