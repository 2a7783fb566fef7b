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

	FeatNoReentry       Feature = "programs that cannot enter themselves"
	FeatStructArgs      Feature = "structs as arguments"
	FeatPrivateStack    Feature = "private stacks of programs" // shared by all tasks of a CPU
	FeatPreemptSyscall  Feature = "preemption in tracepoints of system calls"
	FeatSyscallStack    Feature = "kernel stacks in tracepoints of system calls"
	FeatUprobeMultiPID  Feature = "uprobe_multi for one process"
	FeatUprobeFuncIP    Feature = "bpf_get_func_ip in uretprobes"
	FeatSockAddrErrno   Feature = "errors of cgroup_sock_addr programs"
	FeatSessionOverlap  Feature = "kprobe_session for overlapping calls"
	FeatIntPointers     Feature = "pointers to integers in arguments"
	FeatIterTask        Feature = "iterators over one process"
	FeatMemcg           Feature = "memory of maps counted by cgroup"
	FeatExactMisses     Feature = "exact counts of missed events"
	FeatLongKeys        Feature = "long keys"
	FeatAllocAnywhere   Feature = "maps that allocate memory in all programs"
	FeatContextArg      Feature = "functions that take the context"
	FeatVarStack        Feature = "variable offsets into the stack"
	FeatUnwrittenStack  Feature = "helpers with unwritten stack memory"
	FeatBackingBit24    Feature = "FMODE_BACKING is bit 24"
	FeatSocketCookie    Feature = "bpf_get_socket_ptr_cookie"
	FeatPinnedStrings   Feature = "strings in pinned iterators"
	FeatTracepointKfunc Feature = "kernel functions in tracepoint programs"
	FeatShortComm       Feature = "bpf_get_current_comm that stops at the NUL"
	FeatPathTail        Feature = "bpf_d_path that returns the end of a path"
	FeatStrstr          Feature = "bpf_strstr"
	FeatTaskFromPID     Feature = "bpf_task_from_pid"
	FeatTaskFromVPID    Feature = "bpf_task_from_vpid"
)

// Switchable lists the features whose use can be disabled by Env.NoFeature.
var Switchable = []string{
	string(FeatFetch), string(FeatKprobeMulti), string(FeatKprobeSession), string(FeatRawSyscalls),
	string(FeatTracingMulti), string(FeatUprobeMulti),
}

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
